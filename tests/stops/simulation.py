"""The platform's own actors and the engines' own code on virtual time, with disks that forget and wires that stall.

One seed is one run: it decides who stops and releases what, which parts fail, hang, crash or are cut off and when, how
long every disk takes, and in which order trio runs its tasks. ``simulate(seed)`` gives the digest of everything that
happened, the same for the same seed, and raises Violation where a promise was broken.
"""

import errno
import hashlib
import os
import random
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import attrs
import trio
from trio.testing import MockClock

import actors.stops.copies
import store.journal
from actors.board import Board
from actors.fleet.enrolled import EnrolledEngines
from actors.fleet.fleet import Fleet, FleetBoard
from actors.links.engine_link import EngineLink, LinkEnded
from actors.links.messages import StopsRead
from actors.links.places import UNKNOWN_INSTANCE, LinkDesk, Office, Place, inherited
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import LogWriter
from actors.platform.opening import KeptStops, Opened
from actors.platform.starting import begin, recall_releases
from actors.requests import ApproveRelease, Principal, Refusal, RequestRelease, TakeStop
from actors.stops.coordinator import Coordinator
from actors.stops.copies import StopCopies, words_of
from actors.stops.keeping import StopKeeping
from actors.stops.records import NotKept
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.engines import EngineRow
from store.errors import StaleTerm, Unavailable
from store.journal import StopJournal, read_journal
from store.journal_records import ReleaseNoted
from store.logs import Committed
from store.start import DatabaseReading, merge_at_start
from store.start import noted as noted_view
from supervisor.actor import Actor
from supervisor.buggify import buggify
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import SupervisorError
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system
from supervisor.testing import schedule
from tests.stops import engine as small
from tests.stops import judge
from tests.stops.ground import START, Ids, is_ours, seal
from tests.stops.judge import Truth, Violation
from wire.messages import LANES, Lane, TradeLog
from wire.rest import ReleaseRequest, Role, StopRequest, Waiver
from wire.sdk.outlet import Spooled
from wire.session import State
from wire.stops import Entry, Level, Register, Scope

ENGINES = {"E1": "A1", "E2": "A2"}
SECONDS = 25.0
SOON = 3.0
"""Within this long a stop has closed every engine whose link stands and flows, whatever else is slow."""
QUIET = 20.0
PEOPLE = ("kim", "lee")


def wall():
    return START + timedelta(seconds=trio.current_time())


def person(name):
    return Principal(user_id=name, username=name, role=Role.RISK, auth_time=START)


# --- what is kept ----------------------------------------------------------------------------------------------------


class Disk:
    """The platform's disk: real files, of which a crash leaves no more than what was synced, and maybe a torn rest."""

    def __init__(self, folder, rng):
        self.path = Path(folder) / "stops.journal"
        self.rng = rng
        self.synced = {}
        self.fails = False
        self.tears = True
        self.slow = rng.choice([0.01, 0.01, 0.3, 1.0])
        self.free = trio.Event()
        self.free.set()
        self.late = []

    def sync(self, descriptor):
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        found = os.fstat(descriptor)
        self.synced[found.st_ino] = found.st_size

    def crash(self):
        self.late.clear()
        if self.path.exists():
            found = self.path.stat()
            kept = self.synced.get(found.st_ino, 0)
            os.truncate(self.path, self.rng.randint(kept, found.st_size) if self.tears else kept)

    async def wait(self, work):
        """As a thread would: work that was given up is done all the same, once the disk answers."""
        try:
            await trio.sleep(self.rng.random() * self.slow)
            await self.free.wait()
        except trio.Cancelled:
            self.late.append(work)
            raise

    def answer(self):
        self.free.set()
        late, self.late = self.late, []
        for work in late:
            with suppress(NotKept):  # nobody waits for the answer any more
                work()


