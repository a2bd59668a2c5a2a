"""The UI link: first hello, then a snapshot and what follows it, and a slow browser is nobody's problem but its own."""

import json
from datetime import UTC, datetime

import pytest
import trio
from quart.testing.connections import WebsocketDisconnectError, WebsocketResponseError

from actors.live.client import Outbox, UiClient
from actors.live.hub import Hub
from actors.live.session import BURST, Close, Send, State, TokenRefused, UiSession, Welcome
from actors.live.streams import RING
from actors.web.ways import ByMessage
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system
from wire.messages import TradeLog
from wire.rest.records import Alert, AlertState
from wire.tokens import Claims
from wire.ui import SUBPROTOCOL, Topic
from wire.values import LogCategory

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def frame(type_name, payload, **more):
    return json.dumps({"type": type_name, "payload": payload, "timestamp": "2026-11-20T09:00:00Z", **more})


def hello(token="good", topics=("trades",), **more):
    return frame("hello", {"token": token, "protocol": "1", "topics": [{"topic": t} for t in topics], **more})


def claims(subject="u-1", expires=10**10, generation=0):
    return Claims(
        iss="watchkeeper",
        aud="user",
        sub=subject,
        jti="j" * 20,
        iat=0,
        nbf=0,
        exp=expires,
        username=subject,
        role="viewer",
        auth_time=0,
        generation=generation,
    )


def check(token):
    if token in ("good", "fresh"):
        return claims()
    if token == "other":
        return claims("u-2")
    if token == "soon":
        return claims(expires=int(datetime.now(UTC).timestamp()) + 60)
    raise TokenRefused(expired=token == "old")


@pytest.fixture
def session():
    return UiSession(check, 0.0)


@pytest.fixture
def live(session):
    [welcome] = session.receive(hello(), 1.0)
    assert isinstance(welcome, Welcome)
    return session


# --- the rules, without a socket --------------------------------------------------------------------------------------


def test_a_browser_that_says_no_hello_within_five_seconds_is_closed(session):
    assert session.tick(4.9, {}) == []
    assert session.tick(5.0, {}) == [Close(4008, "error_hello_timeout")]


@pytest.mark.parametrize(
    "text, code, reason",
    [
        (hello("bad"), 4504, "error_auth_invalid"),
        (hello("old"), 4101, "error_token_expired"),
        (frame("hello", {"token": "good", "protocol": "2", "topics": []}), 4506, "error_version"),
        (
            frame("hello", {"token": "good", "protocol": "1", "topics": [{"topic": "gossip"}]}),
            4507,
            "error_invalid_field",
        ),
        (frame("hello", {"protocol": "1", "topics": []}), 4507, "error_invalid_field"),
        (frame("auth", {"token": "good"}), 4507, "error_hello_expected"),
        (frame("hello", "x"), 4507, "error_invalid_field"),
        ("{", 4507, "error_malformed"),
        ('{"type": "hello", "type": "hello"}', 4507, "error_malformed"),
        ("x" * 17_000, 4507, "error_too_large"),
    ],
)
def test_a_first_frame_that_is_no_good_hello_ends_the_link(session, text, code, reason):
    assert session.receive(text, 0.1) == [Close(code, reason)]
    assert session.receive(hello(), 0.2) == []


def test_a_second_hello_ends_the_link(live):
    assert live.receive(hello(), 2.0) == [Close(4507, "error_second_hello")]


def test_an_unknown_type_is_answered_and_ignored(live):
    [nack] = live.receive(frame("sing", {}), 2.0)
    assert json.loads(nack.text)["payload"]["code"] == "error_unknown_type"
    assert live.state is State.LIVE


def test_what_is_critical_and_not_understood_is_not_done(live):
    [nack] = live.receive(frame("auth", {"token": "bad"}, crit=["seal.v1"]), 2.0)
    assert json.loads(nack.text)["payload"]["code"] == "error_unknown_critical"
    assert live.state is State.LIVE


def test_a_new_token_is_taken_in_band(live):
    [ack] = live.receive(frame("auth", {"token": "fresh"}, id="a1"), 2.0)
    assert json.loads(ack.text) == {
        "type": "ack",
        "timestamp": json.loads(ack.text)["timestamp"],
        "payload": {"re": "a1"},
    }


def test_a_token_of_another_person_ends_the_link(live):
    assert live.receive(frame("auth", {"token": "other"}), 2.0) == [Close(4503, "error_another_user")]


def test_a_session_that_ended_closes_the_link(live):
    assert live.tick(2.0, {}, denied=True) == [Close(4504, "error_session_over")]


