"""The one place from which everything live reaches the dashboards.

Publishing is synchronous, never blocks and never fails: an item is put into its topic's stream, and encoded once. Each
dashboard reads the streams through a ``Feed`` of its own, as fast as its socket takes the frames, telemetry on a common
grid of 33 ms so that all readers share the same frames, stops and alerts at once.
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from math import floor
from typing import Any

import attrs
import trio

from actors.live.streams import Memo, Stream
from wire.messages import GapCause
from wire.rest import Alert, AlertState, Stop
from wire.ui import DELIVERY, Delivery, Subscription, Topic, TopicState

TICK = 0.033
"""Seconds between two batches of telemetry: a person cannot read more than 30 frames a second."""
URGENT = tuple(topic for topic, delivery in DELIVERY.items() if delivery is Delivery.LOSSLESS)


def frame(type_name: str, payload: str, at: datetime | None = None) -> str:
    """An envelope of the UI link around a payload that is encoded already."""
    stamp = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
    return f'{{"type":"{type_name}","timestamp":"{stamp}","payload":{payload}}}'


@attrs.frozen(kw_only=True)
class TopicStatistics:
    topic: Topic
    epoch: str
    offset: int


class Hub:
    """All topics. One per platform process; used from its trio thread only."""

    def __init__(self, epoch: str | None = None) -> None:
        name = epoch or secrets.token_hex(8)
        self._streams = {topic: Stream(name, DELIVERY[topic]) for topic in Topic}
        self._memos = {topic: Memo() for topic in Topic}
        self._sleeping: set[Waker] = set()
        self._dozing: set[Waker] = set()

    # --- writing --------------------------------------------------------------------------------------------------

    def publish(self, topic: Topic, item: Any, *, key: str | None = None) -> None:
        """Shows ``item`` to every dashboard that follows ``topic``; ``key`` names the slot it replaces."""
        self._streams[topic].publish(key, item, over=_is_over(item))
        self._wake(topic)

    def publish_from(self, topic: Topic, engine_id: str, message: Any, *, key: str | None = None) -> None:
        """The same for a message of an engine: its own fields and ``engine_id``."""
        self._streams[topic].publish(key, message, owner=engine_id)
        self._wake(topic)

    def retract(self, topic: Topic, key: str) -> None:
        """Takes the item of ``key`` from the screens: readers start again from a snapshot without it."""
        self._streams[topic].retract(key)
        self._wake(topic)

    def _wake(self, topic: Topic) -> None:
        """The first item of a tick wakes the readers; those that follow cost nothing, unless they are urgent."""
        if topic in URGENT:
            for waker in (*self._sleeping, *self._dozing):
                waker.wake(urgent=True)
        elif self._sleeping:
            for waker in self._sleeping:
                waker.wake(urgent=False)
            self._dozing |= self._sleeping
            self._sleeping.clear()

    # --- reading --------------------------------------------------------------------------------------------------

    def feed(self, subscriptions: Iterable[Subscription]) -> "Feed":
        """A reader of the named topics, continuing at the offsets it brings where that is possible."""
        return Feed(self, subscriptions)

    def statistics(self) -> list[TopicStatistics]:
        return [TopicStatistics(topic=t, epoch=s.epoch, offset=s.offset) for t, s in self._streams.items()]

    async def wait_for_news(self, waker: "Waker") -> None:
        """Returns when there is news: stops and alerts at once, else at the next 33 ms; or ``waker`` is hurried.

        Always a checkpoint. Nothing is lost between looking at a feed and calling this: there is no checkpoint between.
        """
        self._sleeping.add(waker)
        try:
            await waker.woken.wait()
            with trio.move_on_at(_next_tick(trio.current_time())):
                await waker.hurried.wait()
        finally:
            self._sleeping.discard(waker)
            self._dozing.discard(waker)
            waker.rearm()

    def stream(self, topic: Topic) -> Stream:
        return self._streams[topic]

    def snapshot_frames(self, topic: Topic) -> tuple[str, ...]:
        stream = self._streams[topic]
        return self._memos[topic].get(stream, None, lambda: (_snapshot(topic, stream),))

    def delta_frames(self, topic: Topic, cursor: int) -> tuple[str, ...]:
        """The gap and the delta that follow ``cursor``. Raises TooSlow for a lossless topic that lost its tail."""
        stream = self._streams[topic]
        return self._memos[topic].get(stream, cursor, lambda: _deltas(topic, stream, cursor))


class Waker:
    """Lets one reader sleep until the hub, or whoever else has something for it, wakes it."""

    def __init__(self) -> None:
        self.rearm()

    def rearm(self) -> None:
        self.woken = trio.Event()
        self.hurried = trio.Event()

    def wake(self, *, urgent: bool) -> None:
        self.woken.set()
        if urgent:
            self.hurried.set()


class Feed:
    """One reader's place in each topic it follows. It gives out one frame at a time, the urgent topics' first."""

    def __init__(self, hub: Hub, subscriptions: Iterable[Subscription]) -> None:
        self._hub = hub
        self._cursors: dict[Topic, tuple[str, int] | None] = {}
        self._waiting: list[str] = []
        for wanted in subscriptions:
            recovers = hub.stream(wanted.topic).can_recover(wanted.epoch, wanted.offset)
            cursor = (wanted.epoch, wanted.offset) if recovers else None
            self._cursors[wanted.topic] = cursor  # type: ignore[assignment]  # can_recover is false for None

    def states(self) -> list[TopicState]:
        """What the welcome says of each topic; one that did not recover gets a snapshot next."""
        states = []
        for topic, cursor in self._cursors.items():
            stream = self._hub.stream(topic)
            offset = stream.offset if cursor is None else cursor[1]
            states.append(TopicState(topic=topic, epoch=stream.epoch, offset=offset, recovered=cursor is not None))
        return states

    def offsets(self) -> dict[Topic, int]:
        """The last offset of each topic that has been given out, for the bookmark."""
        return {topic: cursor[1] for topic, cursor in self._cursors.items() if cursor is not None}

    def is_too_slow(self) -> bool:
        """Whether a lossless topic has already moved past what this reader is missing."""
        lossless = ((self._hub.stream(topic), cursor) for topic, cursor in self._cursors.items() if topic in URGENT)
        return any(cursor is not None and stream.has_lost(*cursor) for stream, cursor in lossless)

    def next_frame(self) -> str | None:
        """The next frame for this reader, or None when it has everything. Raises TooSlow: give the reader up."""
        if not self._waiting:
            self._collect()
        return self._waiting.pop(0) if self._waiting else None

    def _collect(self) -> None:
        for topic in sorted(self._cursors, key=lambda t: t not in URGENT):
            if frames := self._frames_of(topic):
                self._waiting.extend(frames)
                return

    def _frames_of(self, topic: Topic) -> tuple[str, ...]:
        stream, cursor = self._hub.stream(topic), self._cursors[topic]
        if cursor is None or cursor[0] != stream.epoch:
            frames = self._hub.snapshot_frames(topic)
        elif cursor[1] == stream.offset:
            return ()
        else:
            frames = self._hub.delta_frames(topic, cursor[1])
        self._cursors[topic] = (stream.epoch, stream.offset)
        return frames


def _next_tick(now: float) -> float:
    return (floor(now / TICK) + 1) * TICK


def _is_over(item: Any) -> bool:
    match item:
        case Stop():
            return item.released_at is not None
        case Alert():
            return item.state is not AlertState.OPEN
        case _:
            return False


def _snapshot(topic: Topic, stream: Stream) -> str:
    items = ",".join(stream.snapshot())
    head = f'"topic":"{topic.value}","epoch":"{stream.epoch}","offset":{stream.offset}'
    return frame("snapshot", f'{{{head},"items":[{items}]}}')


def _deltas(topic: Topic, stream: Stream, cursor: int) -> tuple[str, ...]:
    batch = stream.since(cursor)
    frames = []
    if batch.gap is not None:
        first, last = batch.gap
        span = f'"from_offset":{first},"to_offset":{last},"cause":"{GapCause.LOST.value}"'
        frames.append(frame("gap", f'{{"topic":"{topic.value}",{span}}}'))
    if batch.items:
        conflated = f',"conflated":{batch.conflated}' if batch.conflated else ""
        head = f'"topic":"{topic.value}","offset":{batch.offset}{conflated}'
        frames.append(frame("delta", f'{{{head},"items":[{",".join(batch.items)}]}}'))
    return tuple(frames)
