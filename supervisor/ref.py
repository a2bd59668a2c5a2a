"""The address of an actor: stable over restarts, cheap to copy, the same for actors and for plain trio tasks."""

from collections.abc import Callable
from typing import TypeVar, cast

import attrs
import trio

from supervisor.cell import IDLE, ActorState, Aside, Ask, Cell, Tick, asking_cell
from supervisor.checks import is_number, is_text
from supervisor.errors import ActorDied, MailboxFull, SpecError
from supervisor.mailbox import SENT, Dropped, MailboxStatistics, Overflow, Sent, Why
from supervisor.message import Request
from supervisor.reason import ExitReason
from supervisor.slot import Slot
from supervisor.spec import ChildSpec, Restart
from supervisor.tracing import TraceEntry, TracingTable

__all__ = [
    "ActorInfo",
    "ChildCounts",
    "ChildInfo",
    "CountChildren",
    "DeleteChild",
    "Down",
    "Ref",
    "RestartChild",
    "StartChild",
    "TerminateChild",
    "WhichChildren",
]

R = TypeVar("R")


@attrs.frozen(kw_only=True)
class ActorInfo:
    """A snapshot, taken without asking the actor. `since`: trio time of the last change of state.

    current: type of the message being handled. waiting_on: the actor its handler is asking. pending: requests it owes
    an answer. handled counts the messages whose handler returned, over all incarnations, in whole batches.
    """

    name: str
    kind: str
    state: ActorState
    incarnation: int
    restarts: int
    since: float
    handled: int
    pending: int
    current: str | None
    waiting_on: str | None
    mailbox: MailboxStatistics
    last_end: ExitReason | None


