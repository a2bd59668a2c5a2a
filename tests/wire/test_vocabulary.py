"""Every model of the seeds, row by row: its class, its fields by name, what it refuses, and its trip through JSON.

Where a model grew into a message of the contract, the row names that message: it has the model's fields and more.
"""

import json
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import get_type_hints

import attrs
import pytest

from wire import vocabulary
from wire.codec import decode, encode, structure, unstructure
from wire.envelope import Envelope
from wire.errors import InvalidField
from wire.lanes import ENGINE_DOWN, ENGINE_UP
from wire.messages import ErrorReport, HealthUpdate, Hello, TradeLog
from wire.parts import PositionItem, StrategyReport
from wire.rest.engines import EngineHealthDetail, EngineStatus, SystemHealthMetrics
from wire.rest.settings import (
    BrokerageAccount,
    BrokerageCredentials,
    BrokerageType,
    RiskLimits,
    SystemPreferences,
    UserSettings,
    ValidationResult,
)
from wire.rest.stops import EmergencyStopResult, Stop
from wire.rest.strategies import UpdateResult, UpdateStatus
from wire.values import EngineState, LogCategory, StrategyState, TradingMode

NOW = "2026-11-20T05:30:00.000000Z"
HEALTH = {
    "cpu_usage": 12.5, "memory_usage": 38.0, "process_status": "running", "engine_count": 1, "active_strategies": 2,
    "last_update": NOW,
}  # fmt: skip
POSITION = {
    "symbol": "005930", "quantity": 10, "average_price": "71800.25", "current_price": 71900, "unrealized_pnl": 998,
}  # fmt: skip
LIMITS = {
    "max_daily_loss": 1, "max_position_size": 2, "max_concurrent_positions": 3, "emergency_stop_loss": 4,
}  # fmt: skip
PREFERENCES = {
    "theme": "dark", "notifications_enabled": True, "auto_save_interval": 30, "default_chart_timeframe": "1h",
}  # fmt: skip
ACCOUNT = {
    "id": "a1", "name": "Main", "type": "kis", "api_key": {"set": True}, "api_secret": {"set": False},
    "account_number": "50123456-01", "is_active": True, "last_validated": None,
}  # fmt: skip
RESULT = {
    "engine_id": "E1", "success": True, "positions_liquidated": 1, "orders_cancelled": 2, "error": None,
    "completed_at": NOW,
}  # fmt: skip
STOPPED = {
    **RESULT, "phase": "verified", "orders_remaining": 0, "positions_remaining": 0, "flatness": "FLAT",
    "flatness_as_of": NOW, "flatness_reason": None, "residuals": [], "ms_to_frozen": 3,
}  # fmt: skip

