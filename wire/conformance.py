"""What engines put out, brought to the shapes that everything behind the link relies on. Pure functions.

The codec decides what is valid on the link, and nothing here is more lenient, but for numeric error codes: in updates
that did not come over a link they become words (``wire.errorcodes``).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from wire.codec import structure
from wire.errorcodes import conformed
from wire.errors import InvalidField
from wire.messages import EngineStatusReport, ErrorReport, HealthUpdate, StrategyStatusReport, TradeLog
from wire.rest.engines import Connection, DrillStatus, SystemHealthMetrics
from wire.rest.records import Degraded
from wire.rest.settings import ValidationResult
from wire.values import LogCategory, ProcessStatus
from wire.vocabulary import PARAMETER_KEYS, EngineProcess, EngineUpdate, SystemLimits, TradingParameters, UpdateType

EngineOutput = HealthUpdate | TradeLog | EngineStatusReport | StrategyStatusReport | ErrorReport

_MEMORY_HIGH, _CPU_HIGH = 0.9, 0.8


# --- validators -----------------------------------------------------------------------------------------------------


def validate_trade_log(data: Mapping[str, Any]) -> TradeLog:
    """Raises InvalidField naming the field."""
    return structure(dict(data), TradeLog)


def validate_system_health(data: Mapping[str, Any]) -> HealthUpdate:
    """Raises InvalidField naming the field."""
    return structure(dict(data), HealthUpdate)


def validate_strategy_status(data: Mapping[str, Any]) -> StrategyStatusReport:
    """Raises InvalidField naming the field."""
    return structure(dict(data), StrategyStatusReport)


def read_update(update: EngineUpdate) -> EngineOutput:
    """The message that an update is. Raises InvalidField naming the field in ``data``."""
    match update.type:
        case UpdateType.HEALTH:
            return validate_system_health(update.data)
        case UpdateType.TRADE:
            return validate_trade_log(update.data)
        case UpdateType.ERROR:
            return structure(conformed("error_report", update.data), ErrorReport)
        case UpdateType.STATUS if "trading_state" in update.data or "id" in update.data:
            return validate_strategy_status(update.data)
        case UpdateType.STATUS:
            return structure(update.data, EngineStatusReport)


def validate_parameters(data: Mapping[str, Any]) -> ValidationResult:
    """Everything that is wrong with a set of the four common parameters, under their names in Python."""
    errors = []
    for name in PARAMETER_KEYS:
        try:
            structure({**_SOUND, name: data.get(name)}, TradingParameters)
        except InvalidField as error:
            errors.append(f"{error.field}: {error.reason}")
    return ValidationResult(is_valid=not errors, errors=errors, warnings=[], checks=[])


_SOUND = dict.fromkeys(PARAMETER_KEYS, 1.0)


def validate_limits(limits: SystemLimits) -> ValidationResult:
    """Limits that exist are valid; high ones deserve a word."""
    warnings = []
    if limits.max_memory_usage > _MEMORY_HIGH:
        warnings.append("max_memory_usage: more than 90 % leaves the machine no room")
    if limits.max_cpu_usage > _CPU_HIGH:
        warnings.append("max_cpu_usage: more than 80 % leaves no room for a stop")
    return ValidationResult(is_valid=True, errors=[], warnings=warnings, checks=[])


# --- transformers ---------------------------------------------------------------------------------------------------


def categorize_trade_log(log: Mapping[str, Any]) -> LogCategory:
    """The category of a log line by what it is about, where the engine's own word is missing or not one of the three.

    An order, or a decision about a symbol with its reason, is a Trade; what a strategy says otherwise is Strategy; the
    rest is System.
    """
    said = log.get("category")
    if isinstance(said, str) and said in _CATEGORIES:
        return _CATEGORIES[said]
    if _is_said(log, "order_id") or (_is_said(log, "symbol") and _is_said(log, "reason")):
        return LogCategory.TRADE
    return LogCategory.STRATEGY if _is_said(log, "strategy_id") or _is_said(log, "symbol") else LogCategory.SYSTEM


_CATEGORIES = {category.value: category for category in LogCategory}


def _is_said(log: Mapping[str, Any], name: str) -> bool:
    value = log.get(name)
    return isinstance(value, str) and bool(value.strip())


def format_trading_reason(reason: str, action: str, symbol: str) -> str:
    """``BUY 005930: the fast average crossed the slow one``."""
    return f"{action} {symbol}: {reason}"


# --- the sum over all engines ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class OwnProcess:
    """The platform's own process: CPU in percent of one core, memory in percent of the machine's, lag in ms. ``drill``:
    what is known of the last one; ``emergency``: where the emergency page is."""

    cpu_usage: float
    memory_usage: float
    loop_lag_ms: float
    database_up: bool
    drill: DrillStatus | None = None
    emergency: str | None = None


def aggregate_engine_health(
    engines: Iterable[EngineProcess], own: OwnProcess, degraded: Iterable[Degraded], at: datetime
) -> SystemHealthMetrics:
    """The health of the whole. An engine that is silent counts, as offline; its last word on strategies counts too."""
    rows, parts = list(engines), list(degraded)
    connections = [row.connection for row in rows]
    return SystemHealthMetrics(
        cpu_usage=own.cpu_usage,
        memory_usage=own.memory_usage,
        process_status=ProcessStatus.DEGRADED if parts else ProcessStatus.RUNNING,
        engine_count=len(rows),
        active_strategies=sum(row.active_strategies for row in rows),
        last_update=at,
        engines_connected=connections.count(Connection.CONNECTED),
        engines_offline=sum(c in (Connection.OFFLINE, Connection.NEVER) for c in connections),
        loop_lag_ms=own.loop_lag_ms,
        database="up" if own.database_up else "down",
        degraded=[f"{p.part}: {p.reason}"[:2000] for p in parts],
        drill=own.drill,
        emergency=own.emergency,
    )
