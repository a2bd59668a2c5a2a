"""The straight way out: the bytes are the library's, whole and in order, whoever writes between and however slowly they
are read.
"""

import json
import shutil
import socket
import ssl
import struct
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import attrs
import pytest
import trio
from hypercorn.trio import serve
from hypothesis import given
from hypothesis import strategies as st
from quart import websocket
from quart_trio import QuartTrio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from actors.config import Address, TlsFiles
from actors.live import client, session
from actors.live.frames import Frame, Frames
from actors.web import sockets
from actors.web.bounded import GUESTS
from actors.web.server import _config
from actors.web.sockets import listen
from actors.web.ways import Straight, way_out
from wire.messages import TradeLog
from wire.ui import SUBPROTOCOL, Topic
from wire.values import LogCategory


@pytest.fixture(autouse=True)
def _a_machine_that_stands_still_for_seconds_cuts_nobody(monkeypatch):
    """Both ends are in this process: while it gets no time, nobody reads."""
    monkeypatch.setattr(sockets, "STALLED_MS", 60_000)


TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
LARGE = "x" * 3_000_000
"""More than any socket here takes at once from a peer that does not read."""


def frames(*texts):
    return Frames(tuple(map(Frame, texts)))


sizes = st.sampled_from([0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537])
texts = st.one_of(st.text(), st.builds(lambda size, letter: letter * size, sizes, st.sampled_from(["a", "가"])))


@given(st.lists(texts, min_size=1, max_size=3))
def test_the_bytes_are_those_the_library_would_send(said):
    library = Connection(ConnectionType.SERVER)
    assert frames(*said).data == b"".join(library.send(TextMessage(data=text)) for text in said)


@attrs.define
class Peer:
    """A raw browser that reads only when it is told to."""

    stream: trio.SocketStream
    data: bytearray = attrs.field(factory=bytearray)

    async def say(self, opcode, payload=b""):
        await self.stream.send_all(bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)

    async def need(self, size):
        while len(self.data) < size:
            more = await self.stream.receive_some(2**16)
            if not more:
                raise EOFError(bytes(self.data[:100]))
            self.data += more

    async def next(self):
        """(opcode, payload) of the next frame; None at the end of the connection."""
        try:
            await self.need(2)
        except EOFError:
            assert not self.data
            return None
        assert self.data[0] & 0xF0 == 0x80
        extra = {126: 2, 127: 8}.get(self.data[1], 0)
        await self.need(2 + extra)
        size = int.from_bytes(self.data[2 : 2 + extra], "big") if extra else self.data[1]
        await self.need(2 + extra + size)
        opcode, payload = self.data[0] & 0x0F, bytes(self.data[2 + extra : 2 + extra + size])
        del self.data[: 2 + extra + size]
        return opcode, payload


@attrs.define
class Link:
    """Both ends: ``way`` is what the handler of the server has, ``call`` runs in that handler, ``peer`` reads."""

    way: Straight
    peer: Peer
    calls: trio.MemorySendChannel

    async def call(self, fn):
        done = trio.Event()
        await self.calls.send((fn, done))
        await done.wait()


UPGRADE = [
    "GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
]  # fmt: skip


@asynccontextmanager
async def dial(port, trusting=None):
    """An open link of a browser whose window is small. ``trusting`` is a TLS context."""
    small = trio.socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await small.connect(("127.0.0.1", port))
    plain = trio.SocketStream(small)
    stream = (
        plain
        if trusting is None
        else trio.SSLStream(plain, trusting, server_hostname="localhost", https_compatible=True)
    )
    async with plain:
        await stream.send_all("\r\n".join([*UPGRADE, "", ""]).encode())
        peer = Peer(stream)
        while b"\r\n\r\n" not in peer.data:
            await peer.need(len(peer.data) + 1)
        del peer.data[: peer.data.index(b"\r\n\r\n") + 4]
        yield peer


@asynccontextmanager
async def open_link(tls=None):
    app, ending = QuartTrio("ways"), trio.Event()
    links_in, links = trio.open_memory_channel(1)

    @app.websocket("/ws")
    async def handle():
        await websocket.accept()
        send, receive = trio.open_memory_channel(10)
        await links_in.send((way_out(websocket), send))
        async for fn, done in receive:
            await fn()
            done.set()

    prepared = listen(Address("127.0.0.1", 0), "X")
    port = prepared.getsockname()[1]
    config = _config(SimpleNamespace(settings=SimpleNamespace(http_tls=tls)), prepared)
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve(app, config, shutdown_trigger=ending.wait, mode="asgi"))
            trusting = None if tls is None else ssl.create_default_context(cafile=str(tls.certificate))
            async with dial(port, trusting) as peer:
                way, calls = await links.receive()
                yield Link(way, peer, calls)
            ending.set()
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["plain", "tls"])
def tls(request, tmp_path):
    if request.param == "plain":
        return None
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate,
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return TlsFiles(certificate=certificate, key=key)


