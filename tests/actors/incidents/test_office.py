"""Reports write themselves, in virtual time: what is kept when, and what happens while the database is away."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio

from actors.fleet.row import EngineRow
from actors.incidents.office import RETRY_SECONDS, SETTLE_SECONDS, IncidentOffice, MakeReport, StopSeen
from actors.incidents.report import Slice
from store.errors import Unavailable
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.codec import structure
from wire.messages import Positions
from wire.rest.stops import EmergencyStopResult, Stop, StopState
from wire.schema import changed
from wire.stops import Level, Scope
from wire.values import Flatness, StopPhase

START = datetime(2026, 1, 5, tzinfo=UTC)


def wall():
    return START + timedelta(seconds=trio.current_time())


class Book:
    def __init__(self):
        self.reports = {}
        self.saves = []
        self.is_away = False

    def _ask(self):
        if self.is_away:
            raise Unavailable("away")

    async def save(self, report):
        await trio.lowlevel.checkpoint()
        self._ask()
        self.reports[report.stop.stop_id] = report
        self.saves.append((report.complete, report.stop.released_at is not None))

    async def saved(self, stop_id):
        await trio.lowlevel.checkpoint()
        self._ask()
        return self.reports.get(stop_id)

    async def log(self, window):
        await trio.lowlevel.checkpoint()
        self._ask()
        return Slice(before=[], after=[], is_cut=False)

    async def names(self, user_ids):
        await trio.lowlevel.checkpoint()
        self._ask()
        return {i: f"{i} by name" for i in user_ids if i == "kim"}


def positions(count):
    item = {"symbol": "005930", "quantity": 1, "average_price": "1", "current_price": 1, "unrealized_pnl": 0}
    return structure(
        {"items": [item] * count, "open_orders": [], "synced": True, "as_of": START.isoformat()}, Positions
    )


class Board:
    """One engine whose positions change while it is stopped."""

    def __init__(self):
        row = EngineRow(engine_id="E1", name="E1", account_id="A1")
        row.positions = positions(2)
        self.rows = {"E1": row}


@attrs.define
class World:
    office: object
    book: Book
    board: Board

    def see(self, stop):
        self.office.tell(StopSeen(stop=stop))


@pytest.fixture
def open_world():
    @asynccontextmanager
    async def world(book=None):
        book, board = book or Book(), Board()
        child = ChildSpec(id="incidents", factory=lambda: IncidentOffice(board, book, wall=wall))
        async with open_system(name="w", children=[child]) as system:
            yield World(system.ref("incidents"), book, board)

    return world


def stop(state=StopState.RUNNING, **changes):
    part = EmergencyStopResult(
        engine_id="E1",
        success=False,
        phase=StopPhase.SENT,
        positions_liquidated=0,
        orders_cancelled=0,
        orders_remaining=None,
        positions_remaining=None,
        flatness=Flatness.UNKNOWN,
        flatness_as_of=None,
        flatness_reason=None,
        residuals=[],
        ms_to_frozen=None,
        completed_at=None,
        error=None,
    )
    fields = {
        "stop_id": "s1",
        "request_id": "r1",
        "epoch": 1,
        "scope": Scope.everything(),
        "level": Level.FLATTEN,
        "user_id": "kim",
        "reason": "",
        "requested_at": wall(),
        "delivered": 0,
        "engines": 1,
        "durable": True,
        "state": state,
        "results": [part],
    }
    return Stop(**{**fields, **changes})


async def test_the_picture_is_taken_when_the_stop_begins_and_kept_at_once(open_world, autojump_clock):
    async with open_world() as world:
        first = stop()
        world.see(first)
        await trio.sleep(0.1)
        world.board.rows["E1"].positions = positions(0)
        await trio.sleep(SETTLE_SECONDS)
        assert world.book.saves == [(False, False)]
        world.see(changed(first, state=StopState.VERIFIED))
        await trio.sleep(SETTLE_SECONDS + 0.1)
        report = world.book.reports["s1"]
        assert (report.complete, report.engines[0].before.positions) == (True, 2)


async def test_a_report_is_written_when_the_stop_ends_and_again_when_it_is_released(open_world, autojump_clock):
    async with open_world() as world:
        first = stop()
        for view in (
            first,
            changed(first, delivered=1),
            changed(first, state=StopState.TIMED_OUT),
            changed(first, state=StopState.VERIFIED),
            changed(first, state=StopState.VERIFIED, released_at=wall()),
        ):
            world.see(view)
            await trio.sleep(SETTLE_SECONDS * 2)
        assert world.book.saves == [(False, False), (True, False), (True, False), (True, True)]


async def test_while_the_database_is_away_the_newest_report_waits(open_world, autojump_clock):
    async with open_world() as world:
        world.book.is_away = True
        first = stop()
        world.see(first)
        await trio.sleep(60)
        world.see(changed(first, state=StopState.VERIFIED))
        now = await world.office.ask(MakeReport(stop=first), timeout=1)
        assert (now.log, now.engines[0].before.positions) == (None, 2)
        world.book.is_away = False
        await trio.sleep(SETTLE_SECONDS + RETRY_SECONDS + 0.1)
        assert world.book.saves == [(True, False)]


async def test_after_a_restart_the_picture_is_the_one_that_was_kept(open_world, autojump_clock):
    book = Book()
    async with open_world(book) as world:
        first = stop()
        world.see(first)
        await trio.sleep(10)
    async with open_world(book) as world:
        world.board.rows["E1"].positions = positions(0)
        world.see(changed(first, state=StopState.VERIFIED))
        await trio.sleep(10)
        assert book.reports["s1"].engines[0].before.positions == 2


async def test_a_stop_that_the_platform_did_not_see_begin_has_no_picture(open_world, autojump_clock):
    async with open_world() as world:
        world.see(stop(requested_at=START - timedelta(hours=1)))
        await trio.sleep(10)
        assert world.book.reports["s1"].engines[0].before is None


async def test_the_report_of_a_stop_that_was_raised_is_written_when_it_ends_again(open_world, autojump_clock):
    async with open_world() as world:
        first = stop(StopState.VERIFIED, level=Level.HALT)
        for view in (
            first,
            changed(first, level=Level.FLATTEN, epoch=2, state=StopState.RUNNING),
            changed(first, level=Level.FLATTEN, epoch=2, state=StopState.VERIFIED),
        ):
            world.see(view)
            await trio.sleep(SETTLE_SECONDS * 2)
        kept = world.book.reports["s1"].stop
        assert (kept.level, kept.epoch) == (Level.FLATTEN, 2)


async def test_evidence_right_behind_the_end_of_a_stop_is_in_its_report(open_world, autojump_clock):
    async with open_world() as world:
        first = stop(StopState.TIMED_OUT, delivered=0)
        world.see(first)
        await trio.sleep(SETTLE_SECONDS / 2)
        world.see(changed(first, delivered=1))
        await trio.sleep(SETTLE_SECONDS * 2)
        assert [world.book.reports["s1"].stop.delivered, len(world.book.saves)] == [1, 1]
