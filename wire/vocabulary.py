"""The desk's other words: models that no message of a link carries as such, for engines, tools and scripts.

They are checked like every message. Where a model is another view of a message, it has a way there or back.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Self

import attrs

from wire.errors import InvalidField
from wire.messages import HealthUpdate, Hello
from wire.rest.engines import Connection, EngineStatus
from wire.rest.stops import StopRequest
from wire.schema import C, message
from wire.stops import Identifier
from wire.values import (
    AveragePrice,
    Count,
    DurableId,
    ErrorCode,
    Name,
    OrderStatus,
    Parameters,
    Price,
    Shares,
    Side,
    Symbol,
    Text,
    Won,
)

# --- settings -------------------------------------------------------------------------------------------------------


@message
class TradingParameters:
    """The four parameters that every strategy knows. Percentages are of the price, the risk of the account."""

    take_profit_percent: Annotated[float, C(unit="percent", gt=0, le=1000)]
    stop_loss_percent: Annotated[float, C(unit="percent", gt=0, le=100)]
    max_position_size: Annotated[float, C(unit="shares", gt=0, le=10**12)]
    risk_per_trade: Annotated[float, C(unit="percent", gt=0, le=100)]

    def as_parameters(self) -> Parameters:
        """Under the keys that parameters have on the wire."""
        return {key: getattr(self, name) for name, key in PARAMETER_KEYS.items()}


PARAMETER_KEYS = {
    "take_profit_percent": "takeProfitPercent",
    "stop_loss_percent": "stopLossPercent",
    "max_position_size": "maxPositionSize",
    "risk_per_trade": "riskPerTrade",
}


@message
class SystemLimits:
    """What the processes of a desk may use: shares of the machine from 0 to 1."""

    max_memory_usage: Annotated[float, C(gt=0, le=1)]
    max_cpu_usage: Annotated[float, C(gt=0, le=1)]
    max_concurrent_strategies: Annotated[int, C(ge=1, le=10_000)]


# --- what engines say -----------------------------------------------------------------------------------------------


class UpdateType(Enum):
    HEALTH = "health"
    TRADE = "trade"
    STATUS = "status"
    ERROR = "error"


@message
class EngineUpdate:
    """Something an engine says, before it is a message: ``data`` is read by ``wire.conformance.read_update``."""

    engine_id: Identifier
    type: UpdateType
    timestamp: datetime
    data: dict[str, Any]


class MessageType(Enum):
    """Every type of the engine link."""

    HELLO = "hello"
    WELCOME = "welcome"
    AUTH = "auth"
    ACK = "ack"
    NACK = "nack"
    HEARTBEAT = "heartbeat"
    HEARTBEAT_ACK = "heartbeat_ack"
    GAP_FILL = "gap_fill"
    GOODBYE = "goodbye"
    HEALTH_UPDATE = "health_update"
    TRADE_LOG = "trade_log"
    ORDER_UPDATE = "order_update"
    FILL = "fill"
    ENGINE_STATUS = "engine_status"
    STRATEGY_STATUS = "strategy_status"
    ERROR_REPORT = "error_report"
    POSITIONS = "positions"
    ACCOUNT = "account"
    EMERGENCY_STOP = "emergency_stop"
    STOP_PROGRESS = "stop_progress"
    LOCAL_STOP = "local_stop"
    RELEASE = "release"
    PARAMETER_UPDATE = "parameter_update"
    PARAMETER_RESULT = "parameter_result"
    STRATEGY_COMMAND = "strategy_command"
    STRATEGY_RESULT = "strategy_result"
    CONFIG_CHANGED = "config_changed"


@message
class EmergencyStopRequest:
    """The wish to stop everything, by a named person at a known time."""

    request_id: DurableId
    timestamp: datetime
    user_id: Annotated[str, C(min_length=1, max_length=64)]
    reason: Annotated[str, C(max_length=500)] | None = None

    def as_stop(self) -> StopRequest:
        """The body for POST /api/engines/emergency-stop: everything, flattened."""
        return StopRequest(request_id=self.request_id, reason=self.reason or "")


@message
class EngineMetadata:
    """What an engine says of itself in its hello."""

    name: Name
    version: Name
    supported_brokerages: list[Name]
    capabilities: list[Name]

    @classmethod
    def of(cls, hello: Hello) -> Self:
        return cls(
            name=hello.name,
            version=hello.version,
            supported_brokerages=hello.supported_brokerages,
            capabilities=hello.capabilities,
        )


@message
class EngineConnection:
    """Where an engine dials in, and how that connection is."""

    engine_id: Identifier
    websocket_url: Annotated[str, C(pattern=r"wss?://[\x21-\x7e]{1,400}")]
    last_heartbeat: datetime | None
    status: Connection

    @classmethod
    def of(cls, row: EngineStatus, listener: str) -> Self:
        """``listener``: scheme, host and port of the engine listener, as ``ws://127.0.0.1:8701``."""
        url = f"{listener.rstrip('/')}/ws/engine/{row.engine_id}"
        return cls(engine_id=row.engine_id, websocket_url=url, last_heartbeat=row.last_heartbeat, status=row.connection)


@message
class EngineProcess:
    """One engine as the sum over all of them sees it."""

    engine_id: Identifier
    connection: Connection
    health: HealthUpdate | None
    active_strategies: Count


# --- trading --------------------------------------------------------------------------------------------------------


class TradeAction(Enum):
    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


@message
class TradeDecision:
    """What a strategy wants done, and why. ``price`` None: at market."""

    action: TradeAction
    symbol: Symbol
    quantity: Shares
    reason: Annotated[str, C(pattern=r"[^\x00]*[^\s\x00][^\x00]*", max_length=2000)]
    price: Price | None = None


class OrderType(Enum):
    MARKET = "market"
    LIMIT = "limit"


@message
class OrderRequest:
    """A limit order needs a price; a market order has none."""

    symbol: Symbol
    side: Side
    quantity: Annotated[int, C(unit="shares", ge=1, le=10**12)]
    order_type: OrderType
    price: Annotated[int, C(unit="won", ge=1, le=10**12)] | None = None

    def __attrs_post_init__(self) -> None:
        if (self.order_type is OrderType.LIMIT) is (self.price is None):
            raise InvalidField("belongs to a limit order, and to no other", field="price")


@message
class OrderResult:
    order_id: Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
    status: OrderStatus
    filled_quantity: Shares
    average_price: AveragePrice | None = None
    error: ErrorCode | None = None


@message
class LiquidationResult:
    positions_closed: Count
    total_pnl: Won
    errors: list[Text] = attrs.field(factory=list)


@message
class MarketData:
    """One trade of the market. ``bid`` and ``ask``: the best prices of the book, None where that side is empty."""

    symbol: Symbol
    price: Price
    volume: Shares
    timestamp: datetime
    bid: Price | None = None
    ask: Price | None = None