class Threads:
    """Stands in for trio where the stop copies are written: their threads are virtual, and die with the process."""

    def __init__(self, sim):
        self.sim = sim
        self.to_thread = self

    async def run_sync(self, work, *args, abandon_on_cancel=False):
        sim, life = self.sim, self.sim.life

        def done():
            if not life.alive:
                return
            work(*args)
            for record in args[0]:
                if isinstance(record, ReleaseNoted):
                    sim.sealed(record)

        await sim.disk.wait(done)
        if not life.alive:
            await trio.sleep_forever()
        done()


@attrs.define
class Rows:
    """The database: what is committed stays. ``up`` false: refused; ``hangs``: no answer while it lasts."""

    rng: random.Random
    register: Register = attrs.field(factory=Register)
    views: dict = attrs.field(factory=dict)
    requests: dict = attrs.field(factory=dict)
    cases: dict = attrs.field(factory=dict)
    instances: dict = attrs.field(factory=dict)
    term: int = 0
    generation: int | None = None
    up: bool = True
    flaky: bool = False

    def reading(self):
        stops = {stop_id: noted_view(view) for stop_id, view in self.views.items()}
        return DatabaseReading(
            platform_id="P",
            database_id="D",
            journal_generation=self.generation,
            register=self.register,
            stops=stops,
        )

    def kept(self):
        waiting = [c for c in self.cases.values() if c.state.value in ("requested", "approved")]
        return KeptStops(views=list(self.views.values()), requests=dict(self.requests), releases=waiting)

    # as the functions of the store, by their names

    def save(self, term, stop):
        self._require(term)
        entry = Entry(stop.scope, stop.level, stop.epoch)
        self.register = self.register.with_stop(stop.stop_id, entry)
        known, merged = self.views.get(stop.stop_id), self.register.entries[stop.stop_id]
        view = attrs.evolve(stop, scope=merged.scope, level=merged.level, epoch=merged.stop_epoch)
        released_at = known.released_at if known is not None and not merged.is_open else None
        self.views[stop.stop_id] = attrs.evolve(view, released_at=released_at)
        self.requests.setdefault(stop.request_id, stop.stop_id)

    def who_may_release(self):
        return list(PEOPLE)

    def _request(self, case):
        from actors.stops.cases import row_of

        self.cases[case.id] = row_of(case)

    _settle = _request

    def _release(self, term, note, kept):
        self._require(term)
        for stop in kept:
            self.save(term, stop)
        self.register = self.register.with_release([note.plan.stop_id], note.plan.epoch)
        self._request(note.case)

    def _require(self, term):
        if term != self.term:
            raise StaleTerm("another platform has started on this database")


class Database:
    """One process's hold on the database."""

    def __init__(self, sim, life):
        self.sim, self.life, self.rows = sim, life, sim.rows

    async def run(self, work, *args, tx=None):
        rng, rows = self.sim.rng, self.rows
        await trio.sleep(rng.random() * 0.02)
        if not self.life.alive:
            await trio.sleep_forever()
        if not rows.up:
            raise Unavailable("the database is away")
        found = getattr(rows, work.__name__)(*args)
        if rows.flaky and rng.random() < 0.3:
            raise Unavailable("the connection broke after the commit")
        return found


class Ledger:
    """The database as the log writer sees it."""

    def __init__(self, sim):
        self.sim = sim

    async def begin(self, begun, now):
        self._ask()
        self.sim.rows.instances.update({one.engine_id: one.instance for one in begun})

    async def commit(self, received, progress, now):
        self._ask()
        return Committed(new=received, rejected=[], moved=frozenset())

    async def bury(self, letter):
        self._ask()

    async def note_account(self, engine_id, account):
        self._ask()

    def _ask(self):
        if not self.sim.rows.up:
            raise Unavailable("the database is away")


# --- the wire and the engines ----------------------------------------------------------------------------------------


