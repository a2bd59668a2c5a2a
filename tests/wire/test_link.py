"""Sessions and drivers together: whole links over streams in memory, hours of them, under a virtual clock."""

import random
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tests.wire.driven import Driven
from wire.client import DialFailed, DialRefused, dial_over, reconnect_delay
from wire.messages import Heartbeat, HeartbeatAck, Hello, TradeLog, Welcome
from wire.server import EngineListener
from wire.session import EngineSession, Offer, PlatformSession, Received, Vitals
from wire.sockets import LinkClosed
from wire.stops import Level, StopSnapshot
from wire.tokens import TokenKeys
from wire.values import LatchState, LogCategory, TradingMode

BEGAN = time.time()
KEYS = TokenKeys(b"k" * 32, clock=lambda: BEGAN)  # however long the tests run, no token of theirs is old
TOKEN = KEYS.issue_engine("E1").token
START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = StopSnapshot(epoch=0, effective=[], released=[])


def wall():
    return START + timedelta(seconds=trio.current_time())


def hello(resume):
    return Hello(
        protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[],
        latch=LatchState.ABSENT, capabilities=[], supported_brokerages=[], strategies=[], resume=resume,
    )  # fmt: skip


class Scene:
    """A platform and one engine; what each was told, with the time it came."""

    def __init__(self):
        self.heard, self.answered, self.logs, self.ends = [], [], [], []
        self.detached = None
        self.cut = trio.Event()

    async def platform(self, socket, engine_id, claims):
        session = PlatformSession(engine_id, now=trio.current_time(), clock=wall)
        self.ends.append(("platform", await Driven(session, socket, self.on_platform).run()))
        self.detached = session.detach() or self.detached

    def on_platform(self, session, event):
        message = event.message if isinstance(event, Received) else None
        if isinstance(message, Hello):
            offer = Offer(
                session="S1", epoch=1, platform_id="P", term=1, stop=NOTHING, lease_ms=15000,
                token_expires=wall() + timedelta(days=1), config_version=1,
            )  # fmt: skip
            session.welcome(offer, trio.current_time(), detached=self.detached)
        elif isinstance(message, Heartbeat):
            self.heard.append((trio.current_time(), message.n))
            session.answer_heartbeat(message, stop=NOTHING, lease_ms=15000)
        elif isinstance(message, TradeLog):
            self.logs.append(message.id)
            session.committed(event.seq, trio.current_time())

    def on_engine(self, session, event):
        if isinstance(event, Received) and isinstance(event.message, Welcome | HeartbeatAck):
            self.answered.append((trio.current_time(), session.lease_expires_at))

    def engine_session(self):
        vitals = Vitals(stop_epoch=0, level=Level.NORMAL, synced=True)
        return EngineSession("E1", hello=hello, vitals=lambda: vitals, clock=wall)

    async def connect(self, session):
        """One connection of the engine, until it ends or ``cut`` is set."""
        ours, theirs = memory_stream_pair()
        listener = EngineListener(authorize=authorize, handler=self.platform)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve_stream, theirs)
            async with dial_over(ours, host="h", path="/ws/engine/E1", token=TOKEN) as socket:
                session.connected(trio.current_time())
                driven = Driven(session, socket, self.on_engine)

                async def cut_when_told():
                    await self.cut.wait()
                    await trio.aclose_forcefully(ours)

                nursery.start_soon(cut_when_told)
                self.ends.append(("engine", await driven.run()))
            session.disconnected()
            nursery.cancel_scope.cancel()


def authorize(_engine_id, token):
    return KEYS.verify(token, "engine")


async def test_an_hour_of_a_quiet_link_is_a_heartbeat_every_five_seconds(autojump_clock):
    scene = Scene()
    with trio.move_on_after(3601):
        await scene.connect(scene.engine_session())
    times = [at for at, _ in scene.heard]
    assert len(times) == 721
    assert all(later - earlier == pytest.approx(5, abs=1e-6) for earlier, later in pairwise(times))
    assert [n for _, n in scene.heard] == list(range(1, 722))
    assert scene.ends == []
    assert all(lease - at == pytest.approx(15) for at, lease in scene.answered)


