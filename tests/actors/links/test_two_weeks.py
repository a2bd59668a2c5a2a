"""Two weeks of links in virtual time leave nothing behind."""

import gc
import os
import random
import sys

import attrs
import pytest
import trio

from store.logs import Committed
from tests.actors.links.engine import Engine, wall
from tests.actors.links.world import Ledger
from wire.messages import Auth, HealthUpdate, TradeLog
from wire.rest.engines import Connection
from wire.rest.stops import StopState
from wire.stops import Level, Scope
from wire.values import LogCategory, ProcessStatus

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
