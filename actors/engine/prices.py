"""What the engine's holdings are worth: the newest price of each symbol, of the stream or of a read of the account."""

import attrs

from actors.engine.books import Books


@attrs.frozen(kw_only=True)
class Quote:
    """The last trade of a symbol; 0 where that side of the book is empty. ``at``: engine seconds."""

    price: int
    bid: int
    ask: int
    at: float


@attrs.frozen(kw_only=True)
class BalanceSeen:
    """The last read of the account that agreed with the books: ``at`` engine seconds, ``prices`` by symbol.
    ``assets_yesterday``: the broker's statement in won, 0 without one."""

    at: float
    prices: dict[str, int]
    assets_yesterday: int


class Prices:
    """Synchronous. ``seen`` None: no read of the account counts for the present trading day yet."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self.seen: BalanceSeen | None = None

    def of(self, symbol: str) -> int:
        """Won; 0 when nobody knows."""
        return self._newest(symbol)[0]

    def at(self, symbol: str) -> float | None:
        """When that price was true; None without one."""
        price, at = self._newest(symbol)
        return at if price else None

    def equity(self, books: Books) -> int:
        """Cash and holdings at the newest prices."""
        prices = {p.symbol: self.of(p.symbol) for p in books.positions()}
        return books.equity({symbol: price for symbol, price in prices.items() if price})

    def _newest(self, symbol: str) -> tuple[int, float]:
        quote = self.quotes.get(symbol)
        read = (self.seen.prices.get(symbol, 0), self.seen.at) if self.seen is not None else (0, 0.0)
        if quote is None or (read[0] and read[1] > quote.at):
            return read
        return quote.price, quote.at