class Pipe:
    """Both ends of a connection, in order and without loss, until it is cut. Either direction may be clogged."""

    def __init__(self, life):
        self.life = life
        self.to_engine, self.engine_gets = trio.open_memory_channel(10_000)
        self.to_platform, self.platform_gets = trio.open_memory_channel(10_000)
        self.flows = trio.Event()
        self.flows.set()
        self.clear_since = self.since = trio.current_time()
        self.posted = []

    @property
    def is_behind(self):
        return bool(self.posted)

    def post(self, text):
        self.posted.append(text)

    async def flush(self):
        while self.posted:
            await self.send(self.posted.pop(0))

    async def receive_many(self):
        return [await self.receive()]

    def clog(self):
        if self.flows.is_set():
            self.clear_since = float("inf")
            self.flows = trio.Event()

    def unclog(self):
        if not self.flows.is_set():
            self.clear_since = trio.current_time()
            self.flows.set()

    async def send(self, text):
        if not self.life.alive:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        try:
            self.to_engine.send_nowait(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock) as error:
            raise LinkEnded from error

    async def receive(self):
        try:
            text = await self.platform_gets.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise LinkEnded from error
        if not self.life.alive:
            await trio.sleep_forever()
        return text

    async def close(self, code, reason):
        await trio.lowlevel.checkpoint()
        self.to_engine.close()
        self.platform_gets.close()

    def cut(self):
        for end in (self.to_platform, self.engine_gets, self.to_engine, self.platform_gets):
            end.close()


class Spool(small.Outlet):
    """Everything lossless but the story, durable at once."""

    def send(self, message):
        if LANES[type(message)] is Lane.LOSSLESS and not isinstance(message, TradeLog):
            name = f"spool-{self.engine.world.letters()}"
            self.engine.disk.spool[name] = message
            self.fresh.append(name)
            self.wake()

    def take_fresh(self, _limit):
        names, self.fresh = self.fresh, []
        return [Spooled(id=n, message=self.engine.disk.spool[n]) for n in names if n in self.engine.disk.spool]

    def acknowledged(self, ids):
        for name in ids:
            self.engine.disk.spool.pop(name, None)


class Runner(small.Engine):
    """An engine that runs: it dials, reads, writes, saves its latch after a while, and would like to trade."""

    outlet_class = Spool
    pipe = None

    def remember(self):
        """No frame is heard twice on a wire that keeps its order."""

    async def live(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save)
            nursery.start_soon(self._trade)
            while True:
                pipe = await self.world.dial(self)
                if pipe is not None:
                    await self._converse(pipe)
                await trio.sleep(0.05 + self.world.rng.random())

    async def _converse(self, pipe):
        self.bell, self.pipe = trio.Event(), pipe
        self.talks.wake = lambda: self.bell.set()
        self.talks.connected()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, pipe, nursery.cancel_scope)
                await self._write(pipe)
                nursery.cancel_scope.cancel()
        finally:
            pipe.cut()
            self.talks.lost(small.CUT)
            self.talks.disconnected()
            self.talks.gave_up, self.gate.fenced, self.pipe = "", None, None

    async def _read(self, pipe, scope):
        try:
            while True:
                text = await pipe.engine_gets.receive()
                await pipe.flows.wait()
                self.talks.receive(text)
                self.note_confirmed()
                self.bell.set()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            scope.cancel()

    async def _write(self, pipe):
        while True:
            frames = self.talks.frames()
            self.note_confirmed()
            for text in frames:
                await pipe.flows.wait()
                try:
                    pipe.to_platform.send_nowait(text)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):
                    return
            if self.talks.is_over:
                return
            if not frames:
                deadline = self.talks.deadline()
                with trio.move_on_at(trio.current_time() + 60 if deadline is None else deadline):
                    await self.bell.wait()
                self.bell = trio.Event()
                await trio.sleep(0.001)

    async def _save(self):
        while True:
            await trio.sleep(0.02 + self.world.rng.random() * 0.2)
            if self.unsaved:
                self.save()

    async def _trade(self):
        while True:
            await trio.sleep(0.25)
            judge.engine(self)
            if self.may_open():
                self.world.orders += 1
                self.world.opens(self)