class Ref:
    """Where to send messages. Two refs are equal when they point at the same place of the same system."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    @property
    def name(self) -> str:
        """The registered name, e.g. "links/E1"."""
        return self._cell.path

    def tell(self, message: object, *, urgent: bool = False) -> Sent | Dropped:
        """Put a message into the mailbox; never waits, never raises for what the callee is or does.

        Returns `Sent`, or `Dropped(why)` (false in a condition), which is also a counted dead letter. `urgent=True`
        uses the system lane: before all ordinary messages and never dropped for lack of space.
        """
        mailbox = self._cell.mailbox
        if not urgent:
            user = mailbox.user
            if len(user) < mailbox.limit:
                user.append(message)
                if mailbox.parked is not None:
                    mailbox.wake()
                return SENT
            result = mailbox.offer(message)
        else:
            result = mailbox.offer_urgent(message)
        if result is not SENT:
            self._cell.drop(message, cast("Dropped", result).why)
        return result

    async def send(self, message: object) -> Sent | Dropped:
        """Like `tell`, but under `Overflow.BLOCK` wait for space, first come first served. Always a checkpoint.

        Raises `MailboxFull` under `Overflow.FAIL`, and `AskSelf` or `AskCycle` when the actor would wait for space
        that only it could make. A cancelled `send` has sent nothing.
        """
        await trio.lowlevel.checkpoint()
        mailbox = self._cell.mailbox
        result = mailbox.offer(message)
        if isinstance(result, Dropped):
            overflow = mailbox.spec.overflow
            if result.why is Why.FULL and overflow is Overflow.BLOCK:
                return await self._send_when_there_is_space(message)
            self._cell.drop(message, result.why)
            if result.why is Why.FULL and overflow is Overflow.FAIL:
                raise MailboxFull(self.name, type(message).__name__, mailbox.spec.capacity)
        return result

    async def ask(self, request: Request[R], *, timeout: float = 5.0, urgent: bool = False) -> R:
        """Send a request and wait for its answer, at most `timeout` seconds (`math.inf` allowed).

        Raises `AskTimeout`; `ActorDied` at once when the callee ends, also while the request is still queued;
        `MailboxFull` unless the policy blocks; `AskSelf` and `AskCycle` before anything is sent; whatever `Refused`
        the handler raised. Cancelling it does not undo work; a late answer is dropped and counted. Not answering in
        time does not end the work either.
        """
        if not timeout > 0:
            raise ValueError(f"timeout={timeout}: must be seconds above 0")
        cell = self._cell
        caller = asking_cell()
        if caller is not None:
            caller.check_ring(cell, type(request).__name__)
        ask = Ask(cell, request, timeout, caller)
        self._enqueue(ask, urgent)
        alarm = cell.kernel.timekeeper.after(timeout, ask.expire)
        if caller is not None:
            caller.waiting_on = cell
        try:
            return cast("R", await ask.wait())
        finally:
            if caller is not None:
                caller.waiting_on = None
            alarm.cancel()
            cell.owe_no_more(ask)
            if cell.mailbox.waiting:
                cell.mailbox.leave_queue(ask, None)

    async def wait_ended(self) -> ExitReason | None:
        """Wait until the running incarnation ends; at once if none runs. None if none ever ended."""
        return cast("ExitReason | None", await self._cell.when_ended().wait())

    # for refs of supervisors: the requests by name

    async def start_child(self, spec: ChildSpec, *, timeout: float = 60.0) -> "Ref":
        """Start a child; returns when its `started()` has. Raises `StartError`, `DuplicateChild`."""
        return await self.ask(StartChild(spec=spec), timeout=timeout)

    async def terminate_child(self, id: str, *, drain: float = 0.0, timeout: float = 60.0) -> None:
        """Stop a child and leave it stopped. Also ends its waiting for a restart. Raises `UnknownChild`.

        drain: seconds in which it accepts no more ordinary messages but handles those that wait.
        """
        await self.ask(TerminateChild(id=id, drain=drain), timeout=timeout)

    async def restart_child(self, id: str, *, timeout: float = 60.0) -> "Ref":
        """Start a stopped child again; no restart is counted. Raises `UnknownChild`, `DuplicateChild`, `StartError`."""
        return await self.ask(RestartChild(id=id), timeout=timeout)

    async def delete_child(self, id: str, *, timeout: float = 60.0) -> None:
        """Forget a stopped child and free its name. Raises `UnknownChild`, `DuplicateChild` when it is not stopped."""
        await self.ask(DeleteChild(id=id), timeout=timeout)

    async def which_children(self, *, timeout: float = 5.0) -> "tuple[ChildInfo, ...]":
        """The children in order. Waits while the supervisor starts or stops one; `system.tree()` never waits."""
        return await self.ask(WhichChildren(), timeout=timeout)

    async def count_children(self, *, timeout: float = 5.0) -> "ChildCounts":
        return await self.ask(CountChildren(), timeout=timeout)

    def trace(self, n: int = 100) -> tuple[TraceEntry, ...]:
        """The latest messages handled, oldest first. The first call switches recording on (from the next wake, `n`
        entries deep); `trace(0)` switches it off."""
        tracer = self._cell.tracer
        if n <= 0:
            self._cell.tracer = None
            return ()
        if not isinstance(tracer, TracingTable):
            self._cell.tracer = TracingTable(self._cell, n)
            return ()
        return tuple(tracer.entries)[-n:]

    @property
    def closed(self) -> bool:
        """Is the place closed, so that every message becomes a dead letter?"""
        return self._cell.mailbox.closed

    def when_closed(self, action: Callable[[], object]) -> None:
        """Call `action()` once when the place is closed: stopped for good, not just restarted. What it raises is
        logged."""
        if self._cell.on_closed is None:
            self._cell.on_closed = []
        self._cell.on_closed.append(action)

    def info(self) -> ActorInfo:
        """What is known about the actor, without asking it."""
        cell = self._cell
        current = cell.current.message if isinstance(cell.current, Aside) else cell.current
        message = current.message if isinstance(current, Ask | Tick) else current
        return ActorInfo(
            name=cell.path,
            kind=cell.kind,
            state=cell.state,
            incarnation=cell.incarnation,
            restarts=cell.restarts,
            since=cell.since,
            handled=cell.handled,
            pending=len(cell.pending),
            current=None if current is IDLE else type(message).__name__,
            waiting_on=None if cell.waiting_on is None else cell.waiting_on.path,
            mailbox=cell.mailbox.statistics(),
            last_end=cell.ended_reason,
        )

    def _enqueue(self, ask: Ask, urgent: bool) -> None:
        cell = self._cell
        mailbox = cell.mailbox
        cell.owe(ask)
        if not urgent and len(mailbox.user) < mailbox.limit:
            mailbox.user.append(ask)
            mailbox.wake()
            return
        result = mailbox.offer_urgent(ask) if urgent else mailbox.offer(ask)
        if isinstance(result, Dropped):
            name = type(ask.message).__name__
            if result.why is Why.STOPPED:
                ask.fail(ActorDied(cell.path, name, cell.ended_reason))
                self._cell.drop(ask.message, result.why)
            elif mailbox.spec.overflow is Overflow.BLOCK:
                mailbox.queue_for_space(ask, None)
            else:
                ask.fail(MailboxFull(cell.path, name, mailbox.spec.capacity))
                self._cell.drop(ask.message, result.why)

    async def _send_when_there_is_space(self, message: object) -> Sent | Dropped:
        mailbox = self._cell.mailbox
        sender = asking_cell()
        if sender is not None:
            sender.check_ring(self._cell, type(message).__name__)
            sender.waiting_on = self._cell
        space = Slot()
        mailbox.queue_for_space(message, space)
        try:
            # Dropped when the place was closed meanwhile: the message is among what the mailbox then gave up.
            return cast("Sent | Dropped", await space.wait())
        except trio.Cancelled:
            mailbox.leave_queue(message, space)
            raise
        finally:
            if sender is not None:
                sender.waiting_on = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other._cell is self._cell

    def __hash__(self) -> int:
        return hash(id(self._cell))

    def __repr__(self) -> str:
        return f"<Ref {self._cell.path!r} {self._cell.state.value}>"


@attrs.frozen(kw_only=True)
class Down:
    """Told in the system lane to whoever watched: this incarnation ended. Watch again to learn of the next."""

    ref: Ref
    incarnation: int
    reason: ExitReason


# what a supervisor is asked; `Ref.start_child` and its like are short for these


@attrs.frozen(kw_only=True)
class ChildInfo:
    """One line of `which_children`."""

    id: str
    ref: Ref
    state: ActorState
    restart: Restart
    restarts: int


@attrs.frozen(kw_only=True)
class ChildCounts:
    """`specs` known, `active` running now, `supervisors` and `workers` by kind."""

    specs: int
    active: int
    supervisors: int
    workers: int


# Checked where they are made: a caller's mistake must not become the crash of a supervisor.


def _is_spec(instance: object, attribute: "attrs.Attribute[ChildSpec]", value: ChildSpec) -> None:
    if not isinstance(value, ChildSpec):
        raise SpecError("spec", value, 'must be a ChildSpec: `ChildSpec(id="account", factory=Account)`')


def _is_id(instance: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not is_text(value):
        raise SpecError("id", value, "must be the id of a child, a non-empty string")


def _is_drain(instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (is_number(value) and value >= 0):
        raise SpecError("drain", value, "must be seconds of at least 0")


@attrs.frozen(kw_only=True)
class StartChild(Request[Ref]):
    spec: ChildSpec = attrs.field(validator=_is_spec)


@attrs.frozen(kw_only=True)
class TerminateChild(Request[None]):
    """`drain`: seconds to handle what waits in its mailbox before the soft stop."""

    id: str = attrs.field(validator=_is_id)
    drain: float = attrs.field(default=0.0, validator=_is_drain)


@attrs.frozen(kw_only=True)
class RestartChild(Request[Ref]):
    id: str = attrs.field(validator=_is_id)


@attrs.frozen(kw_only=True)
class DeleteChild(Request[None]):
    id: str = attrs.field(validator=_is_id)


@attrs.frozen(kw_only=True)
class WhichChildren(Request[tuple[ChildInfo, ...]]):
    pass


@attrs.frozen(kw_only=True)
class CountChildren(Request[ChildCounts]):
    pass
