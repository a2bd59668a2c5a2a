"""Somebody who knows OTP tries to break it: an intervention after every single step of the scheduler.

One scenario uses everything at once (nested strategies, crashes, group restarts, back-off, drains, asks, watchers,
side tasks). It is run once to count its steps, and then once per step with the intervention after exactly that one.
Whatever is done wherever: it ends in bounded time, no task is left, what was started is stopped in reverse order, no
message and no question is lost, and every supervisor still means what it says.
"""

from collections import Counter
from contextlib import suppress
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from supervisor.cell import LOOPS
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import ActorDied, AskCycle, AskTimeout, MailboxFull, Refused, SystemFailed
from supervisor.mailbox import MailboxSpec, Overflow
from supervisor.message import Request
from supervisor.reason import ExitReason
from supervisor.ref import Down
from supervisor.spec import ChildSpec, Restart
from supervisor.supervision import Strategy, Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import schedule

LIMIT = 300.0
"""Virtual seconds the scenario and its stop may take, whatever happens to it."""


@attrs.frozen
class Work:
    number: int
    effect: str = ""


@attrs.frozen
class Question(Request[int]):
    number: int
    ask: str = ""


class World:
    def __init__(self):
        self.sent, self.handled, self.dropped = Counter(), Counter(), Counter()
        self.questions, self.answers = 0, Counter()
        self.events, self.reports, self.downs, self.watches = [], [], Counter(), Counter()
        self.alive = Counter()
        self.states = set()

    def tell(self, ref, effect="", urgent=False):
        number = sum(self.sent.values())
        self.sent[number] += 1
        if ref is None:
            self.dropped[number] += 1
        else:
            ref.tell(Work(number, effect), urgent=urgent)

    def bury(self, letter):
        if isinstance(letter.message, Work):
            self.dropped[letter.message.number] += 1


