"""The pure decisions: no clock, no task, `now` passed in."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.backoff import Backoff, Growth
from supervisor.breaker import TRANSITIONS, Breaker, CircuitBreaker
from supervisor.budget import RetryBudget
from supervisor.errors import CircuitOpen, SpecError, SupervisorError
from supervisor.mailbox import Dropped, Sent, Why
from supervisor.policy import (
    RESTARTS,
    AutoShutdown,
    Intensity,
    Restart,
    Strategy,
    restart_group,
    shuts_down,
    wants_restart,
)
from supervisor.reason import NORMAL, ExitKind, ExitReason, crash, leaves
from supervisor.recovery import EXPONENTIAL, FIXED, LINEAR, ErrorRecoveryStrategy
from supervisor.spec import BRUTAL, INFINITY, ChildSpec

times = st.floats(0, 1000, allow_nan=False)


# restart


def test_the_restart_table_in_full():
    abnormal = {ExitKind.CRASH, ExitKind.CANCELLED, ExitKind.ESCALATED}
    for (restart, kind), answer in RESTARTS.items():
        expected = {Restart.PERMANENT: True, Restart.TRANSIENT: kind in abnormal, Restart.TEMPORARY: False}[restart]
        assert answer is expected
        assert wants_restart(restart, ExitReason(kind)) is expected
    assert len(RESTARTS) == len(Restart) * len(ExitKind)


@given(order=st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True), data=st.data())
def test_the_restart_group(order, data):
    failed = data.draw(st.sampled_from(order))
    assert restart_group(Strategy.ONE_FOR_ONE, order, failed) == (failed,)
    assert restart_group(Strategy.ONE_FOR_ALL, order, failed) == tuple(order)
    rest = restart_group(Strategy.REST_FOR_ONE, order, failed)
    assert rest[0] == failed
    assert rest == tuple(order)[-len(rest) :]


@pytest.mark.parametrize(
    "auto, significant, others, ends",
    [
        (AutoShutdown.NEVER, True, False, False),
        (AutoShutdown.ANY_SIGNIFICANT, True, True, True),
        (AutoShutdown.ANY_SIGNIFICANT, True, False, True),
        (AutoShutdown.ANY_SIGNIFICANT, False, False, False),
        (AutoShutdown.ALL_SIGNIFICANT, True, True, False),
        (AutoShutdown.ALL_SIGNIFICANT, True, False, True),
        (AutoShutdown.ALL_SIGNIFICANT, False, False, False),
    ],
)
def test_when_a_supervisor_ends_by_itself(auto, significant, others, ends):
    assert shuts_down(auto, significant, others) is ends


@given(most=st.integers(0, 5), period=st.floats(0.1, 100), gaps=st.lists(st.floats(0, 50), max_size=30))
def test_the_intensity_is_an_exact_sliding_window(most, period, gaps):
    window, now, restarts = Intensity(most, period), 0.0, []
    for gap in gaps:
        now += gap
        restarts.append(now)
        within = [time for time in restarts if now - time <= period]
        assert window.restart(now) is (len(within) <= most)
        assert window.spent(now) == len(within)


def test_an_infinite_intensity_never_gives_up():
    window = Intensity(math.inf, 1)
    assert all(window.restart(0.0) for _ in range(10_000))


@given(most=st.integers(1, 6), delay=st.floats(0.01, 50), period=st.floats(0.01, 300))
def test_a_crash_loop_escalates_exactly_when_the_check_says_so(most, delay, period):
    window, now = Intensity(most, period), 0.0
    escalated = False
    for _ in range(most * 3 + 3):
        escalated = escalated or not window.restart(now)
        now += delay
    allowed = Intensity(most, period).escalates_despite(delay)
    if abs(most * delay - period) > 1e-6:
        assert escalated is allowed


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("intensity", (-1, 1)),
        ("intensity", (1.5, 1)),
        ("intensity", (True, 1)),
        ("period", (1, 0)),
        ("period", (1, math.inf)),
    ],
)
def test_a_window_of_nonsense_is_refused(field, wrong):
    with pytest.raises(SpecError) as error:
        Intensity(*wrong)
    assert error.value.field == field


# specs


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("id", {"id": ""}),
        ("id", {"id": "a/b"}),
        ("id", {"id": 7}),
        ("factory", {"factory": None}),
        ("restart", {"restart": "permanent"}),
        ("shutdown", {"shutdown": -1}),
        ("shutdown", {"shutdown": math.nan}),
        ("shutdown", {"shutdown": True}),
        ("start_timeout", {"start_timeout": 0}),
        ("mailbox", {"mailbox": 10}),
        ("backoff", {"backoff": 1.0}),
        ("significant", {"significant": True}),
        ("backoff", {"backoff": Backoff(), "restart": Restart.TEMPORARY}),
    ],
)
def test_a_contradictory_child_spec_names_its_field(field, wrong):
    with pytest.raises(SpecError) as error:
        ChildSpec(**{"id": "a", "factory": object, **wrong})
    assert error.value.field == field
    assert repr(error.value.value) in str(error.value)


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="restrat"):
        ChildSpec(id="a", factory=object, restrat=Restart.TRANSIENT)


def test_a_shutdown_may_be_brutal_or_endless():
    assert ChildSpec(id="a", factory=object, shutdown=BRUTAL).shutdown == 0
    assert ChildSpec(id="a", factory=object, shutdown=INFINITY).shutdown == math.inf


# reasons and errors


def test_leaves_find_the_errors_inside_nested_groups():
    group = ExceptionGroup("one", [ValueError(), ExceptionGroup("two", [KeyError(), OSError()])])
    assert [type(leaf) for leaf in leaves(group)] == [ValueError, KeyError, OSError]
    assert [type(leaf) for leaf in leaves(ValueError())] == [ValueError]


def test_a_reason_reads_as_one_line_and_does_not_show_the_exception_object():
    assert str(crash(ValueError("no"))) == "crash: ValueError: no"
    assert str(crash(ValueError())) == "crash: ValueError"
    assert str(NORMAL) == "normal"
    assert "error" not in repr(crash(ValueError("no")))


def test_the_bases_of_the_error_tree_cannot_be_raised():
    with pytest.raises(TypeError, match="abstract"):
        SupervisorError()


# back-off


@given(
    base=st.floats(0.001, 10),
    spread=st.floats(1, 1000),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
    growth=st.sampled_from(Growth),
    attempt=st.integers(0, 10**9),
    seed=st.integers(),
)
def test_a_delay_lies_between_its_ceiling_and_the_longest(base, spread, factor, jitter, growth, attempt, seed):
    backoff = Backoff(base=base, max_delay=base * spread, factor=factor, jitter=jitter, growth=growth)
    ceiling = backoff.ceiling(attempt)
    assert base * 0.999 <= ceiling <= backoff.max_delay
    assert ceiling <= backoff.delay(attempt, random.Random(seed)) <= backoff.longest * 1.000001
    assert ceiling <= backoff.ceiling(attempt + 1) * 1.000001


def test_the_cap_comes_before_the_jitter():
    backoff = Backoff(base=1, max_delay=8, jitter=0.5)
    delays = {backoff.delay(50, random.Random(seed)) for seed in range(50)}
    assert len(delays) == 50
    assert max(delays) > 11
    assert min(delays) >= 8


def test_a_huge_attempt_does_not_overflow():
    assert Backoff(base=1, max_delay=30).ceiling(1_000_000) == 30


@pytest.mark.parametrize(
    "strategy, ceilings",
    [(EXPONENTIAL, [1, 2, 4, 8, 16]), (LINEAR, [1, 2, 3, 4, 5]), (FIXED, [1, 1, 1, 1, 1])],
)
def test_the_presets_are_five_retries_one_second_thirty_seconds_threshold_ten(strategy, ceilings):
    assert list(strategy.ceilings()) == ceilings
    assert (strategy.max_retries, strategy.base_delay, strategy.max_delay) == (5, 1.0, 30.0)
    breaker = strategy.breaker()
    for n in range(10):
        assert breaker.state is Breaker.CLOSED
        breaker.failed(breaker.allow(float(n)), float(n))
    assert breaker.state is Breaker.OPEN


@pytest.mark.parametrize(
    "wrong",
    [{"max_retries": -1}, {"base_delay": 0}, {"max_delay": 0.5}, {"circuit_breaker_threshold": 0}, {"jitter": 2}],
)
def test_a_recovery_strategy_of_nonsense_is_refused(wrong):
    with pytest.raises(SpecError):
        ErrorRecoveryStrategy(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"base": -1}, {"factor": 0.5}, {"jitter": -0.1}, {"reset_after": 0}, {"base": math.inf}]
)
def test_a_backoff_of_nonsense_is_refused(wrong):
    with pytest.raises(SpecError):
        Backoff(**wrong)


def test_attempts_are_counted_from_zero():
    with pytest.raises(ValueError, match="counted from 0"):
        Backoff().ceiling(-1)


# breaker


def opened(**options):
    breaker = CircuitBreaker(threshold=1, reset_after=10, **options)
    breaker.failed(breaker.allow(0), 0)
    return breaker


def test_it_opens_after_consecutive_failures_only():
    breaker = CircuitBreaker(threshold=3, reset_after=10)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        getattr(breaker, outcome)(breaker.allow(0), 0)
    assert breaker.state is Breaker.CLOSED
    breaker.failed(breaker.allow(0), 0)
    assert breaker.state is Breaker.OPEN


def test_open_refuses_with_the_remaining_seconds():
    breaker = opened()
    with pytest.raises(CircuitOpen) as refused:
        breaker.allow(4)
    assert refused.value.remaining == 6
    assert breaker.statistics(4).refused == 1


def test_half_open_lets_exactly_one_probe_through():
    breaker = opened()
    probe = breaker.allow(10)
    assert probe.probe
    with pytest.raises(CircuitOpen):
        breaker.allow(10)
    breaker.succeeded(probe, 11)
    assert breaker.state is Breaker.CLOSED
    assert not breaker.allow(11).probe


def test_a_cancelled_probe_gives_its_place_back():
    breaker = opened()
    breaker.cancelled(breaker.allow(10))
    assert breaker.allow(10).probe


def test_a_failed_probe_opens_for_longer_clamped_at_the_maximum():
    breaker = opened(factor=3, max_reset_after=25)
    now, waits = 10.0, []
    for _ in range(3):
        breaker.failed(breaker.allow(now), now)
        waits.append(breaker.remaining(now))
        now += waits[-1]
    assert waits == [25, 25, 25]
    breaker.succeeded(breaker.allow(now), now)
    breaker.failed(breaker.allow(now), now)
    assert breaker.remaining(now) == 10


def test_a_call_of_an_older_state_does_not_move_the_newer_one():
    breaker = CircuitBreaker(threshold=1, reset_after=10)
    slow_success, slow_failure, first = breaker.allow(0), breaker.allow(0), breaker.allow(0)
    breaker.failed(first, 0)
    breaker.succeeded(slow_success, 5)
    assert breaker.state is Breaker.OPEN
    probe = breaker.allow(10)
    breaker.failed(slow_failure, 10)
    assert breaker.state is Breaker.HALF_OPEN
    breaker.cancelled(slow_failure)
    with pytest.raises(CircuitOpen):
        breaker.allow(10)
    breaker.succeeded(probe, 10)
    assert breaker.state is Breaker.CLOSED


def test_a_late_success_does_not_close_a_half_open_breaker_nor_forgive_failures():
    breaker = CircuitBreaker(threshold=1, reset_after=10)
    late, first = breaker.allow(0), breaker.allow(0)
    breaker.failed(first, 0)
    breaker.allow(10)
    breaker.succeeded(late, 10)
    assert breaker.state is Breaker.HALF_OPEN


def test_an_older_probe_cannot_free_the_place_of_the_running_one():
    breaker = opened()
    older = breaker.allow(10)
    breaker.failed(older, 10)
    breaker.allow(20)
    breaker.cancelled(older)
    with pytest.raises(CircuitOpen):
        breaker.allow(20)


def test_a_breaker_counts_how_often_it_opened_and_refused():
    breaker = opened()
    breaker.failed(breaker.allow(10), 10)
    with pytest.raises(CircuitOpen):
        breaker.allow(11)
    statistics = breaker.statistics(11)
    assert (statistics.state, statistics.opened, statistics.refused, statistics.remaining) == (Breaker.OPEN, 2, 1, 9)
    assert statistics.failures == 2


def test_the_quiet_period_is_the_longest_delay_unless_given():
    assert Backoff(max_delay=30).quiet_period == 30
    assert Backoff(max_delay=30, reset_after=5).quiet_period == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0},
        {"threshold": 1.0},
        {"reset_after": 0},
        {"factor": 0.9},
        {"reset_after": 5, "max_reset_after": 4},
    ],
)
def test_a_breaker_of_nonsense_is_refused(wrong):
    with pytest.raises(SpecError):
        CircuitBreaker(**wrong)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, ends and times: only documented transitions, and never two probes."""

    def __init__(self):
        super().__init__()
        self.breaker = CircuitBreaker(threshold=2, reset_after=5, factor=2, max_reset_after=12)
        self.now = 0.0
        self.out = []
        self.before = Breaker.CLOSED

    def step(self, action):
        self.before = self.breaker.state
        result = action()
        assert any((one, two) == (self.before, self.breaker.state) for one, _, two in TRANSITIONS)
        return result

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def call(self):
        try:
            self.out.append(self.step(lambda: self.breaker.allow(self.now)))
        except CircuitOpen as refused:
            assert 0 <= refused.remaining <= 12 + 1e-9  # noqa: PT017 - both outcomes are fine
            assert self.breaker.state is not Breaker.CLOSED

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "cancelled"]))
    def end(self, data, how):
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if how == "cancelled":
            self.step(lambda: self.breaker.cancelled(permit))
        else:
            self.step(lambda: getattr(self.breaker, how)(permit, self.now))

    @invariant()
    def one_probe_at_most(self):
        current = self.breaker._generation
        assert sum(permit.probe and permit.generation == current for permit in self.out) <= 1

    @invariant()
    def open_always_ends(self):
        assert self.breaker.remaining(self.now + 12 + 1e-9) == 0


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