# --- the platform ----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Life:
    """One incarnation of the platform, and what the judge knows of it."""

    world: object
    alive: bool = True
    ended: dict = attrs.field(factory=dict)
    owes: dict = attrs.field(factory=dict)
    book: object = None
    system: object = None
    desk: object = None
    board: object = None
    shelf: object = None
    scope: object = attrs.field(factory=trio.CancelScope)
    over: object = attrs.field(factory=trio.Event)
    began: float = attrs.field(factory=trio.current_time)
    name: str = "P"


class Ignoring(Actor):
    async def unhandled(self, message):
        return None


class Simulation:
    """``now`` and the rest of the small world's face, so that the same judge judges."""

    without = frozenset()

    def __init__(self, seed, folder, runner=Runner):
        self.rng = random.Random(seed)
        self.truth = Truth()
        self.accounts = ENGINES
        self.ids, self.letters = Ids("s"), Ids("m")
        self.trace = []
        self.orders = 0
        self.lives = 0
        self.links = 0
        self.life = None
        self.disk = Disk(folder, self.rng)
        self.rows = Rows(self.rng)
        self.home = Path(folder)
        self.engines = {name: runner(self, name, name) for name in ENGINES}
        self.scopes = {}

    @property
    def now(self):
        return trio.current_time()

    def tell(self, words):
        self.trace.append(f"{self.now:.4f} {words}")

    def digest(self):
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    # --- the platform's life ---

    async def run_platform(self, *, task_status=trio.TASK_STATUS_IGNORED):
        life = self.life = Life(self)
        self.lives += 1
        task_status.started()
        with life.scope:
            try:
                await self._platform(life)
            finally:
                life.alive = False
                life.over.set()

    async def _platform(self, life):
        rows, key = self.rows, b"j" * 32
        reading = read_journal(self.disk.path, key)
        database = rows.reading() if rows.up else None
        start = merge_at_start(reading, database, now=START, new_id=self.ids)
        if rows.up:
            rows.term += 1
        term = [rows.term if rows.up else None]
        try:
            if start.genesis is not None:
                journal = StopJournal.begin(self.disk.path, key, start.genesis, clock=wall, max_bytes=4_000)
                rows.generation = journal.generation if rows.up else rows.generation
            else:
                journal = StopJournal.resume(self.disk.path, key, reading, clock=wall, max_bytes=4_000)
        except store.journal.JournalError:
            return
        self.tell(f"start {self.lives} {reading.state.value} {len(start.findings)} {sorted(start.register.entries)}")
        if database is not None:
            judge.start(life, reading, database, start)
        copies = StopCopies(journal, Database(self, life), lambda: term[0])
        enrolled = EnrolledEngines()
        enrolled.replace(_row(e, a) for e, a in ENGINES.items())
        opened = Opened(
            keyring=None,
            journal=journal,
            start=start,
            platform_id="P",
            tenure=None,
            kept=rows.kept() if rows.up else None,
        )
        begun = begin(opened, enrolled, copies, self.home, prove=seal, is_ours=is_ours, new_id=self.ids)
        life.book = book = begun.book
        life.shelf = shelf = StopShelf(book=book, desk=ReleaseDesk(self.ids))
        degraded, hub, life.board = DegradedParts(), Hub(), Board()
        keeping = StopKeeping(book, copies, life.board, degraded, lambda view: self.shown(life, view))
        keeping.record = _and_judge(keeping.record, life)
        for case in recall_releases(opened, shelf):
            keeping.settled(case)
        fleet_board = FleetBoard(shelf)
        for engine_id, account in ENGINES.items():
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
            ChildSpec(id="log-writer", factory=lambda: LogWriter(Ledger(self), degraded, lambda _one: None, wall=wall)),
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
                await self._join(life, term, journal)
            await trio.sleep_forever()

    async def _join(self, life, term, journal):
        """The database was away at the start, and is back."""
        rows = self.rows
        while not rows.up:  # noqa: ASYNC110  # as the database office: it asks again and again
            await trio.sleep(0.5)
        rows.term += 1
        rows.generation = journal.generation
        term[0] = rows.term
        reading, kept = rows.reading(), rows.kept()
        read = StopsRead(
            register=reading.register,
            words={stop_id: words_of(stop) for stop_id, stop in reading.stops.items()},
            views=kept.views,
            requests=kept.requests,
            releases=kept.releases,
        )
        await life.system.ref("stops").ask(read, timeout=10)

    def kill(self):
        """The process is gone at this instant: nothing it does from now on is seen by anybody."""
        life = self.life
        if life is None or not life.alive:
            return
        life.alive = False
        self.tell("kill")
        self.disk.crash()
        _gone(life, self)
        for engine in self.engines.values():
            if engine.pipe is not None and engine.pipe.life is life:
                engine.pipe.cut()
        life.scope.cancel()

    # --- what people see and want ---

    def shown(self, life, view):
        if life.alive and view.durable and view.released_at is None:
            known = self.truth.promised.get(view.stop_id, (0, Level.NORMAL))
            if view.epoch > known[0]:
                self.tell(f"promised {view.stop_id}@{view.epoch} {view.level.value}")
                self.truth.promised[view.stop_id] = (view.epoch, max(view.level, known[1]))

    def sealed(self, record):
        for stop_id in record.stop_ids:
            self.tell(f"released {stop_id}@{record.epoch}")
            self.truth.released[stop_id] = max(record.epoch, self.truth.released.get(stop_id, 0))
            self.life.ended[stop_id] = record.epoch
            if self.life.owes.get(stop_id, (0, None))[0] <= record.epoch:
                self.truth.since.pop(stop_id, None)

    async def stop(self, scope, level):
        life = self.life
        asked = TakeStop(principal=person("kim"), request=StopRequest(scope=Scope.parse(scope), level=level))
        with trio.move_on_after(5):
            try:
                view = await life.system.ref("stops").ask(asked, timeout=5, urgent=True)
                self.tell(f"stopped {scope} {level.value}: {getattr(view, 'stop_id', view)}")
            except (SupervisorError, AttributeError):
                self.tell("nobody took the stop")

    async def release(self, stop_id):
        life = self.life
        run = life.book.runs.get(stop_id) if life.book is not None else None
        if run is None or life.system is None:
            return
        waive = [Waiver(engine_id=p.engine_id, reason="away") for p in run.parts.values() if not p.is_verified]
        request = ReleaseRequest(reason="looked", epoch=run.epoch, waive=waive, resume=True)
        with trio.move_on_after(40):
            try:
                ref = life.system.ref("stops")
                asked = RequestRelease(principal=person("kim"), stop_id=stop_id, request=request)
                first = await ref.ask(asked, timeout=20)
                if isinstance(first, Refusal):
                    self.tell(f"no release of {stop_id}: {first.error}")
                    return
                approve = ApproveRelease(principal=person("lee"), stop_id=stop_id, epoch=run.epoch)
                done = await ref.ask(approve, timeout=20)
                self.tell(f"release of {stop_id}: {getattr(done, 'error', None) or done.state.value}")
            except SupervisorError:
                self.tell(f"nobody released {stop_id}")

    # --- engines ---

    async def dial(self, engine):
        life = self.life
        if life is None or not life.alive or life.desk is None:
            return None
        pipe = Pipe(life)
        self.links += 1
        spec = ChildSpec(
            id=f"{engine.engine_id}.{self.links}",
            factory=lambda: EngineLink(engine.engine_id, pipe, life.desk, wall() + timedelta(hours=1), wall=wall),
            restart=Restart.TEMPORARY,
        )
        with trio.move_on_after(2.0) as patience:
            try:
                await life.system.start_child("links", spec)
            except (SupervisorError, trio.BrokenResourceError):
                return None
        return pipe if life.alive and not patience.cancelled_caught else None

    def opens(self, engine):
        """It sends an order now. Whoever holds a stop for it has not been able to tell it, and not for long."""
        life, now = self.life, self.now
        for stop_id, since in self.truth.since.items():
            if not judge._covers(self.truth, stop_id, engine):
                continue
            if now > since + judge.LEASE_SECONDS:
                raise Violation(f"{engine.name} opens orders {now - since:.2f} s after {stop_id}")
            pipe = engine.pipe
            flowing = pipe is not None and pipe.life is life and life.alive and engine.session.state is State.LIVE
            if flowing and now > max(since, pipe.clear_since, pipe.since, life.began) + SOON:
                raise Violation(f"{engine.name} is connected and opens orders {now - since:.2f} s after {stop_id}")

    async def run_engine(self, name, *, task_status=trio.TASK_STATUS_IGNORED):
        scope = self.scopes[name] = trio.CancelScope()
        task_status.started()
        with scope:
            await self.engines[name].live()

    # --- at the end ---

    def judge_quiet(self):
        """Everything works again and has had time: all know the same."""
        life = self.life
        judge.holds(life)
        open_now = dict(life.book.register.open_stops())
        for stop_id, (epoch, _level) in self.truth.promised.items():
            if not self.truth.ended(stop_id, epoch) and stop_id not in open_now:
                raise Violation(f"{stop_id} was promised to be durable, and nobody holds it")
        self.judge_known()

    def judge_known(self, away=()):
        """Every engine that is here holds what its platform holds for it, and only that keeps it from trading."""
        open_now = dict(self.life.book.register.open_stops())
        for name, engine in self.engines.items():
            if name in away:
                continue
            mine = [(i, e) for i, e in open_now.items() if e.scope.concerns(name, ENGINES[name])]
            covered = [i for i, e in mine if e.level >= Level.HALT]
            if engine.session.state is not State.LIVE:
                raise Violation(f"{name} did not come back")
            held = {s.record.stop_id for s in engine.halting.latch.open_stops()}
            if not set(covered) <= held:
                raise Violation(f"{name} does not hold {sorted(set(covered) - held)}")
            if engine.may_open() is bool(covered):
                raise Violation(f"{name} {'opens orders' if covered else 'is held'} with {covered} open")


