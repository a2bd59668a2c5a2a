"""How long to wait before the next attempt. Pure: randomness is passed in."""

import enum
import math
import random

import attrs

from supervisor.checks import is_finite, is_number
from supervisor.errors import SpecError

__all__ = ["Backoff", "Growth"]


class Growth(enum.Enum):
    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


def _positive(instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (is_finite(value) and value > 0):
        raise SpecError(f"backoff.{attribute.name}", value, "must be a finite number of seconds above 0")


@attrs.frozen(kw_only=True)
class Backoff:
    """Delays in seconds: `base` · factor^n (or base · (n + 1), or base), capped at `max_delay`, then spread upwards.

    jitter: 0…1, the share of the capped delay that is added at random. The cap comes **before** the jitter (as in
    Pekko's RetrySupport): many clients at the cap must still not come back in step.
    reset_after: seconds a child must live for its count of attempts to start again; None: `max_delay`.
    """

    base: float = attrs.field(default=1.0, validator=_positive)
    max_delay: float = attrs.field(default=30.0, validator=_positive)
    factor: float = 2.0
    jitter: float = 0.2
    growth: Growth = Growth.EXPONENTIAL
    reset_after: float | None = attrs.field(default=None, validator=attrs.validators.optional(_positive))

    def __attrs_post_init__(self) -> None:
        if self.max_delay < self.base:
            raise SpecError("backoff.max_delay", self.max_delay, f"is below base={self.base:g}")
        if not (is_number(self.jitter) and 0.0 <= self.jitter <= 1.0):
            raise SpecError("backoff.jitter", self.jitter, "must be between 0 and 1")
        if type(self.growth) is not Growth:
            raise SpecError("backoff.growth", self.growth, "must be Growth.EXPONENTIAL, LINEAR or FIXED")
        if not (is_finite(self.factor) and self.factor >= 1.0):
            raise SpecError("backoff.factor", self.factor, "must be at least 1")

    @property
    def longest(self) -> float:
        """The longest delay this can give, jitter included."""
        return self.max_delay * (1.0 + self.jitter)

    @property
    def quiet_period(self) -> float:
        """Seconds without a failure after which the count of attempts starts again."""
        return self.max_delay if self.reset_after is None else self.reset_after

    def ceiling(self, attempt: int) -> float:
        """The delay before jitter of attempt 0, 1, 2, …"""
        if attempt < 0:
            raise ValueError(f"attempt={attempt}: attempts are counted from 0")
        if self.growth is Growth.FIXED:
            return self.base
        if self.growth is Growth.LINEAR:
            return min(self.max_delay, self.base * (attempt + 1))
        if self.factor == 1.0:
            return self.base
        # 2.0 ** 1024 raises OverflowError: beyond the exponent that reaches the cap there is only the cap.
        if attempt >= math.log(self.max_delay / self.base, self.factor):
            return self.max_delay
        return min(self.max_delay, self.base * self.factor**attempt)

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait before attempt `attempt` (0 = the first retry)."""
        return self.ceiling(attempt) * (1.0 + self.jitter * rng.random())
