"""Keeping children: starting, stopping, listing them. What to do when one ends is `supervisor.supervision`."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import attrs
import trio

from supervisor.actor import Actor, Leave
from supervisor.buggify import point
from supervisor.cell import STARTED, ActorState, Cell
from supervisor.errors import StartError, UnknownChild
from supervisor.life import STUCK_EVERY, await_stack, live
from supervisor.policy import keeps_spec
from supervisor.reason import SHUTDOWN, ExitKind, ExitReason
from supervisor.slot import Slot
from supervisor.spec import ChildSpec
from supervisor.telemetry import Event, Report
from supervisor.timekeeper import Alarm

__all__ = ["Child", "ChildExited", "ChildKeeper", "TryAgain", "end_event"]

LATE: Final = object()
INTERRUPTED: Final = object()


class ChildExited:
    """A child's last word, in its supervisor's system lane."""

    __internal__ = True
    __slots__ = ("cell", "incarnation", "reason")

    def __init__(self, cell: Cell, incarnation: int, reason: ExitReason) -> None:
        self.cell = cell
        self.incarnation = incarnation
        self.reason = reason


@attrs.frozen
class TryAgain:
    """The supervisor's note to itself, behind the requests that wait: they get their turn between two attempts."""

    __internal__ = True
    id: str
    attempt: int


