"""Drills: real stops with a label, and when the next one is due."""

from datetime import timedelta

import pytest

from actors.requests import Refusal
from actors.stops.drills import drill_status
from actors.stops.effects import Words
from actors.stops.past import Over
from wire.rest.stops import StopRequest, StopState
from wire.stops import Level, Scope
from wire.values import LatchState, TradingMode


def take(book, kit, now=0, who="kim", **fields):
    return book.take(StopRequest(**fields), who, kit.at(now))


def status(book, kit, days_later, *, days=30, known=True):
    now = kit.at(0).wall + timedelta(days=days_later)
    return drill_status(book.drills_of(), now, days=days, known=known)


def test_the_last_drill_counts_for_as_long_as_it_is_the_last_one(kit):
    book = kit.book()
    for at, request_id in enumerate(("d1", "d2")):
        book.past.add(
            Over(
                stop_id=request_id,
                words=Words(
                    request_id=request_id, user_id="kim", reason="", requested_at=kit.at(1 - at).wall, drill=True
                ),
                released_at=kit.at(5).wall,
                delivered=1,
                engines=1,
                state=StopState.VERIFIED,
            )
        )
    assert status(book, kit, 1).stop_id == "d1"
    newer = take(book, kit, now=7, level=Level.HALT, drill=True)
    assert status(book, kit, 1).stop_id == newer.stop_id


def test_the_label_is_on_the_wire_and_weakens_nothing(kit):
    book = kit.book()
    book.link_up("E1", [], LatchState.PRESENT, kit.at(0), mode=TradingMode.LIVE)
    taken = take(book, kit, level=Level.HALT, drill=True)
    [sent] = book.messages_for("E1")
    assert (sent.drill, sent.level, sent.stop_id) == (True, Level.HALT, taken.stop_id)
    assert book.register.engine_level("E1", "A1") is Level.HALT


@pytest.mark.parametrize(
    ("modes", "level", "taken"),
    [
        ((TradingMode.PAPER, TradingMode.PAPER), Level.FLATTEN, True),
        ((TradingMode.PAPER, TradingMode.LIVE), Level.FLATTEN, False),
        ((TradingMode.PAPER, None), Level.FLATTEN, False),
        ((TradingMode.PAPER, TradingMode.LIVE), Level.CANCEL, False),
        ((TradingMode.LIVE, None), Level.HALT, True),
        ((TradingMode.LIVE, TradingMode.LIVE), Level.REDUCE_ONLY, True),
    ],
)
def test_a_drill_that_would_trade_needs_every_engine_on_paper(kit, modes, level, taken):
    book = kit.book(engines=(("E1", "A1"), ("E2", "A2")))
    for engine, mode in zip(("E1", "E2"), modes, strict=True):
        if mode is not None:
            book.link_up(engine, [], LatchState.PRESENT, kit.at(0), mode=mode)
    answer = take(book, kit, level=level, drill=True)
    assert isinstance(answer, Refusal) is not taken
    if not taken:
        assert (answer.status, answer.error, answer.field) == (422, "error_drill_level", "level")


def test_a_real_stop_over_the_same_scope_is_no_drill_and_says_whose_it_is(kit):
    book = kit.book()
    drill = take(book, kit, level=Level.HALT, drill=True, reason="exercise")
    real = take(book, kit, now=1, who="lee", level=Level.HALT, reason="smoke")
    assert real.stop_id == drill.stop_id
    run = book.runs[real.stop_id]
    assert (run.words.drill, run.words.user_id, run.words.reason) == (False, "lee", "smoke")
    assert all(not m.drill for m in book.messages_for("E1"))


def test_a_drill_over_a_real_stop_raises_it_and_gives_it_no_label(kit):
    book = kit.book()
    take(book, kit, level=Level.REDUCE_ONLY, reason="smoke")
    taken = take(book, kit, now=1, level=Level.HALT, drill=True)
    run = book.runs[taken.stop_id]
    assert (run.words.drill, run.level) == (False, Level.HALT)


def test_a_drill_stays_latched_until_a_release_like_any_stop(kit):
    book = kit.book()
    taken = take(book, kit, level=Level.HALT, drill=True)
    book.tick(kit.at(100_000))
    assert book.register.entries[taken.stop_id].is_open


# --- when the next one is due -------------------------------------------------------------------------------------


def test_a_desk_that_never_drilled_is_overdue_if_that_is_known(kit):
    book = kit.book()
    assert status(book, kit, 0).overdue is True
    assert status(book, kit, 0, known=False).overdue is None
    assert status(book, kit, 0, days=0).overdue is False


def test_the_last_drill_counts_for_thirty_days(kit):
    book = kit.book()
    take(book, kit, now=-86_400, scope=Scope.of_engine("E2"), level=Level.HALT, drill=True)
    last = take(book, kit, scope=Scope.of_engine("E1"), level=Level.HALT, drill=True)
    seen = status(book, kit, 29.9)
    assert (seen.last_at, seen.stop_id, seen.overdue) == (kit.at(0).wall, last.stop_id, False)
    assert seen.due_at == kit.at(0).wall + timedelta(days=30)
    assert status(book, kit, 30).overdue is True
    assert status(book, kit, 30, known=False).overdue is None
    assert status(book, kit, 6, days=5).overdue is True


def test_what_became_a_real_stop_was_no_drill(kit):
    book = kit.book()
    take(book, kit, level=Level.HALT, drill=True)
    take(book, kit, now=1, level=Level.HALT)
    assert status(book, kit, 1).last_at is None
