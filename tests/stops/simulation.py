"""The platform's own actors and the engines' own code on virtual time, with disks that forget and wires that stall.

One seed is one run: it decides who stops and releases what, which parts fail, hang, crash or are cut off and when, how
long every disk takes, and in which order trio runs its tasks. ``simulate(seed)`` gives the digest of everything that
happened, the same for the same seed, and raises Violation where a promise was broken.
"""

import hashlib
import random
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

import trio
from trio.testing import MockClock

import actors.stops.copies
import store.journal
from actors.links.engine_link import EngineLink
from actors.requests import ApproveRelease, Principal, Refusal, RequestRelease, TakeStop
from store.journal import read_journal
from supervisor.buggify import buggify
from supervisor.errors import SupervisorError
from supervisor.spec import ChildSpec, Restart
from supervisor.testing import schedule
from tests.stops import judge
from tests.stops.disks import Disk, Rows, Threads
from tests.stops.ground import START, Ids
from tests.stops.incarnation import Life, live, wall
from tests.stops.judge import Truth, Violation
from tests.stops.runner import Pipe, Runner
from tests.stops.troubles import in_every_trouble
from wire.rest.access import Role
from wire.rest.releases import ReleaseRequest, Waiver
from wire.rest.stops import StopRequest
from wire.session import State
from wire.stops import Level, Scope

ENGINES = {"E1": "A1", "E2": "A2"}
SOON = 3.0
"""Within this long a stop has closed every engine whose link stands and flows, whatever else is slow."""
QUIET = 20.0
"""Seconds in which everything has come to rest once nothing fails any more."""


def person(name):
    return Principal(user_id=name, username=name, role=Role.RISK, auth_time=START)


class Simulation:
    """``now`` and the rest of the small world's face, so that the same judge judges."""

    without = frozenset()

    def __init__(self, seed, folder, runner, accounts, quiet):
        self.rng = random.Random(seed)
        self.truth = Truth()
        self.accounts, self.quiet = accounts, quiet
        self.ids, self.letters = Ids("s"), Ids("m")
        self.trace = []
        self.orders = 0
        self.lives = 0
        self.links = 0
        self.life = None
        self.disk = Disk(folder, self.rng)
        self.rows = Rows(self.rng)
        self.home = Path(folder)
        self.engines = {name: runner(self, name, name) for name in accounts}
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
                await live(self, life)
            finally:
                life.end()

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
            mine = [(i, e) for i, e in open_now.items() if e.scope.concerns(name, self.accounts[name])]
            covered = [i for i, e in mine if e.level >= Level.HALT]
            if engine.session.state is not State.LIVE:
                raise Violation(f"{name} did not come back")
            held = {s.record.stop_id for s in engine.halting.latch.open_stops()}
            if not set(covered) <= held:
                raise Violation(f"{name} does not hold {sorted(set(covered) - held)}")
            if engine.may_open() is bool(covered):
                raise Violation(f"{name} {'opens orders' if covered else 'is held'} with {covered} open")


def _gone(life, sim):
    """Stops that only this process knew are nobody's promise; a latch may still bring them back."""
    written = read_journal(sim.disk.path, b"j" * 32).replayed().register.entries
    for stop_id in list(sim.truth.since):
        if stop_id not in written and stop_id not in sim.rows.register.entries:
            del sim.truth.since[stop_id]


@contextmanager
def simulated(seed, runner, accounts, quiet):
    """The simulation of a seed, with the disk, the threads and the chance of the product in its hands."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = []

        async def make():
            made.append(Simulation(seed, folder, runner, accounts, quiet))
            return made[0]

        stack.enter_context(schedule(seed))
        stack.enter_context(buggify(seed, rate=0.05, longest=0.3))
        yield made, make, stack


def simulate(seed, *, kill_at=None, story=in_every_trouble, runner=Runner, accounts=ENGINES, quiet=QUIET):
    """Raises Violation. Returns (digest, orders that were sent, steps)."""
    with simulated(seed, runner, accounts, quiet) as (made, make, stack):
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