# row: class, what the seeds call its fields, an example, and values that are refused under the name of their field
ROWS = {
    "C01 CategorizedTradeLog": (
        TradeLog,
        "id timestamp category message reason",
        {"id": "l1", "timestamp": NOW, "category": "Trade", "message": "BUY 005930", "reason": "crossed"},
        {"category": ["trade", "Order", None, 1], "reason": ["", "  "], "timestamp": ["2026-11-20T05:30:00"]},
    ),
    "C02 SystemHealthMetrics": (
        SystemHealthMetrics,
        "cpu_usage memory_usage process_status engine_count active_strategies last_update",
        {**HEALTH, "engines_connected": 1, "engines_offline": 0, "loop_lag_ms": 0.5, "database": "up", "degraded": []},
        {"process_status": ["RUNNING", "halted"], "engine_count": [-1, 1.0, True], "cpu_usage": ["12", None]},
    ),
    "C02 of one engine": (
        HealthUpdate,
        "cpu_usage memory_usage process_status engine_count active_strategies last_update",
        HEALTH,
        {"memory_usage": [100.1, -0.1], "cpu_usage": [-1], "process_status": ["ok"]},
    ),
    "C03 Strategy": (
        StrategyReport,
        "id name status parameters",
        {"id": "ma", "name": "Averages", "status": "active", "parameters": {"takeProfitPercent": 2.5},
         "parameter_schema": {}, "version": 1},
        {"status": ["stopped", "Active", None], "parameters": [[], {"Take": "5"}], "name": [""]},
    ),
    "C04 ValidationResult": (
        ValidationResult,
        "is_valid errors warnings",
        {"is_valid": False, "errors": ["token: refused"], "warnings": [], "checks": []},
        {"is_valid": [0, "false", None], "errors": ["", None]},
    ),
    "C05 BrokerageCredentials": (
        BrokerageCredentials,
        "brokerage_type api_key api_secret account_number",
        {"brokerage_type": "kis", "api_key": "k", "api_secret": "s", "account_number": "50123456-01"},
        {"brokerage_type": ["KIS", "ibkr"], "api_key": ["", None, 5], "account_number": ["", "1" * 33]},
    ),
    "C06 StrategyParameters": (
        vocabulary.TradingParameters,
        "take_profit_percent stop_loss_percent max_position_size risk_per_trade",
        {"take_profit_percent": 5.0, "stop_loss_percent": 2, "max_position_size": 100, "risk_per_trade": 0.5},
        {"take_profit_percent": [0, -1, "5"], "stop_loss_percent": [0, 101], "max_position_size": [0],
         "risk_per_trade": [0, 100.5, float("nan"), float("inf")]},
    ),
    "C07 SystemLimits": (
        vocabulary.SystemLimits,
        "max_memory_usage max_cpu_usage max_concurrent_strategies",
        {"max_memory_usage": 0.9, "max_cpu_usage": 0.8, "max_concurrent_strategies": 10},
        {"max_memory_usage": [0, 1.1], "max_cpu_usage": [-0.1, "0.5"], "max_concurrent_strategies": [0, 1.5]},
    ),
    "C09 UserSettings": (
        UserSettings,
        "id user_id brokerage_accounts system_preferences risk_limits created_at updated_at",
        {"id": "s1", "user_id": "kim", "brokerage_accounts": [ACCOUNT], "system_preferences": PREFERENCES,
         "risk_limits": LIMITS, "created_at": NOW, "updated_at": NOW, "config_version": 3},
        {"brokerage_accounts": [{}, None], "created_at": ["yesterday"]},
    ),
    "C10 BrokerageAccount": (
        BrokerageAccount,
        "id name type api_key api_secret account_number is_active last_validated",
        ACCOUNT,
        {"type": ["other"], "is_active": ["yes", 1]},
    ),
    "C11 SystemPreferences": (
        SystemPreferences,
        "theme notifications_enabled auto_save_interval default_chart_timeframe",
        PREFERENCES,
        {"auto_save_interval": [4, 3601, 30.0], "default_chart_timeframe": ["2h"], "theme": ["Dark"]},
    ),
    "C12 RiskLimits": (
        RiskLimits,
        "max_daily_loss max_position_size max_concurrent_positions emergency_stop_loss",
        LIMITS,
        {"max_daily_loss": [-1, 71800.0], "max_position_size": [10**15 + 1], "emergency_stop_loss": ["1"]},
    ),
    "C14 EngineUpdate": (
        vocabulary.EngineUpdate,
        "engine_id type timestamp data",
        {"engine_id": "E1", "type": "health", "timestamp": NOW, "data": HEALTH},
        {"type": ["heartbeat"], "data": [[], None], "engine_id": ["", "E 1"]},
    ),
    "C15 EmergencyStopRequest": (
        vocabulary.EmergencyStopRequest,
        "request_id timestamp user_id reason",
        {"request_id": "r1", "timestamp": NOW, "user_id": "kim", "reason": "drill"},
        {"request_id": ["", "r 1"], "user_id": [""], "reason": ["x" * 501]},
    ),
    "C16 EmergencyStopResult": (
        EmergencyStopResult,
        "engine_id success positions_liquidated orders_cancelled error completed_at",
        STOPPED,
        {"success": ["false", 0], "positions_liquidated": [-1], "phase": ["done"], "flatness": ["flat"]},
    ),
    "C18 WebSocketMessage": (
        Envelope,
        "type payload timestamp engine_id",
        {"type": "trade_log", "payload": {"x": 1}, "timestamp": NOW, "engine_id": "E1"},
        {"type": [5, "x" * 65], "timestamp": [1], "engine_id": [""]},
    ),
    "C20 LiveParameterUpdate": (
        UpdateResult,
        "request_id engine_id strategy_id parameters applied_at status error",
        {"request_id": "r1", "engine_id": "E1", "strategy_id": "ma", "parameters": {"riskPerTrade": 0.5},
         "applied_at": NOW, "status": "applied", "error": None, "version": 4, "reason": None},
        {"status": ["done"], "error": ["1001", 1001], "parameters": [{"risk_per_trade": 1}]},
    ),
    "C21 EngineMetadata": (
        vocabulary.EngineMetadata,
        "name version supported_brokerages capabilities",
        {"name": "Alpha", "version": "1.0", "supported_brokerages": ["kis"], "capabilities": []},
        {"name": [""], "supported_brokerages": ["kis", [""]]},
    ),
    "C22 EngineConnection": (
        vocabulary.EngineConnection,
        "engine_id websocket_url last_heartbeat status",
        {"engine_id": "E1", "websocket_url": "ws://127.0.0.1:8701/ws/engine/E1", "last_heartbeat": NOW,
         "status": "connected"},
        {"websocket_url": ["http://127.0.0.1", "ws://"], "status": ["online"]},
    ),
    "C23 TradeDecision": (
        vocabulary.TradeDecision,
        "action symbol quantity price reason",
        {"action": "buy", "symbol": "005930", "quantity": 10, "price": 71800, "reason": "crossed"},
        {"action": ["BUY", "short"], "reason": ["", " \n"], "quantity": [-1, 1.0], "symbol": ["삼성"], "price": [7.5]},
    ),
    "C24 OrderRequest": (
        vocabulary.OrderRequest,
        "symbol side quantity order_type price",
        {"symbol": "005930", "side": "buy", "quantity": 10, "order_type": "limit", "price": 71800},
        {"side": ["long"], "order_type": ["stop", "market"], "quantity": [0], "price": [None, 0, 71800.0]},
    ),
    "C25 OrderResult": (
        vocabulary.OrderResult,
        "order_id status filled_quantity average_price error",
        {"order_id": "o1", "status": "filled", "filled_quantity": 10, "average_price": "71800.25", "error": None},
        {"status": ["done"], "average_price": [71800.25, "1.00001"], "error": ["oops"]},
    ),
    "C26 Position": (
        PositionItem,
        "symbol quantity average_price current_price unrealized_pnl",
        POSITION,
        {"average_price": [71800.25, "-1", "1e5"], "quantity": [1.5], "current_price": [-1]},
    ),
    "C27 LiquidationResult": (
        vocabulary.LiquidationResult,
        "positions_closed total_pnl errors",
        {"positions_closed": 2, "total_pnl": -1500, "errors": []},
        {"positions_closed": [-1], "total_pnl": [0.5]},
    ),
    "C28 MarketData": (
        vocabulary.MarketData,
        "symbol price volume timestamp bid ask",
        {"symbol": "005930", "price": 71800, "volume": 5, "timestamp": NOW, "bid": 71700, "ask": None},
        {"price": [-1, 71800.5], "symbol": ["005930 "]},
    ),
    "C29 EmergencyStopResponse": (
        Stop,
        "stop_id request_id epoch scope level user_id reason requested_at delivered engines durable state results",
        {"stop_id": "s1", "request_id": "r1", "epoch": 7, "scope": "engine:E1", "level": "FLATTEN", "user_id": "kim",
         "reason": "", "requested_at": NOW, "delivered": 1, "engines": 1, "durable": True, "state": "verified",
         "results": [STOPPED]},
        {"state": ["ok"], "scope": ["engine:", "desk"], "level": ["STOP"]},
    ),
    "C29 EngineHealthDetail": (
        EngineHealthDetail,
        "engine_id cpu_usage memory_usage process_status clocks lease_ms_left skew_ms instance version last_update",
        {**HEALTH, "engine_id": "E1", "connection": "connected", "lease_ms_left": 100, "skew_ms": -3, "instance": "i",
         "version": "1", "clocks": {"process_age_ms": 1, "market_data_age_ms": None, "order_channel_age_ms": 2,
                                    "broker_token": "ok"}},
        {"connection": ["up"], "skew_ms": [1.5]},
    ),
    "C29 EngineStatus": (
        EngineStatus,
        "engine_id name status connection trading_mode level stops lease_expires_at last_heartbeat age_ms version"
        " account_id strategies",
        {"engine_id": "E1", "name": "Alpha", "status": "running", "connection": "connected", "trading_mode": "paper",
         "level": "NORMAL", "stops": [], "halted_by_lease": False, "lease_expires_at": NOW, "last_heartbeat": NOW,
         "age_ms": 5, "version": "1", "account_id": "A1", "strategies": [], "positions": 0, "open_orders": 0,
         "synced": True, "equity": 1, "realized_pnl": -1},
        {"status": ["RUNNING", "halted"], "trading_mode": ["demo"], "age_ms": [-1]},
    ),
    "C29 EngineProcess": (
        vocabulary.EngineProcess,
        "engine_id health active_strategies",
        {"engine_id": "E1", "connection": "offline", "health": HEALTH, "active_strategies": 2},
        {"active_strategies": [-1], "connection": ["gone"]},
    ),
    "C29 ErrorReport": (
        ErrorReport,
        "code category reason severity",
        {"code": "error_invalid_symbol", "category": "broker", "reason": "no such code", "severity": "error",
         "degraded": False},
        {"code": ["1003", "Error_x"], "category": ["kis"], "reason": [""], "severity": ["fatal"]},
    ),
}  # fmt: skip
ENUMS = {
    "C08 BrokerageType": (BrokerageType, "kiwoom kis samsung"),
    "C13 UpdateType": (vocabulary.UpdateType, "health trade status error"),
    "C17 MessageType": (
        vocabulary.MessageType,
        "health_update trade_log engine_status emergency_stop parameter_update",
    ),
    "C19 UpdateStatus": (UpdateStatus, "pending applied failed"),
    "A32 EngineStatus of an engine": (EngineState, "starting running stopping stopped error"),
    "C03 status": (StrategyState, "active paused error"),
    "C01 category": (LogCategory, "System Strategy Trade"),
}
THE_SAME = ("C08", "C13", "A32", "C03", "C01")


