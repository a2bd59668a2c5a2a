"""Which messages go which way under which name, and the lane each one takes.

Control frames carry no seq, lossless ones wait in an outbox until they are acknowledged, conflated ones are replaced by
their successor and never replayed.
"""

from enum import Enum

from wire.messages import (
    Account,
    Ack,
    Auth,
    ConfigChanged,
    EmergencyStop,
    EngineStatusReport,
    ErrorReport,
    Fill,
    GapFill,
    Goodbye,
    HealthUpdate,
    Heartbeat,
    HeartbeatAck,
    Hello,
    LocalStop,
    Nack,
    OrderUpdate,
    ParameterResult,
    ParameterUpdate,
    Positions,
    Release,
    StopProgress,
    StrategyCommand,
    StrategyResult,
    StrategyStatusReport,
    TradeLog,
    Welcome,
)


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
