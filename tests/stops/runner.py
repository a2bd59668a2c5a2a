"""Engines of the simulation that run, and the wires between them and the platform."""

import trio

from actors.links.engine_link import LinkEnded
from tests.stops import engine as small
from tests.stops import judge
from wire.lanes import LANES, Lane
from wire.messages import TradeLog
from wire.sdk.outlet import Spooled


class Pipe:
    """Both ends of a connection, in order and without loss, until it is cut. Either direction may be clogged."""

    def __init__(self, life):
        self.life = life
        self.to_engine, self.engine_gets = trio.open_memory_channel(10_000)
        self.to_platform, self.platform_gets = trio.open_memory_channel(10_000)
        self.flows = trio.Event()
        self.flows.set()
        self.clear_since = self.since = trio.current_time()
        self.posted = []

    @property
    def is_behind(self):
        return bool(self.posted)

    def post(self, text):
        self.posted.append(text)

    async def flush(self):
        while self.posted:
            await self.send(self.posted.pop(0))

    async def receive_many(self):
        return [await self.receive()]

    def clog(self):
        if self.flows.is_set():
            self.clear_since = float("inf")
            self.flows = trio.Event()

    def unclog(self):
        if not self.flows.is_set():
            self.clear_since = trio.current_time()
            self.flows.set()

    async def send(self, text):
        if not self.life.alive:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        try:
            self.to_engine.send_nowait(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock) as error:
            raise LinkEnded from error

    async def receive(self):
        try:
            text = await self.platform_gets.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise LinkEnded from error
        if not self.life.alive:
            await trio.sleep_forever()
        return text

    async def close(self, code, reason):
        await trio.lowlevel.checkpoint()
        self.to_engine.close()
        self.platform_gets.close()

    def cut(self):
        for end in (self.to_platform, self.engine_gets, self.to_engine, self.platform_gets):
            end.close()


class Spool(small.Outlet):
    """Everything lossless but the story, durable at once."""

    def send(self, message):
        if LANES[type(message)] is Lane.LOSSLESS and not isinstance(message, TradeLog):
            name = f"spool-{self.engine.world.letters()}"
            self.engine.disk.spool[name] = message
            self.fresh.append(name)
            self.wake()

    def take_fresh(self, _limit):
        names, self.fresh = self.fresh, []
        return [Spooled(id=n, message=self.engine.disk.spool[n]) for n in names if n in self.engine.disk.spool]

    def acknowledged(self, ids):
        for name in ids:
            self.engine.disk.spool.pop(name, None)


class Runner(small.Engine):
    """An engine that runs: it dials, reads, writes, saves its latch after a while, and would like to trade."""

    outlet_class = Spool
    pipe = None

    def remember(self):
        """No frame is heard twice on a wire that keeps its order."""

    async def live(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save)
            nursery.start_soon(self._trade)
            while True:
                pipe = await self.world.dial(self)
                if pipe is not None:
                    await self._converse(pipe)
                await trio.sleep(0.05 + self.world.rng.random())

    async def _converse(self, pipe):
        self.bell, self.pipe = trio.Event(), pipe
        self.talks.wake = lambda: self.bell.set()
        self.talks.connected()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, pipe, nursery.cancel_scope)
                await self._write(pipe)
                nursery.cancel_scope.cancel()
        finally:
            pipe.cut()
            self.talks.lost(small.CUT)
            self.talks.disconnected()
            self.talks.gave_up, self.gate.fenced, self.pipe = "", None, None

    async def _read(self, pipe, scope):
        try:
            while True:
                text = await pipe.engine_gets.receive()
                await pipe.flows.wait()
                self.talks.receive(text)
                self.note_confirmed()
                self.bell.set()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            scope.cancel()

    async def _write(self, pipe):
        while True:
            frames = self.talks.frames()
            self.note_confirmed()
            for text in frames:
                await pipe.flows.wait()
                try:
                    pipe.to_platform.send_nowait(text)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):
                    return
            if self.talks.is_over:
                return
            if not frames:
                deadline = self.talks.deadline()
                with trio.move_on_at(trio.current_time() + 60 if deadline is None else deadline):
                    await self.bell.wait()
                self.bell = trio.Event()
                await trio.sleep(0.001)

    async def _save(self):
        while True:
            await trio.sleep(0.02 + self.world.rng.random() * 0.2)
            if self.unsaved:
                self.save()

    async def _trade(self):
        while True:
            await trio.sleep(0.25)
            judge.engine(self)
            if self.may_open():
                self.world.orders += 1
                self.world.opens(self)
