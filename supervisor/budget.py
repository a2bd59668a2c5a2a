"""A retry budget: retries may be at most a share of the work, whatever the single call thinks.

Pure: `now` is passed in. The idea is Finagle's RetryBudget: every first call deposits `ratio` of a token, a retry takes
one; a small rate of retries is always allowed, so that a quiet client can still recover.
"""

import attrs

from supervisor.checks import is_finite
from supervisor.errors import SpecError

__all__ = ["RetryBudget", "RetryBudgetStatistics"]


@attrs.frozen(kw_only=True)
class RetryBudgetStatistics:
    balance: float
    spent: int
    refused: int


class RetryBudget:
    """ratio: retries allowed per call (0…1); per_second: retries always allowed; window: seconds a deposit is worth."""

    __slots__ = ("_balance", "_last", "_most", "_per_second", "_ratio", "_refused", "_spent")

    def __init__(self, *, ratio: float = 0.2, per_second: float = 1.0, window: float = 10.0) -> None:
        if not is_finite(ratio) or not 0.0 <= ratio <= 1.0:
            raise SpecError("budget.ratio", ratio, "must be between 0 and 1")
        if not (is_finite(per_second) and per_second >= 0.0):
            raise SpecError("budget.per_second", per_second, "must be a finite rate of at least 0")
        if not (is_finite(window) and window > 0.0):
            raise SpecError("budget.window", window, "must be a finite number of seconds above 0")
        self._ratio = ratio
        self._per_second = per_second
        self._most = max(1.0, per_second * window)
        self._balance = self._most
        self._last: float | None = None
        self._spent = 0
        self._refused = 0

    def deposit(self, now: float) -> None:
        """A first call was made at `now`."""
        self._refill(now)
        self._balance = min(self._most, self._balance + self._ratio)

    def withdraw(self, now: float) -> bool:
        """May one retry be made at `now`? True takes its token."""
        self._refill(now)
        if self._balance < 1.0:
            self._refused += 1
            return False
        self._balance -= 1.0
        self._spent += 1
        return True

    def statistics(self) -> RetryBudgetStatistics:
        return RetryBudgetStatistics(balance=self._balance, spent=self._spent, refused=self._refused)

    def _refill(self, now: float) -> None:
        if self._last is not None and now > self._last:
            self._balance = min(self._most, self._balance + (now - self._last) * self._per_second)
        self._last = now if self._last is None else max(now, self._last)
