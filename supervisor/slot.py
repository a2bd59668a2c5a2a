"""One value, one waiter: the smallest thing that can be awaited.

A `trio.Event` and a scope with a deadline cost more than the rest of an ask together, so replies, acknowledged
starts and waits for an end all use this. The deadline is the timekeeper's business: it calls `resolve`.
"""

from typing import Any, Final

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

__all__ = ["Slot"]

_NOTHING: Final = object()


class Slot:
    """Resolved at most once; the first resolution wins and later ones are no-ops that return False."""

    __slots__ = ("_error", "_task", "_value")

    def __init__(self) -> None:
        self._value: Any = _NOTHING
        self._error: BaseException | None = None
        self._task: Task | None = None

    @property
    def done(self) -> bool:
        return self._value is not _NOTHING or self._error is not None

    def resolve(self, value: Any) -> bool:
        """Hand over the value. False when it was resolved or abandoned before: the value is dropped."""
        if self._value is not _NOTHING or self._error is not None:
            return False
        self._value = value
        if self._task is not None:
            reschedule(self._task)
            self._task = None
        return True

    def fail(self, error: BaseException) -> bool:
        """Raise `error` in the waiter. False when it was resolved or abandoned before."""
        if self._value is not _NOTHING or self._error is not None:
            return False
        self._error = error
        if self._task is not None:
            reschedule(self._task)
            self._task = None
        return True

    async def wait(self) -> Any:
        """Always a checkpoint. Cancelling the waiter abandons the slot."""
        if self._value is _NOTHING and self._error is None:
            self._task = current_task()
            await wait_task_rescheduled(self._abort)
        else:
            await trio.lowlevel.checkpoint()
        if self._error is not None:
            raise self._error
        return self._value

    def _abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        self._task = None
        self._value = None
        return Abort.SUCCEEDED
