"""The hub: everything reaches every reader once, in order, or the reader is told exactly what it missed."""

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.live import streams
from actors.live.hub import TICK, Hub, Waker
from actors.live.streams import BACKLOG, RING, TooSlow
from wire.messages import LogCategory, TradeLog
from wire.rest import Alert, AlertState
from wire.ui import Delivery, Subscription, Topic

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
        while (text := self.feed.next_frame()) is not None:
            frame = json.loads(text)
            getattr(self, f"on_{frame['type']}")(frame["payload"])
        return self

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
    [text] = [reader.feed.next_frame()]
    payload = json.loads(text or "")["payload"]
    assert [i["id"] for i in payload["items"]] == ["t4", "t9"]
    assert payload["conflated"] == 4


def test_a_retracted_key_vanishes_from_every_reader_by_a_new_snapshot():
    hub = Hub()
    hub.publish(Topic.ENGINES, trade(1), key="E1")
    hub.publish(Topic.ENGINES, trade(2), key="E2")
    reader = Reader(hub, Topic.ENGINES).connect().read()
    hub.retract(Topic.ENGINES, "E1")
    assert reader.read().ids() == ["t2"]


def test_stops_overtake_the_telemetry_a_reader_still_has_to_get():
    hub = Hub()
    feed = hub.feed([Subscription(topic=Topic.TRADES), Subscription(topic=Topic.ALERTS)])
    while feed.next_frame():
        pass
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    hub.publish(Topic.ALERTS, alert(1), key="a1")
    assert json.loads(feed.next_frame() or "")["payload"]["topic"] == "alerts"


def test_readers_at_the_same_place_share_the_very_same_frame():
    hub = Hub()
    feeds = [hub.feed([Subscription(topic=Topic.TRADES)]) for _ in range(3)]
    for feed in feeds:
        assert feed.next_frame()
    hub.publish_from(Topic.TRADES, "E1", trade(1))
    frames = [feed.next_frame() for feed in feeds]
    assert frames[0] is frames[1] is frames[2]


async def test_telemetry_waits_for_the_common_tick(autojump_clock: trio.testing.MockClock):
    hub, waker = Hub(), Waker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.wait_for_news, waker)
        await trio.testing.wait_all_tasks_blocked()
        hub.publish_from(Topic.TRADES, "E1", trade(1))
    assert trio.current_time() == pytest.approx(round(trio.current_time() / TICK) * TICK)
    assert 0 < trio.current_time() <= 2 * TICK


async def test_a_stop_or_an_alert_waits_for_no_tick(mock_clock: trio.testing.MockClock):
    hub, waker = Hub(), Waker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.wait_for_news, waker)
        await trio.testing.wait_all_tasks_blocked()
        hub.publish_from(Topic.TRADES, "E1", trade(1))
        await trio.testing.wait_all_tasks_blocked()
        hub.publish(Topic.ALERTS, alert(1), key="a1")
    assert trio.current_time() == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 200)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("one frame"), st.just(0)),
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
        elif (text := reader.feed.next_frame()) is not None:
            frame = json.loads(text)
            getattr(reader, f"on_{frame['type']}")(frame["payload"])
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
