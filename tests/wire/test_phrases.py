"""The book of sentences: whatever engines and the platform write into stops and alerts has its Korean."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.phrases import KOREAN, TERMS, put

ROOT = Path(__file__).parents[2]
SLOT = re.compile(r"\{(\w+)\}")
SAMPLES = {
    "n": "1,234.5",
    "level": "FLATTEN",
    "flatness": "NOT_FLAT",
    "who": "kim",
    "said": "an engine's own words",
    "left": "005930 10 (the market is closed), 000660 3 (being closed)",
}
SPEAKERS = (
    "actors/alarms/conditions.py",
    "actors/alarms/triggers.py",
    "actors/alarms/watch.py",
    "actors/emergency/glass.py",
    "actors/emergency/words.py",
    "actors/engine/risk/day.py",
    "actors/engine/risk/book.py",
    "actors/engine/risk/triggers.py",
    "actors/engine/risk/watch.py",
    "actors/engine/stop_executor.py",
    "actors/platform/health.py",
    "actors/stops/book.py",
    "actors/stops/keeping.py",
    "actors/stops/ledger.py",
    "actors/stops/parts.py",
    "actors/stops/recalling.py",
    "actors/stops/release_work.py",
    "actors/stops/releasing.py",
    "actors/stops/returns.py",
    "actors/stops/run.py",
    "store/start.py",
    "wire/sdk/executor.py",
    "wire/sdk/flattening.py",
    "wire/sdk/halting.py",
    "wire/sdk/stop_run.py",
    "wire/sdk/stopping.py",
    "wire/sdk/watching.py",
)
"""Whoever writes the details of stops, alerts and residuals."""
REFUSALS = {"Refusal", "Refused", "StrategyResult", "_not_now", "ConfigurationError", "RiskRefused"}
LOGS = {"log", "debug", "info", "warning", "error", "exception", "spawn", "join"}
"""Calls whose words are an answer to one request, told under its code, or a line of a log: not a person's screen."""
ELSEWHERE = {
    "last words",
    "no earlier record of losses: today's is measured from the broker's figure for the previous day",
    "the lease from the platform ran out: no order leaves before it is renewed",
    "a stop closes the position",
    "REDUCED for {} min: orders of at most {} won",
    "loop lag",
    "emergency page",
    "stop of an emergency door",
    "late note",
}
"""Lines of an engine's own log, and names of tasks."""


def filled(template):
    return SLOT.sub(lambda slot: SAMPLES.get(slot[1].rstrip("0123456789"), "alpha"), template)


def slots(template):
    return sorted(SLOT.findall(template))


@pytest.mark.parametrize("english", KOREAN)
def test_a_sentence_is_recognised_with_whatever_stands_in_it(english):
    korean = put(filled(english), "ko")
    assert slots(english) == slots(KOREAN[english])
    assert "{" not in korean
    if english not in ("{who}: {level} {said}",):
        assert korean != filled(english)
    assert put(filled(english), "en") == filled(english)


def test_a_sentence_in_a_sentence_is_said_in_the_same_language():
    assert put(
        "alpha could not finish the stop: error_positions_blocked: 005930 1,200 (the market is closed)", "ko"
    ) == ("엔진 alpha: 정지를 끝내지 못함: 팔 수 없는 보유 종목: 005930 1,200주 (장이 닫힘)")
    assert put("engines_verified: not verified: a, b; cause_noted: no reason was given", "ko") == (
        "모든 엔진 검증: 검증되지 않음: a, b; 해제 사유: 사유가 없음"
    )
    assert (
        put("error_positions_blocked: 005930 7 (being closed)", "ko")
        == "팔 수 없는 보유 종목: 005930 7주 (청산하는 중)"
    )
    assert put("005930 7 (being closed), 000660 3 (nope)", "ko") == "005930 7주 (청산하는 중), 000660 3주 (nope)"
    assert put("event loop: the event loop ran 1200 ms late", "ko") == "이벤트 루프: 이벤트 루프가 1200ms 늦음"


@given(st.text(max_size=80))
def test_what_is_not_in_the_book_is_shown_as_it_came(text):
    words = f"김: {text} ~"
    assert put(words, "ko") == words


@given(st.lists(st.sampled_from([*KOREAN, *TERMS, ": ", "; ", ", ", "7", "x"]), max_size=6).map("".join))
def test_every_text_can_be_put(text):
    assert put(text, "ko") or not text


# --- nothing new without its Korean -------------------------------------------------------------------------------


def sentences(path):
    """(line, template) of every text of two words or more in a module, but for docstrings, refusals and log lines."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else ():
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                skipped.add(id(each.value))
        if isinstance(node, ast.Call) and _name(node.func) in REFUSALS | LOGS:
            skipped |= {id(n) for n in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(n) for n in node.values}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(n.value if isinstance(n, ast.Constant) else "{}" for n in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if re.search(r"[a-z]{2,}[:,]? [a-z]{2,}", text):
            yield node.lineno, re.sub(r"\{[^}]*\}", "{}", text)


def _name(func):
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


@pytest.mark.parametrize("name", SPEAKERS)
def test_whatever_is_written_into_stops_and_alerts_is_in_the_book(name):
    known = {re.sub(r"\{[^}]*\}", "{}", english) for english in KOREAN}
    fixed = [re.sub(r"\{\}", "", english) for english in known]
    missing = [
        (line, text)
        for line, text in sentences(ROOT / name)
        if text not in known | ELSEWHERE and not any(text.replace("{}", "").strip() in each for each in fixed)
    ]
    assert missing == []
