"""The schema layer: what engines put out is validated, its codes and categories are brought to ours, health is summed;
and what is not valid becomes a row that is safe to show."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.conformance import (
    OwnProcess,
    aggregate_engine_health,
    categorize_trade_log,
    format_trading_reason,
    read_update,
    validate_limits,
    validate_parameters,
    validate_strategy_status,
    validate_system_health,
    validate_trade_log,
)
from wire.envelope import read_frame
from wire.errorcodes import ERROR_CODES, conformed, meant_code, transform_error_code
from wire.errors import InvalidField
from wire.lanes import ENGINE_UP
from wire.messages import HealthUpdate, TradeLog
from wire.quarantine import MAX_EXCERPT, excerpt, quarantined
from wire.rest.engines import Connection
from wire.rest.records import Degraded
from wire.values import LogCategory, ProcessStatus
from wire.vocabulary import EngineProcess, EngineUpdate, SystemLimits, UpdateType

NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
AT = "2026-11-20T05:30:00Z"
LOG = {"id": "l1", "category": "Trade", "message": "BUY 005930", "timestamp": AT, "reason": "crossed"}
HEALTH = {
    "cpu_usage": 12.5, "memory_usage": 38.0, "process_status": "running", "engine_count": 1, "active_strategies": 2,
    "last_update": AT,
}  # fmt: skip
STATUS = {
    "id": "ma", "name": "Averages", "status": "active", "parameters": {"fast": 5}, "version": 1,
    "trading_state": "NORMAL",
}  # fmt: skip
ERROR = {"code": 1001, "category": "broker", "reason": "away", "severity": "error", "degraded": True}

# --- validators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "validate, sound, field, wrong",
    [
        (validate_trade_log, LOG, "category", "Order"),
        (validate_trade_log, LOG, "reason", None),
        (validate_system_health, HEALTH, "memory_usage", 101),
        (validate_system_health, HEALTH, "process_status", "fine"),
        (validate_strategy_status, STATUS, "status", "stopped"),
        (validate_strategy_status, STATUS, "trading_state", "normal"),
    ],
)
def test_a_validator_takes_what_is_sound_and_names_what_is_not(validate, sound, field, wrong):
    assert validate({**sound, "unknown": 1}) == validate(sound)
    with pytest.raises(InvalidField) as caught:
        validate({**sound, field: wrong})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "kind, data, field",
    [
        (UpdateType.HEALTH, HEALTH, "cpu_usage"),
        (UpdateType.TRADE, LOG, "message"),
        (UpdateType.STATUS, STATUS, "name"),
        (UpdateType.STATUS, {"status": "running"}, "status"),
        (UpdateType.ERROR, ERROR, "reason"),
    ],
)
def test_an_update_is_read_by_its_type(kind, data, field):
    def update(content):
        return EngineUpdate(engine_id="E1", type=kind, timestamp=NOW, data=content)

    assert type(read_update(update(data))) in ENGINE_UP.values()
    with pytest.raises(InvalidField) as caught:
        read_update(update({k: v for k, v in data.items() if k != field}))
    assert caught.value.field == field


def test_parameters_are_judged_one_by_one():
    sound = {"take_profit_percent": 5, "stop_loss_percent": 2, "max_position_size": 10, "risk_per_trade": 1}
    assert validate_parameters(sound).is_valid
    verdict = validate_parameters({**sound, "take_profit_percent": 0, "risk_per_trade": float("nan")})
    assert not verdict.is_valid
    assert [e.partition(":")[0] for e in verdict.errors] == ["take_profit_percent", "risk_per_trade"]


def test_high_limits_are_valid_and_warned_of():
    def limits(memory, cpu):
        return validate_limits(SystemLimits(max_memory_usage=memory, max_cpu_usage=cpu, max_concurrent_strategies=1))

    assert limits(0.9, 0.8).warnings == []
    high = limits(0.91, 0.81)
    assert high.is_valid
    assert [w.partition(":")[0] for w in high.warnings] == ["max_memory_usage", "max_cpu_usage"]


# --- transformers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, words",
    [
        (1001, "error_api_connection"), (1002, "error_insufficient_balance"), (1003, "error_invalid_symbol"),
        (1004, "error_unknown_1004"), (0, "error_unknown_0"), (-7, "error_unknown_minus_7"),
        ("1001", ERROR_CODES[1001]), ("-7", "error_unknown_minus_7"),
        ("error_api_connection", "error_api_connection"), ("Insufficient balance!", "error_insufficient_balance"),
        ("EGW00201", "error_egw00201"), ("", "error_unknown"), (None, "error_unknown"), (True, "error_unknown"),
        (1001.0, "error_unknown"), ("error_", "error_unknown"), ("삼성", "error_unknown"),
    ],
)  # fmt: skip
def test_codes_in_numbers_become_codes_in_words(code, words):
    assert transform_error_code(code) == words


@given(st.one_of(st.integers(), st.text(), st.floats(), st.none(), st.binary()))
def test_whatever_an_engine_calls_its_error_it_gets_a_code_of_the_form(code):
    """Feature: trading-platform-backend-integration, Property 4: 오류 코드 문자열 형식"""
    found = transform_error_code(code)
    assert re.fullmatch(r"error_[a-z0-9_]{1,80}", found)
    assert transform_error_code(found) == found


def frame_of(kind, payload):
    plain = {"type": kind, "payload": payload, "timestamp": AT, "engine_id": "E1", "seq": 1, "id": "x1"}
    return read_frame(json.dumps(plain), ENGINE_UP)


def test_a_numeric_code_is_refused_on_the_link_and_said_in_words_to_people():
    for code in (1001, 1001.0, "1001", "no words", None):
        assert frame_of("error_report", {**ERROR, "code": code}).error.field == "payload.code"
    assert meant_code("error_report", ERROR) == "error_api_connection"
    assert meant_code("stop_progress", {"error": 1002}) == "error_insufficient_balance"
    for kind, payload in (("trade_log", ERROR), ("error_report", {"code": True}), ("error_report", [1001])):
        assert meant_code(kind, payload) is None
    payload = dict(ERROR)
    assert conformed("error_report", payload) == {**ERROR, "code": "error_api_connection"}
    assert payload == ERROR
    assert conformed("trade_log", {"code": 1001}) == {"code": 1001}


@pytest.mark.parametrize(
    "log, category",
    [
        ({"category": "Trade"}, "Trade"), ({"category": "Strategy", "order_id": "o"}, "Strategy"),
        ({"category": "trade", "order_id": "o1"}, "Trade"), ({"symbol": "005930", "reason": "crossed"}, "Trade"),
        ({"strategy_id": "ma"}, "Strategy"), ({"symbol": "005930"}, "Strategy"), ({"message": "connected"}, "System"),
        ({"order_id": " ", "strategy_id": 5, "symbol": None}, "System"), ({"category": []}, "System"), ({}, "System"),
    ],
)  # fmt: skip
def test_a_line_is_put_where_its_content_belongs(log, category):
    assert categorize_trade_log(log).value == category


def test_a_reason_names_action_and_symbol():
    assert format_trading_reason("crossed", "BUY", "005930") == "BUY 005930: crossed"


# --- the sum --------------------------------------------------------------------------------------------------------

processes = st.builds(
    EngineProcess,
    engine_id=st.sampled_from(["E1", "E2", "E3"]),
    connection=st.sampled_from(Connection),
    health=st.none() | st.just(validate_system_health(HEALTH)),
    active_strategies=st.integers(0, 9),
)


@given(rows=st.lists(processes, max_size=8), parts=st.lists(st.sampled_from(["logs", "database"]), max_size=2))
def test_the_sum_counts_every_engine_once_and_is_degraded_while_a_part_is(rows, parts):
    own = OwnProcess(cpu_usage=3.5, memory_usage=1.25, loop_lag_ms=0.4, database_up="database" not in parts)
    degraded = [Degraded(part=p, since=NOW, reason="away") for p in parts]
    total = aggregate_engine_health(rows, own, degraded, NOW)
    assert (total.engine_count, total.last_update) == (len(rows), NOW)
    assert total.active_strategies == sum(r.active_strategies for r in rows)
    suspect = sum(r.connection is Connection.SUSPECT for r in rows)
    assert total.engines_connected + total.engines_offline + suspect == len(rows)
    assert (total.process_status is ProcessStatus.DEGRADED) is bool(parts)
    assert (total.database == "up") is ("database" not in parts)
    assert (total.cpu_usage, total.memory_usage, total.loop_lag_ms) == (3.5, 1.25, 0.4)


# --- quarantine -----------------------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmF0dXJl"


def row_of(payload, error=None):
    found = error or frame_of("trade_log", payload).error
    return quarantined(payload, found, id="q.s.1", at=NOW)


def test_a_row_says_what_was_wrong_where_and_shows_what_came():
    row = row_of({**LOG, "category": "Order", "order_id": "o1"})
    assert row.quarantined is True
    assert row.category is LogCategory.TRADE
    assert row.reason == "payload.category: must be one of System, Strategy, Trade"
    assert json.loads(row.message) == {**LOG, "category": "Order", "order_id": "o1"}
    assert (row.timestamp, row.id) == (NOW, "q.s.1")


def test_fields_that_no_line_has_are_counted_and_not_shown():
    row = row_of({**LOG, "category": 5, "app_secret": "canary", "x": 1})
    assert "canary" not in row.message
    assert "2 other fields" in row.message


def test_controls_and_credentials_do_not_get_into_a_row():
    said = f"\x1b[2J\u202eBearer {TOKEN} password=hunter2 " + "x" * 500
    row = row_of({**LOG, "category": "?", "message": said, "reason": ["hunter2"]})
    assert TOKEN not in row.message
    assert "hunter2" not in row.message
    assert row.message.isprintable()
    assert len(row.message) < 400


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["id", "category", "message", "timestamp", "reason", "symbol", "token"]) | st.text(max_size=8)


@given(payload=values | st.dictionaries(names, values, max_size=12))
def test_whatever_came_can_be_shown(payload):
    row = quarantined(payload, InvalidField("is not valid", field="payload"), id="q.s.1", at=NOW)
    assert len(row.message) <= MAX_EXCERPT
    assert row.message.isprintable()
    assert excerpt(payload) == row.message


def test_what_is_sound_needs_no_quarantine():
    assert isinstance(frame_of("trade_log", {**LOG, "id": "x1"}).message, TradeLog)
    assert isinstance(frame_of("health_update", HEALTH).message, HealthUpdate)
