"""The stable place of one child: its name, its mailbox and the record of its lives.

A cell outlives incarnations; a `Ref` points at it. What is here is synchronous: the moves of a life that happen between
two checkpoints (begin, acknowledge, end, close). Who runs the life is `supervisor.life`; who decides about the next one
is `supervisor.supervision`.
"""

import enum
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio
from trio.lowlevel import Task

from supervisor.deadletter import DeadLetters
from supervisor.errors import ActorDied, AskCycle, AskSelf, AskTimeout, LinkBroken, MailboxFull
from supervisor.mailbox import Mailbox, MailboxSpec, Why, is_internal
from supervisor.reason import NORMAL, ExitReason
from supervisor.registry import Registry
from supervisor.slot import Slot
from supervisor.telemetry import Telemetry
from supervisor.timekeeper import Alarm, Timekeeper

__all__ = ["IDLE", "LIFE", "STARTED", "ActorState", "Aside", "Ask", "Cell", "Kernel", "Stop", "Tick", "asking_cell"]

logger = logging.getLogger("supervisor")

STARTED: Final = object()
IDLE: Final = object()
"""What an actor without a message in hand is handling: not None, which may be told like anything else."""


class ActorState(enum.Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"


LIFE: Final[tuple[tuple[ActorState, str, ActorState], ...]] = (
    (ActorState.STOPPED, "start", ActorState.STARTING),
    (ActorState.STARTING, "started() returned", ActorState.RUNNING),
    (ActorState.STARTING, "start failed, too slow, or interrupted", ActorState.STOPPED),
    (ActorState.STARTING, "a supervisor takes down what it has started", ActorState.STOPPING),
    (ActorState.RUNNING, "terminate_child(drain=…)", ActorState.DRAINING),
    (ActorState.RUNNING, "soft stop, own stop, or crash", ActorState.STOPPING),
    (ActorState.RUNNING, "crash or cancellation without a hook", ActorState.STOPPED),
    (ActorState.DRAINING, "mailbox empty, or time is up", ActorState.STOPPING),
    (ActorState.DRAINING, "crash or cancellation without a hook", ActorState.STOPPED),
    (ActorState.STOPPING, "ended", ActorState.STOPPED),
    (ActorState.STOPPED, "to be restarted", ActorState.RESTARTING),
    (ActorState.RESTARTING, "start, at once or after the back-off", ActorState.STARTING),
    (ActorState.RESTARTING, "terminated while it waits", ActorState.STOPPED),
)
"""Every change of state there is. The documentation's diagram is drawn from it, and the random trees are held to it."""


@attrs.define(kw_only=True)
class Kernel:
    """What the actors of one system share. `now`: trio's clock, without the way through the run of the task."""

    name: str
    now: Callable[[], float]
    timekeeper: Timekeeper
    telemetry: Telemetry
    dead_letters: DeadLetters
    registry: "Registry[Cell]"
    random: random.Random
    interrupt: Callable[[BaseException], object]


class Stop:
    """In the system lane: end softly with this reason."""

    __internal__ = True
    __slots__ = ("reason",)

    def __init__(self, reason: ExitReason) -> None:
        self.reason = reason


class Aside:
    """In hand is a message that its handler has stashed. `kept`: it was not one too many for the stash."""

    __slots__ = ("kept", "message")

    def __init__(self, message: Any, kept: bool) -> None:
        self.message = message
        self.kept = kept


class Tick:
    """A timer's message on its way. At most one per timer waits, and a cancelled timer's is not delivered."""

    __slots__ = ("alarm", "cell", "live", "message", "next_at", "period", "waiting")

    def __init__(self, cell: "Cell", message: Any, after: float, period: float | None) -> None:
        self.cell = cell
        self.message = message
        self.period = period
        self.live = True
        self.waiting = False
        self.next_at = cell.kernel.now() + after
        self.alarm: Alarm = cell.kernel.timekeeper.at(self.next_at, self.fire)

    def fire(self) -> None:
        """Due. A repeating timer stays on its grid: ticks it missed are skipped, never sent in a burst."""
        if not self.waiting:
            self.waiting = True
            self.cell.mailbox.offer_urgent(self)
        if self.period is not None and self.live:
            late = self.cell.kernel.now() - self.next_at
            self.next_at += self.period * (1 + max(0, late // self.period))
            self.alarm = self.cell.kernel.timekeeper.at(self.next_at, self.fire)

    def cancel(self) -> None:
        self.live = False
        self.alarm.cancel()


class Ask(Slot):
    """A request on its way, and the place its answer comes back to. Registered at the callee until it is resolved."""

    __slots__ = ("cell", "message", "sender", "timeout")

    def __init__(self, cell: "Cell", message: Any, timeout: float, sender: "Cell | None") -> None:
        super().__init__()
        self.cell = cell
        self.message = message
        self.timeout = timeout
        self.sender = sender

    def expire(self) -> None:
        sender = None if self.sender is None else self.sender.path
        self.fail(AskTimeout(self.cell.path, type(self.message).__name__, self.timeout, sender))


LOOPS: Final[dict[Task, "Cell"]] = {}
"""The task that runs an actor's handlers → its cell: only that task can close a ring of asks."""


def asking_cell() -> "Cell | None":
    """The actor whose handler is running in this task, if any."""
    return LOOPS.get(trio.lowlevel.current_task())


_NO_ASKS: Final[frozenset[Ask]] = frozenset()
_NOBODY: Final[dict[str, "Cell"]] = {}


class Cell:
    __slots__ = (
        "below",
        "cancelled",
        "current",
        "ended_reason",
        "enders",
        "exited",
        "fault",
        "handled",
        "id",
        "incarnation",
        "interrupted",
        "kernel",
        "kind",
        "links",
        "mailbox",
        "on_closed",
        "parent",
        "path",
        "pending",
        "restarts",
        "scope",
        "settled",
        "since",
        "state",
        "task",
        "tracer",
        "waiting_on",
        "watchers",
    )

    def __init__(self, kernel: Kernel, parent: "Cell | None", id: str, path: str, mailbox: MailboxSpec) -> None:
        self.kernel = kernel
        self.parent = parent
        self.id = id
        self.path = path
        self.mailbox = Mailbox(mailbox, self.drop)
        self.kind = ""
        self.state = ActorState.STOPPED
        self.incarnation = 0
        self.cancelled = False
        self.restarts = 0
        self.handled = 0
        self.since = kernel.now()
        self.current: Any = IDLE
        self.pending: set[Ask] | frozenset[Ask] = _NO_ASKS
        self.waiting_on: Cell | None = None
        self.scope: trio.CancelScope | None = None
        self.task: Task | None = None
        self.fault: BaseException | None = None
        self.settled: Slot | None = None
        self.ended_reason: ExitReason | None = None
        self.enders: list[Slot] | None = None
        self.watchers: dict[Cell, Callable[[Cell, ExitReason], object]] | None = None
        self.links: set[Cell] | None = None
        self.on_closed: list[Callable[[], object]] | None = None
        self.exited: Callable[[Cell, int, ExitReason], object] | None = None
        self.interrupted: Callable[[], object] | None = None
        self.tracer: dict[type, Callable[[Any, Any], Awaitable[Any]]] | None = None
        self.below: dict[str, Cell] = _NOBODY

    # the moves of a life

    def begin(self) -> Slot:
        """A new incarnation is about to run. The slot is resolved with STARTED, or with the reason it never was."""
        self.incarnation += 1
        self.fault = None
        self.cancelled = False
        # Shielded from the first moment, and started with start_soon into a nursery that is known to be the right one:
        # only the supervisor can cancel it, and no `started()` can get lost in a cancelled `nursery.start`.
        self.scope = trio.CancelScope(shield=True)
        self.settled = Slot()
        self.enter(ActorState.STARTING)
        return self.settled

    def acknowledge(self) -> None:
        """`started()` has returned."""
        self.enter(ActorState.RUNNING)
        if self.settled is not None:
            self.settled.resolve(STARTED)
            self.settled = None

    def request_stop(self, reason: ExitReason) -> None:
        """Ask the running incarnation to end softly: after what is already in its system lane."""
        self.enter(ActorState.STOPPING)
        self.mailbox.offer_urgent(Stop(reason))
        if self.interrupted is not None:
            self.interrupted()

    def request_drain(self, reason: ExitReason) -> None:
        """Accept no more ordinary messages, handle those that wait, then end."""
        self.enter(ActorState.DRAINING)
        self.mailbox.drain(Stop(reason))

    def cancel(self, why: str) -> None:
        if self.scope is not None:
            self.cancelled = True
            self.scope.cancel(reason=why)

    def fail(self, error: BaseException) -> None:
        """End this incarnation with a crash, now, whatever it is doing."""
        if self.alive and self.fault is None:
            self.fault = error
            self.cancel(f"{self.path}: {type(error).__name__}")

    def end(self, reason: ExitReason) -> None:
        """The incarnation has ended: tell everybody who depends on it, once."""
        self.ended_reason = reason
        self.scope = None
        self.task = None
        self.waiting_on = None
        self.enter(ActorState.STOPPED)
        if self.mailbox.system or self.mailbox.draining:
            self._drop_stops()
        if self.pending:
            self._fail_asks(reason)
        if self.links:
            self._break_links(reason)
        watchers, self.watchers = self.watchers, None
        for watcher in (watchers or {}).values():
            watcher(self, reason)
        settled, self.settled = self.settled, None
        enders, self.enders = self.enders, None
        for slot in enders or ():
            slot.resolve(reason)
        if settled is not None:
            settled.resolve(reason)
        elif self.exited is not None:
            self.exited(self, self.incarnation, reason)

    def close(self) -> None:
        """No further incarnation will come for now: what waits becomes dead letters."""
        for item in self.mailbox.close():
            self.drop(item, Why.STOPPED)
        for cell in tuple(self.below.values()):
            self.forget(cell)
        watchers, self.watchers = self.watchers, None
        for watcher in (watchers or {}).values():  # they came between two lives and waited for the next one
            watcher(self, self.ended_reason or NORMAL)
        closed, self.on_closed = self.on_closed, None
        for action in closed or ():
            try:
                action()
            except Exception:  # whoever wanted to know must not take the supervisor down
                logger.exception("what was to be done when %r is closed failed", self.path)

    def forget(self, child: "Cell") -> None:
        """Close a child's cell and free its name."""
        child.close()
        if self.below.get(child.id) is child:
            del self.below[child.id]
        self.kernel.registry.release(child.path, child)

    def reopen(self) -> None:
        if self.mailbox.closed:
            self.mailbox.reopen()

    @property
    def alive(self) -> bool:
        """Is an incarnation running or about to?"""
        return self.scope is not None

    def enter(self, state: ActorState) -> None:
        if state is not self.state:
            self.state = state
            self.since = self.kernel.now()

    def when_ended(self) -> Slot:
        """Resolved with the reason when the running incarnation ends."""
        slot = Slot()
        if self.alive:
            if self.enders is None:
                self.enders = []
            self.enders.append(slot)
        else:
            slot.resolve(self.ended_reason)
        return slot

    # messages that go nowhere

    def drop(self, item: Any, why: Why, error: BaseException | None = None) -> None:
        """Make `item` a dead letter; an asker learns of it."""
        if is_internal(item):
            return
        if isinstance(item, Tick):
            if why is Why.STOPPED:
                return
            item = item.message
        if isinstance(item, Ask):
            name = type(item.message).__name__
            if why in (Why.EVICTED, Why.FULL, Why.STASH_FULL):
                item.fail(MailboxFull(self.path, name, self.mailbox.spec.capacity))
            else:
                item.fail(ActorDied(self.path, name, self.ended_reason))
            item = item.message
        self.kernel.dead_letters.add(self.path, item, why, error)

    # rings of asks

    def check_ring(self, target: "Cell", message: str) -> None:
        """Raise before this actor would wait for itself. Every waiting actor has one edge: whom it waits for."""
        path = [self.path]
        step: Cell | None = target
        while step is not None:
            path.append(step.path)
            if step is self:
                raise AskSelf(self.path, message) if len(path) == 2 else AskCycle(tuple(path), message)
            step = step.waiting_on

    def break_ring(self, target: "Cell") -> None:
        """Before this supervisor waits for the end of `target`: fail the ask around which `target` waits for it.

        Nobody else could: the question is in this mailbox, and its answer would come after the wait.
        """
        path = [self.path, target.path]
        asker, step = target, target.waiting_on
        while step is not None and step is not self:
            path.append(step.path)
            asker, step = step, step.waiting_on
        # A chain that ends elsewhere ends with somebody who waits for nobody, so nothing is owed to it.
        for ask in tuple(self.pending):
            if ask.sender is asker:
                ask.fail(AskCycle((*path, self.path), type(ask.message).__name__))

    def owe(self, ask: Ask) -> None:
        """An ask that will be answered, or fail with this incarnation."""
        if not isinstance(self.pending, set):
            self.pending = set()
        self.pending.add(ask)

    def owe_no_more(self, ask: Ask) -> None:
        if isinstance(self.pending, set):
            self.pending.discard(ask)

    def _fail_asks(self, reason: ExitReason) -> None:
        asks, self.pending = self.pending, _NO_ASKS
        # Only asks are looked up: an ordinary message need not have a hash.
        for item in self.mailbox.take_out(lambda item: isinstance(item, Ask) and item in asks):
            self.kernel.dead_letters.add(self.path, item.message, Why.STOPPED)
        for ask in asks:
            ask.fail(ActorDied(self.path, type(ask.message).__name__, reason))

    def _break_links(self, reason: ExitReason) -> None:
        links, self.links = self.links, None
        for other in links or ():
            (other.links or set()).discard(self)
            if reason.abnormal:
                other.fail(LinkBroken(self.path, reason))

    def _drop_stops(self) -> None:
        """A stop concerned the incarnation that has ended, not the next one."""
        self.mailbox.take_out(lambda item: isinstance(item, Stop))
