"""Tells alerts to the outside: one JSON document to one URL, again until it is taken, signed if there is a secret.

    POST <url>
    X-Watchkeeper-Delivery: <alert id>.<telling>.<attempt>
    X-Watchkeeper-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>
    {"kind": "alert" | "reminder", "platform_id": …, "attempt": 1, "alert": {…}}

Any 2xx is a receipt; redirects are not followed. What nobody takes becomes a dead letter, which a person sees and may
send again. Nothing here can hold up an alert on the dashboards, and nothing waits for it.
"""

import hashlib
import hmac
import json
import random
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import attrs
import trio

from actors.alarms.deliveries import Deliveries, Delivery
from actors.config import Webhook
from actors.platform.degraded import DegradedParts
from store import alerts, letters
from store.database import Database
from store.errors import StoreError
from store.letters import DeadLetter
from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from wire.codec import decode, encode
from wire.errors import WireError
from wire.http import HttpClient, HttpError
from wire.rest.records import Alert, AlertState
from wire.schema import changed

TIMEOUT = 10.0
BACKOFF = Backoff(base=1.0, max_delay=60.0)
KEEP_RETRY_SECONDS = 5.0
NOTES = 10_000
LETTER_KIND = "alert_webhook"
WEBHOOK_PART = "alert webhook"
GONE = 410
_RANK = {"info": 0, "warning": 1, "error": 2, "critical": 3}


@attrs.frozen(kw_only=True)
class TellOutside:
    """``told_before``: an earlier platform told it, so that only reminders are due."""

    alert: Alert
    told_before: bool = False


@attrs.frozen(kw_only=True)
class AlertAcknowledged:
    alert_id: str


class TellingBook(Protocol):
    """What is remembered of the tellings. Both raise StoreError."""

    async def told(self, alert_id: str, at: datetime) -> None: ...
    async def bury(self, letter: DeadLetter) -> None: ...


class DatabaseTellings:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def told(self, alert_id: str, at: datetime) -> None:
        await self._db.run(alerts.told, alert_id, at)

    async def bury(self, letter: DeadLetter) -> None:
        await self._db.run(letters.save, letter)


class WebhookTeller(Actor):
    """``webhook`` None: there is nobody to tell, and nothing is kept for him."""

    def __init__(
        self,
        webhook: Webhook | None,
        book: TellingBook,
        degraded: DegradedParts,
        platform_id: Callable[[], str],
        *,
        http: Callable[[], HttpClient] = lambda: HttpClient(max_connections=1, max_response=64 * 1024),
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._webhook = webhook
        self._book = book
        self._degraded = degraded
        self._platform_id = platform_id
        self._http = http
        self._wall = wall
        self._deliveries = Deliveries(BACKOFF, rng or random.Random())
        self._bell = trio.Event()
        self._notes: deque[str | DeadLetter] = deque(maxlen=NOTES)
        self._notes_bell = trio.Event()

    async def started(self) -> None:
        if self._webhook is not None:
            self.context.spawn(self._deliver, self._webhook, name="deliver")
            self.context.spawn(self._remember, name="remember")

    @handles(TellOutside)
    async def on_tell(self, msg: TellOutside) -> None:
        webhook, alert = self._webhook, msg.alert
        if webhook is None or _RANK[alert.severity] < _RANK[webhook.severity]:
            return
        now = trio.current_time()
        add = self._deliveries.told_before if msg.told_before else self._deliveries.add
        for dropped in add(alert, now):
            self._bury(dropped, "too many alerts waited to be told")
        self._bell.set()

    @handles(AlertAcknowledged)
    async def on_acknowledged(self, msg: AlertAcknowledged) -> None:
        self._deliveries.acknowledged(msg.alert_id)

    # --- telling ------------------------------------------------------------------------------------------------------

    async def _deliver(self, webhook: Webhook) -> None:
        async with self._http() as http:
            while True:
                self._bell = trio.Event()
                delivery = self._deliveries.take(trio.current_time())
                if delivery is None:
                    due = self._deliveries.next_due()
                    with trio.move_on_at(due) if due is not None else trio.CancelScope():
                        await self._bell.wait()
                    continue
                await self._try(http, webhook, delivery)

    async def _try(self, http: HttpClient, webhook: Webhook, delivery: Delivery) -> None:
        status: int | None = None
        try:
            body, headers = letter_of(webhook, delivery, self._platform_id(), self._wall())
            response = await http.request("POST", webhook.url, headers, body, timeout=TIMEOUT)
            status, reason = response.status, f"answered {response.status}"
        except HttpError as error:
            reason = f"{error.code}: {type(error).__name__}"
        now = trio.current_time()
        if status is not None and 200 <= status < 300:
            self._degraded.restored(WEBHOOK_PART)
            self._deliveries.taken(delivery, now)
            self._note(delivery.alert.id)
            return
        self._degraded.report(WEBHOOK_PART, f"alerts cannot be told to {webhook.host}: {reason}")
        if self._deliveries.failed(delivery, now, for_good=status == GONE):
            self._bury(delivery, f"not taken after {delivery.attempt} attempts: {reason}")

    # --- remembering --------------------------------------------------------------------------------------------------

    def _bury(self, delivery: Delivery, reason: str) -> None:
        alert = delivery.alert
        self.context.log.error("alert %s could not be told to the outside: %s", alert.code, reason)
        self._note(
            DeadLetter(
                id=str(uuid.uuid4()),
                engine_id=alert.engine_id or "platform",
                kind=LETTER_KIND,
                payload=encode(alert),
                reason=reason,
                at=self._wall(),
            )
        )

    def _note(self, note: str | DeadLetter) -> None:
        self._notes.append(note)
        self._notes_bell.set()

    async def _remember(self) -> None:
        """Each note until the database takes it; a telling that is not remembered is told once more after a restart."""
        while True:
            if not self._notes:
                self._notes_bell = trio.Event()
                await self._notes_bell.wait()
            note = self._notes[0]
            try:
                if isinstance(note, DeadLetter):
                    await self._book.bury(note)
                else:
                    await self._book.told(note, self._wall())
            except StoreError:
                await trio.sleep(KEEP_RETRY_SECONDS)
                continue
            if self._notes and self._notes[0] is note:
                self._notes.popleft()


def letter_of(webhook: Webhook, delivery: Delivery, platform_id: str, wall: datetime) -> tuple[bytes, dict[str, str]]:
    """The body and its headers. Pure."""
    fields = {
        "kind": delivery.kind.value,
        "platform_id": platform_id,
        "attempt": delivery.attempt,
        "alert": json.loads(encode(delivery.alert, nulls=True)),
    }
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "content-type": "application/json",
        "user-agent": "watchkeeper",
        "x-watchkeeper-delivery": f"{delivery.alert.id}.{delivery.telling}.{delivery.attempt}",
    }
    if webhook.secret is not None:
        headers["x-watchkeeper-signature"] = signature(webhook.secret, body, int(wall.timestamp()))
    return body, headers


def signature(secret: str, body: bytes, at: int) -> str:
    """``t=<at>,v1=<hex>``: whoever checks it refuses a ``t`` that is minutes old."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def alert_in(letter: DeadLetter) -> Alert | None:
    """The alert of a dead letter that may be told again; None: the letter is of another kind."""
    if letter.kind != LETTER_KIND:
        return None
    try:
        alert = decode(letter.payload, Alert)
    except WireError:
        return None
    return changed(alert, state=AlertState.OPEN)
