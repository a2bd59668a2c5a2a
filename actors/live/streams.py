"""What a dashboard topic remembers, and how a reader that comes and goes follows it without loss or repetition.

A reader holds nothing but a cursor: the epoch and the offset of the last item it has. Whatever a slow reader is behind
is kept here once, for all readers, so a slow one costs nothing and disturbs nobody. How much is kept is the topic's
delivery: every item up to a ring of 4096, one slot per key, or (lossless) every item up to the bound at which the
reader is given up. Nothing is dropped silently: a reader gets the items, or a gap that names exactly the missing ones.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Generic, TypeVar

import attrs

from wire.codec import dump, encode
from wire.ui import Delivery

T = TypeVar("T")

RING = 4096
"""Enough for two ticks of a fleet that says 50,000 lines a second."""
SHOWN = 500
"""How many of them a new reader starts with."""
BACKLOG = 256
"""How far a reader of a lossless topic may fall behind before it is closed as too slow."""
KEPT = 200
"""How many keys of a lossless topic a snapshot shows; entries that are over go first."""


@attrs.define(eq=False)
class Entry:
    """One item with its place in the topic; ``owner``: the engine whose message it is.

    It is written when the first reader wants it, and then never again: a state that is replaced before anybody looked,
    and everything while nobody looks, costs no encoding at all.
    """

    offset: int
    item: Any
    owner: str | None = None
    over: bool = False
    _text: str = ""

    @property
    def text(self) -> str:
        if not self._text:
            self._text, self.item = _written(self.item, self.owner), None
        return self._text


def _written(item: Any, owner: str | None) -> str:
    fields = encode(item, nulls=True)
    if owner is None:
        return fields
    head = f'{{"engine_id":{dump(owner)}'
    return f"{head},{fields[1:]}" if fields != "{}" else f"{head}}}"


@attrs.frozen(kw_only=True)
class Batch:
    """What a reader at some cursor has to be told. ``gap`` are the first and last offset it will never get."""

    offset: int
    items: tuple[str, ...] = ()
    conflated: int = 0
    gap: tuple[int, int] | None = None


class TooSlow(Exception):
    """A lossless topic no longer has what this reader is missing."""


class Stream:
    """One topic. Offsets count its items from 1 and never go back within an epoch."""

    def __init__(self, epoch: str, delivery: Delivery) -> None:
        self._name = epoch
        self._generation = 0
        self.epoch = f"{epoch}.0"
        """Another epoch means that offsets of the old one say nothing any more."""
        self.delivery = delivery
        self.offset = 0
        limit = {Delivery.RING: RING, Delivery.LOSSLESS: BACKLOG, Delivery.LATEST: 0}[delivery]
        self._history: deque[Entry] = deque(maxlen=limit)
        self._latest: OrderedDict[str, Entry] = OrderedDict()

    def publish(self, key: str | None, item: Any, *, owner: str | None = None, over: bool = False) -> None:
        """Adds an item. ``over`` marks a state that need not stay in a lossless topic's snapshot."""
        self.offset += 1
        entry = Entry(self.offset, item, owner, over)
        if self.delivery is not Delivery.LATEST:
            self._history.append(entry)
        if self.delivery is not Delivery.RING:
            self._keep(key if key is not None else str(self.offset), entry)

    def _keep(self, key: str, entry: Entry) -> None:
        self._latest[key] = entry
        self._latest.move_to_end(key)
        if self.delivery is Delivery.LOSSLESS and len(self._latest) > KEPT:
            oldest = next(iter(self._latest))
            del self._latest[next((k for k, e in self._latest.items() if e.over), oldest)]

    def retract(self, key: str) -> None:
        """Takes a key back. Readers cannot be told so by an item: a new epoch makes them start from a snapshot."""
        if self._latest.pop(key, None) is not None:
            self._generation += 1
            self.epoch = f"{self._name}.{self._generation}"

    def snapshot(self) -> tuple[str, ...]:
        """Everything a new reader has to know, as of ``offset``."""
        if self.delivery is Delivery.RING:
            return tuple(e.text for e in islice(self._history, max(0, len(self._history) - SHOWN), None))
        return tuple(e.text for e in self._latest.values())

    def can_recover(self, epoch: str | None, offset: int | None) -> bool:
        """Whether a reader that comes back with this cursor can go on from it without a snapshot."""
        if epoch != self.epoch or offset is None or offset > self.offset:
            return False
        return self.delivery is Delivery.LATEST or offset >= self._oldest - 1

    def has_lost(self, epoch: str, offset: int) -> bool:
        """Whether items after this cursor are kept no more."""
        return epoch == self.epoch and offset < self._oldest - 1

    def since(self, cursor: int) -> Batch:
        """What happened after ``cursor``. Raises TooSlow when a lossless topic cannot tell any more."""
        if cursor >= self.offset:
            return Batch(offset=self.offset)
        if self.delivery is Delivery.LATEST:
            return self._newer_slots(cursor)
        missing = (cursor + 1, self._oldest - 1) if cursor + 1 < self._oldest else None
        if missing and self.delivery is Delivery.LOSSLESS:
            raise TooSlow
        known = max(0, len(self._history) - (self.offset - cursor))
        items = tuple(e.text for e in islice(self._history, known, None))
        return Batch(offset=self.offset, items=items, gap=missing)

    @property
    def _oldest(self) -> int:
        return self._history[0].offset if self._history else self.offset + 1

    def _newer_slots(self, cursor: int) -> Batch:
        newer = []
        for entry in reversed(self._latest.values()):
            if entry.offset <= cursor:
                break
            newer.append(entry.text)
        newer.reverse()
        return Batch(offset=self.offset, items=tuple(newer), conflated=self.offset - cursor - len(newer))


@attrs.define
class Memo(Generic[T]):
    """Frames of one stream that several readers want at the same time: made once, forgotten at the next change."""

    offset: int = -1
    epoch: str = ""
    frames: dict[int | None, tuple[T, ...]] = attrs.field(factory=dict)

    def get(self, stream: Stream, cursor: int | None, make: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        if (self.offset, self.epoch) != (stream.offset, stream.epoch):
            self.offset, self.epoch = stream.offset, stream.epoch
            self.frames.clear()
        if cursor not in self.frames:
            self.frames[cursor] = make()
        return self.frames[cursor]
