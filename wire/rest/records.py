"""What the platform keeps and lists: logs, orders, fills, alerts, and which parts are degraded."""

from datetime import datetime
from enum import Enum
from typing import Annotated

from wire.schema import C, message
from wire.stops import Identifier
from wire.values import ErrorCode, LogCategory, Name, Sequence, Side, Symbol, Text, Won


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
