"""A pulse: something that is said again and again, at a fixed pace."""

from collections.abc import Callable

from wire.sdk.work import Lane


class Pulse(Lane):
    """Calls ``beat`` every so many seconds; ``every`` None: never."""

    def __init__(self, beat: Callable[[], None], *, every: float | None) -> None:
        super().__init__()
        self._beat = beat
        self._every = every
        self._due = 0.0

    def tick(self, now: float) -> None:
        if self._every is not None and now >= self._due:
            self._due = now + self._every
            self._beat()

    def deadline(self) -> float | None:
        return None if self._every is None else self._due
