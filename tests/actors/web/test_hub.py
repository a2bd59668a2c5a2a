"""The hub: everything reaches every reader once, in order, or the reader is told exactly what it missed."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.live import streams
from actors.live.hub import AT_ONCE, STEP_CHARS, TICK, Hub
from actors.live.streams import BACKLOG, RING, TooSlow
from wire.messages import TradeLog
from wire.rest.records import Alert, AlertState
from wire.ui import Delivery, Subscription, Topic
from wire.values import LogCategory

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def trade(n: int) -> TradeLog:
    return TradeLog(id=f"t{n}", category=LogCategory.SYSTEM, message=f"line {n}", timestamp=NOW)


def alert(n: int, state: AlertState = AlertState.OPEN) -> Alert:
    return Alert(
        id=f"a{n}",
        code="error_some",
        severity="error",
        reason="words",
        engine_id=None,
        stop_id=None,
        state=state,
        raised_at=NOW,
        acknowledged_by=None,
        acknowledged_at=None,
    )


@attrs.define
class Reader:
    """A dashboard that does what the protocol says and complains when the platform does not."""

    hub: Hub
    topic: Topic
    epoch: str | None = None
    offset: int | None = None
    items: list[Any] = attrs.field(factory=list)
    missed: list[int] = attrs.field(factory=list)
    feed: Any = None

    def connect(self) -> "Reader":
        self.feed = self.hub.feed([Subscription(topic=self.topic, epoch=self.epoch, offset=self.offset)])
        [state] = self.feed.states()
        if not state.recovered:
            self.offset = None
        return self

    def read(self) -> "Reader":
        while self.step():
            pass
        return self

    def step(self) -> bool:
        frames = self.feed.next_frames()
        for frame in map(json.loads, frames.texts if frames else ()):
            getattr(self, f"on_{frame['type']}")(frame["payload"])
        return frames is not None

    def on_snapshot(self, payload: dict[str, Any]) -> None:
        self.epoch, self.offset, self.items = payload["epoch"], payload["offset"], payload["items"]

    def on_gap(self, payload: dict[str, Any]) -> None:
        assert self.offset is not None
        assert payload["from_offset"] == self.offset + 1
        self.missed.extend(range(payload["from_offset"], payload["to_offset"] + 1))
        self.offset = payload["to_offset"]

    def on_delta(self, payload: dict[str, Any]) -> None:
        assert self.offset is not None
        assert payload["offset"] == self.offset + len(payload["items"]) + payload.get("conflated", 0)
        self.offset = payload["offset"]
        self.items += payload["items"]

    def ids(self) -> list[str]:
        return [item["id"] for item in self.items]


def test_a_reader_gets_the_snapshot_and_then_what_follows_it():
    hub = Hub()
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    reader = Reader(hub, Topic.TRADES).connect()
    hub.publish_from(Topic.TRADES, "E1", trade(2))
    assert reader.read().ids() == ["t1", "t2"]
    assert {item["engine_id"] for item in reader.items} == {"E1"}


def test_a_reader_that_comes_back_goes_on_where_it_was():
    hub = Hub()
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    reader = Reader(hub, Topic.TRADES).connect().read()
    hub.publish_from(Topic.TRADES, "E1", trade(2))
    assert reader.connect().feed.states()[0].recovered
    assert reader.read().ids() == ["t1", "t2"]


def test_a_reader_of_another_epoch_starts_from_a_snapshot():
    reader = Reader(Hub("old"), Topic.TRADES, epoch="other.0", offset=7).connect()
    assert not reader.feed.states()[0].recovered


def test_a_reader_that_claims_an_offset_from_the_future_starts_from_a_snapshot():
    hub = Hub("now")
    reader = Reader(hub, Topic.TRADES, epoch=hub.stream(Topic.TRADES).epoch, offset=9).connect()
    assert not reader.feed.states()[0].recovered


def test_what_a_slow_reader_misses_of_a_ring_is_named_exactly():
    hub = Hub()
    reader = Reader(hub, Topic.TRADES).connect().read()
    for n in range(1, RING + 8):
        hub.publish_from(Topic.TRADES, "E1", trade(n))
    reader.read()
    assert reader.missed == list(range(1, 8))
    assert reader.ids() == [f"t{n}" for n in range(8, RING + 8)]


def test_a_reader_too_far_behind_a_lossless_topic_is_given_up():
    hub = Hub()
    reader = Reader(hub, Topic.ALERTS).connect().read()
    for n in range(BACKLOG + 1):
        hub.publish(Topic.ALERTS, alert(n), key=f"a{n}")
    with pytest.raises(TooSlow):
        reader.read()


def test_an_open_alert_outlives_any_number_of_closed_ones_in_the_snapshot():
    hub = Hub()
    hub.publish(Topic.ALERTS, alert(0), key="a0")
    for n in range(1, 1000):
        hub.publish(Topic.ALERTS, alert(n, AlertState.RESOLVED), key=f"a{n}")
    assert "a0" in Reader(hub, Topic.ALERTS).connect().read().ids()


def test_only_the_latest_of_a_key_is_sent_and_what_it_replaced_is_counted():
    hub = Hub()
    reader = Reader(hub, Topic.ACCOUNTS).connect().read()
    for n in range(5):
        hub.publish(Topic.ACCOUNTS, trade(n), key="E1")
    hub.publish(Topic.ACCOUNTS, trade(9), key="E2")
    [payload] = payloads(reader.feed)
    assert [i["id"] for i in payload["items"]] == ["t4", "t9"]
    assert payload["conflated"] == 4


def test_a_retracted_key_vanishes_from_every_reader_by_a_new_snapshot():
    hub = Hub()
    hub.publish(Topic.ENGINES, trade(1), key="E1")
    hub.publish(Topic.ENGINES, trade(2), key="E2")
    reader = Reader(hub, Topic.ENGINES).connect().read()
    hub.retract(Topic.ENGINES, "E1")
    assert reader.read().ids() == ["t2"]


def payloads(feed) -> list[dict[str, Any]]:
    """Of the next step."""
    return [json.loads(text)["payload"] for text in feed.next_frames().texts]


def follow(hub: Hub, *topics: Topic):
    return hub.feed([Subscription(topic=topic) for topic in topics])


def test_stops_overtake_the_telemetry_a_reader_still_has_to_get():
    hub = Hub()
    feed = follow(hub, Topic.TRADES, Topic.ALERTS)
    while feed.next_frames():
        pass
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    hub.publish(Topic.ALERTS, alert(1), key="a1")
    assert [payload["topic"] for payload in payloads(feed)] == ["alerts", "trades"]


def test_readers_at_the_same_place_share_the_very_same_bytes():
    hub = Hub()
    feeds = [follow(hub, Topic.TRADES, Topic.HEALTH) for _ in range(3)]
    for feed in feeds:
        assert feed.next_frames()
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    hub.publish_from(Topic.HEALTH, "E1", trade(2), key="E1")
    first, second, third = (feed.next_frames().data for feed in feeds)
    assert first is second is third


def test_a_step_that_is_long_already_leaves_the_next_topic_for_another():
    hub = Hub()
    feed = follow(hub, Topic.TRADES, Topic.HEALTH)
    feed.next_frames()
    assert not feed.is_urgent()
    long = attrs.evolve(trade(1), message="x" * 2000)
    for _ in range(STEP_CHARS // 2000 + 1):
        hub.publish_from(Topic.TRADES, "E1", long)
    hub.publish_from(Topic.HEALTH, "E1", trade(2), key="E1")
    assert [payload["topic"] for payload in payloads(feed)] == ["trades"]
    assert feed.is_urgent()
    assert [payload["topic"] for payload in payloads(feed)] == ["health"]
    assert not feed.is_urgent()
    assert feed.next_frames() is None


@attrs.define(eq=False, slots=False)
class Listener:
    """A dashboard that takes everything at once; ``fails`` is how it takes the next step instead."""

    hub: Hub
    feed: Any
    heard: list[tuple[float, str, int]] = attrs.field(factory=list)
    given_up: list[bool] = attrs.field(factory=list)
    fails: Exception | None = None

    def hear(self, step: Any) -> None:
        if self.fails is not None:
            raise self.fails
        for text in self.feed.take(step).texts:
            payload = json.loads(text)["payload"]
            self.heard.append((trio.current_time(), payload["topic"], payload["offset"]))

    def give_up(self, *, too_slow: bool) -> None:
        self.given_up.append(too_slow)
        self.hub.leave(self)


@asynccontextmanager
async def telling(*topics: Topic, listeners: int = 1):
    """A hub that tells ``listeners`` what follows their snapshots."""
    hub = Hub()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        found = [Listener(hub, follow(hub, *topics)) for _ in range(listeners)]
        for one in found:
            one.feed.next_frames()
            hub.wait(one)
        await trio.sleep(2 * TICK)
        yield hub, found
        nursery.cancel_scope.cancel()


async def test_telemetry_waits_for_the_common_tick(autojump_clock: trio.testing.MockClock):
    async with telling(Topic.TRADES, listeners=2) as (hub, listeners):
        await trio.sleep(TICK / 3)
        for n in (1, 2):
            hub.publish_from(Topic.TRADES, "E1", trade(n))
        begun = trio.current_time()
        await trio.sleep(2 * TICK)
        for one in listeners:
            [(at, _, offset)] = one.heard
            assert offset == 2
            assert 0 < at - begun <= TICK
            assert at == pytest.approx(round(at / TICK) * TICK)


async def test_a_stop_or_an_alert_waits_for_no_tick(autojump_clock: trio.testing.MockClock):
    async with telling(Topic.TRADES, Topic.ALERTS) as (hub, [listener]):
        await trio.sleep(TICK / 3)
        hub.publish_from(Topic.TRADES, "E1", trade(1))
        await trio.testing.wait_all_tasks_blocked()
        assert listener.heard == []
        hub.publish(Topic.ALERTS, alert(1), key="a1")
        begun = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert listener.heard == [(begun, "alerts", 1), (begun, "trades", 1)]


async def test_what_goes_wrong_with_one_listener_ends_that_one_only(autojump_clock: trio.testing.MockClock, caplog):
    async with telling(Topic.TRADES, listeners=3) as (hub, [first, bad, last]):
        bad.fails = ValueError("some defect")
        for n in (1, 2):
            hub.publish_from(Topic.TRADES, "E1", trade(n))
            await trio.sleep(2 * TICK)
        assert bad.given_up == [False]
        assert [offset for _, _, offset in first.heard] == [offset for _, _, offset in last.heard] == [1, 2]
        assert "some defect" in caplog.text


async def test_who_lost_what_nobody_may_miss_is_given_up_and_the_others_go_on(autojump_clock: trio.testing.MockClock):
    async with telling(Topic.ALERTS, listeners=2) as (hub, [slow, quick]):
        hub.leave(slow)
        for n in range(BACKLOG + 1):
            hub.publish(Topic.ALERTS, alert(n), key=f"a{n}")
            await trio.testing.wait_all_tasks_blocked()
        hub.wait(slow)
        await trio.sleep(2 * TICK)
        assert (slow.given_up, quick.given_up) == ([True], [])
        assert [offset for _, _, offset in quick.heard] == list(range(1, BACKLOG + 2))


@pytest.mark.parametrize("moves_on", [False, True])
async def test_who_left_or_moved_on_by_itself_while_others_were_told_is_passed_over(
    autojump_clock: trio.testing.MockClock, moves_on: bool
):
    async with telling(Topic.TRADES, listeners=2) as (hub, [first, second]):

        def leave(step: Any) -> None:
            hub.leave(second)
            if moves_on:
                second.feed.next_frames()
                hub.wait(second)

        first.hear = leave
        hub.publish_from(Topic.TRADES, "E1", trade(1))
        await trio.sleep(2 * TICK)
        assert second.heard == []


async def test_many_listeners_are_told_the_same_and_everybody_else_has_a_turn_in_between(
    autojump_clock: trio.testing.MockClock,
):
    turns = 0

    async def somebody_else():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1
            if turns % 2:
                hub.publish_from(Topic.TRADES, "E1", trade(turns))

    async with telling(Topic.TRADES, Topic.ALERTS, listeners=10 * AT_ONCE) as (hub, listeners):
        async with trio.open_nursery() as nursery:
            hub.publish(Topic.ALERTS, alert(1), key="a1")
            nursery.start_soon(somebody_else)
            while not listeners[-1].heard:
                await trio.lowlevel.checkpoint()
            assert turns >= 9
            nursery.cancel_scope.cancel()
        assert len({tuple((topic, offset) for _, topic, offset in one.heard) for one in listeners}) == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 200)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("one step"), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0)),
    ),
    max_size=30,
)


@settings(deadline=None)  # a shared machine is slow at times
@given(steps=steps, topic=st.sampled_from([Topic.TRADES, Topic.ACCOUNTS]))
def test_whatever_a_reader_does_it_has_every_item_once_or_knows_which_it_missed(
    steps: list[tuple[str, int]], topic: Topic
):
    with pytest.MonkeyPatch.context() as small:
        small.setattr(streams, "RING", 500)  # few steps shall go over it
        hub, count = Hub(), 0
    reader = Reader(hub, topic).connect()
    for step, amount in steps:
        if step == "publish":
            for _ in range(amount):
                count += 1
                hub.publish_from(topic, "E1", trade(count), key=f"k{count % 3}")
        elif step == "reconnect":
            reader.connect()
        elif step == "read":
            reader.read()
        else:
            reader.step()
    reader.read()
    seen = reader.ids()
    if hub.stream(topic).delivery is Delivery.LATEST:
        last = {f"k{n % 3}": f"t{n}" for n in range(1, count + 1)}
        assert set(last.values()) <= set(seen)
        assert len(seen) == len(set(seen))
    else:
        assert seen == sorted(seen, key=lambda i: int(i[1:]))
        got = [int(i[1:]) for i in seen]
        first = got[0] if got else count + 1
        assert [n for n in range(first, count + 1) if n not in got] == [n for n in reader.missed if n >= first]


def test_a_state_is_written_once_for_all_readers_and_not_at_all_when_nobody_looks(monkeypatch):
    written = []
    honest = streams._written
    monkeypatch.setattr(streams, "_written", lambda item, owner: written.append(owner) or honest(item, owner))
    hub = Hub()
    for n in range(1, 6):
        hub.publish_from(Topic.POSITIONS, "E1", trade(n), key="E1")
    assert written == []
    first, second = Reader(hub, Topic.POSITIONS).connect().read(), Reader(hub, Topic.POSITIONS).connect().read()
    assert first.ids() == second.ids() == ["t5"]
    assert written == ["E1"]
