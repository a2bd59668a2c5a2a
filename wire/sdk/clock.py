"""The engine's clocks. Leases are measured on a clock that goes on while the machine sleeps."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """``now`` is monotonic seconds and the base of every lease and deadline; ``wall`` is aware UTC, for people."""

    def now(self) -> float: ...

    def wall(self) -> datetime: ...


class BootClock:
    """CLOCK_BOOTTIME where the system has it: a laptop that slept through its lease wakes up with an expired one."""

    def __init__(self) -> None:
        self._clock_id: int | None = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> float:
        return time.monotonic() if self._clock_id is None else time.clock_gettime(self._clock_id)

    def wall(self) -> datetime:
        return datetime.now(UTC)
