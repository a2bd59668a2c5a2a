"""How the broker says in what state a symbol and its market are.

No source gives the values of all its codes, so only what is known counts: the first character of the market code, "Y"
for a halt, and for an interruption whatever is neither "N" nor empty.
"""

from wire.kis.quotes import Depth, Price
from wire.sdk.flattening import MarketPhase, SymbolState

_CLOSED_CODES = frozenset({"APBK0918", "APBK0919"})
_CLOSED_WORDS = ("장운영", "장 운영", "장종료", "장 종료", "장개시", "장 개시", "장시작", "장 시작")
_PHASES = {
    "1": MarketPhase.AUCTION,  # before the opening
    "2": MarketPhase.CONTINUOUS,
    "3": MarketPhase.CLOSED,
    "4": MarketPhase.AUCTION,  # single price
}


def phase_of(market_code: str) -> MarketPhase:
    """``NEW_MKOP_CLS_CODE``; what is not known counts as the regular session, whose refusals say the rest."""
    return _PHASES.get(market_code[:1], MarketPhase.CONTINUOUS)


def trades_continuously(market_code: str, halted: str) -> bool:
    """Whether a trade of the stream shows an open market for its symbol."""
    return market_code[:1] == "2" and halted != "Y"


def state_of(price: Price, depth: Depth) -> SymbolState:
    return SymbolState(
        symbol=price.symbol,
        phase=phase_of(depth.market_code),
        price=price.price,
        bid=depth.bid_prices[0] if depth.bid_prices else 0,
        lower_limit=price.lower_limit,
        lot=max(1, price.lot),
        halted=price.halted == "Y",
        interrupted=price.volatility not in ("N", "", "0"),
    )


def market_is_closed(broker_code: str, text: str) -> bool:
    """The broker uses these codes for other refusals too: its words decide."""
    return broker_code in _CLOSED_CODES and says_closed(text)


def says_closed(text: str) -> bool:
    return any(words in text for words in _CLOSED_WORDS)
