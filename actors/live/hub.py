"""The one place from which everything live reaches the dashboards.

Publishing is synchronous, never blocks and never fails: an item is put into its topic's stream, and encoded once. One
task tells the dashboards: telemetry on a common grid of 33 ms, stops and alerts at once. It makes the frames of a tick
once, hands the same bytes to every dashboard that has taken everything before, and leaves one that has not to its own
task. What each has is its ``Feed``'s business, so nobody waits for anybody.
"""

import logging
import secrets
from collections.abc import Iterable
from math import floor
from typing import Any, Protocol

import attrs
import trio

from actors.live.frames import Frame, Frames, frame
from actors.live.streams import Memo, Stream, TooSlow
from wire.rest.records import Alert, AlertState
from wire.rest.stops import Stop
from wire.ui import DELIVERY, Delivery, Subscription, Topic, TopicState
from wire.values import GapCause

log = logging.getLogger(__name__)

TICK = 0.033
"""Seconds between two batches of telemetry: a person cannot read more than 30 frames a second."""
STEP_CHARS = 256 * 1024
"""A reader gets the next topic's frames in the same step unless it has so much already."""
AT_ONCE = 16
"""How many readers are told before everybody else in the process has a turn."""
URGENT = tuple(topic for topic, delivery in DELIVERY.items() if delivery is Delivery.LOSSLESS)


@attrs.frozen(kw_only=True)
class TopicStatistics:
    topic: Topic
    epoch: str
    offset: int


@attrs.frozen(cache_hash=True)
class Place:
    """Where a reader is: for each topic it follows, urgent ones first, the epoch and the offset of the last item it
    has, or None before its snapshot. Readers at the same place are told the same."""

    cursors: tuple[tuple[Topic, tuple[str, int] | None], ...]


@attrs.frozen(eq=False)
class Step:
    """What leads from one place to the next. ``more``: there is more already, and it need not wait for a tick."""

    start: Place
    frames: Frames
    end: Place
    more: bool


class Reader(Protocol):
    """Somebody who has taken everything so far and waits for more."""

    feed: "Feed | None"

    def hear(self, step: Step) -> None:
        """Takes the step that starts where its feed is."""

    def give_up(self, *, too_slow: bool) -> None:
        """Ends this reader, which misses what it must not miss, or for which something went wrong."""


class Hub:
    """All topics. One per platform process; used from its trio thread only."""

    def __init__(self, epoch: str | None = None) -> None:
        name = epoch or secrets.token_hex(8)
        self._streams = {topic: Stream(name, DELIVERY[topic]) for topic in Topic}
        self._memos: dict[Topic, Memo[Frame]] = {topic: Memo() for topic in Topic}
        self._steps: dict[Place, Step | None] = {}
        self._waiting: dict[Reader, None] = {}
        self._news, self._hurry = trio.Event(), trio.Event()

    # --- writing --------------------------------------------------------------------------------------------------

    def publish(self, topic: Topic, item: Any, *, key: str | None = None) -> None:
        """Shows ``item`` to every dashboard that follows ``topic``; ``key`` names the slot it replaces."""
        self._streams[topic].publish(key, item, over=_is_over(item))
        self._changed(topic)

    def publish_from(self, topic: Topic, engine_id: str, message: Any, *, key: str | None = None) -> None:
        """The same for a message of an engine: its own fields and ``engine_id``."""
        self._streams[topic].publish(key, message, owner=engine_id)
        self._changed(topic)

    def retract(self, topic: Topic, key: str) -> None:
        """Takes the item of ``key`` from the screens: readers start again from a snapshot without it."""
        self._streams[topic].retract(key)
        self._changed(topic)

    def _changed(self, topic: Topic) -> None:
        if self._steps:
            self._steps.clear()
        if self._waiting:
            self._news.set()
            if topic in URGENT:
                self._hurry.set()

    # --- telling --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tells the readers that wait, for ever. Whatever goes wrong with one of them ends that one only."""
        while True:
            await self._news.wait()
            with trio.move_on_at(_next_tick(trio.current_time())):
                await self._hurry.wait()
            self._news, self._hurry = trio.Event(), trio.Event()
            await self._tell()

    async def _tell(self) -> None:
        """Everybody is told what there is now: what is published between two turns is for the next tick."""
        plan = [(reader, step) for reader in tuple(self._waiting) if (step := self._due(reader)) is not None]
        for told, (reader, step) in enumerate(plan):
            if told % AT_ONCE == AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            if reader not in self._waiting or reader.feed is None or reader.feed.place != step.start:
                continue
            try:
                reader.hear(step)
            except Exception:
                log.exception("a dashboard is given up")
                reader.give_up(too_slow=False)

    def _due(self, reader: Reader) -> Step | None:
        try:
            return reader.feed.next_step() if reader.feed is not None else None
        except TooSlow:
            reader.give_up(too_slow=True)
        except Exception:
            log.exception("a dashboard is given up")
            reader.give_up(too_slow=False)
        return None

    def wait(self, reader: Reader) -> None:
        """From now on ``reader`` is told. What is there for it already comes with the next tick."""
        self._waiting[reader] = None
        self._news.set()

    def leave(self, reader: Reader) -> None:
        """It has something to do first, or is no more."""
        self._waiting.pop(reader, None)

    # --- reading --------------------------------------------------------------------------------------------------

    def feed(self, subscriptions: Iterable[Subscription]) -> "Feed":
        """A reader of the named topics, continuing at the offsets it brings where that is possible."""
        return Feed(self, subscriptions)

    def statistics(self) -> list[TopicStatistics]:
        return [TopicStatistics(topic=t, epoch=s.epoch, offset=s.offset) for t, s in self._streams.items()]

    def stream(self, topic: Topic) -> Stream:
        return self._streams[topic]

    def step_from(self, place: Place) -> Step | None:
        """What comes next at ``place``, made once for all who are there; None when they have everything.

        Raises TooSlow for a lossless topic that lost its tail.
        """
        if place not in self._steps:
            self._steps[place] = self._step(place)
        return self._steps[place]

    def _step(self, place: Place) -> Step | None:
        cursors, size, more = list(place.cursors), 0, False
        frames: list[Frame] = []
        for n, (topic, cursor) in enumerate(place.cursors):
            stream = self._streams[topic]
            if cursor == (stream.epoch, stream.offset):
                continue
            if size > STEP_CHARS:
                more = True
                break
            found = self._frames(topic, stream, cursor)
            frames += found
            size += sum(len(one.text) for one in found)
            cursors[n] = topic, (stream.epoch, stream.offset)
        return Step(place, Frames(tuple(frames)), Place(tuple(cursors)), more) if frames else None

    def _frames(self, topic: Topic, stream: Stream, cursor: tuple[str, int] | None) -> tuple[Frame, ...]:
        """The snapshot, or the gap and the delta that follow ``cursor``."""
        memo = self._memos[topic]
        if cursor is None or cursor[0] != stream.epoch:
            return memo.get(stream, None, lambda: (Frame(_snapshot(topic, stream)),))
        offset = cursor[1]
        return memo.get(stream, offset, lambda: tuple(map(Frame, _deltas(topic, stream, offset))))


