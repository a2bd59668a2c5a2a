"""A disk that refuses, an order that is sent again, a watch that dies: stops are carried out, no limit is forgotten."""

from datetime import UTC, datetime
from functools import partial

import pytest
import trio

from actors.engine.desk import Desk
from actors.engine.freezing import DeskTrading
from actors.engine.prices import BalanceSeen, Quote
from actors.engine.risk.book import RiskBook
from actors.engine.risk.limits import Limits
from actors.engine.risk.plan import RiskPlan
from actors.engine.risk.watch import RiskWatch
from actors.engine.stop_executor import StopExecutor
from actors.engine.strategy import Place
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.messages import EmergencyStop, ErrorReport, LocalStop, StopProgress
from wire.parts import LeaseExpiry
from wire.sdk.errors import GateClosed
from wire.sdk.gate import Purpose
from wire.sdk.halting import Halting
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, SpoolLane, new_id
from wire.sdk.settings import Settings
from wire.sdk.stop_run import View, WorkingOrder
from wire.sdk.work import Outcome, Work
from wire.stops import Level, Scope
from wire.values import LatchState, OrderStatus, Side, StopPhase

AT = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


class Clock:
    at = 100.0

    def now(self):
        return self.at

    def wall(self):
        return AT


@pytest.fixture
def make_desk(tmp_path):
    made = []

    def make(**limits):
        outlet = Outlet(tmp_path / "outbox", new_id=new_id)
        outlet.open()
        desk = Desk(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=Clock(),
            lease=Lease(),
            outlet=outlet,
            ledger=Journal(tmp_path / "ledger"),
            risk=RiskBook(RiskPlan(limits=Limits(**limits))),
        )
        desk.restore()
        desk.risk.take(Limits())
        desk.lease.renew(1e9, 0.0)
        desk.gate.agreed(desk.gate.doubts)
        desk.begin_day("20261120")
        desk.quote("A00001", Quote(price=1_000, bid=999, ask=1_001, at=100.0))
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.outlet.close()
        desk.ledger.close()


@pytest.fixture
def desk(make_desk):
    return make_desk()


def halting(desk, folder):
    keeper = Keeper(encode=lambda: b"", write=lambda _data: None, failed=lambda _error: None)
    return Halting(
        identity=desk.identity,
        clock=desk.clock,
        gate=desk.gate,
        outlet=desk.outlet,
        trading=DeskTrading(desk),
        latch=Latch(),
        state=LatchState.ABSENT,
        keeper=keeper,
        settings=Settings(folder / "settings"),
        settings_keeper=keeper,
        strategies=["s1"],
    )


def flatten():
    return EmergencyStop(
        stop_id="x", stop_epoch=1, scope=Scope.everything(), level=Level.FLATTEN, proof="", timeout_ms=30_000,
        reason="r", user_id="u",
    )  # fmt: skip


def place(desk, side=Side.BUY, quantity=10):
    return desk.place("s1", "A00001", Place(side=side, quantity=quantity, price=1_000, reason="r"))


def hold(desk, quantity=10):
    desk.books.apply("s1", "A00001", Side.BUY, quantity, 1_000)


def said(desk, kind):
    return [s.message for s in desk.outlet.waiting() if isinstance(s.message, kind)]


class Disk:
    """The ledger's disk, full until somebody makes room."""

    def __init__(self, desk):
        self.full, self._append = True, desk.ledger._journal.append
        desk.ledger._journal.append = self.append

    def append(self, line):
        if self.full:
            raise OSError(28, "No space left on device")
        self._append(line)


# --- a disk that refuses ---


def test_a_stop_is_begun_and_told_although_the_ledger_takes_no_line(desk, tmp_path):
    stops, told = halting(desk, tmp_path), []
    desk.ledger.failed = told.append
    waiting = [place(desk), place(desk)]
    Disk(desk)
    stops.stop(flatten())
    assert [(r.phase, r.in_flight) for r in said(desk, StopProgress)] == [(StopPhase.FROZEN, 0)]
    assert [desk.orders.get(o.order_id).status for o in waiting] == [OrderStatus.CANCELLED] * 2
    assert stops.stopping.has_work
    assert len(told) == 1


def test_no_strategy_order_leaves_that_a_killed_engine_would_not_know_and_a_stops_order_does(desk, tmp_path):
    hold(desk, 20)
    queued, doomed = place(desk), place(desk)
    desk.before_write(queued.order_id)
    disk = Disk(desk)
    with pytest.raises(GateClosed, match="ledger"):
        desk.before_write(doomed.order_id)
    desk.closed(doomed.order_id, "the ledger cannot be written")
    assert place(desk) is None
    halting(desk, tmp_path).stop(flatten())
    sale = desk.close_out("s1", "A00001", 20, 0, "a stop closes the position")
    desk.before_write(sale.order_id)
    assert desk.gate.in_flight() == 2
    assert disk.full


def test_the_ledger_is_whole_again_when_the_disk_takes_it(make_desk):
    desk = make_desk()
    disk = Disk(desk)
    lost = place(desk)
    assert desk.ledger.is_behind
    disk.full = False
    work = Work([SpoolLane(desk.ledger, failed=lambda _error: None)])
    ((lane, job),) = work.jobs(1.0)
    desk.fill(lost.order_id, 4, 1_000)  # while the file is being written anew
    work.finished(lane, job, Outcome(value=job.work()), 1.0)
    assert not desk.ledger.is_behind
    later = place(desk)
    desk.ledger.sync()
    again = make_desk()
    assert again.orders.get(lost.order_id).filled == 4
    assert again.orders.get(later.order_id).status is OrderStatus.CANCELLED
    assert again.books.position("s1", "A00001").quantity == 4


