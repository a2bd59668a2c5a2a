"""What dashboards learn of a whole fleet, and when."""

from contextlib import asynccontextmanager

import pytest
import trio

from actors.fleet.fleet import SHOW_SECONDS, SHOWN_AT_ONCE, EngineHeard, Fleet, FleetBoard, StopsChanged
from actors.live.hub import Hub
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.rest.engines import Connection
from wire.rest.stops import StopRequest
from wire.ui import Topic


class Watching(Hub):
    """Keeps what is shown of engines, with its moment."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def publish(self, topic, item, *, key=None):
        if topic is Topic.ENGINES:
            self.shown.append((trio.current_time(), item))
        super().publish(topic, item, key=key)


@pytest.fixture
def open_fleet(kit):
    @asynccontextmanager
    async def opened(engines):
        names = [f"E{i}" for i in range(engines)]
        book = kit.book(engines=[(name, f"A-{name}") for name in names])
        board, hub = FleetBoard(StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r")))), Watching()
        for name in names:
            board.add(name, name, f"A-{name}")
        fleet = ChildSpec(id="fleet", factory=lambda: Fleet(board, hub, board._shelf))
        async with open_system(name="desk", children=[fleet]) as system:
            await trio.testing.wait_all_tasks_blocked()
            hub.shown.clear()
            yield book, board, hub, system.ref("fleet")

    return opened


@pytest.mark.parametrize("engines", [1, SHOWN_AT_ONCE, 10 * SHOWN_AT_ONCE])
async def test_a_stop_is_shown_on_every_engine_once_and_of_a_large_fleet_in_slices(
    open_fleet, kit, autojump_clock, engines
):
    async with open_fleet(engines) as (book, _board, hub, fleet):
        taken = book.take(StopRequest(), "kim", kit.at(0))
        began = trio.current_time()
        fleet.tell(StopsChanged(engine_ids=frozenset(book.runs[taken.stop_id].parts)))
        await trio.sleep(2)
        assert sorted(status.engine_id for _, status in hub.shown) == sorted(book.runs[taken.stop_id].parts)
        assert {s.stop_id for _, status in hub.shown for s in status.stops} == {taken.stop_id}
        moments = [at for at, _ in hub.shown]
        assert sum(at == began for at in moments) == min(engines, SHOWN_AT_ONCE)
        assert max(map(moments.count, moments)) <= SHOWN_AT_ONCE
        assert max(moments) <= began + engines / SHOWN_AT_ONCE * SHOW_SECONDS


async def test_what_was_shown_meanwhile_is_not_shown_again(open_fleet, kit, autojump_clock):
    async with open_fleet(2 * SHOWN_AT_ONCE) as (book, board, hub, fleet):
        taken = book.take(StopRequest(), "kim", kit.at(0))
        fleet.tell(StopsChanged(engine_ids=frozenset(board.rows)))
        fleet.tell(StopsChanged(engine_ids=frozenset(board.rows)))
        await trio.sleep(2)
        shown = [status.engine_id for _, status in hub.shown]
        assert set(shown) == set(book.runs[taken.stop_id].parts)
        assert len(shown) <= 3 * SHOWN_AT_ONCE


async def test_silence_is_shown_when_it_changes_something_and_never_before(open_fleet, autojump_clock):
    async with open_fleet(3) as (_book, board, hub, fleet):
        for row in board.rows.values():
            row.linked = True
        fleet.tell(EngineHeard(engine_id="E1"))
        await trio.sleep(5)
        fleet.tell(EngineHeard(engine_id="E1"))
        board.rows["E1"].granted = (Instant(trio.current_time(), board.rows["E1"].heard.wall), 2.0)
        await trio.sleep(30)
        of_one = [(round(at, 1), status.connection, status.halted_by_lease) for at, status in hub.shown]
        assert {c for _, c, _ in of_one} == {Connection.CONNECTED, Connection.SUSPECT, Connection.OFFLINE}
        assert [(c, halted) for _, c, halted in of_one] == [
            (Connection.CONNECTED, False),
            (Connection.CONNECTED, True),
            (Connection.SUSPECT, True),
            (Connection.OFFLINE, True),
        ]
        assert [at for at, _, _ in of_one] == [0.5, 7.5, 12.5, 20.0]
