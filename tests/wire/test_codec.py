import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.every_message import MESSAGES
from wire.codec import decode, encode, structure, unstructure
from wire.errors import InvalidField
from wire.lanes import ENGINE_DOWN, ENGINE_UP
from wire.messages import Account, ErrorReport, HealthUpdate, Hello, Nack, Positions, StrategyStatusReport, TradeLog
from wire.parts import StrategyReport
from wire.schema import C, message
from wire.stops import Level, Scope, StopRecord
from wire.values import LogCategory, Secret

slow_data = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
few_examples = settings(slow_data, max_examples=30)


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda c: c.__name__)
@few_examples
@given(data=st.data())
def test_every_message_survives_the_trip_through_text(cls, strategy, data):
    value = data.draw(strategy(cls))
    assert decode(encode(value), cls, max_depth=20) == value
    assert decode(encode(value, nulls=True), cls, max_depth=20) == value


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda c: c.__name__)
@few_examples
@given(data=st.data())
def test_fields_nobody_knows_are_ignored(cls, strategy, data):
    value = data.draw(strategy(cls))
    assert structure({**unstructure(value), "x-new": {"deep": [1]}}, cls) == value


WRONG = [None, True, 1, 5.5, "x", "5", [], {}, [None], {"a": None}, 2**70, "NaN", "\x1b[31m", {"type": {}}]


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda c: c.__name__)
@few_examples
@given(data=st.data())
def test_a_broken_field_is_refused_by_its_path_or_equal_in_json(cls, strategy, data):
    plain = unstructure(data.draw(strategy(cls)), nulls=True)
    if not plain:
        return
    name = data.draw(st.sampled_from(sorted(plain)))
    broken = {**plain, name: data.draw(st.sampled_from(WRONG))}
    try:
        value = structure(broken, cls)
    except InvalidField as error:
        path = error.field
    else:
        taken = unstructure(value, nulls=True)[name]
        assert taken == broken[name] or isinstance(broken[name], dict)
        assert type(taken) is type(broken[name]) or type(taken) is float
        return
    assert re.split(r"[.\[]", path)[0] in plain


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda c: c.__name__)
def test_a_missing_required_field_is_named(cls):
    required = [f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING]
    if required:
        with pytest.raises(InvalidField) as caught:
            structure({}, cls)
        assert (caught.value.field, caught.value.reason) == (required[0], "is required")


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
        max_leaves=8,
    )
)
def test_no_plain_value_makes_structure_raise_anything_but_a_wire_error(data):
    for cls in (Hello, StopRecord, Positions, StrategyReport):
        with suppress(InvalidField):
            structure(data, cls)


@message
class Sample:
    i: int = 0
    f: float = 0.0
    n: int | float = 0
    s: str = ""
    b: bool = False
    t: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    d: date = date(2026, 1, 1)
    m: Decimal = Decimal(0)
    level: Level = Level.NORMAL
    scope: Scope = Scope.everything()
    items: list[int] = attrs.field(factory=list)
    pair: tuple[int, ...] = ()
    table: dict[str, int] = attrs.field(factory=dict)
    kind: Literal["a", 1] = "a"
    either: str | StopRecord | None = None
    anything: Any = None


T = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "field, value, result",
    [
        ("i", 71800, 71800), ("i", 2**63 - 1, 2**63 - 1), ("f", 1, 1.0), ("f", 1.5, 1.5), ("n", 3, 3), ("n", 3.5, 3.5),
        ("s", "", ""), ("b", False, False),
        ("t", "2026-11-20T01:02:03Z", T), ("t", "2026-11-20T10:02:03+09:00", T), ("t", "2026-11-20t01:02:03z", T),
        ("t", "2026-11-20T01:02:03.5-00:00", T + timedelta(seconds=0.5)),
        ("t", "2026-11-20T01:02:03.123456789Z", T + timedelta(microseconds=123456)),
        ("d", "2026-02-28", date(2026, 2, 28)), ("m", "-0.50", Decimal("-0.50")), ("m", "71800", Decimal(71800)),
        ("level", "FLATTEN", Level.FLATTEN), ("scope", "strategy:E1/ma", Scope.parse("strategy:E1/ma")),
        ("items", [1, 2], [1, 2]), ("pair", [1], (1,)), ("table", {"a": 1}, {"a": 1}), ("kind", 1, 1),
        ("kind", "a", "a"),
        ("either", None, None), ("either", "x", "x"),
        ("either", {"stop_id": "s", "scope": "all", "level": "HALT", "stop_epoch": 1},
         StopRecord(stop_id="s", scope=Scope.everything(), level=Level.HALT, stop_epoch=1)),
        ("anything", {"a": [1]}, {"a": [1]}),
    ],
)  # fmt: skip
def test_values_are_taken_as_they_are(field, value, result):
    taken = getattr(structure({field: value}, Sample), field)
    assert taken == result
    assert type(taken) is type(result)


