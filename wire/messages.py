"""The messages of the engine link, both directions: names and fields as the contract (section 4) gives them.

Prices, cash, fees and profit are integer won; quantities integer shares; ``average_price`` a decimal string of at most
four places; times aware datetimes (RFC 3339, UTC); parameter keys camelCase. ``LANES`` at the end says which lane each
message takes: control frames carry no seq, lossless ones wait in an outbox until they are acknowledged, conflated ones
are replaced by their successor and never replayed.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated

import attrs

from wire.errors import InvalidField
from wire.schema import C, message
from wire.stops import SYMBOL, Epoch, Identifier, Level, Scope, StopRecord, StopSnapshot

PROTOCOL = "1"
SUBPROTOCOL = "watchkeeper-engine.v1"
STRATEGY_COMMANDS = "strategy.commands"
"""The capability, in hello, of an engine that understands ``strategy_command``."""
REDUCED_RELEASES = "release.reduced"
"""The capability of an engine that keeps to ``reduced`` of a release."""
REDUCED_RESUMES = "strategy.reduced"
"""The capability of an engine that keeps to ``reduced`` of a ``strategy_command``."""
MAX_FRAME_BYTES = 256 * 1024
MAX_DEPTH = 16

Won = Annotated[int, C(unit="won", ge=-(2**53), le=2**53)]
Price = Annotated[int, C(unit="won", ge=0, le=10**12)]
Shares = Annotated[int, C(unit="shares", ge=0, le=10**12)]
SignedShares = Annotated[int, C(unit="shares", ge=-(10**12), le=10**12)]
AveragePrice = Annotated[Decimal, C(unit="won", ge=0, decimal_places=4)]
Millis = Annotated[int, C(unit="ms", ge=0, le=2**53)]
Count = Annotated[int, C(ge=0, le=2**53)]
Sequence = Annotated[int, C(ge=0, le=2**53)]
Percent = Annotated[float, C(unit="percent", ge=0)]
Text = Annotated[str, C(max_length=2000)]
Name = Annotated[str, C(min_length=1, max_length=200)]
Symbol = Annotated[str, C(pattern=SYMBOL)]
DurableId = Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
ErrorCode = Annotated[str, C(pattern=r"error_[a-z0-9_]+")]
ParameterKey = Annotated[str, C(pattern=r"[a-z][A-Za-z0-9]{0,63}")]
Parameters = Annotated[dict[ParameterKey, int | float], C(max_length=100)]
Secret = Annotated[str, C(secret=True, min_length=1, max_length=4096)]


class TradingMode(Enum):
    PAPER = "paper"
    LIVE = "live"


class LatchState(Enum):
    PRESENT = "present"
    ABSENT = "absent"
    CORRUPT = "corrupt"


class BrokerToken(Enum):
    OK = "ok"
    EXPIRING = "expiring"
    INVALID = "invalid"
    NONE = "none"


class ProcessStatus(Enum):
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    ERROR = "error"


class EngineState(Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"


class StrategyState(Enum):
    """Exactly these three (property 2). Whether a stop holds the strategy is said by ``TradingState``."""

    ACTIVE = "active"
    PAUSED = "paused"
    ERROR = "error"


class TradingState(Enum):
    NORMAL = "NORMAL"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"


class LogCategory(Enum):
    SYSTEM = "System"
    STRATEGY = "Strategy"
    TRADE = "Trade"


class Severity(Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ErrorCategory(Enum):
    BROKER = "broker"
    STRATEGY = "strategy"
    RISK = "risk"
    DATA = "data"
    SYSTEM = "system"
    LINK = "link"


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class OrderStatus(Enum):
    """UNKNOWN: the broker's answer was lost and reconciliation has not yet told."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class StopPhase(Enum):
    """Where an engine stands with a stop. "sent", "received", "frozen" and "verified" never stand for each other."""

    PENDING = "pending"
    SENT = "sent"
    RECEIVED = "received"
    FROZEN = "frozen"
    CANCELLED = "cancelled"
    FLATTENED = "flattened"
    VERIFIED = "verified"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    SUPERSEDED = "superseded"
    RELEASED = "released"


class Flatness(Enum):
    """From the broker's own view. A failed, missing or unsynced read is UNKNOWN, never FLAT."""

    FLAT = "FLAT"
    NOT_FLAT = "NOT_FLAT"
    UNKNOWN = "UNKNOWN"


class LocalStopCause(Enum):
    SENTINEL = "sentinel"
    RISK = "risk"
    LEASE_EXPIRED = "lease_expired"
    OPERATOR = "operator"


class StrategyAction(Enum):
    """Pause: no order of the strategy leaves any more. Resume: it may trade again, as far as stops and lease allow."""

    PAUSE = "pause"
    RESUME = "resume"


class ResultStatus(Enum):
    APPLIED = "applied"
    FAILED = "failed"


class GapCause(Enum):
    CONFLATED = "conflated"
    RELEASED = "released"
    EXPIRED = "expired"
    LOST = "lost"


