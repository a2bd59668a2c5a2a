"""What the load generator says: the same bytes to every server, and how it reads what comes back.

Frames are made from templates of a fixed length (numbers are padded with spaces, which JSON allows), masked with the
key 0, so that sending costs the generator next to nothing. What servers answer is not parsed: the number in the last
acknowledgement of a chunk and the count of a marker are enough.
"""

import base64
import json
import os
import re

ENGINE_PROTOCOL, UI_PROTOCOL = "watchkeeper-engine.v1", "watchkeeper-ui.v1"
AT = "2026-11-21T09:00:00.000000Z"
HEALTH_EVERY = 10
"""One message in so many is a health report; the others are trade logs."""
LINE = b'"category"'
HEALTH = b'"cpu_usage"'
GAP = b'"type":"gap"'
NACK = b'"type":"nack"'
STOP = b'"emergency_stop"'
ACK_SEQ = re.compile(rb'"payload":\{"seq":\s*(\d+)')
STAMP = re.compile(rb"#(\d{19})#")


def masked(text: bytes) -> bytes:
    """One text frame as a client sends it."""
    size = len(text)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + bytes(4) + text
    return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + text


def upgrade(path: str, protocol: str, token: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def hello(engine_id: str, latch: list[dict[str, object]]) -> bytes:
    payload = {
        "protocol": "1",
        "instance": "bench",
        "name": engine_id,
        "version": "1.0",
        "trading_mode": "paper",
        "stops": latch,
    }
    return masked(_json({"type": "hello", "engine_id": engine_id, "timestamp": AT, "payload": payload}))


def sign_of_life(engine_id: str) -> bytes:
    """Valid, and without any effect."""
    return masked(_json({"type": "ack", "engine_id": engine_id, "timestamp": AT, "payload": {"seq": 0}}))


def goodbye(engine_id: str) -> bytes:
    return masked(_json({"type": "goodbye", "engine_id": engine_id, "timestamp": AT, "payload": {"cause": "stopped"}}))


class Story:
    """The numbered messages of one engine in one connection. ``run`` keeps durable ids apart from those of others."""

    def __init__(self, engine_id: str, run: str) -> None:
        line = {
            "id": "%ID%",
            "category": "Trade",
            "message": "#%STAMP%# 005930 10주 71,800원 매수 체결",
            "timestamp": AT,
            "reason": "단기 이동평균이 장기 이동평균을 상향 돌파",
            "strategy_id": "ma-cross",
            "symbol": "005930",
            "order_id": "order-000012345",
            "severity": "info",
        }
        health = {
            "cpu_usage": 12.5,
            "memory_usage": 41.25,
            "process_status": "running",
            "engine_count": 1,
            "active_strategies": 2,
            "last_update": AT,
        }
        self.engine_id = engine_id
        self.seq = 0
        self._line = self._template("trade_log", engine_id, run, line)
        self._health = self._template("health_update", engine_id, run, health)

    @staticmethod
    def _template(kind: str, engine_id: str, run: str, payload: dict[str, object]) -> bytes:
        envelope = {"type": kind, "engine_id": engine_id, "timestamp": AT, "seq": "%SEQ%", "payload": payload}
        if kind == "trade_log":
            envelope["id"] = "%ID%"
        text = _json(envelope).replace(b"%", b"%%")
        text = text.replace(b'"%%SEQ%%"', b"%(seq)9d").replace(b"%%STAMP%%", b"%(stamp)019d")
        text = text.replace(b"%%ID%%", f"{engine_id}-{run}-".encode() + b"%(seq)09d")
        size = len(text % {b"seq": 1, b"stamp": 1})
        return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + text

    def next(self, count: int, stamp: int = 0) -> bytes:
        """The frames of the next ``count`` messages; ``stamp`` (nanoseconds) comes back in what dashboards get."""
        frames = []
        for seq in range(self.seq + 1, self.seq + count + 1):
            template = self._line if seq % HEALTH_EVERY else self._health
            frames.append(template % {b"seq": seq, b"stamp": stamp})
        self.seq += count
        return b"".join(frames)


class StopAnswer:
    """What one engine answers to the next stop, ready but for the number of the stop and what all engines say alike:
    acknowledged (only where the server knows ``acks``) and, in the same step, carried out."""

    def __init__(self, story: Story, *, acks: bool) -> None:
        story.seq += 1
        ack = f'{{"type":"ack","engine_id":"{story.engine_id}","timestamp":"{AT}","payload":{{"seq":%9b}}}}'.encode()
        self._ack = masked(ack % b"0").replace(b"        0}", b"%9b}") if acks else b""
        self._head = (
            f'{{"type":"stop_progress","engine_id":"{story.engine_id}","timestamp":"{AT}","seq":{story.seq},'
        ).encode()

    def frames(self, seq: bytes, end: bytes) -> bytes:
        """``seq``: the number of the stop as it came, ``end``: see ``progress_of``."""
        size = len(self._head) + len(end)
        progress = b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + self._head + end
        return self._ack % seq + progress if self._ack else progress


def latched(stop: dict[str, object]) -> dict[str, object]:
    """What a hello says of a stop that the engine holds."""
    return {name: stop[name] for name in ("stop_id", "scope", "level", "stop_epoch", "proof")}


def progress_of(stop: dict[str, object]) -> bytes:
    """The payload of the report, the same from every engine, with the end of its message."""
    progress = {
        "stop_id": stop["stop_id"],
        "stop_epoch": stop.get("stop_epoch", 0),
        "phase": "verified",
        "orders_cancelled": 1,
        "orders_remaining": 0,
        "positions_liquidated": 1,
        "positions_remaining": 0,
        "flatness": "FLAT",
        "flatness_as_of": AT,
        "residuals": [],
        "in_flight": 0,
        "latched": True,
    }
    return b'"payload":' + _json(progress) + b"}"


def ui_hello(token: str) -> bytes:
    topics = [{"topic": "trades"}, {"topic": "health"}]
    payload = {"token": token, "protocol": "1", "topics": topics, "client": "bench"}
    return masked(_json({"type": "hello", "payload": payload}))


def bookmark_ack(n: int) -> bytes:
    return masked(_json({"type": "bookmark_ack", "payload": {"n": n, "offsets": {}}}))