@pytest.mark.parametrize(
    "field, values",
    [
        ("i", [71800.0, True, "5", None, 2**63, [1], float("nan")]),
        ("f", [True, "1.5", None, float("nan"), float("inf"), 10**400]),
        ("n", [False, "1", None, float("-inf"), 2**63]),
        ("s", [7, None, True, ["a"], {"a": 1}, b"x"]),
        ("b", [0, 1, "false", None]),
        ("t", ["2026-11-20T01:02:03", "2026-11-20", "2026-11-20 01:02:03Z", "20261120T010203Z", "2026-W47-5T01:02:03Z",
               "2026-02-30T01:02:03Z", "2026-11-20T24:00:00Z", "2026-11-20T01:02:60Z", "0001-01-01T00:00:00+09:00",
               "2026-11-20T01:02:03+25:00", "2026-11-20T01:02:03Z\n", "２０２６-11-20T01:02:03Z", 1763600000, None]),
        ("d", ["2026-11-20T00:00:00Z", "20261120", "2026-02-30", "2026-11-20\n", 1, None]),
        ("m", [1, 1.5, "1e5", "NaN", "Infinity", "1_000", " 1", "1\n", "+1", ".5", "1.", "00", "١", "9" * 31, None]),
        ("level", ["halt", "Level.HALT", 2, None, [], {}]),
        ("scope", ["", "everything", "engine:", "engine", "ALL", "strategy:E1", 1, None]),
        ("items", ["ab", {"0": 1}, (1,), [1, "2"], [True], None]),
        ("pair", [[1.0], None, "a"]),
        ("table", [[["a", 1]], {"a": "1"}, {1: 1}, None]),
        ("kind", ["b", True, 1.0, None, []]),
        ("either", [1, 1.5, True, [], {}]),
    ],
)  # fmt: skip
def test_nothing_is_coerced(field, values):
    for value in values:
        with pytest.raises(InvalidField) as caught:
            structure({field: value}, Sample)
        assert caught.value.field.startswith(field)


@pytest.mark.parametrize("value", [None, True, 1, "x", [], ["a"]])
def test_a_message_is_an_object(value):
    with pytest.raises(InvalidField):
        structure(value, Sample)


def test_a_path_leads_to_the_innermost_field(strategy):
    hello = {
        "protocol": "1", "instance": "i", "name": "n", "version": "1", "trading_mode": "paper", "latch": "absent",
        "capabilities": [], "supported_brokerages": [], "strategies": [],
        "stops": [{"stop_id": "s", "scope": "all", "level": "HIGH", "stop_epoch": 1}],
    }  # fmt: skip
    assert failing_field(hello, Hello) == "stops[0].level"
    assert failing_field({**hello, "stops": [{"stop_id": "s"}]}, Hello) == "stops[0].scope"
    assert failing_field({**hello, "stops": [], "capabilities": ["a", ""]}, Hello) == "capabilities[1]"
    strategy_report = {"id": "s", "name": "n", "status": "active", "parameter_schema": {}, "version": 0}
    hello = {**hello, "stops": [], "strategies": [{**strategy_report, "parameters": {"fast": "5"}}]}
    assert failing_field(hello, Hello) == "strategies[0].parameters.fast"
    hello = {**hello, "strategies": [{**strategy_report, "parameters": {"\x1b[31mfast": 5}}]}
    assert failing_field(hello, Hello) == "strategies[0].parameters.(key)"


def failing_field(value, cls):
    with pytest.raises(InvalidField) as caught:
        structure(value, cls)
    return caught.value.field


@message
class Credential:
    app_secret: Secret
    count: Annotated[int, C(ge=0)] = 0


@given(secret=st.text("abcdef0123456789", min_size=20, max_size=40), place=st.integers(0, 2))
def test_an_error_never_repeats_a_value(secret, place):
    broken = [{"app_secret": [secret]}, {"app_secret": secret, "count": secret}, {"app_secret": secret * 300}][place]
    with pytest.raises(InvalidField) as caught:
        structure(broken, Credential)
    assert secret not in str(caught.value) + repr(caught.value) + str(caught.value.__context__)
    assert secret not in repr(Credential(app_secret=secret))


def test_absent_and_null_mean_the_same_and_nulls_are_written_on_request():
    nack = Nack(code="error_x", reason="r")
    assert json.loads(encode(nack)) == {"code": "error_x", "reason": "r", "category": "link"}
    assert json.loads(encode(nack, nulls=True)) == {
        "code": "error_x",
        "reason": "r",
        "category": "link",
        "seq": None,
        "re": None,
    }
    assert structure({"code": "error_x", "reason": "r", "seq": None}, Nack) == nack


def test_times_are_written_in_utc_with_microseconds():
    seoul = timezone(timedelta(hours=9))
    written = unstructure(Sample(t=datetime(2026, 11, 20, 10, 2, 3, tzinfo=seoul), m=Decimal("1E+3")))
    assert (written["t"], written["m"], written["d"]) == ("2026-11-20T01:02:03.000000Z", "1000", "2026-01-01")


