"""The bodies of the REST face: names and fields as the contract (section 2) gives them.

Answers carry every field, ``null`` where there is no value; requests may leave optional fields out. Unknown fields of a
request are ignored.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated

import attrs

from wire.errors import InvalidField
from wire.messages import (
    BrokerToken,
    EngineState,
    ErrorCode,
    Flatness,
    LogCategory,
    Millis,
    Name,
    ParameterKey,
    Parameters,
    ParameterSpec,
    ProcessStatus,
    Reduced,
    Residual,
    ResultStatus,
    Sequence,
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
from wire.schema import C, message
from wire.stops import Epoch, Identifier, Level, Scope

RequestId = Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
Password = Annotated[str, C(secret=True, min_length=1, max_length=1024)]
Credential = Annotated[str, C(secret=True, min_length=1, max_length=1024)]


class Role(Enum):
    """viewer < operator < risk < admin; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    RISK = "risk"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@message
class ErrorBody:
    error: ErrorCode
    reason: Text
    field: Text | None = None


# --- authentication -----------------------------------------------------------------------------------------------


@message
class LoginRequest:
    username: Annotated[str, C(min_length=1, max_length=64)]
    password: Password
    totp: Annotated[str, C(secret=True, max_length=16)] | None = None


@message
class StepUpRequest:
    password: Password
    totp: Annotated[str, C(secret=True, max_length=16)] | None = None


@message
class User:
    id: Identifier
    username: Annotated[str, C(max_length=64)]
    role: Role


@message
class TokenAnswer:
    access_token: Annotated[str, C(secret=True)]
    expires_in: Annotated[int, C(unit="s")]
    token_type: str = "Bearer"
    user: User | None = None


@message
class EngineTokenRequest:
    engine_id: Identifier
    secret: Credential


# --- settings (the seeds' models) ---------------------------------------------------------------------------------


class BrokerageType(Enum):
    KIWOOM = "kiwoom"
    KIS = "kis"
    SAMSUNG = "samsung"


@message
class SecretState:
    """What a browser may know of a stored secret: never the value."""

    set: bool
    fingerprint: Annotated[str, C(max_length=32)] | None = None
    updated_at: datetime | None = None


@message
class BrokerageAccount:
    """A broker account as it is read: secrets masked."""

    id: Identifier
    name: Name
    type: BrokerageType
    api_key: SecretState
    api_secret: SecretState
    account_number: Annotated[str, C(max_length=32)]
    is_active: bool
    last_validated: datetime | None


@message
class BrokerageAccountInput:
    """A broker account as it is saved. A secret left out or {"set": true} is kept, a string replaces, null deletes."""

    id: Identifier
    name: Name
    type: BrokerageType
    account_number: Annotated[str, C(max_length=32)]
    api_key: Credential | SecretState | None = SecretState(set=True)
    api_secret: Credential | SecretState | None = SecretState(set=True)
    is_active: bool = True


@message
class SystemPreferences:
    theme: Annotated[str, C(pattern="dark|light|contrast")] = "dark"
    notifications_enabled: bool = True
    auto_save_interval: Annotated[int, C(unit="s", ge=5, le=3600)] = 30
    default_chart_timeframe: Annotated[str, C(pattern="1m|5m|15m|1h|1d")] = "1h"
    language: Annotated[str, C(pattern="ko|en")] = "ko"
    updown: Annotated[str, C(pattern="kr|us")] = "kr"


@message
class RiskLimits:
    """The desk's limits; loosening any of them needs the risk role. Money in won."""

    max_daily_loss: Annotated[int, C(unit="won", ge=0, le=10**15)] = 10_000_000
    max_position_size: Annotated[int, C(unit="won", ge=0, le=10**15)] = 100_000_000
    max_concurrent_positions: Annotated[int, C(ge=0, le=10_000)] = 20
    emergency_stop_loss: Annotated[int, C(unit="won", ge=0, le=10**15)] = 20_000_000


@message
class UserSettings:
    id: Identifier
    user_id: Identifier
    brokerage_accounts: list[BrokerageAccount]
    system_preferences: SystemPreferences
    risk_limits: RiskLimits
    created_at: datetime
    updated_at: datetime
    config_version: Sequence


@message
class UserSettingsInput:
    brokerage_accounts: Annotated[list[BrokerageAccountInput], C(max_length=100)]
    system_preferences: SystemPreferences
    risk_limits: RiskLimits


@message
class BrokerageCredentials:
    """What POST /api/settings/validate tests. ``profile`` says which of the broker's two hosts the keys are for."""

    brokerage_type: BrokerageType
    api_key: Credential
    api_secret: Credential
    account_number: Annotated[str, C(min_length=1, max_length=32)]
    profile: Annotated[str, C(pattern="real|mock")] = "real"


