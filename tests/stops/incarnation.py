"""One incarnation of the simulated platform: the product's own start and actors over a simulated disk and database."""

from datetime import timedelta
from functools import partial

import attrs
import trio

from actors.board import Board
from actors.fleet.enrolled import EnrolledEngines
from actors.fleet.fleet import Fleet, FleetBoard
from actors.links.messages import StopsRead
from actors.links.places import UNKNOWN_INSTANCE, LinkDesk, Office, Place, inherited
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import LogWriter
from actors.platform.opening import Opened
from actors.platform.starting import begin, recall_releases
from actors.stops.coordinator import Coordinator
from actors.stops.copies import StopCopies, words_of
from actors.stops.keeping import StopKeeping
from actors.stops.past import over_of
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.engines import EngineRow
from store.journal import JournalError, StopJournal, read_journal
from store.start import merge_at_start
from supervisor.actor import Actor
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from tests.stops import judge
from tests.stops.disks import Database, Ledger
from tests.stops.ground import START, is_ours, seal


def wall():
    return START + timedelta(seconds=trio.current_time())


@attrs.define(eq=False)
class Life:
    """One incarnation of the platform, and what the judge knows of it."""

    world: object
    alive: bool = True
    ended: dict = attrs.field(factory=dict)
    owes: dict = attrs.field(factory=dict)
    journal: object = None
    book: object = None
    system: object = None
    desk: object = None
    board: object = None
    shelf: object = None
    scope: object = attrs.field(factory=trio.CancelScope)
    over: object = attrs.field(factory=trio.Event)
    began: float = attrs.field(factory=trio.current_time)
    name: str = "P"

    def end(self):
        """Killed or not: what it had open is closed, as the kernel does it."""
        self.alive = False
        if self.journal is not None:
            self.journal.close()
        self.over.set()


class Ignoring(Actor):
    async def unhandled(self, message):
        return None


async def live(sim, life):
    """One incarnation from its start to its end, out of what the earlier ones left behind."""
    rows, key = sim.rows, b"j" * 32
    reading = read_journal(sim.disk.path, key)
    database = rows.reading() if rows.up else None
    start = merge_at_start(reading, database, now=START, new_id=sim.ids)
    if rows.up:
        rows.term += 1
    term = [rows.term if rows.up else None]
    try:
        if start.genesis is not None:
            journal = StopJournal.begin(sim.disk.path, key, start.genesis, clock=wall, max_bytes=4_000)
            rows.generation = journal.generation if rows.up else rows.generation
        else:
            journal = StopJournal.resume(sim.disk.path, key, reading, clock=wall, max_bytes=4_000)
    except JournalError:
        return
    life.journal = journal
    sim.tell(f"start {sim.lives} {reading.state.value} {len(start.findings)} {sorted(start.register.entries)}")
    if database is not None:
        judge.start(life, reading, database, start)
    copies = StopCopies(journal, Database(sim, life), lambda: term[0])
    enrolled = EnrolledEngines()
    enrolled.replace(_row(e, a) for e, a in sim.accounts.items())
    opened = Opened(
        keyring=None,
        journal=journal,
        start=start,
        platform_id="P",
        tenure=None,
        kept=rows.kept([i for i, _ in start.register.open_stops()]) if rows.up else None,
    )
    begun = begin(opened, enrolled, copies, sim.home, prove=seal, is_ours=is_ours, new_id=sim.ids)
    life.book = book = begun.book
    life.shelf = shelf = StopShelf(book=book, desk=ReleaseDesk(sim.ids))
    degraded, hub, life.board = DegradedParts(), Hub(), Board()
    keeping = StopKeeping(book, copies, life.board, degraded, lambda view: sim.shown(life, view))
    keeping.record = _and_judge(keeping.record, life)
    for case in recall_releases(opened, shelf):
        keeping.settled(case)
    fleet_board = FleetBoard(shelf)
    for engine_id, account in sim.accounts.items():
        fleet_board.add(engine_id, engine_id, account)

    def coordinator():
        return Coordinator(
            shelf, keeping, copies, fleet_board, alert=lambda _a: None, audit=lambda _a: None, first=begun.first,
            wall=wall,
        )  # fmt: skip

    children = [
        ChildSpec(id="alerts", factory=Ignoring),
        ChildSpec(id="parameters", factory=Ignoring),
        ChildSpec(id="stops", factory=coordinator),
        ChildSpec(id="fleet", factory=lambda: Fleet(fleet_board, hub, shelf, wall=wall)),
        ChildSpec(id="log-writer", factory=lambda: LogWriter(Ledger(sim), degraded, lambda _one: None, wall=wall)),
        ChildSpec(id="links", factory=DynamicSupervisor),
    ]
    known = rows.instances if database is not None else {}
    places = {engine: inherited(instance, life.began) for engine, instance in known.items()}
    async with open_system(name="platform", children=children) as system:
        life.system = system
        life.desk = LinkDesk(
            shelf=shelf,
            office=lambda: Office(platform_id="P", term=term[0] or 0),
            coordinator=system.ref("stops"),
            fleet=system.ref("fleet"),
            parameters=system.ref("parameters"),
            log_writer=system.ref("log-writer"),
            alerts=system.ref("alerts"),
            verify=lambda _engine, _token: wall() + timedelta(hours=1),
            database_is_away=lambda: not rows.up,
            places=places,
            stranger=Place if database is not None else partial(inherited, UNKNOWN_INSTANCE, life.began),
        )
        if term[0] is None:
            await _join(sim, life, term, journal)
        await trio.sleep_forever()


async def _join(sim, life, term, journal):
    """The database was away at the start, and is back."""
    rows = sim.rows
    while not rows.up:  # noqa: ASYNC110  # as the database office: it asks again and again
        await trio.sleep(0.5)
    rows.term += 1
    rows.generation = journal.generation
    term[0] = rows.term
    reading, kept = rows.reading(), rows.kept([i for i, _ in life.book.register.open_stops()])
    read = StopsRead(
        register=reading.register,
        words={stop_id: words_of(stop) for stop_id, stop in reading.stops.items()},
        views=kept.views,
        requests=kept.requests,
        releases=kept.releases,
        past=[over_of(brief, words_of(brief.noted)) for brief in kept.past],
    )
    await life.system.ref("stops").ask(read, timeout=10)


def _row(engine_id, account):
    fields = {a.name: None for a in attrs.fields(EngineRow)}
    return EngineRow(**{**fields, "engine_id": engine_id, "name": engine_id, "account_id": account, "secret_hash": b""})


def _and_judge(record, life):
    def recorded(effect):
        if life.alive:
            judge.decided(life, effect)
        record(effect)

    return recorded
