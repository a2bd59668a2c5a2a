"""Which order a market phase takes, and what is said of a position that cannot be sold now."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.exchange.ticks import on_grid
from wire.sdk.flattening import MarketPhase, SymbolState, assess, closed, next_opening, terms

M = MarketPhase


@pytest.mark.parametrize(
    ("facts", "words", "queues"),
    [
        ({"halted": True}, "halted", False),
        ({"interrupted": True}, "volatility interruption", True),
        ({"phase": M.AUCTION}, "call auction", True),
        ({"bid": 0, "price": 50_000}, "lower price limit", True),
        ({"lot": 20}, "fewer than the trading unit of 20", False),
    ],
)
def test_each_state_that_keeps_a_position_from_being_sold_has_its_words(a, facts, words, queues):
    blocked = assess(a.state(**facts), 10, "20261120")
    assert words in blocked.reason
    assert (blocked.queues, blocked.until, blocked.is_closed) == (queues, None, False)


def test_a_market_that_trades_blocks_nothing_and_an_empty_side_above_the_limit_neither(a):
    assert assess(a.state(), 10, "20261120") is None
    assert assess(a.state(bid=0, price=60_000), 10, "20261120") is None


def test_a_closed_market_blocks_until_the_next_opening(a):
    blocked = assess(a.state(phase=M.CLOSED, halted=True), 10, "20261120")
    assert blocked == closed("20261120")
    assert (blocked.is_closed, blocked.until) == (True, datetime(2026, 11, 23, 0, 0, tzinfo=UTC))
    assert closed("").until is None


def test_the_next_opening_leaves_weekends_out():
    assert next_opening("20261119") == datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
    assert next_opening("20261121") == datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


def test_without_a_look_it_sells_at_market_and_then_at_a_limit_that_gives_way():
    assert (terms(None, 10, bid=0, attempt=1).price, terms(None, 10, bid=70_000, attempt=0).price) == (0, 0)
    assert terms(None, 10, bid=70_000, attempt=1).price == 69_500


@pytest.mark.parametrize("facts", [{"phase": M.AUCTION, "bid": 0}, {"interrupted": True}, {"bid": 0, "price": 50_000}])
def test_where_a_single_price_is_made_or_nobody_buys_it_sells_at_the_lower_limit(a, facts):
    assert [terms(a.state(**facts), 10, bid=1, attempt=n).price for n in (0, 1)] == [50_000, 50_000]


def test_an_odd_lot_stays_and_whole_units_go(a):
    assert terms(a.state(lot=10), 25, bid=1, attempt=0).quantity == 20
    assert terms(a.state(lot=10), 9, bid=1, attempt=0).quantity == 0


states = st.builds(
    SymbolState,
    symbol=st.just("A"),
    phase=st.sampled_from([M.CONTINUOUS, M.AUCTION]),
    price=st.just(70_000),
    bid=st.one_of(st.just(0), st.integers(20_000, 200_000).map(lambda p: p - p % 100)),
    lower_limit=st.just(50_000),
    lot=st.integers(1, 20),
    interrupted=st.booleans(),
)


@given(states, st.integers(1, 1_000), st.integers(0, 5))
def test_every_order_is_on_the_grid_within_the_limit_and_a_whole_number_of_units(state, quantity, attempt):
    sale = terms(state, quantity, bid=0, attempt=attempt)
    assert 0 <= sale.quantity <= quantity
    assert sale.quantity % state.lot == 0
    assert sale.price == 0 or (sale.price >= state.lower_limit and on_grid(sale.price))
