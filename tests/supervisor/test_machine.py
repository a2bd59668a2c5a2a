"""Random trees, failures, schedules and delays; what must hold in all of them.

Each example runs in virtual time under its own seed, so a failing one is repeated exactly by its printed arguments.
"""

import math
from collections import Counter
from contextlib import suppress

import attrs
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from supervisor.cell import LIFE, LOOPS, ActorState, Cell
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import ActorDied, Refused, SystemFailed
from supervisor.message import Request
from supervisor.policy import Restart, Strategy
from supervisor.reason import ExitReason
from supervisor.spec import ChildSpec
from supervisor.supervision import Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import buggify, schedule

INTENSITY, PERIOD = 3, 5.0
# The fixture only watches; it has no state that one example could leave to the next.
UNIMPORTANT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@attrs.frozen
class Numbered:
    """Handled once, or a dead letter: never neither, never both."""

    number: int
    effect: str


@attrs.frozen
class Question(Request[int]):
    number: int


class Worker(Actor):
    def __init__(self, world, start, stop):
        self.world, self.start, self.stop_time = world, start, stop

    async def started(self) -> None:
        if self.start == "slow":
            await trio.sleep(0.7)
        if self.start == "flaky" and self.world.flip():
            raise RuntimeError("no start")

    async def stopped(self, reason: ExitReason) -> None:
        if self.stop_time:
            await trio.sleep(self.stop_time)

    @handles(Numbered)
    async def on_numbered(self, msg: Numbered) -> None:
        match msg.effect:
            case "crash":
                raise ValueError(msg.number)
            case "hold":
                await trio.sleep(0.4)
            case "quit":
                self.context.stop()
            case "side":
                self.context.spawn(self.side)
        self.world.handled[msg.number] += 1

    async def side(self) -> None:
        await trio.sleep(0.3)
        raise KeyError("side")

    @handles(Question)
    async def on_question(self, msg: Question) -> int:
        await trio.sleep(0.1)
        return msg.number


class World:
    """One run: what was sent, handled and dropped, and every report."""

    def __init__(self):
        self.sent, self.handled, self.dropped, self.reports = Counter(), Counter(), Counter(), []
        self.answers, self.questions = 0, 0
        self.flips = 0
        self.touched = set()

    def flip(self):
        self.flips += 1
        return self.flips % 3 == 0

    def bury(self, letter):
        if isinstance(letter.message, Numbered):
            self.dropped[letter.message.number] += 1


leaf = st.fixed_dictionaries(
    {
        "restart": st.sampled_from(Restart),
        "start": st.sampled_from(["fine", "fine", "slow", "flaky"]),
        "stop": st.sampled_from([0.0, 0.0, 0.5, 9.0]),
        "shutdown": st.sampled_from([None, 0.0, 1.0]),
        "backoff": st.booleans(),
    }
)
branch = st.tuples(st.sampled_from([*Strategy, "dynamic"]), st.lists(leaf, min_size=1, max_size=3))
tree = st.tuples(st.sampled_from(Strategy), st.lists(st.one_of(leaf, branch), min_size=1, max_size=4))
effects = st.sampled_from(["note", "note", "hold", "crash", "quit", "side"])
action = st.one_of(
    st.tuples(st.just("tell"), st.integers(0, 9), effects, st.booleans()),
    st.tuples(st.just("ask"), st.integers(0, 9)),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.1, 1.0, 6.0])),
    st.tuples(st.just("terminate"), st.integers(0, 9)),
    st.tuples(st.just("restart"), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("add"), st.integers(0, 9), leaf),
)


def worker_spec(world, id, facts):
    temporary = facts["restart"] is Restart.TEMPORARY
    return ChildSpec(
        id=id,
        factory=lambda: Worker(world, facts["start"], facts["stop"]),
        restart=facts["restart"],
        shutdown=facts["shutdown"],
        backoff=Backoff(base=0.2, max_delay=0.4) if facts["backoff"] and not temporary else None,
    )


def child_spec(world, id, facts):
    if isinstance(facts, dict):
        return worker_spec(world, id, facts)
    strategy, leaves = facts
    specs = [worker_spec(world, f"{n}", leaf) for n, leaf in enumerate(leaves)]
    if strategy == "dynamic":
        return ChildSpec(id=id, factory=lambda: DynamicSupervisor(intensity=INTENSITY, period=PERIOD))
    return ChildSpec(id=id, factory=lambda: Supervisor(specs, strategy=strategy, intensity=INTENSITY, period=PERIOD))


async def run(world, shape, actions, ending):
    strategy, children = shape
    specs = [child_spec(world, f"c{n}", facts) for n, facts in enumerate(children)]
    with trio.fail_after(10_000), trio.CancelScope() as outer:
        async with open_system(children=specs, strategy=strategy, intensity=INTENSITY, period=PERIOD, seed=1) as system:
            system.telemetry.observe(world.reports.append)
            system.dead_letters.observe(world.bury)
            async with trio.open_nursery() as nursery:
                for number, step in enumerate(actions):
                    await act(world, system, nursery, number, step)
                if ending == "cancel":
                    outer.cancel()
                    await trio.lowlevel.checkpoint()
            living = [node.info.state for node in walk(system.tree())]
            assert ActorState.DRAINING not in living
    return system


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


