"""Named recovery strategies: how often, how long and when to give a service up, in one value.

The defaults are the platform's: 5 retries, 1 s doubling up to 30 s, and a breaker that opens after 10 failures.
"""

from collections.abc import Iterator
from typing import Final

import attrs

from supervisor.backoff import Backoff, Growth
from supervisor.breaker import CircuitBreaker
from supervisor.checks import is_count
from supervisor.errors import SpecError

__all__ = ["EXPONENTIAL", "FIXED", "LINEAR", "ErrorRecoveryStrategy"]


@attrs.frozen(kw_only=True)
class ErrorRecoveryStrategy:
    """max_retries: attempts after the first. base_delay, max_delay: seconds.

    circuit_breaker_threshold: consecutive failures. reset_after: seconds the breaker stays open: its own time, not
    the longest delay.
    """

    max_retries: int = 5
    backoff_strategy: Growth = Growth.EXPONENTIAL
    base_delay: float = 1.0
    max_delay: float = 30.0
    circuit_breaker_threshold: int = 10
    jitter: float = 0.2
    reset_after: float = 30.0

    def __attrs_post_init__(self) -> None:
        if not is_count(self.max_retries, least=0):
            raise SpecError("max_retries", self.max_retries, "must be a whole number of at least 0")
        self.backoff()
        self.breaker()

    def backoff(self) -> Backoff:
        return Backoff(base=self.base_delay, max_delay=self.max_delay, growth=self.backoff_strategy, jitter=self.jitter)

    def breaker(self) -> CircuitBreaker:
        """A new breaker: one per service, shared by its callers."""
        return CircuitBreaker(threshold=self.circuit_breaker_threshold, reset_after=self.reset_after)

    def ceilings(self) -> Iterator[float]:
        """The delays before jitter of all retries, in seconds."""
        backoff = self.backoff()
        return (backoff.ceiling(attempt) for attempt in range(self.max_retries))


EXPONENTIAL: Final = ErrorRecoveryStrategy()
LINEAR: Final = ErrorRecoveryStrategy(backoff_strategy=Growth.LINEAR)
FIXED: Final = ErrorRecoveryStrategy(backoff_strategy=Growth.FIXED)
