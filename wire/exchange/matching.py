"""The order book of one symbol: the resting orders of all accounts against each other and against the market's walk.

The market shows a seeded quantity at ten levels a side around its last trade. An arriving order takes the best price
first; at equal price the market's displayed quantity stands before the accounts' orders, and these stand in the order
of their arrival. When the market trades at an order's limit the order gets a share of that trade; when the market's
prices have passed the limit it is filled at its limit, as far as the newly displayed quantity reaches.
"""

import random
from collections.abc import Iterable, Iterator

import attrs

from wire.exchange.fees import Side
from wire.exchange.market import Session, Step
from wire.exchange.orders import Lifetime, Order
from wire.exchange.ticks import step as tick_step

LEVELS = 10
# A resting order at the traded price stands in a queue: it sees at most this part of the trade.
QUEUE_SHARE = 2


@attrs.frozen(kw_only=True)
class Match:
    """A quantity of one order executed at a price. Its counterpart is the market or another order's match."""

    order: int
    quantity: int
    price: int


@attrs.frozen(kw_only=True)
class Quotes:
    """The market's ten levels a side, best first; a level beyond a price limit is absent."""

    asks: tuple[tuple[int, int], ...]
    bids: tuple[tuple[int, int], ...]

    def side(self, side: Side) -> tuple[tuple[int, int], ...]:
        """The levels a ``side`` order would take."""
        return self.asks if side is Side.BUY else self.bids


EMPTY_QUOTES = Quotes(asks=(), bids=())


def quotes_after(session: Session, step: Step, chance: random.Random) -> Quotes:
    """What the market shows after a trade: the traded price is its best ask after a buy, its best bid after a sale."""
    ask = step.price if step.aggressor is Side.BUY else tick_step(step.price, 1)
    bid = tick_step(step.price, -1) if step.aggressor is Side.BUY else step.price
    typical = 1 + sum(some.volume for some in session.steps[:20]) // 10
    return Quotes(asks=_levels(session, ask, 1, typical, chance), bids=_levels(session, bid, -1, typical, chance))


def _levels(session: Session, best: int, away: int, typical: int, chance: random.Random) -> tuple[tuple[int, int], ...]:
    levels, price = [], best
    for i in range(LEVELS):
        if not session.limits.allow(price):
            break
        levels.append((price, max(1, int(typical * (1 + i / 4) * chance.uniform(0.4, 1.6)))))
        further = tick_step(price, away)
        if further == price:
            break
        price = further
    return tuple(levels)


class OrderBook:
    """The resting orders of one symbol. Methods return matches; the caller books them and hands new states back."""

    def __init__(self, resting: Iterable[Order] = ()) -> None:
        self._resting: dict[int, Order] = {order.number: order for order in resting if order.is_open}
        self._quotes = EMPTY_QUOTES
        self._taken: dict[tuple[Side, int], int] = {}

    @property
    def quotes(self) -> Quotes:
        """What the market still shows: the displayed quantity less what orders took since the last trade."""
        return Quotes(
            asks=tuple(self._left(Side.BUY, price, size) for price, size in self._quotes.asks),
            bids=tuple(self._left(Side.SELL, price, size) for price, size in self._quotes.bids),
        )

    @property
    def resting(self) -> tuple[Order, ...]:
        return tuple(self._resting.values())

    def show(self, quotes: Quotes) -> None:
        """The market shows new quantities; what was taken of the old ones is forgotten."""
        self._quotes = quotes
        self._taken.clear()

    def best(self, side: Side) -> int | None:
        """The best price of the market's bids (BUY) or asks (SELL)."""
        levels = self._quotes.bids if side is Side.BUY else self._quotes.asks
        return levels[0][0] if levels else None

    def rest(self, order: Order) -> None:
        """Put an order into the book, or its new state in place of the old one; a finished one leaves it."""
        if order.is_open:
            self._resting[order.number] = order
        else:
            self._resting.pop(order.number, None)

    def arrive(self, order: Order) -> list[Match]:
        """An order arrives in continuous trading: the matches it makes at once, its own and its counterparts'.

        The caller books the matches, hands the orders' new states back with ``rest`` and cancels an IOC's remainder.
        """
        offers = list(self._offers(order))
        if order.lifetime is Lifetime.FOK and sum(size for _, size, _ in offers) < order.open_quantity:
            return []
        return self._take(order, offers, at=None)

    def traded(self, step: Step) -> list[Match]:
        """The market traded: the matches of resting orders, best price and earliest number first."""
        matches, share = [], step.volume // QUEUE_SHARE
        for order in self._in_priority():
            if order.price and order.price == step.price and order.side is not step.aggressor:
                part = min(order.open_quantity, share)
                share -= part
                matches += [Match(order=order.number, quantity=part, price=step.price)] if part else []
            else:
                matches += self._take(order, self._displayed(order), at=order.price or None)
        return matches

    def uncross(self, price: int, volume: int) -> list[Match]:
        """A call auction at one price: orders better than it are filled whole, those at it out of ``volume`` a side."""
        left = {Side.BUY: volume, Side.SELL: volume}
        matches = []
        for order in self._in_priority():
            if order.matches(price):
                better = not order.price or order.price != price
                part = order.open_quantity if better else min(order.open_quantity, left[order.side])
                left[order.side] -= 0 if better else part
                matches += [Match(order=order.number, quantity=part, price=price)] if part else []
        return matches

    def _in_priority(self) -> list[Order]:
        def rank(order: Order) -> tuple[bool, int, int]:
            return bool(order.price), -order.price if order.side is Side.BUY else order.price, order.number

        return sorted(self._resting.values(), key=rank)

    def _left(self, side: Side, price: int, size: int) -> tuple[int, int]:
        return price, size - self._taken.get((side, price), 0)

    def _displayed(self, order: Order) -> list[tuple[int, int, int | None]]:
        levels = (self._left(order.side, price, size) for price, size in self._quotes.side(order.side))
        return [(price, size, None) for price, size in levels if size > 0 and order.matches(price)]

    def _offers(self, order: Order) -> Iterator[tuple[int, int, int | None]]:
        """What an order can take: (price, quantity, the resting order or None for the market), best first."""
        others = [
            (other.price, other.open_quantity, other.number)
            for other in self._resting.values()
            if other.side is not order.side and other.price and order.matches(other.price)
        ]
        direction = 1 if order.side is Side.BUY else -1
        offers: list[tuple[int, int, int | None]] = [*self._displayed(order), *others]
        return iter(sorted(offers, key=lambda offer: (direction * offer[0], offer[2] is not None, offer[2] or 0)))

    def _take(self, order: Order, offers: Iterable[tuple[int, int, int | None]], *, at: int | None) -> list[Match]:
        """Take offers until the order is full; ``at`` replaces the offered price (a resting order keeps its limit)."""
        matches, wanted = [], order.open_quantity
        for price, size, other in offers:
            part = min(wanted, size)
            if not part:
                break
            wanted -= part
            matches.append(Match(order=order.number, quantity=part, price=at or price))
            if other is None:
                taken = order.side, price
                self._taken[taken] = self._taken.get(taken, 0) + part
            else:
                matches.append(Match(order=other, quantity=part, price=price))
        return matches