@message
class Check:
    name: Annotated[str, C(pattern="format|token|account")]
    ok: bool
    reason: Text
    ms: Millis


@message
class ValidationResult:
    is_valid: bool
    errors: list[Text]
    warnings: list[Text]
    checks: list[Check]


# --- engines ------------------------------------------------------------------------------------------------------


class Connection(Enum):
    CONNECTED = "connected"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    NEVER = "never"


@message
class OpenStop:
    """An open stop as an engine's row shows it."""

    stop_id: Identifier
    scope: Scope
    level: Level
    stop_epoch: Epoch


@message
class StrategyStatus:
    id: Identifier
    name: Name
    status: StrategyState
    trading_state: TradingState
    parameters: Parameters
    parameter_schema: dict[ParameterKey, ParameterSpec]
    version: Sequence
    engine_id: Identifier


@message
class EngineStatus:
    """One known engine, connected or not. ``level`` is the highest level that holds for the whole engine."""

    engine_id: Identifier
    name: Name
    status: EngineState | None
    connection: Connection
    trading_mode: TradingMode | None
    level: Level
    stops: list[OpenStop]
    halted_by_lease: bool
    lease_expires_at: datetime | None
    last_heartbeat: datetime | None
    age_ms: Millis | None
    version: Name | None
    account_id: Identifier
    strategies: list[StrategyStatus]
    positions: Annotated[int, C(ge=0)] | None
    open_orders: Annotated[int, C(ge=0)] | None
    synced: bool | None
    equity: Won | None
    realized_pnl: Won | None


@message
class HealthClocks:
    process_age_ms: Millis | None
    market_data_age_ms: Millis | None
    order_channel_age_ms: Millis | None
    broker_token: BrokerToken


@message
class EngineHealthDetail:
    engine_id: Identifier
    connection: Connection
    cpu_usage: float | None
    memory_usage: float | None
    process_status: ProcessStatus | None
    clocks: HealthClocks
    lease_ms_left: Millis | None
    skew_ms: Annotated[int, C(unit="ms")] | None
    instance: Text | None
    version: Text | None
    last_update: datetime | None


@message
class DrillStatus:
    """The last drill of the desk, and whether another one is due; ``overdue`` null: earlier stops are not read yet."""

    last_at: datetime | None
    stop_id: Identifier | None
    due_at: datetime | None
    overdue: bool | None


@message
class SystemHealthMetrics:
    """The platform's own process and the fleet's sums. ``process_status`` is degraded while any part is; ``emergency``
    is the address of the emergency page, null when there is none."""

    cpu_usage: float
    memory_usage: float
    process_status: ProcessStatus
    engine_count: Annotated[int, C(ge=0)]
    active_strategies: Annotated[int, C(ge=0)]
    last_update: datetime
    engines_connected: Annotated[int, C(ge=0)]
    engines_offline: Annotated[int, C(ge=0)]
    loop_lag_ms: float
    database: Annotated[str, C(pattern="up|down")]
    degraded: list[Text]
    drill: DrillStatus | None = None
    emergency: Text | None = None


@message
class EnrolRequest:
    name: Name
    account_id: Identifier
    engine_id: Identifier | None = None
    public_key: Annotated[str, C(max_length=64)] | None = None


@message
class EnrolledEngine:
    """``secret`` is shown once, here, and never again."""

    engine_id: Identifier
    name: Name
    account_id: Identifier
    created_at: datetime
    secret: Annotated[str, C(secret=True)] | None = None


# --- stops --------------------------------------------------------------------------------------------------------


class StopState(Enum):
    RUNNING = "running"
    VERIFIED = "verified"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PARTIAL = "partial"
    EMPTY = "empty"


@message
class StopRequest:
    """A request for a stop. Everything is optional: an empty body stops everything and flattens.

    ``drill``: the same stop with a label, of level HALT where the body names none; above HALT only where every engine
    it concerns trades on paper.
    """

    request_id: RequestId | None = None
    scope: Scope = Scope.everything()
    level: Level = Level.FLATTEN
    reason: Annotated[str, C(max_length=500)] = ""
    drill: bool = False

    def __attrs_post_init__(self) -> None:
        if self.level is Level.NORMAL:
            raise InvalidField("NORMAL stops nothing: take REDUCE_ONLY, HALT, CANCEL or FLATTEN", field="level")


@message
class EmergencyStopResult:
    """One engine's part of a stop. ``success`` only when the level's work is verified."""

    engine_id: Identifier
    success: bool
    phase: StopPhase
    positions_liquidated: Annotated[int, C(ge=0)]
    orders_cancelled: Annotated[int, C(ge=0)]
    orders_remaining: Annotated[int, C(ge=0)] | None
    positions_remaining: Annotated[int, C(ge=0)] | None
    flatness: Flatness
    flatness_as_of: datetime | None
    flatness_reason: Text | None
    residuals: list[Residual]
    ms_to_frozen: Millis | None
    completed_at: datetime | None
    error: Text | None


