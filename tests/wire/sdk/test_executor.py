"""What a read of the account means: which lets orders leave again, and what it says to an engine without a lease."""

import os
from datetime import UTC, date, datetime

import attrs
import pytest

from wire.messages import EmergencyStop, ErrorReport, Release, StopProgress
from wire.parts import LeaseExpiry
from wire.sdk.account import Position, Reading, WorkingAtBroker
from wire.sdk.engine import Engine, Options
from wire.sdk.errors import GateClosed
from wire.sdk.platform import Credential
from wire.sdk.work import Outcome
from wire.stops import Level, Scope
from wire.values import StopPhase

HELD = [Position(symbol="005930", quantity=10)]


class Clock:
    at = 100.0

    def now(self):
        return self.at

    def wall(self):
        return datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


@pytest.fixture
def make_engine(tmp_path):
    made = []

    def make():
        """Another process of the same engine."""
        for engine in made:
            engine.close()
        credential = Credential(engine_id="E1", secret="s", account_id="A1", http_url="http://p", ws_url="ws://p")
        made[:] = [Engine(credential, tmp_path, Options(name="E1", health_every=None), clock=Clock())]
        made[0].handlers.read_account = lambda: None
        made[0].open()
        return made[0]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine):
    return make_engine()


def begin(engine):
    """The executor's next job, under way."""
    job = engine.executor.next(engine.clock.now())
    engine.executor.busy = True
    return job


def end(engine, job, value=None):
    engine.clock.at += 1.0
    engine.executor.busy = False
    job.then(Outcome(value=value), engine.clock.now())


@pytest.mark.parametrize("handler", ["read_account", "reconcile"])
def test_a_comparison_under_way_when_the_books_were_doubted_settles_nothing(engine, handler):
    if handler == "reconcile":
        engine.handlers.read_account, engine.handlers.reconcile = None, lambda: None
    first = begin(engine)
    engine.orders.out_of_sync()
    end(engine, first, Reading())
    assert not engine.gate.synced
    engine.clock.at += 1.0
    end(engine, begin(engine), Reading())
    assert engine.gate.synced


def test_an_engine_that_compares_by_itself_may_say_when_it_began(engine):
    engine.handlers.read_account = None
    began = engine.orders.doubts
    engine.orders.out_of_sync()
    engine.orders.reconciled(began)
    assert not engine.gate.synced
    engine.orders.reconciled(engine.orders.doubts)
    assert engine.gate.synced
    engine.orders.out_of_sync()
    engine.orders.reconciled()
    assert engine.gate.synced


def test_a_stop_that_came_before_the_first_read_belongs_to_the_day_that_the_broker_tells(engine):
    """In another country it may still be yesterday."""
    engine.handlers.flatten = lambda _closings: None
    engine.stop(Level.FLATTEN, "r")
    (run,) = engine.halting.stopping.runs
    end(engine, begin(engine), Reading(trading_day=date(2026, 11, 19), positions=HELD))
    assert (run.held, run.session) == (None, "20261119")
    assert not run.is_stuck
    end(engine, begin(engine))  # it closes
    engine.clock.at += 1.0
    end(engine, begin(engine), Reading(trading_day=date(2026, 11, 20), positions=HELD))
    assert run.held.startswith("another trading session began")


@pytest.mark.parametrize("day", [19, 20])
def test_a_restart_in_the_same_session_goes_on_and_in_another_one_waits_for_a_person(make_engine, day):
    engine = make_engine()
    end(engine, begin(engine), Reading(trading_day=date(2026, 11, 19), positions=HELD))
    engine.stop(Level.FLATTEN, "r")
    again = make_engine()
    again.handlers.flatten = lambda _closings: None
    end(again, begin(again), Reading(trading_day=date(2026, 11, day), positions=HELD))
    (run,) = again.halting.stopping.runs
    assert (run.held is None, run.session) == (day == 19, "20261119")


def test_the_usual_policy_holds_for_who_has_once_been_linked_and_keeping_it_delays_no_acknowledgement(make_engine):
    halting = make_engine().halting
    assert halting.on_lease_expiry is None
    halting.latch = attrs.evolve(halting.latch, platform_id="p")
    halting.keeper.changed()
    halting.keep(LeaseExpiry())
    assert halting._settings_keeper.is_safe
    assert make_engine().halting.on_lease_expiry == LeaseExpiry()


