"""Peers that break every rule of TCP, HTTP, WebSocket and JSON, against the running listeners of both links.

Whatever a peer does, it costs the platform bounded time, memory and file descriptors, and an engine and a dashboard
that do everything right notice nothing: every heartbeat is answered and every bookmark comes.
"""

import json
import struct
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

pytestmark = pytest.mark.database

PATIENCE = 90  # seconds for what has to happen within a few: this machine may be busy with other things
RSS_LIMIT = 96 * 2**20
SLACK = 16  # descriptors: the pool of database connections grows when it is needed


@asynccontextmanager
async def victims(product, kit):
    """An engine and a dashboard beside the attack, and the bounds of the process before and after it."""
    files, memory = product.process.num_fds(), product.process.memory_info().rss
    heard = {"beats": 0, "bookmarks": 0}

    async def beat(peer):
        while True:
            n = heard["beats"] + 1
            with trio.fail_after(PATIENCE):
                await peer.send(kit.text(kit.heartbeat_of("V", n)))
                while (answer := await peer.message()) is not None and answer["type"] != "heartbeat_ack":
                    continue
            assert answer is not None, "the victim's engine link was closed"
            assert answer["payload"]["n"] == n
            heard["beats"] = n
            await trio.sleep(0.2)

    async def watch(peer):
        while True:
            with trio.fail_after(PATIENCE):
                said = await peer.message()
            assert said is not None, "the victim's dashboard was closed"
            if said["type"] == "bookmark":
                heard["bookmarks"] += 1
                assert said["payload"]["n"] == heard["bookmarks"]
                await peer.send(kit.text(kit.envelope("bookmark_ack", {"n": said["payload"]["n"], "offsets": {}})))

    async with product.engine("V") as engine, product.browser() as browser, trio.open_nursery() as nursery:
        nursery.start_soon(beat, engine)
        nursery.start_soon(watch, browser)
        yield
        before = dict(heard)
        with trio.fail_after(PATIENCE):
            while heard["beats"] <= before["beats"] or heard["bookmarks"] <= before["bookmarks"]:  # noqa: ASYNC110
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        while product.process.num_fds() > files + SLACK:  # noqa: ASYNC110  # another process: nothing to wait on
            await trio.sleep(0.1)
    assert product.process.memory_info().rss - memory < RSS_LIMIT


def ports(product):
    return product.engines, product.http


async def everybody(*attacks):
    async with trio.open_nursery() as nursery:
        for attack in attacks:
            nursery.start_soon(attack)


# --- peers that never finish ------------------------------------------------------------------------------------------

BEGINNINGS = {
    "nothing": b"",
    "half a request line": b"GET /ws/eng",
    "half a head": b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: webs",
    "an upgrade without its last line": b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "noise": b"\x00\xff" * 40,
}


async def test_half_handshakes_are_ended_and_leave_nothing(product, kit):
    async def begin(port, beginning):
        async with product.dial(port) as peer:
            await peer.send(beginning)
            with trio.fail_after(PATIENCE):
                await peer.gone()

    async def drip(port):
        async with product.dial(port) as peer, trio.open_nursery() as nursery:
            await peer.send(b"GET / HTTP/1.1\r\nX: ")
            nursery.start_soon(peer.drip, b"y")
            with trio.fail_after(PATIENCE):
                await peer.gone()
            nursery.cancel_scope.cancel()

    async with victims(product, kit):
        beginnings = [partial(begin, port, data) for port in ports(product) for data in BEGINNINGS.values()]
        await everybody(*beginnings * 6, *[partial(drip, port) for port in ports(product)] * 3)


async def test_resets_inside_the_handshake_free_their_place_at_once(product, kit):
    """trio-websocket alone keeps a task and a descriptor for a minute for each of these."""
    token = await trio.to_thread.run_sync(product.engine_token, "A")
    doors = [(product.engines, "/ws/engine/A", kit.ENGINE_PROTOCOL), (product.http, "/ws", kit.UI_PROTOCOL)]

    async def leave(number):
        port, path, protocol = doors[number % 2]
        async with product.dial(port) as peer:
            if number % 3 == 0:
                await peer.upgrade(path, protocol, token=token)
            elif number % 3 == 1:
                await peer.send(f"GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nHost: x\r\n".encode())
            if number % 5:
                peer.reset()

    async with victims(product, kit):
        for begin in range(0, 240, 24):
            await everybody(*[partial(leave, begin + n) for n in range(24)])


async def test_more_silent_connections_than_the_web_listener_keeps_put_out_only_each_other(product, kit):
    async with victims(product, kit), trio.open_nursery() as nursery:

        async def sit():
            async with product.dial(product.http) as peer:
                await peer.gone()

        for _ in range(400):
            nursery.start_soon(sit)
        await trio.sleep(0.5)
        async with product.dial(product.http) as peer:
            await peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(PATIENCE):
                assert await peer.more()
            assert peer.buffer.startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()