@message
class TimelineEvent:
    at: datetime
    event: Name
    engine_id: Identifier | None = None
    detail: Text | None = None


@message
class Stop:
    """EmergencyStopResponse, and the Stop of GET /api/stops. ``durable``: journal or database on stable storage.

    ``username``: what the person of ``user_id`` was called when the stop was taken; null when it is not known, or was
    no person (an engine, the platform)."""

    stop_id: Identifier
    request_id: RequestId
    epoch: Epoch
    scope: Scope
    level: Level
    user_id: Annotated[str, C(max_length=64)]
    reason: Text
    requested_at: datetime
    delivered: Annotated[int, C(ge=0)]
    engines: Annotated[int, C(ge=0)]
    durable: bool
    state: StopState
    results: list[EmergencyStopResult]
    drill: bool = False
    cause: Annotated[str, C(max_length=64)] = "operator"
    released_at: datetime | None = None
    timeline: list[TimelineEvent] = attrs.field(factory=list)
    username: Annotated[str, C(max_length=64)] | None = None


@message
class PreviewRequest:
    scope: Scope = Scope.everything()
    level: Level = Level.FLATTEN


@message
class BlockedPosition:
    symbol: Symbol
    reason: Text


@message
class EnginePreview:
    """What a stop would meet at one engine; null where it is not known. ``value`` in won at the last prices seen.

    ``as_of`` is the engine's own time of these numbers, ``age_ms`` how long ago they arrived; ``synced``: whether its
    books agree with its broker.
    """

    engine_id: Identifier
    orders: Annotated[int, C(ge=0)] | None
    positions: Annotated[int, C(ge=0)] | None
    value: Won | None
    blocked: list[BlockedPosition]
    as_of: datetime | None
    age_ms: Millis | None
    synced: bool | None
    connection: Connection


@message
class PreviewTotal:
    """Sums over the ``engines`` whose numbers are known; ``unknown`` of them are not, or not wholly, in the sums."""

    orders: Annotated[int, C(ge=0)] | None
    positions: Annotated[int, C(ge=0)] | None
    value: Won | None
    engines: Annotated[int, C(ge=0)]
    unknown: Annotated[int, C(ge=0)]
    oldest_ms: Millis | None


@message
class PreviewAnswer:
    engines: list[EnginePreview]
    total: PreviewTotal


class ReleaseState(Enum):
    REQUESTED = "requested"
    APPROVED = "approved"
    RELEASED = "released"
    VOID = "void"


@message
class Waiver:
    engine_id: Identifier
    reason: Annotated[str, C(min_length=1, max_length=500)]


@message
class ReducedLimits:
    """For the first minutes after a release: an order that does not reduce a position is worth at most so many won."""

    minutes: Annotated[int, C(unit="min", ge=1, le=120)]
    max_order_value: Annotated[int, C(unit="won", ge=1, le=10**12)]

    def told(self) -> Reduced:
        """As an engine is told it."""
        return Reduced(for_ms=self.minutes * 60_000, max_order_value=self.max_order_value)


@message
class ReleaseRequest:
    """``resume``: strategies trade again; without it they come back paused. ``reduced``: carefully at first."""

    reason: Annotated[str, C(min_length=1, max_length=500)]
    epoch: Epoch
    waive: Annotated[list[Waiver], C(max_length=1000)] = attrs.field(factory=list)
    resume: bool = False
    reduced: ReducedLimits | None = None


@message
class ApproveRequest:
    """``release_id``: the request that was looked at; when another one has taken its place, nothing is approved."""

    epoch: Epoch
    release_id: Identifier | None = None


@message
class ChecklistItem:
    name: Name
    ok: bool
    detail: Text


@message
class ReleaseStep:
    """A state that a request for a release came to. ``by``: the person, null when it followed by itself; ``by_name``:
    what that person was called, null when it is not known."""

    at: datetime
    state: ReleaseState
    by: Annotated[str, C(max_length=64)] | None
    detail: Text | None
    by_name: Annotated[str, C(max_length=64)] | None = None


@message
class ReleaseView:
    """A request for a release. ``checklist``: as it is now while the request waits, else as it was decided on. The
    names are those of ``requested_by`` and ``approved_by``, null when they are not known."""

    id: Identifier
    stop_id: Identifier
    state: ReleaseState
    checklist: list[ChecklistItem]
    requested_by: Annotated[str, C(max_length=64)]
    requested_at: datetime
    not_before: datetime | None
    epoch: Epoch
    reason: Text
    waive: list[Waiver]
    resume: bool
    reduced: ReducedLimits | None
    approved_by: Annotated[str, C(max_length=64)] | None
    history: list[ReleaseStep]
    requested_by_name: Annotated[str, C(max_length=64)] | None = None
    approved_by_name: Annotated[str, C(max_length=64)] | None = None