@pytest.mark.parametrize("row", ROWS)
def test_a_model_has_its_fields_and_survives_the_trip_through_json(row):
    cls, fields, example, _ = ROWS[row]
    assert set(fields.split()) <= {f.name for f in attrs.fields(cls)}
    assert set(fields.split()) <= set(example) | {"error", "reason"}
    value = structure(json.loads(json.dumps(example)), cls)
    assert decode(encode(value, nulls=True), cls) == value
    written = unstructure(value, nulls=True)
    plain = {name: told for name, told in example.items() if not isinstance(told, dict | list) and name in written}
    assert {name: written[name] for name in plain} == plain


@pytest.mark.parametrize(
    "row, name, value",
    [(row, name, value) for row, (*_, wrong) in ROWS.items() for name, values in wrong.items() for value in values],
)
def test_a_model_refuses_by_the_name_of_the_field(row, name, value):
    cls, _, example, _ = ROWS[row]
    with pytest.raises(InvalidField) as caught:
        structure({**example, name: value}, cls)
    found = caught.value.field
    assert found == name or found.startswith((f"{name}.", f"{name}[")) or (name, found) == ("order_type", "price")


@pytest.mark.parametrize("row", ENUMS)
def test_an_enum_has_its_values_and_knows_no_other(row):
    enum, values = ENUMS[row]
    members = [member.value for member in enum]
    assert set(values.split()) <= set(members)
    assert row[:3] not in THE_SAME or set(values.split()) == set(members)
    assert issubclass(enum, Enum)
    for wrong in ("", "unknown", values.split()[0].swapcase(), 0, None):
        with pytest.raises(InvalidField):
            structure(wrong, enum)


