"""An account's books: cash by settlement day, positions with their cost, fees and taxes. Whole won, whole shares.

Positions change on the trade day, cash two trading days later; what a sale will bring can be spent at once, so the
cash that counts for an order is the cash of the day after next (D+2) less what open buys reserve.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import attrs

from wire.exchange.calendar import Calendar
from wire.exchange.fees import DEFAULT_FEES, Charges, FeeSchedule, Side, charges

_CENT = Decimal("0.0001")


class BooksError(Exception):
    """A booking that would make cash or shares negative: the caller did not check first."""


@attrs.frozen(kw_only=True)
class Position:
    """Shares of one symbol and what they cost, commissions not included."""

    symbol: str
    quantity: int = 0
    cost: int = 0
    bought_today: int = 0
    sold_today: int = 0
    bought_yesterday: int = 0
    sold_yesterday: int = 0
    gone_until: date | None = None  # sold out: still listed until the sale has settled

    @property
    def average_price(self) -> Decimal:
        """Won per share to four places; 0 without shares."""
        return (Decimal(self.cost) / self.quantity).quantize(_CENT) if self.quantity else Decimal("0.0000")

    def bought(self, quantity: int, value: int) -> "Position":
        """The position after a buy of ``quantity`` shares for ``value`` won."""
        return attrs.evolve(
            self,
            quantity=self.quantity + quantity,
            cost=self.cost + value,
            bought_today=self.bought_today + quantity,
            gone_until=None,
        )

    def cost_of(self, quantity: int) -> int:
        """The cost (won) of ``quantity`` of the shares at their average; all of it for all of them."""
        return self.cost * quantity // self.quantity

    def sold(self, quantity: int) -> "Position":
        """The position after a sale. BooksError for more shares than it has."""
        if quantity > self.quantity:
            raise BooksError(f"{self.symbol}: {quantity} shares sold, {self.quantity} held")
        return attrs.evolve(
            self,
            quantity=self.quantity - quantity,
            cost=self.cost - self.cost_of(quantity),
            sold_today=self.sold_today + quantity,
        )

    def next_day(self) -> "Position":
        return attrs.evolve(
            self, bought_yesterday=self.bought_today, sold_yesterday=self.sold_today, bought_today=0, sold_today=0
        )


@attrs.frozen(kw_only=True)
class Settlement:
    """Cash (won, negative for buys) that will be booked on a day."""

    day: date
    amount: int


@attrs.frozen(kw_only=True)
class Turnover:
    """One day's buys, sales, and commissions with taxes, in won."""

    bought: int = 0
    sold: int = 0
    expenses: int = 0


@attrs.frozen(kw_only=True)
class Account:
    """One account. Every change makes a new value."""

    id: str
    deposit: int
    fees: FeeSchedule = DEFAULT_FEES
    unsettled: tuple[Settlement, ...] = ()
    positions: Mapping[str, Position] = attrs.field(factory=dict)
    today: Turnover = Turnover()
    yesterday: Turnover = Turnover()
    assets_yesterday: int = 0

    @property
    def cash_d2(self) -> int:
        """The cash (won) when everything traded so far has settled."""
        return self.deposit + sum(settlement.amount for settlement in self.unsettled)

    def cash_by(self, day: date) -> int:
        """The cash (won) when everything due up to ``day`` has settled."""
        return self.deposit + sum(settlement.amount for settlement in self.unsettled if settlement.day <= day)

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol=symbol)

    def filled(
        self, side: Side, symbol: str, price: int, quantity: int, day: date, calendar: Calendar
    ) -> tuple["Account", Charges]:
        """The account after a fill, and the fill's charges. BooksError where cash or shares do not suffice."""
        made = charges(side, price, quantity, self.fees)
        if self.cash_d2 + made.cash < 0:
            raise BooksError("a fill costs more cash than the account has")
        due, held = calendar.settlement(day), self.position(symbol)
        if side is Side.BUY:
            held = held.bought(quantity, made.value)
        else:
            held = held.sold(quantity)
            held = held if held.quantity else attrs.evolve(held, gone_until=due)
        booked = attrs.evolve(
            self,
            unsettled=_added(self.unsettled, due, made.cash),
            positions={**self.positions, symbol: held},
            today=_traded(self.today, side, made),
        )
        return booked, made

    def value(self, prices: Mapping[str, int]) -> int:
        """What the shares are worth (won) at the given prices."""
        return sum(held.quantity * prices.get(held.symbol, 0) for held in self.positions.values())

    def opened_day(self, day: date, prices: Mapping[str, int]) -> "Account":
        """The account on the morning of ``day``; ``prices`` are the closes of the day before."""
        kept = {
            symbol: held.next_day()
            for symbol, held in self.positions.items()
            if held.quantity or (held.gone_until is not None and held.gone_until >= day)
        }
        return attrs.evolve(
            self,
            deposit=self.cash_by(day),
            unsettled=tuple(settlement for settlement in self.unsettled if settlement.day > day),
            positions=kept,
            today=Turnover(),
            yesterday=self.today,
            assets_yesterday=self.cash_d2 + self.value(prices),
        )


def _added(unsettled: tuple[Settlement, ...], day: date, amount: int) -> tuple[Settlement, ...]:
    already = sum(settlement.amount for settlement in unsettled if settlement.day == day)
    others = tuple(settlement for settlement in unsettled if settlement.day != day)
    return (*others, Settlement(day=day, amount=already + amount))


def _traded(turnover: Turnover, side: Side, made: Charges) -> Turnover:
    return Turnover(
        bought=turnover.bought + (made.value if side is Side.BUY else 0),
        sold=turnover.sold + (made.value if side is Side.SELL else 0),
        expenses=turnover.expenses + made.fee + made.tax,
    )