# budget


@given(st.lists(st.tuples(st.sampled_from(["deposit", "withdraw"]), st.floats(0, 5)), max_size=100))
def test_retries_stay_within_the_budget(steps):
    budget, now, deposits, spent = RetryBudget(ratio=0.5, per_second=1, window=4), 0.0, 0, 0
    for step, gap in steps:
        now += gap
        if step == "deposit":
            budget.deposit(now)
            deposits += 1
        else:
            spent += budget.withdraw(now)
        assert spent <= 4 + 0.5 * deposits + now + 1e-6
        assert 0 <= budget.statistics().balance <= 4
    assert budget.statistics().spent == spent


def test_an_empty_budget_refuses_and_refills_with_time_and_calls():
    budget = RetryBudget(ratio=0.5, per_second=0.5, window=4)
    assert [budget.withdraw(0) for _ in range(3)] == [True, True, False]
    budget.deposit(0)
    assert not budget.withdraw(0)
    budget.deposit(0)
    assert budget.withdraw(0)
    assert not budget.withdraw(1)
    assert budget.withdraw(2)
    assert budget.statistics().refused == 3


def test_time_that_runs_backwards_earns_nothing():
    budget = RetryBudget(per_second=1, window=1)
    assert budget.withdraw(100)
    assert not budget.withdraw(50)
    assert not budget.withdraw(100)


