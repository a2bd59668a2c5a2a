"""A clock for tests in virtual time."""

from datetime import datetime, timedelta

import trio


class TrioClock:
    """Trio's own clock, so that a test's virtual time is the engine's time too."""

    def __init__(self, started: datetime) -> None:
        self._started = started
        self._origin = trio.current_time()

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> datetime:
        return self._started + timedelta(seconds=trio.current_time() - self._origin)
