"""A circuit breaker as a pure state machine: `now` is passed in, nothing is awaited.

closed --threshold consecutive failures--> open --reset_after--> half-open --one probe--> closed, or open for longer.

What the usual breaker gets wrong, and this one does not:
* exactly one probe while half-open, and a *cancelled* probe gives its place back;
* a call that began in an older state cannot move the newer one (its permit carries the generation);
* monotonic time only, and the growing reset time is clamped at its maximum.
"""

import enum
import math

import attrs

from supervisor.checks import is_count, is_finite
from supervisor.errors import CircuitOpen, SpecError

__all__ = ["TRANSITIONS", "Breaker", "BreakerStatistics", "CircuitBreaker", "Permit"]


class Breaker(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


TRANSITIONS: tuple[tuple[Breaker, str, Breaker], ...] = (
    (Breaker.CLOSED, "success", Breaker.CLOSED),
    (Breaker.CLOSED, "failure below threshold", Breaker.CLOSED),
    (Breaker.CLOSED, "failure reaching threshold", Breaker.OPEN),
    (Breaker.OPEN, "call before the reset time (refused)", Breaker.OPEN),
    (Breaker.OPEN, "call after the reset time (the probe)", Breaker.HALF_OPEN),
    (Breaker.HALF_OPEN, "call while the probe is out (refused)", Breaker.HALF_OPEN),
    (Breaker.HALF_OPEN, "probe cancelled", Breaker.HALF_OPEN),
    (Breaker.HALF_OPEN, "probe succeeded", Breaker.CLOSED),
    (Breaker.HALF_OPEN, "probe failed", Breaker.OPEN),
)


@attrs.frozen
class Permit:
    """The right to make one call. Give it back through exactly one of succeeded, failed, cancelled."""

    generation: int
    probe: bool


@attrs.frozen(kw_only=True)
class BreakerStatistics:
    """`remaining` is how many seconds the breaker stays open."""

    state: Breaker
    failures: int
    opened: int
    refused: int
    remaining: float


class CircuitBreaker:
    """threshold: consecutive failures that open it, ≥ 1. reset_after: seconds until a probe is let through.

    factor, max_reset_after: each failed probe multiplies the reset time, clamped at the maximum.
    """

    __slots__ = (
        "_factor",
        "_failures",
        "_generation",
        "_max_reset_after",
        "_opened",
        "_probing",
        "_refused",
        "_reset_after",
        "_state",
        "_threshold",
        "_until",
        "_wait",
    )

    def __init__(
        self,
        *,
        threshold: int = 10,
        reset_after: float = 30.0,
        factor: float = 1.0,
        max_reset_after: float | None = None,
    ) -> None:
        if not is_count(threshold, least=1):
            raise SpecError("breaker.threshold", threshold, "must be a whole number of failures, at least 1")
        if not (is_finite(reset_after) and reset_after > 0):
            raise SpecError("breaker.reset_after", reset_after, "must be a finite number of seconds above 0")
        if not (is_finite(factor) and factor >= 1.0):
            raise SpecError("breaker.factor", factor, "must be at least 1")
        longest = reset_after if max_reset_after is None else max_reset_after
        if not (is_finite(longest) and longest >= reset_after):
            raise SpecError("breaker.max_reset_after", max_reset_after, f"must be at least reset_after={reset_after:g}")
        self._threshold = threshold
        self._reset_after = reset_after
        self._factor = factor
        self._max_reset_after = longest
        self._state = Breaker.CLOSED
        self._failures = 0
        self._generation = 0
        self._probing = False
        self._wait = reset_after
        self._until = -math.inf
        self._opened = 0
        self._refused = 0

    @property
    def state(self) -> Breaker:
        return self._state

    def remaining(self, now: float) -> float:
        """Seconds until a probe may go; 0 when calls may go now."""
        return max(0.0, self._until - now)

    def allow(self, now: float) -> Permit:
        """The permit for one call. Raises `CircuitOpen` with the remaining seconds."""
        if self._state is Breaker.OPEN and now >= self._until:
            self._move(Breaker.HALF_OPEN)
        if self._state is Breaker.CLOSED:
            return Permit(self._generation, probe=False)
        if self._state is Breaker.HALF_OPEN and not self._probing:
            self._probing = True
            return Permit(self._generation, probe=True)
        self._refused += 1
        raise CircuitOpen(self.remaining(now))

    def succeeded(self, permit: Permit, now: float) -> None:
        if permit.generation != self._generation:
            return
        self._failures = 0
        if self._state is Breaker.HALF_OPEN:
            self._wait = self._reset_after
            self._move(Breaker.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        if permit.generation != self._generation:
            return
        self._failures += 1
        if self._state is Breaker.HALF_OPEN:
            self._wait = min(self._max_reset_after, self._wait * self._factor)
            self._open(now)
        elif self._failures >= self._threshold:
            self._open(now)

    def cancelled(self, permit: Permit) -> None:
        """The caller gave up: no verdict. A probe's place is free again."""
        if permit.generation == self._generation and permit.probe:
            self._probing = False

    def statistics(self, now: float) -> BreakerStatistics:
        return BreakerStatistics(
            state=self._state,
            failures=self._failures,
            opened=self._opened,
            refused=self._refused,
            remaining=self.remaining(now),
        )

    def _open(self, now: float) -> None:
        self._opened += 1
        self._until = now + self._wait
        self._move(Breaker.OPEN)

    def _move(self, state: Breaker) -> None:
        self._state = state
        self._generation += 1
        self._probing = False
