"""The price grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.exchange import ticks

VALID = [1999, 2000, 2005, 4995, 5000, 5010, 19990, 20050, 49950, 50000, 50100, 199900, 200000, 200500, 499500, 500000]
VALID += [501000]
INVALID = [2001, 4998, 5005, 19995, 20010, 50050, 199950, 200100, 500500]
PRICES = st.integers(1, 3_000_000)


@pytest.mark.parametrize("price", VALID)
def test_a_price_on_the_grid_is_valid(price):
    assert ticks.on_grid(price)


@pytest.mark.parametrize("price", INVALID)
def test_a_price_between_two_ticks_is_not(price):
    assert not ticks.on_grid(price)


@pytest.mark.parametrize(
    ("price", "tick"),
    [
        (1, 1),
        (1999, 1),
        (2000, 5),
        (4999, 5),
        (5000, 10),
        (19999, 10),
        (20000, 50),
        (49999, 50),
        (50000, 100),
        (199999, 100),
        (200000, 500),
        (499999, 500),
        (500000, 1000),
        (2000000, 1000),
    ],
)
def test_every_band_has_its_tick(price, tick):
    assert ticks.tick_size(price) == tick


@pytest.mark.parametrize("price", [0, -100])
def test_there_is_no_tick_below_one_won(price):
    assert not ticks.on_grid(price)
    with pytest.raises(ValueError):
        ticks.tick_size(price)


def test_the_limits_are_the_brokers_example():
    assert ticks.price_limits(121_700) == ticks.PriceLimits(lower=85_200, upper=158_200)


@given(PRICES)
def test_rounding_lands_on_the_grid_on_the_right_side(price):
    below, above = ticks.round_down(price), ticks.round_up(price)
    assert below <= price <= above
    assert below == 0 or ticks.on_grid(below)
    assert ticks.on_grid(above)
    assert ticks.round_nearest(price) in (below, above)


@given(PRICES.map(ticks.round_up), st.integers(0, 40))
def test_stepping_up_and_down_returns_to_the_start(price, count):
    up = ticks.step(price, count)
    assert ticks.on_grid(up)
    assert ticks.step(up, -count) == price


def test_stepping_knows_the_band_edges():
    assert (ticks.step(50_000, -1), ticks.step(50_000, 1), ticks.step(1, -5)) == (49_950, 50_100, 1)


@given(PRICES.map(ticks.round_up))
def test_limits_are_on_the_grid_and_within_thirty_percent(reference):
    limits = ticks.price_limits(reference)
    assert ticks.on_grid(limits.lower)
    assert ticks.on_grid(limits.upper)
    assert limits.allow(reference)
    assert reference * 70 <= limits.lower * 100
    assert limits.upper * 100 <= reference * 130
