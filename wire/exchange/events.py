"""What happens at the exchange, in the order in which it happens, and what may befall a symbol."""

from datetime import date
from enum import StrEnum

import attrs

from wire.exchange.market import Step
from wire.exchange.matching import Quotes
from wire.exchange.orders import Fill, Order
from wire.exchange.tape import Tape

INTERRUPTION = 120.0  # seconds of call auction after a volatility interruption


class Condition(StrEnum):
    """What can befall one symbol while the others trade. Limit-down: it stands at its lower limit and nobody buys."""

    NORMAL = "normal"
    HALTED = "halted"
    INTERRUPTED = "interrupted"
    LIMIT_DOWN = "limit_down"


@attrs.frozen(kw_only=True)
class Accepted:
    """A new order number: an order, a modification or a cancellation. ``reduces``: it sells shares that are held."""

    order: Order
    reduces: bool


@attrs.frozen(kw_only=True)
class Filled:
    order: Order
    fill: Fill


@attrs.frozen(kw_only=True)
class Withdrawn:
    """Part of an order ended without trading: by amendment, as the rest of an IOC or FOK, or at the end of the day."""

    order: Order
    quantity: int
    cause: str  # amended, immediate, expired


@attrs.frozen(kw_only=True)
class Traded:
    code: str
    step: Step
    tape: Tape
    quotes: Quotes


@attrs.frozen(kw_only=True)
class DayOpened:
    day: date


Event = Accepted | Filled | Withdrawn | Traded | DayOpened
