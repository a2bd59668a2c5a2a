"""RFC 6455 on both listeners: our own vectors after the cases of the Autobahn test suite, under its numbers.

An echo application runs on each server stack with the settings of the product. A case is what is sent, in which pieces,
and what must come back before the connection is closed by us ("closes") or failed by the server ("fails").

Known and allowed: engines speak text frames only (contract, section 4), so their listener answers each binary message
with 4507; Quart cannot tell an empty binary message from none, which the UI link refuses anyway (1.2.1, 9.8.1).
"""

import base64
import struct
from contextlib import asynccontextmanager
from types import SimpleNamespace

import attrs
import pytest
import trio
from hypercorn.trio import serve
from quart import websocket
from quart_trio import QuartTrio

from actors.config import Address
from actors.web import bounded
from actors.web.server import _config
from actors.web.sockets import listen
from wire.server import EngineListener, ServerLimits, open_listeners
from wire.sockets import SocketLimits
from wire.tokens import TokenKeys

KEYS = TokenKeys(b"k" * 32)
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LARGEST = 32 * 2**20


def frame(opcode, payload=b"", *, final=True, reserved=0):
    first = (0x80 if final else 0) | reserved << 4 | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 2**16:
        head = bytes([first, 0x80 | 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack("!Q", size)
    key = b"\x37\xfa\x21\x3d"
    pad = (key * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big") if size else b""
    return head + key + masked


def closing(code=1000, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


def parts(opcode, payload, size):
    """One message in fragments of ``size`` bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    kinds = [opcode] + [CONTINUATION] * (len(pieces) - 1)
    last = len(pieces) - 1
    return b"".join(frame(k, p, final=n == last) for n, (k, p) in enumerate(zip(kinds, pieces, strict=True)))


@attrs.frozen
class Case:
    """``chop``: bytes per write, None for all at once. ``fails``: the server ends it; else we do, with 1000. One that
    fails may do so before it answers what came in front of the fault in the same bytes (the suite's "non-strict").
    """

    sends: bytes
    answers: tuple = ()
    fails: bool = False
    chop: int | None = None
    close_code: int | None = 1000
    binary: bool = False


def echo(payload, opcode=TEXT, *, sends=None, **options):
    sent = frame(opcode, payload) if sends is None else sends
    return Case(sent, ((opcode, payload),), binary=opcode == BINARY, **options)


def fails(sends, *answers, **options):
    return Case(sends, answers, fails=True, **options)


SIZES = (0, 125, 126, 127, 128, 65535, 65536)


def group_1():
    for part, opcode, fill in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for n, size in enumerate(SIZES, 1):
            yield f"1.{part}.{n}", echo(fill * size, opcode)
        yield f"1.{part}.8", echo(fill * 65536, opcode, chop=997)


def group_2():
    hello = b"Hello, world!"
    yield "2.1", Case(frame(PING), ((PONG, b""),))
    yield "2.2", Case(frame(PING, hello), ((PONG, hello),))
    yield "2.3", Case(frame(PING, b"\x00\xff\xfe\xfd"), ((PONG, b"\x00\xff\xfe\xfd"),))
    yield "2.4", Case(frame(PING, b"\xfe" * 125), ((PONG, b"\xfe" * 125),))
    yield "2.5", fails(frame(PING, b"\xfe" * 126))
    yield "2.6", Case(frame(PING, b"\xfe" * 125), ((PONG, b"\xfe" * 125),), chop=1)
    yield "2.7", Case(frame(PONG))
    yield "2.8", Case(frame(PONG, hello))
    yield "2.9", Case(frame(PONG, hello) + frame(PING, b"x"), ((PONG, b"x"),))
    ten = [b"payload-%d" % n for n in range(10)]
    pings, pongs = b"".join(frame(PING, p) for p in ten), tuple((PONG, p) for p in ten)
    yield "2.10", Case(pings, pongs)
    yield "2.11", Case(pings, pongs, chop=1)


def group_3():
    good, ping = frame(TEXT, b"Hello"), frame(PING)
    yield "3.1", fails(frame(TEXT, b"x", reserved=1))
    yield "3.2", fails(good + frame(TEXT, b"x", reserved=2) + ping, (TEXT, b"Hello"))
    yield "3.3", fails(good + frame(TEXT, b"x", reserved=3) + ping, (TEXT, b"Hello"), chop=8)
    yield "3.4", fails(good + frame(TEXT, b"x", reserved=4) + ping, (TEXT, b"Hello"), chop=1)
    yield "3.5", fails(frame(BINARY, b"x", reserved=5))
    yield "3.6", fails(frame(PING, b"x", reserved=6))
    yield "3.7", fails(frame(CLOSE, reserved=7))


def group_4():
    good, ping = frame(TEXT, b"Hello"), frame(PING)
    for part, first in ((1, 3), (2, 11)):
        yield f"4.{part}.1", fails(frame(first))
        yield f"4.{part}.2", fails(frame(first + 1, b"reserved opcode payload"))
        yield f"4.{part}.3", fails(good + frame(first + 2) + ping, (TEXT, b"Hello"))
        yield f"4.{part}.4", fails(good + frame(first + 3, b"payload") + ping, (TEXT, b"Hello"))
        yield f"4.{part}.5", fails(good + frame(first + 4, b"payload") + ping, (TEXT, b"Hello"), chop=1)


def group_5():
    two = frame(TEXT, b"frag1", final=False) + frame(CONTINUATION, b"frag2")
    between = frame(TEXT, b"frag1", final=False) + frame(PING, b"ping") + frame(CONTINUATION, b"frag2")
    yield "5.1", fails(frame(PING, b"x", final=False) + frame(CONTINUATION, b"y"))
    yield "5.2", fails(frame(PONG, b"x", final=False) + frame(CONTINUATION, b"y"))
    for n, chop in ((3, None), (4, 7), (5, 1)):
        yield f"5.{n}", echo(b"frag1frag2", sends=two, chop=chop)
    for n, chop in ((6, None), (7, 7), (8, 1)):
        yield f"5.{n}", Case(between, ((PONG, b"ping"), (TEXT, b"frag1frag2")), chop=chop)
    for n, final in ((9, True), (12, False)):
        for step, chop in enumerate((None, 7, 1)):
            stray = frame(CONTINUATION, b"nothing to continue", final=final) + frame(TEXT, b"Hello")
            yield f"5.{n + step}", fails(stray, chop=chop)
    stray = frame(CONTINUATION, b"x", final=False) + frame(TEXT, b"Hello")
    yield "5.15", fails(two + stray, (TEXT, b"frag1frag2"))
    yield "5.16", fails((frame(CONTINUATION, b"f1", final=False) + two) * 2)
    yield "5.17", fails((frame(CONTINUATION, b"f1") + two) * 2)
    yield "5.18", fails(frame(TEXT, b"f1", final=False) + frame(TEXT, b"f2"))
    five = b"".join(
        frame(TEXT if n == 0 else CONTINUATION, b"fragment%d" % n, final=n == 4)
        + (frame(PING, b"%d" % n) if n % 2 else b"")
        for n in range(5)
    )
    whole = b"".join(b"fragment%d" % n for n in range(5))
    answers = ((PONG, b"1"), (PONG, b"3"), (TEXT, whole))
    yield "5.19", Case(five, answers)
    yield "5.20", Case(five, answers, chop=1)


KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
VALID = {
    "6.5.1": b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    "6.6.2": KOSME[:2], "6.6.5": KOSME[:5], "6.6.7": KOSME[:7], "6.6.9": KOSME[:9], "6.6.11": KOSME,
    "6.7.1": b"\x00", "6.7.2": b"\xc2\x80", "6.7.3": b"\xe0\xa0\x80", "6.7.4": b"\xf0\x90\x80\x80",
    "6.9.1": b"\x7f", "6.9.2": b"\xdf\xbf", "6.9.3": b"\xef\xbf\xbf", "6.9.4": b"\xf4\x8f\xbf\xbf",
    "6.11.1": b"\xed\x9f\xbf", "6.11.2": b"\xee\x80\x80", "6.11.3": b"\xef\xbf\xbd", "6.11.4": b"\xf4\x8f\xbf\xbf",
    "6.23.1": b"\xef\xbf\xbd", "6.23.2": b"\xef\xbf\xbc", "6.23.3": b"\xef\xbf\xbb",
}  # fmt: skip
for number, plane in enumerate(range(17)):
    for step, low in enumerate((0xFFFE, 0xFFFF)):
        VALID[f"6.22.{2 * number + step + 1}"] = chr(plane * 0x10000 + low).encode()
INVALID = {
    "6.3.1": KOSME + b"\xed\xa0\x80edited", "6.6.1": KOSME[:1], "6.6.3": KOSME[:3], "6.6.4": KOSME[:4],
    "6.6.6": KOSME[:6], "6.6.8": KOSME[:8], "6.6.10": KOSME[:10],
    "6.8.1": b"\xf8\x88\x80\x80\x80", "6.8.2": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1": b"\xf7\xbf\xbf\xbf", "6.10.2": b"\xfb\xbf\xbf\xbf\xbf", "6.10.3": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11.5": b"\xf4\x90\x80\x80", "6.12.1": b"\x80", "6.12.2": b"\xbf",
    **{f"6.12.{n + 1}": b"\x80\xbf" * (n // 2) + b"\x80" * (n % 2) for n in range(2, 7)},
    "6.12.8": bytes(range(0x80, 0xC0)),
    "6.13.1": b" ".join(bytes([b]) for b in range(0xC0, 0xE0)),
    "6.13.2": b" ".join(bytes([b]) for b in range(0xE0, 0xF0)),
    "6.13.3": b" ".join(bytes([b]) for b in range(0xF0, 0xF8)),
    "6.13.4": b" ".join(bytes([b]) for b in range(0xF8, 0xFC)), "6.13.5": b"\xfc \xfd",
    "6.14.1": b"\xc0", "6.14.2": b"\xe0\x80", "6.14.3": b"\xf0\x80\x80", "6.14.4": b"\xf8\x80\x80\x80",
    "6.14.5": b"\xfc\x80\x80\x80\x80", "6.14.6": b"\xdf", "6.14.7": b"\xef\xbf", "6.14.8": b"\xf7\xbf\xbf",
    "6.14.9": b"\xfb\xbf\xbf\xbf", "6.14.10": b"\xfd\xbf\xbf\xbf\xbf",
    "6.15.1": b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
    "6.16.1": b"\xfe", "6.16.2": b"\xff", "6.16.3": b"\xfe\xfe\xff\xff",
    "6.17.1": b"\xc0\xaf", "6.17.2": b"\xe0\x80\xaf", "6.17.3": b"\xf0\x80\x80\xaf", "6.17.4": b"\xf8\x80\x80\x80\xaf",
    "6.17.5": b"\xfc\x80\x80\x80\x80\xaf",
    "6.18.1": b"\xc1\xbf", "6.18.2": b"\xe0\x9f\xbf", "6.18.3": b"\xf0\x8f\xbf\xbf", "6.18.4": b"\xf8\x87\xbf\xbf\xbf",
    "6.18.5": b"\xfc\x83\xbf\xbf\xbf\xbf",
    "6.19.1": b"\xc0\x80", "6.19.2": b"\xe0\x80\x80", "6.19.3": b"\xf0\x80\x80\x80", "6.19.4": b"\xf8\x80\x80\x80\x80",
    "6.19.5": b"\xfc\x80\x80\x80\x80\x80",
    **{f"6.20.{n}": bytes([0xED, 0xA0 + n * 4, 0x80 + n]) for n in range(1, 8)},
    **{f"6.21.{n}": b"\xed\xa0\x80\xed" + bytes([0xB0 + n, 0x80]) for n in range(1, 9)},
}  # fmt: skip


def group_6():
    nothing = frame(TEXT, final=False) + frame(CONTINUATION, final=False)
    yield "6.1.1", echo(b"")
    yield "6.1.2", echo(b"", sends=nothing + frame(CONTINUATION))
    middle = frame(TEXT, final=False) + frame(CONTINUATION, b"middle", final=False) + frame(CONTINUATION)
    yield "6.1.3", echo(b"middle", sends=middle)
    text = VALID["6.5.1"]
    yield "6.2.1", echo(text)
    yield "6.2.2", echo(text, sends=frame(TEXT, text[:8], final=False) + frame(CONTINUATION, text[8:]))
    yield "6.2.3", echo(text, sends=parts(TEXT, text, 1))
    yield "6.2.4", echo(KOSME, sends=parts(TEXT, KOSME, 1))
    yield "6.3.2", fails(parts(TEXT, INVALID["6.3.1"], 1))
    beginning = frame(TEXT, KOSME, final=False)
    yield "6.4.1", fails(beginning + frame(CONTINUATION, b"\xf4\x90\x80\x80", final=False) + frame(CONTINUATION, b"x"))
    yield "6.4.2", fails(beginning + frame(CONTINUATION, b"\xf4", final=False) + frame(CONTINUATION, b"\x90"))
    yield "6.4.3", fails(frame(TEXT, KOSME + b"\xf4\x90\x80\x80edited"), chop=20)
    yield "6.4.4", fails(frame(TEXT, KOSME + b"\xf4\x90\x80\x80edited"), chop=1)
    for name, payload in VALID.items():
        yield name, echo(payload)
        yield f"{name} in fragments", echo(payload, sends=parts(TEXT, payload, 1))
    for name, payload in INVALID.items():
        yield name, fails(frame(TEXT, payload))
        yield f"{name} in fragments", fails(parts(TEXT, payload, 1))


def group_7():
    def ended(sends, *answers, code=1000):
        return Case(sends + b"", answers, close_code=code)

    yield "7.1.1", echo(b"Hello")
    yield "7.1.2", ended(closing() + closing())
    yield "7.1.3", ended(closing() + frame(PING))
    yield "7.1.4", ended(closing() + frame(TEXT, b"late"))
    yield "7.1.5", ended(frame(TEXT, b"f1", final=False) + closing() + frame(CONTINUATION, b"f2"))
    yield "7.3.1", Case(frame(CLOSE), close_code=None)
    yield "7.3.2", fails(frame(CLOSE, b"a"))
    yield "7.3.3", ended(closing())
    yield "7.3.4", ended(closing(1000, b"Hello World!"))
    yield "7.3.5", ended(closing(1000, b"*" * 123))
    yield "7.3.6", fails(closing(1000, b"*" * 124))
    yield "7.5.1", fails(closing(1000, KOSME + b"\xed\xa0\x80edited"))
    for n, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1):
        yield f"7.7.{n}", ended(closing(code), code=code)
    for n, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield f"7.9.{n}", fails(closing(code))


def group_9():
    for part, opcode, fill in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for n, size in enumerate((2**16, 2**18, 2**20, 2**22, 2**23, 2**24), 1):
            yield f"9.{part}.{n}", echo(fill * size, opcode)
        for n, size in enumerate((2**8, 2**10, 2**12, 2**14, 2**16, 2**18, 2**20, 2**22), 2):
            yield f"9.{part + 2}.{n}", echo(fill * 2**22, opcode, sends=parts(opcode, fill * 2**22, size))
        for n, chop in enumerate((64, 128, 256, 512, 1024, 2048), 1):
            yield f"9.{part + 4}.{n}", echo(fill * 2**20, opcode, chop=chop)
        for n, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            many = frame(opcode, fill * size) * 1000
            yield f"9.{part + 6}.{n}", Case(many, ((opcode, fill * size),) * 1000, binary=opcode == BINARY)


def group_10():
    yield "10.1.1", echo(b"*" * 65536, sends=parts(TEXT, b"*" * 65536, 1300))


GROUPS = {1: group_1, 2: group_2, 3: group_3, 4: group_4, 5: group_5, 6: group_6, 7: group_7, 10: group_10}


# --- the tester -------------------------------------------------------------------------------------------------------


class Frames:
    """Frames from a stream, and no opinion on them."""

    def __init__(self, stream):
        self.stream = stream
        self.data = bytearray()

    async def need(self, size):
        while len(self.data) < size:
            try:
                more = await self.stream.receive_some(2**18)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            if not more:
                return False
            self.data += more
        return True

    async def next(self):
        """(opcode, payload) of a message or control frame, put together; None at the end."""
        whole, kind = b"", None
        while await self.need(2):
            first, second = self.data[0], self.data[1]
            assert not second & 0x80, "a server does not mask"
            assert not first & 0x70, "no reserved bit"
            extra = {126: 2, 127: 8}.get(second & 0x7F, 0)
            if not await self.need(2 + extra):
                return None
            size = int.from_bytes(self.data[2 : 2 + extra], "big") if extra else second & 0x7F
            if not await self.need(2 + extra + size):
                return None
            payload = bytes(self.data[2 + extra : 2 + extra + size])
            del self.data[: 2 + extra + size]
            opcode = first & 0x0F
            if opcode >= CLOSE:
                return opcode, payload
            kind, whole = opcode or kind, whole + payload
            if first & 0x80:
                return kind, whole
        return None


async def run_case(port, path, protocol, headers, case):
    """None when all is as it should be, else words."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        key = base64.b64encode(b"0123456789abcdef").decode()
        lines = [
            f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {protocol}", *headers,
        ]  # fmt: skip
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert b" 101 " in head.split(b"\r\n")[0], head
        written = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, stream, case, written)
            with trio.move_on_after(60):
                problem = await judge(Frames(stream), stream, case, written)
                nursery.cancel_scope.cancel()
                return problem
            nursery.cancel_scope.cancel()
    return "nothing happened for a minute"


async def write(stream, case, written):
    step = case.chop or max(1, len(case.sends))
    try:
        for at in range(0, len(case.sends), step):
            await stream.send_all(case.sends[at : at + step])
        written.set()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def judge(frames, stream, case, written):
    for wanted in case.answers:
        got = await frames.next()
        if case.fails and got is not None and got[0] == CLOSE:
            return None if got[1][:2] != struct.pack("!H", 1000) else "closed as if nothing was wrong"
        if got != wanted:
            return f"wanted {shown(wanted)}, got {shown(got)}"
    if case.fails:
        got = await frames.next()
        if got is not None and got[0] == CLOSE and got[1][:2] != struct.pack("!H", 1000):
            return None
        return f"wanted a close frame that tells of a fault, got {shown(got)}"
    if closing_is_ours(case):
        await written.wait()
        await stream.send_all(closing())
    got = await frames.next()
    if got is None or got[0] != CLOSE:
        return f"wanted a close frame, got {shown(got)}"
    code = struct.unpack("!H", got[1][:2])[0] if len(got[1]) >= 2 else None
    if case.close_code is not None and code != case.close_code:
        return f"closed with {code} instead of {case.close_code}"
    return None if await frames.next() is None else "went on after the close"


def closing_is_ours(case):
    """Cases of group 7 close by themselves."""
    return b"\x88" not in (case.sends[n : n + 1] for n in starts(case.sends))


def starts(data):
    """Where frames begin."""
    at = 0
    while at < len(data):
        yield at
        short = data[at + 1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        size = int.from_bytes(data[at + 2 : at + 2 + extra], "big") if extra else short
        at += 2 + extra + 4 + size


def shown(got):
    return "the end" if got is None else f"({got[0]}, {bytes(got[1][:20])!r}, {len(got[1])} bytes)"


# --- the listeners ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def engine_listener(limits):
    async def echo_text(socket, engine_id, claims):
        while True:
            await socket.send(await socket.receive())

    def authorize(engine_id, token):
        return KEYS.verify(token, "engine")

    server = EngineListener(authorize=authorize, handler=echo_text, limits=ServerLimits(socket=limits))
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners("127.0.0.1", 0)
        await nursery.start(server.serve, listeners)
        headers = [f"Authorization: Bearer {KEYS.issue_engine('E1').token}"]
        yield listeners[0].socket.getsockname()[1], "/ws/engine/E1", "watchkeeper-engine.v1", headers
        nursery.cancel_scope.cancel()
    assert server.statistics().failed == 0


@asynccontextmanager
async def ui_listener(largest):
    app = QuartTrio("echo")

    @app.websocket("/ws")
    async def echo_all():
        await websocket.accept(subprotocol="watchkeeper-ui.v1")
        while True:
            message = await websocket.receive()
            if message is None:  # an empty binary message
                return await websocket.close(4507, "error_text_expected")
            await websocket.send(message)

    prepared = listen(Address("127.0.0.1", 0), "X")
    port = prepared.getsockname()[1]
    config = _config(SimpleNamespace(settings=SimpleNamespace(http_tls=None)), prepared)
    config.websocket_max_message_size = largest
    ending = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve(app, config, shutdown_trigger=ending.wait, mode="asgi"))
        yield port, "/ws", "watchkeeper-ui.v1", []
        ending.set()


EMPTY_BINARY = {"1.2.1", "9.8.1"}
"""Quart: ``event.get("bytes") or event["text"]``."""


async def failures(where, cases, *, binary_is_refused):
    found = {}
    for name, case in cases:
        if case.binary and (binary_is_refused or name in EMPTY_BINARY):
            case = attrs.evolve(case, answers=(), close_code=4507, fails=True)
        problem = await run_case(*where, case)
        if problem is not None:
            found[name] = problem
    return found


@pytest.mark.parametrize("group", GROUPS)
async def test_the_engine_listener_speaks_rfc_6455(group):
    async with engine_listener(SocketLimits()) as where:
        assert await failures(where, GROUPS[group](), binary_is_refused=True) == {}


@pytest.mark.parametrize("group", GROUPS)
async def test_the_web_listener_speaks_rfc_6455(group):
    async with ui_listener(2**20) as where:
        assert await failures(where, GROUPS[group](), binary_is_refused=False) == {}


@pytest.mark.deep
async def test_the_engine_listener_takes_large_messages_and_many():
    limits = SocketLimits(
        max_message_bytes=LARGEST, max_fragments=10**6, frames_per_s=10**9, frames_burst=10**9, bytes_per_s=10**12,
        bytes_burst=10**12, send_timeout=60,
    )  # fmt: skip
    async with engine_listener(limits) as where:
        assert await failures(where, group_9(), binary_is_refused=True) == {}


@pytest.mark.deep
async def test_the_web_listener_takes_large_messages_and_many(monkeypatch):
    monkeypatch.setattr(bounded, "SOCKET_BURST", 10**12)
    async with ui_listener(LARGEST) as where:
        assert await failures(where, group_9(), binary_is_refused=False) == {}