class Loosens(Enum):
    """Which direction of change takes more risk, so that it needs the risk role."""

    UP = "up"
    DOWN = "down"
    NEVER = "never"


# --- parts ----------------------------------------------------------------------------------------------------------


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


# --- control, engine to platform ----------------------------------------------------------------------------------


@message
class Hello:
    protocol: Annotated[str, C(max_length=16)]
    instance: DurableId
    name: Name
    version: Name
    trading_mode: TradingMode
    stops: list[StopRecord]
    latch: LatchState = LatchState.ABSENT
    capabilities: list[Name] = attrs.field(factory=list)
    supported_brokerages: list[Name] = attrs.field(factory=list)
    strategies: list[StrategyReport] = attrs.field(factory=list)
    resume: Resume = Resume()


@message
class Auth:
    token: Secret


@message
class Heartbeat:
    n: Sequence
    sent_ms: Millis
    last_seq: Sequence
    last_recv: Sequence
    stop_epoch: Epoch
    level: Level
    synced: bool
    clocks: Clocks


# --- control, platform to engine ----------------------------------------------------------------------------------


@message
class Welcome:
    session: DurableId
    epoch: Epoch
    resumed: bool
    last_recv: Sequence
    platform_id: DurableId
    term: Epoch
    stop: StopSnapshot
    lease_ms: Millis
    on_lease_expiry: LeaseExpiry
    limits: Limits
    server_time: datetime
    token_expires: datetime
    config_version: Sequence


@message
class HeartbeatAck:
    n: Sequence
    sent_ms: Millis
    recv_at: datetime
    reply_at: datetime
    last_seq: Sequence
    last_recv: Sequence
    stop: StopSnapshot
    lease_ms: Millis


# --- control, both ways -------------------------------------------------------------------------------------------


@message
class Ack:
    """Everything up to ``seq`` is committed. Never merely received."""

    seq: Sequence


@message
class Nack:
    code: ErrorCode
    reason: Text
    category: ErrorCategory = ErrorCategory.LINK
    seq: Sequence | None = None
    re: DurableId | None = None


@message
class GapFill:
    from_seq: Sequence
    to_seq: Sequence
    cause: GapCause
    lost: Count | None = None


@message
class Goodbye:
    cause: Name
    reconnect_after_ms: Millis | None = None


# --- lossless, engine to platform ---------------------------------------------------------------------------------


@message
class TradeLog:
    """A line of the engine's story. A Trade must say why (property 3)."""

    id: DurableId
    category: LogCategory
    message: Text
    timestamp: datetime
    reason: Text | None = None
    strategy_id: Identifier | None = None
    symbol: Symbol | None = None
    order_id: DurableId | None = None
    severity: Severity | None = None

    def __attrs_post_init__(self) -> None:
        if self.category is LogCategory.TRADE and not (self.reason and self.reason.strip()):
            raise InvalidField("a Trade needs a non-empty reason", field="reason")


@message
class OrderUpdate:
    """``price`` 0 is a market order; ``filled`` is the cumulative filled quantity."""

    order_id: DurableId
    broker_order_id: Annotated[str, C(max_length=64)]
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: Shares
    price: Price
    status: OrderStatus
    filled: Shares = 0
    reason: Text | None = None


@message
class Fill:
    id: DurableId
    order_id: DurableId
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: Annotated[int, C(unit="shares", ge=1, le=10**12)]
    price: Price
    fee: Won
    tax: Won
    at: datetime


@message
class EngineStatusReport:
    status: EngineState


@message
class StrategyStatusReport:
    id: Identifier
    name: Name
    status: StrategyState
    parameters: Parameters
    version: Sequence
    trading_state: TradingState


@message
class ErrorReport:
    code: ErrorCode
    category: ErrorCategory
    reason: Annotated[str, C(min_length=1, max_length=2000)]
    severity: Severity
    degraded: bool


@message
class StopProgress:
    """How far one engine is with one stop; counts are totals of the whole run."""

    stop_id: Identifier
    stop_epoch: Epoch
    phase: StopPhase
    orders_cancelled: Count
    orders_remaining: Count
    positions_liquidated: Count
    positions_remaining: Count
    flatness: Flatness
    residuals: list[Residual]
    flatness_as_of: datetime | None = None
    flatness_reason: Text | None = None
    in_flight: Count | None = None
    latched: bool | None = None
    error: ErrorCode | None = None
    reason: Text | None = None


@message
class LocalStop:
    id: Identifier
    level: Level
    cause: LocalStopCause
    reason: Text
    at: datetime


@message
class ParameterResult:
    request_id: DurableId
    strategy_id: Identifier
    status: ResultStatus
    parameters: Parameters
    version: Sequence
    error: ErrorCode | None = None
    reason: Text | None = None


