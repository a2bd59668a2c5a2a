"""Stops nobody asked for: when they come, at which level, and that each episode has only one."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.alarms.conditions import EngineFacts, Exposure
from actors.alarms.triggers import SKEW_HOLD_SECONDS, Rule, TriggerRules, Triggers
from actors.errors import Refused
from wire.rest.engines import Connection
from wire.stops import Level

START = datetime(2026, 1, 5, tzinfo=UTC)
LONG = Exposure(positions=2, orders=1)


def lost(away, exposure=LONG, **changes):
    return EngineFacts(engine_id="E1", connection=Connection.OFFLINE, away=away, exposure=exposure, **changes)


def skewed(ms, **changes):
    return EngineFacts(engine_id="E1", connection=Connection.CONNECTED, skew_ms=ms, **changes)


def look(triggers, facts, since=START, now=0.0):
    return triggers.look(facts, since, now, START + timedelta(seconds=now))


def test_an_engine_that_vanished_with_positions_is_halted_after_a_minute():
    triggers = Triggers(TriggerRules())
    assert look(triggers, lost(59.9)) is None
    trigger = look(triggers, lost(60.0))
    assert (trigger.cause, str(trigger.request.scope), trigger.request.level) == (
        "trigger:engine_lost",
        "engine:E1",
        Level.HALT,
    )
    assert "2 positions and 1 working orders" in trigger.request.reason


def test_one_without_anything_at_stake_is_left_alone():
    assert look(Triggers(TriggerRules()), lost(600.0, Exposure(positions=0, orders=0))) is None


def test_one_that_said_goodbye_is_left_alone():
    assert look(Triggers(TriggerRules()), lost(600.0, said_goodbye=True)) is None


def test_what_is_not_known_allows_no_new_positions():
    assert look(Triggers(TriggerRules()), lost(60.0, Exposure())).request.level is Level.REDUCE_ONLY


def test_an_episode_fires_once_and_the_next_one_again():
    triggers = Triggers(TriggerRules())
    first = look(triggers, lost(60.0))
    assert look(triggers, lost(61.0)) is None
    again = look(triggers, lost(60.0), since=START + timedelta(minutes=5))
    assert again.request.request_id != first.request.request_id


def test_a_platform_that_restarts_asks_under_the_same_id():
    ids = {look(Triggers(TriggerRules()), lost(60.0 + i)).request.request_id for i in range(3)}
    assert len(ids) == 1


def test_a_clock_that_is_off_for_three_heartbeats_allows_no_new_positions():
    triggers = Triggers(TriggerRules())
    assert look(triggers, skewed(-5000), now=0.0) is None
    assert look(triggers, skewed(-6000), now=SKEW_HOLD_SECONDS - 0.1) is None
    trigger = look(triggers, skewed(-6000), now=SKEW_HOLD_SECONDS)
    assert (trigger.cause, trigger.request.level) == ("trigger:clock_skew", Level.REDUCE_ONLY)
    assert "-6000 ms" in trigger.request.reason


def test_a_clock_that_was_set_right_in_time_is_left_alone():
    triggers = Triggers(TriggerRules())
    for now, skew in ((0.0, 9000), (10.0, 4999), (11.0, 9000), (25.9, 9000)):
        assert look(triggers, skewed(skew), now=now) is None
    assert look(triggers, skewed(9000), now=26.0) is not None


def test_a_rule_that_is_off_never_fires():
    off = Triggers(TriggerRules(engine_lost=Rule.parse("off", "X"), clock_skew=Rule.parse("OFF", "X")))
    assert look(off, lost(9999.0)) is None
    assert [look(off, skewed(99_999), now=t) for t in (0.0, 100.0)] == [None, None]


def test_a_rule_is_read_and_written_alike():
    assert str(Rule.parse(" flatten  120 ", "X")) == "FLATTEN 120"
    assert Rule.parse("HALT 60", "X") == TriggerRules().engine_lost


@pytest.mark.parametrize("text", ["", "HALT", "60", "NORMAL 60", "HALT 0", "HALT 1.5", "HALT -1", "HALT 60 s", "on"])
def test_a_rule_that_cannot_be_one_is_refused_by_its_name(text):
    with pytest.raises(Refused) as caught:
        Rule.parse(text, "WATCHKEEPER_TRIGGER_ENGINE_LOST")
    assert "WATCHKEEPER_TRIGGER_ENGINE_LOST" in str(caught.value)
