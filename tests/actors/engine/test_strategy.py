"""The strategy as a pure function, and its parameters."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.ma_cross import DEFAULTS, SCHEMA, MovingAverageCross
from actors.engine.strategy import Place, Resting, Standing, Tick, Withdraw
from wire.exchange import ticks
from wire.sdk.errors import InvalidParameters
from wire.sdk.parameters import validated
from wire.stops import Level
from wire.values import Side

STRATEGY = MovingAverageCross()
VALUES = {**DEFAULTS, "shortWindow": 2, "longWindow": 4, "cooldownSeconds": 1}
EMPTY = Standing(
    quantity=0, average_price=Decimal(0), orders=(), cash=10_000_000, equity=10_000_000, level=Level.NORMAL
)


def tick(price, at=0.0):
    return Tick(symbol="005930", price=price, bid=price - 100, ask=price + 100, at=at)


def run(prices, standing=EMPTY, values=VALUES):
    state, made = STRATEGY.begin(), ()
    for n, price in enumerate(prices):
        state, made = STRATEGY.on_tick(state, tick(price, at=n * 10.0), standing, values)
    return made


def resting(**changes):
    base = Resting(
        order_id="o1", side=Side.SELL, remaining=5, price=71_000, age=1.0, patient=True, cancelling=False, working=True
    )
    return attrs.evolve(base, **changes)


def holding(quantity=10, average=70_000, **changes):
    return attrs.evolve(EMPTY, quantity=quantity, average_price=Decimal(average), **changes)


def test_it_waits_until_the_slow_average_is_whole():
    assert run([70_000, 70_100, 70_200]) == ()


def test_rising_prices_buy_a_lot_and_say_why():
    (decision,) = run([70_000, 70_100, 70_200, 70_300])
    assert (decision.side, decision.quantity) == (Side.BUY, 5)
    assert decision.price == 70_500
    assert "above" in decision.reason


def test_falling_prices_sell_down_to_the_core_only():
    prices = [70_300, 70_200, 70_100, 70_000]
    (decision,) = run(prices, holding(20, orders=(resting(remaining=10),)))
    assert (decision.side, decision.quantity) == (Side.SELL, 5)
    (decision,) = run(prices, holding(7, orders=(resting(remaining=4),)))
    assert (decision.side, decision.quantity) == (Side.SELL, 1)
    decisions = run(prices, holding(6, orders=(resting(remaining=3, price=70_800),)))
    assert decisions == ()


def test_half_of_what_is_held_rests_as_a_take_profit_order():
    (decision,) = run([70_000], holding(9))
    assert (decision.side, decision.quantity, decision.price, decision.patient) == (Side.SELL, 5, 70_800, True)


def test_a_fall_below_the_stop_loss_withdraws_the_take_profit_and_then_sells_everything():
    (first,) = run([68_000], holding(10, orders=(resting(),)))
    assert isinstance(first, Withdraw)
    (second,) = run([68_000], holding(10))
    assert (second.side, second.quantity) == (Side.SELL, 10)
    assert "stop loss" in second.reason


def test_an_entry_that_does_not_fill_is_withdrawn():
    (decision,) = run([70_000], holding(orders=(resting(side=Side.BUY, patient=False, age=6.0),)))
    assert isinstance(decision, Withdraw)


def test_while_only_reducing_is_allowed_it_buys_nothing_and_withdraws_its_buys():
    rising = [70_000, 70_100, 70_200, 70_300]
    reduced = attrs.evolve(EMPTY, level=Level.REDUCE_ONLY)
    assert run(rising, reduced) == ()
    (decision,) = run(rising, attrs.evolve(reduced, orders=(resting(side=Side.BUY, patient=False),)))
    assert isinstance(decision, Withdraw)


def test_it_waits_while_an_answer_is_due():
    assert run([68_000], holding(10, orders=(resting(working=False),))) == ()


situations = st.builds(
    lambda q, average, level, cash: attrs.evolve(
        EMPTY, quantity=q, average_price=Decimal(average), level=level, cash=cash, equity=cash + q * average
    ),
    st.integers(0, 20),
    st.integers(1_000, 900_000),
    st.sampled_from(list(Level)),
    st.integers(0, 10**8),
)


@given(st.lists(st.integers(1_000, 900_000), min_size=1, max_size=30), situations)
def test_no_market_makes_it_leave_its_limits(prices, standing):
    for decision in run(prices, standing):
        if not isinstance(decision, Place):
            continue
        assert decision.quantity >= 1
        assert ticks.on_grid(decision.price)
        assert decision.reason
        if decision.side is Side.BUY:
            assert standing.level is Level.NORMAL
            assert standing.quantity + decision.quantity <= VALUES["maxPositionSize"]
            assert decision.quantity * prices[-1] <= standing.cash
        else:
            assert standing.level <= Level.REDUCE_ONLY
            assert decision.quantity <= standing.quantity


@given(st.data())
def test_a_valid_change_is_taken_whole_and_an_invalid_one_not_at_all(data):
    name = data.draw(st.sampled_from(sorted(SCHEMA)))
    spec = SCHEMA[name]
    number = st.integers(-1000, 200_000)
    value = data.draw(number if spec.type == "integer" else number | st.floats(-100, 200))
    inside = spec.minimum <= value <= spec.maximum
    if inside:
        assert validated(SCHEMA, DEFAULTS, {name: value}) == {**DEFAULTS, name: value}
    else:
        with pytest.raises(InvalidParameters) as refused:
            validated(SCHEMA, DEFAULTS, {name: value})
        assert name in refused.value.reason


def test_unknown_names_and_fractions_of_shares_are_refused():
    with pytest.raises(InvalidParameters) as unknown:
        validated(SCHEMA, DEFAULTS, {"leverage": 2})
    assert unknown.value.code == "error_unknown_parameter"
    with pytest.raises(InvalidParameters):
        validated(SCHEMA, DEFAULTS, {"maxPositionSize": 2.0})
    with pytest.raises(InvalidParameters):
        validated(SCHEMA, DEFAULTS, {"maxPositionSize": True})