def test_bookmarks_go_out_every_two_seconds_with_all_offsets(live):
    assert live.tick(2.9, {Topic.TRADES: 3}) == []
    [first] = live.tick(3.0, {Topic.TRADES: 3})
    assert isinstance(first, Send)
    payload = json.loads(first.text)["payload"]
    assert (payload["n"], payload["offsets"]) == (1, {"trades": 3})
    assert live.tick(4.9, {}) == []
    assert len(live.tick(5.0, {})) == 1


def test_a_browser_that_answers_bookmarks_stays_and_a_silent_one_is_closed_after_ten_seconds(live):
    for second in range(3, 60):
        live.tick(float(second), {})
        live.receive(frame("bookmark_ack", {"n": second, "offsets": {"trades": second}}), float(second))
    assert live.acknowledged == {"trades": 59}
    assert live.tick(68.9, {})[0] != Close(4008, "error_heartbeat_timeout")
    assert live.tick(69.0, {}) == [Close(4008, "error_heartbeat_timeout")]


def test_a_token_that_was_not_renewed_ends_the_link_thirty_seconds_after_its_end(session):
    session.receive(hello("soon"), 0.0)
    for second in range(1, 89):
        session.receive(frame("bookmark_ack", {"n": 1, "offsets": {}}), float(second))
        assert Close(4101, "error_token_expired") not in session.tick(float(second), {})
    assert session.tick(95.0, {}, may_expire=False) != [Close(4101, "error_token_expired")]
    session.receive(frame("bookmark_ack", {"n": 1, "offsets": {}}), 95.0)
    assert session.tick(95.0, {}) == [Close(4101, "error_token_expired")]


def test_a_browser_that_says_too_much_is_closed(live):
    answers = [live.receive(frame("bookmark_ack", {"n": 1, "offsets": {}}), 2.0) for _ in range(int(BURST) + 1)]
    assert [Close(4030, "error_rate_limited")] in answers


# --- over the socket --------------------------------------------------------------------------------------------------


def trade(n):
    return TradeLog(id=f"t{n}", category=LogCategory.SYSTEM, message=f"line {n}", timestamp=NOW)


def alert(n):
    return Alert(
        id=f"a{n}",
        code="error_some",
        severity="error",
        reason="words",
        engine_id=None,
        stop_id=None,
        state=AlertState.OPEN,
        raised_at=NOW,
        acknowledged_by=None,
        acknowledged_at=None,
    )


def dial(desk, origin="http://127.0.0.1:8700", subprotocols=(SUBPROTOCOL,)):
    headers = {"Sec-WebSocket-Protocol": ", ".join(subprotocols), **({"Origin": origin} if origin else {})}
    return desk.client.websocket("/ws", headers=headers)


async def hear(socket, wanted=None):
    with trio.fail_after(20):
        while True:
            said = json.loads(await socket.receive())
            if wanted is None or said["type"] == wanted:
                return said


async def closed_with(socket):
    with trio.fail_after(30):
        while True:
            try:
                await socket.receive()
            except WebsocketDisconnectError as end:
                return end.args[0]


async def test_a_browser_gets_welcome_snapshot_and_deltas(desk):
    desk.services.hub.publish_from(Topic.TRADES, "E1", trade(1))
    async with dial(desk) as socket:
        await socket.send(hello(desk.token("viewer"), topics=("trades", "stops")))
        welcome = await hear(socket, "welcome")
        assert welcome["payload"]["bookmark_ms"] == 2000
        assert {t["topic"]: t["recovered"] for t in welcome["payload"]["topics"]} == {"trades": False, "stops": False}
        snapshots = [await hear(socket, "snapshot"), await hear(socket, "snapshot")]
        assert {s["payload"]["topic"]: len(s["payload"]["items"]) for s in snapshots} == {"stops": 0, "trades": 1}
        desk.services.hub.publish_from(Topic.TRADES, "E1", trade(2))
        delta = await hear(socket, "delta")
        assert [(i["id"], i["engine_id"]) for i in delta["payload"]["items"]] == [("t2", "E1")]


async def test_a_browser_that_comes_back_with_its_offset_gets_only_what_it_missed(desk):
    hub = desk.services.hub
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    epoch = hub.stream(Topic.TRADES).epoch
    hub.publish_from(Topic.TRADES, "E1", trade(2))
    async with dial(desk) as socket:
        topics = [{"topic": "trades", "epoch": epoch, "offset": 1}]
        await socket.send(frame("hello", {"token": desk.token("viewer"), "protocol": "1", "topics": topics}))
        welcome = await hear(socket, "welcome")
        assert welcome["payload"]["topics"][0]["recovered"] is True
        assert [i["id"] for i in (await hear(socket, "delta"))["payload"]["items"]] == ["t2"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:8700.evil.example", "null", "https://127.0.0.1:8700"]
)
async def test_a_page_of_another_origin_is_refused_before_the_upgrade(desk, origin):
    async with dial(desk, origin) as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == 403
    assert (await refused.value.response.get_json())["error"] == "error_origin"


