"""What a strategy is: a pure function of its state, a tick, what it holds and its parameters.

A strategy never sends anything. It returns decisions with their reasons; the engine checks them against the stops, the
lease and the reconciliation, and sends them. Parameters are validated against the strategy's own schema and replaced
as a whole between two ticks, so no tick ever sees half a change.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

import attrs

from wire.parts import ParameterSpec
from wire.sdk.parameters import Values
from wire.stops import Level
from wire.values import Side

S = TypeVar("S")


@attrs.frozen(kw_only=True)
class Tick:
    """One trade. Prices in won, 0 where the side of the book is empty; ``at``: seconds on the engine's clock."""

    symbol: str
    price: int
    bid: int
    ask: int
    at: float


@attrs.frozen(kw_only=True)
class Resting:
    """An order of this strategy that is not over. ``age``: seconds since it was decided."""

    order_id: str
    side: Side
    remaining: int
    price: int
    age: float
    patient: bool
    cancelling: bool
    working: bool


@attrs.frozen(kw_only=True)
class Standing:
    """What the strategy has in the tick's symbol. ``cash`` and ``equity``: won, of the whole account."""

    quantity: int
    average_price: Decimal
    orders: tuple[Resting, ...]
    cash: int
    equity: int
    level: Level


@attrs.frozen(kw_only=True)
class Place:
    """Send an order. ``price`` is a limit on the grid; ``patient``: it is meant to rest in the book."""

    side: Side
    quantity: int
    price: int
    reason: str
    patient: bool = False


@attrs.frozen(kw_only=True)
class Withdraw:
    order_id: str
    reason: str


Decision = Place | Withdraw


class Strategy(Protocol, Generic[S]):
    """``on_tick`` is called for one symbol at a time with that symbol's state."""

    schema: Mapping[str, ParameterSpec]
    defaults: Values

    def begin(self) -> S: ...

    def on_tick(self, state: S, tick: Tick, standing: Standing, values: Values) -> tuple[S, tuple[Decision, ...]]: ...
