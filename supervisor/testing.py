"""The test kit: scripted children, event logs, probes, and schedules that are really explored.

    async def test_children_stop_in_reverse(autojump_clock):
        log = EventLog()
        async with open_system(children=[log.child("a"), log.child("b")]):
            pass
        log.expect("+a +b -b -a")

Everything here works with any test runner; the pytest fixtures over it are in `supervisor.fixtures`.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import trio

from supervisor.actor import Actor, handles
from supervisor.buggify import Buggify, buggify, repeatable
from supervisor.errors import Ignore
from supervisor.message import Request
from supervisor.reason import ExitReason
from supervisor.ref import Ref
from supervisor.spec import ChildSpec
from supervisor.system import System

__all__ = [
    "Buggify",
    "Crash",
    "Do",
    "EventLog",
    "Hold",
    "Ping",
    "Probe",
    "Quit",
    "Scripted",
    "buggify",
    "explore",
    "no_leaks",
    "schedule",
]

T = TypeVar("T")


# scripted children


@attrs.frozen
class Crash:
    """Raise `ValueError(why)` in the handler."""

    why: str = "crash"


@attrs.frozen
class Quit:
    """End normally."""


@attrs.frozen
class Hold:
    """Stay in the handler for `seconds`."""

    seconds: float


@attrs.frozen
class Do:
    """Run `action(actor)` in the handler."""

    action: Callable[[Any], Awaitable[object]]


@attrs.frozen
class Ping(Request[str]):
    """Answered with the child's id and incarnation, after `seconds` in the handler."""

    seconds: float = 0.0


@attrs.define(kw_only=True)
class Script:
    """What a scripted child does in its hooks. `start` and `stop`: seconds they take."""

    log: "EventLog"
    id: str
    start: float = 0.0
    stop: float = 0.0
    shield: float = 0.0
    failing_starts: Iterator[bool] = attrs.field(factory=lambda: iter(()))
    ignore: bool = False


class Scripted(Actor):
    """Writes "+id" when started and "-id" (with the kind of an unexpected end) when stopped."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def started(self) -> None:
        script = self.script
        if script.start:
            await trio.sleep(script.start)
        if next(script.failing_starts, False):
            script.log.add(f"!{script.id}")
            raise RuntimeError(f"{script.id} does not start")
        if script.ignore:
            raise Ignore
        script.log.add(f"+{script.id}")
        if script.shield:
            self.context.spawn(self._shielded, name="shielded")

    async def _shielded(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(self.script.shield)

    async def stopped(self, reason: ExitReason) -> None:
        script = self.script
        if script.stop:
            await trio.sleep(script.stop)
        script.log.add(f"-{script.id}:{reason.kind.value}" if reason.abnormal else f"-{script.id}")

    @handles(Crash)
    async def on_crash(self, msg: Crash) -> None:
        raise ValueError(msg.why)

    @handles(Quit)
    async def on_quit(self, msg: Quit) -> None:
        self.context.stop()

    @handles(Hold)
    async def on_hold(self, msg: Hold) -> None:
        await trio.sleep(msg.seconds)

    @handles(Do)
    async def on_do(self, msg: Do) -> None:
        await msg.action(self)

    @handles(Ping)
    async def on_ping(self, msg: Ping) -> str:
        if msg.seconds:
            await trio.sleep(msg.seconds)
        return f"{self.script.id}#{self.context.incarnation}"


class EventLog:
    """A trace of what happened, compared as one line of text."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def add(self, event: str) -> None:
        self.events.append(event)

    def clear(self) -> None:
        self.events.clear()

    @property
    def text(self) -> str:
        return " ".join(self.events)

    def expect(self, text: str) -> None:
        """The whole trace since the last `expect` or `clear` is `text`."""
        happened, self.events = self.text, []
        assert happened == " ".join(text.split()), f"\nexpected: {text}\nhappened: {happened}"

    def child(
        self,
        id: str,
        *,
        start: float = 0.0,
        stop: float = 0.0,
        shield: float = 0.0,
        failing_starts: Iterable[bool] = (),
        ignore: bool = False,
        **spec: Any,
    ) -> ChildSpec:
        """The spec of a scripted child that writes into this log.

        start, stop: seconds its hooks take; shield: seconds a side task refuses cancellation; failing_starts: one
        truth value per start, False when exhausted; the rest goes to `ChildSpec`.
        """
        script = Script(
            log=self, id=id, start=start, stop=stop, shield=shield, failing_starts=iter(failing_starts), ignore=ignore
        )
        return ChildSpec(id=id, factory=lambda: Scripted(script), **spec)