def test_a_union_that_json_cannot_tell_apart_is_refused_when_it_is_defined():
    @message
    class Ambiguous:
        value: str | datetime

    with pytest.raises(TypeError, match="ambiguous"):
        structure({"value": "x"}, Ambiguous)


def test_a_number_stays_an_integer_when_it_is_one():
    report = {
        "id": "s",
        "name": "n",
        "status": "active",
        "parameters": {"fast": 5, "ratio": 0.5},
        "version": 1,
        "trading_state": "NORMAL",
    }
    parameters = structure(report, StrategyStatusReport).parameters
    assert [type(v) for v in parameters.values()] == [int, float]
    assert encode(structure(report, StrategyStatusReport)) == json.dumps(report, separators=(",", ":"))


# --- the properties of the seeds that hold at this floor ------------------------------------------------------------


@slow_data
@given(
    data=st.data(),
    cls=st.sampled_from([TradeLog, HealthUpdate, StrategyReport, StrategyStatusReport, Positions, Account]),
)
def test_every_output_of_an_engine_has_its_fields_and_allowed_categories(strategy, data, cls):
    """Feature: trading-platform-backend-integration, Property 1: 데이터 스키마 준수"""
    written = json.loads(encode(data.draw(strategy(cls))))
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING:
            assert field.name in written
            without = {k: v for k, v in written.items() if k != field.name}
            assert failing_field(without, cls) == field.name
    if cls is TradeLog:
        assert written["category"] in ("System", "Strategy", "Trade")
        assert failing_field({**written, "category": "Other"}, cls) == "category"


@slow_data
@given(
    data=st.data(), status=st.text(max_size=10) | st.sampled_from(["ACTIVE", "active ", "stopped", "running", "Active"])
)
def test_a_strategy_is_active_paused_or_in_error_and_nothing_else(strategy, data, status):
    """Feature: trading-platform-backend-integration, Property 2: 상태 값 제약"""
    for cls in (StrategyReport, StrategyStatusReport):
        written = unstructure(data.draw(strategy(cls)))
        assert written["status"] in ("active", "paused", "error")
        if status not in ("active", "paused", "error"):
            assert failing_field({**written, "status": status}, cls) == "status"


@slow_data
@given(data=st.data(), blank=st.none() | st.text(" \t\n\u3000", max_size=5))
def test_a_trade_always_says_why(strategy, data, blank):
    """Feature: trading-platform-backend-integration, Property 3: 거래 로그 이유 필드 요구사항"""
    log = data.draw(strategy(TradeLog))
    assert log.category is not LogCategory.TRADE or log.reason.strip()
    written = {**unstructure(log), "category": "Trade", "reason": blank}
    assert failing_field(written, TradeLog) == "reason"
    with pytest.raises(InvalidField):
        attrs.evolve(log, category=LogCategory.TRADE, reason=blank)


@slow_data
@given(
    data=st.data(),
    code=st.integers() | st.text(max_size=12) | st.sampled_from(["error_", "Error_x", "error_X", "error_x\n", "404"]),
)
def test_an_error_code_is_error_and_words_never_a_number(strategy, data, code):
    """Feature: trading-platform-backend-integration, Property 4: 오류 코드 문자열 형식"""
    for cls in (ErrorReport, Nack):
        written = unstructure(data.draw(strategy(cls)))
        assert re.fullmatch(r"error_[a-z0-9_]+", written["code"])
        if not (isinstance(code, str) and re.fullmatch(r"error_[a-z0-9_]+", code)):
            assert failing_field({**written, "code": code}, cls) == "code"


@slow_data
@given(data=st.data())
def test_an_error_report_is_structured_with_category_and_reason(strategy, data):
    """Feature: trading-platform-backend-integration, Property 19: 오류 보고 구조"""
    written = json.loads(encode(data.draw(strategy(ErrorReport))))
    assert written["category"] in ("broker", "strategy", "risk", "data", "system", "link")
    assert written["reason"]
    assert {"code", "severity", "degraded"} <= set(written)
    for name in ("category", "reason"):
        assert failing_field({k: v for k, v in written.items() if k != name}, ErrorReport) == name
    assert failing_field({**written, "reason": ""}, ErrorReport) == "reason"


def test_the_tables_name_every_message_once():
    assert len(set(ENGINE_UP.values())) == len(ENGINE_UP)
    assert len(set(ENGINE_DOWN.values())) == len(ENGINE_DOWN)


def test_a_bound_is_said_in_plain_digits():
    with pytest.raises(InvalidField) as caught:
        C(le=2**53 - 1).check(2**53)
    assert "at most 9007199254740991" in str(caught.value)
    with pytest.raises(InvalidField) as caught:
        C(ge=0.5).check(0.25)
    assert "at least 0.5" in str(caught.value)
