"""Engines that speak the real session over in-memory sockets, in virtual time: what a link does for them."""

import gc
import json
import math
import os
import random
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.board import Board
from actors.fleet.fleet import Fleet, FleetBoard
from actors.links import engine_link
from actors.links.engine_link import QUARANTINE_LIMIT, EngineLink, LinkEnded
from actors.links.messages import CloseNow, Drain
from actors.links.places import LinkDesk, Office
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import LogWriter
from actors.requests import CommandStrategy, ConfigurationChanged, ListEngines, ListHealth, Principal, TakeStop
from actors.stops.coordinator import Coordinator
from actors.stops.effects import RaiseAlert
from actors.stops.keeping import StopKeeping
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.errors import Unavailable
from store.logs import Committed
from supervisor.actor import Actor
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system
from wire.errors import Unauthorized
from wire.messages import (
    REDUCED_RESUMES,
    STRATEGY_COMMANDS,
    Auth,
    ConfigChanged,
    EmergencyStop,
    ErrorCategory,
    ErrorReport,
    Fill,
    Flatness,
    Goodbye,
    HealthUpdate,
    HeartbeatAck,
    Hello,
    LatchState,
    LocalStop,
    LocalStopCause,
    LogCategory,
    ProcessStatus,
    Reduced,
    ResultStatus,
    Severity,
    Side,
    StopPhase,
    StopProgress,
    StrategyAction,
    StrategyCommand,
    StrategyReport,
    StrategyResult,
    StrategyState,
    TradeLog,
    TradingMode,
    Welcome,
)
from wire.quarantine import QuarantinedLog
from wire.rest import CommandStatus, Connection, ReducedLimits, Role, StopRequest, StopState
from wire.session import CloseCode, EngineSession, LeaseGranted, PlatformSession, Received, State, Vitals
from wire.stops import Level, Scope, StopRecord

START = datetime(2026, 1, 5, tzinfo=UTC)


def wall():
    return START + timedelta(seconds=trio.current_time())


class Pipe:
    """Both ends of a connection. ``blocked``: the engine's machine takes nothing more."""

    def __init__(self):
        self.to_engine, self.engine_gets = trio.open_memory_channel(math.inf)
        self.to_platform, self.platform_gets = trio.open_memory_channel(math.inf)
        self.closed_with = None
        self.blocked = trio.Event()
        self.blocked.set()
        self.posted = []

    @property
    def is_behind(self):
        return bool(self.posted)

    def post(self, text):
        self.posted.append(text)

    async def flush(self):
        while self.posted:
            await self.send(self.posted[0])
            self.posted.pop(0)

    async def receive_many(self):
        return [await self.receive()]

    async def send(self, text):
        await self.blocked.wait()
        try:
            await self.to_engine.send(text)
        except trio.BrokenResourceError as error:
            raise LinkEnded from error

    async def receive(self):
        try:
            return await self.platform_gets.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise LinkEnded from error

    async def close(self, code, reason):
        await trio.lowlevel.checkpoint()
        self.closed_with = self.closed_with or code
        self.to_engine.close()
        self.platform_gets.close()

    def cut(self):
        """The cable is pulled: both sides notice at once."""
        self.to_platform.close()
        self.engine_gets.close()


