"""Alerts in virtual time: shown at once, kept when the database takes them, not repeated, recalled after a restart."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import pytest
import trio

from actors.alarms.alerts import QUIET_SECONDS, Alerts
from actors.alarms.webhook import AlertAcknowledged, TellOutside
from actors.links.messages import EngineReportedError
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.stops.effects import RaiseAlert
from store.errors import Unavailable
from supervisor.spec import ChildSpec
from supervisor.system import open_system

NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Book:
    def __init__(self):
        self.is_away = False
        self.saved = {}
        self.told = set()

    async def save(self, alert):
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise Unavailable("away")
        self.saved[alert.id] = alert

    async def open_alerts(self):
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise Unavailable("away")
        return [(alert, alert.id in self.told) for alert in self.saved.values()]


@attrs.define
class World:
    alerts: object
    book: Book
    outside: list
    degraded: DegradedParts


@pytest.fixture
def open_world():
    @asynccontextmanager
    async def world(book=None):
        book, outside, degraded, numbers = book or Book(), [], DegradedParts(), iter(range(1, 1000))

        def make():
            return Alerts(
                book,
                Hub(),
                degraded,
                tell_outside=outside.append,
                wall=lambda: NOW,
                new_id=lambda: f"{len(book.saved)}-{next(numbers)}",
            )

        async with open_system(name="w", children=[ChildSpec(id="alerts", factory=make)]) as system:
            yield World(system.ref("alerts"), book, outside, degraded)

    return world


def lost(reason="gone", engine_id="E1"):
    return RaiseAlert(code="error_engine_lost", severity="critical", reason=reason, engine_id=engine_id)


async def test_an_alert_is_told_outside_at_once_and_kept_when_the_database_is_back(open_world, autojump_clock):
    async with open_world() as world:
        world.book.is_away = True
        world.alerts.tell(lost())
        await trio.sleep(10)
        assert [told.alert.reason for told in world.outside] == ["gone"]
        assert (world.book.saved, [p.part for p in world.degraded.parts()]) == ({}, ["alerts"])
        world.book.is_away = False
        await trio.sleep(10)
        assert [alert.reason for alert in world.book.saved.values()] == ["gone"]
        assert world.degraded.parts() == []


async def test_the_same_words_are_not_repeated_within_a_minute(open_world, autojump_clock):
    async with open_world() as world:
        for _ in range(3):
            world.alerts.tell(lost())
        world.alerts.tell(lost("gone again"))
        await trio.sleep(QUIET_SECONDS)
        world.alerts.tell(lost())
        await trio.sleep(1)
        assert [told.alert.reason for told in world.outside] == ["gone", "gone again", "gone"]


async def test_an_engine_that_floods_critical_reports_is_one_alert_a_minute_and_code(open_world, autojump_clock):
    async with open_world() as world:
        for n in range(500):
            world.alerts.tell(EngineReportedError(engine_id="E1", code="error_risk_daily_loss", reason=f"loss {n}"))
        world.alerts.tell(EngineReportedError(engine_id="E2", code="error_risk_daily_loss", reason="loss"))
        await trio.sleep(1)
        assert [(t.alert.engine_id, t.alert.reason) for t in world.outside] == [
            ("E1", "E1: loss 0"),
            ("E2", "E2: loss"),
        ]
        assert all(t.alert.severity == "critical" for t in world.outside)


async def test_after_a_restart_the_outside_hears_what_it_was_not_told(open_world, autojump_clock):
    book = Book()
    async with open_world(book) as world:
        world.alerts.tell(lost("first"))
        world.alerts.tell(lost("second"))
        await trio.sleep(1)
    book.told = {next(iter(book.saved))}
    async with open_world(book) as world:
        await trio.sleep(1)
        kept = list(book.saved.values())
        assert world.outside == [TellOutside(alert=kept[0], told_before=True), TellOutside(alert=kept[1])]


async def test_what_comes_back_after_somebody_acknowledged_it_is_said_again(open_world, autojump_clock):
    async with open_world() as world:
        world.alerts.tell(lost())
        world.alerts.tell(EngineReportedError(engine_id="E1", code="error_risk_daily_loss", reason="loss"))
        await trio.sleep(1)
        for told in tuple(world.outside):
            world.alerts.tell(AlertAcknowledged(alert_id=told.alert.id))
        for _ in range(2):
            world.alerts.tell(lost())
            world.alerts.tell(EngineReportedError(engine_id="E1", code="error_risk_daily_loss", reason="loss"))
        await trio.sleep(1)
        assert [told.alert.reason for told in world.outside] == ["gone", "E1: loss"] * 2
