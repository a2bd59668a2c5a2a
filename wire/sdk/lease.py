"""The run lease: an engine may open orders only while the platform keeps telling it so.

Expiry is given by the link (send time of the hello, or of the highest heartbeat that was answered, plus ``lease_ms``).
When it passes, the engine halts by itself; when it stays expired the platform's policy, remembered from its last
welcome, cancels and then flattens. HALT by expiry ends with the next lease, after reconciliation. CANCEL and FLATTEN
by expiry are local stops, and only a release ends those. An engine that finds working orders before it has any lease,
because its process is a new one, is as alone as one whose lease has just run out.
"""

from enum import Enum

from wire.parts import LeaseExpiry


class LeaseEvent(Enum):
    EXPIRED = "expired"
    CANCEL_DUE = "cancel_due"
    FLATTEN_DUE = "flatten_due"


class Lease:
    """A pure state machine; times are seconds on the engine's clock. Without a first grant there is nothing to expire,
    so a fresh engine is simply not alive, and alone from the moment at which something is at stake."""

    def __init__(self) -> None:
        self.expires_at: float | None = None
        self._policy: LeaseExpiry | None = None
        self._told: set[LeaseEvent] = set()
        self._alone_since: float | None = None
        self._untold_lapse = False
        self.lapses = 0
        """How often it has run out, as far as anybody looked; a renewal looks too."""

    def adopt(self, policy: LeaseExpiry) -> None:
        """The platform's wish for what follows an expiry, of its welcome or as an earlier process has kept it."""
        self._policy = policy

    def at_stake(self, now: float) -> None:
        """Orders work at the broker. Before the first grant a policy that is known counts from the first such call;
        later ones change nothing."""
        if self.expires_at is None and self._alone_since is None and self._policy is not None:
            self._alone_since = now

    def renew(self, expires_at: float, now: float) -> bool:
        """Takes a later expiry that is still to come; anything else changes nothing (a frame may grant no time at all).
        True when the lease came back to life."""
        was_alive = self.alive(now)
        if expires_at <= now or (self.expires_at is not None and expires_at <= self.expires_at):
            return False
        if self.expires_at is not None and not was_alive and LeaseEvent.EXPIRED not in self._told:
            self.lapses += 1
            self._untold_lapse = True
        self.expires_at = expires_at
        self._told.clear()
        return not was_alive

    def alive(self, now: float) -> bool:
        """At the very instant of expiry it is over."""
        return self.expires_at is not None and now < self.expires_at

    def left(self, now: float) -> float:
        """Seconds left; 0 when not alive."""
        return max(0.0, self.expires_at - now) if self.expires_at is not None else 0.0

    def tick(self, now: float) -> list[LeaseEvent]:
        """What has become due since the last call, each told once per expiry, in order. An expiry that was over before
        anybody looked is told all the same."""
        due = [event for event, at in self._schedule() if now >= at and event not in self._told]
        self._told.update(due)
        self.lapses += LeaseEvent.EXPIRED in due
        untold, self._untold_lapse = self._untold_lapse, False
        return [LeaseEvent.EXPIRED, *due] if untold else due

    def deadline(self) -> float | None:
        """When ``tick`` will next have something to tell; None: never without a renewal."""
        return min((at for event, at in self._schedule() if event not in self._told), default=None)

    def _schedule(self) -> list[tuple[LeaseEvent, float]]:
        since = self._alone_since if self.expires_at is None else self.expires_at
        if since is None:
            return []
        schedule = [] if self.expires_at is None else [(LeaseEvent.EXPIRED, since)]
        policy = self._policy or LeaseExpiry()
        if (cancel := policy.cancel_after_ms) is not None:
            schedule.append((LeaseEvent.CANCEL_DUE, since + cancel / 1000))
        if (flatten := policy.flatten_after_ms) is not None:
            schedule.append((LeaseEvent.FLATTEN_DUE, since + flatten / 1000))
        return schedule