async def test_a_silent_engine_is_closed_with_4008_after_fifteen_seconds(autojump_clock):
    scene = Scene()
    session = scene.engine_session()
    session.tick, session.deadline = (lambda now: []), (lambda: None)
    await scene.connect(session)
    assert trio.current_time() == pytest.approx(15, abs=0.1)
    assert ("engine", (4008, "error_timeout")) in scene.ends


async def test_a_silent_platform_is_left_with_4008_after_fifteen_seconds(autojump_clock):
    scene = Scene()
    scene.on_platform_before = scene.on_platform

    def deaf(session, event):
        if not (isinstance(event, Received) and isinstance(event.message, Heartbeat)):
            scene.on_platform_before(session, event)

    scene.on_platform = deaf
    await scene.connect(scene.engine_session())
    assert trio.current_time() == pytest.approx(15, abs=0.1)
    assert ("engine", (4008, "error_timeout")) in scene.ends


async def test_a_client_that_never_says_hello_is_closed_with_4008_after_five_seconds(autojump_clock):
    scene = Scene()
    ours, theirs = memory_stream_pair()
    listener = EngineListener(authorize=authorize, handler=scene.platform)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve_stream, theirs)
        async with dial_over(ours, host="h", path="/ws/engine/E1", token=TOKEN) as socket:
            with pytest.raises(LinkClosed) as caught:
                await socket.receive()
    assert caught.value.code == 4008
    assert trio.current_time() == pytest.approx(5, abs=0.1)


async def test_logs_written_over_many_broken_connections_arrive_once_and_in_order(autojump_clock):
    scene = Scene()
    session = scene.engine_session()

    async def produce():
        for n in range(500):
            session.send(TradeLog(id=f"L{n}", category=LogCategory.SYSTEM, message="x", timestamp=START))
            await trio.sleep(0.1)
            if n % 70 == 69:
                scene.cut.set()

    with trio.move_on_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            while True:
                scene.cut = trio.Event()
                await scene.connect(session)
                await trio.sleep(0.5)
    assert scene.logs == [f"L{n}" for n in range(500)]
    assert session.resumed
    assert len([who for who, _ in scene.ends if who == "engine"]) >= 7


FAILURES = ["nobody listens", "reset at once", "reset in the handshake", "silence", "503", "closed before the welcome"]


@settings(max_examples=100, deadline=None)
@given(failures=st.lists(st.sampled_from(FAILURES), max_size=4), seed=st.integers(0, 2**32))
def test_an_engine_that_starts_gets_its_link_whatever_went_wrong_before(failures, seed):
    """Feature: trading-platform-backend-integration, Property 18: WebSocket 연결 수립"""

    async def play():
        scene, rng = Scene(), random.Random(seed)
        session = scene.engine_session()
        waited = 0.0
        for attempt, failure in enumerate(failures):
            before = trio.current_time()
            with pytest.raises((DialFailed, DialRefused, LinkClosed)):
                await failing(failure)
            assert trio.current_time() - before <= 10.001
            pause = reconnect_delay(attempt, resumable=session.is_resumable, rng=rng)
            waited += pause
            await trio.sleep(pause)
        with trio.move_on_after(1):
            await scene.connect(session)
        assert session.session == "S1"
        assert scene.answered
        assert waited <= sum(min(30, 2**n) for n in range(len(failures)))

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def failing(kind):
    ours, theirs = memory_stream_pair()

    async def close(socket, engine_id, claims):
        await socket.close(4013, "error_overloaded")

    async def answer():
        if kind == "nobody listens":
            raise DialFailed("nobody listens")
        if kind == "reset at once":
            return await trio.aclose_forcefully(theirs)
        if kind == "silence":
            return await trio.sleep(60)
        if kind == "closed before the welcome":
            return await EngineListener(authorize=authorize, handler=close).serve_stream(theirs)
        await theirs.receive_some()
        answers = {"503": b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"}
        await theirs.send_all(answers.get(kind, b"HTTP/1.1 101 Switching"))
        await theirs.aclose()

    failure = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_quietly, answer)
        try:
            if kind == "nobody listens":
                await answer()
            async with dial_over(ours, host="h", path="/ws/engine/E1", token=TOKEN) as socket:
                await socket.receive()
        except (DialFailed, DialRefused, LinkClosed) as error:
            failure = error
        nursery.cancel_scope.cancel()
    raise failure


async def answer_quietly(answer):
    try:
        await answer()
    except (DialFailed, trio.BrokenResourceError, trio.ClosedResourceError):
        return
