"""Orders as the exchange keeps them. An order is a value: every change makes a new one."""

from datetime import date
from decimal import Decimal
from enum import StrEnum

import attrs

from wire.exchange.fees import FeeSchedule, Side, buy_cost
from wire.exchange.ticks import PriceLimits


class Kind(StrEnum):
    LIMIT = "limit"
    MARKET = "market"
    CONDITIONAL = "conditional"  # a limit order whose rest becomes a market order in the closing auction
    BEST = "best"  # the opposite side's best price becomes its limit
    TOP = "top"  # its own side's best price becomes its limit


class Lifetime(StrEnum):
    DAY = "day"
    IOC = "ioc"  # fill what is possible, cancel the rest
    FOK = "fok"  # all or nothing


class Purpose(StrEnum):
    NEW = "new"
    MODIFY = "modify"
    CANCEL = "cancel"


class Refusal(StrEnum):
    """Why the exchange or the broker does not take an order."""

    CLOSED = "closed"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_SYMBOL = "unknown_symbol"
    HALTED = "halted"
    QUANTITY = "quantity"
    OFF_GRID = "off_grid"
    OUTSIDE_LIMITS = "outside_limits"
    KIND = "kind"
    CASH = "cash"
    HOLDING = "holding"
    UNKNOWN_ORDER = "unknown_order"
    NOTHING_LEFT = "nothing_left"


@attrs.frozen(kw_only=True)
class Ticket:
    """What an account wants. ``price`` is 0 for kinds without one; ``label`` is the broker's own type code."""

    account: str
    symbol: str
    side: Side
    quantity: int
    price: int = 0
    kind: Kind = Kind.LIMIT
    lifetime: Lifetime = Lifetime.DAY
    label: str = ""


@attrs.frozen(kw_only=True)
class Amendment:
    """A modification or a cancellation of ``original``; without ``quantity`` the whole rest is meant."""

    account: str
    original: int
    purpose: Purpose
    quantity: int | None = None
    price: int = 0
    kind: Kind = Kind.LIMIT
    lifetime: Lifetime = Lifetime.DAY
    label: str = ""


@attrs.frozen(kw_only=True)
class Order:
    """One order number of a day. ``price`` is the effective limit; a market order has none (0).

    A cancellation has a number too; its ``quantity`` is what it took from ``original`` and nothing of it is open.
    """

    number: int
    day: date
    second: int
    account: str
    symbol: str
    side: Side
    kind: Kind
    lifetime: Lifetime
    label: str
    quantity: int
    price: int
    purpose: Purpose = Purpose.NEW
    original: int | None = None
    filled: int = 0
    filled_value: int = 0
    expenses: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def open_quantity(self) -> int:
        if self.purpose is Purpose.CANCEL:
            return 0
        return self.quantity - self.filled - self.cancelled - self.expired

    @property
    def is_open(self) -> bool:
        return self.open_quantity > 0

    @property
    def average_price(self) -> Decimal:
        """Won per filled share, four places; 0 without a fill."""
        return (Decimal(self.filled_value) / self.filled).quantize(Decimal("0.0001")) if self.filled else Decimal(0)

    def reserve(self, limits: PriceLimits, fees: FeeSchedule) -> int:
        """The cash (won) an open buy holds back; without a price it is reckoned at the upper limit."""
        if self.side is Side.SELL or not self.is_open:
            return 0
        return buy_cost(self.open_quantity * (self.price or limits.upper), fees)

    def matches(self, price: int) -> bool:
        """Whether the order may trade at ``price``."""
        if not self.price:
            return True
        return price <= self.price if self.side is Side.BUY else price >= self.price


@attrs.frozen(kw_only=True)
class Fill:
    """One execution of an order. ``at`` is the second of the day."""

    number: int
    order: int
    day: date
    second: int
    account: str
    symbol: str
    side: Side
    quantity: int
    price: int
    fee: int
    tax: int