# probes


class _ProbeActor(Actor):
    def __init__(self, probe: "Probe") -> None:
        self._probe = probe

    async def unhandled(self, message: object) -> None:
        self._probe.receive(message)


class Probe:
    """An actor that keeps what it is told, for the test to look at.

    probe = await Probe.start(system)
    thing.tell(Subscribe(probe.ref))
    assert (await probe.expect(Tick)).number == 1
    await probe.expect_nothing(seconds=10)
    """

    def __init__(self) -> None:
        self.ref: Ref
        self._received: deque[object] = deque()
        self._news = trio.Event()

    @classmethod
    async def start(cls, system: System, id: str = "probe") -> "Probe":
        probe = cls()
        spec = ChildSpec(id=id, factory=lambda: _ProbeActor(probe))
        probe.ref = await system.start_child(system.name, spec)
        return probe

    def receive(self, message: object) -> None:
        self._received.append(message)
        self._news.set()

    async def expect(self, kind: type[T], *, within: float = 1.0) -> T:
        """The next message, which has to be a `kind` and to come within so many seconds."""
        with trio.move_on_after(within):
            while not self._received:
                self._news = trio.Event()
                await self._news.wait()
        assert self._received, f"no {kind.__name__} within {within:g} s"
        message = self._received.popleft()
        assert isinstance(message, kind), f"expected a {kind.__name__}, got {message!r}"
        return message

    async def expect_nothing(self, *, seconds: float) -> None:
        """No message arrives for so many seconds."""
        await trio.sleep(seconds)
        assert not self._received, f"expected nothing, got {self._received[0]!r}"


# schedules


@contextmanager
def schedule(seed: int) -> Iterator[None]:
    """Let trio's scheduler choose among runnable tasks by `seed`.

    By itself it only ever reverses whole batches (2 of the 24 orders of four tasks). With its deterministic flag it
    sorts and shuffles them, so every order can appear, and the same seed gives the same one. The jitter of restarts
    follows the seed too, in systems that have none of their own.
    """
    from trio._core import _run as module

    _run: Any = module
    flag, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(seed)
    try:
        with repeatable(seed):
            yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = flag
        _run._r.setstate(state)


def explore(
    test: Callable[[], Awaitable[T]], *, seeds: Iterable[int], delays: bool = True, clock: bool = True
) -> list[T]:
    """Run an async function once per seed, each time under another order (and other delays), in virtual time.

    Returns what the runs returned. A failure names its seed.
    """
    from trio.testing import MockClock

    results: list[T] = []
    for seed in seeds:
        virtual = MockClock(autojump_threshold=0) if clock else None
        try:
            with schedule(seed), buggify(seed, rate=0.25 if delays else 0.0):
                results.append(trio.run(test, clock=virtual))
        except BaseException as error:
            error.add_note(f"schedule seed {seed}")
            raise
    return results


@contextmanager
def no_leaks() -> Iterator[None]:
    """No task lives after the block that did not live before it; one that another of its name has replaced (a
    restarted actor) is no leak. Says the names of those that are left."""
    before = Counter(task.name for task in _living())
    yield
    left = Counter(task.name for task in _living()) - before
    assert not left, f"{left.total()} tasks were left behind: {', '.join(left.elements())}"


def _living() -> Iterator[trio.lowlevel.Task]:
    """Every task of this run."""
    root = trio.lowlevel.current_root_task()
    unseen = [] if root is None else [root]
    while unseen:
        task = unseen.pop()
        yield task
        unseen += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
