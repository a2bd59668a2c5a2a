"""What must happen although nobody asks: the lease runs out, a stop's time is over, somebody puts a STOP file there.

The gate itself does not depend on this actor: it looks at the lease for every order.
"""

from pathlib import Path

import attrs
import trio

from actors.engine.desk import Desk
from supervisor.actor import Actor, handles
from wire.sdk.halting import Halting
from wire.sdk.lease import LeaseEvent
from wire.sdk.sentinel import SENTINEL, asked_level, put_away
from wire.stops import Level
from wire.values import LocalStopCause, LogCategory, Severity

_PERIOD = 0.2
_SENTINEL_EVERY = 0.5


@attrs.frozen
class _Look:
    """Time to look at the clocks."""


@attrs.frozen
class _LookForSentinel:
    """Time to look for the file."""


class Watch(Actor):
    """Looks at the clocks five times a second."""

    def __init__(self, *, desk: Desk, halting: Halting) -> None:
        self._desk = desk
        self._halting = halting
        self._was_alive = False

    async def started(self) -> None:
        self.context.every(_Look(), period=_PERIOD)

    @handles(_Look)
    async def on_look(self, _look: _Look) -> None:
        now = self._desk.clock.now()
        for event in self._desk.lease.tick(now):
            self._lease(event)
        for report in self._halting.stopping.tick(now):
            self._desk.outlet.send(report)
        self._desk.expire_early()
        if self._desk.lease.alive(now) != self._was_alive:
            self._was_alive = not self._was_alive
            self._halting.trading_changed()

    def _lease(self, event: LeaseEvent) -> None:
        desk = self._desk
        match event:
            case LeaseEvent.EXPIRED:
                desk.gate.synced = False
                desk.check()
                words = "the lease from the platform ran out: no order leaves before it is renewed"
                desk.log(LogCategory.SYSTEM, f"HALTED: {words}", words, severity=Severity.CRITICAL)
            case LeaseEvent.CANCEL_DUE:
                self._stop_here(Level.CANCEL, "the lease stayed expired: cancelling")
            case LeaseEvent.FLATTEN_DUE:
                self._stop_here(Level.FLATTEN, "the lease stayed expired: closing")

    def _stop_here(self, level: Level, reason: str) -> None:
        self._halting.stop_here(level, LocalStopCause.LEASE_EXPIRED, reason)


class SentinelWatch(Actor):
    """``folder`` is the engine's state folder: a file STOP in it, whose first word may be a level (default FLATTEN),
    stops the engine."""

    def __init__(self, *, halting: Halting, folder: Path) -> None:
        self._halting = halting
        self._sentinel = folder / SENTINEL
        self._taken: tuple[str, Level] | None = None

    async def started(self) -> None:
        self.context.every(_LookForSentinel(), period=_SENTINEL_EVERY, after=0.0)

    @handles(_LookForSentinel)
    async def on_sentinel(self, _look: _LookForSentinel) -> None:
        """The file is put away only when its stop is latched: until then it is the only memory of it."""
        if self._taken is None:
            level = await trio.to_thread.run_sync(asked_level, self._sentinel)
            if level is not None:
                self._stop(level)
        elif self._halting.is_safe(self._taken[0]):
            try:
                asked = await trio.to_thread.run_sync(put_away, self._sentinel)
            except OSError:
                return  # the folder does not let it go: it was obeyed already, and is tried again
            obeyed, self._taken = self._taken[1], None
            if asked is not None and asked > obeyed:
                self._stop(asked)

    def _stop(self, level: Level) -> None:
        words = f"the file {SENTINEL} was put there"
        self._taken = self._halting.stop_here(level, LocalStopCause.SENTINEL, words), level
