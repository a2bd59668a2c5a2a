"""Peers that wish the platform no good, each a process of its own: `python -m tests.faults.nuisances KIND` with its
places and secrets in the environment (NUISANCE, one JSON object). They run until they are killed."""

import json
import os
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

import trio

from tests.faults.arena import Away, call
from wire.client import DialFailed, DialRefused, LinkClosed, dial
from wire.messages import Hello, TradeLog
from wire.session import EngineSession, Vitals
from wire.sockets import background
from wire.stops import Level
from wire.values import LatchState, LogCategory, TradingMode


def login_storm(places: dict) -> None:
    """Sixteen clients that guess passwords of as many names, from addresses of their own: no throttle knows them."""
    count = iter(range(1, 10**9))

    def guess() -> None:
        while True:
            number = next(count)
            address = f"127.{number >> 16 & 127 | 1}.{number >> 8 & 255}.{number & 127 | 1}"
            body = json.dumps({"username": f"u{secrets.token_hex(4)}", "password": "x" * 20}).encode()
            head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
            with suppress(OSError), socket.create_connection(("127.0.0.1", places["http"]), 10, (address, 0)) as s:
                s.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                while s.recv(65536):
                    pass

    threads = [threading.Thread(target=guess, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    threads[0].join()


async def _linked(places: dict, flood: object) -> None:
    """One link after the other: what the platform does not want to hear any more, it may close."""
    engine_id = places["engine"]

    def hello(resume: object) -> Hello:
        return Hello(
            protocol="1", instance=secrets.token_hex(8), name=engine_id, version="1", trading_mode=TradingMode.PAPER,
            stops=[], latch=LatchState.PRESENT, resume=resume,
        )  # fmt: skip

    while True:
        with suppress(Away, LinkClosed, DialFailed, DialRefused, OSError):
            body = {"engine_id": engine_id, "secret": places["secret"]}
            answer = call(places["links"], "POST", "/api/auth/engine-token", body)
            session = EngineSession(engine_id, hello=hello, vitals=vitals)
            session.connected(trio.current_time())
            url = f"ws://127.0.0.1:{places['links']}/ws/engine/{engine_id}"
            async with dial(url, answer.body["access_token"], timeout=10.0) as link:
                for frame in session.take(trio.current_time()):
                    await link.send(frame)
                session.receive(await link.receive(), trio.current_time())
                await flood(link, session)
        await trio.sleep(0.2)


def vitals() -> Vitals:
    return Vitals(stop_epoch=0, level=Level.NORMAL, synced=True)


async def _telemetry(link: object, session: EngineSession) -> None:
    """Trade logs by all the rules, as many as the platform takes; each goes through its store."""
    woken = trio.Event()

    async def read() -> None:
        nonlocal woken
        while True:
            session.receive(await link.receive(), trio.current_time())
            woken.set()

    async with background() as nursery:
        nursery.start_soon(read)
        while True:
            woken = trio.Event()
            while session.outbox.waiting + session.outbox.unacked < 500:
                message_id = secrets.token_hex(12)
                log = TradeLog(
                    id=message_id, category=LogCategory.SYSTEM, message="x" * 200, timestamp=datetime.now(UTC)
                )
                session.send(log, id=message_id)
            now = trio.current_time()
            session.tick(now)
            frames = session.take(now)
            for frame in frames:
                await link.send(frame)
            if not frames:
                with trio.move_on_after(0.05):
                    await woken.wait()


async def _tiny(link: object, _session: EngineSession) -> None:
    while True:
        await link.send("1")


def telemetry(places: dict) -> None:
    trio.run(_linked, places, _telemetry)


def tiny_frames(places: dict) -> None:
    trio.run(_linked, places, _tiny)


def stalled_dashboards(places: dict) -> None:
    """Forty dashboards that ask for everything and then never read."""
    sockets: list[socket.socket] = []
    topics = [{"topic": t} for t in ("engines", "health", "alerts", "stops", "trades", "orders", "fills")]
    hello = {"token": places["token"], "protocol": "1", "topics": topics, "client": "stalled"}
    text = json.dumps({"type": "hello", "payload": hello, "timestamp": datetime.now(UTC).isoformat()}).encode()
    frame = bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text
    while True:
        with suppress(OSError):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.settimeout(10)
            s.connect(("127.0.0.1", places["http"]))
            s.sendall(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: watchkeeper-ui.v1\r\n\r\n"
            )
            s.recv(4096)
            s.sendall(frame)
            sockets.append(s)
        while len(sockets) >= 40:
            sockets.pop(0).close()
            time.sleep(0.25)


KINDS = {f.__name__.replace("_", "-"): f for f in (login_storm, telemetry, tiny_frames, stalled_dashboards)}

if __name__ == "__main__":
    KINDS[sys.argv[1]](json.loads(os.environ["NUISANCE"]))
