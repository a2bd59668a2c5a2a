"""A platform whose journal and database were both set back to the same earlier moment: nothing in them disagrees, and
only the engines remember what came after it."""

import hashlib
from datetime import UTC, datetime

import pytest

from actors.stops.book import INSISTING, StopBook
from actors.stops.effects import RaiseAlert, RecordStop, SendRelease, SendStop
from actors.stops.parts import Instant
from tests.wire.sdk.test_halting import Engine
from wire.messages import StopProgress
from wire.rest.stops import StopRequest
from wire.stops import Entry, Level, Register, Scope, StopRecord
from wire.values import Flatness, LatchState, StopPhase

NOW = Instant(0.0, datetime(2026, 11, 20, tzinfo=UTC))
ALL = Scope.everything()


def prove(record):
    return hashlib.sha256(f"{record.stop_id}|{record.scope}|{record.level}|{record.stop_epoch}".encode()).hexdigest()


def set_back(*, epoch, **entries):
    """The platform as it starts with the old copies."""
    ids = iter(f"new{n}" for n in range(100))
    book = StopBook(
        Register(entries=entries, floor=epoch),
        prove=prove,
        is_ours=lambda r: r.proof == prove(r),
        new_id=lambda: next(ids),
    )
    for engine_id in ("E1", "E2"):
        book.engine_known(engine_id, "A1")
    book.roster.is_complete = True
    book.recover({}, NOW)
    return book


def carry(book, engine, effects):
    """What is sent to E1 and what it says, back and forth until both are silent. Returns everything that was done."""
    done, told = list(effects), list(effects)
    while told:
        heard = len(engine.said)
        for effect in told:
            match effect:
                case SendStop(engine_id="E1", message=message):
                    engine.halting.stop(message)
                case SendRelease(engine_id="E1", message=message):
                    engine.halting.release(message)
        told = [
            e for said in engine.said[heard:] if isinstance(said, StopProgress) for e in book.progress("E1", said, NOW)
        ]
        done += told
        assert len(done) < 1000
    return done


def connected(book, engine):
    stops = [s.record for s in engine.halting.latch.open_stops()]
    effects = book.link_up("E1", stops, LatchState.PRESENT, NOW)
    engine.hears(epoch=book.register.epoch, effective=book.effective("E1"))
    return carry(book, engine, effects)


def codes(effects):
    return [e.code for e in effects if isinstance(e, RaiseAlert) and e.code != "error_stop_unreachable"]


@pytest.mark.parametrize("released_at", [5, 6, 700, 9_000, 4_000_000])
def test_an_engine_that_knows_of_a_lost_release_obeys_the_stop_that_is_open_again(tmp_path, released_at):
    engine = Engine(tmp_path)
    engine.stop("s", epoch=4)
    engine.release("s", epoch=released_at)
    assert engine.level is Level.NORMAL

    book = set_back(epoch=5, s=Entry(ALL, Level.HALT, 4))
    done = connected(book, engine)
    assert engine.level is Level.HALT  # and not: open at the platform, and trading
    assert book.register.entries["s"].stop_epoch > released_at
    assert [r.stop_id for r in book.effective("E1")] == ["s"]
    assert codes(done).count("error_release_unknown") == 1
    assert [e.entry.stop_epoch for e in done if isinstance(e, RecordStop)][-1] == book.register.entries["s"].stop_epoch

    released = book.plan_release("s", [], resume=True, user_id="u", reason="", now=NOW)
    carry(book, engine, book.apply_release(released, NOW))
    assert engine.level is Level.NORMAL  # it can be released like any other


def test_an_engine_that_denies_an_open_stop_however_often_it_is_wanted_is_a_failure_and_no_storm():
    book = set_back(epoch=5, s=Entry(ALL, Level.HALT, 4))
    effects = book.link_up("E1", [], LatchState.PRESENT, NOW)
    sent = done = 0
    codes_of_all = []
    while stops := [e.message for e in effects if isinstance(e, SendStop) and e.engine_id == "E1"]:
        sent += len(stops)
        effects = [e for stop in stops for e in book.progress("E1", denial(stop), NOW)]
        codes_of_all += codes(effects)
        done += 1
        assert done < 20
    assert sent == 1 + len(INSISTING)
    assert codes_of_all == ["error_release_unknown", "error_stop_failed"]
    (part, _) = book.view("s").results
    assert (part.phase, part.success) == (StopPhase.FAILED, False)
    assert book.register.entries["s"].is_open


def test_a_denial_of_an_earlier_decision_says_nothing_about_this_one():
    book = set_back(epoch=5, s=Entry(ALL, Level.HALT, 4))
    book.link_up("E1", [], LatchState.PRESENT, NOW)
    first = book.message("s")
    book.go_on("s", "u", NOW)
    assert book.progress("E1", denial(first), NOW) == []


def test_stops_that_only_engines_remember_are_open_again_and_the_next_is_above_them():
    book = set_back(epoch=5)
    newer = record("newer", Level.FLATTEN, 40)
    done = book.link_up("E1", [newer], LatchState.PRESENT, NOW)
    assert codes(done) == ["error_unknown_stop_reopened"]
    assert book.effective("E2") == [newer]  # of everything, for an engine too that was never reached
    taken = book.take(StopRequest(scope=Scope.of_engine("E1"), level=Level.HALT), "u", NOW)
    assert book.view(taken.stop_id).epoch > 40


def test_a_raise_that_only_an_engine_remembers_holds_again():
    book = set_back(epoch=5, s=Entry(ALL, Level.HALT, 4))
    raised = record("s", Level.FLATTEN, 40)
    book.link_up("E1", [raised], LatchState.PRESENT, NOW)
    assert book.effective("E2") == [raised]


def record(stop_id, level, epoch):
    """Of everything, with the platform's proof."""
    bare = StopRecord(stop_id=stop_id, scope=ALL, level=level, stop_epoch=epoch)
    return StopRecord(stop_id=stop_id, scope=ALL, level=level, stop_epoch=epoch, proof=prove(bare))


def denial(stop):
    return StopProgress(
        stop_id=stop.stop_id,
        stop_epoch=stop.stop_epoch,
        phase=StopPhase.SUPERSEDED,
        orders_cancelled=0,
        orders_remaining=0,
        positions_liquidated=0,
        positions_remaining=0,
        flatness=Flatness.UNKNOWN,
        residuals=[],
    )