def test_the_message_types_are_those_of_the_link():
    assert {t.value for t in vocabulary.MessageType} == set(ENGINE_UP) | set(ENGINE_DOWN)


def test_defaults_are_the_seeds():
    preferences = SystemPreferences()
    assert (preferences.theme, preferences.notifications_enabled) == ("dark", True)
    assert (preferences.auto_save_interval, preferences.default_chart_timeframe) == (30, "1h")
    assert vocabulary.LiquidationResult(positions_closed=0, total_pnl=0).errors == []


def test_parameters_go_over_the_wire_in_camel_case():
    parameters = vocabulary.TradingParameters(
        take_profit_percent=5, stop_loss_percent=2, max_position_size=100, risk_per_trade=0.5
    )
    keys = {"takeProfitPercent": 5, "stopLossPercent": 2, "maxPositionSize": 100, "riskPerTrade": 0.5}
    assert parameters.as_parameters() == keys
    assert set(vocabulary.PARAMETER_KEYS) == set(get_type_hints(vocabulary.TradingParameters))


def test_a_wish_to_stop_is_everything_flattened():
    wish = vocabulary.EmergencyStopRequest(request_id="r1", timestamp=datetime.now(UTC), user_id="kim")
    asked = wish.as_stop()
    assert (asked.request_id, str(asked.scope), asked.level.value, asked.reason) == ("r1", "all", "FLATTEN", "")


def test_an_engine_says_its_metadata_in_hello_and_its_row_says_its_connection():
    hello = Hello(
        protocol="1", instance="i", name="Alpha", version="1.0", trading_mode=TradingMode.PAPER, stops=[],
        supported_brokerages=["kis"], capabilities=["seal.v1"],
    )  # fmt: skip
    assert vocabulary.EngineMetadata.of(hello) == vocabulary.EngineMetadata(
        name="Alpha", version="1.0", supported_brokerages=["kis"], capabilities=["seal.v1"]
    )
    row = structure(ROWS["C29 EngineStatus"][2], EngineStatus)
    found = vocabulary.EngineConnection.of(row, "ws://127.0.0.1:8701")
    assert unstructure(found, nulls=True) == ROWS["C22 EngineConnection"][2]


def test_the_interfaces_of_the_dashboard_name_the_same_fields():
    """C30: what src/data/mockData.ts of the dashboard declares is what the messages carry."""
    text = (Path(__file__).parents[2] / "ui" / "src" / "data" / "mockData.ts").read_text(encoding="utf-8")
    for name, row in (("SystemHealthMetrics", "C02"), ("CategorizedTradeLog", "C01"), ("Strategy", "C03")):
        body = text.split(f"export interface {name} {{")[1].split("\n}")[0]
        declared = {line.split(":")[0].strip(" ?") for line in body.splitlines() if ":" in line and "*" not in line}
        fields = next(fields for key, (_, fields, *_) in ROWS.items() if key.startswith(row))
        assert declared == set(fields.split())
