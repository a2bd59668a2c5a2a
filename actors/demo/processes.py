"""An operating-system process as a supervised actor: it starts with the actor, ends with it, and its end is a crash.

The process is started on trio's own thread and tethered to it (`actors.demo.tether`), so that it ends with this program
even on kill -9; a stop sends SIGTERM and, when that is not obeyed in time, SIGKILL.
"""

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from supervisor.actor import Actor
from supervisor.reason import ExitReason

_POLL = 0.1
_TAIL = 400


class ProcessEnded(Exception):
    """A child process ended by itself. ``code`` is its exit code, negative for a signal."""

    def __init__(self, name: str, code: int, last_words: str) -> None:
        self.name = name
        self.code = code
        super().__init__(f"{name} ended with {code}" + (f": {last_words}" if last_words else ""))


class ChildProcess(Actor):
    """Runs ``command`` with its output in ``log``; started once ``ready``, a file it writes, exists."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        ready: Path | None = None,
        patience: float = 10.0,
    ) -> None:
        self._name = name
        self._command = [sys.executable, "-m", "actors.demo.tether", *command]
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._ready = ready
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False

    async def started(self) -> None:
        """Bounded by the start timeout of the child's specification."""
        if self._ready is not None:
            self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - a fork in a worker thread would untie the tether
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.context.spawn(self._attend, self._process, name=self._name)
        while self._ready is not None and not self._ready.exists():
            self._raise_if_ended(self._process)
            await trio.sleep(_POLL)

    async def stopped(self, reason: ExitReason) -> None:
        self._ending = True
        if self._process is not None and self._process.poll() is None:
            await _end(self._process, self._patience)

    async def _attend(self, process: subprocess.Popen[bytes]) -> None:
        """Crashes the actor when the process ends by itself; ends the process when the actor is cancelled."""
        try:
            while not self._ending:
                self._raise_if_ended(process)
                await trio.sleep(_POLL)
        finally:
            if process.poll() is None:
                with trio.CancelScope(shield=True):
                    await _end(process, self._patience)

    def _raise_if_ended(self, process: subprocess.Popen[bytes]) -> None:
        if (code := process.poll()) is not None:
            raise ProcessEnded(self._name, code, _last_line(self._log))


async def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """SIGTERM, ``patience`` seconds, SIGKILL."""
    for signal_it, seconds in ((process.terminate, patience), (process.kill, math.inf)):
        signal_it()
        with trio.move_on_after(seconds):
            while process.poll() is None:  # noqa: ASYNC110 - a process has no event to wait on
                await trio.sleep(_POLL)
        if process.poll() is not None:
            return


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
