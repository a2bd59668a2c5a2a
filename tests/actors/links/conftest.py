"""The platform with its links, as each test of this folder opens it."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio

from actors.board import Board
from actors.fleet.fleet import Fleet, FleetBoard
from actors.links.places import LinkDesk, Office
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import LogWriter
from actors.stops.coordinator import Coordinator
from actors.stops.keeping import StopKeeping
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from tests.actors.links.engine import wall
from tests.actors.links.world import Ledger, Listening, NoRecords, World
from wire.errors import Unauthorized


@pytest.fixture
def open_world(kit):
    @asynccontextmanager
    async def opened(engines=2, ledger=None):
        known = [(f"E{i + 1}", f"A{i + 1}") for i in range(engines)]
        book = kit.book(engines=known)
        shelf = StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r")))
        degraded, hub, ledger, alerts = DegradedParts(), Hub(), ledger or Ledger(), []
        fleet_board = FleetBoard(shelf)
        for engine_id, account_id in known:
            fleet_board.add(engine_id, engine_id, account_id)
        stops = Board()
        records = NoRecords()
        keeping = StopKeeping(book, records, stops, degraded, lambda _stop: None)

        def coordinator():
            return Coordinator(
                shelf,
                keeping,
                records,
                fleet_board,
                alert=alerts.append,
                audit=lambda _entry: None,
                wall=wall,
            )

        def verify(engine_id, token):
            if token != "good":
                raise Unauthorized("not a token")
            return wall() + timedelta(minutes=15)

        children = [
            ChildSpec(id="alerts", factory=lambda: Listening(alerts)),
            ChildSpec(id="parameters", factory=lambda: Listening([])),
            ChildSpec(id="stops", factory=coordinator),
            ChildSpec(id="fleet", factory=lambda: Fleet(fleet_board, hub, shelf, alert=alerts.append, wall=wall)),
            ChildSpec(id="log-writer", factory=lambda: LogWriter(ledger, degraded, lambda _one: None, wall=wall)),
            ChildSpec(id="links", factory=DynamicSupervisor),
        ]
        async with (
            open_system(name="platform", children=children) as system,
            trio.open_nursery() as nursery,
        ):
            desk = LinkDesk(
                shelf=shelf,
                office=lambda: Office(platform_id="p1", term=1),
                coordinator=system.ref("stops"),
                fleet=system.ref("fleet"),
                parameters=system.ref("parameters"),
                log_writer=system.ref("log-writer"),
                alerts=system.ref("alerts"),
                verify=verify,
                database_is_away=lambda: ledger.away,
            )
            yield World(system, desk, ledger, stops, alerts, nursery)
            nursery.cancel_scope.cancel()

    return opened