async def test_what_the_socket_takes_is_out_at_once_and_needs_no_flush():
    async with open_link() as link:
        assert isinstance(link.way, Straight)
        assert link.way.post(frames("one", "two"))
        assert [await link.peer.next(), await link.peer.next()] == [(TEXT, b"one"), (TEXT, b"two")]


async def test_a_slow_reader_gets_everything_whole_and_in_order_whoever_writes_between(tls):
    """Telemetry straight, answers as messages of Quart, pongs of wsproto in the middle of a frame that is half out."""
    async with open_link(tls) as link, trio.open_nursery() as nursery:

        async def talk():
            for n in range(5):
                link.way.post(frames(f"{n}" + LARGE, f"{n} behind"))
                await link.way.flush()
                await link.call(lambda n=n: websocket.send(f"{n} answer"))

        nursery.start_soon(talk)
        for n in range(5):
            await link.peer.say(PING, b"%d" % n)
        said, pongs = [], []
        while len(said) < 15 or len(pongs) < 5:
            opcode, payload = await link.peer.next()
            (pongs if opcode == PONG else said).append(payload)
        assert pongs == [b"%d" % n for n in range(5)]
        assert [(text[:1], len(text)) for text in said[::3]] == [(b"%d" % n, 1 + len(LARGE)) for n in range(5)]
        assert said[1::3] == [b"%d behind" % n for n in range(5)]
        assert said[2::3] == [b"%d answer" % n for n in range(5)]


async def test_a_flush_that_is_cancelled_loses_and_repeats_nothing():
    async with open_link() as link:
        assert not link.way.post(frames(LARGE))
        for _ in range(3):
            with trio.move_on_after(0.02) as patience:
                await link.way.flush()
            assert patience.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.way.flush)
            assert await link.peer.next() == (TEXT, LARGE.encode())
        assert link.way.post(frames("next"))
        assert await link.peer.next() == (TEXT, b"next")


