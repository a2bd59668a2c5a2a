"""One incarnation, from factory to exit reason.

Whatever way it ends, the wrapper turns the end into an `ExitReason`; no `Exception` ever reaches the nursery it runs
in, so no sibling is cancelled by accident and no exception group appears.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import trio

from supervisor.actor import Actor, Context
from supervisor.buggify import point
from supervisor.cell import IDLE, LOOPS, ActorState, Aside, Cell
from supervisor.errors import Ignore, SpecError
from supervisor.mailbox import Why
from supervisor.reason import ExitKind, ExitReason, crash, text_of
from supervisor.telemetry import Event, Report

__all__ = ["STUCK_EVERY", "await_stack", "live"]

STUCK_EVERY: Final = 5.0
"""Seconds between two reports on something that does not end although it was cancelled."""


async def live(cell: Cell, factory: Callable[[], Any], nursery: trio.Nursery, grace: float) -> None:
    """Run one incarnation of `cell`. `grace`: seconds `stopped()` may take after a crash."""
    scope = cell.scope
    assert scope is not None, "begin() comes before live()"
    cell.task = trio.lowlevel.current_task()
    LOOPS[cell.task] = cell
    context = Context(cell, nursery)
    reason: ExitReason | None = None
    try:
        with scope:
            reason = await _from_start_to_stop(cell, factory, context, grace)
    except Ignore as ignored:
        reason = ExitReason(ExitKind.IGNORED, text_of(ignored))
    except Exception as error:
        reason = crash(error)
    except BaseException as error:  # Ctrl-C or an exit lands in whatever task runs: the root deals with it
        reason = crash(error)
        cell.kernel.interrupt(error)
    if cell.fault is not None and (reason is None or not reason.abnormal):
        reason = crash(cell.fault)
    if reason is None:
        reason = ExitReason(ExitKind.CANCELLED)
    await point("before end", shield=True)
    _fail_current(cell, context, reason)
    if context._tasks:
        with trio.CancelScope(shield=True):
            await _end_tasks(cell, context)
    del LOOPS[cell.task]
    context._release()
    try:
        cell.end(reason)
    finally:
        # The traceback of a crash holds this frame: a frame that held the crash would be a cycle for the collector.
        del reason


async def _from_start_to_stop(cell: Cell, factory: Callable[[], Any], context: Context, grace: float) -> ExitReason:
    await point("before factory")
    if cell.cancelled:  # stopped before it began: then it does not begin
        await trio.lowlevel.checkpoint()
    actor = factory()
    if not isinstance(actor, Actor):
        raise SpecError("factory", type(actor).__name__, "must return an Actor: `factory=lambda: Account(0)`")
    kind = type(actor)
    cell.kind = kind.__name__
    context._kind = kind
    actor.context = context
    try:
        reason = await actor._live(cell)
    except Exception as error:
        if cell.settled is not None or kind.stopped is Actor.stopped:
            raise
        reason = crash(error)
        _fail_current(cell, context, reason)
        cell.enter(ActorState.STOPPING)
        with trio.move_on_after(grace if grace < math.inf else 5.0):
            await actor.stopped(reason)
        raise
    cell.enter(ActorState.STOPPING)
    if kind.stopped is not Actor.stopped:
        await actor.stopped(reason)
    return reason


def _fail_current(cell: Cell, context: Context, reason: ExitReason) -> None:
    """The message in whose handler the incarnation ended is not tried again: it may be what killed it."""
    item, cell.current = cell.current, IDLE
    cell.ended_reason = reason
    if isinstance(item, Aside):
        item = context._take_back(item)
    if item is not IDLE:
        cell.drop(item, Why.FAILED if reason.abnormal else Why.STOPPED, reason.error)


async def _end_tasks(cell: Cell, context: Context) -> None:
    """Cancel the side tasks and wait for them; name those that do not end."""
    while context._tasks:
        gone = context._cancel_tasks()
        with trio.move_on_after(STUCK_EVERY):
            await gone.wait()
        _report_stuck(cell, context)


def _report_stuck(cell: Cell, context: Context) -> None:
    """Name every side task that is left, if there are any."""
    for side in context._tasks or ():
        cell.kernel.telemetry.count(Event.STUCK_CHILD)
        cell.kernel.telemetry.emit(
            Report(
                at=trio.current_time(),
                event=Event.STUCK_CHILD,
                supervisor=cell.path if cell.parent is None else cell.parent.path,
                child=cell.path,
                incarnation=cell.incarnation,
                detail=f"{side.name}: {_frames(side.task)}",
            )
        )


def await_stack(cell: Cell) -> str:
    """Where the child's task is waiting: file:line function, outermost first."""
    return _frames(cell.task)


def _frames(task: trio.lowlevel.Task | None) -> str:
    if task is None:
        return ""
    return " > ".join(
        f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{line} {frame.f_code.co_name}"
        for frame, line in task.iter_await_frames()
    )
