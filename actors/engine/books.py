"""The engine's books: positions by owner, cash, fees, taxes and profit, in whole won.

Every fill is charged by the one formula in ``wire.exchange.fees``, so the books agree with the broker to the won. The
broker's own view wins whenever the two differ: what it holds beyond the books becomes unowned, what it lacks is taken
from the unowned first. Shares are never sold short.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

import attrs

from actors.engine.orders import UNOWNED
from wire.exchange import fees
from wire.values import Side

_PLACES = Decimal("0.0001")


@attrs.frozen(kw_only=True)
class Position:
    """``cost``: won paid for the shares still held, without fees."""

    strategy_id: str
    symbol: str
    quantity: int = 0
    cost: int = 0

    @property
    def average_price(self) -> Decimal:
        """Won per share, four places."""
        if self.quantity == 0:
            return Decimal(0)
        return (Decimal(self.cost) / self.quantity).quantize(_PLACES, rounding=ROUND_HALF_UP)


@attrs.frozen(kw_only=True)
class Execution:
    """One fill with what it cost; ``realized`` is the profit it closed, after fee and tax."""

    strategy_id: str
    symbol: str
    side: Side
    quantity: int
    price: int
    fee: int
    tax: int
    realized: int


@attrs.frozen(kw_only=True)
class Held:
    """A position as the broker reports it."""

    quantity: int
    average_price: Decimal


@attrs.frozen(kw_only=True)
class Difference:
    """Where the books had to give way to the broker."""

    symbol: str
    booked: int
    held: int


class Books:
    """Mutable, synchronous, never waits. ``schedule`` is the account's tariff. ``cash_is_known``: only the broker knows
    it, so after a start ``cash`` means nothing before the first read that could be believed."""

    def __init__(self, schedule: fees.FeeSchedule = fees.DEFAULT_FEES) -> None:
        self._schedule = schedule
        self._positions: dict[tuple[str, str], Position] = {}
        self.cash = 0
        self.cash_is_known = False
        self.realized = 0
        self.day = ""

    def position(self, strategy_id: str, symbol: str) -> Position:
        return self._positions.get((strategy_id, symbol), Position(strategy_id=strategy_id, symbol=symbol))

    def positions(self) -> list[Position]:
        """Everything held, by symbol and then owner."""
        held = (p for p in self._positions.values() if p.quantity)
        return sorted(held, key=lambda p: (p.symbol, p.strategy_id))

    def total(self, symbol: str) -> int:
        return sum(p.quantity for p in self._positions.values() if p.symbol == symbol)

    def equity(self, prices: Mapping[str, int]) -> int:
        """Cash and holdings at these prices; a holding without a price counts at its cost."""
        return self.cash + sum(
            p.quantity * prices[p.symbol] if p.symbol in prices else p.cost for p in self.positions()
        )

    def apply(self, strategy_id: str, symbol: str, side: Side, quantity: int, price: int) -> Execution:
        """Books a fill. A sale of more than the owner holds takes the rest from the unowned and then from the others,
        for the broker did sell it."""
        charges = fees.charges(fees.Side(side.value), price, quantity, self._schedule)
        self.cash += charges.cash
        if side is Side.BUY:
            self._add(strategy_id, symbol, quantity, charges.value)
            realized = -charges.fee
        else:
            realized = charges.cash - self._take(strategy_id, symbol, quantity)
        self.realized += realized
        return Execution(
            strategy_id=strategy_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            fee=charges.fee,
            tax=charges.tax,
            realized=realized,
        )

    def reconcile(self, held: Mapping[str, Held], cash: int) -> list[Difference]:
        """Takes the broker's view as the truth and says where the books were wrong."""
        differences = []
        for symbol in sorted({p.symbol for p in self.positions()} | set(held)):
            booked = self.total(symbol)
            broker = held.get(symbol, Held(quantity=0, average_price=Decimal(0)))
            if booked == broker.quantity:
                continue
            differences.append(Difference(symbol=symbol, booked=booked, held=broker.quantity))
            if broker.quantity > booked:
                more = broker.quantity - booked
                self._add(UNOWNED, symbol, more, int(more * broker.average_price))
            else:
                self._take(UNOWNED, symbol, booked - broker.quantity)
        self.cash, self.cash_is_known = cash, True
        return differences

    def agrees_with(self, held: Mapping[str, Held]) -> bool:
        symbols = {p.symbol for p in self.positions()} | set(held)
        return all(self.total(s) == (held[s].quantity if s in held else 0) for s in symbols)

    def begin_day(self, day: str) -> bool:
        """``day`` YYYYMMDD. True when it is another one: the day's profit starts at zero."""
        if day == self.day:
            return False
        self.day, self.realized = day, 0
        return True

    def restore(self, position: Position) -> None:
        self._positions[position.strategy_id, position.symbol] = position

    def _add(self, strategy_id: str, symbol: str, quantity: int, cost: int) -> None:
        p = self.position(strategy_id, symbol)
        self.restore(attrs.evolve(p, quantity=p.quantity + quantity, cost=p.cost + cost))

    def _take(self, strategy_id: str, symbol: str, quantity: int) -> int:
        """Removes shares, first from the owner, then the unowned, then the others; the won they had cost."""
        others = sorted(p.strategy_id for p in self.positions() if p.symbol == symbol)
        cost = 0
        for owner in dict.fromkeys([strategy_id, UNOWNED, *others]):
            p = self.position(owner, symbol)
            taken = min(quantity, p.quantity)
            if taken:
                share = p.cost * taken // p.quantity
                self.restore(attrs.evolve(p, quantity=p.quantity - taken, cost=p.cost - share))
                cost, quantity = cost + share, quantity - taken
        return cost