@pytest.mark.deep
async def test_a_body_that_drips_is_given_up(product, kit):
    """Quart answers after 10 s; without more, Hypercorn then keeps the connection for as long as it drips."""
    head = "POST /api/auth/engine-token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000"

    async def drip(port, every):
        async with product.dial(port) as peer, trio.open_nursery() as nursery:
            await peer.send(f"{head}\r\n\r\n".encode())
            nursery.start_soon(partial(peer.drip, b" ", every=every))
            with trio.fail_after(3 * PATIENCE):
                await peer.gone()
            nursery.cancel_scope.cancel()

    async with victims(product, kit):
        await everybody(*[partial(drip, port, every) for port in ports(product) for every in (0.2, 0.2, 1000)])


async def test_a_link_without_a_hello_is_closed_with_4008(product, kit):
    async def silent(opened):
        async with opened as peer:
            with trio.fail_after(PATIENCE):
                assert await peer.close_code() == 4008

    async with victims(product, kit):
        await everybody(
            *[partial(silent, product.engine("A", greet=False)) for _ in range(3)],
            *[partial(silent, product.browser(greet=False)) for _ in range(3)],
        )


# --- frames that break a rule -----------------------------------------------------------------------------------------

HALF_UTF8 = "한".encode()[:2]


def attacks(kit):
    """What is sent after the welcome, and the code that the close frame has on each listener: engines, dashboards.

    Each is told; 1006 stands for a connection that is ended without a close frame.
    """
    frame = kit.frame
    fail, text = {1002}, {1007}
    return {
        "an unmasked frame": (frame(0x1, b"{}", masked=False), fail, fail),
        "a reserved bit": (frame(0x1, b"{}", reserved=4), fail, fail),
        "all reserved bits": (frame(0x1, b"{}", reserved=7), fail, fail),
        "a reserved opcode": (frame(0x3, b"x"), fail, fail),
        "a reserved control opcode": (frame(0xB, b"x"), fail, fail),
        "a ping in two parts": (frame(0x9, b"x", final=False), fail, fail),
        "a ping over 125 bytes": (frame(0x9, b"x" * 126), fail, fail),
        "a continuation of nothing": (frame(0x0, b"x"), fail, fail),
        "a second beginning": (frame(0x1, b"x", final=False) + frame(0x1, b"y"), fail, fail),
        "a close frame of one byte": (frame(0x8, b"x"), fail, fail),
        "a close frame with a code that is none": (frame(0x8, struct.pack("!H", 999)), fail, fail),
        "a length with its highest bit": (frame(0x1, size=2**63), {*fail, 1009}, fail),
        "bad UTF-8": (frame(0x1, b"\xff\xfe"), text, text),
        "half a character at the end": (frame(0x1, HALF_UTF8), text, text),
        "a character split and then broken": (
            frame(0x1, HALF_UTF8, final=False) + frame(0x0, b"x"), text, text,
        ),
        "deep JSON": (kit.text("[" * 100_000), {4507}, {1009}),
        "JSON of seventeen levels": (kit.text('{"a":' * 17 + "1" + "}" * 17), {4507}, {4507}),
        "a key twice": (kit.text('{"type":"ack","type":"hello"}'), {4507}, {4507}),
        "no object": (kit.text("[]"), {4507}, {4507}),
        "not a number": (kit.text('{"type":"ack","seq":NaN}'), {4507}, {4507}),
        "a binary message": (frame(0x2, b"{}"), {4507}, {4507}),
        "an empty binary message": (frame(0x2), {4507}, {4507}),
        "a message over the limit": (frame(0x1, b"x" * 300_000), {1009}, {1009}),
        "a message over the limit in parts": (
            frame(0x1, b"x" * 200_000, final=False) + frame(0x0, b"x" * 200_000), {1009}, {1009},
        ),
        "an announcement of an exabyte and then nothing": (frame(0x1, b"x", size=2**60), {1009}, {4008}),
        "endless empty fragments": (
            frame(0x1, final=False) + frame(0x0, final=False) * 2000, {4030}, {4008},
        ),
    }  # fmt: skip


async def test_a_frame_that_breaks_a_rule_ends_its_own_connection_and_no_other(product, kit):
    found = {}

    async def attack(opened, where, name):
        async with opened as peer:
            await peer.send(attacks(kit)[name][0])
            with trio.fail_after(2 * PATIENCE):
                found[where, name] = await peer.close_code()
                await peer.gone()

    async def engines(engine_id, names):
        for name in names:
            await attack(product.engine(engine_id), "engines", name)

    names = list(attacks(kit))
    async with victims(product, kit):
        await everybody(
            *[partial(engines, who, names[n::3]) for n, who in enumerate("ABC")],
            *[partial(attack, product.browser(), "dashboards", name) for name in names],
        )
    expected = {("engines", name): codes for name, (_, codes, _) in attacks(kit).items()}
    expected |= {("dashboards", name): codes for name, (_, _, codes) in attacks(kit).items()}
    assert {key: code for key, code in found.items() if code not in expected[key]} == {}
    assert set(found) == set(expected)


