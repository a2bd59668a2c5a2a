"""When the engine stops itself, and what it does while it cannot judge: facts and time in, a verdict out."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.risk.day import Begun, DayRecord, begin
from actors.engine.risk.limits import DEFAULTS, Limits, Trigger, from_platform
from actors.engine.risk.plan import RiskPlan, read_plan
from actors.engine.risk.triggers import CAUTION_AFTER, WARN_AFTER, Facts, Triggers, threshold
from wire.sdk.errors import ConfigurationError
from wire.stops import Level

T = Trigger
TODAY = "20261120"


def facts(equity=1_000, *, now=100.0, day=TODAY, **more):
    return Facts(now=now, day=day, equity=equity, assets_yesterday=1_000, **more)


def triggers(record=None, **limits):
    made = Triggers(limits=Limits(**limits))
    made.restore(record)
    return made


def trips(verdict):
    return [(trip.trigger, trip.level) for trip in verdict.trips]


# --- the day ---


def test_a_day_is_measured_from_the_brokers_figure_for_the_previous_close():
    begun = begin(None, TODAY, 990, 1_000)
    assert (begun.record.opening, begun.record.peak, begun.problem) == (1_000, 1_000, None)
    assert "no earlier record" in begun.note
    assert begun.record.loss(900, 0) == 100


def test_a_restart_goes_on_with_todays_record_and_asks_nobody():
    record = DayRecord(day=TODAY, opening=2_000, peak=2_500, tripped={"daily_loss": 7})
    assert begin(record, TODAY, 1, 1) == Begun(record=record)


def test_a_new_day_begins_anew_even_where_the_broker_gives_no_figure():
    yesterday = DayRecord(day="20261119", opening=2_000, peak=2_500, tripped={"daily_loss": 7})
    assert begin(yesterday, TODAY, 900, 0).record == DayRecord(day=TODAY, opening=900, peak=900)
    assert begin(yesterday, TODAY, 900, 1_000).record == DayRecord(day=TODAY, opening=1_000, peak=1_000)


def test_a_date_that_goes_back_resets_nothing():
    record = DayRecord(day="20261123", opening=2_000, peak=2_500)
    begun = begin(record, TODAY, 900, 1_000)
    assert begun.record is record
    assert "went back" in begun.problem


def test_without_a_record_and_without_the_brokers_figure_todays_loss_is_not_known():
    begun = begin(None, TODAY, 900, 0)
    assert (begun.record, begun.problem) == (None, "what today's loss is measured against is not known")


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=30), st.integers(0, 29))
def test_a_restart_at_any_moment_never_makes_todays_loss_smaller(equities, restart_at):
    """Whatever was kept before the process died, the loss and the drawdown judged afterwards are at least as great as
    those of an engine that never died, but for the peak's last unkept rise."""
    whole, kept = triggers(), None
    cut = triggers()
    for n, equity in enumerate(equities):
        if n == restart_at:
            cut = triggers(kept)
        whole.judge(facts(equity, now=float(n)))
        verdict = cut.judge(facts(equity, now=float(n)))
        kept = verdict.keep or kept
        assert cut.record.loss(equity, 0) == whole.record.loss(equity, 0)
        assert cut.record.peak >= whole.record.peak - whole.record.peak // 2_000


# --- losses ---


@pytest.mark.parametrize(
    ("limits", "trip"),
    [
        ({"max_daily_loss": 100}, (T.DAILY_LOSS, Level.HALT)),
        ({"emergency_stop_loss": 100}, (T.EMERGENCY_LOSS, Level.FLATTEN)),
        ({"max_drawdown": 100}, (T.DRAWDOWN, Level.HALT)),
    ],
)
def test_a_loss_trips_at_its_limit_and_not_below(limits, trip):
    made = triggers(**limits)
    assert trips(made.judge(facts(901))) == []
    verdict = made.judge(facts(900))
    assert trips(verdict) == [trip]
    assert "100" in verdict.trips[0].reason


def test_the_worse_of_realised_loss_and_fall_of_equity_counts():
    assert trips(triggers(max_daily_loss=100).judge(facts(1_500, realized=-100))) == [(T.DAILY_LOSS, Level.HALT)]
    assert trips(triggers(max_daily_loss=100).judge(facts(900, realized=50))) == [(T.DAILY_LOSS, Level.HALT)]


def test_a_limit_of_zero_is_the_strictest_and_none_is_none():
    assert trips(triggers(max_daily_loss=0).judge(facts(1_000))) == []
    assert trips(triggers(max_daily_loss=0).judge(facts(999))) == [(T.DAILY_LOSS, Level.HALT)]
    assert trips(triggers().judge(facts(0))) == []


