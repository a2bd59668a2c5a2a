"""The drivers over streams in memory, under a virtual clock."""

import json
import shutil
import ssl
import struct
import subprocess
import time
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from wsproto.frame_protocol import FrameProtocol, Opcode

from wire import direct, library
from wire.client import DialFailed, DialRefused, dial, dial_over, reconnect_delay
from wire.closing import CloseCode, may_reconnect
from wire.errors import Forbidden, NotFound
from wire.metering import FrameMeter, TokenBucket, Violation
from wire.plain import PlainResponse
from wire.server import EngineListener, ServerLimits, open_listeners
from wire.sockets import LinkClosed, SocketLimits
from wire.tokens import TokenKeys

BEGAN = time.time()
KEYS = TokenKeys(b"k" * 32, clock=lambda: BEGAN)  # however long the tests run, no token of theirs is old
TOKEN = KEYS.issue_engine("E1").token
UPGRADE = {
    "Host": "h", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "watchkeeper-engine.v1",
    "Authorization": f"Bearer {TOKEN}",
}  # fmt: skip


def authorize(engine_id, token):
    if engine_id == "nobody":
        raise NotFound("no such engine")
    return KEYS.verify(token, "engine")


async def echo(socket, engine_id, claims):
    while True:
        await socket.send(f"{engine_id}:{await socket.receive()}")


async def hello_over_http(request):
    if request.path == "/broken":
        raise RuntimeError("secret detail")
    if request.path == "/forbidden":
        raise Forbidden("not you")
    return PlainResponse.of_json(200, {"path": request.path, "body": request.body.decode(), "method": request.method})


DRIVER = direct.accept


@pytest.fixture(autouse=True, params=["direct", "library"])
def driver(request, monkeypatch):
    """Everything here holds for both ways to drive a WebSocket."""
    monkeypatch.setitem(globals(), "DRIVER", {"direct": direct.accept, "library": library.accept}[request.param])
    return request.param


def listener(handler=echo, **limits):
    return EngineListener(
        authorize=authorize, handler=handler, http=hello_over_http, limits=ServerLimits(**limits), driver=DRIVER
    )


