"""Frames of RFC 6455: its own examples, its rules one by one, and any cutting of the bytes."""

from contextlib import suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair
from wsproto.frame_protocol import FrameProtocol, Opcode

from wire.direct import DirectSocket
from wire.framing import PONG, Binary, Broken, Closed, FrameReader, Ping, close_frame, frame, text_frame
from wire.sockets import LinkClosed, SocketLimits


def masked(opcode, payload=b"", *, final=True, mask=b"\x37\xfa\x21\x3d"):
    size = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def read(data, *, most=1000, fragments=8):
    return FrameReader(most, fragments).feed(data)


def test_the_masked_hello_of_the_rfc():
    """RFC 6455, 5.7."""
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == ["Hello"]
    assert text_frame("Hello") == bytes.fromhex("810548656c6c6f")


def test_the_ping_of_the_rfc_and_its_answer():
    assert read(bytes.fromhex("898537fa213d7f9f4d5158")) == [Ping(b"Hello")]
    assert frame(PONG, b"Hello") == bytes.fromhex("8a0548656c6c6f")


def test_fragments_make_one_message_with_control_frames_in_between():
    data = masked(1, b"Hel", final=False) + masked(9, b"!") + masked(0, b"l", final=False) + masked(0, b"o")
    assert read(data) == [Ping(b"!"), "Hello"]


def test_a_character_may_be_cut_by_fragments_but_not_by_messages():
    han = "한".encode()
    assert read(masked(1, han[:1], final=False) + masked(0, han[1:])) == ["한"]
    assert read(masked(1, han[:1]) + masked(1, han[1:])) == [Broken(1007, "error_not_utf8")]


def test_a_binary_message_is_told_apart():
    assert read(masked(2, b"\xff\xff")) == [Binary()]
    assert read(masked(2, b"\xff", final=False) + masked(0, b"\xff")) == [Binary()]


NO_CODES = (0, 999, 1004, 1005, 1006, 1016, 2999, 5000)


@pytest.mark.parametrize(
    "name, data, code",
    [
        ("not masked", b"\x81\x02hi", 1002),
        ("a reserved bit", bytes([0xC1, 0x80]) + b"\0\0\0\0", 1002),
        ("a reserved opcode", masked(3, b"x"), 1002),
        ("a reserved control opcode", masked(0xB), 1002),
        ("a control frame in parts", masked(9, b"x", final=False), 1002),
        ("a long control frame", masked(9, b"x" * 126), 1002),
        ("a continuation of nothing", masked(0, b"x"), 1002),
        ("a new message inside another", masked(1, b"x", final=False) + masked(1, b"y"), 1002),
        ("over the limit", masked(1, b"x" * 1001), 1009),
        ("over the limit in parts", masked(1, b"x" * 600, final=False) + masked(0, b"x" * 600, final=False), 1009),
        ("an announcement over the limit", bytes([0x81, 0xFF]) + (2**62).to_bytes(8, "big") + b"\0\0\0\0", 1009),
        ("too many fragments", masked(1, final=False) + masked(0, final=False) * 8, 4030),
        ("text that is none", masked(1, b"\xed\xa0\x80"), 1007),
        ("a close of one byte", masked(8, b"\x03"), 1002),
        ("a close without a word in UTF-8", masked(8, b"\x03\xe8\xff"), 1007),
        *((f"close code {n}", masked(8, n.to_bytes(2, "big")), 1002) for n in NO_CODES),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_ends_the_link_and_nothing_after_it_is_read(name, data, code):
    reader = FrameReader(1000, 8)
    *before, broken = reader.feed(masked(1, b"first") + data)
    assert (before, broken.code) == (["first"], code)
    assert reader.feed(masked(1, b"later")) == []


def test_a_close_ends_the_reading():
    assert read(masked(8, b"\x0f\xa0" + b"bye") + masked(1, b"x")) == [Closed(4000, "bye")]
    assert read(masked(8)) == [Closed(None)]


def test_a_header_alone_is_enough_to_refuse():
    reader = FrameReader(1000, 8)
    assert reader.feed(masked(1, b"x" * 500, final=False)[:4]) == []
    assert FrameReader(1000, 8).feed(masked(1, b"x" * 2000)[:8]) == [Broken(1009, "error_too_large")]


EVENTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
        st.binary(max_size=125).map(Ping),
        st.just(Binary()),
    ),
    max_size=8,
)


@given(data=st.data(), wanted=EVENTS, mask=st.binary(min_size=4, max_size=4))
def test_the_same_is_read_however_the_bytes_are_cut(data, wanted, mask):
    sent = b""
    for event in wanted:
        match event:
            case str():
                payload = event.encode()
                cut = data.draw(st.integers(0, len(payload)))
                parts = data.draw(st.booleans())
                sent += masked(1, payload[:cut], final=False, mask=mask) if parts else masked(1, payload, mask=mask)
                sent += masked(0, payload[cut:], mask=mask) if parts else b""
            case Ping(payload):
                sent += masked(9, payload, mask=mask)
            case Binary():
                sent += masked(2, b"\xff", mask=mask)
    reader, read = FrameReader(10_000, 8), []
    while sent:
        step = data.draw(st.integers(1, len(sent)))
        read += reader.feed(sent[:step])
        sent = sent[step:]
    assert read == wanted


