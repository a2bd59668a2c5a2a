"""The messages of the engine link, both directions: names and fields as the contract (section 4) gives them.

Prices, cash, fees and profit are integer won; quantities integer shares; ``average_price`` a decimal string of at most
four places; times aware datetimes (RFC 3339, UTC); parameter keys camelCase.
"""

from datetime import date, datetime
from typing import Annotated

import attrs

from wire.errors import InvalidField
from wire.parts import Clocks, LeaseExpiry, Limits, OpenOrder, PositionItem, Reduced, Residual, Resume, StrategyReport
from wire.schema import C, message
from wire.stops import Epoch, Identifier, Level, Scope, StopRecord, StopSnapshot
from wire.values import (
    Count,
    DurableId,
    EngineState,
    ErrorCategory,
    ErrorCode,
    Flatness,
    GapCause,
    LatchState,
    LocalStopCause,
    LogCategory,
    Millis,
    Name,
    OrderStatus,
    Parameters,
    Percent,
    Price,
    ProcessStatus,
    ResultStatus,
    Secret,
    Sequence,
    Severity,
    Shares,
    Side,
    StopPhase,
    StrategyAction,
    StrategyState,
    Symbol,
    Text,
    TradingMode,
    TradingState,
    Won,
)

PROTOCOL = "1"
SUBPROTOCOL = "watchkeeper-engine.v1"
STRATEGY_COMMANDS = "strategy.commands"
"""The capability, in hello, of an engine that understands ``strategy_command``."""
REDUCED_RELEASES = "release.reduced"
"""The capability of an engine that keeps to ``reduced`` of a release."""
REDUCED_RESUMES = "strategy.reduced"
"""The capability of an engine that keeps to ``reduced`` of a ``strategy_command``."""


# --- control, engine to platform ------------------------------------------------------------------------------------


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


# --- control, platform to engine ------------------------------------------------------------------------------------


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


# --- control, both ways ---------------------------------------------------------------------------------------------


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


# --- lossless, engine to platform -----------------------------------------------------------------------------------


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


# --- lossless, platform to engine -----------------------------------------------------------------------------------


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


# --- conflated, engine to platform ----------------------------------------------------------------------------------


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
