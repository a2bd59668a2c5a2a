"""What messages carry inside: strategies, limits, clocks, positions, orders."""

from datetime import datetime
from typing import Annotated

from wire.schema import C, message
from wire.stops import Identifier
from wire.values import (
    MAX_FRAME_BYTES,
    AveragePrice,
    BrokerToken,
    Count,
    DurableId,
    Loosens,
    Millis,
    Name,
    ParameterKey,
    Parameters,
    Price,
    Sequence,
    Shares,
    Side,
    SignedShares,
    StrategyState,
    Symbol,
    Text,
    Won,
)


@message
class ParameterSpec:
    """The range of one strategy parameter. Bounds are inclusive."""

    type: Annotated[str, C(pattern="integer|number")]
    minimum: float
    maximum: float
    step: Annotated[float, C(gt=0)]
    unit: Annotated[str, C(max_length=20)] = ""
    title: Annotated[str, C(max_length=100)] = ""
    loosens: Loosens = Loosens.NEVER


@message
class StrategyReport:
    """A strategy as its engine reports it in hello; ``version`` counts the parameter sets it applied."""

    id: Identifier
    name: Name
    status: StrategyState
    parameters: Parameters
    parameter_schema: dict[ParameterKey, ParameterSpec]
    version: Sequence


@message
class Resume:
    session: Annotated[str, C(max_length=64)] = ""
    last_recv: Sequence = 0
    next_seq: Sequence = 1
    first_unacked: Sequence = 1


@message
class Limits:
    max_message_bytes: Count = MAX_FRAME_BYTES
    window: Count = 256
    heartbeat_ms: Millis = 5000
    offline_ms: Millis = 15000
    ack_delay_ms: Millis = 200


@message
class LeaseExpiry:
    """What an engine does by itself when its lease stays expired; None: never."""

    cancel_after_ms: Millis | None = 30000
    flatten_after_ms: Millis | None = None


@message
class Clocks:
    """Ages of the engine's own sources; None: never heard."""

    market_data_age_ms: Millis | None = None
    order_channel_age_ms: Millis | None = None
    broker_token: BrokerToken = BrokerToken.NONE


@message
class PositionItem:
    symbol: Symbol
    quantity: SignedShares
    average_price: AveragePrice
    current_price: Price | None = None
    unrealized_pnl: Won | None = None
    strategy_id: Identifier | None = None
    blocked: Text | None = None


@message
class OpenOrder:
    order_id: DurableId
    symbol: Symbol
    side: Side
    remaining: Shares
    price: Price


@message
class Residual:
    """What a stop could not close: how many shares of what, why, and until when that is known to hold."""

    symbol: Symbol
    quantity: SignedShares
    reason: Text
    until: datetime | None = None


@message
class Reduced:
    """For so long after a release an order that does not reduce a position may be worth at most so much."""

    for_ms: Annotated[int, C(unit="ms", ge=1, le=120 * 60_000)]
    max_order_value: Annotated[int, C(unit="won", ge=1, le=10**12)]