@pytest.mark.parametrize("wrong", [{"ratio": 1.1}, {"per_second": -1}, {"window": 0}, {"ratio": math.nan}])
def test_a_budget_of_nonsense_is_refused(wrong):
    with pytest.raises(SpecError):
        RetryBudget(**wrong)


# corners


def test_a_new_breaker_has_counted_nothing():
    statistics = CircuitBreaker(threshold=2, reset_after=5).statistics(0)
    assert (statistics.state, statistics.failures, statistics.opened, statistics.refused, statistics.remaining) == (
        Breaker.CLOSED,
        0,
        0,
        0,
        0,
    )


def test_the_threshold_counts_from_the_first_failure_on():
    breaker = CircuitBreaker(threshold=2, reset_after=5)
    breaker.failed(breaker.allow(0), 0)
    assert breaker.state is Breaker.CLOSED
    breaker.failed(breaker.allow(0), 0)
    assert breaker.state is Breaker.OPEN
    assert breaker.remaining(1) == 4
    assert breaker.allow(5).probe
    assert breaker.remaining(5) == 0


def test_a_breaker_may_reset_in_less_than_a_second():
    breaker = CircuitBreaker(threshold=1, reset_after=0.5)
    breaker.failed(breaker.allow(0), 0)
    assert breaker.remaining(0.25) == 0.25


