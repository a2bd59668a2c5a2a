"""A journal that cannot be believed is told to people, whether or not it has halted anything."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from actors.platform.starting import _lost_journal
from actors.stops.effects import RaiseAlert
from actors.stops.parts import Instant
from store.start import StartRegister, StopNoted
from wire.stops import Level, Register, Scope

NOW = Instant(0.0, datetime(2026, 1, 5, tzinfo=UTC))
TORN = "the stop journal is torn: ends within record 5"


def told(*findings, halted=None):
    start = StartRegister(
        register=Register(), stops={}, findings=findings, lost_journal=halted, genesis=None, first_start=False
    )
    return [e for e in _lost_journal(SimpleNamespace(start=start), NOW) if isinstance(e, RaiseAlert)]


@pytest.mark.parametrize("is_new", [True, False])
def test_damage_is_an_alert_also_while_everything_is_halted_already(is_new):
    halted = StopNoted(
        stop_id="s9",
        request_id="s9",
        scope=Scope.everything(),
        level=Level.HALT,
        stop_epoch=3,
        user_id="platform",
        reason=TORN,
        cause="lost_journal",
        at=NOW.wall,
    )
    (alert,) = told(TORN, halted=halted if is_new else None)
    assert (alert.code, alert.severity, alert.reason) == ("error_lost_journal", "critical", TORN)


def test_a_journal_that_is_whole_is_nothing_to_tell():
    assert told() == []
