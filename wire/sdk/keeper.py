"""Makes the engine's small files durable without ever making the engine wait: one writer, on a thread, newest wins.

Every change has a version; ``safe`` is the newest version on stable storage. A failing disk is tried again, for ever,
with growing pauses: what waits for it (the acknowledgement of a stop) must not be given.
"""

from collections.abc import Callable
from functools import partial

from wire.sdk.work import Job, Lane, Outcome

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class Keeper(Lane):
    """``encode`` gives the current state (quick, on the loop); ``write`` stores it (blocking, on a thread); ``failed``
    hears once why it cannot. ``listeners`` hear that something has become safe."""

    def __init__(
        self, *, encode: Callable[[], bytes], write: Callable[[bytes], None], failed: Callable[[Exception], None]
    ) -> None:
        super().__init__()
        self._encode = encode
        self._write = write
        self._failed = failed
        self._pause = _FIRST_PAUSE
        self._not_before: float | None = None
        self.version = 0
        self.safe = 0
        self.listeners: dict[str, Callable[[], None]] = {}

    def changed(self) -> int:
        """The state is another one now; its version."""
        self.version += 1
        self.wake()
        return self.version

    def write_now(self) -> None:
        """Blocking, before any driver runs. Raises OSError when the disk refuses; then the lane tries again, and says
        no more about it."""
        try:
            self._write(self._encode())
        except OSError:
            self._pause *= 2
            self.changed()
            raise
        self._is_safe(self.version)

    @property
    def is_safe(self) -> bool:
        return self.safe == self.version

    def next(self, now: float) -> Job | None:
        if self.is_safe or (self._not_before is not None and now < self._not_before):
            return None
        return Job(work=partial(self._write, self._encode()), then=partial(self._written, self.version), blocking=True)

    def deadline(self) -> float | None:
        return None if self.is_safe or self.busy else self._not_before

    def _written(self, version: int, outcome: Outcome, now: float) -> None:
        if outcome.error is not None:
            self._not_before = now + self._pause
            if self._pause == _FIRST_PAUSE:
                self._failed(outcome.error)
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
            return
        self._is_safe(version)

    def _is_safe(self, version: int) -> None:
        self.safe, self._pause, self._not_before = version, _FIRST_PAUSE, None
        for listener in list(self.listeners.values()):
            listener()
