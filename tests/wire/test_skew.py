from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wire.skew import EXCHANGES, Skew

START = datetime(2026, 1, 1, tzinfo=UTC)
ways = st.floats(0, 30)


def exchange(skew, ahead, there, back, at=0.0, works=0.0):
    """One heartbeat and its answer. The peer's clock is right, ours is ``ahead`` seconds before it."""
    real = (at, at + there, at + there + works, at + there + works + back)
    t0, t1, t2, t3 = (START + timedelta(seconds=t) for t in real)
    skew.add(t0 + timedelta(seconds=ahead), t1, t2, t3 + timedelta(seconds=ahead))


@given(ahead=st.floats(-100, 100), there=ways, back=ways, works=ways)
def test_one_exchange_is_wrong_by_at_most_half_of_the_way(ahead, there, back, works):
    skew = Skew()
    exchange(skew, ahead, there, back, works=works)
    assert abs(skew.ms - ahead * 1000) <= (there + back) * 500 + 1


@given(ahead=st.floats(-100, 100), delays=st.lists(st.tuples(ways, ways), min_size=1, max_size=20))
def test_of_the_last_eight_exchanges_the_fastest_counts(ahead, delays):
    skew = Skew()
    for there, back in delays:
        exchange(skew, ahead, there, back)
    fastest = min(there + back for there, back in delays[-EXCHANGES:])
    assert abs(skew.ms - ahead * 1000) <= fastest * 500 + 1


def test_before_the_first_exchange_nothing_is_known_and_a_clock_that_was_set_meanwhile_tells_nothing():
    skew = Skew()
    assert skew.ms is None
    later = START + timedelta(seconds=1)
    skew.add(later, START, later, START)
    assert skew.ms is None