async def act(world, system, nursery, number, step):
    names = system.names()
    match step:
        case "tell", which, effect, urgent if names:
            message = Numbered(number, effect)
            world.sent[number] += 1
            system.ref(names[which % len(names)]).tell(message, urgent=urgent)
        case "ask", which if names:
            nursery.start_soon(ask, world, system.ref(names[which % len(names)]), number)
        case "sleep", seconds:
            await trio.sleep(seconds)
        case ("terminate" | "restart" | "delete") as verb, which if names:
            world.touched.add(names[which % len(names)])
            nursery.start_soon(request, system, names[which % len(names)], verb)
        case "add", which, facts:
            parents = [system.name, *(name for name in names if "Supervisor" in system.ref(name).info().kind)]
            parent = parents[which % len(parents)]
            nursery.start_soon(add, system, parent, worker_spec(world, f"n{number}", facts))


async def ask(world, ref, number):
    world.questions += 1
    try:
        assert await ref.ask(Question(number), timeout=math.inf) == number
    except (ActorDied, Refused):
        pass
    finally:
        world.answers += 1


async def request(system, name, verb):
    parent, _, id = name.rpartition("/")
    ref = system.find(parent) if parent else system.root
    if ref is not None:
        with suppress(ActorDied, Refused):
            await getattr(ref, f"{verb}_child")(id, timeout=math.inf)


async def add(system, parent, spec):
    ref = system.root if parent == system.name else system.find(parent)
    if ref is not None:
        with suppress(ActorDied, Refused):
            await ref.start_child(spec, timeout=math.inf)


def check_conservation(world):
    """No message vanishes: each was handled once or is one dead letter."""
    for number in world.sent:
        assert world.handled[number] + world.dropped[number] == 1, f"message {number}"


def check_budget(world):
    """No supervisor restarts more often than its intensity allows without saying that it gives up."""
    spent = {}
    for report in world.reports:
        if report.event is Event.CHILD_RESTARTED:
            spent.setdefault((report.supervisor, report.child), []).append(report.at)
    for (supervisor, child), times in spent.items():
        for at in times:
            within = [time for time in times if at - PERIOD <= time <= at]
            lives = [
                report
                for report in world.reports
                if report.event is Event.CHILD_RESTARTED
                and report.child == supervisor
                and at - PERIOD <= report.at <= at
            ]
            assert len(within) <= INTENSITY * (len(lives) + 1), f"{child} of {supervisor} at {at}"


def check_stop_order(world):
    """In the final stop, an ordered supervisor's children end in the reverse of their order."""
    stopping = next((n for n, r in enumerate(world.reports) if r.event is Event.SYSTEM_STOPPING), None)
    if stopping is None:
        return
    ends = {}
    for report in world.reports[stopping:]:
        if report.event is Event.CHILD_RESTARTED:
            # A group may be stopped, restarted and stopped again on the way: its last stop is the one that counts.
            ends.pop(report.supervisor, None)
        elif report.event in (Event.CHILD_STOPPED, Event.CHILD_CANCELLED, Event.SHUTDOWN_ERROR):
            order = ends.setdefault(report.supervisor, [])
            order[:] = [child for child in order if child != report.child] + [report.child]
    for supervisor, order in ends.items():
        static = [child for child in order if "n" not in child.rpartition("/")[2] and child not in world.touched]
        assert static == sorted(static, reverse=True), f"{supervisor} stopped {order}"


KNOWN = {(before, after) for before, _, after in LIFE}
enter = Cell.enter


def checked_enter(cell, state):
    if state is not cell.state:
        assert (cell.state, state) in KNOWN, f"{cell.path}: {cell.state.value} → {state.value}"
    enter(cell, state)


@pytest.fixture(autouse=True)
def only_documented_states(monkeypatch):
    monkeypatch.setattr(Cell, "enter", checked_enter)


def play(shape, actions, ending, seed):
    world = World()
    failure = ""
    with schedule(seed), buggify(seed, rate=0.2):
        try:
            trio.run(run, world, shape, actions, ending, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseException as error:
            failure = outcome(error)
    return world, failure


def outcome(error):
    if isinstance(error, SystemFailed):
        return "failed"
    raise error


@settings(suppress_health_check=UNIMPORTANT, deadline=None, max_examples=100)
@given(
    shape=tree,
    actions=st.lists(action, max_size=25),
    ending=st.sampled_from(["return", "cancel"]),
    seed=st.integers(0, 2**32),
)
def test_what_must_hold_in_every_tree_under_every_schedule(shape, actions, ending, seed):
    world, failure = play(shape, actions, ending, seed)
    event(f"ended: {failure or ending}")
    for report in world.reports:
        note(f"{report.at:8.3f} {report}")
    assert world.answers == world.questions
    assert not LOOPS
    check_conservation(world)
    check_budget(world)
    check_stop_order(world)


@pytest.mark.deep
@settings(suppress_health_check=UNIMPORTANT, deadline=None, max_examples=3000)
@given(
    shape=tree,
    actions=st.lists(action, max_size=60),
    ending=st.sampled_from(["return", "cancel"]),
    seed=st.integers(0, 2**32),
)
def test_the_same_for_long(shape, actions, ending, seed):
    world, _ = play(shape, actions, ending, seed)
    assert world.answers == world.questions
    assert not LOOPS
    check_conservation(world)
    check_budget(world)
    check_stop_order(world)


def trace(world):
    return tuple((report.at, str(report)) for report in world.reports)


def test_a_seed_repeats_its_run_exactly():
    shape = (
        Strategy.ONE_FOR_ALL,
        [{"restart": Restart.PERMANENT, "start": "slow", "stop": 0.5, "shutdown": None, "backoff": True}] * 3,
    )
    steps = [("tell", n, "crash" if n == 2 else "hold", False) for n in range(4)] + [("sleep", 6.0)]
    traces = set()
    for seed in range(6):
        runs = {trace(play(shape, steps, "return", seed)[0]) for _ in range(2)}
        assert len(runs) == 1
        traces |= runs
    assert len(traces) > 1
