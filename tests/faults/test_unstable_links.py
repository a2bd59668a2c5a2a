"""Links over bad networks: a seeded proxy delays, slices, stalls, swallows, resets and corrupts what goes through it.

Whatever it does, every message arrives once and in order when the network is well again; both ends of a connection
that is dead and does not say so find out within 15 s; and whoever repeats recorded traffic changes nothing twice.
"""

import json
import random
import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tests.wire.driven import Driven
from wire.client import DialFailed, DialRefused, dial_over
from wire.messages import Heartbeat, Hello, ParameterUpdate, TradeLog
from wire.server import EngineListener, open_listeners
from wire.session import Acknowledged, CloseLink, EngineSession, Offer, PlatformSession, Received, State, Vitals
from wire.sockets import LinkClosed
from wire.stops import Level, StopSnapshot
from wire.tokens import TokenKeys
from wire.values import LatchState, LogCategory, TradingMode

START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = StopSnapshot(epoch=0, effective=[], released=[])
BEGAN = time.time()
KEYS = TokenKeys(b"k" * 32, clock=lambda: BEGAN)  # however long the tests run, no token of theirs is old
TOKEN = KEYS.issue_engine("E1").token


def wall():
    return START + timedelta(seconds=trio.current_time())


# --- the network ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Weather:
    """Times in seconds, sizes in bytes. ``reset_after`` and ``swallow_after`` count what went through, both ways."""

    latency: float = 0.0
    bandwidth: float | None = None
    largest_slice: int = 65536
    stalls: float = 0.0
    stall: float = 0.0
    reset_after: int | None = None
    swallow_after: int | None = None
    corrupts: float = 0.0


CALM = Weather()