def test_drawdown_is_from_the_days_peak():
    made = triggers(max_drawdown=100)
    made.judge(facts(1_500))
    assert trips(made.judge(facts(1_401))) == []
    assert trips(made.judge(facts(1_400))) == [(T.DRAWDOWN, Level.HALT)]


def test_one_loss_is_one_stop_and_after_a_release_a_tenth_of_the_limit_more_is_another():
    made = triggers(max_daily_loss=100)
    (trip,) = made.judge(facts(900)).trips
    assert made.judge(facts(890)).trips == ()  # its latch is being written
    made.tripped(trip)
    assert made.judge(facts(880, level=Level.HALT)).trips == ()  # it goes on growing behind the stop
    assert made.judge(facts(871)).trips == ()  # released
    assert trips(made.judge(facts(870))) == [(T.DAILY_LOSS, Level.HALT)]


def test_a_stop_that_was_never_latched_trips_again_after_a_restart():
    made = triggers(max_daily_loss=100)
    kept = made.judge(facts(900)).keep
    assert trips(triggers(kept, max_daily_loss=100).judge(facts(900))) == [(T.DAILY_LOSS, Level.HALT)]


def test_what_was_stopped_for_is_remembered_over_a_restart_and_forgotten_on_another_day():
    made = triggers(max_daily_loss=100)
    made.tripped(made.judge(facts(900)).trips[0])
    kept = made.judge(facts(900, level=Level.HALT)).keep
    assert kept.tripped == {"daily_loss": 100}
    assert triggers(kept, max_daily_loss=100).judge(facts(900)).trips == ()
    assert trips(triggers(kept, max_daily_loss=100).judge(facts(900, day="20261123"))) == [(T.DAILY_LOSS, Level.HALT)]


def test_a_stop_that_becomes_safe_after_midnight_marks_nothing_of_the_new_day():
    made = triggers(max_daily_loss=100)
    (monday,) = made.judge(facts(500)).trips
    made.judge(facts(1_000, day="20261123"))
    made.tripped(monday)
    assert made.record.tripped == {}
    assert trips(made.judge(facts(900, day="20261123"))) == [(T.DAILY_LOSS, Level.HALT)]


@given(st.integers(0, 10**9), st.one_of(st.none(), st.integers(1, 10**9)))
def test_the_next_threshold_is_never_lower_than_the_limit_nor_than_what_was_stopped_for(limit, tripped_at):
    assert threshold(limit, tripped_at) >= max(1, limit)
    assert tripped_at is None or threshold(limit, tripped_at) > tripped_at or limit > tripped_at


# --- counts ---


def test_too_many_orders_within_a_minute_trip_once():
    made = triggers(max_orders_per_minute=3)
    for n in range(4):
        made.ordered(100.0 + n)
    assert trips(made.judge(facts(now=104.0))) == [(T.ORDER_RATE, Level.HALT)]
    assert made.judge(facts(now=105.0)).trips == ()


def test_a_storm_of_refusals_trips_and_slow_ones_do_not():
    made = triggers(max_rejects_per_minute=2)
    for n in range(9):
        made.rejected(100.0 + 30.0 * n)
        assert made.judge(facts(now=100.0 + 30.0 * n)).trips == ()
    made.rejected(341.0)
    assert trips(made.judge(facts(now=341.0))) == [(T.REJECT_STORM, Level.HALT)]


def test_books_that_differ_from_the_broker_trip_with_the_words():
    made = triggers()
    made.mismatched("005930: 5 in the books, 3 at the broker")
    (trip,) = made.judge(facts()).trips
    assert (trip.trigger, "005930" in trip.reason) == (T.POSITION_MISMATCH, True)
    assert made.judge(facts()).trips == ()


def test_counts_trip_also_while_equity_cannot_be_judged():
    made = triggers(max_rejects_per_minute=0)
    made.rejected(100.0)
    assert trips(made.judge(facts(problem="no read"))) == [(T.REJECT_STORM, Level.HALT)]


def test_a_trigger_can_be_switched_off_and_given_another_level():
    levels = {T.DAILY_LOSS: Level.FLATTEN, T.DRAWDOWN: Level.NORMAL}
    made = Triggers(limits=Limits(max_daily_loss=100, max_drawdown=100), levels=levels)
    assert trips(made.judge(facts(800))) == [(T.DAILY_LOSS, Level.FLATTEN)]


# --- what cannot be judged ---


