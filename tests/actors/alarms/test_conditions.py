"""What raises an alert without being asked, when, and how often."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.alarms.conditions import (
    DEGRADED_SECONDS,
    DISK_FREE_BYTES,
    Condition,
    EngineFacts,
    Exposure,
    MachineFacts,
    Vigil,
    of_engine,
    of_machine,
    of_parts,
)
from actors.stops.effects import RaiseAlert
from wire.rest.engines import Connection
from wire.rest.records import Degraded
from wire.values import BrokerToken

FLAT = Exposure(positions=0, orders=0)
LONG = Exposure(positions=2, orders=0)
WORKING = Exposure(positions=0, orders=3)


def facts(**changes):
    return EngineFacts(**{"engine_id": "E1", "connection": Connection.CONNECTED, "exposure": FLAT, **changes})


def codes(found):
    return [(c.alert.code, c.alert.severity) for c in found]


def test_an_engine_that_is_well_raises_nothing():
    well = facts(exposure=LONG, broker_token=BrokerToken.OK, cpu_usage=95.0, memory_usage=90.0, refusals=4)
    assert of_engine(well) == []


@pytest.mark.parametrize(
    ("exposure", "severity"),
    [(FLAT, "warning"), (LONG, "critical"), (WORKING, "critical"), (Exposure(), "critical")],
)
def test_a_lost_engine_is_critical_when_something_may_be_at_stake(exposure, severity):
    found = of_engine(facts(connection=Connection.OFFLINE, away=16.0, exposure=exposure))
    assert codes(found) == [("error_engine_lost", severity)]
    assert str(exposure) in found[0].alert.reason


def test_an_engine_is_not_lost_before_it_had_the_time_to_come_back_to_a_restarted_platform():
    assert of_engine(facts(connection=Connection.OFFLINE, away=14.9, exposure=LONG)) == []
    found = of_engine(facts(connection=Connection.OFFLINE, away=15.0, exposure=LONG))
    assert codes(found) == [("error_engine_lost", "critical")]


def test_an_engine_nobody_ever_heard_of_is_not_lost():
    assert of_engine(facts(connection=Connection.NEVER, exposure=Exposure())) == []
    assert of_engine(facts(connection=Connection.OFFLINE, away=None, exposure=Exposure())) == []


@pytest.mark.parametrize(("exposure", "found"), [(FLAT, []), (LONG, [("error_left_exposed", "warning")])])
def test_a_goodbye_with_open_positions_is_said(exposure, found):
    away = facts(connection=Connection.OFFLINE, away=1.0, said_goodbye=True, exposure=exposure)
    assert codes(of_engine(away)) == found


@pytest.mark.parametrize(("exposure", "is_said"), [(FLAT, False), (LONG, True), (WORKING, True), (Exposure(), True)])
def test_a_stop_that_cannot_reach_an_exposed_engine_is_critical(exposure, is_said):
    found = of_engine(facts(stop_id="s1", exposure=exposure))
    assert codes(found) == ([("error_unreachable_exposed", "critical")] if is_said else [])
    assert not is_said or (found[0].alert.engine_id, found[0].alert.stop_id) == ("E1", "s1")
    assert of_engine(facts(stop_id="s1", exposure=exposure, returning=True)) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_usage": 90.1}, "error_engine_memory"),
        ({"cpu_usage": 95.1}, "error_engine_cpu"),
        ({"broker_token": BrokerToken.INVALID}, "error_broker_auth"),
        ({"refusals": 5}, "error_engine_auth"),
    ],
)
def test_each_trouble_of_an_engine_has_its_code_and_names_the_engine(changes, code):
    (found,) = of_engine(facts(**changes))
    assert (found.alert.code, found.alert.engine_id) == (code, "E1")
    assert found.alert.reason.startswith("E1: ")


def test_a_broker_token_that_is_renewed_within_a_minute_is_nobodys_business():
    (found,) = of_engine(facts(broker_token=BrokerToken.INVALID))
    assert found.hold == 60.0


def test_a_machine_that_runs_out_of_something_is_critical():
    full = MachineFacts(memory_percent=95.1, descriptors_percent=90.1, disk_free=DISK_FREE_BYTES - 1)
    wanted = {"error_machine_memory", "error_descriptors", "error_disk_space"}
    assert {c.alert.code for c in of_machine(full)} == wanted
    assert of_machine(MachineFacts(memory_percent=95.0, descriptors_percent=90.0, disk_free=DISK_FREE_BYTES)) == []
    assert of_machine(MachineFacts()) == []


def test_a_degraded_part_is_an_alert_within_five_seconds():
    (found,) = of_parts([Degraded(part="event loop", since=datetime.now(UTC), reason="late")])
    assert (found.alert.code, found.hold) == ("error_degraded_event_loop", DEGRADED_SECONDS)
    assert found.hold < 5.0


# --- said once --------------------------------------------------------------------------------------------------------


def condition(severity="warning", reason="words", hold=0.0, code="error_x"):
    return Condition(alert=RaiseAlert(code=code, severity=severity, reason=reason, engine_id="E1"), hold=hold)


def test_a_condition_is_said_once_while_it_lasts_although_its_words_change():
    vigil = Vigil()
    assert len(vigil.look([condition(reason="16 s")], 0.0)) == 1
    assert vigil.look([condition(reason="17 s")], 1.0) == []


def test_one_that_ended_and_began_again_is_said_again():
    vigil = Vigil()
    vigil.look([condition()], 0.0)
    vigil.look([], 1.0)
    assert len(vigil.look([condition()], 2.0)) == 1


def test_one_that_got_worse_is_said_again_and_one_that_got_better_is_not():
    vigil = Vigil()
    said = [len(vigil.look([condition(s)], float(i))) for i, s in enumerate(("warning", "critical", "warning"))]
    assert said == [1, 1, 0]
    assert vigil.look([condition("critical")], 3.0) == []


def test_it_has_to_last_before_anybody_hears_of_it():
    vigil = Vigil()
    held = condition(hold=3.0)
    assert [len(vigil.look([held], at)) for at in (0.0, 2.9, 3.0, 9.0)] == [0, 0, 1, 0]
    vigil.look([], 10.0)
    assert vigil.look([held], 11.0) == []


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), max_size=30))
def test_what_is_said_is_exactly_what_began(history):
    vigil, before = Vigil(), set()
    for second, present in enumerate(history):
        said = {a.code for a in vigil.look([condition(code=f"error_{c}") for c in present], float(second))}
        assert said == {f"error_{c}" for c in set(present) - before}
        before = set(present)
