"""What engines write into the log about themselves has its Korean; what others write is shown as it came."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.loglines import KOREAN, LONGEST, put_line
from wire.phrases import KOREAN as SENTENCES

ROOT = Path(__file__).parents[2]
SLOT = re.compile(r"\{(\w+)\}")
SAMPLES = {"n": "1,234", "level": "FLATTEN", "flatness": "NOT_FLAT", "phase": "frozen", "scope": "engine:E1"}
WRITERS = (
    "wire/sdk/engine.py",
    "wire/sdk/halting.py",
    "wire/sdk/watching.py",
    "actors/engine/main.py",
    "actors/engine/broker.py",
    "actors/engine/configuring.py",
    "actors/engine/desk.py",
    "actors/engine/reconcile.py",
    "actors/engine/risk/day.py",
    "actors/engine/risk/watch.py",
    "actors/engine/stop_executor.py",
)
"""Whoever writes lines of the category System."""


def filled(template):
    return SLOT.sub(lambda slot: SAMPLES.get(slot[1].rstrip("0123456789"), "alpha"), template)


@pytest.mark.parametrize("english", KOREAN)
def test_a_line_is_recognised_with_whatever_stands_in_it(english):
    assert sorted(SLOT.findall(english)) == sorted(SLOT.findall(KOREAN[english]))
    korean = put_line(filled(english), "ko")
    assert re.search("[가-힣]", korean)
    assert "{" not in korean
    assert put_line(filled(english), "en") == filled(english)


@pytest.mark.parametrize(
    ("line", "korean"),
    [
        (
            "STOP CANCEL of all: the lease stayed expired: cancelling",
            "정지 주문 중지 · 미체결 취소, 범위 전체: 가동 허가가 만료된 채로 있음: 미체결 취소",
        ),
        ("STOP s-1: verified (FLAT)", "정지 s-1: 검증 (잔고 없음)"),
        (
            "HALTED: the lease from the platform ran out: no order leaves before it is renewed",
            "주문 중지: 플랫폼의 가동 허가가 만료됨: 갱신될 때까지 주문이 나가지 않음",
        ),
        ("RECONCILED 005930: 10 in the books, 6 at the broker", "증권사 잔고에 맞춤: 005930: 장부 10, 증권사 6"),
        ("REJECTED 005930: 모의투자 장종료 입니다", "005930: 주문이 거절됨: 모의투자 장종료 입니다"),
        ("STOP HALT of engine:E1: kim's own words", "정지 주문 중지, 범위 엔진 E1: kim's own words"),
    ],
)
def test_lines_hold_lines_and_sentences(line, korean):
    assert put_line(line, "ko") == korean


@given(st.text(max_size=60))
def test_what_is_in_neither_book_is_shown_as_it_came(text):
    words = f"~ {text} ~"
    assert put_line(words, "ko") == words


def test_a_line_that_is_too_long_to_be_looked_up_is_shown_as_it_came():
    words = "STOP HALT of all: " + "x" * LONGEST
    assert put_line(words, "ko") == words
    assert put_line(words[:LONGEST], "ko") != words[:LONGEST]


def lines(path):
    """(line, template) of every text that is handed to a log as a line of the category System."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in ("log", "_log", "warn"):
            continue
        for text in node.args[:2]:
            if isinstance(text, ast.JoinedStr):
                parts = (n.value if isinstance(n, ast.Constant) else "{}" for n in text.values)
                yield node.lineno, "".join(parts)
            elif isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield node.lineno, text.value


@pytest.mark.parametrize("name", WRITERS)
def test_every_line_that_is_written_is_in_the_book(name):
    known = {SLOT.sub("{}", english) for english in (*KOREAN, *SENTENCES)}
    stems = {re.split(r"[ :{]", english)[0] for english in KOREAN if english.split(" ")[0].isupper()}
    missing = []
    for number, text in lines(ROOT / name):
        stem = re.split(r"[ :{]", text)[0]
        if text not in known and stem not in stems and re.search("[a-z]", text):
            missing.append((number, text))
    assert missing == []
