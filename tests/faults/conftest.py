"""A running platform in a process of its own, and peers that write their bytes themselves."""

import asyncio
import base64
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import attrs
import psutil
import pytest
import trio

from tests.ports import free_port

PASSWORD = "Faults-" + secrets.token_urlsafe(9)
ENGINE_PROTOCOL, UI_PROTOCOL = "watchkeeper-engine.v1", "watchkeeper-ui.v1"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA


def post(url, body, token=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.loads(answer.read())


# --- bytes ------------------------------------------------------------------------------------------------------------


def frame(opcode, payload=b"", *, final=True, size=None, masked=True, reserved=0):
    """One WebSocket frame; ``size`` is what it claims where that is another than the truth."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    length = len(payload) if size is None else size
    mask = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, mask | length])
    elif length < 2**16:
        head = bytes([first, mask | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, mask | 127]) + struct.pack("!Q", length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def text(value):
    return frame(TEXT, value.encode() if isinstance(value, str) else json.dumps(value).encode())


@attrs.define(eq=False)
class Peer:
    """One TCP connection, on which a WebSocket may be spoken."""

    stream: trio.SocketStream
    buffer: bytes = b""

    async def send(self, data):
        """False when the other side has gone."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def more(self):
        try:
            data = await self.stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        self.buffer += data
        return bool(data)

    async def upgrade(self, path, protocol, *, token=None, extra=()):
        """The status line of the answer."""
        lines = [
            f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.b64encode(bytes(16)).decode(),
            f"Sec-WebSocket-Protocol: {protocol}", *([f"Authorization: Bearer {token}"] if token else []), *extra,
        ]  # fmt: skip
        await self.send("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            if not await self.more():
                return ""
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    async def next_frame(self):
        """(opcode, payload), or None when the connection has ended."""
        while (found := self._parsed()) is None:
            if not await self.more():
                return None
        return found

    def _parsed(self):
        data = self.buffer
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                return None
            size, at = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            if len(data) < 10:
                return None
            size, at = struct.unpack("!Q", data[2:10])[0], 10
        if len(data) < at + size:
            return None
        self.buffer = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    async def message(self):
        """The next text message as plain values; answers pings; None at the end."""
        while (found := await self.next_frame()) is not None:
            opcode, payload = found
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == PING:
                await self.send(frame(PONG, payload))
            if opcode == CLOSE:
                return None
        return None

    async def close_code(self):
        """The code of the close frame, 1006 when the connection ended without one."""
        while (found := await self.next_frame()) is not None:
            opcode, payload = found
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
        return 1006

    async def drip(self, data, *, every=0.2):
        """Until the other side has gone."""
        while await self.send(data):  # noqa: ASYNC110  # the pace is the point
            await trio.sleep(every)

    async def gone(self):
        """Returns when the other side has ended the connection."""
        while await self.more():
            self.buffer = b""

    def reset(self):
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


# --- the product ------------------------------------------------------------------------------------------------------


@attrs.define
class Product:
    """`watchkeeper up` with some enrolled engines. Everything is asked of it from outside."""

    process: psutil.Process
    http: int
    engines: int
    secrets: dict
    admin: str
    log: Path

    def engine_token(self, engine_id):
        body = {"engine_id": engine_id, "secret": self.secrets[engine_id]}
        return post(f"http://127.0.0.1:{self.engines}/api/auth/engine-token", body)["access_token"]

    def threads_and_files(self):
        return self.process.num_threads(), self.process.num_fds()

    @asynccontextmanager
    async def dial(self, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            yield Peer(stream)
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def engine(self, engine_id, *, greet=True, extra=()):
        """An engine's WebSocket; with ``greet`` up to its welcome."""
        token = await trio.to_thread.run_sync(self.engine_token, engine_id)
        async with self.dial(self.engines) as peer:
            head = await peer.upgrade(f"/ws/engine/{engine_id}", ENGINE_PROTOCOL, token=token, extra=extra)
            assert " 101 " in head, head
            if greet:
                await peer.send(text(hello_of(engine_id, f"instance-of-{engine_id}")))
                assert (await peer.message())["type"] == "welcome"
            yield peer

    @asynccontextmanager
    async def browser(self, *, greet=True, topics=("engines", "alerts"), extra=()):
        async with self.dial(self.http) as peer:
            head = await peer.upgrade("/ws", UI_PROTOCOL, extra=extra)
            assert " 101 " in head, head
            if greet:
                hello = {"token": self.admin, "protocol": "1", "topics": [{"topic": t} for t in topics], "client": "x"}
                await peer.send(text(envelope("hello", hello)))
                assert (await peer.message())["type"] == "welcome"
            yield peer


def envelope(kind, payload, **more):
    return {"type": kind, "payload": payload, "timestamp": datetime.now(UTC).isoformat(), **more}


def hello_of(engine_id, instance):
    payload = {
        "protocol": "1", "instance": instance, "name": engine_id, "version": "1", "trading_mode": "paper", "stops": [],
    }  # fmt: skip
    return envelope("hello", payload, engine_id=engine_id)


def heartbeat_of(engine_id, n, last_seq=0):
    payload = {
        "n": n, "sent_ms": n, "last_seq": last_seq, "last_recv": 0, "stop_epoch": 0, "level": "NORMAL", "synced": True,
        "clocks": {"market_data_age_ms": None, "order_channel_age_ms": None, "broker_token": "none"},
    }  # fmt: skip
    return envelope("heartbeat", payload, engine_id=engine_id)


@pytest.fixture(scope="module")
def product(postgres_dsn):
    """A running platform with the engines V (for victims), A, B and C."""
    folder = Path(tempfile.mkdtemp(prefix="wk-faults-"))
    folder.chmod(0o755)
    name = f"faults_{os.getpid()}_{secrets.token_hex(3)}"
    administer(postgres_dsn, f"create database {name}")
    http, engines = free_port(), free_port()
    environment = {
        **os.environ,
        "WATCHKEEPER_HOME": str(folder / "home"),
        "WATCHKEEPER_DATABASE_URL": postgres_dsn.replace("@/postgres?", f"@/{name}?"),
        "WATCHKEEPER_HTTP": f"127.0.0.1:{http}",
        "WATCHKEEPER_ENGINES": f"127.0.0.1:{engines}",
        "WATCHKEEPER_EMERGENCY": "off",
        "WATCHKEEPER_ADMIN_PASSWORD": PASSWORD,
    }
    log = folder / "platform.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "actors", "up"], env=environment, stdout=output, stderr=output
        )
    try:
        wait_until_ready(process, http, log)
        admin = post(f"http://127.0.0.1:{http}/api/auth/login", {"username": "admin", "password": PASSWORD})
        token = admin["access_token"]
        known = {}
        for engine_id in ("V", "A", "B", "C"):
            body = {"name": engine_id, "engine_id": engine_id, "account_id": f"account-{engine_id}"}
            known[engine_id] = post(f"http://127.0.0.1:{http}/api/engines", body, token)["secret"]
        yield Product(psutil.Process(process.pid), http, engines, known, token, log)
        assert process.poll() is None, "the platform ended by itself"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        administer(postgres_dsn, f"drop database {name} with (force)")
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(process, http, log):
    end = time.monotonic() + 180
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-4000:])


def administer(dsn, statement):
    async def session():
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(session())


@pytest.fixture
def kit():
    """What the tests of this folder share."""

    class Kit:
        pass

    kit = Kit()
    kit.frame, kit.text, kit.Peer, kit.envelope = frame, text, Peer, envelope
    kit.hello_of, kit.heartbeat_of = hello_of, heartbeat_of
    kit.ENGINE_PROTOCOL, kit.UI_PROTOCOL = ENGINE_PROTOCOL, UI_PROTOCOL
    return kit
