"""What the market does without us: daily bars, recorded or modelled, walked as a seeded path of trades.

The walk of a day starts at the open, visits the high and the low, ends at the close, and never leaves the recorded
range or the price grid. The same seed, symbol and day give the same walk.
"""

import csv
import random
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import attrs

from wire.exchange.calendar import CLOSING_CALL, OPENING, Calendar
from wire.exchange.fees import Side
from wire.exchange.ticks import PriceLimits, price_limits, round_down, round_nearest, round_up, tick_size

TRADES_PER_DAY = 1_140  # one in 20 simulated seconds: three a second at 60 times real time
HISTORY_DAYS = 200  # calendar days of modelled history before the first simulated day
DAILY_VOLATILITY = 0.018
TYPICAL_TURNOVER = 40_000_000_000  # won a day and symbol


class MarketFileError(Exception):
    """The file of daily bars cannot be used. The text says which line and why."""


@attrs.frozen(kw_only=True)
class Bar:
    """One day of one symbol, prices in won."""

    day: date
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def traded(self) -> bool:
        """A day without volume is a suspension: its prices only repeat the last one."""
        return self.volume > 0


@attrs.frozen(kw_only=True)
class Symbol:
    code: str
    name: str
    price: int  # where the model starts


KNOWN_SYMBOLS = (
    Symbol(code="005930", name="삼성전자", price=71_500),
    Symbol(code="000660", name="SK하이닉스", price=198_000),
    Symbol(code="005380", name="현대차", price=243_000),
    Symbol(code="035420", name="NAVER", price=171_300),
    Symbol(code="035720", name="카카오", price=43_850),
    Symbol(code="051910", name="LG화학", price=312_500),
    Symbol(code="068270", name="셀트리온", price=183_900),
    Symbol(code="015760", name="한국전력", price=22_450),
)
_NAMES = {symbol.code: symbol.name for symbol in KNOWN_SYMBOLS}


@attrs.frozen(kw_only=True)
class Step:
    """One trade of the market: when (second of the day), at which price, how many, and who took the initiative."""

    second: int
    price: int
    volume: int
    aggressor: Side


@attrs.frozen(kw_only=True)
class Session:
    """One symbol on one day. Without ``steps`` the symbol is suspended."""

    code: str
    day: date
    reference: int
    limits: PriceLimits
    open: int
    close: int
    opening_volume: int
    closing_volume: int
    steps: tuple[Step, ...] = attrs.field(repr=False)

    @property
    def suspended(self) -> bool:
        return not self.steps


