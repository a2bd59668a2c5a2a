"""Recorded and modelled days, walked inside their range."""

import itertools
from datetime import date, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.exchange.calendar import CLOSING_CALL, OPENING
from wire.exchange.market import KNOWN_SYMBOLS, Bar, Market, MarketFileError, read_bars
from wire.exchange.ticks import on_grid, round_down, round_up

DAY = date(2020, 3, 2)
HEADER = "code,date,open,high,low,close,volume\n"


@st.composite
def bars(draw):
    low = draw(st.integers(1_000, 900_000).map(round_up))
    high = low + draw(st.integers(0, low // 5))
    open_, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    return Bar(day=DAY, open=open_, high=high, low=low, close=close, volume=draw(st.integers(1, 10**7)))


@given(bars(), st.integers(0, 2**32))
def test_a_walk_stays_in_the_recorded_range_on_valid_ticks_and_visits_both_ends(bar, seed):
    session = Market(seed, first_day=DAY, bars={"005930": (bar,)}, trades_per_day=80).session("005930", DAY)
    prices = [session.open, *(step.price for step in session.steps), session.close]
    assert all(bar.low <= price <= bar.high and on_grid(price) for price in prices)
    assert all(session.limits.allow(price) for price in prices)
    assert min(prices) == round_up(bar.low)
    assert max(prices) == round_down(bar.high)
    seconds = [step.second for step in session.steps]
    assert seconds == sorted(seconds)
    assert all(OPENING <= second < CLOSING_CALL for second in seconds)
    assert all(step.volume > 0 for step in session.steps)


def test_the_walk_depends_on_the_seed_alone():
    first = Market(5, first_day=DAY).session("005930", DAY)
    again = Market(5, first_day=DAY)
    again.session("000660", DAY)
    assert again.session("005930", DAY) == first
    assert Market(6, first_day=DAY).session("005930", DAY) != first


def test_the_model_offers_several_known_symbols_with_history():
    market = Market(1, first_day=DAY)
    assert len(market.symbols) >= 8
    history = market.bars("005930", DAY - timedelta(days=400), DAY - timedelta(days=1))
    assert len(history) > 100
    assert market.session("005930", DAY).reference == history[-1].close


@given(st.integers(0, 2**16))
def test_a_modelled_day_never_leaves_its_price_limits(seed):
    market = Market(seed, first_day=DAY, symbols=KNOWN_SYMBOLS[:1], trades_per_day=20)
    session = market.session("005930", DAY)
    (bar,) = market.bars("005930", DAY, DAY)
    assert session.limits.allow(bar.low)
    assert session.limits.allow(bar.high)


def test_prices_move_enough_for_a_short_average_to_cross_often():
    session = Market(3, first_day=DAY).session("005930", DAY)
    prices = [step.price for step in session.steps]

    def average(i, length):
        return sum(prices[i - length : i]) / length

    above = [average(i, 5) > average(i, 20) for i in range(20, len(prices))]
    crossings = sum(a != b for a, b in itertools.pairwise(above))
    assert crossings / (len(prices) / 180) >= 3  # 180 trades are a minute at 60 times real time


def test_a_file_is_read_and_its_days_are_the_trading_days(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text(
        HEADER + "005930,20200302,55000,55400,54600,55000,100\n005930,20200304,55800,57600,55600,57400,200\n"
    )
    rows = read_bars(file)
    market = Market(1, first_day=DAY, bars=rows, trades_per_day=30)
    assert [bar.day.day for bar in rows["005930"]] == [2, 4]
    assert market.calendar.next_open(DAY) == date(2020, 3, 4)
    assert market.session("005930", date(2020, 3, 4)).reference == 55_000
    assert not market.session("005930", date(2020, 3, 5)).suspended  # the model goes on after the last line


def test_a_day_without_volume_is_a_suspension(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text(
        HEADER + "005930,20180427,53000,53900,52000,53000,606216\n005930,20180430,53000,53000,53000,53000,0\n"
    )
    market = Market(1, first_day=date(2018, 4, 30), bars=read_bars(file), trades_per_day=30)
    session = market.session("005930", date(2018, 4, 30))
    assert session.suspended
    assert session.reference == 53_000


def test_a_split_makes_the_opening_price_the_reference():
    before = Bar(day=DAY, open=2_600_000, high=2_650_000, low=2_600_000, close=2_650_000, volume=10)
    after = attrs.evolve(before, day=DAY + timedelta(days=1), open=53_000, high=53_900, low=52_000, close=52_500)
    session = Market(1, first_day=DAY, bars={"005930": (before, after)}, trades_per_day=30).session("005930", after.day)
    assert session.reference == 53_000
    assert all(session.limits.allow(step.price) for step in session.steps)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column"),
        ("code,date\n", "no column"),
        (HEADER, "no bars"),
        (HEADER + "005930,20200302,1,2,3,x,5\n", "line 2"),
        (HEADER + "005930,2020-13-02,1,2,3,4,5\n", "line 2"),
        (HEADER + "005930,20200302,100,90,80,85,5\n", "line 2"),
        (HEADER + "005930,20200302\n", "line 2"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path, text, words):
    file = tmp_path / "bars.csv"
    file.write_text(text)
    with pytest.raises(MarketFileError, match=words):
        read_bars(file)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(MarketFileError):
        read_bars(tmp_path / "nowhere.csv")
