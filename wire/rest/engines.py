"""Engines as people see them, their health and the platform's own, and enrolling one."""

from datetime import datetime
from enum import Enum
from typing import Annotated

from wire.parts import ParameterSpec
from wire.schema import C, message
from wire.stops import Epoch, Identifier, Level, Scope
from wire.values import (
    BrokerToken,
    EngineState,
    Millis,
    Name,
    ParameterKey,
    Parameters,
    ProcessStatus,
    Sequence,
    StrategyState,
    Text,
    TradingMode,
    TradingState,
    Won,
)


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
