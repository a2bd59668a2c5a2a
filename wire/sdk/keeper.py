"""Makes the engine's small files durable without ever making the engine wait: one writer, on a thread, newest wins.

Whoever must not go on before its change is safe awaits ``persist``: it returns when a state at least as new as the one
at the call is on stable storage. A failing disk is tried again, for ever, with growing pauses: what waits for it (the
acknowledgement of a stop) must not be given.
"""

from collections.abc import Callable

import trio

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class Keeper:
    """``encode`` gives the current state (quick, on the loop); ``write`` stores it (blocking, on a thread)."""

    def __init__(
        self, *, encode: Callable[[], bytes], write: Callable[[bytes], None], failed: Callable[[OSError], None]
    ) -> None:
        self._encode = encode
        self._write = write
        self._failed = failed
        self._turn = trio.Lock()
        self._changes = 0
        self._safe = 0

    def changed(self) -> None:
        """The state is another one now."""
        self._changes += 1

    @property
    def is_safe(self) -> bool:
        return self._safe == self._changes

    async def persist(self) -> None:
        """Returns when everything changed up to now is on stable storage."""
        wanted = self._changes
        pause = _FIRST_PAUSE
        while self._safe < wanted:
            async with self._turn:
                if self._safe >= wanted or await self._save():
                    return
            await trio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _save(self) -> bool:
        saving, data = self._changes, self._encode()
        try:
            await trio.to_thread.run_sync(self._write, data)
        except OSError as error:
            self._failed(error)
            return False
        self._safe = saving
        return True
