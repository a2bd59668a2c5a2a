"""The web listener over real sockets: what the libraries would do wrong by themselves."""

import json
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, wrap_client_stream

from actors.config import Address
from actors.errors import Refused
from actors.requests import WEB
from actors.web.sockets import listen
from wire.messages import TradeLog
from wire.ui import SUBPROTOCOL, Topic
from wire.values import LogCategory

JSON_POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def exchange(stream, request):
    """One request on a kept connection, and its answer."""
    await stream.send_all(request)
    data = b""
    with trio.fail_after(60):
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        headers = {
            line.split(b":")[0].strip().lower(): line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")[1:]
        }
        while len(body) < int(headers.get(b"content-length", b"0")):
            body += await stream.receive_some()
    return int(head.split()[1]), headers, body


@asynccontextmanager
async def dial(desk):
    async with await trio.open_tcp_stream(desk.address.host, desk.address.port) as stream:
        yield stream


def request(method, path, body=b"", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_kept_connection_survives_every_early_answer(served):
    async with dial(served) as stream:
        body = b"x" * 60_000
        for method, path, status in (
            ("POST", "/api/nothing", 404),
            ("PUT", "/api/stops", 405),
            ("POST", "/api/auth/login", 415),
            ("OPTIONS", "/api/stops", 204),
            ("POST", "/api/stops/preview", 401),
        ):
            found, _, _ = await exchange(stream, request(method, path, body, Content_Type="text/plain"))
            assert found == status
        assert (await exchange(stream, request("GET", "/healthz")))[0] == 200


async def test_a_body_too_large_is_answered_before_it_is_sent_whole(served):
    async with dial(served) as stream:
        head = JSON_POST + b"Content-Length: 100000000\r\n\r\n"
        status, headers, body = await exchange(stream, head + b"{")
        assert (status, headers[b"connection"]) == (413, b"close")
        assert json.loads(body)["error"] == "error_too_large"


async def test_a_body_without_end_is_cut_off_at_the_limit(served):
    async with dial(served) as stream:
        await stream.send_all(JSON_POST + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = b""
        with trio.fail_after(60):
            try:
                for _ in range(40):
                    await stream.send_all(b"2800\r\n" + b"x" * 0x2800 + b"\r\n")
            except trio.BrokenResourceError:
                pass
            try:
                answer = await stream.receive_some()
            except trio.BrokenResourceError:
                answer = b"HTTP/1.1 413"
        assert answer.startswith(b"HTTP/1.1 413")


async def test_the_server_does_not_say_what_it_is(served):
    async with dial(served) as stream:
        _, headers, _ = await exchange(stream, request("GET", "/healthz"))
        assert b"server" not in headers


async def test_no_compression_is_ever_agreed_on(served):
    async with dial(served) as stream:
        upgrade = request(
            "GET",
            "/ws",
            Upgrade="websocket",
            Connection="Upgrade",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
            Sec_WebSocket_Protocol=SUBPROTOCOL,
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
        )
        status, headers, _ = await exchange(stream, upgrade)
        assert status == 101
        assert b"sec-websocket-extensions" not in headers
        assert headers[b"sec-websocket-protocol"] == SUBPROTOCOL.encode()


async def read_to_the_end(browser):
    while True:
        await browser.get_message()


@asynccontextmanager
async def link(desk, **options):
    """A WebSocket client whose TCP connection is closed whatever happens."""
    async with dial(desk) as stream, trio.open_nursery() as nursery:
        with trio.fail_after(60):
            browser = await wrap_client_stream(
                nursery, stream, str(desk.address), "/ws", subprotocols=[SUBPROTOCOL], **options
            )
        yield browser
        nursery.cancel_scope.cancel()


async def say_hello(browser, token):
    hello = {"token": token, "protocol": "1", "topics": [{"topic": "trades"}]}
    await browser.send_message(json.dumps({"type": "hello", "payload": hello}))


async def test_the_closing_code_and_its_reason_reach_the_browser(served):
    async with link(served) as browser:
        await say_hello(browser, "no token")
        with trio.fail_after(60), pytest.raises(ConnectionClosed):
            await browser.get_message()
        assert (browser.closed.code, browser.closed.reason) == (4504, "error_auth_invalid")


async def test_a_foreign_origin_gets_a_403_instead_of_a_socket(served):
    with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True, allow_unwrapped=True) as refused:
        async with link(served, extra_headers=[("Origin", "http://evil.example")]):
            pass
    error = refused.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert error.status_code == 403


async def test_going_down_tells_the_browser_to_come_back(served):
    async with link(served) as browser, trio.open_nursery() as nursery:
        await say_hello(browser, served.token("viewer"))
        with trio.fail_after(60):
            assert json.loads(await browser.get_message())["type"] == "welcome"
        nursery.start_soon(served.services.system.root.terminate_child, WEB)
        with trio.fail_after(60), pytest.raises(ConnectionClosed):
            await read_to_the_end(browser)
        assert browser.closed.code == 4000


async def test_an_address_in_use_is_refused_in_one_line(served):
    with pytest.raises(Refused) as refused:
        listen(served.address, "WATCHKEEPER_HTTP")
    assert f"{served.address} is in use" in refused.value.message
    assert "WATCHKEEPER_HTTP" in refused.value.message


async def test_a_peer_that_takes_nothing_is_given_up_by_the_socket_itself(served):
    prepared = listen(Address("127.0.0.1", 0), "X")
    try:
        assert prepared.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        assert prepared.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        prepared.close()


@pytest.mark.deep
async def test_a_browser_that_stops_reading_is_cut_off_and_does_not_hold_up_the_end(served):
    stuck = trio.socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await stuck.connect((served.address.host, served.address.port))
    upgrade = request(
        "GET",
        "/ws",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
        Sec_WebSocket_Protocol=SUBPROTOCOL,
    )
    async with trio.SocketStream(stuck) as stream:
        await exchange(stream, upgrade)
        await stream.send_all(client_frame(json.dumps(hello_of(served.token("viewer")))))
        with trio.fail_after(60):
            await trio.testing.wait_all_tasks_blocked(0.2)
        names = [n for n in served.services.system.names() if n.startswith("ui-clients/")]
        actor = served.services.system.ref(names[0])
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, served.services.hub)
                await actor.wait_ended()
                nursery.cancel_scope.cancel()
        with trio.fail_after(60):
            await served.services.system.root.terminate_child(WEB)


def hello_of(token):
    return {"type": "hello", "payload": {"token": token, "protocol": "1", "topics": [{"topic": "trades"}]}}


def client_frame(text):
    """A masked text frame whose mask is zero."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data


async def flood(hub):
    n = 0
    while True:
        for _ in range(100):
            n += 1
            line = TradeLog(id=f"t{n}", category=LogCategory.SYSTEM, message="x" * 1900, timestamp=datetime.now(UTC))
            hub.publish_from(Topic.TRADES, "E1", line)
        await trio.sleep(0.02)
