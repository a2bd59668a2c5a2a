"""Properties 1 to 4 and 19 on the wire: what one session sends the other gets as it was, and nothing else gets through.

An engine of another make may say anything. Whatever does not conform is counted and nacked with the field's path, and
no application ever sees it.
"""

import json
import re
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wire.codec import unstructure
from wire.lanes import ENGINE_UP, LANES, TYPE_OF, Lane
from wire.messages import ErrorReport, Hello, StrategyStatusReport, TradeLog
from wire.session import EngineSession, Offer, PlatformSession, Received, Rejected, State, Vitals
from wire.stops import Level, StopSnapshot
from wire.values import LatchState, LogCategory, StrategyState, TradingMode

START = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = sorted((cls for cls in ENGINE_UP.values() if LANES[cls] is not Lane.CONTROL), key=lambda cls: cls.__name__)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1)
hundred = settings(
    max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)


def hello(resume):
    return Hello(
        protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[],
        latch=LatchState.ABSENT, resume=resume,
    )  # fmt: skip


def linked():
    """Both sessions of an open link."""
    vitals = Vitals(stop_epoch=0, level=Level.NORMAL, synced=True)
    engine = EngineSession("E1", hello=hello, vitals=lambda: vitals, clock=lambda: START)
    platform = PlatformSession("E1", now=0.0, clock=lambda: START)
    engine.connected(0.0)
    for text in engine.take(0.0):
        platform.receive(text, 0.0)
    offer = Offer(
        session="S", epoch=1, platform_id="P", term=1, stop=StopSnapshot(epoch=0, effective=[], released=[]),
        lease_ms=0, token_expires=START + timedelta(hours=1), config_version=0,
    )  # fmt: skip
    platform.welcome(offer, 0.0)
    for text in platform.take(0.0):
        engine.receive(text, 0.0)
    return engine, platform


def carried(message):
    """What the platform's application gets of a message that an engine sends."""
    engine, platform = linked()
    assert engine.send(message)
    (text,) = engine.take(0.0)
    (event,) = platform.receive(text, 0.0)
    assert isinstance(event, Received)
    return event.message


def refusal_of(cls, payload):
    """The nack that the engine gets for a payload that does not conform; the link goes on."""
    engine, platform = linked()
    plain = {
        "type": TYPE_OF[cls], "payload": payload, "timestamp": "2026-01-01T00:00:00Z", "engine_id": "E1", "seq": 1,
    }  # fmt: skip
    (event,) = platform.receive(json.dumps(plain), 0.0)
    assert isinstance(event, Rejected)
    assert (platform.state, platform.inbound.committed) == (State.LIVE, 1)
    (answer,) = [json.loads(text) for text in platform.take(1.0)]
    assert (answer["type"], answer["ack"], answer["payload"]["seq"]) == ("nack", 1, 1)
    assert re.fullmatch(r"error_[a-z0-9_]+", answer["payload"]["code"])
    return answer["payload"]["reason"]


@hundred
@given(data=st.data(), cls=st.sampled_from(OUTPUTS))
def test_every_output_arrives_as_it_was_and_one_that_does_not_conform_is_refused_by_its_field(strategy, data, cls):
    """Feature: trading-platform-backend-integration, Property 1: 데이터 스키마 준수"""
    message = data.draw(strategy(cls))
    assert carried(message) == message
    payload = unstructure(message, nulls=True)
    field = data.draw(st.sampled_from(sorted(payload)))
    reason = refusal_of(cls, {**payload, field: {"no": "such", "value": [{}]}})
    assert reason.startswith(f"payload.{field}")


@hundred
@given(data=st.data(), status=WORDS | NUMBERS | st.none() | st.sampled_from(StrategyState))
def test_a_strategy_s_status_is_one_of_three_words(strategy, data, status):
    """Feature: trading-platform-backend-integration, Property 2: 상태 값 제약"""
    message = data.draw(strategy(StrategyStatusReport))
    assert carried(message).status.value in ("active", "paused", "error")
    value = status.value if isinstance(status, StrategyState) else status
    if value not in ("active", "paused", "error"):
        reason = refusal_of(StrategyStatusReport, {**unstructure(message), "status": value})
        assert reason.startswith("payload.status")


@hundred
@given(data=st.data(), reason=st.none() | st.text(" \t\n\u3000", max_size=5))
def test_a_trade_without_its_reason_is_never_taken(strategy, data, reason):
    """Feature: trading-platform-backend-integration, Property 3: 거래 로그 이유 필드 요구사항"""
    message = data.draw(strategy(TradeLog))
    heard = carried(message)
    assert heard.category is not LogCategory.TRADE or heard.reason.strip()
    silent = {**unstructure(message), "category": "Trade", "reason": reason}
    assert refusal_of(TradeLog, silent).startswith("payload.reason")


@hundred
@given(data=st.data(), code=NUMBERS | WORDS | st.sampled_from(["404", "ERROR_X", "error-x"]))
def test_an_error_code_is_words_on_the_wire_in_both_directions(strategy, data, code):
    """Feature: trading-platform-backend-integration, Property 4: 오류 코드 문자열 형식"""
    message = data.draw(strategy(ErrorReport))
    assert re.fullmatch(r"error_[a-z0-9_]+", carried(message).code)
    if not (isinstance(code, str) and re.fullmatch(r"error_[a-z0-9_]+", code)):
        assert refusal_of(ErrorReport, {**unstructure(message), "code": code}).startswith("payload.code")


@hundred
@given(data=st.data(), missing=st.sampled_from(["category", "reason", "code", "severity"]))
def test_an_error_report_keeps_its_structure_on_the_way(strategy, data, missing):
    """Feature: trading-platform-backend-integration, Property 19: 오류 보고 구조"""
    message = data.draw(strategy(ErrorReport))
    heard = carried(message)
    assert heard == message
    assert heard.reason
    payload = {k: v for k, v in unstructure(message).items() if k != missing}
    assert refusal_of(ErrorReport, payload) == f"payload.{missing}: is required"
