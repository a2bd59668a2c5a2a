"""One browser's outbox: what the hub writes, what its pump writes, and in which order."""

import json
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from actors.live.client import Outbox
from actors.live.frames import Frames
from actors.live.hub import STEP_CHARS, TICK, Hub
from actors.live.session import Close, CloseCode
from actors.live.streams import BACKLOG
from wire.ui import Subscription, Topic


@attrs.define
class ScriptedWay:
    """Takes everything at once, or nothing until ``room`` is set."""

    said: list[tuple[float, str]] = attrs.field(factory=list)
    room: trio.Event = attrs.field(factory=trio.Event)
    gone: bool = False

    def post(self, frames: Frames) -> bool:
        self.said += [(trio.current_time(), text) for text in frames.texts]
        return self.room.is_set()

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.room.wait()
        if self.gone:
            raise trio.ClosedResourceError

    def stall(self) -> None:
        self.room = trio.Event()

    def told(self) -> list[tuple[float, str]]:
        """When, and the topic or what else it was; then forgets it."""
        said, self.said = self.said, []
        return [(at, json.loads(text)["payload"]["topic"] if text[0] == "{" else text) for at, text in said]


@attrs.define
class Scene:
    hub: Hub
    way: ScriptedWay
    outbox: Outbox
    ends: list[Close] = attrs.field(factory=list)

    async def pump(self) -> None:
        self.ends.append(await self.outbox.speak())


@pytest.fixture
async def scene():
    """An outbox that follows trades, health and alerts, up to date, a third of a tick after a tick."""
    async with open_scene() as scene:
        yield scene


@asynccontextmanager
async def open_scene():
    hub, way = Hub(), ScriptedWay()
    way.room.set()
    scene = Scene(hub, way, Outbox(hub, way))
    scene.outbox.feed = hub.feed(Subscription(topic=t) for t in (Topic.TRADES, Topic.HEALTH, Topic.ALERTS))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        nursery.start_soon(scene.pump)
        await trio.sleep(3 * TICK + TICK / 3)
        assert [topic for _, topic in way.told()] == ["alerts", "trades", "health"]
        yield scene
        nursery.cancel_scope.cancel()


async def test_answers_and_what_is_urgent_go_at_once_and_telemetry_at_the_tick(scene, autojump_clock):
    now = trio.current_time()
    scene.hub.publish(Topic.TRADES, 1)
    scene.outbox.put("answer")
    await trio.testing.wait_all_tasks_blocked()
    assert scene.way.told() == [(now, "answer")]
    scene.hub.publish(Topic.HEALTH, 1, key="E1")
    await trio.sleep(TICK)
    [(first, one), (second, other)] = scene.way.told()
    assert (one, other) == ("trades", "health")
    assert now < first == second <= now + TICK
    scene.hub.publish(Topic.ALERTS, 1)
    now = trio.current_time()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.way.told() == [(now, "alerts")]


async def test_an_answer_is_never_overtaken_by_what_comes_after_it(scene, autojump_clock):
    """A bookmark names what was told before it."""
    for _ in range(30):
        scene.outbox.put("answer")
        scene.hub.publish(Topic.ALERTS, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert [what for _, what in scene.way.told()] == ["answer", "alerts"]


async def test_who_was_behind_gets_what_is_urgent_at_once_and_telemetry_at_the_next_tick(scene, autojump_clock):
    scene.way.stall()
    scene.hub.publish(Topic.TRADES, 1)
    await trio.sleep(3 * TICK)
    assert len(scene.way.told()) == 1
    assert scene.outbox.handed_at is not None
    scene.hub.publish(Topic.TRADES, 2)
    await trio.sleep(TICK)
    assert scene.way.told() == []
    scene.way.room.set()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.way.told() == []
    assert scene.outbox.handed_at is None
    await trio.sleep(TICK)
    [(at, what)] = scene.way.told()
    assert what == "trades"
    assert at == pytest.approx(round(at / TICK) * TICK)
    scene.way.stall()
    scene.hub.publish(Topic.TRADES, 3)
    await trio.sleep(TICK)
    scene.way.told()
    scene.hub.publish(Topic.ALERTS, 1)
    now = trio.current_time()
    scene.way.room.set()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.way.told() == [(now, "alerts")]


async def test_the_rest_of_a_long_step_waits_for_no_tick(scene, autojump_clock):
    for n in range(STEP_CHARS // 2000 + 1):
        scene.hub.publish(Topic.TRADES, f"{n}" + "x" * 2000)
    scene.hub.publish(Topic.HEALTH, 1, key="E1")
    await trio.sleep(TICK)
    [(first, one), (second, other)] = scene.way.told()
    assert (one, other) == ("trades", "health")
    assert first == second


async def test_who_misses_what_nobody_may_miss_is_closed_as_too_slow(scene, autojump_clock):
    scene.way.stall()
    scene.hub.publish(Topic.TRADES, 1)
    await trio.sleep(TICK)
    for n in range(BACKLOG + 1):
        assert not scene.outbox.is_stuck(trio.current_time())
        scene.hub.publish(Topic.ALERTS, n)
    assert scene.outbox.is_stuck(trio.current_time())
    scene.way.room.set()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.ends == [Close(CloseCode.SLOW, "error_slow_consumer")]


async def test_the_end_comes_after_the_answers_and_nothing_after_it(scene, autojump_clock):
    scene.outbox.put("answer")
    scene.outbox.end(Close(CloseCode.DRAINING, "error_draining"))
    scene.hub.publish(Topic.ALERTS, 1)
    await trio.sleep(TICK)
    assert [what for _, what in scene.way.told()] == ["answer"]
    assert scene.ends == [Close(CloseCode.DRAINING, "error_draining")]


async def test_a_link_that_is_gone_ends_its_pump_with_the_next_that_is_told(autojump_clock):
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with open_scene() as scene:
            scene.way.gone = True
            scene.way.stall()
            scene.hub.publish(Topic.TRADES, 1)
            await trio.sleep(TICK)
            scene.way.room.set()
            await trio.sleep_forever()