def read_bars(path: Path) -> dict[str, tuple[Bar, ...]]:
    """The bars of a ``code,date,open,high,low,close,volume`` file per symbol, oldest first.

    Raises MarketFileError, naming the line, for an unreadable or wrong file.
    """
    found: dict[str, dict[date, Bar]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = {"code", "date", "open", "high", "low", "close", "volume"} - set(rows.fieldnames or ())
            if missing:
                raise MarketFileError(f"{path}: no column {', '.join(sorted(missing))}")
            for row in rows:
                bar = _read_bar(row, f"{path}, line {rows.line_num}")
                found.setdefault(row["code"].strip(), {})[bar.day] = bar
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MarketFileError(f"{path}: {error}") from error
    if not found:
        raise MarketFileError(f"{path}: no bars")
    return {code: tuple(bars[day] for day in sorted(bars)) for code, bars in sorted(found.items())}


def _read_bar(row: Mapping[str, str], where: str) -> Bar:
    try:
        day = datetime.strptime(row["date"].replace("-", ""), "%Y%m%d").date()
        prices = {name: int(row[name]) for name in ("open", "high", "low", "close", "volume")}
    except (ValueError, TypeError, AttributeError) as error:
        raise MarketFileError(f"{where}: {error}") from error
    bar = Bar(day=day, **prices)
    if bar.traded and not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise MarketFileError(f"{where}: the prices do not lie between low and high")
    return bar


class Market:
    """The days of all symbols. Sessions are made on demand and depend on the seed alone."""

    def __init__(
        self,
        seed: int,
        *,
        first_day: date,
        bars: Mapping[str, tuple[Bar, ...]] | None = None,
        symbols: Iterable[Symbol] = KNOWN_SYMBOLS,
        holidays: frozenset[date] = frozenset(),
        trades_per_day: int = TRADES_PER_DAY,
    ) -> None:
        self._seed = seed
        self._trades_per_day = trades_per_day
        self._bars = {code: {bar.day: bar for bar in rows} for code, rows in (bars or {}).items()}
        listed = frozenset(day for rows in self._bars.values() for day in rows)
        self.calendar = Calendar(holidays=holidays, listed=listed)
        self.symbols = tuple(_recorded_symbols(bars) if bars else symbols)
        self._names = {symbol.code: symbol.name for symbol in self.symbols}
        self._start = {symbol.code: symbol.price for symbol in self.symbols}
        self._history_from = min(listed) if listed else first_day - timedelta(days=HISTORY_DAYS)
        self.first_day = self.calendar.first_open(max(first_day, self._history_from))
        self._series: dict[str, list[Bar]] = {symbol.code: [] for symbol in self.symbols}
        self._walked_to = self._history_from - timedelta(days=1)

    def name(self, code: str) -> str:
        return self._names[code]

    def knows(self, code: str) -> bool:
        return code in self._names

    def bars(self, code: str, first: date, last: date) -> list[Bar]:
        """The bars of the trading days from ``first`` to ``last``, oldest first; suspended days are left out."""
        self._walk_to(last)
        return [bar for bar in self._series[code] if first <= bar.day <= last]

    def session(self, code: str, day: date) -> Session:
        """The walk of a symbol on a day."""
        self._walk_to(day)
        before = [bar for bar in self._series[code][-3:] if bar.day < day]
        if not before:
            before = [bar for bar in self._series[code] if bar.day < day]
        bar = next((bar for bar in reversed(self._series[code]) if bar.day == day), None)
        reference = round_nearest(before[-1].close if before else bar.open if bar else self._start[code])
        if bar is None:
            return _suspension(code, day, reference)
        return _walk(code, bar, reference, self.chance(code, day, "path"), self._trades_per_day)

    def _walk_to(self, day: date) -> None:
        while self._walked_to < day:
            self._walked_to = following = self.calendar.next_open(self._walked_to)
            for code, series in self._series.items():
                bar = self._bar(code, following, series[-1].close if series else self._start[code])
                if bar is not None and bar.traded:
                    series.append(bar)

    def _bar(self, code: str, day: date, previous: int) -> Bar | None:
        recorded = self._bars.get(code)
        if recorded is not None and day <= max(recorded):
            return recorded.get(day)
        return _model(day, previous, self.chance(code, day, "bar"))

    def chance(self, code: str, day: date, purpose: str) -> random.Random:
        """The source of randomness of one purpose; the same for the same seed, symbol and day."""
        return random.Random(f"{self._seed}/{code}/{day}/{purpose}")


def _recorded_symbols(bars: Mapping[str, tuple[Bar, ...]]) -> list[Symbol]:
    return [Symbol(code=code, name=_NAMES.get(code, code), price=rows[0].open) for code, rows in bars.items()]


def _suspension(code: str, day: date, reference: int) -> Session:
    return Session(
        code=code,
        day=day,
        reference=reference,
        limits=price_limits(reference),
        open=reference,
        close=reference,
        opening_volume=0,
        closing_volume=0,
        steps=(),
    )


def _model(day: date, previous: int, chance: random.Random) -> Bar:
    """A day of a driftless random walk inside the price limits, with a plausible range and volume."""
    limits = price_limits(round_nearest(previous))
    opening = _moved(previous, chance.gauss(0, DAILY_VOLATILITY / 3), limits)
    close = _moved(opening, chance.gauss(0, DAILY_VOLATILITY), limits)
    high = _moved(max(opening, close), abs(chance.gauss(0, DAILY_VOLATILITY / 2)) + 0.003, limits)
    low = _moved(min(opening, close), -abs(chance.gauss(0, DAILY_VOLATILITY / 2)) - 0.003, limits)
    volume = round(TYPICAL_TURNOVER * chance.lognormvariate(0, 0.4) / previous)
    return Bar(
        day=day, open=opening, high=max(high, opening, close), low=min(low, opening, close), close=close, volume=volume
    )


def _moved(price: int, by: float, limits: PriceLimits) -> int:
    return min(limits.upper, max(limits.lower, round_nearest(max(1, round(price * (1 + by))))))


def _walk(code: str, bar: Bar, reference: int, chance: random.Random, trades: int) -> Session:
    ladder = _ladder(bar.low, bar.high)
    positions = _path([_rung(ladder, price) for price in _turns(bar, chance)], len(ladder) - 1, chance, trades)
    prices = [ladder[position] for position in positions]
    opening_volume, closing_volume = max(1, bar.volume // 20), max(1, bar.volume // 15)
    opening, close = ladder[_rung(ladder, bar.open)], ladder[_rung(ladder, bar.close)]
    limits = price_limits(reference)
    if not (limits.allow(ladder[0]) and limits.allow(ladder[-1])):
        reference = opening  # a split or a new listing: the recorded previous close is not this day's reference
        limits = PriceLimits(
            lower=min(price_limits(opening).lower, ladder[0]), upper=max(price_limits(opening).upper, ladder[-1])
        )
    return Session(
        code=code,
        day=bar.day,
        reference=reference,
        limits=limits,
        open=opening,
        close=close,
        opening_volume=opening_volume,
        closing_volume=closing_volume,
        steps=_steps(prices, opening, bar.volume - opening_volume - closing_volume, chance),
    )


def _ladder(low: int, high: int) -> list[int]:
    """Every valid price of a range, lowest first; the nearest valid price when the range holds none."""
    price, top = round_up(low), round_down(high)
    if price > top:
        return [round_nearest(low)]
    rungs = [price]
    while price < top:
        price += tick_size(price)
        rungs.append(price)
    return rungs


def _rung(ladder: list[int], price: int) -> int:
    return min(range(len(ladder)), key=lambda i: abs(ladder[i] - price))


def _turns(bar: Bar, chance: random.Random) -> tuple[int, int, int, int]:
    """Open, the two extremes in a likely order, close."""
    rising = bar.close >= bar.open
    low_first = rising if chance.random() < 0.75 else not rising
    return (bar.open, bar.low, bar.high, bar.close) if low_first else (bar.open, bar.high, bar.low, bar.close)


def _path(turns: list[int], top: int, chance: random.Random, trades: int) -> list[int]:
    """A noisy walk over rungs 0…top that is exactly at each turn at some moment."""
    first, second = sorted((chance.uniform(0.08, 0.92), chance.uniform(0.08, 0.92)))
    moments = [0, max(1, int(trades * first)), max(2, int(trades * second)), trades - 1]
    moments[2] = max(moments[1] + 1, min(moments[2], trades - 2))
    noise = max(0.8, top / 40)
    at, path = float(turns[0]), [turns[0]]
    for start, end, target in zip(moments, moments[1:], turns[1:], strict=False):
        for left in range(end - start, 0, -1):
            at += (target - at) / left
            if left > 1:
                at = _reflect(at + chance.gauss(0, noise), top)
            path.append(round(at))
    return path


def _reflect(at: float, top: int) -> float:
    if at < 0:
        at = -at
    if at > top:
        at = 2 * top - at
    return min(float(top), max(0.0, at))


def _steps(prices: list[int], opening: int, volume: int, chance: random.Random) -> tuple[Step, ...]:
    spacing = (CLOSING_CALL - OPENING) / len(prices)
    weights = [chance.lognormvariate(0, 0.8) for _ in prices]
    share = volume / sum(weights)
    steps, last, side = [], opening, Side.BUY
    for i, price in enumerate(prices):
        if price != last:
            side = Side.BUY if price > last else Side.SELL
        elif chance.random() < 0.5:
            side = Side.BUY if chance.random() < 0.5 else Side.SELL
        second = OPENING + int((i + chance.random()) * spacing)
        steps.append(Step(second=second, price=price, volume=max(1, int(weights[i] * share)), aggressor=side))
        last = price
    return tuple(steps)
