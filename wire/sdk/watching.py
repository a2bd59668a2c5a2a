"""What must happen although nobody asks: the lease runs out, a stop's time is over, a STOP file is put there.

The gate itself does not depend on this: it looks at the lease for every order.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from wire.messages import TradeLog
from wire.sdk.clock import Clock
from wire.sdk.halting import Halting
from wire.sdk.lease import Lease, LeaseEvent
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.sentinel import SENTINEL, asked_level, put_away
from wire.sdk.work import Job, Lane, Outcome
from wire.stops import Level
from wire.values import LocalStopCause, LogCategory, Severity

_SENTINEL_EVERY = 0.5
_LOST = "the lease from the platform ran out: no order leaves before it is renewed"


class Watch(Lane):
    """``folder``: where the STOP file is looked for. ``expired`` is called with the words for it when the lease has run
    out."""

    def __init__(
        self,
        *,
        lease: Lease,
        halting: Halting,
        outlet: Outlet,
        clock: Clock,
        folder: Path,
        expired: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._lease = lease
        self._halting = halting
        self._outlet = outlet
        self._clock = clock
        self._sentinel = folder / SENTINEL
        self._expired = expired
        self._was_alive = False
        self._taken: tuple[str, Level] | None = None
        self._look_at = 0.0

    def tick(self, now: float) -> None:
        for event in self._lease.tick(now):
            self._on_lease(event)
        for report in self._halting.stopping.tick(now):
            self._outlet.send(report)
        if self._lease.alive(now) != self._was_alive:
            self._was_alive = not self._was_alive
            self._halting.trading_changed()

    def next(self, now: float) -> Job | None:
        """The file is put away only when its stop is latched: until then it is the only memory of it."""
        if now < self._look_at:
            return None
        self._look_at = now + _SENTINEL_EVERY
        if self._taken is None:
            return Job(work=partial(asked_level, self._sentinel), then=self._looked, blocking=True)
        if self._halting.is_safe(self._taken[0]):
            return Job(work=partial(put_away, self._sentinel), then=self._put_away, blocking=True)
        return None

    def deadline(self) -> float | None:
        times = [self._lease.deadline(), self._halting.stopping.deadline(), None if self.busy else self._look_at]
        return min((t for t in times if t is not None), default=None)

    def _looked(self, outcome: Outcome, _now: float) -> None:
        level = outcome.value if outcome.error is None else Level.FLATTEN
        if level is not None:
            self._stop(level)

    def _stop(self, level: Level) -> None:
        words = f"the file {SENTINEL} was put there"
        self._taken = self._halting.stop_here(level, LocalStopCause.SENTINEL, words), level

    def _put_away(self, outcome: Outcome, _now: float) -> None:
        """Where the folder does not let the file go, that is tried again; it was obeyed already."""
        if outcome.error is not None or self._taken is None:
            return
        obeyed, self._taken = self._taken[1], None
        if outcome.value is not None and outcome.value > obeyed:
            self._stop(outcome.value)

    def _on_lease(self, event: LeaseEvent) -> None:
        match event:
            case LeaseEvent.EXPIRED:
                self._expired(_LOST)
                self._outlet.send(
                    TradeLog(
                        id=new_id(),
                        category=LogCategory.SYSTEM,
                        message=f"HALTED: {_LOST}",
                        timestamp=self._clock.wall(),
                        reason=_LOST,
                        severity=Severity.CRITICAL,
                    )
                )
            case LeaseEvent.CANCEL_DUE:
                words = "the lease stayed expired: cancelling"
                self._halting.stop_here(Level.CANCEL, LocalStopCause.LEASE_EXPIRED, words)
            case LeaseEvent.FLATTEN_DUE:
                words = "the lease stayed expired: closing"
                self._halting.stop_here(Level.FLATTEN, LocalStopCause.LEASE_EXPIRED, words)