@attrs.define(eq=False)
class Child:
    """What a supervisor knows of one child.

    attempt: numbers the scheduled restarts, an older one is void. scheduled: one is on its way. held: terminated by
    request, so that no group restart brings it back before `restart_child` does.
    """

    spec: ChildSpec
    cell: Cell
    failures: int = 0
    last_failure: float = -math.inf
    up_since: float = -math.inf
    attempt: int = 0
    scheduled: bool = False
    held: bool = False
    alarm: Alarm | None = None

    @property
    def is_supervisor(self) -> bool:
        return self.cell.interrupted is not None

    def forget_restart(self) -> None:
        self.attempt += 1
        self.scheduled = False
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class ChildKeeper(Actor):
    """An actor with a nursery of children. It takes one at a time; stopping goes down the whole ladder."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._cell: Cell
        self._nursery: trio.Nursery
        self._interruptible: Slot | None = None
        self._patience: Alarm | None = None
        self._stop_wanted: bool

    def _exited(self, cell: Cell, incarnation: int, reason: ExitReason) -> None:
        self._cell.mailbox.offer_urgent(ChildExited(cell, incarnation, reason))

    def _interrupt(self) -> None:
        """A stop has arrived: start nobody any more, and do not wait for a child that is starting."""
        self._stop_wanted = True
        if self._interruptible is not None:
            self._interruptible.resolve(INTERRUPTED)

    def _keeps(self, child: Child) -> bool:
        return keeps_spec(child.spec.restart)

    async def _start(self, child: Child, success: Event = Event.CHILD_STARTED) -> None:
        """Returns when `started()` has; raises `StartError` when the child ended or was too slow before that."""
        cell = child.cell
        cell.reopen()
        grace = 5.0 if child.spec.shutdown is None else child.spec.shutdown
        await point("before start")
        if self._stop_wanted:
            raise Leave(SHUTDOWN)
        self._interruptible = settled = cell.begin()
        self._nursery.start_soon(live, cell, child.spec.factory, self._nursery, grace, name=cell.path)
        timeout = child.spec.start_timeout
        deadline = cell.since + (30.0 if timeout is None else timeout)
        self._patience = alarm = self._cell.kernel.timekeeper.again(
            self._patience, deadline, partial(self._start_is_late, child, settled)
        )
        self._cell.waiting_on = cell
        try:
            outcome = await settled.wait()
        finally:
            self._interruptible = None
            self._cell.waiting_on = None
            alarm.cancel()
        if outcome is STARTED:
            child.up_since = cell.since
            self._report(success, child)
        else:
            await self._start_failed(child, outcome)

    def _start_is_late(self, child: Child, settled: Slot) -> None:
        # A supervisor takes as long as its children, each of which has a limit of its own.
        if child.spec.start_timeout is not None or not child.is_supervisor:
            settled.resolve(LATE)

    async def _start_failed(self, child: Child, outcome: Any) -> None:
        cell = child.cell
        if outcome is LATE or outcome is INTERRUPTED:
            # A supervisor stops what it has started; a child that has just made it deserves its soft stop.
            if child.is_supervisor or cell.state is ActorState.RUNNING:
                cell.request_stop(SHUTDOWN)
                await self._ended_within(child, self._grace(child))
            cell.cancel(f"supervisor {self.context.name}: start {'too slow' if outcome is LATE else 'interrupted'}")
            await self._wait_until_ended(child)
            if outcome is INTERRUPTED:
                raise Leave(SHUTDOWN)
            outcome = ExitReason(ExitKind.CANCELLED, "started() did not return in time")
        if outcome.kind is ExitKind.IGNORED:
            self._report(Event.CHILD_IGNORED, child, outcome)
            cell.close()
            if not self._keeps(child):
                self._remove(child)
            return
        self._report(Event.CHILD_START_FAILED, child, outcome)
        raise StartError(child.spec.id, outcome) from outcome.error

    async def _stop_children(self, children: Iterable[Child], *, brutal: bool) -> None:
        """In reverse order, each one awaited before the next."""
        for child in reversed(tuple(children)):
            child.forget_restart()
            if child.cell.alive:
                await self._stop(child, brutal=brutal)
            else:
                child.cell.enter(ActorState.STOPPED)

    async def _stop(self, child: Child, *, brutal: bool, drain: float = 0.0) -> None:
        """The ladder: drain, soft stop, deadline, cancellation, reports on what is stuck."""
        await point("before stop")
        cell = child.cell
        grace = 0.0 if brutal else self._grace(child)
        settled, cell.settled = cell.settled, None
        cell.exited = None
        if drain:
            await self._drain(child, drain)
        if cell.alive and grace and settled is None:
            cell.request_stop(SHUTDOWN)
            await self._ended_within(child, grace)
        cell.cancel(f"supervisor {self.context.name}: {'no time to stop' if not grace else 'shutdown deadline'}")
        await self._wait_until_ended(child)
        cell.exited = self._exited
        reason = cell.ended_reason or SHUTDOWN
        self._report(_stop_event(reason, expected_cancel=not grace), child, reason)

    async def _drain(self, child: Child, seconds: float) -> None:
        """Let it handle what waits. A stop of this supervisor does not wait for that."""
        child.cell.request_drain(SHUTDOWN)
        if not self._stop_wanted:
            self._interruptible = ended = child.cell.when_ended()
            try:
                await self._ended_within(child, seconds, ended)
            finally:
                self._interruptible = None

    def _grace(self, child: Child) -> float:
        if child.spec.shutdown is not None:
            return child.spec.shutdown
        return math.inf if child.is_supervisor else 5.0

    async def _ended_within(self, child: Child, seconds: float, ended: Slot | None = None) -> bool:
        """Has the child ended, after at most so many seconds, or when `ended` is resolved?"""
        ended = ended or child.cell.when_ended()
        alarm = self._cell.kernel.timekeeper.after(seconds, partial(ended.resolve, None))
        self._cell.break_ring(child.cell)
        self._cell.waiting_on = child.cell
        try:
            await ended.wait()
        finally:
            self._cell.waiting_on = None
            alarm.cancel()
        return not child.cell.alive

    async def _wait_until_ended(self, child: Child) -> None:
        """Trio cannot kill: a child that shields itself is waited for, and named every few seconds."""
        while child.cell.alive:
            if not await self._ended_within(child, STUCK_EVERY):
                self._report(Event.STUCK_CHILD, child, detail=await_stack(child.cell))

    # the list of children

    def _in_order(self) -> tuple[Child, ...]:
        return tuple(self._children.values())

    def _find(self, id: str) -> Child:
        if id not in self._children:
            raise UnknownChild(self.context.name, id)
        return self._children[id]

    def _add(self, spec: ChildSpec) -> Child:
        child = self._children[spec.id] = Child(spec, self._place(spec))
        child.cell.exited = self._exited
        return child

    def _place(self, spec: ChildSpec) -> Cell:
        """The cell of this id: the one an earlier incarnation of this supervisor left, so that refs stay good."""
        mine = self._cell
        left = mine.below.get(spec.id)
        if left is not None and left.mailbox.spec.bound == spec.mailbox.bound:
            if left.mailbox.spec.key is not spec.mailbox.key:  # a function made anew by the factory, as a rule
                left.mailbox.rekey(spec.mailbox)
            return left
        if left is not None:
            mine.forget(left)
        path = spec.id if mine.parent is None else f"{mine.path}/{spec.id}"
        cell = mine.below[spec.id] = Cell(mine.kernel, mine, spec.id, path, spec.mailbox)
        mine.kernel.registry.register(path, cell)
        return cell

    def _remove(self, child: Child) -> None:
        self._children.pop(child.spec.id, None)
        self._cell.forget(child.cell)

    def _report(
        self,
        event: Event,
        child: Child,
        reason: ExitReason | None = None,
        *,
        detail: str = "",
        seconds: float | None = None,
        incarnation: int | None = None,
    ) -> None:
        mine = self._cell
        if not mine.kernel.telemetry.count(event):
            return
        mine.kernel.telemetry.emit(
            Report(
                at=mine.kernel.now(),
                event=event,
                supervisor=mine.path,
                child=child.cell.path,
                incarnation=child.cell.incarnation if incarnation is None else incarnation,
                reason=reason,
                detail=detail,
                seconds=seconds,
            )
        )


def end_event(exit: ChildExited) -> Event:
    return Event.CHILD_CRASHED if exit.reason.abnormal else Event.CHILD_ENDED


def _stop_event(reason: ExitReason, *, expected_cancel: bool) -> Event:
    if reason.kind is ExitKind.CRASH or reason.kind is ExitKind.ESCALATED:
        return Event.SHUTDOWN_ERROR
    if reason.kind is ExitKind.CANCELLED and not expected_cancel:
        return Event.CHILD_CANCELLED
    return Event.CHILD_STOPPED