class Hand(Actor):
    def __init__(self, world, *, start=0.0, stop=0.0, watch=""):
        self.world, self.start, self.stop_time, self.watched = world, start, stop, watch

    async def started(self) -> None:
        if self.start:
            await trio.sleep(self.start)
        self.world.events.append((trio.current_time(), "+", self.context.name, self.context.incarnation))
        self.world.alive[self.context.name] += 1
        assert self.world.alive[self.context.name] == 1, f"two incarnations of {self.context.name} at once"
        if self.watched:
            self.context.watch(self.context.find(self.watched))
            self.world.watches[self.watched] += 1
        self.context.every(Work(-1), period=0.7)
        self.context.spawn(self.beside)

    async def beside(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
            self.world.alive[self.context.name] -= 1

    async def stopped(self, reason: ExitReason) -> None:
        if self.stop_time:
            await trio.sleep(self.stop_time)
        self.world.events.append((trio.current_time(), "-", self.context.name, self.context.incarnation))

    @handles(Work)
    async def on_work(self, msg: Work) -> None:
        match msg.effect:
            case "crash":
                raise ValueError(msg.number)
            case "hold":
                await trio.sleep(0.3)
            case "quit":
                self.context.stop()
        if msg.number >= 0:
            self.world.handled[msg.number] += 1

    @handles(Question)
    async def on_question(self, msg: Question) -> int:
        await trio.sleep(0.1)
        if msg.ask:
            first, _, rest = msg.ask.partition(" ")
            return await self.context.find(first).ask(Question(msg.number, rest), timeout=2)
        return msg.number

    @handles(Down)
    async def on_down(self, msg: Down) -> None:
        self.world.downs[msg.ref.name] += 1


def spec(world, id, *, start=0.0, stop=0.0, watch="", **options):
    return ChildSpec(id=id, factory=lambda: Hand(world, start=start, stop=stop, watch=watch), **options)


def tree(world):
    slow = Backoff(base=0.5, max_delay=1.0, jitter=0.0)
    small = MailboxSpec(capacity=2)
    desk = [
        spec(world, "book", stop=0.2),
        spec(world, "feed", start=0.1, backoff=slow),
        spec(world, "view", watch="desk/book", restart=Restart.TRANSIENT),
    ]
    pair = [spec(world, "one", mailbox=small), spec(world, "two", stop=0.1, shutdown=1.0)]
    return [
        spec(world, "first", stop=0.1),
        ChildSpec(id="desk", factory=lambda: Supervisor(desk, strategy=Strategy.REST_FOR_ONE, intensity=4)),
        ChildSpec(id="pair", factory=lambda: Supervisor(pair, strategy=Strategy.ONE_FOR_ALL, intensity=2)),
        ChildSpec(id="links", factory=lambda: DynamicSupervisor(intensity=3)),
        spec(world, "last", mailbox=MailboxSpec(capacity=3, overflow=Overflow.DROP_OLDEST)),
    ]


EXPECTED = (ActorDied, AskTimeout, AskCycle, MailboxFull, Refused)


async def question(world, system, name, chain=""):
    ref = system.find(name)
    if ref is None:
        return
    number = world.questions
    world.questions += 1
    try:
        assert await ref.ask(Question(number, chain), timeout=3) == number
    except EXPECTED:
        pass
    finally:
        world.answers[number] += 1


async def request(call, *args, **options):
    with suppress(EXPECTED):
        await call(*args, **options)


async def play(world, system):
    find = system.find
    async with trio.open_nursery() as nursery:
        for name in ("desk/book", "desk/feed", "pair/one", "pair/two", "first", "last"):
            nursery.start_soon(question, world, system, name)
        nursery.start_soon(question, world, system, "first", "desk/book desk/view pair/one")
        nursery.start_soon(question, world, system, "desk/view", "first pair/two desk/view")
        nursery.start_soon(request, system.start_child, "links", spec(world, "l1", start=0.2))
        nursery.start_soon(request, system.start_child, "links", spec(world, "l2", stop=0.3, restart=Restart.TEMPORARY))
        for effect in ("", "hold", "", "", ""):
            world.tell(find("pair/one"), effect)
            world.tell(find("last"), effect)
        await trio.sleep(0.25)
        world.tell(find("desk/feed"), "crash")
        world.tell(find("pair/one"), "crash", urgent=True)
        world.tell(find("links/l1"), "crash")
        await trio.sleep(0.15)
        world.tell(find("desk/book"), "crash")
        nursery.start_soon(question, world, system, "desk/feed")
        if (links := find("links")) is not None:
            nursery.start_soon(request, partial(links.terminate_child, "l2", drain=1.0))
        await trio.sleep(0.3)
        world.tell(find("pair/two"), "quit")
        world.tell(find("first"), "crash")
        nursery.start_soon(request, system.root.terminate_child, "last")
        if (desk := find("desk")) is not None:
            nursery.start_soon(request, desk.terminate_child, "feed")
        await trio.sleep(0.4)
        nursery.start_soon(request, system.root.restart_child, "last")
        for _ in range(3):
            world.tell(find("pair/one"), "crash")
            await trio.sleep(0.05)
        await trio.sleep(1.5)


async def scenario(world, strike):
    """`strike(system)` is set on the world, for the instrument to call at its step."""
    with trio.fail_after(LIMIT), trio.CancelScope() as world.outer:
        async with open_system(name="s", children=tree(world), intensity=5, seed=3) as system:
            world.strike = lambda: strike(world, system)
            system.telemetry.observe(world.reports.append)
            system.dead_letters.observe(world.bury)
            await play(world, system)
        world.strike = None
        assert system.statistics().alarms == 0
        assert system.statistics().actors == 0
    world.left = trio.lowlevel.current_statistics().tasks_living


class AtStep(trio.abc.Instrument):
    """Counts the steps of all tasks since the scenario is up, and strikes after one of them."""

    def __init__(self, world, step):
        self.world, self.at, self.steps = world, step, 0
        world.strike = None

    def after_task_step(self, task):
        if self.world.strike is not None:
            self.steps += 1
            if self.steps == self.at:
                self.world.strike()


# interventions


def cancel_from_outside(world, system):
    world.outer.cancel()


def stop_the_system(world, system):
    system.stop()


def crash_what_runs(world, system):
    """Every actor that is in the middle of something, at once."""
    for node in walk(system.tree()):
        cell = node.info.name != "s" and system.find(node.info.name)
        if cell and node.info.current is not None and "Supervisor" not in node.info.kind:
            cell._cell.fail(KeyError("struck"))


def fail_a_supervisor(world, system):
    system.ref("desk")._cell.fail(KeyError("struck"))


def cancel_a_supervisor(world, system):
    system.ref("pair")._cell.cancel("struck")


def stop_everything_softly_by_itself(world, system):
    """Stops in the lanes of everybody, as if each had been asked by its supervisor."""
    for name in system.names():
        world.tell(system.find(name), "quit", urgent=True)


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


STRIKES = [
    cancel_from_outside,
    stop_the_system,
    crash_what_runs,
    fail_a_supervisor,
    cancel_a_supervisor,
    stop_everything_softly_by_itself,
]


def run(strike, step, seed):
    world = World()
    instrument = AtStep(world, step)
    with schedule(seed):
        try:
            trio.run(
                scenario,
                world,
                strike,
                clock=trio.testing.MockClock(autojump_threshold=0),
                instruments=[instrument],
            )
        except SystemFailed:
            pass
        except BaseException as error:
            error.add_note(f"{strike.__name__} after step {step}, seed {seed}")
            raise
    check(world, f"{strike.__name__} after step {step}, seed {seed}")
    return instrument.steps


def check(world, where):
    assert not LOOPS, where
    for number in world.sent:
        assert world.handled[number] + world.dropped[number] == 1, f"message {number}: {where}"
    assert sum(world.answers.values()) == world.questions, where
    assert not +world.alive, f"{where}: {+world.alive}"
    check_order(world, where)


ORDER = ["first", "desk", "desk/book", "desk/feed", "desk/view", "pair", "pair/one", "pair/two", "links", "last"]
STOPS = (Event.CHILD_STOPPED, Event.CHILD_CANCELLED, Event.SHUTDOWN_ERROR)


def check_order(world, where):
    """In the final stop every ordered supervisor stops its children in the reverse of their order."""
    stopping = next((n for n, r in enumerate(world.reports) if r.event is Event.SYSTEM_STOPPING), None)
    if stopping is None:
        return
    stopped = {}
    for report in world.reports[stopping:]:
        if report.event is Event.CHILD_RESTARTED:
            stopped.pop(report.supervisor, None)  # a group restart on the way: its last stop is the one that counts
        elif report.event in STOPS and report.child in ORDER:
            mine = stopped.setdefault(report.supervisor, [])
            mine[:] = [child for child in mine if child != report.child] + [report.child]
    # `last` and `desk/feed` may just be being terminated by request, which is a stop of its own.
    for supervisor, children in stopped.items():
        ordered = [child for child in children if child not in ("last", "desk/feed")]
        assert ordered == sorted(ordered, key=ORDER.index, reverse=True), f"{supervisor} stopped {children}: {where}"


@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)
def test_whatever_happens_after_whichever_step_it_ends_in_order_and_loses_nothing(strike):
    steps = run(lambda world, system: None, 0, seed=0)
    assert steps > 200
    for step in range(1, steps, 29):
        run(strike, step, seed=step)


@pytest.mark.deep
@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)
def test_the_same_after_every_step_under_many_schedules(strike):
    for seed in range(5):
        for step in range(1, run(lambda world, system: None, 0, seed) + 1):
            run(strike, step, seed)