def _row(engine_id, account):
    fields = {a.name: None for a in attrs.fields(EngineRow)}
    return EngineRow(**{**fields, "engine_id": engine_id, "name": engine_id, "account_id": account, "secret_hash": b""})


def _and_judge(record, life):
    def recorded(effect):
        if life.alive:
            judge.decided(life, effect)
        record(effect)

    return recorded


def _gone(life, sim):
    """Stops that only this process knew are nobody's promise; a latch may still bring them back."""
    written = read_journal(sim.disk.path, b"j" * 32).replayed().register.entries
    for stop_id in list(sim.truth.since):
        if stop_id not in written and stop_id not in sim.rows.register.entries:
            del sim.truth.since[stop_id]


# --- one run ---------------------------------------------------------------------------------------------------------


TROUBLES = (
    "stop", "stop", "stop", "raise", "release", "release", "kill", "engine", "cut", "clog", "clog", "unclog", "swizzle",
    "disk", "disk hangs", "disk works", "database", "database works", "flaky", "coordinator",
)  # fmt: skip


async def _trouble(sim, nursery):
    rng, end = sim.rng, sim.now + SECONDS
    while sim.now < end:
        await trio.sleep(rng.expovariate(1.0))
        await _one_trouble(sim, nursery, rng.choice(TROUBLES))


