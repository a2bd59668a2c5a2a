"""One incarnation, from factory to exit reason.

Whatever way it ends, the wrapper turns the end into an `ExitReason`; no `Exception` ever reaches the nursery it runs
in, so no sibling is cancelled by accident and no exception group appears.
"""

import math
from collections.abc import Callable
from typing import Any

import trio

from supervisor.actor import Actor, Context
from supervisor.cell import LOOPS, ActorState, Cell
from supervisor.errors import Ignore, SpecError
from supervisor.mailbox import Why
from supervisor.reason import ExitKind, ExitReason, crash

__all__ = ["live"]


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
        reason = ExitReason(ExitKind.IGNORED, str(ignored))
    except Exception as error:
        reason = crash(error)
    except BaseException as error:  # Ctrl-C or an exit lands in whatever task runs: the root deals with it
        reason = crash(error)
        cell.kernel.interrupt(error)
    if cell.fault is not None and (reason is None or not reason.abnormal):
        reason = crash(cell.fault)
    if reason is None:
        reason = ExitReason(ExitKind.CANCELLED)
    _fail_current(cell, reason)
    if context._tasks:
        with trio.CancelScope(shield=True):
            await context._end_tasks()
    del LOOPS[cell.task]
    context._release()
    cell.end(reason)


async def _from_start_to_stop(cell: Cell, factory: Callable[[], Any], context: Context, grace: float) -> ExitReason:
    actor = factory()
    if not isinstance(actor, Actor):
        raise SpecError("factory", type(actor).__name__, "must return an Actor: `factory=lambda: Account(0)`")
    kind = type(actor)
    cell.kind = kind.__name__
    context.factory_name = f"{kind.__module__}.{kind.__qualname__}"
    actor.context = context
    try:
        reason = await actor._live(cell)
    except Exception as error:
        if cell.settled is not None or kind.stopped is Actor.stopped:
            raise
        reason = crash(error)
        _fail_current(cell, reason)
        cell.enter(ActorState.STOPPING)
        with trio.move_on_after(grace if grace < math.inf else 5.0):
            await actor.stopped(reason)
        raise
    cell.enter(ActorState.STOPPING)
    if kind.stopped is not Actor.stopped:
        await actor.stopped(reason)
    return reason


def _fail_current(cell: Cell, reason: ExitReason) -> None:
    """The message in whose handler the incarnation ended is not tried again: it may be what killed it."""
    item, cell.current = cell.current, None
    cell.ended_reason = reason
    if item is not None:
        cell.drop(item, Why.FAILED if reason.abnormal else Why.STOPPED, reason.error)