class Proxy:
    """Carries one connection through its weather. Equal seeds do equal things to equal traffic."""

    def __init__(self, weather, seed):
        self.weather = weather
        self.random = random.Random(seed)
        self.carried = 0
        self.swallowing = trio.Event()

    async def run(self, one, other):
        """Until either side has ended it, or a reset; then both ends are gone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, one, other, nursery)
                nursery.start_soon(self._pump, other, one, nursery)
        finally:
            await trio.aclose_forcefully(one)
            await trio.aclose_forcefully(other)

    async def _pump(self, source, sink, nursery):
        try:
            while data := bytes(await source.receive_some(65536)):
                await trio.sleep(self.random.uniform(0, 2 * self.weather.latency))
                for piece in self._slices(data):
                    await self._carry(piece, sink)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if not self.swallowing.is_set():  # the end of a connection is swallowed like everything else
            nursery.cancel_scope.cancel()

    def _slices(self, data):
        while data:
            size = self.random.randint(1, self.weather.largest_slice)
            yield data[:size]
            data = data[size:]

    async def _carry(self, piece, sink):
        weather, rng = self.weather, self.random
        self.carried += len(piece)
        if weather.swallow_after is not None and self.carried > weather.swallow_after:
            self.swallowing.set()
            return
        if weather.reset_after is not None and self.carried > weather.reset_after:
            raise trio.BrokenResourceError
        pause = 0.0 if weather.bandwidth is None else len(piece) / weather.bandwidth
        if rng.random() < weather.stalls:
            pause += weather.stall
        if pause:
            await trio.sleep(pause)
        if rng.random() < weather.corrupts:
            at = rng.randrange(len(piece))
            piece = piece[:at] + bytes([piece[at] ^ 1 << rng.randrange(8)]) + piece[at + 1 :]
        await sink.send_all(piece)


weathers = st.builds(
    Weather,
    latency=st.sampled_from([0.0, 0.02, 0.25]),
    bandwidth=st.none() | st.sampled_from([2_000.0, 50_000.0]),
    largest_slice=st.sampled_from([40, 1000, 65536]),
    stalls=st.sampled_from([0.0, 0.02]),
    stall=st.sampled_from([0.5, 6.0]),
    reset_after=st.none() | st.integers(1, 20_000),
    swallow_after=st.none() | st.integers(1, 20_000),
)


# --- both ends --------------------------------------------------------------------------------------------------------


class World:
    """One engine with its spool and one platform with its database, over any number of connections."""

    def __init__(self):
        self.produced, self.stored, self.confirmed = [], [], []
        self.detached = None
        self.serving = None
        self.ends = []
        self.sessions = 0
        self.engine = EngineSession("E1", hello=hello, vitals=vitals, clock=wall)
        self.server = EngineListener(authorize=lambda _, token: KEYS.verify(token, "engine"), handler=self.serve)

    def produce(self, count):
        for _ in range(count):
            log = TradeLog(id=f"L{len(self.produced)}", category=LogCategory.SYSTEM, message="x" * 40, timestamp=START)
            self.produced.append(log.id)
            self.engine.send(log)

    async def serve(self, socket, engine_id, claims):
        session = PlatformSession(engine_id, now=trio.current_time(), clock=wall)
        end = Driven(session, socket, self.on_platform)
        try:
            await end.run()
        finally:
            self.let_go(session)
            self.ends.append(("platform", trio.current_time(), end.closed, session.last_heard))

    def let_go(self, session):
        self.detached = session.detach() or self.detached
        if self.serving is session:
            self.serving = None

    def on_platform(self, session, event):
        message = event.message if isinstance(event, Received) else None
        if isinstance(message, Hello):
            if self.serving is not None:
                self.let_go(self.serving)
            self.serving = session
            self.sessions += not session.resumable(self.detached)
            offer = Offer(
                session=f"S{self.sessions}", epoch=self.sessions, platform_id="P", term=1, stop=NOTHING,
                lease_ms=15000, token_expires=wall() + timedelta(days=1), config_version=1,
            )  # fmt: skip
            detached, self.detached = self.detached, None
            session.welcome(offer, trio.current_time(), detached=detached)
        elif isinstance(message, Heartbeat):
            session.answer_heartbeat(message, stop=NOTHING, lease_ms=15000)
        elif isinstance(message, TradeLog):
            if message.id not in self.stored:
                self.stored.append(message.id)
            session.committed(event.seq, trio.current_time())

    def on_engine(self, session, event):
        if isinstance(event, Acknowledged):
            self.confirmed += event.ids

    async def connect(self, weather, seed, *, streams=memory_stream_pair, until=None):
        """One connection through the weather, until it ends or ``until`` is true."""
        ours, near = streams()
        far, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.server.serve_stream, theirs)
            nursery.start_soon(Proxy(weather, seed).run, near, far)
            await self.talk(ours, until)
            await trio.aclose_forcefully(ours)
            with trio.move_on_after(20):  # the platform may still have to find out
                while self.serving is not None:  # noqa: ASYNC110
                    await trio.sleep(0.5)
            nursery.cancel_scope.cancel()

    async def talk(self, stream, until=None):
        try:
            async with dial_over(stream, host="h", path="/ws/engine/E1", token=TOKEN, timeout=20) as socket:
                self.engine.connected(trio.current_time())
                end = Driven(self.engine, socket, self.on_engine)
                async with trio.open_nursery() as nursery:
                    if until is not None:
                        nursery.start_soon(self.end_when, until, nursery)
                    await end.run()
                    self.ends.append(("engine", trio.current_time(), end.closed, self.engine.last_heard))
                    nursery.cancel_scope.cancel()
        except (DialFailed, DialRefused, LinkClosed):
            pass
        finally:
            self.engine.disconnected()

    async def end_when(self, until, nursery):
        while not until():  # noqa: ASYNC110
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()

    @property
    def is_done(self):
        return self.stored == self.produced and self.engine.outbox.held == 0


def hello(resume):
    return Hello(
        protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[],
        latch=LatchState.ABSENT, resume=resume,
    )  # fmt: skip


def vitals():
    return Vitals(stop_epoch=0, level=Level.NORMAL, synced=True)


# --- nothing lost, nothing twice --------------------------------------------------------------------------------------


def through(storms, seed):
    async def play():
        world = World()
        for n, weather in enumerate(storms):
            world.produce(15)
            with trio.move_on_after(120):
                await world.connect(weather, seed + n, until=lambda: world.is_done)
        world.produce(5)
        with trio.fail_after(120):
            await world.connect(CALM, seed, until=lambda: world.is_done)
        assert world.stored == world.produced
        assert world.confirmed == world.produced
        assert world.server.statistics().failed == 0

    trio.run(play, clock=MockClock(autojump_threshold=0))


@settings(max_examples=40, deadline=None)
@given(storms=st.lists(weathers, min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_whatever_the_network_does_every_message_arrives_once_and_in_order(storms, seed):
    through(storms, seed)


@pytest.mark.deep
@settings(max_examples=1500, deadline=None)
@given(storms=st.lists(weathers, min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_whatever_the_network_does_every_message_arrives_once_and_in_order_for_long(storms, seed):
    through(storms, seed)


@pytest.mark.parametrize("after", [4_000, 9_000, 20_000])
def test_both_ends_of_a_half_open_connection_find_out_within_fifteen_seconds(after):
    async def play():
        world = World()

        async def chat():
            while True:
                world.produce(1)
                await trio.sleep(0.7)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat)
            await world.connect(Weather(swallow_after=after), seed=1)
            nursery.cancel_scope.cancel()
        found = {who: (at - heard, closed) for who, at, closed, heard in world.ends}
        assert set(found) == {"engine", "platform"}
        for silence, closed in found.values():
            assert closed[0] == 4008
            assert 15 <= silence <= 17.1  # two seconds more are for the close frame that nobody answers

    trio.run(play, clock=MockClock(autojump_threshold=0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), corrupts=st.sampled_from([0.001, 0.01, 0.2]))
def test_corrupted_bytes_end_their_connection_at_most(seed, corrupts):
    """A changed digit inside a text is beyond a session: TLS is there for that. What must hold: no failure spreads."""

    async def play():
        world = World()
        world.produce(30)
        with trio.move_on_after(60):
            await world.connect(Weather(corrupts=corrupts, largest_slice=500), seed, until=lambda: world.is_done)
        assert world.server.statistics().failed == 0
        assert len(world.stored) == len(set(world.stored))
        with trio.fail_after(60):
            await world.connect(CALM, seed, until=lambda: world.engine.outbox.held == 0)
        assert world.engine.state is State.IDLE

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def test_over_real_sockets_with_resets_delays_and_slices_nothing_is_lost_or_doubled():
    world = World()
    storms = [
        Weather(latency=0.002, largest_slice=300, reset_after=6_000),
        Weather(bandwidth=200_000, largest_slice=50, reset_after=15_000),
        Weather(stalls=0.05, stall=0.1, reset_after=12_000),
        CALM,
    ]
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners("127.0.0.1", 0)
        port = listeners[0].socket.getsockname()[1]
        await nursery.start(world.server.serve, listeners)
        for n, weather in enumerate(storms):
            world.produce(60)
            near = await trio.open_tcp_listeners(0, host="127.0.0.1")

            async def carry(stream, n=n, weather=weather):
                await Proxy(weather, n).run(stream, await trio.open_tcp_stream("127.0.0.1", port))

            proxy = await nursery.start(trio.serve_listeners, carry, near)
            ours = await trio.open_tcp_stream(*proxy[0].socket.getsockname())
            with trio.fail_after(120):
                await world.talk(ours, lambda: world.is_done)
        nursery.cancel_scope.cancel()
    assert world.stored == world.produced
    assert world.confirmed == world.produced
    assert len(world.produced) == 240


# --- recorded traffic -------------------------------------------------------------------------------------------------


class Recorded:
    """A session of engine E1 that went well, with every frame of both directions, and what it left behind."""

    def __init__(self, logs, commands):
        self.stored, self.executed = [], []
        self.up, self.down = [], []
        self.engine = EngineSession("E1", hello=hello, vitals=vitals, clock=lambda: START)
        self.platform = PlatformSession("E1", now=0.0, clock=lambda: START)
        self.engine.connected(0.0)
        for n in range(logs):
            self.engine.send(TradeLog(id=f"L{n}", category=LogCategory.SYSTEM, message="x", timestamp=START))
        self.carry()
        for n in range(commands):
            self.platform.send(command(n), id=f"R{n}")
        for at in (0.0, 1.0, 5.0, 6.0):
            self.engine.tick(at)
            self.carry(at)

    def carry(self, now=0.0):
        for text in self.engine.take(now, limit=1000):
            self.up.append(text)
            self.platform_hears(self.platform, text, now)
        for text in self.platform.take(now, limit=1000):
            self.down.append(text)
            self.engine_hears(text, now)

    def platform_hears(self, session, text, now=0.0):
        for event in session.receive(text, now):
            message = event.message if isinstance(event, Received) else None
            if isinstance(message, Hello):
                session.welcome(offer(), now)
            elif isinstance(message, TradeLog):
                if ("E1", message.id) not in self.stored:
                    self.stored.append(("E1", message.id))
                session.committed(event.seq, now)
            elif isinstance(message, Heartbeat):
                session.answer_heartbeat(message, stop=NOTHING, lease_ms=15000)

    def engine_hears(self, text, now=0.0):
        for event in self.engine.receive(text, now):
            if isinstance(event, Received) and isinstance(event.message, ParameterUpdate):
                self.executed.append(event.message.request_id)
                self.engine.committed(event.seq, now)


def command(n):
    return ParameterUpdate(
        request_id=f"R{n}", strategy_id="s", parameters={"n": 1}, version=1, base_version=0, stop_epoch=0,
        expires_ms=10_000,
    )  # fmt: skip


def offer():
    return Offer(
        session="S", epoch=1, platform_id="P", term=1, stop=NOTHING, lease_ms=0,
        token_expires=START + timedelta(hours=1), config_version=1,
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(logs=st.integers(1, 20), commands=st.integers(1, 20), how=st.randoms(use_true_random=False), whole=st.booleans())
def test_recorded_traffic_that_is_sent_again_changes_nothing_twice(logs, commands, how, whole):
    """In the same session, in a new one, whole or shuffled, and back at its own sender."""
    record = Recorded(logs, commands)
    stored, executed, lease = list(record.stored), list(record.executed), record.engine.lease_expires_at
    assert (len(stored), len(executed)) == (logs, commands)
    up, down = list(record.up), list(record.down)
    if not whole:
        how.shuffle(up)
        how.shuffle(down)
    for text in up:
        record.platform_hears(record.platform, text, 7.0)
    for text in down:
        record.engine_hears(text, 7.0)
    again = PlatformSession("E1", now=8.0, clock=lambda: START)
    for text in record.up if whole else up:
        record.platform_hears(again, text, 8.0)
    reflected = PlatformSession("E1", now=8.0, clock=lambda: START)
    for text in down:
        record.platform_hears(reflected, text, 8.0)
    assert sorted(record.stored) == sorted(stored)
    assert record.executed == executed
    assert record.engine.lease_expires_at == lease


@settings(max_examples=100, deadline=None)
@given(logs=st.integers(1, 5), commands=st.integers(1, 5))
def test_recorded_traffic_of_one_engine_is_nothing_to_another(logs, commands):
    record = Recorded(logs, commands)
    other = PlatformSession("E2", now=0.0, clock=lambda: START)
    codes = [e.code for text in record.up for e in other.receive(text, 0.0) if isinstance(e, CloseLink)]
    assert codes == [4503]
    engine = EngineSession("E2", hello=hello, vitals=vitals, clock=lambda: START)
    engine.connected(0.0)
    events = [e for text in record.down for e in engine.receive(text, 0.0)]
    assert [e.code for e in events] == [4503]
    assert engine.lease_expires_at is None


@settings(max_examples=100, deadline=None)
@given(data=st.data(), logs=st.integers(1, 10))
def test_a_number_that_was_changed_on_the_way_never_stores_a_message_twice_or_skips_one(data, logs):
    record = Recorded(logs, 1)
    numbered = [json.loads(text) for text in record.up if "seq" in json.loads(text)]
    frame = data.draw(st.sampled_from(numbered))
    frame["seq"] = data.draw(st.integers(1, 100))
    before = list(record.stored)
    record.platform_hears(record.platform, json.dumps(frame), 7.0)
    assert record.stored == before