async def _one_trouble(sim, nursery, kind):
    rng, life = sim.rng, sim.life
    sim.tell(kind)
    pipes = [e.pipe for e in sim.engines.values() if e.pipe is not None]
    match kind:
        case "stop" | "raise" if life.alive and life.system is not None:
            scope = rng.choice(["all", "engine:E1", "account:A2", "symbol:005930"])
            level = rng.choice([Level.HALT, Level.CANCEL] if kind == "stop" else [Level.FLATTEN])
            nursery.start_soon(sim.stop, scope, level)
            if rng.random() < 0.2:
                await trio.sleep(rng.random() * 2 * sim.disk.slow)
                await _restart(sim, nursery)
        case "release" if life.alive and life.book is not None:
            stops = [i for i, _ in life.book.register.open_stops()]
            if stops:
                stop_id = rng.choice(stops)
                nursery.start_soon(sim.release, stop_id)
                if rng.random() < 0.5:
                    await trio.sleep(rng.random() * sim.disk.slow)
                    nursery.start_soon(sim.stop, str(life.book.register.entries[stop_id].scope), Level.CANCEL)
        case "kill":
            await _restart(sim, nursery)
        case "engine":
            name = rng.choice(list(ENGINES))
            sim.scopes[name].cancel()
            await trio.sleep(rng.random())
            sim.engines[name].boot_again()
            await nursery.start(sim.run_engine, name)
        case "cut" if pipes:
            rng.choice(pipes).cut()
        case "clog" if pipes:
            rng.choice(pipes).clog()
        case "unclog":
            for pipe in pipes:
                pipe.unclog()
        case "swizzle":
            await _swizzle(rng, pipes)
        case "disk":
            sim.disk.fails = True
        case "disk hangs":
            sim.disk.free = trio.Event() if sim.disk.free.is_set() else sim.disk.free
        case "disk works":
            _disk_works(sim)
        case "database":
            sim.rows.up = False
        case "flaky":
            sim.rows.flaky = not sim.rows.flaky
        case "database works":
            sim.rows.up = True
        case "coordinator" if life.alive and life.system is not None:
            life.system.ref("stops").tell(_Poison())