@given(size=st.one_of(st.integers(0, 300), st.sampled_from([65535, 65536, 70000])))
def test_our_frames_are_read_by_another_implementation(size):
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(text_frame("x" * size))
    assert "".join(received.payload for received in protocol.received_frames()) == "x" * size


@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(data):
    reader = FrameReader(100, 4)
    for i in range(0, len(data), 7):
        reader.feed(data[i : i + 7])


# --- the socket that is driven with it --------------------------------------------------------------------------------


def connected(**limits):
    ours, theirs = memory_stream_pair()
    return ours, DirectSocket(theirs, limits=SocketLimits(**limits))


async def frames_of(stream, count):
    protocol, found = FrameProtocol(client=True, extensions=[]), []
    while len(found) < count:
        protocol.receive_bytes(bytes(await stream.receive_some()))
        found += [(f.opcode, f.payload) for f in protocol.received_frames()]
    return found


async def test_what_arrived_at_once_is_read_at_once(autojump_clock):
    ours, socket = connected()
    await ours.send_all(masked(1, b"a") + masked(9, b"?") + masked(1, b"b") + masked(1, b"c")[:3])
    assert await socket.receive_many() == ["a", "b"]
    assert await frames_of(ours, 1) == [(Opcode.PONG, bytearray(b"?"))]
    await ours.send_all(masked(1, b"c")[3:] + masked(1, b"d"))
    assert (await socket.receive(), await socket.receive()) == ("c", "d")


async def test_what_came_before_the_close_is_still_given_out(autojump_clock):
    ours, socket = connected()
    await ours.send_all(masked(1, b"last words") + masked(8, b"\x0f\xa0"))
    assert await socket.receive_many() == ["last words"]
    with pytest.raises(LinkClosed) as caught:
        await socket.receive_many()
    assert caught.value.code == 4000
    with pytest.raises(LinkClosed):
        socket.post("too late")
    await socket.close()
    assert await frames_of(ours, 1) == [(Opcode.CLOSE, (4000, ""))]


async def test_a_post_that_does_not_fit_waits_for_a_flush(autojump_clock):
    ours, socket = connected()
    socket.post("one")
    socket.post("two")
    assert socket.is_behind  # a stream in memory cannot be written without waiting
    await socket.flush()
    assert not socket.is_behind
    assert [payload for _, payload in await frames_of(ours, 2)] == ["one", "two"]


async def test_over_tcp_a_post_is_written_at_once_until_the_peer_does_not_read():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    ours = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    socket = DirectSocket(await listeners[0].accept(), limits=SocketLimits())
    async with listeners[0], ours:
        socket.post("one")
        assert not socket.is_behind
        assert (await ours.receive_some()) == text_frame("one")
        sent = 0
        while not socket.is_behind:
            socket.post("x" * 100_000)
            sent += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.flush)
            got = b""
            while len(got) < sent * len(text_frame("x" * 100_000)):
                got += await ours.receive_some()
        assert got == text_frame("x" * 100_000) * sent
        await trio.aclose_forcefully(ours)
        with pytest.raises(LinkClosed):
            await socket.receive_many()
        with pytest.raises(LinkClosed):
            socket.post("x")
        await socket.close()


async def test_pings_of_a_peer_that_does_not_read_cost_a_bounded_space(autojump_clock):
    ours, theirs = trio.testing.lockstep_stream_pair()
    socket = DirectSocket(theirs, limits=SocketLimits(frames_per_s=1e6, frames_burst=1e6))

    async def flood():
        with suppress(trio.BrokenResourceError):
            await ours.send_all(masked(9, b"x" * 125) * 5000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        with pytest.raises(LinkClosed) as caught:
            await socket.receive_many()
        assert caught.value.code == 4029


async def test_a_close_while_another_task_reads_waits_for_the_answer(autojump_clock):
    ours, socket = connected()
    ends = []

    async def listen():
        with pytest.raises(LinkClosed) as caught:
            await socket.receive_many()
        ends.append(caught.value.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(socket.close, 4000, "error_draining")
        assert await frames_of(ours, 1) == [(Opcode.CLOSE, (4000, "error_draining"))]
        started = trio.current_time()
        await ours.send_all(masked(1, b"unheard") + masked(8, b"\x0f\xa0"))
        while await ours.receive_some():
            pass
        assert trio.current_time() == started
    assert ends == [4000]
    assert close_frame(None) == b"\x88\x00"