# --- strategies ---------------------------------------------------------------------------------------------------


@message
class StrategyCommandRequest:
    """Why; a resume has to say it. ``reduced``: with a resume, carefully at first."""

    reason: Annotated[str, C(max_length=500)] = ""
    reduced: ReducedLimits | None = None


class CommandStatus(Enum):
    """EXPIRED: the engine did not answer in time; what the strategy is then is in its own status."""

    APPLIED = "applied"
    FAILED = "failed"
    EXPIRED = "expired"


@message
class StrategyCommandResult:
    """What became of pausing or resuming a strategy. ``strategy_status``: what the engine says it is now."""

    request_id: RequestId
    engine_id: Identifier
    strategy_id: Identifier
    action: StrategyAction
    status: CommandStatus
    strategy_status: StrategyState | None
    error: ErrorCode | None
    reason: Text | None


# --- parameters ---------------------------------------------------------------------------------------------------


class UpdateStatus(Enum):
    PENDING = "pending"
    APPLIED = "applied"
    FAILED = "failed"
    EXPIRED = "expired"
    APPLIED_LATE = "applied_late"

    @classmethod
    def of(cls, result: ResultStatus) -> "UpdateStatus":
        return cls(result.value)


@message
class ParameterChange:
    strategy_id: Identifier
    parameters: Annotated[Parameters, C(min_length=1)]
    request_id: RequestId | None = None


@message
class RollbackRequest:
    strategy_id: Identifier
    version: Sequence


@message
class UpdateResult:
    """The answer to a change of parameters; ``parameters`` are the values in effect after it."""

    request_id: RequestId
    engine_id: Identifier
    strategy_id: Identifier
    status: UpdateStatus
    parameters: Parameters
    version: Sequence
    applied_at: datetime | None
    error: ErrorCode | None
    reason: Text | None


@message
class StrategyParameters:
    """Desired and effective parameters of one strategy; they differ while a change is under way or was refused."""

    engine_id: Identifier
    strategy_id: Identifier
    version: Sequence
    desired: Parameters
    effective: Parameters | None
    effective_version: Sequence | None
    parameter_schema: dict[ParameterKey, ParameterSpec]
    updated_at: datetime | None


@message
class ParameterVersion:
    version: Sequence
    parameters: Parameters
    status: UpdateStatus
    user_id: Annotated[str, C(max_length=64)]
    at: datetime
    request_id: RequestId
    error: ErrorCode | None
    reason: Text | None
    username: Annotated[str, C(max_length=64)] | None = None


# --- lists --------------------------------------------------------------------------------------------------------


@message
class LogRow:
    """A trade log as the platform stored it. ``quarantined``: the engine's line was not valid; ``message`` is then a
    short excerpt of it and ``reason`` what was wrong."""

    cursor: Sequence
    engine_id: Identifier
    id: Annotated[str, C(max_length=64)]
    category: LogCategory
    message: Text
    timestamp: datetime
    reason: Text | None
    strategy_id: Identifier | None
    symbol: Symbol | None
    order_id: Text | None
    severity: Text | None
    quarantined: bool = False


@message
class OrderRow:
    cursor: Sequence
    engine_id: Identifier
    order_id: Text
    broker_order_id: Text
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: Annotated[int, C(ge=0)]
    price: Annotated[int, C(ge=0)]
    status: Text
    filled: Annotated[int, C(ge=0)]
    reason: Text | None
    at: datetime


@message
class FillRow:
    cursor: Sequence
    engine_id: Identifier
    id: Text
    order_id: Text
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: Annotated[int, C(ge=1)]
    price: Annotated[int, C(ge=0)]
    fee: Won
    tax: Won
    at: datetime


class AlertState(Enum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@message
class Alert:
    """Open until a named person acknowledges it: ``acknowledged_by``, called ``acknowledged_by_name``."""

    id: Identifier
    code: ErrorCode
    severity: Annotated[str, C(pattern="info|warning|error|critical")]
    reason: Text
    engine_id: Identifier | None
    stop_id: Identifier | None
    state: AlertState
    raised_at: datetime
    acknowledged_by: Annotated[str, C(max_length=64)] | None
    acknowledged_at: datetime | None
    acknowledged_by_name: Annotated[str, C(max_length=64)] | None = None


@message
class Degraded:
    part: Name
    since: datetime
    reason: Text


@message
class Readiness:
    ready: bool
    degraded: list[Degraded]