async def _restart(sim, nursery):
    sim.kill()
    await sim.life.over.wait()
    await trio.sleep(sim.rng.random() * 3)
    sim.disk.fails = False
    await nursery.start(sim.run_platform)


class _Poison:
    """No handler takes it: the actor crashes, and is restarted."""


def _disk_works(sim):
    sim.disk.fails = False
    sim.disk.answer()


async def _swizzle(rng, pipes):
    """Stalled one by one, and set free in another order."""
    for _ in range(2):
        rng.shuffle(pipes)
        for pipe in pipes:
            pipe.clog()
            await trio.sleep(rng.random() * 2)
        rng.shuffle(pipes)
        for pipe in pipes:
            await trio.sleep(rng.random() * 2)
            pipe.unclog()


async def _heal(sim, nursery):
    sim.tell("heal")
    _disk_works(sim)
    sim.rows.up, sim.rows.flaky = True, False
    if not sim.life.alive or sim.life.system is None:
        sim.kill()
        await nursery.start(sim.run_platform)
    end = sim.now + QUIET
    while sim.now < end:
        for engine in sim.engines.values():
            if engine.pipe is not None:
                engine.pipe.unclog()
        await trio.sleep(1.0)


async def _run(sim):
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in ENGINES:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(1.0)
        await _trouble(sim, nursery)
        await _heal(sim, nursery)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()


