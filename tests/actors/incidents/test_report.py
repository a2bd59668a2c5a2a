"""The report of a stop: what it takes from where, what it says when something is not known, and how it is written."""

import html.parser
import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from actors.alarms.triggers import CLOCK_SKEW, ENGINE_LOST, NOT_JUDGED
from actors.emergency.local_socket import LOCAL
from actors.incidents.document import blocks, markdown, page
from actors.incidents.report import Before, RunningStrategy, Slice, compose, mentioned, pictures, window
from actors.incidents.words import EN, KO
from actors.stops.book import HOLD
from actors.stops.run import CORRUPT_LATCH, TRIGGERED, WAIVED
from store.left_stops import UNREADABLE
from store.start import LOST_JOURNAL
from wire.codec import decode, encode
from wire.parts import Residual
from wire.rest.engines import Connection
from wire.rest.records import LogRow
from wire.rest.stops import EmergencyStopResult, Stop, StopState, TimelineEvent
from wire.schema import changed
from wire.stops import Level, Scope
from wire.values import Flatness, LocalStopCause, LogCategory, StopPhase

START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> | [x](http://e) `c` **b**\nnext\x1b[31m line"


def at(seconds):
    return START + timedelta(seconds=seconds)


def result(engine_id, phase=StopPhase.VERIFIED, **changes):
    fields = {
        "engine_id": engine_id,
        "success": phase is StopPhase.VERIFIED,
        "phase": phase,
        "positions_liquidated": 2,
        "orders_cancelled": 3,
        "orders_remaining": 0,
        "positions_remaining": 0,
        "flatness": Flatness.FLAT,
        "flatness_as_of": at(1.2),
        "flatness_reason": None,
        "residuals": [],
        "ms_to_frozen": 20,
        "completed_at": at(1.3),
        "error": None,
    }
    return EmergencyStopResult(**{**fields, **changes})


def stop(**changes):
    fields = {
        "stop_id": "stop-1",
        "request_id": "r1",
        "epoch": 3,
        "scope": Scope.everything(),
        "level": Level.FLATTEN,
        "user_id": "kim",
        "reason": HOSTILE,
        "requested_at": START,
        "delivered": 2,
        "engines": 2,
        "durable": True,
        "state": StopState.PARTIAL,
        "results": [result("E1"), result("E2", StopPhase.UNREACHABLE, orders_remaining=None, error="not connected")],
        "timeline": [
            TimelineEvent(at=START, event="requested"),
            TimelineEvent(at=at(0.005), event="sent", engine_id="E1"),
            TimelineEvent(at=at(0.02), event="frozen", engine_id="E1"),
            TimelineEvent(at=at(1.3), event="verified", engine_id="E1"),
            TimelineEvent(at=at(9.0), event="verified", engine_id="E1"),
        ],
    }
    return Stop(**{**fields, **changes})


def before(engine_id="E1", **changes):
    fields = {
        "engine_id": engine_id,
        "connection": Connection.CONNECTED,
        "orders": 3,
        "positions": 2,
        "value": 1_234_000,
        "as_of": at(-0.4),
        "strategies": [
            RunningStrategy(strategy_id="ma", status="active", version=4, parameters={"fast": 5, "slow": 20})
        ],
    }
    return Before(**{**fields, **changes})


def line(n):
    return LogRow(
        cursor=n,
        engine_id="E1",
        id=f"l{n}",
        category=LogCategory.TRADE,
        message=HOSTILE,
        timestamp=at(0),
        reason="why",
        strategy_id=None,
        symbol=None,
        order_id=None,
        severity=None,
    )


def made(log=(), *, is_cut=False, **changes):
    return compose(stop(**changes), [before()], Slice(before=list(log), after=[], is_cut=is_cut), at(10))


def test_people_are_called_by_their_names_and_nobody_else_is():
    timeline = [
        TimelineEvent(at=START, event="requested", detail="u-1: FLATTEN u-2: because"),
        TimelineEvent(at=at(1), event="failed", engine_id="E1", detail="u-2: an engine's own words"),
        TimelineEvent(at=at(2), event="continued", detail="u-2"),
        TimelineEvent(at=at(3), event="released", detail="u-9: unknown"),
    ]
    seen = stop(user_id="u-1", timeline=timeline)
    assert mentioned(seen) == ["u-1", "u-2", "u-9"]
    text = markdown(compose(seen, [], None, at(10), people={"u-1": "kim", "u-2": "lee"}), "en")
    assert "| Requested by | kim (u-1) |" in text
    assert "| Requested | kim: FLATTEN u-2: because |" in text
    assert "| E1 | Failed | u-2: " in text
    assert "| Continued | lee |" in text
    assert "| Released | u-9: unknown |" in text


def test_the_name_that_was_written_with_the_stop_is_told_though_nobody_can_be_asked_any_more():
    timeline = [TimelineEvent(at=START, event="requested", detail="kim: FLATTEN because")]
    seen = compose(stop(user_id="u-1", username="kim", timeline=timeline), [], None, at(10))
    assert "| Requested by | kim (u-1) |" in markdown(seen, "en")
    own = compose(stop(user_id="E1", username=None, timeline=[]), [], None, at(10))
    assert "| Requested by | E1 |" in markdown(own, "en")


def test_where_no_read_says_what_is_left_nothing_says_none():
    blind = result("E1", StopPhase.FROZEN, flatness=Flatness.UNKNOWN, positions_liquidated=0, orders_cancelled=0)
    told = [TimelineEvent(at=START, event="frozen", engine_id="E1")]
    text = markdown(made(results=[blind], timeline=told), "en")
    assert "orders cancelled 0, remaining unknown; positions liquidated 0, remaining unknown" in text
    told.append(TimelineEvent(at=at(1), event="cancelled", engine_id="E1"))
    text = markdown(made(results=[blind], timeline=told), "en")
    assert "orders cancelled 0, remaining 0; positions liquidated 0, remaining 0" in text


def test_each_stage_is_timed_from_the_request_and_counts_once():
    stages = {s.phase.value: s.ms for s in made().engines[0].stages}
    assert stages == {"sent": 5, "frozen": 20, "verified": 1300}


def test_what_was_verified_of_a_lower_level_is_no_stage_of_the_one_it_was_raised_to():
    timeline = [
        TimelineEvent(at=START, event="requested", detail="kim: HALT because"),
        TimelineEvent(at=at(0.02), event="frozen", engine_id="E1"),
        TimelineEvent(at=at(0.06), event="verified", engine_id="E1"),
        TimelineEvent(at=at(3), event="raised", detail="lee: FLATTEN more"),
        TimelineEvent(at=at(4), event="cancelled", engine_id="E1"),
    ]
    assert {s.phase.value: s.ms for s in made(timeline=timeline).engines[0].stages} == {"frozen": 20, "cancelled": 4000}
    timeline += [
        TimelineEvent(at=at(5), event="verified", engine_id="E1"),
        TimelineEvent(at=at(8), event="raised", detail="lee: FLATTEN asked for again"),
        TimelineEvent(at=at(9), event="verified", engine_id="E1"),
    ]
    stages = {s.phase.value: s.ms for s in made(timeline=timeline).engines[0].stages}
    assert stages == {"frozen": 20, "cancelled": 4000, "verified": 5000}


def stages(timeline):
    return {s.phase.value: s.ms for s in made(timeline=timeline).engines[0].stages}


def test_the_level_of_a_raise_is_its_own_and_not_what_its_words_seem_to_say():
    timeline = [
        TimelineEvent(at=START, event="requested", detail="kim: FLATTEN or so: HALT first", level=Level.HALT),
        TimelineEvent(at=at(1), event="verified", engine_id="E1"),
        TimelineEvent(at=at(3), event="raised", detail="CANCEL: HALT too", level=Level.HALT),
        TimelineEvent(at=at(4), event="verified", engine_id="E1"),
    ]
    assert stages(timeline) == {"verified": 1000}
    timeline += [
        TimelineEvent(at=at(5), event="raised", detail="lee: HALT as before", level=Level.FLATTEN),
        TimelineEvent(at=at(7), event="verified", engine_id="E1"),
    ]
    assert stages(timeline) == {"verified": 7000}


@pytest.mark.parametrize("event, verified", [("recovered", 4000), ("kept", 1000), ("continued", 1000)])
def test_a_higher_level_counts_however_it_came_and_the_same_one_does_not(event, verified):
    level = Level.FLATTEN if event == "recovered" else Level.HALT
    timeline = [
        TimelineEvent(at=START, event="requested", detail="kim: HALT", level=Level.HALT),
        TimelineEvent(at=at(1), event="verified", engine_id="E1"),
        TimelineEvent(at=at(3), event=event, detail="found in the database", level=level),
        TimelineEvent(at=at(4), event="verified", engine_id="E1"),
    ]
    assert stages(timeline) == {"verified": verified}


def test_what_was_verified_before_a_stop_was_opened_again_says_nothing_of_it():
    timeline = [
        TimelineEvent(at=START, event="requested", detail="kim: HALT", level=Level.HALT),
        TimelineEvent(at=at(1), event="verified", engine_id="E1"),
        TimelineEvent(at=at(2), event="released", detail="lee: over"),
        TimelineEvent(at=at(3), event="reopened", engine_id="E1", detail="found in the latch", level=Level.HALT),
        TimelineEvent(at=at(4), event="verified", engine_id="E1"),
    ]
    assert stages(timeline) == {"verified": 4000}


def test_what_was_there_before_stands_beside_what_is_left():
    first, second = made().engines
    assert (first.before.orders, first.orders_remaining) == (3, 0)
    assert (second.before, second.orders_remaining) == (None, None)


def test_what_nobody_knew_is_called_unknown_and_never_zero():
    text = markdown(made(), "en")
    row = next(line for line in text.splitlines() if line.startswith("| E2"))
    assert "unknown" in row.split("|")[3]
    assert "remaining unknown" in row


def test_a_stop_that_still_runs_says_that_this_is_not_the_end():
    running = made(state=StopState.RUNNING)
    assert not running.complete
    assert EN["incomplete"] in page(running, "en")
    assert made(state=StopState.RUNNING, released_at=at(60)).complete


def test_what_an_engine_says_of_itself_is_korean_and_what_its_strategies_say_as_it_came():
    said = attrs.evolve(
        line(1), category=LogCategory.SYSTEM, message="STOP HALT of engine:E1: the file STOP was put there",
        reason="the file STOP was put there",
    )  # fmt: skip
    theirs = attrs.evolve(said, cursor=2, category=LogCategory.STRATEGY)
    korean, english = (markdown(made([said, theirs]), language) for language in ("ko", "en"))
    assert "| 정지 주문 중지, 범위 엔진 E1: 파일 STOP이(가) 놓임 | 파일 STOP이(가) 놓임 |" in korean
    assert korean.count("STOP HALT of engine:E1: the file STOP was put there") == 1
    assert english.count("STOP HALT of engine:E1: the file STOP was put there") == 2


def test_a_log_that_was_cut_says_so():
    assert KO["log_cut"] not in markdown(made([line(1)]), "ko")
    assert KO["log_cut"] in markdown(made([line(1)], is_cut=True), "ko")


def test_lines_before_the_request_stand_before_those_after_it():
    found = compose(stop(), [], Slice(before=[line(1)], after=[line(2), line(3)], is_cut=False), at(10))
    assert [row.cursor for row in found.log] == [1, 2, 3]


def test_a_log_that_could_not_be_read_is_not_an_empty_log():
    report = compose(stop(), [], None, at(10))
    assert report.log is None
    assert EN["log_missing"] in page(report, "en")


def test_the_log_reaches_from_a_minute_before_to_a_minute_after_the_last_word_of_an_engine():
    found = window(stop())
    assert (found.engines, found.since, found.at, found.until) == (["E1", "E2"], at(-60), at(0), at(69))
    late = TimelineEvent(at=at(10 * 86400), event="verified", engine_id="E1")
    assert window(stop(timeline=[late])).until == at(86400 + 60)


def test_a_report_survives_being_kept():
    report = made([line(1)])
    again = decode(encode(report, nulls=True), type(report))
    assert again == report
    assert pictures(again) == [before()]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_foreign_text_is_never_markup(language):
    report = made([line(1)], results=[result("E1", residuals=[residual()])])

    class Tags(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.seen = set()

        def handle_starttag(self, tag, attrs):
            self.seen.add(tag)

    tags = Tags()
    tags.feed(page(report, language))
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th"}
    assert tags.seen <= known | {"td"}
    text = markdown(report, language)
    assert "<script" not in text.replace("\\<script", "")
    assert "[x](" not in text
    assert "\x1b" not in text
    for row in text.splitlines():
        assert row == "" or row[0] in "#|>"


def residual():
    return Residual(symbol="005930", quantity=10, reason=HOSTILE, until=at(3600))


def test_both_languages_have_the_same_words():
    assert KO.keys() == EN.keys()
    assert all(KO.values())
    assert all(EN.values())


def test_a_drill_cannot_be_mistaken():
    report = made(drill=True)
    assert blocks(report, "ko")[0].text.endswith("[훈련]")
    assert "DRILL" in page(report, "en").split("</h1>")[0]


def test_times_are_korean_with_their_offset():
    assert "2026-01-05 09:00:00.000+09:00" in markdown(changed(made(), made_at=at(0)), "en").replace("\\", "")


def test_a_korean_report_holds_no_english_but_what_others_wrote():
    """Reasons, names and log lines stay as they came; every word of the platform and the engines' SDK is Korean."""
    residuals = [Residual(symbol="005930", quantity=7, reason="the market is closed", until=None)]
    blocked = {"error": "error_positions_blocked: another trading session began: nothing is sent for this stop before"}
    blocked["error"] += " a person continues it"
    results = [
        result("E1"),
        result("E2", StopPhase.UNREACHABLE, error="not connected; it gets the stop when it returns"),
        result("E3", StopPhase.FAILED, residuals=residuals, flatness=Flatness.NOT_FLAT, **blocked),
        result("E4", StopPhase.TIMED_OUT, flatness=Flatness.UNKNOWN, flatness_reason="error_no_read_yet"),
    ]
    steps = [("requested", None, "u-1: FLATTEN"), ("released", None, "u-1: 정상")]
    steps += [(phase.value, "E1", None) for phase in StopPhase]
    steps += [(event, None, None) for event in ("raised", "kept", "recovered", "continued", "release_void")]
    timeline = [TimelineEvent(at=START, event=e, engine_id=who, detail=d) for e, who, d in steps]
    for state in StopState:
        for level in Level:
            seen = stop(state=state, level=level, results=results, timeline=timeline, reason="점검", user_id="u-1")
            text = markdown(compose(seen, [before()], None, at(10), people={"u-1": "kim"}), "ko")
            text = re.sub(r"STOP 파일|stop-1|\b(E\d|ma|fast|slow|kim|u-1|ms)\b", "", text)
            assert re.findall(r"[A-Za-z_\\]{3,}", text) == []
    assert "미확인: 증권사 잔고를 아직 읽지 못함" in text


CAUSES = {"operator", "recovered", "reopened", LOCAL, HOLD, WAIVED, CORRUPT_LATCH, LOST_JOURNAL, UNREADABLE}
CAUSES |= {cause.value for cause in LocalStopCause}
CAUSES |= {f"{TRIGGERED}{name}" for name in (ENGINE_LOST, CLOCK_SKEW, NOT_JUDGED)}


def test_every_cause_has_its_words():
    assert {cause for cause in CAUSES if f"cause.{cause}" not in KO or f"cause.{cause}" not in EN} == set()