@asynccontextmanager
async def serving(server, remote="10.0.0.1"):
    """Our end of a stream whose other end the server has."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.serve_stream(theirs, remote=remote))
        yield ours
        nursery.cancel_scope.cancel()


def dialling(stream, path="/ws/engine/E1", token=TOKEN, **options):
    return dial_over(stream, host="h", path=path, token=token, **options)


async def request(stream, head, headers=None, body=b""):
    lines = [head, *(f"{k}: {v}" for k, v in (headers or {"Host": "h"}).items()), "", ""]
    await stream.send_all("\r\n".join(lines).encode() + body)
    answer = b""
    while data := await stream.receive_some():
        answer += data
    head, _, content = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return int(head.split()[1]), fields, json.loads(content)


async def raw_websocket(stream):
    """A WebSocket whose frames the test writes itself."""
    lines = ["GET /ws/engine/E1 HTTP/1.1", *(f"{k}: {v}" for k, v in UPGRADE.items()), "", ""]
    await stream.send_all("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    assert b" 101 " in head
    return stream


def frame(opcode, payload=b"", *, final=True, size=None):
    first = (0x80 if final else 0) | opcode
    size = len(payload) if size is None else size
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BQ", 0x80 | 127, size)
    return bytes([first]) + length + b"\0\0\0\0" + payload


async def close_code(stream):
    """The code of the close frame the server sends."""
    protocol = FrameProtocol(client=True, extensions=[])
    while data := await stream.receive_some():
        protocol.receive_bytes(bytes(data))
        for received in protocol.received_frames():
            if received.opcode is Opcode.CLOSE:
                return int(received.payload[0])
    return None


# --- a link -----------------------------------------------------------------------------------------------------------


async def test_text_goes_both_ways(autojump_clock):
    async with serving(listener()) as stream, dialling(stream) as socket:
        for text in ("a", "한글 😀", "x" * 100_000):
            await socket.send(text)
            assert await socket.receive() == "E1:" + text


async def test_the_reason_of_a_close_reaches_the_other_side(autojump_clock):
    async def turn_away(socket, engine_id, claims):
        await socket.close(CloseCode.DRAINING, CloseCode.DRAINING.reason)

    async with serving(listener(turn_away)) as stream, dialling(stream) as socket:
        with pytest.raises(LinkClosed) as caught:
            await socket.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "error_draining")
        with pytest.raises(LinkClosed):
            await socket.send("x")
        await socket.close()


async def test_the_server_learns_why_the_client_left(autojump_clock):
    ends = []

    async def listen(socket, engine_id, claims):
        with pytest.raises(LinkClosed) as caught:
            await socket.receive()
        ends.append((caught.value.code, caught.value.reason))

    async with serving(listener(listen)) as stream:
        async with dialling(stream) as socket:
            await socket.close(4507, "error_" + "x" * 200)
        await wait_all_tasks_blocked()
    async with serving(listener(listen)) as stream, dialling(stream):
        await stream.aclose()
        await wait_all_tasks_blocked()
    assert ends == [(4507, "error_" + "x" * 114), (1006, "")]


async def test_a_failing_handler_is_1011_and_hurts_nobody_else(autojump_clock, caplog):
    async def fail(socket, engine_id, claims):
        if await socket.receive() == "fail":
            raise ZeroDivisionError
        await socket.send("fine")

    server = listener(fail)
    async with serving(server) as first, serving(server) as second, dialling(first) as bad, dialling(second) as good:
        await bad.send("fail")
        with pytest.raises(LinkClosed) as caught:
            await bad.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "error_bug")
        await good.send("ok")
        assert await good.receive() == "fine"
    assert server.statistics().failed == 1
    assert "handler of an engine link failed" in caplog.text


async def test_a_binary_message_is_malformed(autojump_clock):
    async with serving(listener()) as stream:
        await raw_websocket(stream)
        await stream.send_all(frame(0x2, b"x"))
        assert await close_code(stream) == 4507


async def test_an_exception_of_the_body_of_dial_stays_bare(autojump_clock):
    with pytest.raises(KeyError):
        async with serving_bare() as stream, dialling(stream):
            raise KeyError("x")


@asynccontextmanager
async def serving_bare():
    ours, theirs = memory_stream_pair()
    server = listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        failure = None
        try:
            yield ours
        except KeyError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure:
        raise failure


# --- what never waits forever -----------------------------------------------------------------------------------------


async def test_a_stalled_send_is_aborted_after_ten_seconds_and_never_reused(autojump_clock):
    ends = []

    async def talk(socket, engine_id, claims):
        started = trio.current_time()
        with pytest.raises(LinkClosed) as caught:
            await socket.send("x" * 100_000)
        ends.append((trio.current_time() - started, caught.value.code))
        with pytest.raises(LinkClosed):
            await socket.send("again")

    ours, theirs = trio.testing.lockstep_stream_pair()  # a stream without a buffer: unread bytes block the sender
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener(talk).serve_stream, theirs)
        await raw_websocket(ours)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert ends == [(pytest.approx(10), 4029)]


async def test_a_cancelled_send_aborts_the_connection(autojump_clock):
    async def talk(socket, engine_id, claims):
        with trio.move_on_after(1) as scope:
            await socket.send("x" * 100_000)
        assert scope.cancelled_caught
        with pytest.raises(LinkClosed):
            await socket.send("half a frame is out already")
        done.set()

    done = trio.Event()
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener(talk).serve_stream, theirs)
        await raw_websocket(ours)
        with trio.fail_after(5):
            await done.wait()
        nursery.cancel_scope.cancel()


async def test_a_close_is_bounded_when_the_peer_stays_silent(autojump_clock):
    took = []

    async def leave(socket, engine_id, claims):
        started = trio.current_time()
        await socket.close(4000, "error_draining")
        took.append(trio.current_time() - started)

    async with serving(listener(leave)) as stream:
        await raw_websocket(stream)
        assert await close_code(stream) == 4000
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
        await wait_all_tasks_blocked()
    assert took == [pytest.approx(2)]


@pytest.mark.parametrize("sent", [b"", b"GET /ws", b"GET /ws/engine/E1 HTTP/1.1\r\nHost: h\r\n"])
async def test_a_handshake_has_five_seconds(autojump_clock, sent):
    server = listener()
    async with serving(server) as stream:
        await stream.send_all(sent or b"G")
        started = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(5)
    assert server.statistics().handshakes == 0


async def test_a_peer_that_breaks_the_handshake_off_frees_its_place_at_once(autojump_clock):
    server = listener()
    for broken in (b"GET /ws/engine/E1 HTTP/1.1\r\nHost", b"", b"\x16\x03\x01nonsense\r\n\r\n"):
        async with serving(server) as stream:
            if broken:
                await stream.send_all(broken)
            await stream.aclose()
            await wait_all_tasks_blocked()
            assert server.statistics().connections == 0


async def test_a_client_gives_up_on_a_server_that_does_not_answer(autojump_clock):
    ours, theirs = memory_stream_pair()
    started = trio.current_time()
    with pytest.raises(DialFailed, match="within 3 s"):
        async with dialling(ours, timeout=3):
            pass
    assert trio.current_time() - started == pytest.approx(3)
    ours, theirs = memory_stream_pair()
    await theirs.aclose()
    with pytest.raises(DialFailed):
        async with dialling(ours, timeout=3):
            pass


async def test_http_that_is_slow_to_arrive_has_fifteen_seconds(autojump_clock):
    async with serving(listener()) as stream:
        await stream.send_all(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
        started = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(15)


# --- bounds -----------------------------------------------------------------------------------------------------------

HOSTILE = {
    "a message over the limit": ([frame(0x1, b"x" * 300_000)], 1009),
    "an announced size of 2**62 bytes": ([frame(0x1, b"x", size=2**62)], 1009),
    "a message over the limit in two parts": (
        [frame(0x1, b"x" * 200_000, final=False), frame(0x0, b"x" * 200_000)], 1009,
    ),
    "a message over the limit in bytes, not in characters": ([frame(0x1, "한".encode() * 90_000)], 1009),
    "endless empty fragments": ([frame(0x1, final=False), *[frame(0x0, final=False)] * 64], 4030),
    "text that is not UTF-8": ([frame(0x1, b"\xff\xff")], 1007),
    "a reserved opcode": ([frame(0x7, b"x")], 1002),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_frames_end_the_connection(autojump_clock, name, driver):
    frames, code = HOSTILE[name]
    if driver == "library" and code in (1002, 1007):
        code = None  # trio-websocket drops the connection without a word
    server = listener()
    async with serving(server) as stream:
        await raw_websocket(stream)
        await stream.send_all(b"".join(frames))
        assert await close_code(stream) == code
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
        await wait_all_tasks_blocked()
        assert server.statistics().connections == 0


async def test_a_flood_is_slowed_down_and_the_neighbour_is_not(autojump_clock):
    counted = {"E1": 0}

    async def count(socket, engine_id, claims):
        while True:
            text = await socket.receive()
            counted["E1"] += text == "x"
            if text == "ping":
                await socket.send("pong")

    server = listener(count, socket=SocketLimits(frames_per_s=100, frames_burst=200))
    async with serving(server) as noisy, serving(server) as quiet:
        await raw_websocket(noisy)
        await noisy.send_all(frame(0x1, b"x") * 10_000)
        async with dialling(quiet) as neighbour:
            with trio.fail_after(0.5):
                await neighbour.send("ping")
                assert await neighbour.receive() == "pong"
        await trio.sleep(10)
    assert counted["E1"] < 5000


async def test_connections_and_handshakes_are_capped(autojump_clock):
    server = listener(connections=3, handshakes_per_address=2)
    async with serving(server, "a"), serving(server, "a"):
        await wait_all_tasks_blocked()
        async with serving(server, "a") as third:
            assert (await request(third, "GET / HTTP/1.1"))[0] == 429
        async with serving(server, "b"):
            await wait_all_tasks_blocked()
            async with serving(server, "c") as fourth:
                assert (await request(fourth, "GET / HTTP/1.1"))[0] == 503
    assert server.statistics().connections == 0
    async with serving(server, "a") as stream:
        assert (await request(stream, "GET / HTTP/1.1"))[0] == 200


@given(data=st.data())
def test_the_meter_counts_frames_however_the_bytes_are_cut(data):
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 125, 126, 300]), max_size=6))
    stream = b"HTTP/1.1 101 x\r\na: b\r\n\r\n" + b"".join(frame(0x1, b"x" * size) for size in sizes)
    meter, counted = FrameMeter(1000, 64), 0
    while stream:
        step = data.draw(st.integers(1, len(stream)))
        counted += meter.feed(stream[:step])
        stream = stream[step:]
    assert counted == len(sizes)


@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_meter_raise_anything_but_a_violation(data):
    meter = FrameMeter(100, 4)
    try:
        meter.feed(b"\r\n\r\n" + data)
    except Violation as violation:
        assert violation.code in (CloseCode.TOO_LARGE, CloseCode.RATE_LIMITED)  # noqa: PT017


def test_a_head_without_end_is_too_large():
    with pytest.raises(Violation):
        FrameMeter(100, 4).feed(b"x" * 70_000)


@given(spends=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 10)), max_size=30))
def test_a_bucket_never_lets_more_than_its_rate_through(spends):
    bucket, now, spent = TokenBucket(10, 20), 0.0, 0.0
    for amount, pause in spends:
        now += pause + bucket.spend(amount, now)
        spent += amount
        assert spent <= 20 + 10 * now + 1e-6


# --- refusals and plain HTTP ------------------------------------------------------------------------------------------

REFUSALS = [
    ("GET /ws/engine/E1 HTTP/1.1", {"Authorization": None}, 401, "error_unauthorized"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Authorization": "Basic x"}, 401, "error_unauthorized"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Authorization": "Bearer x.y.z"}, 401, "error_token_invalid"),
    ("GET /ws/engine/E2 HTTP/1.1", {}, 403, "error_engine_mismatch"),
    ("GET /ws/engine/nobody HTTP/1.1", {}, 404, "error_not_found"),
    ("GET /ws/engine/ HTTP/1.1", {}, 404, "error_not_found"),
    ("GET /ws/engine/E1/x HTTP/1.1", {}, 404, "error_not_found"),
    ("GET /ws HTTP/1.1", {}, 404, "error_not_found"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Sec-WebSocket-Protocol": "other"}, 426, "error_upgrade_required"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Sec-WebSocket-Protocol": None}, 426, "error_upgrade_required"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Sec-WebSocket-Version": "8"}, 426, "error_upgrade_required"),
    ("GET /ws/engine/E1 HTTP/1.1", {"Upgrade": None}, 426, "error_upgrade_required"),
]


@pytest.mark.parametrize("head, changes, status, code", REFUSALS)
async def test_a_refusal_is_http_with_an_error_body(autojump_clock, head, changes, status, code):
    headers = {k: v for k, v in {**UPGRADE, **changes}.items() if v is not None}
    async with serving(listener()) as stream:
        answer = await request(stream, head, headers)
    assert (answer[0], answer[2]["error"]) == (status, code)
    assert set(answer[2]) == {"error", "reason"}
    if status == 426:
        assert answer[1]["sec-websocket-protocol"] == "watchkeeper-engine.v1"


async def test_the_client_sees_the_refusal(autojump_clock):
    async with serving(listener()) as stream:
        with pytest.raises(DialRefused) as caught:
            async with dialling(stream, path="/ws/engine/E2"):
                pass
    assert (caught.value.status, caught.value.error) == (403, "error_engine_mismatch")


async def test_no_extension_is_negotiated(autojump_clock):
    async with serving(listener()) as stream:
        offered = {**UPGRADE, "Sec-WebSocket-Extensions": "permessage-deflate"}
        lines = ["GET /ws/engine/E1 HTTP/1.1", *(f"{k}: {v}" for k, v in offered.items()), "", ""]
        await stream.send_all("\r\n".join(lines).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await stream.receive_some()
    assert b"101" in answer.split(b"\r\n")[0]
    assert b"extensions" not in answer.lower()


async def test_plain_http_is_answered_by_the_callback(autojump_clock):
    for length in ({"Content-Length": "4"}, {"Transfer-Encoding": "chunked"}):
        body = b"abcd" if "Content-Length" in length else b"4\r\nabcd\r\n0\r\n\r\n"
        async with serving(listener()) as stream:
            answer = await request(stream, "POST /api/x?q=1 HTTP/1.1", {"Host": "h", **length}, body)
        assert answer[0] == 200
        assert answer[2] == {"path": "/api/x", "body": "abcd", "method": "POST"}
        assert answer[1]["connection"] == "close"


@pytest.mark.parametrize(
    "head, headers, body, status, code",
    [
        ("GET /forbidden HTTP/1.1", {"Host": "h"}, b"", 403, "error_forbidden"),
        ("GET /broken HTTP/1.1", {"Host": "h"}, b"", 500, "error_internal"),
        ("POST /x HTTP/1.1", {"Host": "h", "Content-Length": "70000"}, b"x" * 70_000, 413, "error_malformed"),
        ("POST /x HTTP/1.1", {"Host": "h", "Content-Length": "nope"}, b"", 400, "error_malformed"),
        ("GET /x HTTP/1.1", {"Host": "h", "X": "y" * 40_000}, b"", 431, "error_malformed"),
        ("NONSENSE", {}, b"", 400, "error_malformed"),
    ],
)
async def test_plain_http_that_fails_has_an_error_body_and_no_detail(
    autojump_clock, caplog, head, headers, body, status, code
):
    async with serving(listener()) as stream:
        answer = await request(stream, head, headers, body)
    assert (answer[0], answer[2]["error"]) == (status, code)
    assert "secret" not in json.dumps(answer[2])


# --- reconnecting -----------------------------------------------------------------------------------------------------


@given(attempt=st.integers(0, 10_000), resumable=st.booleans(), rng=st.randoms(use_true_random=False))
def test_a_reconnect_waits_with_full_jitter_up_to_thirty_seconds(attempt, resumable, rng):
    delay = reconnect_delay(attempt, resumable=resumable, rng=rng)
    assert 0 <= delay <= min(30, 2 ** min(attempt, 9))


def test_only_codes_from_4500_stop_a_client():
    assert [c.value for c in CloseCode if not may_reconnect(c)] == [4501, 4503, 4504, 4506, 4507, 4511]
    assert may_reconnect(1006)


# --- real sockets -----------------------------------------------------------------------------------------------------


async def socket_free(server):
    while server.statistics().connections:  # noqa: ASYNC110  # the kernel reports the ends, nothing in here does
        await trio.sleep(0.01)


async def test_over_a_real_socket():
    server = listener()
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners("127.0.0.1", 0)
        port = listeners[0].socket.getsockname()[1]
        await nursery.start(server.serve, listeners)
        with trio.fail_after(60):
            async with dial(f"ws://127.0.0.1:{port}/ws/engine/E1", TOKEN, timeout=60) as socket:
                await socket.send("x" * 200_000)
                assert await socket.receive() == "E1:" + "x" * 200_000
            with pytest.raises(DialRefused):
                async with dial(f"ws://127.0.0.1:{port}/ws/engine/E1", "bad"):
                    pass
            for _ in range(50):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await trio.aclose_forcefully(stream)
            await socket_free(server)
        nursery.cancel_scope.cancel()
    with pytest.raises(DialFailed):
        async with dial(f"ws://127.0.0.1:{port}/ws/engine/E1", TOKEN, timeout=60):
            pass


@pytest.fixture
def certificate(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_over_tls_and_only_with_a_certificate_that_verifies(certificate):
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))

    async def served(server, nursery):
        listeners = await open_listeners("127.0.0.1", 0, ssl_context=context)
        await nursery.start(server.serve, listeners)
        return listeners[0].transport_listener.socket.getsockname()[1]

    server, hasty = listener(handshake_timeout=60), listener(handshake_timeout=1)
    async with trio.open_nursery() as nursery:
        port, hasty_port = await served(server, nursery), await served(hasty, nursery)
        with trio.fail_after(60):
            async with dial(f"wss://localhost:{port}/ws/engine/E1", TOKEN, ssl_context=trusting, timeout=60) as socket:
                await socket.send("x" * 100_000)
                assert await socket.receive() == "E1:" + "x" * 100_000
            with pytest.raises(DialFailed):
                async with dial(f"wss://localhost:{port}/ws/engine/E1", TOKEN, timeout=60):
                    pass
            async with await trio.open_tcp_stream("127.0.0.1", hasty_port) as silent:  # no TLS hello ever comes
                assert await silent.receive_some() == b""
            await socket_free(server)
            await socket_free(hasty)
        nursery.cancel_scope.cancel()