async def test_a_numbered_message_that_cannot_be_kept_is_nacked_and_the_link_goes_on(product, kit):
    async with victims(product, kit), product.engine("A") as peer:
        payload = {"id": "n1", "category": "System", "message": "a\x00b", "timestamp": "2026-01-01T00:00:00Z"}
        await peer.send(kit.text(kit.envelope("trade_log", payload, engine_id="A", seq=1)))
        with trio.fail_after(PATIENCE):
            nack = await peer.message()
        assert (nack["type"], nack["payload"]["seq"], nack["payload"]["code"]) == ("nack", 1, "error_malformed")
        await peer.send(kit.text(kit.heartbeat_of("A", 1, last_seq=1)))
        with trio.fail_after(PATIENCE):
            answer = await peer.message()
        assert (answer["type"], answer["payload"]["last_recv"]) == ("heartbeat_ack", 1)


async def test_no_compression_is_agreed_on_and_a_compressed_frame_ends_the_link(product, kit):
    """A deflated frame of 200 kB would become hundreds of MiB in Hypercorn, which agrees to compression by itself."""
    offer = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
    token = await trio.to_thread.run_sync(product.engine_token, "A")
    doors = [(product.engines, "/ws/engine/A", kit.ENGINE_PROTOCOL), (product.http, "/ws", kit.UI_PROTOCOL)]
    async with victims(product, kit):
        for port, path, protocol in doors:
            async with product.dial(port) as peer:
                head = await peer.upgrade(path, protocol, token=token, extra=offer)
                assert " 101 " in head
                assert "extensions" not in head.lower()
                await peer.send(kit.frame(0x1, b"\x00" * 15_000, reserved=4))
                with trio.fail_after(PATIENCE):
                    assert await peer.close_code() == 1002


# --- floods and peers that do not read --------------------------------------------------------------------------------


async def flood(peer, data, seconds):
    """Sends as fast as it may for some seconds, and reads nothing."""
    with trio.move_on_after(seconds):
        while await peer.send(data):
            await trio.lowlevel.checkpoint()


FLOODS = {
    "pings": lambda kit: kit.frame(0x9, b"x" * 100) * 500,
    "empty messages": lambda kit: kit.frame(0x1) * 2000,
    "messages of no known type": lambda kit: kit.text(kit.envelope("x", {}, engine_id="A")) * 200,
    "heartbeats": lambda kit: kit.text(kit.heartbeat_of("A", 1)) * 200,
    "the largest messages": lambda kit: kit.text(json.dumps({"x": "y" * 250_000})),
    "empty fragments": lambda kit: kit.frame(0x1, final=False) + kit.frame(0x0, final=False) * 5000,
}


async def test_floods_of_peers_that_read_nothing_are_bounded(product, kit):
    async def attack(opened, data):
        async with opened as peer:
            await flood(peer, data, 2.0)

    floods = [make(kit) for make in FLOODS.values()]
    async with victims(product, kit):
        for three in (floods[:3], floods[3:]):
            engines = zip("ABC", three, strict=True)
            await everybody(
                *[partial(attack, product.engine(who), data) for who, data in engines],
                *[partial(attack, product.browser(), data) for data in three],
            )


@pytest.mark.deep
async def test_an_engine_that_takes_nothing_is_cut_off_after_ten_seconds(product, kit):
    """A send that stalls is ended by aborting the connection: half a frame is out, so nothing may follow it."""
    async with victims(product, kit), product.engine("A") as peer:
        with trio.fail_after(2 * PATIENCE):
            await peer.drip(kit.text(kit.heartbeat_of("A", 1)) * 50, every=0.1)


@pytest.mark.deep
async def test_a_browser_that_takes_nothing_is_cut_off_by_its_socket_while_others_read(product, kit):
    """What its socket does not take waits in its own queue, until TCP_USER_TIMEOUT or the outbox's patience ends it."""
    async with (
        victims(product, kit),
        product.browser(topics=("health", "engines")) as peer,
        trio.open_nursery() as busy,
    ):
        busy.start_soon(chatter, product, kit)
        with trio.fail_after(2 * PATIENCE):
            await peer.drip(kit.text(kit.envelope("x", {})), every=0.2)
        busy.cancel_scope.cancel()


async def test_browsers_that_vanish_while_they_are_told_things_do_not_stop_the_loop(product, kit):
    """Quart's send to a peer that is gone returns at once and never yields: a loop of such sends stops everything."""

    async def vanish():
        async with product.browser(topics=("health", "engines")) as peer:
            await peer.message()
            peer.reset()

    async with victims(product, kit), trio.open_nursery() as busy:
        busy.start_soon(chatter, product, kit)
        for _ in range(3):
            await everybody(*[vanish] * 10)
        busy.cancel_scope.cancel()


async def chatter(product, kit):
    """An engine whose dashboards have much to hear."""
    async with product.engine("B") as peer:
        while True:
            await peer.send(kit.text(kit.heartbeat_of("B", 1)))
            await trio.sleep(0.05)
