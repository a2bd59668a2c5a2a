"""What outlives a simulated platform, and what does not: its disk, the threads that write to it, its database."""

import errno
import os
import random
from contextlib import suppress
from pathlib import Path

import attrs
import trio

from actors.platform.opening import KeptStops, read_whole
from actors.stops.records import NotKept
from store.errors import StaleTerm, Unavailable
from store.journal_records import ReleaseNoted
from store.logs import Committed
from store.start import DatabaseReading
from store.stops import Brief
from tests.stops.ground import noted_view
from wire.stops import Entry, Register

PEOPLE = ("kim", "lee")
"""Who may release a stop."""


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
            briefs=self.briefs(),
        )

    def briefs(self):
        return {
            stop_id: Brief(
                noted=noted_view(view),
                entry=self.register.entries[stop_id],
                released_at=view.released_at,
                delivered=view.delivered,
                engines=view.engines,
                state=view.state,
            )
            for stop_id, view in self.views.items()
        }

    def kept(self, maybe_open):
        """Of a stop that is over only what is always kept."""
        waiting = [c for c in self.cases.values() if c.state.value in ("requested", "approved")]
        briefs = self.briefs()
        wanted = read_whole(briefs, maybe_open, waiting, newest=0)
        return KeptStops(
            views=[view for stop_id, view in self.views.items() if stop_id in wanted],
            requests=dict(self.requests),
            releases=waiting,
            past=[brief for stop_id, brief in briefs.items() if stop_id not in wanted],
        )

    def get(self, stop_id):
        return self.views.get(stop_id)

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