class Feed:
    """One reader's place in the topics it follows."""

    def __init__(self, hub: Hub, subscriptions: Iterable[Subscription]) -> None:
        self._hub = hub
        self._more = False
        cursors: dict[Topic, tuple[str, int] | None] = {}
        for wanted in subscriptions:
            recovers = hub.stream(wanted.topic).can_recover(wanted.epoch, wanted.offset)
            cursor = (wanted.epoch, wanted.offset) if recovers else None
            cursors[wanted.topic] = cursor  # type: ignore[assignment]  # can_recover is false for None
        self.place = Place(tuple(sorted(cursors.items(), key=lambda one: one[0] not in URGENT)))

    def states(self) -> list[TopicState]:
        """What the welcome says of each topic; one that did not recover gets a snapshot next."""
        states = []
        for topic, cursor in self.place.cursors:
            stream = self._hub.stream(topic)
            offset = stream.offset if cursor is None else cursor[1]
            states.append(TopicState(topic=topic, epoch=stream.epoch, offset=offset, recovered=cursor is not None))
        return states

    def offsets(self) -> dict[Topic, int]:
        """The last offset of each topic that has been given out, for the bookmark."""
        return {topic: cursor[1] for topic, cursor in self.place.cursors if cursor is not None}

    def is_too_slow(self) -> bool:
        """Whether a lossless topic has already moved past what this reader is missing."""
        lossless = ((self._hub.stream(topic), cursor) for topic, cursor in self.place.cursors if topic in URGENT)
        return any(cursor is not None and stream.has_lost(*cursor) for stream, cursor in lossless)

    def is_urgent(self) -> bool:
        """Whether what comes next need not wait for a tick: stops and alerts, a first snapshot, the rest of a step."""
        return self._more or any(
            cursor is None or (topic in URGENT and cursor[1] != self._hub.stream(topic).offset)
            for topic, cursor in self.place.cursors
        )

    def next_step(self) -> Step | None:
        """What comes next, None when the reader has everything. Raises TooSlow: give the reader up."""
        return self._hub.step_from(self.place)

    def next_frames(self) -> Frames | None:
        """Takes the next step, too."""
        step = self.next_step()
        return self.take(step) if step is not None else None

    def take(self, step: Step) -> Frames:
        """From now on the reader has these."""
        self.place, self._more = step.end, step.more
        return step.frames


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