@message
class StrategyResult:
    """The answer to a ``strategy_command``. ``strategy_status``: what the strategy is after it, null: there is none."""

    request_id: DurableId
    strategy_id: Identifier
    status: ResultStatus
    strategy_status: StrategyState | None
    error: ErrorCode | None = None
    reason: Text | None = None


# --- lossless, platform to engine ---------------------------------------------------------------------------------


@message
class EmergencyStop:
    """``again``: a person has asked for it anew at this epoch, so it may also be carried out in a trading session that
    began after it was first asked for."""

    stop_id: Identifier
    stop_epoch: Epoch
    scope: Scope
    level: Level
    proof: Annotated[str, C(max_length=128)]
    timeout_ms: Millis
    reason: Text
    user_id: Annotated[str, C(max_length=64)]
    drill: bool = False
    again: bool = False

    def record(self) -> StopRecord:
        return StopRecord(
            stop_id=self.stop_id, scope=self.scope, level=self.level, stop_epoch=self.stop_epoch, proof=self.proof
        )


@message
class Reduced:
    """For so long after a release an order that does not reduce a position may be worth at most so much."""

    for_ms: Annotated[int, C(unit="ms", ge=1, le=120 * 60_000)]
    max_order_value: Annotated[int, C(unit="won", ge=1, le=10**12)]


@message
class Release:
    """Ends the named stops as of ``epoch``; ``effective`` are those that still hold for this engine.

    ``reduced``: for the strategies that the named stops covered, at engines that say they are capable of it.
    """

    stop_ids: list[Identifier]
    epoch: Epoch
    effective: list[StopRecord]
    resume: bool
    reduced: Reduced | None = None


@message
class ParameterUpdate:
    request_id: DurableId
    strategy_id: Identifier
    parameters: Parameters
    version: Sequence
    base_version: Sequence
    stop_epoch: Epoch
    expires_ms: Millis


@message
class StrategyCommand:
    """Pauses or resumes one strategy, at engines that say they are capable of it.

    A resume whose ``stop_epoch`` is below the engine's own, or while a stop holds the strategy, is refused.
    ``reduced``: with a resume, at engines that say they are capable of it.
    """

    request_id: DurableId
    strategy_id: Identifier
    action: StrategyAction
    stop_epoch: Epoch
    expires_ms: Millis
    reduced: Reduced | None = None


@message
class ConfigChanged:
    config_version: Sequence


# --- conflated, engine to platform --------------------------------------------------------------------------------


@message
class HealthUpdate:
    """A report of the engine's process (property 15). CPU is percent of one core, so it may exceed 100."""

    cpu_usage: Percent
    memory_usage: Annotated[float, C(unit="percent", ge=0, le=100)]
    process_status: ProcessStatus
    engine_count: Count
    active_strategies: Count
    last_update: datetime


@message
class Positions:
    items: list[PositionItem]
    open_orders: list[OpenOrder]
    synced: bool
    as_of: datetime


@message
class Account:
    equity: Won
    cash: Won
    realized_pnl: Won
    trading_day: date
    as_of: datetime


# --- the tables ---------------------------------------------------------------------------------------------------


class Lane(Enum):
    CONTROL = "control"
    LOSSLESS = "lossless"
    CONFLATED = "conflated"


ENGINE_UP: dict[str, type] = {
    "hello": Hello,
    "auth": Auth,
    "ack": Ack,
    "nack": Nack,
    "heartbeat": Heartbeat,
    "gap_fill": GapFill,
    "goodbye": Goodbye,
    "trade_log": TradeLog,
    "order_update": OrderUpdate,
    "fill": Fill,
    "engine_status": EngineStatusReport,
    "strategy_status": StrategyStatusReport,
    "error_report": ErrorReport,
    "stop_progress": StopProgress,
    "local_stop": LocalStop,
    "parameter_result": ParameterResult,
    "strategy_result": StrategyResult,
    "health_update": HealthUpdate,
    "positions": Positions,
    "account": Account,
}
"""What an engine may send, by the name in ``type``."""

ENGINE_DOWN: dict[str, type] = {
    "welcome": Welcome,
    "ack": Ack,
    "nack": Nack,
    "heartbeat_ack": HeartbeatAck,
    "gap_fill": GapFill,
    "goodbye": Goodbye,
    "emergency_stop": EmergencyStop,
    "release": Release,
    "parameter_update": ParameterUpdate,
    "strategy_command": StrategyCommand,
    "config_changed": ConfigChanged,
}
"""What the platform may send to an engine."""

TYPE_OF: dict[type, str] = {cls: name for table in (ENGINE_UP, ENGINE_DOWN) for name, cls in table.items()}

_CONTROL = (Hello, Auth, Heartbeat, Welcome, HeartbeatAck, Ack, Nack, GapFill, Goodbye)
_CONFLATED = (HealthUpdate, Positions, Account)

LANES: dict[type, Lane] = {
    cls: Lane.CONTROL if cls in _CONTROL else Lane.CONFLATED if cls in _CONFLATED else Lane.LOSSLESS for cls in TYPE_OF
}
