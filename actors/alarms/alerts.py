"""Alerts: shown at once, kept as soon as the database takes them, open until a named person acknowledges them."""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import trio

from actors.alarms.webhook import AlertAcknowledged, TellOutside
from actors.links.messages import EngineReportedError
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.stops.effects import RaiseAlert
from store import alerts
from store.database import Database
from store.errors import StoreError
from supervisor.actor import Actor, handles
from wire.rest.records import Alert, AlertState
from wire.ui import Topic

RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
LIMIT = 10_000
QUIET_SECONDS = 60.0
"""The same words about the same engine and stop are not repeated within this time, unless somebody acknowledged them:
whoever did has dealt with it, and what comes after that is new to them."""
ALERTS = "alerts"


class AlertBook(Protocol):
    async def save(self, alert: Alert) -> None:
        """Idempotent by id. Raises StoreError."""

    async def open_alerts(self) -> list[tuple[Alert, bool]]:
        """With whether the outside was told of each. Raises StoreError."""


class DatabaseAlerts:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def save(self, alert: Alert) -> None:
        await self._db.run(alerts.save, alert)

    async def open_alerts(self) -> list[tuple[Alert, bool]]:
        return await self._db.run(alerts.open_alerts)


class Alerts(Actor):
    def __init__(
        self,
        book: AlertBook,
        hub: Hub,
        degraded: DegradedParts,
        *,
        tell_outside: Callable[[TellOutside], object] = lambda _telling: None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._book = book
        self._hub = hub
        self._degraded = degraded
        self._tell_outside = tell_outside
        self._wall = wall
        self._new_id = new_id
        self._unsaved: OrderedDict[str, Alert] = OrderedDict()
        self._recalled = False
        self._mine: set[str] = set()  # raised before the old ones were read
        self._said: OrderedDict[RaiseAlert, tuple[str, float]] = OrderedDict()
        self._bell = trio.Event()

    async def started(self) -> None:
        self.context.spawn(self._recall, name="open alerts")
        self.context.spawn(self._save, name="save")

    @handles(RaiseAlert)
    async def on_raise(self, msg: RaiseAlert) -> None:
        self._raise(msg, msg.reason)

    @handles(EngineReportedError)
    async def on_engine_error(self, msg: EngineReportedError) -> None:
        """Whatever the words: an engine that repeats itself is one alert a minute, all its words are in the log."""
        alert = RaiseAlert(code=msg.code, severity="critical", reason="", engine_id=msg.engine_id)
        self._raise(alert, f"{msg.engine_id}: {msg.reason}")

    @handles(AlertAcknowledged)
    async def on_acknowledged(self, msg: AlertAcknowledged) -> None:
        said = next((said for said, (alert_id, _at) in self._said.items() if alert_id == msg.alert_id), None)
        if said is not None:
            del self._said[said]

    def _raise(self, msg: RaiseAlert, words: str) -> None:
        """Shows it, unless ``msg`` was said a moment ago and nobody has acknowledged that."""
        now, before = trio.current_time(), self._said.get(msg)
        if before is not None and now - before[1] < QUIET_SECONDS:
            return
        self._said[msg] = (self._show(msg, words), now)
        if len(self._said) > LIMIT:
            self._said.popitem(last=False)

    def _show(self, msg: RaiseAlert, words: str) -> str:
        """The id of the alert."""
        alert = Alert(
            id=self._new_id(),
            code=msg.code,
            severity=msg.severity,
            reason=words[:2000],
            engine_id=msg.engine_id,
            stop_id=msg.stop_id,
            state=AlertState.OPEN,
            raised_at=self._wall(),
            acknowledged_by=None,
            acknowledged_at=None,
        )
        self._hub.publish(Topic.ALERTS, alert, key=alert.id)
        self._tell_outside(TellOutside(alert=alert))
        if not self._recalled:
            self._mine.add(alert.id)
        if len(self._unsaved) >= LIMIT:
            self._unsaved.popitem(last=False)
        self._unsaved[alert.id] = alert
        self._bell.set()
        self.context.log.warning("%s: %s", alert.code, alert.reason)
        return alert.id

    async def _save(self) -> None:
        failures = 0
        while True:
            if not self._unsaved:
                self._bell = trio.Event()
                await self._bell.wait()
            alert = next(iter(self._unsaved.values()))
            try:
                await self._book.save(alert)
            except StoreError as error:
                self._degraded.report(ALERTS, str(error))
                await trio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            else:
                self._unsaved.pop(alert.id, None)
                self._degraded.restored(ALERTS)
                failures = 0

    async def _recall(self) -> None:
        """What was open when the last platform ended is on the screens again, and told if nobody was told of it."""
        for pause in (*RETRY_SECONDS, *([RETRY_SECONDS[-1]] * 10_000)):
            try:
                for alert, told in await self._book.open_alerts():
                    if alert.id not in self._mine:
                        self._hub.publish(Topic.ALERTS, alert, key=alert.id)
                        self._tell_outside(TellOutside(alert=alert, told_before=told))
                self._recalled = True
                self._mine.clear()
                return
            except StoreError:
                await trio.sleep(pause)