def test_before_the_first_judgement_of_a_process_only_reductions_leave():
    made = triggers()
    assert "no read" in made.judge(facts(problem="no read")).caution
    assert made.judge(facts()).caution is None


def test_a_failing_judgement_is_first_a_warning_then_caution_and_ends_by_itself():
    made = triggers()
    made.judge(facts(now=0.0))
    seen = [made.judge(facts(now=1.0 + n, problem="no read")) for n in range(80)]
    warned = [n for n, v in enumerate(seen) if v.warning]
    cautious = [n for n, v in enumerate(seen) if v.caution]
    assert warned == [int(WARN_AFTER)]
    assert cautious[0] == int(CAUTION_AFTER)
    assert cautious == list(range(int(CAUTION_AFTER), 80))
    after = made.judge(facts(now=90.0))
    assert (after.caution, after.warning, after.trips) == (None, None, ())


def test_a_short_gap_is_no_ones_business():
    made = triggers()
    made.judge(facts(now=0.0))
    for n in range(100):
        verdict = made.judge(facts(now=float(n), problem="no read" if n % 5 else None))
        assert (verdict.warning, verdict.caution) == (None, None)


steps = st.lists(
    st.fixed_dictionaries(
        {
            "after": st.sampled_from([0.5, 5.0, 40.0]),
            "equity": st.integers(0, 2_000),
            "problem": st.sampled_from([None, None, "no read"]),
            "day": st.sampled_from([TODAY, TODAY, "20261123", "20261119"]),
            "released": st.booleans(),
        }
    ),
    max_size=30,
)


@given(steps)
def test_no_loss_at_its_limit_stays_without_a_stop_or_a_mark(story):
    """Whatever happens: a loss that can be judged and has reached its limit was stopped for, at it or a tenth below."""
    made, now, level = triggers(max_daily_loss=100), 0.0, Level.NORMAL
    for step in story:
        now += step["after"]
        level = Level.NORMAL if step["released"] else level
        fact = facts(step["equity"], now=now, day=step["day"], problem=step["problem"], level=level)
        verdict = made.judge(fact)
        for trip in verdict.trips:
            made.tripped(trip)
            level = max(level, trip.level)
        record = made.record
        judged = step["problem"] is None and record is not None and record.day == step["day"]
        if judged and record.loss(step["equity"], 0) >= 100:
            stopped_for = record.tripped.get("daily_loss")
            assert stopped_for is not None
            assert record.loss(step["equity"], 0) < threshold(100, stopped_for)


# --- limits and their file ---


def test_of_two_limits_the_tighter_counts():
    mine, theirs = Limits(max_daily_loss=5, max_drawdown=7), Limits(max_daily_loss=6, max_position_size=1)
    assert mine.tighter(theirs) == theirs.tighter(mine)
    assert mine.tighter(theirs) == Limits(max_daily_loss=5, max_drawdown=7, max_position_size=1)


@pytest.mark.parametrize("value", [None, -1, 1.5, "1", True])
def test_a_limit_of_the_platform_that_cannot_be_understood_is_an_error_and_not_no_limit(value):
    good = dict.fromkeys(("max_daily_loss", "max_position_size", "max_concurrent_positions", "emergency_stop_loss"), 0)
    assert from_platform(good).max_daily_loss == 0
    with pytest.raises(ConfigurationError, match="max_position_size"):
        from_platform({**good, "max_position_size": value})


def test_the_files_table_gives_limits_and_levels():
    plan = read_plan({"max_drawdown": 5, "levels": {"drawdown": "CANCEL", "order_rate": "off"}})
    assert plan.limits == attrs.evolve(DEFAULTS, max_drawdown=5)
    assert (plan.levels[T.DRAWDOWN], plan.levels[T.ORDER_RATE]) == (Level.CANCEL, Level.NORMAL)
    assert plan.levels[T.EMERGENCY_LOSS] is Level.FLATTEN
    assert read_plan(None) == RiskPlan()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (3, "must be a table"),
        ({"levels": 3}, "levels must be a table"),
        ({"max_loss": 3}, "unknown max_loss"),
        ({"levels": {"loss": "HALT"}}, "unknown levels.loss"),
        ({"max_drawdown": -1}, "max_drawdown must be a whole number"),
        ({"max_drawdown": True}, "max_drawdown must be a whole number"),
        ({"levels": {"drawdown": "halt"}}, "levels.drawdown must be one of off, REDUCE_ONLY"),
    ],
)
def test_a_mistake_in_the_table_is_one_line(table, words):
    with pytest.raises(ValueError, match=words):
        read_plan(table)