async def test_a_close_follows_what_is_half_out_and_nothing_follows_the_close(tls):
    async with open_link(tls) as link, trio.open_nursery() as nursery:
        assert not link.way.post(frames(LARGE))
        nursery.start_soon(link.call, lambda: websocket.close(4029, "error_slow_consumer"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not link.way.post(frames("too late"))
        assert await link.peer.next() == (TEXT, LARGE.encode())
        assert await link.peer.next() == (CLOSE, struct.pack("!H", 4029) + b"error_slow_consumer")
        with pytest.raises(trio.ClosedResourceError):
            await link.way.flush()


async def test_nothing_is_sent_after_the_peers_close(tls):
    async with open_link(tls) as link:
        await link.peer.say(CLOSE, struct.pack("!H", 1000))
        assert await link.peer.next() == (CLOSE, struct.pack("!H", 1000))
        assert not link.way.post(frames("too late"))
        with pytest.raises(trio.ClosedResourceError):
            await link.way.flush()
        assert await link.peer.next() is None


async def test_a_peer_that_vanished_is_noticed_by_the_flush_and_harms_nobody():
    async with open_link() as link:
        link.peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await link.peer.stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        link.way.post(frames("hello"))
        with pytest.raises(trio.ClosedResourceError):
            await link.way.flush()


async def test_an_abort_needs_nothing_of_the_peer():
    async with open_link() as link:
        assert not link.way.post(frames(LARGE))
        link.way.abort()
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await link.peer.next()


@pytest.mark.parametrize(
    "said, code, reason",
    [
        (b"\x81\x02{}", 1002, b"error_protocol"),
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007, b"error_not_utf8"),
        (b"\x81\xfe\x41\x00\0\0\0\0" + b"x" * 0x4100, 1009, b"error_too_large"),
    ],
)
async def test_who_breaks_a_rule_is_told_so_after_what_is_half_out_and_whatever_else_it_sends(said, code, reason):
    async with open_link() as link:
        assert not link.way.post(frames(LARGE))
        await link.peer.stream.send_all(said + b"and more" * 10_000)
        assert await link.peer.next() == (TEXT, LARGE.encode())
        assert await link.peer.next() == (CLOSE, struct.pack("!H", code) + reason)
        assert await link.peer.next() is None


# --- the product's link -----------------------------------------------------------------------------------------------

LINES = 3000
"""Fewer than the ring keeps, more than a slow browser's socket takes."""


@attrs.define
class Browser:
    """Follows trades, and complains when something is missing, twice, or not where the bookmark says."""

    peer: Peer
    lines: list[str] = attrs.field(factory=list)
    offset: int | None = None
    bookmarks: int = 0
    pongs: int = 0

    async def hello(self, token):
        payload = {"token": token, "protocol": "1", "topics": [{"topic": "trades"}]}
        text = json.dumps({"type": "hello", "payload": payload}).encode()
        await self.peer.stream.send_all(b"\x81\xfe" + struct.pack("!H", len(text)) + b"\0\0\0\0" + text)
        while (await self.next())["type"] != "snapshot":
            pass

    async def next(self):
        opcode, payload = await self.peer.next()
        if opcode == PONG:
            self.pongs += 1
            return {"type": "pong"}
        said = json.loads(payload)
        match said["type"], said["payload"]:
            case "snapshot", snapshot:
                self.offset = snapshot["offset"]
            case "delta", delta:
                self.lines += [item["id"] for item in delta["items"]]
                assert delta["offset"] == self.offset + len(delta["items"])
                self.offset = delta["offset"]
            case "bookmark", bookmark:
                self.bookmarks += 1
                offsets = {} if self.offset is None else {"trades": self.offset}
                assert (bookmark["n"], bookmark["offsets"]) == (self.bookmarks, offsets)
        return said


async def test_a_slow_browser_gets_it_all_whole_and_in_order_and_a_quick_one_beside_it_too(served, monkeypatch):
    monkeypatch.setattr(session, "BOOKMARK_MS", 20)
    monkeypatch.setattr(client, "TICK", 0.02)
    hub, token = served.services.hub, served.token("viewer")
    line = TradeLog(id="t", category=LogCategory.SYSTEM, message="x" * 1900, timestamp=datetime.now(UTC))
    with trio.fail_after(120):
        async with dial(served.address.port) as one, dial(served.address.port) as other:
            slow, quick = Browser(one), Browser(other)
            for browser in (slow, quick):
                await browser.hello(token)
            for n in range(LINES):
                hub.publish_from(Topic.TRADES, "E1", attrs.evolve(line, id=f"t{n}"))
                if n % 100 == 99:
                    await slow.peer.say(PING)
                    slow.peer.data += await slow.peer.stream.receive_some(1000)
                    while len(quick.lines) <= n:
                        await quick.next()
            assert len(slow.peer.data) < 200_000
            while len(slow.lines) < LINES or slow.pongs < LINES // 100:
                await slow.next()
            assert slow.lines == quick.lines == [f"t{n}" for n in range(LINES)]
            assert slow.bookmarks > 0


async def test_connections_that_stay_after_their_answer_take_no_place_from_who_asks(served, monkeypatch):
    monkeypatch.setattr(GUESTS, "limit", GUESTS.count + 3)
    asked = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    with trio.fail_after(120):
        async with AsyncExitStack() as stack:
            for _ in range(8):
                stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", served.address.port))
                await stream.send_all(asked)
                assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200")
                await trio.testing.wait_all_tasks_blocked(0.01)


async def test_who_never_ends_a_request_takes_no_place_from_who_asks(served, monkeypatch):
    monkeypatch.setattr(GUESTS, "limit", GUESTS.count + 3)
    begun = b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n "
    with trio.fail_after(120):
        async with AsyncExitStack() as stack:
            for _ in range(8):
                stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", served.address.port))
                await stream.send_all(begun)
                await trio.testing.wait_all_tasks_blocked(0.01)
            stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", served.address.port))
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200")


async def test_a_browser_that_only_pretends_to_read_is_put_out_whatever_its_socket_says(served, monkeypatch):
    """It takes a little now and then, so TCP never gives it up."""
    monkeypatch.setattr(client, "STALLED", 0.1)
    monkeypatch.setattr(client, "TICK", 0.02)
    line = TradeLog(id="t", category=LogCategory.SYSTEM, message="x" * 1900, timestamp=datetime.now(UTC))
    before = GUESTS.count
    with trio.fail_after(120):
        async with dial(served.address.port) as peer:
            await Browser(peer).hello(served.token("viewer"))
            assert GUESTS.count == before + 1
            taken = 0
            while GUESTS.count > before:
                for _ in range(100):
                    served.services.hub.publish_from(Topic.TRADES, "E1", line)
                taken += len(await peer.stream.receive_some(3000))
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert taken < 80_000  # far less than it was given