async def one_stop_and_its_release(sim):
    """A short life without troubles, to be cut off at any step; whatever was promised until then is kept."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await nursery.start(sim.run_engine, "E1")
        nursery.start_soon(_short_story, sim)
        while sim.life.alive and sim.now < 4.0:  # noqa: ASYNC110  # the step of the kill is chosen outside
            await trio.sleep(0.05)
        sim.kill()
        await nursery.start(sim.run_engine, "E2")
        end = sim.now + QUIET
        while sim.now < end or not sim.life.alive:  # the step of the kill may be the last one of the quiet
            if not sim.life.alive:
                await sim.life.over.wait()
                await nursery.start(sim.run_platform)
                end = sim.now + QUIET
            await trio.sleep(0.25)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()


async def a_raise_while_a_release_is_written(sim):
    """The disk takes its time for a release, and somebody stops again meanwhile."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in ENGINES:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(1.0)
        await sim.stop("all", Level.HALT)
        await trio.sleep(1.0)
        sim.disk.slow = 4.0
        nursery.start_soon(sim.release, "s1")
        await trio.sleep(sim.rng.random())
        await sim.stop("all", Level.CANCEL)
        await trio.sleep(QUIET)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()


async def killed_before_any_disk_answers(sim):
    """A stop is taken while journal and database hang, and the process dies."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        sim.disk.free, sim.rows.up = trio.Event(), False
        await sim.stop("all", Level.HALT)
        await trio.sleep(1.0)
        await _end_well(sim, nursery)


async def a_raise_that_only_the_journal_has(sim):
    """The database keeps an earlier, lower form of a stop."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        await sim.stop("all", Level.HALT)
        await trio.sleep(3.0)
        sim.rows.up = False
        await sim.stop("all", Level.FLATTEN)
        await trio.sleep(3.0)
        await _end_well(sim, nursery)


async def a_stop_that_only_the_journal_has(sim):
    """The database is away when the stop is taken, and the process dies after the journal has promised it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        sim.rows.up, sim.disk.tears = False, False  # a torn line would be found, and halt everything
        await sim.stop("all", Level.HALT)
        await trio.sleep(3.0)
        await _end_well(sim, nursery)


async def _end_well(sim, nursery):
    """The process dies, everything works again, and time passes."""
    sim.kill()
    await sim.life.over.wait()
    sim.rows.up = True
    sim.disk.free.set()
    await nursery.start(sim.run_platform)
    for name in ENGINES:
        await nursery.start(sim.run_engine, name)
    await trio.sleep(QUIET)
    sim.judge_quiet()
    nursery.cancel_scope.cancel()


async def _short_story(sim):
    await trio.sleep(0.3)
    await sim.stop("all", Level.HALT)
    await trio.sleep(0.3)
    await sim.stop("engine:E1", Level.HALT)
    await trio.sleep(0.5)
    await sim.release("s1")
    await sim.stop("engine:E1", Level.CANCEL)


@contextmanager
def simulated(seed, runner=Runner):
    """The simulation of a seed, with the disk, the threads and the chance of the product in its hands."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = []

        async def make():
            made.append(Simulation(seed, folder, runner))
            return made[0]

        stack.enter_context(schedule(seed))
        stack.enter_context(buggify(seed, rate=0.05, longest=0.3))
        yield made, make, stack


def simulate(seed, *, kill_at=None, story=None, runner=Runner):
    """Raises Violation. Returns (digest, orders that were sent, steps)."""
    story = story or _run
    with simulated(seed, runner) as (made, make, stack):
        steps = Steps(made, kill_at)

        async def main():
            sim = await make()
            stack.enter_context(mock.patch.object(store.journal, "_sync", sim.disk.sync))
            stack.enter_context(mock.patch.object(actors.stops.copies, "trio", Threads(sim)))
            await story(sim)

        try:
            trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[steps])
        except BaseException as error:
            error.add_note(f"replay with: simulate({seed}{'' if kill_at is None else f', kill_at={kill_at}'})")
            raise
        return made[0].digest(), made[0].orders, steps.count


class Steps(trio.abc.Instrument):
    """Counts the scheduler's steps, and kills the platform at one of them."""

    def __init__(self, made, kill_at):
        self.made, self.kill_at, self.count = made, kill_at, 0

    def before_task_step(self, task):
        self.count += 1
        if self.count == self.kill_at and self.made:
            self.made[0].kill()
