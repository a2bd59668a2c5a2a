"""Telling the outside: until it is taken, with a budget, and again while nobody has acknowledged."""

import random
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.alarms.deliveries import ATTEMPTS, REMIND_AFTER, Deliveries, Kind
from supervisor.backoff import Backoff
from wire.rest.records import Alert, AlertState

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def alert(alert_id="a1", severity="warning"):
    return Alert(
        id=alert_id,
        code="error_x",
        severity=severity,
        reason="words",
        engine_id=None,
        stop_id=None,
        state=AlertState.OPEN,
        raised_at=NOW,
        acknowledged_by=None,
        acknowledged_at=None,
    )


@pytest.fixture
def deliveries():
    return Deliveries(Backoff(base=1.0, max_delay=60.0, jitter=0.0), random.Random(1), capacity=3)


def test_a_new_alert_is_due_at_once(deliveries):
    deliveries.add(alert(), 5.0)
    assert deliveries.next_due() == 5.0
    assert deliveries.take(5.0).kind is Kind.ALERT


def test_taken_is_the_end_of_a_warning(deliveries):
    deliveries.add(alert(), 0.0)
    deliveries.taken(deliveries.take(0.0), 0.0)
    assert len(deliveries) == 0


def test_a_failure_comes_back_later_and_later(deliveries):
    deliveries.add(alert(), 0.0)
    now, pauses = 0.0, []
    for _ in range(4):
        assert not deliveries.failed(deliveries.take(now), now)
        pauses.append(deliveries.next_due() - now)
        now = deliveries.next_due()
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_the_budget_of_attempts_ends_it(deliveries):
    deliveries.add(alert(), 0.0)
    now, tries, is_dead = 0.0, 0, False
    while not is_dead:
        is_dead, tries = deliveries.failed(deliveries.take(now), now), tries + 1
        now = deliveries.next_due() or now
    assert (tries, len(deliveries)) == (ATTEMPTS, 0)


def test_a_receiver_that_is_gone_for_good_is_not_tried_again(deliveries):
    deliveries.add(alert(), 0.0)
    assert deliveries.failed(deliveries.take(0.0), 0.0, for_good=True)
    assert len(deliveries) == 0


def test_a_critical_alert_is_told_again_until_somebody_acknowledges(deliveries):
    deliveries.add(alert(severity="critical"), 0.0)
    now, pauses = 0.0, []
    for _ in range(5):
        deliveries.taken(deliveries.take(now), now)
        pauses.append(deliveries.next_due() - now)
        now = deliveries.next_due()
        assert deliveries.take(now).kind is Kind.REMINDER
    assert pauses == [*REMIND_AFTER, REMIND_AFTER[-1], REMIND_AFTER[-1]]
    deliveries.acknowledged("a1")
    assert deliveries.next_due() is None


def test_an_alert_acknowledged_before_it_was_told_is_still_told(deliveries):
    deliveries.add(alert(severity="critical"), 0.0)
    deliveries.acknowledged("a1")
    deliveries.failed(deliveries.take(0.0), 0.0)
    deliveries.taken(deliveries.take(2.0), 2.0)
    assert deliveries.next_due() is None  # and nobody is reminded of it
    deliveries.add(alert(severity="critical"), 3.0)  # a person has it told once more
    deliveries.taken(deliveries.take(3.0), 3.0)
    assert deliveries.next_due() == 3.0 + REMIND_AFTER[0]


def test_after_a_restart_only_critical_ones_are_reminded_of(deliveries):
    deliveries.told_before(alert("a1"), 0.0)
    deliveries.told_before(alert("a2", "critical"), 0.0)
    assert deliveries.take(0.0) is None
    assert deliveries.take(REMIND_AFTER[0]).alert.id == "a2"


def test_when_too_many_wait_reminders_give_way_first_and_alerts_are_handed_back(deliveries):
    deliveries.told_before(alert("old", "critical"), 0.0)
    assert [deliveries.add(alert(f"a{i}"), 0.0) for i in range(3)] == [[], [], []]
    (dropped,) = deliveries.add(alert("a3"), 0.0)
    assert dropped.alert.id == "a0"


class Telling(RuleBasedStateMachine):
    """Whatever happens: every alert is waiting, told, or handed back as dead; none of them twice."""

    def __init__(self):
        super().__init__()
        self.deliveries = Deliveries(Backoff(base=1.0, max_delay=60.0), random.Random(7), capacity=4)
        self.now, self.made, self.told, self.dead = 0.0, 0, set(), set()

    @rule(severity=st.sampled_from(["warning", "critical"]))
    def raise_one(self, severity):
        self.made += 1
        self.dead |= {d.alert.id for d in self.deliveries.add(alert(f"a{self.made}", severity), self.now)}

    @rule(seconds=st.floats(0.1, 4000))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.deliveries.take(self.now) is not None)
    @rule(is_taken=st.booleans(), is_late=st.booleans())
    def deliver(self, is_taken, is_late):
        delivery = self.deliveries.take(self.now)
        if is_late:  # an answer to something that has changed meanwhile
            delivery = attrs.evolve(delivery, attempt=delivery.attempt + 1)
            self.deliveries.taken(delivery, self.now)
            assert not self.deliveries.failed(delivery, self.now)
        elif is_taken:
            self.told.add(delivery.alert.id)
            self.deliveries.taken(delivery, self.now)
        elif self.deliveries.failed(delivery, self.now) and delivery.kind is Kind.ALERT:
            assert delivery.alert.id not in self.told
            self.dead.add(delivery.alert.id)

    @rule(n=st.integers(1, 20))
    def acknowledge(self, n):
        self.deliveries.acknowledged(f"a{n}")

    @invariant()
    def nothing_is_lost(self):
        waiting = {d.alert.id for d in self.deliveries._waiting.values()}
        assert {f"a{i + 1}" for i in range(self.made)} == waiting | self.told | self.dead
        assert not self.told & self.dead
        assert len(self.deliveries) <= 4


Telling.TestCase.settings = settings(max_examples=100, deadline=None)
test_every_alert_is_told_or_handed_back = Telling.TestCase
