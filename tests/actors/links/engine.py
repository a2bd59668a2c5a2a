"""Engines that speak the real session, and the pipes in memory that stand for their sockets."""

import math
from datetime import UTC, datetime, timedelta

import trio

from actors.links.engine_link import LinkEnded
from wire.messages import EmergencyStop, Hello, StopProgress, TradeLog, Welcome
from wire.session import EngineSession, LeaseGranted, Received, Vitals
from wire.stops import Level
from wire.values import Flatness, LatchState, LogCategory, StopPhase, TradingMode

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


def log_line(i):
    return TradeLog(id=f"log-{i}", category=LogCategory.SYSTEM, message=f"line {i}", timestamp=wall())
