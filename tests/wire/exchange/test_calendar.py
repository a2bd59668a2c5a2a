"""Sessions, trading days and the pace of simulated time."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.exchange.calendar import (
    CLOSE,
    CLOSING_CALL,
    DAY_END,
    DAY_START,
    OPENING,
    Calendar,
    MarketTime,
    Pace,
    Phase,
    phase_at,
)

FRIDAY, MONDAY = date(2024, 11, 22), date(2024, 11, 25)
PLAIN = Calendar()


@pytest.mark.parametrize(
    ("second", "phase"),
    [
        (0, Phase.CLOSED),
        (DAY_START - 1, Phase.CLOSED),
        (DAY_START, Phase.OPENING_AUCTION),
        (OPENING - 1, Phase.OPENING_AUCTION),
        (OPENING, Phase.CONTINUOUS),
        (CLOSING_CALL - 1, Phase.CONTINUOUS),
        (CLOSING_CALL, Phase.CLOSING_AUCTION),
        (CLOSE - 1, Phase.CLOSING_AUCTION),
        (CLOSE, Phase.CLOSED),
        (DAY_END + 1, Phase.CLOSED),
    ],
)
def test_every_second_has_its_phase(second, phase):
    assert phase_at(second) is phase


def test_a_friday_trade_settles_on_tuesday():
    assert PLAIN.settlement(FRIDAY) == date(2024, 11, 26)


def test_a_holiday_is_skipped():
    assert Calendar(holidays=frozenset({MONDAY})).next_open(FRIDAY) == date(2024, 11, 26)


def test_listed_days_decide_as_long_as_the_list_reaches():
    calendar = Calendar(listed=frozenset({date(2020, 1, 4), date(2020, 1, 6)}))  # a Saturday, a Monday
    assert [calendar.is_open(date(2020, 1, day)) for day in (4, 5, 6, 7, 11)] == [True, False, True, True, False]


def test_a_day_at_sixty_times_takes_six_minutes_and_two_short_auctions():
    pace = Pace(speed=60)
    start = MarketTime(FRIDAY)
    seconds = 3 + (CLOSING_CALL - OPENING) / 60 + 3
    assert pace.advance(start, seconds - 0.01, PLAIN).day == FRIDAY
    assert pace.advance(start, seconds + 0.01, PLAIN).day == MONDAY


@given(st.floats(0.1, 1_000))
def test_an_auction_never_lasts_longer_than_its_bound(speed):
    pace = Pace(speed=speed)
    after = pace.advance(MarketTime(FRIDAY), 3.001, PLAIN)
    assert after.phase is not Phase.OPENING_AUCTION


@given(st.floats(1, 1_000), st.floats(0, 3), st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_time_only_runs_forward_and_never_shows_a_skipped_hour(speed, closed, spans):
    pace, now = Pace(speed=speed, closed=closed), MarketTime(FRIDAY)
    for span in spans:
        later = pace.advance(now, span, PLAIN)
        assert now <= later
        assert DAY_START <= later.second <= DAY_END
        assert later.day.weekday() < 5
        assert closed or later.phase is not Phase.CLOSED
        now = later


@given(st.floats(1, 600), st.floats(0, 50), st.floats(0, 50))
def test_two_short_waits_are_one_long_wait(speed, first, second):
    pace = Pace(speed=speed)
    once = pace.advance(MarketTime(FRIDAY), first + second, PLAIN)
    twice = pace.advance(pace.advance(MarketTime(FRIDAY), first, PLAIN), second, PLAIN)
    assert abs((once.day - twice.day) / timedelta(days=1) * 86_400 + once.second - twice.second) < 86_400 * 4
    if once.day == twice.day:
        assert once.second == pytest.approx(twice.second, abs=0.5)


@pytest.mark.parametrize("wrong", [{"speed": 0}, {"speed": -1}, {"auction": 0}, {"closed": -1}])
def test_a_pace_that_stands_still_is_refused(wrong):
    with pytest.raises(ValueError):
        Pace(**wrong)
