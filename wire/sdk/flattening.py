"""How a position can be closed in the market as it is now: which order its phase takes, or why none can be filled.

Pure. A stop sells at market without asking first; only where an order was refused or stays unfilled is the symbol
looked at, and what is seen decides: sell, sell and wait in the queue, or wait until the state changes. The rules are
the exchange's: one price at a time in a call auction, no trade in a halt, no price below the lower limit, whole
trading units only.
"""

from datetime import UTC, datetime, time, timedelta, timezone
from enum import Enum

import attrs

from wire.exchange import ticks

GIVE_WAY = 5  # ticks under the bid for a limit order that must trade now
_KST = timezone(timedelta(hours=9))
_OPENING = time(9, 0)


class MarketPhase(Enum):
    """What the exchange does with orders of a symbol. AUCTION collects them for one price."""

    CONTINUOUS = "continuous"
    AUCTION = "auction"
    CLOSED = "closed"


@attrs.frozen(kw_only=True)
class SymbolState:
    """One look at a symbol. ``interrupted``: a volatility interruption. Prices in won; ``bid`` 0: nobody buys."""

    symbol: str
    phase: MarketPhase
    price: int
    bid: int
    lower_limit: int
    lot: int = 1
    halted: bool = False
    interrupted: bool = False


@attrs.frozen(kw_only=True)
class Blocked:
    """Why a position cannot be closed now. ``queues``: an order is taken and stands in the queue meanwhile.
    ``is_closed``: the exchange takes nothing at all, not even cancels; that ends the session's attempts."""

    reason: str
    until: datetime | None = None
    queues: bool = False
    is_closed: bool = False


HALTED = Blocked(reason="trading in the symbol is halted")
INTERRUPTED = Blocked(reason="volatility interruption: the order waits for its single price", queues=True)
AUCTION = Blocked(reason="call auction: the order waits for its single price", queues=True)
LIMIT_DOWN = Blocked(reason="at the lower price limit and nobody buys: the order waits in the queue", queues=True)


@attrs.frozen(kw_only=True)
class Terms:
    """A closing sale; ``price`` 0 at market. ``quantity`` 0: no whole trading unit is left."""

    quantity: int
    price: int


def closed(trading_day: str) -> Blocked:
    """The market is closed for the rest of ``trading_day`` (YYYYMMDD, or empty when not known)."""
    return Blocked(reason="the market is closed", until=next_opening(trading_day), is_closed=True)


def assess(state: SymbolState, quantity: int, trading_day: str) -> Blocked | None:
    """Why ``quantity`` shares would not be sold at once; None when they should be."""
    if state.phase is MarketPhase.CLOSED:
        return closed(trading_day)
    if state.halted:
        return HALTED
    if quantity < state.lot:
        return Blocked(reason=f"{quantity:,} shares are fewer than the trading unit of {state.lot:,}")
    if state.interrupted:
        return INTERRUPTED
    if state.phase is MarketPhase.AUCTION:
        return AUCTION
    return LIMIT_DOWN if not state.bid and state.price <= state.lower_limit else None


def terms(state: SymbolState | None, quantity: int, *, bid: int, attempt: int) -> Terms:
    """How to sell ``quantity`` shares. ``state`` None: not looked at; ``bid``: of the last trade, 0 when not known.

    At market, and every second time, since that was not filled or not taken, at a limit that gives way. Where a single
    price is made or nobody buys, at the lower limit: every phase takes that order, and it sells like one at market.
    """
    if state is None:
        return Terms(quantity=quantity, price=_give_way(bid, 0) if attempt % 2 and bid else 0)
    whole = quantity - quantity % max(1, state.lot)
    if state.phase is not MarketPhase.CONTINUOUS or state.interrupted or not state.bid:
        return Terms(quantity=whole, price=state.lower_limit)
    return Terms(quantity=whole, price=_give_way(state.bid, state.lower_limit) if attempt % 2 else 0)


def _give_way(bid: int, floor: int) -> int:
    return max(1, floor, ticks.step(ticks.round_down(bid), -GIVE_WAY))


def next_opening(trading_day: str) -> datetime | None:
    """When the exchange opens next after this day (YYYYMMDD), holidays not known; None without a day."""
    if len(trading_day) != 8:
        return None
    day = datetime.strptime(trading_day, "%Y%m%d").date() + timedelta(days=1)  # the exchange's date
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return datetime.combine(day, _OPENING, _KST).astimezone(UTC)
