"""Properties 12 and 13, at the platform: what an engine's answer to a change of parameters is taken for."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.parameters.rules import loosens, outcome_of, refuse_outside, same
from wire.messages import ParameterResult
from wire.parts import ParameterSpec
from wire.rest.strategies import UpdateStatus
from wire.values import Loosens, ResultStatus

KEYS = ["takeProfitPercent", "stopLossPercent", "maxPositionSize", "riskPerTrade"]


@st.composite
def specs(draw):
    low = draw(st.integers(-100, 100))
    whole = draw(st.booleans())
    step = draw(st.sampled_from([1, 2, 5] if whole else [0.1, 0.25, 0.5, 1.0]))
    steps = draw(st.integers(1, 50))
    return ParameterSpec(
        type="integer" if whole else "number",
        minimum=low,
        maximum=low + steps * step,
        step=step,
        loosens=draw(st.sampled_from(list(Loosens))),
    )


@st.composite
def situations(draw):
    """A strategy's envelope, the values in force, and a change within the envelope."""
    schema = draw(st.dictionaries(st.sampled_from(KEYS), specs(), min_size=1))

    def value(key):
        spec = schema[key]
        n = draw(st.integers(0, round((spec.maximum - spec.minimum) / spec.step)))
        number = spec.minimum + n * spec.step
        return int(number) if spec.type == "integer" else number

    current = {key: value(key) for key in schema}
    change = {key: value(key) for key in draw(st.sets(st.sampled_from(sorted(schema)), min_size=1))}
    return schema, current, change


def answer(status, parameters, error=None, reason=None):
    return ParameterResult(
        request_id="r",
        strategy_id="s",
        status=status,
        parameters=parameters,
        version=2,
        error=error,
        reason=reason,
    )


@settings(max_examples=200, deadline=None)
@given(situations())
def test_a_change_within_the_envelope_is_taken_and_confirmed_by_the_engine_s_current_values(situation):
    """Feature: trading-platform-backend-integration, Property 12: 실시간 파라미터 업데이트 흐름"""
    schema, current, change = situation
    assert refuse_outside(change, schema) is None
    wanted = {**current, **change}
    assert outcome_of(answer(ResultStatus.APPLIED, wanted), wanted) == (UpdateStatus.APPLIED, None, None)
    unchanged = outcome_of(answer(ResultStatus.APPLIED, current), wanted)
    assert (unchanged[0] is UpdateStatus.APPLIED) == same(current, wanted)


@settings(max_examples=200, deadline=None)
@given(
    situations(),
    st.none() | st.sampled_from(["error_out_of_range", "error_stale_epoch"]),
    st.none() | st.text(max_size=40).filter(lambda t: "\x00" not in t),
    st.booleans(),
)
def test_every_failed_change_says_why(situation, error, reason, lies):
    """Feature: trading-platform-backend-integration, Property 13: 파라미터 업데이트 오류 보고"""
    _, current, change = situation
    wanted = {**current, **change}
    said = answer(ResultStatus.APPLIED, {}) if lies else answer(ResultStatus.FAILED, current, error, reason)
    status, code, words = outcome_of(said, wanted)
    assert status is UpdateStatus.FAILED
    assert re.fullmatch(r"error_[a-z0-9_]+", code)
    assert words
    if not lies and reason:
        assert words == reason


@settings(max_examples=200, deadline=None)
@given(situations(), st.sampled_from(KEYS), st.floats(allow_nan=True, allow_infinity=True))
def test_nothing_outside_the_envelope_is_ever_sent(situation, key, value):
    schema, _, change = situation
    refusal = refuse_outside({**change, key: value}, schema)
    spec = schema.get(key)
    if spec is None or spec.type == "integer" or not spec.minimum <= value <= spec.maximum:
        assert refusal is not None
        assert (refusal.status, refusal.field) == (422, f"parameters.{key}")


@given(situations())
def test_what_does_not_take_more_risk_is_never_called_loosening(situation):
    schema, current, change = situation
    for key in loosens(change, current, schema):
        rises = change[key] > current[key]
        assert schema[key].loosens is (Loosens.UP if rises else Loosens.DOWN)
