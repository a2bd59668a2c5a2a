"""How safe a spooled message is, and the lane that makes it so."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from wire.sdk.work import Job, Lane, Outcome

_PERIOD = 0.1
_PAUSE_AFTER_FAILURE = 5.0


class Fsync(Enum):
    """When what was spooled survives more than the death of the process, which it always survives.

    ALWAYS: before ``send`` returns, at the price of a disk write in the caller's time. INTERVAL: within about a tenth
    of a second, on a thread. NEVER: when the system gets round to it; a power cut may cost what it had not written.
    The latch knows no such choice: it is always safe before a stop is acknowledged.
    """

    ALWAYS = "always"
    INTERVAL = "interval"
    NEVER = "never"


class Syncable(Protocol):
    @property
    def unsynced(self) -> bool: ...

    def sync(self) -> None: ...


class Syncer(Lane):
    """Makes appended files safe against power loss, a few times a second. ``failed`` hears once why it cannot."""

    def __init__(self, file: Syncable, *, failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._file = file
        self._failed = failed
        self._not_before = 0.0
        self._failing = False

    def next(self, now: float) -> Job | None:
        if now < self._not_before:
            return None
        self._not_before = now + _PERIOD
        return Job(work=self._file.sync, then=self._done, blocking=True) if self._file.unsynced else None

    def deadline(self) -> float | None:
        return None if self.busy else self._not_before

    def _done(self, outcome: Outcome, now: float) -> None:
        self._not_before = now + (_PERIOD if outcome.error is None else _PAUSE_AFTER_FAILURE)
        if outcome.error is not None and not self._failing:
            self._failed(outcome.error)
        self._failing = outcome.error is not None