# --- a restart without the platform ---


def test_orders_that_a_new_process_finds_working_are_not_left_to_themselves(desk, tmp_path):
    executor = StopExecutor(desk=desk, halting=halting(desk, tmp_path), broker="broker")
    desk.lease.expires_at = None
    desk.lease.adopt(LeaseExpiry())
    order = WorkingOrder(order_id="o", strategy_id="s1", symbol="A00001", side=Side.BUY, remaining=1)
    executor._viewed(View(began=99.0, ended=99.5, at=AT))
    executor._viewed(View(began=99.0, ended=99.5, at=AT, orders=(order,), problem="books and broker differ"))
    assert desk.lease.deadline() is None
    executor._viewed(View(began=99.0, ended=99.5, at=AT, orders=(order,)))
    assert desk.lease.deadline() == 130.0


# --- an order that is sent again ---


def test_a_closing_order_that_was_too_fast_for_the_broker_does_not_count_against_itself(desk, tmp_path):
    hold(desk, 10)
    halting(desk, tmp_path).stop(flatten())
    sale = desk.close_out("s1", "A00001", 10, 0, "a stop closes the position")
    desk.before_write(sale.order_id)
    desk.before_write(sale.order_id)
    assert desk.gate.in_flight() == 1
    other = desk.close_out("s1", "A00001", 1, 0, "a stop closes the position")
    with pytest.raises(GateClosed, match="only 0 shares"):
        desk.before_write(other.order_id)


def test_an_order_whose_second_sending_is_refused_was_never_with_the_broker(desk, tmp_path):
    order = place(desk)
    desk.before_write(order.order_id)
    halting(desk, tmp_path).stop(flatten())
    with pytest.raises(GateClosed):
        desk.before_write(order.order_id)
    desk.closed(order.order_id, "stopped")
    assert desk.orders.get(order.order_id).status is OrderStatus.CANCELLED
    assert desk.gate.in_flight() == 0


# --- a watch that dies ---


async def watched(desk, stops, seconds):
    watch = partial(RiskWatch, desk=desk, halting=stops)
    async with open_system(name="engine", children=[ChildSpec(id="risk", factory=watch)]):
        await trio.sleep(seconds)


async def test_orders_are_counted_also_while_the_facts_cannot_be_gathered(make_desk, tmp_path, autojump_clock):
    desk = make_desk(max_orders_per_minute=2)
    stops = halting(desk, tmp_path)
    desk.books.cash = None
    for _ in range(3):
        desk.before_write(place(desk).order_id)
    await watched(desk, stops, 0.1)
    (stop,) = said(desk, LocalStop)
    assert stop.reason == "order_rate: 3 orders within a minute"
    assert desk.gate.caution == "the risk limits cannot be judged: judging fails: TypeError"


async def test_a_watch_that_dies_before_its_stop_is_latched_still_stops_for_a_greater_loss(
    make_desk, tmp_path, autojump_clock
):
    desk = make_desk(max_daily_loss=100)
    stops = halting(desk, tmp_path)
    desk.books.cash, desk.books.cash_is_known = 900, True
    desk.prices.seen = BalanceSeen(at=100.0, prices={}, assets_yesterday=1_000)
    await watched(desk, stops, 0.1)
    (first,) = said(desk, LocalStop)
    stops.keeper.safe = stops.keeper.version
    stops._saved()
    await watched(desk, stops, 0.1)  # another watch
    assert desk.risk.triggers.record.tripped == {"daily_loss": 100}
    stops._let_go([first.id], 10, resume=True)
    desk.books.cash = 880
    await watched(desk, stops, 0.1)
    assert len(said(desk, LocalStop)) == 2
    assert {r.code for r in said(desk, ErrorReport)} == {"error_risk_daily_loss"}


# --- a start in the middle of a stop ---


async def test_a_stop_that_is_there_before_the_broker_waits_for_it(desk, tmp_path):
    stops = halting(desk, tmp_path)
    stops.stop(flatten())
    ends = []

    class Executor(StopExecutor):
        async def stopped(self, reason):
            ends.append(reason)

    async with open_system(
        name="engine",
        children=[ChildSpec(id="stops", factory=lambda: Executor(desk=desk, halting=stops, broker="broker"))],
    ):
        await trio.sleep(0.1)
        assert ends == []
        (run,) = stops.stopping.runs
        assert run.report().flatness_reason == "the broker was not read: UnknownActor"


@pytest.mark.parametrize("filled", [0, 10])
def test_a_cancel_that_the_connector_died_of_is_not_in_flight_for_ever(make_desk, filled):
    desk = make_desk()
    order = desk.place("s1", "A00001", Place(side=Side.BUY, quantity=10, price=1_000, reason="r"))
    desk.before_write(order.order_id)
    desk.accepted(order.order_id, "117", "91252")
    desk.cancel(order.order_id, Purpose.CANCEL)
    desk.before_cancel(order.order_id, Purpose.CANCEL)
    if filled:
        desk.fill(order.order_id, filled, 1_000)
    assert desk.gate.in_flight() == 1
    desk.connection_lost()
    assert desk.gate.in_flight() == 0
