"""The async shells of the pure policies: a call through a breaker, a retry under a budget, a bounded number at a time.

Each is a few lines around its state machine; the clock is trio's monotonic one and cancellation is never a verdict.
"""

import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from supervisor.breaker import CircuitBreaker
from supervisor.budget import RetryBudget
from supervisor.checks import is_count
from supervisor.errors import BulkheadFull, SpecError
from supervisor.reason import leaves
from supervisor.recovery import ErrorRecoveryStrategy

__all__ = ["Bulkhead", "BulkheadStatistics", "guarded", "retrying"]

T = TypeVar("T")


async def guarded(
    breaker: CircuitBreaker,
    call: Callable[[], Awaitable[T]],
    *,
    timeout: float = math.inf,
    counts: Callable[[BaseException], bool] = lambda error: True,
) -> T:
    """Call through the breaker. Raises `CircuitOpen` without calling, else what the call raises.

    timeout: seconds; taking longer counts as a failure and raises `trio.TooSlowError`. counts: is this exception the
    service's failure? One that is not (a refused order, say) leaves the breaker as after a success.
    A cancelled call is no verdict, and gives a probe's place back.
    """
    permit = breaker.allow(trio.current_time())
    try:
        with trio.fail_after(timeout):
            answer = await call()
    except Exception as error:
        failed = True  # also when `counts` itself raises: a permit that never came back would refuse all calls for good
        try:
            failed = any(counts(leaf) for leaf in leaves(error))
        finally:
            (breaker.failed if failed else breaker.succeeded)(permit, trio.current_time())
        raise
    except BaseException:
        breaker.cancelled(permit)
        raise
    breaker.succeeded(permit, trio.current_time())
    return answer


async def retrying(
    strategy: ErrorRecoveryStrategy,
    call: Callable[[], Awaitable[T]],
    *,
    retry_on: tuple[type[BaseException], ...],
    budget: RetryBudget,
    rng: random.Random,
) -> T:
    """Call, and on one of `retry_on` (also inside exception groups) call again after the strategy's delays.

    Raises the last exception when the retries or the budget are used up. Always a checkpoint between two calls.
    """
    backoff = strategy.backoff()
    budget.deposit(trio.current_time())
    for attempt in range(strategy.max_retries):
        try:
            return await call()
        except Exception as error:
            if not all(isinstance(leaf, retry_on) for leaf in leaves(error)):
                raise
            if not budget.withdraw(trio.current_time()):
                raise
        await trio.sleep(backoff.delay(attempt, rng))
    return await call()


@attrs.frozen(kw_only=True)
class BulkheadStatistics:
    running: int
    waiting: int
    refused: int


class Bulkhead:
    """At most `limit` at a time, at most `queue` waiting for a place, first come first served; the next is refused."""

    __slots__ = ("_limiter", "_queue", "_refused", "limit")

    def __init__(self, limit: int, *, queue: int = 0) -> None:
        if not is_count(limit, least=1):
            raise SpecError("bulkhead.limit", limit, "must be a whole number of at least 1")
        if not is_count(queue, least=0):
            raise SpecError("bulkhead.queue", queue, "must be a whole number of at least 0")
        self.limit = limit
        self._queue = queue
        self._refused = 0
        self._limiter = trio.CapacityLimiter(limit)

    @asynccontextmanager
    async def place(self, *, timeout: float = math.inf) -> AsyncIterator[None]:
        """Hold a place. Raises `BulkheadFull`, or `trio.TooSlowError` after waiting `timeout` seconds for it."""
        statistics = self._limiter.statistics()
        if statistics.borrowed_tokens >= self.limit and statistics.tasks_waiting >= self._queue:
            self._refused += 1
            raise BulkheadFull(self.limit, self._queue)
        holder = object()
        with trio.fail_after(timeout):
            await self._limiter.acquire_on_behalf_of(holder)
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(holder)

    def statistics(self) -> BulkheadStatistics:
        statistics = self._limiter.statistics()
        return BulkheadStatistics(
            running=statistics.borrowed_tokens, waiting=statistics.tasks_waiting, refused=self._refused
        )
