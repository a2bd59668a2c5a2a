"""Alerts told over real HTTP to a small receiver; what it refuses is tried again, and in the end a dead letter."""

import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import h11
import pytest
import trio
from trio.testing import memory_stream_pair

from actors.alarms import webhook
from actors.alarms.deliveries import ATTEMPTS, Delivery
from actors.alarms.webhook import AlertAcknowledged, TellOutside, WebhookTeller, alert_in, letter_of, signature
from actors.config import Webhook
from actors.platform.degraded import DegradedParts
from store.errors import Unavailable
from store.letters import DeadLetter
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.http import HttpClient
from wire.rest.records import Alert, AlertState

NOW = datetime(2026, 1, 5, tzinfo=UTC)
HOOK = Webhook(url="http://hooks.example/alerts?key=CANARY", secret="s3cret", severity="warning")


def alert(alert_id="a1", severity="warning"):
    return Alert(
        id=alert_id,
        code="error_x",
        severity=severity,
        reason="엔진이 사라졌습니다",
        engine_id="E1",
        stop_id=None,
        state=AlertState.OPEN,
        raised_at=NOW,
        acknowledged_by=None,
        acknowledged_at=None,
    )


class Receiver:
    """An HTTP server on memory streams that answers with the next of its statuses, and 200 when they are used up."""

    def __init__(self, nursery):
        self.nursery = nursery
        self.statuses = []
        self.got = []
        self.refuses = False

    async def connect(self, _host, _port):
        if self.refuses:
            raise OSError("nobody listens")
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        return ours

    async def serve(self, stream):
        connection, body = h11.Connection(h11.SERVER), b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                headers, body = dict(event.headers), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.got.append((headers, body))
                status = self.statuses.pop(0) if self.statuses else 200
                answer = h11.Response(status_code=status, headers=[("content-length", "0")])
                await stream.send_all(connection.send(answer) + connection.send(h11.EndOfMessage()))
                connection.start_next_cycle()
            else:
                return


class Book:
    def __init__(self):
        self.is_away = False
        self.told_ids, self.letters = [], []

    async def told(self, alert_id, at):
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise Unavailable("away")
        self.told_ids.append(alert_id)

    async def bury(self, letter):
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise Unavailable("away")
        self.letters.append(letter)


@attrs.define
class World:
    teller: object
    receiver: Receiver
    book: Book
    degraded: DegradedParts


@pytest.fixture
def open_world(nursery):
    @asynccontextmanager
    async def world(hook=HOOK):
        receiver, book, degraded = Receiver(nursery), Book(), DegradedParts()

        def teller():
            return WebhookTeller(
                hook, book, degraded, lambda: "p1", http=lambda: HttpClient(connect=receiver.connect), wall=lambda: NOW
            )

        async with open_system(name="w", children=[ChildSpec(id="webhook", factory=teller)]) as system:
            yield World(system.ref("webhook"), receiver, book, degraded)

    return world


async def test_an_alert_is_told_signed_and_remembered(open_world, autojump_clock):
    async with open_world() as world:
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(1)
        ((headers, body),) = world.receiver.got
        told = json.loads(body)
        assert (told["kind"], told["platform_id"], told["attempt"], told["alert"]["id"]) == ("alert", "p1", 1, "a1")
        assert told["alert"]["reason"] == "엔진이 사라졌습니다"
        at = int(NOW.timestamp())
        mac = hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        assert headers[b"x-watchkeeper-signature"] == f"t={at},v1={mac}".encode()
        assert world.book.told_ids == ["a1"]
        assert world.degraded.parts() == []


async def test_one_that_is_less_severe_than_wanted_is_not_told(open_world, autojump_clock):
    async with open_world(attrs.evolve(HOOK, severity="critical")) as world:
        world.teller.tell(TellOutside(alert=alert()))
        world.teller.tell(TellOutside(alert=alert("a2", "critical")))
        await trio.sleep(1)
        assert [json.loads(body)["alert"]["id"] for _headers, body in world.receiver.got] == ["a2"]


async def test_without_a_webhook_nothing_is_kept(open_world, autojump_clock):
    async with open_world(None) as world:
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(1)
        assert (world.receiver.got, world.book.told_ids) == ([], [])


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_whatever_is_no_receipt_is_tried_again(open_world, autojump_clock, status):
    async with open_world() as world:
        world.receiver.statuses = [status, status]
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(1)
        assert [p.part for p in world.degraded.parts()] == ["alert webhook"]
        await trio.sleep(30)
        attempts = [json.loads(body)["attempt"] for _headers, body in world.receiver.got]
        assert (attempts, world.book.told_ids) == ([1, 2, 3], ["a1"])
        assert world.degraded.parts() == []


async def test_what_nobody_takes_is_a_dead_letter_that_may_be_sent_again(open_world, autojump_clock):
    async with open_world() as world:
        world.receiver.refuses = True
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(3600)
        (letter,) = world.book.letters
        assert (letter.kind, letter.engine_id) == ("alert_webhook", "E1")
        assert f"{ATTEMPTS} attempts" in letter.reason
        assert alert_in(letter) == alert()
        world.receiver.refuses = False
        world.teller.tell(TellOutside(alert=alert_in(letter)))
        await trio.sleep(1)
        assert world.book.told_ids == ["a1"]


async def test_a_receiver_that_says_gone_gets_no_second_try(open_world, autojump_clock):
    async with open_world() as world:
        world.receiver.statuses = [410]
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(3600)
        assert (len(world.receiver.got), len(world.book.letters)) == (1, 1)


async def test_a_critical_alert_is_told_again_until_it_is_acknowledged(open_world, autojump_clock):
    async with open_world() as world:
        world.teller.tell(TellOutside(alert=alert(severity="critical")))
        await trio.sleep(301)
        assert [json.loads(body)["kind"] for _headers, body in world.receiver.got] == ["alert", "reminder"]
        world.teller.tell(AlertAcknowledged(alert_id="a1"))
        await trio.sleep(10_000)
        assert len(world.receiver.got) == 2


async def test_the_database_may_be_away_and_nothing_of_it_is_forgotten(open_world, autojump_clock):
    async with open_world() as world:
        world.book.is_away = True
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(60)
        assert len(world.receiver.got) == 1
        world.book.is_away = False
        await trio.sleep(60)
        assert world.book.told_ids == ["a1"]


async def test_neither_url_nor_secret_is_in_what_people_read(open_world, autojump_clock, caplog):
    async with open_world() as world:
        world.receiver.refuses = True
        world.teller.tell(TellOutside(alert=alert()))
        await trio.sleep(3600)
        shown = f"{caplog.text} {world.degraded.parts()} {world.book.letters} {HOOK!r}"
        assert "CANARY" not in shown
        assert "s3cret" not in shown


def test_a_letter_of_another_kind_holds_no_alert():
    fields = {"id": "l1", "engine_id": "E1", "payload": "{}", "reason": "x", "at": NOW}
    assert alert_in(DeadLetter(kind="fill", **fields)) is None
    assert alert_in(DeadLetter(kind=webhook.LETTER_KIND, **fields)) is None


def test_without_a_secret_there_is_no_signature():
    _body, headers = letter_of(attrs.evolve(HOOK, secret=None), Delivery(alert=alert(), due=0.0), "p1", NOW)
    assert "x-watchkeeper-signature" not in headers
    assert signature("a", b"x", 1) != signature("a", b"x", 2) != signature("b", b"x", 2)