@pytest.mark.parametrize("policy", [None, LeaseExpiry(cancel_after_ms=20_000), LeaseExpiry(cancel_after_ms=None)])
def test_a_restart_without_the_platform_does_not_leave_working_orders_to_themselves(make_engine, policy):
    if policy is not None:
        make_engine().halting.keep(policy)
    engine = make_engine()
    order = WorkingAtBroker(order_id="o1", symbol="005930", side="buy", remaining=10)
    end(engine, begin(engine), Reading(orders=[order]))
    engine.clock.at += 19.0
    engine.work.jobs(engine.clock.at)
    assert engine.gate.engine_level() is Level.NORMAL
    engine.clock.at += 1.0
    engine.work.jobs(engine.clock.at)
    wished = policy is not None and policy.cancel_after_ms is not None
    assert engine.gate.engine_level() is (Level.CANCEL if wished else Level.NORMAL)


def told(engine):
    return [s.message for s in engine.outlet.waiting() if isinstance(s.message, StopProgress)][-1]


def test_what_is_gone_by_a_stop_is_counted_over_the_processes_of_its_engine(make_engine):
    def another():
        engine = make_engine()
        engine.handlers.cancel_all = engine.handlers.flatten = lambda _what: None
        return engine

    engine = another()
    say_stop(engine, Level.FLATTEN)
    order = WorkingAtBroker(order_id="o1", symbol="005930", side="buy", remaining=10)
    end(engine, begin(engine), Reading(orders=[order], positions=HELD))
    end(engine, begin(engine))  # it cancels
    engine.clock.at += 1.0
    end(engine, begin(engine), Reading(positions=HELD))
    assert (told(engine).orders_cancelled, told(engine).positions_liquidated) == (1, 0)
    finish_jobs(engine)
    engine = another()
    end(engine, begin(engine), Reading(positions=HELD))
    end(engine, begin(engine))  # it closes
    for _ in range(2):
        engine.clock.at += 1.0
        end(engine, begin(engine), Reading())
    last = told(engine)
    assert (last.phase, last.orders_cancelled, last.positions_liquidated) == (StopPhase.VERIFIED, 1, 1)
    finish_jobs(engine)
    engine = another()
    for _ in range(2):
        engine.clock.at += 1.0
        end(engine, begin(engine), Reading())
    last = told(engine)
    assert (last.phase, last.orders_cancelled, last.positions_liquidated) == (StopPhase.VERIFIED, 1, 1)


# --- a full disk at the start ---


def finish_jobs(engine):
    """Everything that lies before the driver but the reads."""
    for lane, job in engine.work.jobs(engine.clock.at):
        if job.blocking:
            try:
                outcome = Outcome(value=job.work())
            except OSError as error:
                outcome = Outcome(error=error)
            engine.work.finished(lane, job, outcome, engine.clock.at)


def say_stop(engine, level):
    stop = EmergencyStop(
        stop_id="x", stop_epoch=1, scope=Scope.everything(), level=level, proof="", timeout_ms=30_000,
        reason="r", user_id="u",
    )  # fmt: skip
    engine.halting.stop(stop)


def test_an_engine_whose_latch_no_disk_takes_is_there_obeys_stops_and_opens_nothing_before_one_does(
    make_engine, monkeypatch
):
    first = make_engine()
    first.stop(Level.HALT, "kept")
    finish_jobs(first)
    write = os.write

    def refuse(_descriptor, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    engine = make_engine()
    engine.handlers.flatten = lambda _closings: None
    engine.lease.renew(1e6, engine.clock.at)
    (kept,) = engine.halting.latch.open_stops()
    engine.halting.release(Release(stop_ids=[kept.record.stop_id], epoch=9, effective=[], resume=True))
    end(engine, begin(engine), Reading())
    finish_jobs(engine)
    assert engine.orders.why_closed("ma", "005930") == "the latch cannot be written"
    reports = [s.message for s in engine.outlet.waiting() if isinstance(s.message, ErrorReport)]
    assert {r.code for r in reports} == {"error_storage"}
    assert "the latch cannot be written, and no order leaves before it can: No space left on device" in {
        r.reason for r in reports
    }
    say_stop(engine, Level.FLATTEN)
    end(engine, begin(engine), Reading(positions=HELD))
    assert engine.executor._closings
    with pytest.raises(GateClosed):
        engine.orders.check("o1", symbol="005930", side="buy", quantity=1)
    engine.orders.check("c1", symbol="005930", side="sell", quantity=10, closing=True)
    assert not engine.halting.is_safe("x")
    monkeypatch.setattr(os, "write", write)
    engine.clock.at += 60.0
    finish_jobs(engine)
    assert engine.halting.is_safe("x")
    engine.halting.release(Release(stop_ids=["x"], epoch=20, effective=[], resume=True))
    end(engine, begin(engine), Reading())
    assert engine.orders.why_closed("ma", "005930") is None