async def test_no_origin_is_no_browser_and_its_token_decides(desk):
    async with dial(desk, None) as socket:
        await socket.send(hello(desk.token("viewer")))
        assert (await hear(socket))["type"] == "welcome"


async def test_another_subprotocol_is_refused_with_426(desk):
    async with dial(desk, subprotocols=("watchkeeper-ui.v0",)) as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == 426


async def test_a_bad_token_is_told_by_the_closing_code(desk):
    async with dial(desk) as socket:
        await socket.send(hello("nonsense"))
        assert await closed_with(socket) == 4504


async def test_an_engines_token_opens_no_dashboard(desk):
    async with dial(desk) as socket:
        await socket.send(hello(desk.engine_token()))
        assert await closed_with(socket) == 4504


async def test_a_binary_frame_ends_the_link(desk):
    async with dial(desk) as socket:
        await socket.send(b"\x00\x01")
        assert await closed_with(socket) == 4507


async def test_a_silent_connection_is_closed_after_five_seconds(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk, dial(desk) as socket:
        assert await closed_with(socket) == 4008
        assert 5 <= trio.current_time() <= 5.5


async def test_logging_out_closes_the_open_link_within_a_second(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk, dial(desk) as socket:
        await socket.send(hello(desk.token("viewer", family="f1")))
        await hear(socket, "welcome")
        before = trio.current_time()
        desk.services.denied.end_session("f1", datetime.now(UTC).timestamp())
        assert await closed_with(socket) == 4504
        assert trio.current_time() - before < 1


async def test_a_browser_that_does_not_read_is_given_up_and_nobody_else_notices(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk, dial(desk) as slow, dial(desk) as quick:
        for socket in (slow, quick):
            await socket.send(hello(desk.token("viewer"), topics=("alerts", "trades")))
            await hear(socket, "welcome")
            await hear(socket, "snapshot")
        heard = []
        for n in range(400):
            desk.services.hub.publish(Topic.ALERTS, alert(n), key=f"a{n}")
            heard += [item["id"] for item in (await hear(quick, "delta"))["payload"]["items"]]
        assert heard == [f"a{n}" for n in range(400)]
        assert await closed_with(slow) == 4029


async def test_a_slow_reader_of_telemetry_gets_the_rest_with_an_explicit_gap(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk, dial(desk) as socket:
        await socket.send(hello(desk.token("viewer"), topics=("trades",)))
        await hear(socket, "snapshot")
        for n in range(1, RING + 1501):
            desk.services.hub.publish_from(Topic.TRADES, "E1", trade(n))
        gap = (await hear(socket, "gap"))["payload"]
        delta = (await hear(socket, "delta"))["payload"]
        assert (gap["from_offset"], gap["to_offset"], gap["cause"]) == (1, 1500, "lost")
        assert (delta["offset"], len(delta["items"])) == (RING + 1500, RING)


async def test_while_the_platform_goes_down_browsers_are_told_to_come_back(desk):
    desk.face.doors.draining = True
    async with dial(desk) as socket:
        with pytest.raises(WebsocketResponseError) as refused:
            await socket.receive()
    assert refused.value.response.status_code == 503


async def test_every_browser_is_a_supervised_actor_that_ends_with_its_socket(desk):
    async with dial(desk) as socket:
        await socket.send(hello(desk.token("viewer")))
        await hear(socket, "welcome")
        [name] = [n for n in desk.services.system.names() if n.startswith("ui-clients/")]
        client = desk.services.system.ref(name)
    with trio.fail_after(60):
        await client.wait_ended()
    assert desk.services.system.find(name) is None


async def test_a_browser_that_goes_before_its_actor_is_there_leaves_no_actor_behind(open_actor_system, autojump_clock):
    """Its socket may be gone by the time the supervisor gets to the start: the actor then finds nobody to serve."""
    hub = Hub()
    outbox = Outbox(hub, ByMessage(None))
    outbox.abandoned = True

    def make():
        return UiClient(
            hub=hub,
            outbox=outbox,
            check=check,
            refuses=lambda _: False,
            may_expire=lambda: True,
            hang_up=lambda: None,
        )

    async with open_actor_system() as system:
        await system.start_child("clients", ChildSpec(id="c", factory=make, restart=Restart.TEMPORARY))
        outbox_left_later = Outbox(hub, ByMessage(None))
        outbox = outbox_left_later
        await system.start_child("clients", ChildSpec(id="d", factory=make, restart=Restart.TEMPORARY))
        outbox_left_later.abandoned = True
        await trio.sleep(1.0)
        assert await system.ref("clients").which_children() == ()


@pytest.fixture
def open_actor_system():
    return lambda: open_system(name="test", children=[ChildSpec(id="clients", factory=DynamicSupervisor)])
