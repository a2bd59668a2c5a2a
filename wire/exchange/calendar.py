"""Trading days and sessions of the Korean exchange, and how fast simulated time runs through them.

Times are Korean (UTC+9). A day is: opening auction 08:30–09:00, continuous 09:00–15:20, closing auction 15:20–15:30.
Weekends are closed; holidays come from a table, since no source gives the list.
"""

from datetime import date, timedelta
from enum import Enum

import attrs


def _clock(hour: int, minute: int) -> int:
    return hour * 3600 + minute * 60


DAY_START, OPENING, CLOSING_CALL, CLOSE, DAY_END = (
    _clock(8, 30),
    _clock(9, 0),
    _clock(15, 20),
    _clock(15, 30),
    _clock(16, 0),
)
SETTLEMENT_DAYS = 2


class Phase(Enum):
    OPENING_AUCTION = "opening_auction"
    CONTINUOUS = "continuous"
    CLOSING_AUCTION = "closing_auction"
    CLOSED = "closed"


_BOUNDARIES = (
    (OPENING, Phase.OPENING_AUCTION),
    (CLOSING_CALL, Phase.CONTINUOUS),
    (CLOSE, Phase.CLOSING_AUCTION),
    (DAY_END, Phase.CLOSED),
)


@attrs.frozen(order=True)
class MarketTime:
    """A moment of a trading day; ``second`` counts from midnight in Korea."""

    day: date
    second: float = DAY_START

    @property
    def phase(self) -> Phase:
        return phase_at(self.second)

    @property
    def hhmmss(self) -> str:
        return hhmmss(int(self.second))

    @property
    def yyyymmdd(self) -> str:
        return f"{self.day:%Y%m%d}"


def hhmmss(second: int) -> str:
    """Seconds from midnight as HHMMSS."""
    return f"{second // 3600:02d}{second % 3600 // 60:02d}{second % 60:02d}"


def phase_at(second: float) -> Phase:
    """The phase of a trading day. A boundary belongs to the phase that begins there."""
    if second < DAY_START:
        return Phase.CLOSED
    for end, phase in _BOUNDARIES:
        if second < end:
            return phase
    return Phase.CLOSED


@attrs.frozen(kw_only=True)
class Calendar:
    """Which days are trading days: ``listed`` ones as given, after the last listed one every weekday but holidays."""

    holidays: frozenset[date] = frozenset()
    listed: frozenset[date] = frozenset()

    def is_open(self, day: date) -> bool:
        if self.listed and day <= max(self.listed):
            return day in self.listed
        return day.weekday() < 5 and day not in self.holidays

    def next_open(self, day: date) -> date:
        """The first trading day after ``day``."""
        day += timedelta(days=1)
        while not self.is_open(day):
            day += timedelta(days=1)
        return day

    def first_open(self, day: date) -> date:
        """``day`` itself when it is a trading day, else the next one."""
        return day if self.is_open(day) else self.next_open(day)

    def settlement(self, day: date) -> date:
        """When a trade of ``day`` settles: two trading days later."""
        for _ in range(SETTLEMENT_DAYS):
            day = self.next_open(day)
        return day


@attrs.frozen(kw_only=True)
class Pace:
    """How much simulated time passes in one real second.

    ``speed`` holds in continuous trading; an auction never takes more than ``auction`` real seconds, the time after
    the close takes ``closed`` real seconds, and nights and weekends none.
    """

    speed: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    auction: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    closed: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))

    def rate(self, phase: Phase) -> float:
        """Simulated seconds per real second; ``inf`` where the phase is skipped."""
        if phase is Phase.CONTINUOUS:
            return self.speed
        if phase is Phase.OPENING_AUCTION:
            return max(self.speed, (OPENING - DAY_START) / self.auction)
        if phase is Phase.CLOSING_AUCTION:
            return max(self.speed, (CLOSE - CLOSING_CALL) / self.auction)
        return (DAY_END - CLOSE) / self.closed if self.closed else float("inf")

    def advance(self, start: MarketTime, real: float, calendar: Calendar) -> MarketTime:
        """The moment ``real`` seconds (at least 0) after ``start``."""
        now = start
        while True:
            phase = now.phase
            end = next(end for end, named in _BOUNDARIES if named is phase)
            rate = self.rate(phase)
            left = 0.0 if rate == float("inf") else (end - now.second) / rate
            if real < left:
                return MarketTime(now.day, now.second + real * rate)
            real -= left
            now = MarketTime(calendar.next_open(now.day)) if phase is Phase.CLOSED else MarketTime(now.day, end)
