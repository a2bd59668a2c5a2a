"""What an order may not exceed: judged before it leaves, told once a minute, never in the way of a sale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.risk.limits import Limits
from actors.engine.risk.pretrade import Refusals, RiskRefused, Wanted, check
from wire.values import Side

LIMITS = Limits(max_position_size=1_000_000, max_concurrent_positions=2)


def wanted(quantity=10, *, price=50_000, symbol="A", side=Side.BUY):
    return Wanted(symbol=symbol, side=side, quantity=quantity, price=price)


def refusal(order, limits=LIMITS, *, held=None, buying=None):
    try:
        check(order, limits, held=held or {}, buying=buying or {})
    except RiskRefused as refused:
        return refused.code
    return None


def test_a_position_may_grow_up_to_its_size_with_what_is_being_bought():
    assert refusal(wanted(20)) is None
    assert refusal(wanted(21)) == "error_risk_position_size"
    assert refusal(wanted(10), held={"A": 5}, buying={"A": 5}) is None
    assert refusal(wanted(10), held={"A": 6}, buying={"A": 5}) == "error_risk_position_size"
    assert refusal(wanted(10), held={"B": 99}) is None


def test_a_size_that_cannot_be_judged_is_refused():
    assert refusal(wanted(price=0)) == "error_risk_no_price"
    assert refusal(wanted(price=0), Limits()) is None


def test_only_so_many_symbols_are_held_or_bought():
    assert refusal(wanted(symbol="C"), held={"A": 1, "B": 1}) == "error_risk_concurrent_positions"
    assert refusal(wanted(symbol="C"), held={"A": 1}, buying={"B": 1}) == "error_risk_concurrent_positions"
    assert refusal(wanted(symbol="B"), held={"A": 1, "B": 1}) is None
    assert refusal(wanted(symbol="C"), held={"A": 1, "B": 0}) is None


def test_the_words_name_the_numbers():
    with pytest.raises(RiskRefused, match="21 shares at 50,000 would be 1,050,000 won, the limit is 1,000,000"):
        check(wanted(21), LIMITS, held={}, buying={})


shares = st.dictionaries(st.sampled_from("ABC"), st.integers(0, 10**6), max_size=3)


@given(st.integers(1, 10**6), st.integers(0, 10**6), shares, shares)
def test_no_limit_forbids_a_sale(quantity, price, held, buying):
    strictest = Limits(max_position_size=0, max_concurrent_positions=0)
    assert refusal(wanted(quantity, price=price, side=Side.SELL), strictest, held=held, buying=buying) is None


@given(st.integers(1, 10**4), st.integers(1, 10**5), shares, shares)
def test_what_passes_leaves_every_limit_kept(quantity, price, held, buying):
    if refusal(wanted(quantity, price=price), held=held, buying=buying) is None:
        assert (held.get("A", 0) + buying.get("A", 0) + quantity) * price <= 1_000_000
        assert len({"A"} | {s for s, q in [*held.items(), *buying.items()] if q}) <= 2


def test_the_same_refusal_is_told_once_a_minute():
    refusals = Refusals()
    told = [refusals.is_news("error_x", "A", now) for now in (0.0, 0.1, 59.9, 60.0, 61.0)]
    assert told == [True, False, False, True, False]
    assert refusals.is_news("error_y", "A", 61.0)
    assert refusals.is_news("error_x", "B", 61.0)
