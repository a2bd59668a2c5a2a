"""What a read of the account means: which lets orders leave again, and what it says to an engine without a lease."""

from datetime import UTC, date, datetime

import attrs
import pytest

from wire.parts import LeaseExpiry
from wire.sdk.account import Position, Reading, WorkingAtBroker
from wire.sdk.engine import Engine, Options
from wire.sdk.platform import Credential
from wire.sdk.work import Outcome
from wire.stops import Level

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
