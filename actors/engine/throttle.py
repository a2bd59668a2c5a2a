"""The broker's call rate, kept on this side: a sliding window, an urgent lane, and a share only the urgent may use.

Cancels and closing orders must not wait behind reads, so they go first and a part of every window is kept for them.
"""

from collections import deque

import attrs
import trio


class RateWindow:
    """Pure: at most ``rate`` calls in any ``period`` seconds, of which ordinary calls may take ``rate - reserve``."""

    def __init__(self, rate: int, *, reserve: int = 0, period: float = 1.0) -> None:
        if rate < 1 or not 0 <= reserve < rate:
            raise ValueError("a rate is at least 1 and the reserve below it")
        self._rate, self._reserve, self._period = rate, reserve, period
        self._taken: deque[float] = deque()

    def delay(self, now: float, *, urgent: bool) -> float:
        """Seconds until a call may be made; 0 means now."""
        self._forget(now)
        limit = self._rate if urgent else self._rate - self._reserve
        if len(self._taken) < limit:
            return 0.0
        return self._taken[len(self._taken) - limit] + self._period - now

    def take(self, now: float) -> None:
        self._taken.append(now)

    def penalise(self, now: float) -> None:
        """The broker says the window is full, whatever this side counted: wait for a whole one."""
        self._taken.clear()
        self._taken.extend([now] * self._rate)

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] + self._period <= now:
            self._taken.popleft()


@attrs.define(eq=False)
class _Ticket:
    urgent: bool
    called: trio.Event = attrs.field(factory=trio.Event)


class ThrottleFull(Exception):
    """Too many calls are waiting already."""


class Throttle:
    """``await acquire()`` returns when the call may be made. Urgent calls overtake; within a lane the order is kept. At
    most ``capacity`` ordinary calls wait."""

    def __init__(self, window: RateWindow, *, capacity: int = 200) -> None:
        self._window = window
        self._capacity = capacity
        self._lanes: tuple[deque[_Ticket], deque[_Ticket]] = (deque(), deque())

    async def acquire(self, *, urgent: bool = False) -> None:
        """Raises ThrottleFull when the ordinary lane is full; the urgent lane has no bound of its own."""
        lane = self._lanes[0 if urgent else 1]
        if not urgent and len(lane) >= self._capacity:
            raise ThrottleFull
        ticket = _Ticket(urgent)
        lane.append(ticket)
        try:
            await self._wait_turn(ticket)
            self._window.take(trio.current_time())
        finally:
            lane.remove(ticket)
            self._call_next()

    def penalise(self) -> None:
        self._window.penalise(trio.current_time())

    @property
    def waiting(self) -> int:
        return sum(len(lane) for lane in self._lanes)

    async def _wait_turn(self, ticket: _Ticket) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            if self._first() is not ticket:
                ticket.called = trio.Event()
                await ticket.called.wait()
                continue
            delay = self._window.delay(trio.current_time(), urgent=ticket.urgent)
            if delay <= 0:
                return
            await trio.sleep(delay)  # an urgent call may overtake meanwhile

    def _first(self) -> _Ticket | None:
        return next((lane[0] for lane in self._lanes if lane), None)

    def _call_next(self) -> None:
        first = self._first()
        if first is not None:
            first.called.set()