class Quick(Pipe):
    """Its socket takes every frame at once, as a real one does that is not behind."""

    def post(self, text):
        try:
            self.to_engine.send_nowait(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkEnded from error


class Engine:
    """A well-behaved engine, unless told otherwise."""

    def __init__(self, engine_id, *, instance="i1", synced=True, obeys=True, spoken=lambda text: text):
        self.engine_id = engine_id
        self.instance = instance
        self.synced = synced
        self.obeys = obeys
        self.spoken = spoken
        self.capabilities = self.strategies = ()
        self.latch = {}
        self.received = []
        self.leases = []
        self.epoch = 0
        self.bell = trio.Event()
        self.session = EngineSession(engine_id, hello=self.hello, vitals=self.vitals, clock=wall)
        self.pipe = None
        self.silent = False
        self.scope = None

    def give_up_connection(self):
        """The engine's end is gone and the platform is not told: a half-open connection."""
        self.scope.cancel()

    def hello(self, resume):
        return Hello(
            protocol="1",
            instance=self.instance,
            name=self.engine_id,
            version="1.0",
            trading_mode=TradingMode.PAPER,
            stops=list(self.latch.values()),
            latch=LatchState.PRESENT,
            capabilities=list(self.capabilities),
            supported_brokerages=["kis"],
            strategies=list(self.strategies),
            resume=resume,
        )

    def vitals(self):
        epochs = [r.stop_epoch for r in self.latch.values()]
        level = max((r.level for r in self.latch.values()), default=Level.NORMAL)
        return Vitals(stop_epoch=max([self.epoch, *epochs]), level=level, synced=self.synced)

    async def run(self, pipe):
        self.pipe = pipe
        self.session.connected(trio.current_time())
        async with trio.open_nursery() as nursery:
            self.scope = nursery.cancel_scope
            nursery.start_soon(self.write)
            try:
                while True:
                    text = await pipe.engine_gets.receive()
                    for event in self.session.receive(text, trio.current_time()):
                        self.on_event(event)
                    self.bell.set()
            except (trio.EndOfChannel, trio.ClosedResourceError):
                nursery.cancel_scope.cancel()
        self.session.disconnected()

    async def write(self):
        while True:
            now = trio.current_time()
            frames = []
            if not self.silent:
                self.session.tick(now)
                frames = self.session.take(now)
            for text in frames:
                try:
                    await self.pipe.to_platform.send(self.spoken(text))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
            if not frames:
                deadline = self.session.deadline()
                with trio.move_on_at(math.inf if deadline is None or self.silent else max(deadline, now + 0.001)):
                    await self.bell.wait()
                self.bell = trio.Event()

    def say(self, message, **kw):
        self.session.send(message, **kw)
        self.bell.set()

    def on_event(self, event):
        if isinstance(event, LeaseGranted):
            self.leases.append(event.expires_at)
        if not isinstance(event, Received):
            return
        self.received.append(event.message)
        match event.message:
            case EmergencyStop() as stop:
                self.obey(stop)
            case Welcome() as welcome:
                self.epoch = max(self.epoch, welcome.stop.epoch)
                for record in welcome.stop.effective:
                    self.latch[record.stop_id] = record
                for stop_id in welcome.stop.released:
                    self.latch.pop(stop_id, None)
        if event.seq is not None:
            self.session.committed(event.seq, trio.current_time())

    def obey(self, stop):
        held = self.latch.get(stop.stop_id)
        if held is None or held.stop_epoch < stop.stop_epoch:
            self.latch[stop.stop_id] = stop.record()
        if self.obeys:
            for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
                self.say(progress(stop, phase))

    def stops(self):
        return [m for m in self.received if isinstance(m, EmergencyStop)]

    def of(self, kind):
        return [m for m in self.received if isinstance(m, kind)]


def progress(stop, phase):
    return StopProgress(
        stop_id=stop.stop_id,
        stop_epoch=stop.stop_epoch,
        phase=phase,
        orders_cancelled=2,
        orders_remaining=0,
        positions_liquidated=1,
        positions_remaining=0,
        flatness=Flatness.FLAT,
        residuals=[],
        latched=True,
    )


class Ledger:
    """The database as the log writer sees it."""

    def __init__(self):
        self.rows = {}
        self.letters = []
        self.progress = []
        self.away = False

    async def begin(self, begun, now):
        self.ask()

    async def commit(self, received, progress, now):
        self.ask()
        new = [r for r in received if (r.engine_id, r.id) not in self.rows]
        self.rows.update({(r.engine_id, r.id): r.message for r in new})
        self.progress += progress
        return Committed(new=new, rejected=[], moved=frozenset())

    async def bury(self, letter):
        self.ask()
        self.letters.append(letter)

    async def note_account(self, engine_id, account):
        self.ask()

    def ask(self):
        if self.away:
            raise Unavailable("the database is away")


class NoRecords:
    """Journal and database of stops that are always there."""

    async def write_journal(self, stops):
        await trio.lowlevel.checkpoint()

    async def save_stop(self, stop):
        await trio.lowlevel.checkpoint()


class Listening(Actor):
    """Takes any message, and keeps it."""

    def __init__(self, heard):
        self.heard = heard

    async def unhandled(self, message):
        self.heard.append(message)


@attrs.define
class World:
    system: object
    desk: LinkDesk
    ledger: Ledger
    board: Board
    alerts: list
    nursery: trio.Nursery
    count: int = 0

    def codes(self):
        """Of the alerts so far."""
        return [a.code for a in self.alerts if isinstance(a, RaiseAlert)]

    async def connect(self, engine, *, settle=True, pipe=None):
        pipe = pipe or Pipe()
        self.count += 1
        expires = wall() + timedelta(minutes=15)
        spec = ChildSpec(
            id=f"{engine.engine_id}.{self.count}",
            factory=lambda: EngineLink(engine.engine_id, pipe, self.desk, expires, wall=wall),
            restart=Restart.TEMPORARY,
        )
        link = await self.system.start_child("links", spec)
        self.nursery.start_soon(engine.run, pipe)
        if settle:
            await trio.sleep(0.01)
        return link

    async def stop(self, **fields):
        who = Principal(user_id="kim", username="kim", role=Role.OPERATOR, auth_time=START)
        return await self.system.ref("stops").ask(TakeStop(principal=who, request=StopRequest(**fields)), urgent=True)

    async def status(self, engine_id):
        rows = await self.system.ref("fleet").ask(ListEngines())
        return next(r for r in rows if r.engine_id == engine_id)

    async def state(self, stop, state, timeout=5):
        return await self.board.wait_for(stop.stop_id, lambda s: s.state is state, timeout=timeout)


@pytest.fixture
def open_world(kit):
    @asynccontextmanager
    async def opened(engines=2, ledger=None):
        known = [(f"E{i + 1}", f"A{i + 1}") for i in range(engines)]
        book = kit.book(engines=known)
        shelf = StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r")))
        degraded, hub, ledger, alerts = DegradedParts(), Hub(), ledger or Ledger(), []
        fleet_board = FleetBoard(shelf)
        for engine_id, account_id in known:
            fleet_board.add(engine_id, engine_id, account_id)
        stops = Board()
        records = NoRecords()
        keeping = StopKeeping(book, records, stops, degraded, lambda _stop: None)

        def coordinator():
            return Coordinator(
                shelf,
                keeping,
                records,
                fleet_board,
                alert=alerts.append,
                audit=lambda _entry: None,
                wall=wall,
            )

        def verify(engine_id, token):
            if token != "good":
                raise Unauthorized("not a token")
            return wall() + timedelta(minutes=15)

        children = [
            ChildSpec(id="alerts", factory=lambda: Listening(alerts)),
            ChildSpec(id="parameters", factory=lambda: Listening([])),
            ChildSpec(id="stops", factory=coordinator),
            ChildSpec(id="fleet", factory=lambda: Fleet(fleet_board, hub, shelf, alert=alerts.append, wall=wall)),
            ChildSpec(id="log-writer", factory=lambda: LogWriter(ledger, degraded, lambda _one: None, wall=wall)),
            ChildSpec(id="links", factory=DynamicSupervisor),
        ]
        async with (
            open_system(name="platform", children=children) as system,
            trio.open_nursery() as nursery,
        ):
            desk = LinkDesk(
                shelf=shelf,
                office=lambda: Office(platform_id="p1", term=1),
                coordinator=system.ref("stops"),
                fleet=system.ref("fleet"),
                parameters=system.ref("parameters"),
                log_writer=system.ref("log-writer"),
                alerts=system.ref("alerts"),
                verify=verify,
                database_is_away=lambda: ledger.away,
            )
            yield World(system, desk, ledger, stops, alerts, nursery)
            nursery.cancel_scope.cancel()

    return opened


async def test_an_engine_says_hello_and_is_welcome_with_its_stops_and_seen_as_connected(open_world, autojump_clock):
    async with open_world() as world:
        stop = await world.stop()
        engine = Engine("E1")
        await world.connect(engine)
        (welcome,) = engine.of(Welcome)
        assert [r.stop_id for r in welcome.stop.effective] == [stop.stop_id]
        assert welcome.platform_id == "p1"
        status = await world.status("E1")
        assert (status.connection, status.level) == (Connection.CONNECTED, Level.FLATTEN)


async def test_a_stop_reaches_every_connected_engine_and_comes_back_verified(open_world, autojump_clock):
    async with open_world() as world:
        engines = [Engine("E1"), Engine("E2")]
        for engine in engines:
            await world.connect(engine)
        stop = await world.stop()
        done = await world.state(stop, StopState.VERIFIED)
        assert {r.engine_id: (r.orders_cancelled, r.positions_liquidated) for r in done.results} == {
            "E1": (2, 1),
            "E2": (2, 1),
        }
        assert done.delivered == 2


async def test_phases_say_sent_when_the_frame_has_left_and_received_when_the_engine_acknowledged(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        stop = await world.stop()
        await trio.sleep(1)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.PENDING
        engine.silent = True
        engine.pipe.blocked.set()
        await trio.sleep(0.2)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.SENT
        engine.silent = False
        engine.bell.set()
        await trio.sleep(1)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.RECEIVED


async def test_an_engine_that_was_away_gets_the_stop_when_it_returns_and_verifies_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        stop = await world.stop()
        assert stop.state is StopState.PARTIAL
        engine = Engine("E1")
        await world.connect(engine)
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_cable_pulled_during_a_stop_is_unreachable_and_the_returning_engine_finishes(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        stop = await world.stop()
        await trio.sleep(0.1)
        engine.pipe.cut()
        await trio.sleep(0.5)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.UNREACHABLE
        engine.obeys = True
        await world.connect(engine)
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_stop_is_sent_to_everybody_before_its_request_is_answered(open_world, autojump_clock):
    async with open_world(engines=3) as world:
        quick, slow, gone = Engine("E1"), Engine("E2"), Engine("E3")
        for engine, pipe in ((quick, Quick()), (slow, Pipe()), (gone, Quick())):
            await world.connect(engine, pipe=pipe)
        slow.pipe.blocked = trio.Event()
        gone.silent = True
        gone.pipe.engine_gets.close()
        stop = await world.stop()
        assert {r.engine_id: r.phase.value for r in stop.results} == {"E1": "sent", "E2": "pending", "E3": "pending"}
        assert json.loads(slow.pipe.posted[0])["type"] == "emergency_stop"
        await trio.sleep(1)
        assert {r.engine_id: r.phase.value for r in world.board.get(stop.stop_id).results} == {
            "E1": "verified",
            "E2": "pending",
            "E3": "unreachable",
        }


async def test_a_stop_that_left_at_once_is_numbered_and_repeated_like_every_message(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine, pipe=Quick())
        engine.silent = True
        first, second = await world.stop(scope=Scope.of_engine("E1")), await world.stop(level=Level.HALT)
        assert [r.phase for s in (first, second) for r in s.results] == [StopPhase.SENT] * 2
        engine.pipe.cut()
        engine.silent = False
        await trio.sleep(0.1)
        await world.connect(engine, pipe=Quick())
        for stop in (first, second):
            assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED
        assert {s.stop_id for s in engine.stops()} == {first.stop_id, second.stop_id}


async def test_one_slow_engine_delays_nobody_else_s_stop(open_world, autojump_clock):
    async with open_world() as world:
        slow, quick = Engine("E1"), Engine("E2")
        await world.connect(slow)
        await world.connect(quick)
        slow.pipe.blocked = trio.Event()
        began = trio.current_time()
        await world.stop()
        await trio.sleep(0.01)
        assert len(quick.stops()) == 1
        assert trio.current_time() - began < 0.02


async def test_an_engine_that_takes_nothing_makes_no_work(open_world, autojump_clock, monkeypatch):
    """An acknowledgement is due and cannot be written: that is no reason to look again and again."""
    looks = []
    tick = PlatformSession.tick

    def counted(session, now):
        looks.append(now)
        if len(looks) > 500:
            raise AssertionError("it looks without end")
        return tick(session, now)

    monkeypatch.setattr(PlatformSession, "tick", counted)
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        await world.stop()
        engine.say(log_line(1))
        await trio.sleep(60)
        assert world.ledger.rows
        assert len(looks) < 60


async def test_what_waits_for_an_engine_that_takes_nothing_does_not_pile_up(open_world, autojump_clock):
    """However often it says that it lacks a stop: one answer and one letter wait for it."""
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        stop = await world.stop()
        await trio.sleep(14)  # two heartbeats
        before = len(engine.of(HeartbeatAck))
        engine.pipe.blocked.set()
        await trio.sleep(0.1)
        assert [s.stop_id for s in engine.stops()].count(stop.stop_id) == 1
        assert len(engine.of(HeartbeatAck)) - before == 1
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_an_engine_that_reads_stops_and_never_acknowledges_them_is_cut_off(
    open_world, autojump_clock, monkeypatch
):
    monkeypatch.setattr(engine_link, "STOPS_UNACKNOWLEDGED", 20)
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        engine.obey = lambda _stop: None
        engine.session.committed = lambda *_args, **_kw: None
        await world.connect(engine)
        await world.stop()
        await trio.sleep(5 * 30)
        assert engine.pipe.closed_with == 4030
        assert 15 < len(engine.stops()) < 25


async def test_a_link_that_is_to_be_closed_does_not_wait_for_a_peer_that_takes_nothing(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        link = await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        await world.stop()
        began = trio.current_time()
        await link.ask(CloseNow(code=CloseCode.DEREGISTERED, reason="error_deregistered"), timeout=5, urgent=True)
        assert trio.current_time() - began < 1
        assert engine.pipe.closed_with == 4511


async def test_an_engine_that_was_deregistered_before_its_hello_is_not_welcome(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        world.desk.is_enrolled = lambda _engine_id: False
        engine = Engine("E1")
        await world.connect(engine)
        assert (engine.of(Welcome), engine.pipe.closed_with) == ([], 4511)
        assert world.desk.place("E1").link is None


async def test_an_engine_that_is_deregistered_while_it_is_greeted_is_not_welcome(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        answers = iter([True])
        world.desk.is_enrolled = lambda _engine_id: next(answers, False)
        engine = Engine("E1")
        await world.connect(engine)
        assert (engine.of(Welcome), engine.pipe.closed_with) == ([], 4511)
        assert world.desk.shelf.links == {}


class Deaf(Pipe):
    """Its peer is gone without a word: a close frame is never answered."""

    async def close(self, code, reason):
        await trio.sleep(30)
        await super().close(code, reason)


async def test_an_engine_that_comes_back_does_not_wait_for_the_end_of_its_dead_connection(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, again = Engine("E1"), Engine("E1")
        await world.connect(first, pipe=Deaf())
        first.give_up_connection()
        began = trio.current_time()
        await world.connect(again)
        assert again.of(Welcome)
        assert trio.current_time() - began < 0.1
        await world.stop()
        await trio.sleep(0.01)
        assert len(again.stops()) == 1


async def test_a_flood_of_logs_does_not_hold_up_a_stop(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        for i in range(3000):
            engine.say(log_line(i))
        stop = await world.stop()
        await trio.sleep(0.01)
        assert len(engine.stops()) == 1
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


def log_line(i):
    return TradeLog(id=f"log-{i}", category=LogCategory.SYSTEM, message=f"line {i}", timestamp=wall())


async def test_what_an_engine_tells_is_acknowledged_only_once_it_is_committed(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        for i in range(5):
            engine.say(log_line(i))
        await trio.sleep(3)
        assert engine.session.outbox.unacked == 5
        world.ledger.away = False
        await trio.sleep(5)
        assert engine.session.outbox.unacked == 0
        assert len(world.ledger.rows) == 5


async def test_with_the_database_away_stops_heartbeats_and_leases_go_on(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        for i in range(300):
            engine.say(log_line(i))
        await trio.sleep(40)
        assert engine.leases[-1] > trio.current_time()
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_conflated_messages_are_acknowledged_while_the_database_is_away(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        engine.say(
            HealthUpdate(
                cpu_usage=3.0,
                memory_usage=4.0,
                process_status=ProcessStatus.RUNNING,
                engine_count=1,
                active_strategies=0,
                last_update=wall(),
            )
        )
        await trio.sleep(1)
        assert engine.session.outbox.unacked == 0


async def test_a_lease_is_granted_with_heartbeats_of_a_synced_engine_and_not_before(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", synced=False)
        await world.connect(engine)
        assert engine.of(Welcome)[0].lease_ms == 0
        await trio.sleep(11)
        assert max(engine.leases) <= trio.current_time()
        engine.synced = True
        await trio.sleep(6)
        assert engine.leases[-1] > trio.current_time() + 8


async def test_no_lease_is_given_while_the_coordinator_does_not_show_that_it_lives(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        await trio.sleep(6)
        assert engine.leases[-1] > trio.current_time()
        before = len(engine.leases)
        world.desk.shelf.pulse = -100.0
        shelf, world.desk.shelf = world.desk.shelf, attrs.evolve(world.desk.shelf, pulse=-100.0)
        await trio.sleep(16)
        assert len(engine.leases) > before
        assert engine.leases[-1] <= trio.current_time()
        world.desk.shelf = shelf


async def test_a_heartbeat_that_lacks_a_stop_is_answered_with_the_stop_again(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        await world.stop()
        await trio.sleep(0.1)
        engine.latch.clear()
        before = len(engine.stops())
        await trio.sleep(5.1)
        assert len(engine.stops()) == before + 1


async def test_silence_is_suspect_then_offline_and_the_link_is_closed(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        await trio.sleep(6)
        assert (await world.status("E1")).connection is Connection.CONNECTED
        engine.silent = True
        await trio.sleep(9)
        assert (await world.status("E1")).connection is Connection.SUSPECT
        await trio.sleep(8)
        status = await world.status("E1")
        assert (status.connection, status.halted_by_lease) == (Connection.OFFLINE, True)
        assert engine.pipe.closed_with == 4008


async def test_the_same_instance_takes_its_place_back_and_resumes_its_session(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        first = engine.pipe
        engine.say(log_line(1))
        await trio.sleep(1)
        engine.give_up_connection()
        await trio.sleep(0.1)
        await world.connect(engine)
        await trio.sleep(0.5)
        assert first.closed_with == 4501
        assert engine.of(Welcome)[-1].resumed
        engine.say(log_line(2))
        await trio.sleep(1)
        assert len(world.ledger.rows) == 2


async def test_a_hello_that_a_newer_connection_overtook_takes_nothing_over(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        late, engine = Engine("E1"), Engine("E1")
        late.silent = True
        await world.connect(late)
        await world.connect(engine)
        late.silent = False
        late.bell.set()
        await trio.sleep(0.1)
        assert (late.pipe.closed_with, engine.pipe.closed_with) == (4501, None)
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_of_two_connections_that_say_hello_at_once_one_is_left_and_it_hears_stops(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engines = [Engine("E1") for _ in range(4)]
        async with trio.open_nursery() as nursery:
            for engine in engines:
                nursery.start_soon(world.connect, engine)
        await trio.sleep(0.1)
        open_ones = [engine for engine in engines if engine.pipe.closed_with is None]
        assert len(open_ones) == 1
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED
        assert open_ones[0].stops()


async def test_another_instance_is_turned_away_while_the_first_may_be_alive(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        await world.connect(second)
        await trio.sleep(1)
        assert second.pipe.closed_with == 4023
        assert not second.of(Welcome)
        assert first.pipe.closed_with is None
        assert world.codes() == []  # it may still be one that is dead
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"]
        await trio.sleep(30)
        assert world.codes() == ["error_engine_id_in_use"]
        await world.connect(Engine("E1", instance="i3"))
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"] * 2


async def test_an_engine_that_was_killed_and_comes_back_at_once_is_no_twin(open_world, autojump_clock):
    """It is turned away until the dead one was silent for 7.5 s, as nobody can know that it is dead."""
    async with open_world(engines=1) as world:
        first = Engine("E1")
        await world.connect(first)
        await trio.sleep(6)
        first.pipe.cut()
        await trio.sleep(1)
        early = Engine("E1", instance="i2")
        await world.connect(early)
        assert early.pipe.closed_with == 4023
        await trio.sleep(6)
        again = Engine("E1", instance="i2")
        await world.connect(again)
        assert again.of(Welcome)
        await trio.sleep(30)
        assert world.codes() == []
        # The dead one was not dead: it is the twin now, and the one that holds the place lives.
        await world.connect(Engine("E1"))
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"]


async def test_an_instance_that_returns_after_another_one_was_turned_away_has_a_twin(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first = Engine("E1")
        await world.connect(first)
        await trio.sleep(6)
        first.pipe.cut()
        await trio.sleep(1)
        await world.connect(Engine("E1", instance="i2"))
        assert world.codes() == []
        await world.connect(first)
        await trio.sleep(5.1)
        assert world.codes() == ["error_engine_id_in_use"]


async def test_another_instance_gets_no_lease_before_the_first_one_s_is_surely_over(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        last_lease = first.leases[-1]
        first.silent = True
        await trio.sleep(8.7)
        await world.connect(second)
        assert second.of(Welcome)[0].lease_ms == 0
        granted = [x for x in await leases_for(second, 30) if x > 0]
        assert granted
        assert min(granted) - 15 > last_lease + 1.0


async def leases_for(engine, seconds):
    """The ends of the leases that were alive when they were given."""
    alive = []
    for _ in range(seconds * 10):
        before = len(engine.leases)
        await trio.sleep(0.1)
        alive += [x for x in engine.leases[before:] if x > trio.current_time()]
    return alive


async def test_an_engine_that_said_goodbye_may_be_followed_at_once(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        first.say(Goodbye(cause="stopped"))
        await trio.sleep(0.1)
        first.pipe.cut()
        await trio.sleep(0.1)
        assert (await world.status("E1")).connection is Connection.OFFLINE
        await world.connect(second)
        await trio.sleep(1)
        assert second.leases[-1] > trio.current_time()


async def test_a_stop_taken_while_an_engine_is_being_welcomed_is_never_lost(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.connect, engine)
            stop = await world.stop()
        await trio.sleep(0.1)
        assert stop.stop_id in engine.latch
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_local_stop_is_opened_under_the_engine_s_id_and_confirmed_to_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.latch["mine"] = StopRecord(stop_id="mine", scope=scope("engine:E1"), level=Level.HALT, stop_epoch=9)
        local = LocalStop(id="mine", level=Level.HALT, cause=LocalStopCause.SENTINEL, reason="file", at=wall())
        engine.say(local)
        await trio.sleep(1)
        assert world.board.get("mine").cause == "sentinel"
        assert engine.stops()[0].stop_id == "mine"
        await trio.sleep(6)
        later = await world.stop()
        assert later.epoch > 9


def scope(text):
    return Scope.parse(text)


async def test_a_deregistered_engine_s_link_is_closed_with_4511(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        link = await world.connect(engine)
        await link.ask(CloseNow(code=4511, reason="deregistered"), timeout=1)
        assert engine.pipe.closed_with == 4511


async def test_an_expired_token_closes_no_link_while_the_database_is_away_and_closes_it_afterwards(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        await trio.sleep(15 * 60 + 60)
        assert engine.session.state is State.LIVE
        world.ledger.away = False
        await trio.sleep(6)
        assert engine.pipe.closed_with == 4101


async def test_a_token_is_renewed_on_the_open_link_and_a_bad_one_ends_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        for n in range(3):
            await trio.sleep(10 * 60)
            engine.say(Auth(token="good"), id=f"a{n}")
        assert engine.session.state is State.LIVE
        engine.say(Auth(token="bad"), id="a9")
        await trio.sleep(0.1)
        assert engine.pipe.closed_with == 4504


async def test_going_down_writes_what_waits_says_goodbye_and_closes_with_4000(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        link = await world.connect(engine)
        stop = await world.stop()
        link.tell(Drain(), urgent=True)
        await trio.sleep(0.1)
        assert stop.stop_id in engine.latch
        (goodbye,) = engine.of(Goodbye)
        assert goodbye.cause == "drain"
        assert 1000 <= goodbye.reconnect_after_ms <= 3000
        assert engine.pipe.closed_with == 4000
        assert link.closed


async def test_an_engine_that_is_not_welcome_yet_is_told_too_when_the_platform_goes_down(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        engine.silent = True
        link = await world.connect(engine)
        link.tell(Drain(), urgent=True)
        await trio.sleep(0.1)
        assert engine.of(Goodbye)
        assert engine.pipe.closed_with == 4000


async def test_the_connection_of_a_silent_instance_is_closed_with_4501_when_another_one_takes_its_place(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        first.silent = True
        await trio.sleep(8)
        await world.connect(second)
        assert first.pipe.closed_with == 4501
        assert second.of(Welcome)


async def test_only_a_goodbye_that_says_stopped_frees_the_place_of_an_engine(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        first.say(Goodbye(cause="drain"))
        await trio.sleep(0.1)
        first.pipe.cut()
        await trio.sleep(0.1)
        await world.connect(second)
        assert second.pipe.closed_with == 4023


async def test_what_an_engine_had_no_room_for_is_told_to_people(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        engine.session.outbox.capacity = 20
        for n in range(30):
            engine.say(log_line(n))
        await world.connect(engine)
        await trio.sleep(1)
        codes = [a.code for a in world.alerts if isinstance(a, RaiseAlert)]
        assert "error_messages_lost" in codes
        kept = [r for r in world.ledger.rows.values() if isinstance(r, ErrorReport)]
        assert [report.code for report in kept] == ["error_outbox_full"]


async def test_a_clock_that_is_off_by_more_than_half_a_second_is_shown_and_warned_of_once(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        right, wrong = Engine("E1"), Engine("E2")
        wrong.session._clock = lambda: wall() + timedelta(milliseconds=800)
        await world.connect(right)
        await world.connect(wrong)
        await trio.sleep(31)
        assert not [a for a in world.alerts if isinstance(a, RaiseAlert)]
        await trio.sleep(60)
        (alert,) = [a for a in world.alerts if isinstance(a, RaiseAlert)]
        assert (alert.code, alert.engine_id) == ("error_clock_skew", "E2")
        rows = await world.system.ref("fleet").ask(ListHealth())
        shown = {row.engine_id: row.skew_ms for row in rows}
        assert shown["E1"] == 0
        assert shown["E2"] == pytest.approx(800, abs=20)
        assert wrong.session.skew_ms == pytest.approx(800, abs=20)


async def test_an_expired_token_closes_the_link_but_never_during_a_stop(open_world, autojump_clock):
    async with open_world() as world:
        stopped, free = Engine("E1"), Engine("E2")
        await world.connect(stopped)
        await world.connect(free)
        await world.stop(scope=scope("engine:E1"))
        await trio.sleep(15 * 60 + 40)
        assert free.pipe.closed_with == 4101
        assert stopped.pipe.closed_with is None
        assert stopped.session.state is State.LIVE


ANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY
@given(
    away=st.lists(st.booleans(), min_size=3, max_size=3),
    versions=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    pauses=st.lists(st.floats(0, 6), min_size=4, max_size=4),
)
def test_every_running_engine_hears_of_every_change_of_its_configuration(open_world, away, versions, pauses):
    """Feature: trading-platform-backend-integration, Property 7: 구성 변경 알림"""

    async def play():
        async with open_world(engines=3) as world:
            current = {"version": 0}
            world.desk.config_version = lambda _engine_id: current["version"]
            engines = [Engine(f"E{n + 1}") for n in range(3)]
            for engine, is_away in zip(engines, away, strict=True):
                if not is_away:
                    await world.connect(engine)
            for version, pause in zip(versions, pauses, strict=False):
                await trio.sleep(pause)
                current["version"] = version
                world.system.ref("fleet").tell(ConfigurationChanged(config_version=version))
            await trio.sleep(0.1)
            for engine, is_away in zip(engines, away, strict=True):
                if not is_away:
                    assert [m.config_version for m in engine.of(ConfigChanged)] == versions
                    continue
                await world.connect(engine)
                assert engine.of(Welcome)[0].config_version == versions[-1]

    trio.run(play, clock=MockClock(autojump_threshold=0))


@ANY
@given(
    story=st.lists(
        st.tuples(st.sampled_from(["cut", "half-open", "reset before hello"]), st.floats(0.1, 20)),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_a_link_that_fails_is_noticed_within_fifteen_seconds_and_the_engine_is_taken_back(open_world, story):
    """Feature: trading-platform-backend-integration, Property 21: 연결 상태 관리"""

    async def play():
        async with open_world(engines=1) as world:
            engine = Engine("E1")
            await world.connect(engine)
            sent = 0
            for failure, away in story:
                sent += 1
                engine.say(log_line(sent))
                if failure == "reset before hello":
                    pipe = Pipe()
                    pipe.cut()
                    await world.connect(Engine("E1"), pipe=pipe)
                    assert (await world.status("E1")).connection is Connection.CONNECTED
                    continue
                if failure == "cut":
                    engine.pipe.cut()
                else:
                    engine.silent = True
                await trio.sleep(away)
                shown = (await world.status("E1")).connection
                if failure == "cut" or away > 8:
                    assert shown is not Connection.CONNECTED
                if away > 15.6:
                    assert shown is Connection.OFFLINE
                engine.silent = False
                engine.give_up_connection()
                await trio.sleep(0.01)
                await world.connect(engine)
                assert (await world.status("E1")).connection is Connection.CONNECTED
                assert engine.of(Welcome)[-1].resumed
            await trio.sleep(1)
            assert len(world.ledger.rows) == sent
            assert engine.session.outbox.unacked == 0

    trio.run(play, clock=MockClock(autojump_threshold=0))


# --- what is not valid ----------------------------------------------------------------------------------------------


def malform(text):
    """What an engine of another make might send instead."""
    frame = json.loads(text)
    if frame["type"] == "trade_log" and frame["payload"]["message"] == "bad":
        frame["payload"].update(category="Order", token="canary", reason="\x1b[31mred")
    if frame["type"] == "fill":
        frame["payload"]["quantity"] = 0
    if frame["type"] == "error_report":
        frame["payload"]["code"] = 1001
    if frame["type"] == "health_update":
        frame["payload"]["memory_usage"] = 200
    return json.dumps(frame)


def line(log_id, message="line"):
    return TradeLog(id=log_id, category=LogCategory.SYSTEM, message=message, timestamp=START)


async def test_a_malformed_line_is_nacked_and_kept_as_a_quarantined_row_between_its_neighbours(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        for log_id, message in (("l1", "line"), ("l2", "bad"), ("l3", "line")):
            engine.say(line(log_id, message))
        await trio.sleep(2)
        first, row, last = world.ledger.rows.values()
        assert (first.id, last.id) == ("l1", "l3")
        assert isinstance(row, QuarantinedLog)
        assert row.reason == "payload.category: must be one of System, Strategy, Trade"
        assert "Order" in row.message
        assert "canary" not in row.message
        assert "\x1b" not in row.message
        facts = engine.session.statistics()
        assert (facts.refused, facts.unacked, facts.state) == (1, 0, State.LIVE)
        assert [a.code for a in world.alerts if isinstance(a, RaiseAlert)] == ["error_invalid_message"]


async def test_other_malformed_messages_are_dead_letters_and_those_with_successors_are_not_kept(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        engine.say(
            Fill(
                id="f1", order_id="o1", strategy_id="ma", symbol="005930", side=Side.BUY, quantity=5, price=71800,
                fee=1, tax=0, at=START,
            )
        )  # fmt: skip
        engine.say(
            HealthUpdate(
                cpu_usage=1.0, memory_usage=2.0, process_status=ProcessStatus.RUNNING, engine_count=1,
                active_strategies=0, last_update=START,
            )
        )  # fmt: skip
        await trio.sleep(2)
        (letter,) = world.ledger.letters
        assert (letter.engine_id, letter.kind, letter.payload) == ("E1", "fill", "{}")
        assert letter.reason == "not valid: payload.quantity: must be at least 1"
        assert world.ledger.rows == {}
        assert engine.session.statistics().refused == 2


async def test_an_error_with_a_number_for_its_code_is_set_aside_with_the_code_in_words(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        engine.say(
            ErrorReport(
                code="error_x", category=ErrorCategory.BROKER, reason="away", severity=Severity.ERROR, degraded=True
            )
        )
        await trio.sleep(2)
        (letter,) = world.ledger.letters
        assert letter.kind == "error_report"
        assert letter.reason.endswith("(it means error_api_connection)")


async def test_of_a_flood_of_malformed_lines_a_bounded_number_is_kept_and_the_link_lives(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        for number in range(QUARANTINE_LIMIT + 50):
            engine.say(line(f"l{number}", "bad"))
            await trio.sleep(0.01)
        engine.say(line("good"))
        await trio.sleep(2)
        rows = list(world.ledger.rows.values())
        assert sum(isinstance(row, QuarantinedLog) for row in rows) == QUARANTINE_LIMIT
        assert rows[-1].id == "good"
        assert engine.session.statistics().unacked == 0


async def test_a_malformed_line_is_kept_once_though_the_engine_sends_it_again(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        world.ledger.away = True
        engine.say(line("l1"))
        engine.say(line("l2", "bad"))
        await trio.sleep(1)
        engine.pipe.cut()
        await trio.sleep(1)
        world.ledger.away = False
        await world.connect(engine)
        await trio.sleep(3)
        kinds = [type(row) for row in world.ledger.rows.values()]
        assert sorted(k.__name__ for k in kinds) == ["QuarantinedLog", "TradeLog"]
        assert engine.session.statistics().unacked == 0


# --- one strategy is paused or goes on ----------------------------------------------------------------------------


def strategy(strategy_id="ma"):
    return StrategyReport(
        id=strategy_id, name="MA", status=StrategyState.PAUSED, parameters={}, parameter_schema={}, version=1
    )


async def command(world, action=StrategyAction.RESUME, *, strategy_id="ma", request_id="c1", reduced=None):
    asked = CommandStrategy(
        engine_id="E1", strategy_id=strategy_id, action=action, request_id=request_id, reduced=reduced
    )
    return await world.system.ref("fleet").ask(asked, timeout=20)


@asynccontextmanager
async def commanded(open_world, answer, *, capabilities=(STRATEGY_COMMANDS,)):
    """A world whose engine answers a command with what ``answer`` makes of it."""
    async with open_world() as world:
        engine = Engine("E1")
        engine.capabilities, engine.strategies = capabilities, (strategy(),)
        plainly = engine.on_event

        def on_event(event):
            plainly(event)
            if isinstance(event, Received) and isinstance(event.message, StrategyCommand):
                reply = answer(event.message)
                if reply is not None:
                    engine.say(reply)

        engine.on_event = on_event
        await world.connect(engine)
        await trio.sleep(0.01)
        yield world, engine


def done(asked):
    return StrategyResult(
        request_id=asked.request_id,
        strategy_id=asked.strategy_id,
        status=ResultStatus.APPLIED,
        strategy_status=StrategyState.ACTIVE,
    )


async def test_a_strategy_goes_on_by_a_command_with_the_present_epoch_and_the_engine_s_word_is_the_answer(
    open_world, autojump_clock
):
    async with commanded(open_world, done) as (world, engine):
        result = await command(world)
        assert (result.status, result.strategy_status) == (CommandStatus.APPLIED, StrategyState.ACTIVE)
        [sent] = [m for m in engine.received if isinstance(m, StrategyCommand)]
        assert (sent.strategy_id, sent.action, sent.request_id) == ("ma", StrategyAction.RESUME, "c1")
        assert sent.stop_epoch == world.desk.shelf.book.register.epoch
        assert 0 < sent.expires_ms <= 10_000


async def test_what_the_engine_refuses_is_said_in_its_words(open_world, autojump_clock):
    def no(asked):
        return StrategyResult(
            request_id=asked.request_id,
            strategy_id=asked.strategy_id,
            status=ResultStatus.FAILED,
            strategy_status=StrategyState.PAUSED,
            error="error_stale_epoch",
            reason="a stop came after this was decided",
        )

    async with commanded(open_world, no) as (world, _engine):
        result = await command(world)
        assert (result.status, result.error) == (CommandStatus.FAILED, "error_stale_epoch")


async def test_no_answer_within_ten_seconds_is_expired_and_nothing_is_sent_later(open_world, autojump_clock):
    async with commanded(open_world, lambda _asked: None) as (world, _engine):
        began = trio.current_time()
        result = await command(world)
        assert (result.status, result.error) == (CommandStatus.EXPIRED, "error_timeout")
        assert trio.current_time() - began == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("covering", ["all", "account:A1", "engine:E1", "strategy:E1/ma"])
async def test_no_strategy_goes_on_while_a_stop_holds_it(open_world, autojump_clock, covering):
    async with commanded(open_world, done) as (world, engine):
        await world.stop(scope=scope(covering), level=Level.REDUCE_ONLY)
        refused = await command(world)
        assert (refused.status, refused.error) == (409, "error_stopped")
        assert not [m for m in engine.received if isinstance(m, StrategyCommand)]
        paused = await command(world, StrategyAction.PAUSE, request_id="c2")
        assert paused.status is CommandStatus.APPLIED


@pytest.mark.parametrize("elsewhere", ["engine:E2", "strategy:E1/other", "symbol:005930"])
async def test_a_stop_of_something_else_holds_nothing_up(open_world, autojump_clock, elsewhere):
    async with commanded(open_world, done) as (world, engine):
        engine.strategies = (strategy(), strategy("other"))
        world.desk.shelf.book.roster.heard("E1", None, ["ma", "other"])
        await world.stop(scope=scope(elsewhere), level=Level.HALT)
        assert (await command(world)).status is CommandStatus.APPLIED


async def test_an_engine_that_does_not_know_commands_is_not_sent_any(open_world, autojump_clock):
    async with commanded(open_world, done, capabilities=("lease",)) as (world, engine):
        refused = await command(world)
        assert (refused.status, refused.error) == (409, "error_unsupported")
        assert not [m for m in engine.received if isinstance(m, StrategyCommand)]


async def test_reduced_limits_go_with_a_resume_to_engines_that_keep_to_them(open_world, autojump_clock):
    careful = ReducedLimits(minutes=15, max_order_value=1_000_000)
    async with commanded(open_world, done, capabilities=(STRATEGY_COMMANDS,)) as (world, engine):
        refused = await command(world, reduced=careful)
        assert (refused.status, refused.error, refused.field) == (409, "error_unsupported", "reduced")
        assert not engine.of(StrategyCommand)
    async with commanded(open_world, done, capabilities=(STRATEGY_COMMANDS, REDUCED_RESUMES)) as (world, engine):
        assert (await command(world, reduced=careful)).status is CommandStatus.APPLIED
        [sent] = engine.of(StrategyCommand)
        assert sent.reduced == Reduced(for_ms=900_000, max_order_value=1_000_000)


async def test_commands_name_a_strategy_of_a_connected_engine(open_world, autojump_clock):
    async with commanded(open_world, done) as (world, engine):
        assert (await command(world, strategy_id="none")).error == "error_unknown_strategy"
        engine.pipe.cut()
        await trio.sleep(0.01)
        assert (await command(world)).error == "error_engine_offline"


# --- two weeks --------------------------------------------------------------------------------------------------------

DAY = 86_400
DAYS = int(os.environ.get("WATCHKEEPER_SOAK_DAYS", "14"))


class Forgetful(Engine):
    """An engine that keeps nothing of what it heard: whatever grows is the product's. Its token is renewed in time."""

    def on_event(self, event):
        super().on_event(event)
        self.received.clear()
        self.leases.clear()

    async def trade(self, rng):
        renewed = 0.0
        while True:
            await trio.sleep(rng.uniform(5, 55))
            log_id = f"{self.engine_id}-{rng.getrandbits(64):x}"
            self.say(TradeLog(id=log_id, category=LogCategory.SYSTEM, message="still here", timestamp=wall()))
            self.say(
                HealthUpdate(
                    engine_count=1,
                    active_strategies=1,
                    cpu_usage=rng.uniform(0, 100),
                    memory_usage=5.0,
                    process_status=ProcessStatus.RUNNING,
                    last_update=wall(),
                )
            )
            if trio.current_time() - renewed > 600:
                self.say(Auth(token="good"))
                renewed = trio.current_time()


class Counting(Ledger):
    """A database that only counts."""

    kept = 0

    async def commit(self, received, progress, now):
        self.ask()
        self.kept += len(received)
        return Committed(new=received, rejected=[], moved=frozenset())


@attrs.frozen
class Held:
    """What a process keeps: tasks, objects the collector knows, and the bytes of these objects alone."""

    tasks: int
    objects: int
    bytes: int

    @classmethod
    def now(cls):
        for _ in range(3):
            gc.collect()
        objects = gc.get_objects()
        tasks = trio.lowlevel.current_statistics().tasks_living
        return cls(tasks, len(objects), sum(map(sys.getsizeof, objects)))


@pytest.mark.deep
async def test_two_weeks_leave_nothing_behind(open_world, autojump_clock, capsys):
    """Heartbeats, logs, reports, renewed tokens, a cable pulled every few hours, the database away for a minute every
    day, and a stop raised every day: after the second day nothing grows by more than a twentieth."""
    rng, held = random.Random(1), {}
    async with open_world(ledger=Counting()) as world:
        engines = [Forgetful("E1"), Forgetful("E2")]
        for engine in engines:
            await world.connect(engine)
            world.nursery.start_soon(engine.trade, rng)
        for day in range(1, DAYS + 1):
            await a_day(world, engines, rng, day)
            world.alerts.clear()
            held[day] = Held.now()
        assert world.ledger.kept > DAYS * 2_000
        assert {(await world.status(e.engine_id)).connection for e in engines} == {Connection.CONNECTED}
    with capsys.disabled():
        print(*(f"\nday {day}: {one}" for day, one in held.items()), sep="")
    first, last = held[max(1, DAYS // 7)], held[DAYS]
    for name in ("tasks", "objects", "bytes"):
        assert getattr(last, name) <= getattr(first, name) * 1.05, (name, held)


async def a_day(world, engines, rng, day):
    began = trio.current_time()
    stop = await world.stop(scope=Scope.parse("engine:E1"), level=Level.HALT, request_id=f"day-{day}")
    await world.state(stop, StopState.VERIFIED)
    for _ in range(6):
        await trio.sleep(rng.uniform(1, 4) * 3_000)
        engine = rng.choice(engines)
        engine.pipe.cut()
        await trio.sleep(rng.uniform(0.1, 20))
        await world.connect(engine)
    world.ledger.away = True
    await trio.sleep(60)
    world.ledger.away = False
    await trio.sleep_until(began + DAY)


@pytest.mark.parametrize(("proof", "widely"), [(True, "all"), (False, "engine:E1")])
async def test_a_stop_nobody_here_knows_is_open_again_before_its_engine_is_welcome(
    open_world, autojump_clock, kit, proof, widely
):
    async with open_world() as world:
        held = StopRecord(stop_id="older", scope=scope("all"), level=Level.CANCEL, stop_epoch=70)
        engine, other = Engine("E1"), Engine("E2")
        await world.connect(other)
        engine.latch["older"] = attrs.evolve(held, proof=kit.prove(held)) if proof else held
        await world.connect(engine)
        (welcome,) = engine.of(Welcome)
        assert [(r.stop_id, str(r.scope), r.level) for r in welcome.stop.effective] == [("older", widely, Level.CANCEL)]
        assert welcome.stop.epoch >= 70
        assert [a.code for a in world.alerts] == ["error_unknown_stop_reopened"]
        assert len(other.stops()) == proof  # a proof that holds stops everybody whom the platform once meant