def test_one_success_does_not_take_the_vote_from_calls_that_run_beside_it():
    breaker = CircuitBreaker(threshold=1, reset_after=5)
    one, two = breaker.allow(0), breaker.allow(0)
    breaker.succeeded(one, 1)
    breaker.failed(two, 2)
    assert breaker.state is Breaker.OPEN


def test_a_deposit_is_added_to_what_time_has_refilled():
    budget = RetryBudget(ratio=0.5, per_second=1.0, window=10)
    for _ in range(10):
        assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)
    budget.deposit(2.0)
    assert budget.statistics().balance == pytest.approx(2.5)
    assert budget.withdraw(3.0)
    assert budget.statistics().balance == pytest.approx(2.5)


def test_what_counts_in_a_window_can_be_looked_at_without_counting():
    window = Intensity(2, 5.0)
    assert window.restart(0.0)
    assert window.restart(4.0)
    assert (window.spent(4.0), window.spent(5.0), window.spent(5.1), window.spent(9.1)) == (2, 2, 1, 0)


def test_a_drop_is_false_and_says_why():
    assert not Dropped(Why.FULL)
    assert Sent()


def test_a_window_that_never_gives_up_remembers_nothing():
    window = Intensity(math.inf)
    assert all(window.restart(now) for now in range(100))
    assert window.spent(99) == 0


def test_at_the_exponent_that_reaches_the_cap_the_delay_is_the_cap_itself():
    assert 0.3 * 3.0 < 0.9
    assert Backoff(base=0.3, max_delay=0.9, factor=3.0).ceiling(1) == 0.9
