"""Two lanes, one consumer.

Why not a memory channel: it costs one wait for I/O and two task steps for *every* message. Here the consumer parks only
when both lanes are empty, `wait()` is always a checkpoint, and between two waits the actor takes up to 64 messages
without one, so a burst costs two scheduler passes instead of two hundred, and a busy actor still lets every other task
run between its batches.

The system lane (stops, exits, downs, ticks, whatever was sent as urgent) goes before the user lane and is never
dropped; the capacity and its overflow policy concern the user lane only, so neither can cancel the other.

A message stays in its lane until the consumer takes it: cancelling the consumer loses nothing.

All methods but `wait` are synchronous and belong to the thread of the trio run.
"""

import enum
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from supervisor.checks import is_count
from supervisor.errors import SpecError
from supervisor.slot import Slot

__all__ = ["BATCH", "Dropped", "Lane", "Mailbox", "MailboxSpec", "MailboxStatistics", "Overflow", "Sent", "Why"]

logger = logging.getLogger("supervisor.mailbox")

BATCH: Final = 64
"""Messages taken per wake: at 50 µs a message other tasks wait 4 ms; at 256 it would be 26–44 ms."""

Key = Callable[[Any], Hashable | None]


class Overflow(enum.Enum):
    """What a full user lane does with the next message."""

    BLOCK = "block"
    """`send` and `ask` wait for space; the synchronous `tell` answers `Dropped`."""
    DROP_OLDEST = "drop_oldest"
    """The oldest waiting message makes room."""
    DROP_NEWEST = "drop_newest"
    """The new message is dropped."""
    CONFLATE = "conflate"
    """A waiting message with the same key is replaced in place; beyond the capacity the oldest makes room."""
    FAIL = "fail"
    """`send` and `ask` raise `MailboxFull` at once; `tell` answers `Dropped`."""


class Why(enum.Enum):
    """Why a message was dropped."""

    __hash__ = object.__hash__  # members are singletons, and the inherited hash is a Python function

    FULL = "full"
    EVICTED = "evicted"
    CONFLATED = "conflated"
    STOPPED = "stopped"
    FAILED = "failed"
    UNHANDLED = "unhandled"
    REFUSED = "refused"
    LATE_REPLY = "late_reply"
    STASH_FULL = "stash_full"


@attrs.frozen
class Sent:
    """The message is in the mailbox."""

    def __bool__(self) -> bool:
        return True


@attrs.frozen
class Dropped:
    """The message is not in the mailbox; it is a counted dead letter. False in a condition."""

    why: Why

    def __bool__(self) -> bool:
        return False


SENT: Final = Sent()
FULL: Final = Dropped(Why.FULL)
STOPPED: Final = Dropped(Why.STOPPED)


@attrs.frozen(kw_only=True)
class MailboxSpec:
    """The bound of the user lane and what happens beyond it.

    capacity: messages, ≥ 1. key: only with `Overflow.CONFLATE`: message → key, None for "never conflate this one".
    Raises `SpecError` naming the field.
    """

    capacity: int = 1000
    overflow: Overflow = Overflow.BLOCK
    key: Key | None = None

    @property
    def bound(self) -> tuple[int, Overflow]:
        """What two specs have in common that differ in the function of the key at most."""
        return self.capacity, self.overflow

    def __attrs_post_init__(self) -> None:
        if not is_count(self.capacity, least=1):
            raise SpecError("mailbox.capacity", self.capacity, "must be a whole number of messages, at least 1")
        if type(self.overflow) is not Overflow:
            raise SpecError("mailbox.overflow", self.overflow, "must be an Overflow")
        if (self.key is not None) != (self.overflow is Overflow.CONFLATE):
            raise SpecError("mailbox.key", self.key, "belongs to Overflow.CONFLATE, and CONFLATE needs it")


@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """`system` and `user` count what waits now, `blocked` the senders waiting for space."""

    system: int
    user: int
    blocked: int
    capacity: int
    overflow: Overflow


def is_internal(item: Any) -> bool:
    """Is it the runtime's own word, and so nobody's loss and nobody's to give up?"""
    return getattr(type(item), "__internal__", False)


class Lane(Protocol):
    def append(self, item: Any, /) -> None: ...
    def appendleft(self, item: Any, /) -> None: ...
    def popleft(self) -> Any: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class ConflatingLane:
    """A lane in which a newer message takes the place of the waiting one with the same key."""

    __slots__ = ("_items", "_key")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._items: OrderedDict[Hashable, Any] = OrderedDict()

    def replace(self, item: Any) -> tuple[Hashable, Any] | None:
        """Put `item` where its key waits and return (key, the older message); None if no such key waits."""
        key = self._key_of(item)
        if key not in self._items:
            return None
        older, self._items[key] = self._items[key], item
        return key, older

    def append(self, item: Any, /) -> None:
        self._items[self._key_of(item)] = item

    def appendleft(self, item: Any, /) -> None:
        key = self._key_of(item)
        self._items[key] = item
        self._items.move_to_end(key, last=False)

    def has_newer(self, item: Any) -> bool:
        """Does a message with the same key wait?"""
        return self._key_of(item) in self._items

    def popleft(self) -> Any:
        return self._items.popitem(last=False)[1]

    def clear(self) -> None:
        self._items.clear()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._items.values()))

    def _key_of(self, item: Any) -> Hashable:
        """What the runtime itself sends, and every request, has a key of its own: it never takes another's place."""
        if isinstance(item, Slot) or is_internal(item):
            return object()
        try:
            key = self._key(item)
            self._items.get(key)  # hashes and compares it, which is the receiver's code too
        except Exception:  # the receiver's mistake must not become the sender's crash
            logger.exception("the key of a conflating mailbox failed for %s: not conflated", type(item).__name__)
            return object()
        return object() if key is None else key


class Mailbox:
    """`dropped(item, why)` is called for every message this mailbox gives up."""

    __slots__ = ("_dropped", "closed", "draining", "limit", "parked", "spec", "system", "user", "waiting")

    def __init__(self, spec: MailboxSpec, dropped: Callable[[Any, Why], object]) -> None:
        self.spec = spec
        # Made by an urgent message, forgotten by a wait: an empty deque weighs 760 bytes, an eighth of an idle actor.
        self.system: deque[Any] | tuple[()] = ()
        self.user: Lane = deque() if spec.key is None else ConflatingLane(spec.key)
        self.waiting: deque[tuple[Any, Slot | None]] | None = None
        self.closed = False
        self.draining = False
        # Below the limit a message may simply be appended; a conflating or closed mailbox always goes through `offer`.
        self.limit = spec.capacity if spec.key is None else 0
        self._dropped = dropped
        self.parked: Task | None = None

    # senders

    def offer(self, item: Any) -> Sent | Dropped:
        """Put a message into the user lane under the policy, never waiting."""
        if self.closed or self.draining:
            return STOPPED
        overflow = self.spec.overflow
        user = self.user
        if isinstance(user, ConflatingLane) and (older := user.replace(item)):
            self._dropped(older[1], Why.CONFLATED)
            return SENT
        if len(user) >= self.spec.capacity:
            if overflow is Overflow.DROP_OLDEST or overflow is Overflow.CONFLATE:
                self._evict()
            else:
                return FULL
        user.append(item)
        self.wake()
        return SENT

    def offer_urgent(self, item: Any) -> Sent | Dropped:
        """Put a message into the system lane: before every user message, in order, without bound."""
        if self.closed:
            return STOPPED
        self._urgent().append(item)
        self.wake()
        return SENT

    def offer_first(self, item: Any) -> None:
        """Put a message before everything else."""
        self._urgent().appendleft(item)
        self.wake()

    def put_back(self, items: Sequence[Any]) -> None:
        """Put items back in front of the user lane, in their order. One whose key waits there has been superseded."""
        for item in reversed(items):
            if isinstance(self.user, ConflatingLane) and self.user.has_newer(item):
                self._dropped(item, Why.CONFLATED)
            else:
                self.user.appendleft(item)
        self.wake()  # a side task may have done it while the actor was parked

    def queue_for_space(self, item: Any, space: Slot | None) -> None:
        """Let `item` in when there is room, first come first served; `space` is resolved then."""
        if self.waiting is None:
            self.waiting = deque()
        self.waiting.append((item, space))

    def leave_queue(self, item: Any, space: Slot | None) -> None:
        """Take back an item that still waits for space; another sender may wait with the same object."""
        kept = (entry for entry in self.waiting or () if entry[0] is not item or entry[1] is not space)
        self.waiting = deque(kept)

    def admit(self) -> None:
        """Fill the room just made with those who wait for it."""
        while self.waiting and len(self.user) < self.spec.capacity:
            item, space = self.waiting.popleft()
            self.user.append(item)
            if space is not None:
                space.resolve(SENT)

    # the consumer

    async def wait(self) -> None:
        """Return when there is something to take. Always a checkpoint."""
        if self.system or self.user:
            await trio.lowlevel.checkpoint()
        else:
            self.system = ()
            self.parked = current_task()
            await wait_task_rescheduled(self._abort)

    def pop(self) -> Any:
        """The next message, system lane first. Raises IndexError when both lanes are empty."""
        if isinstance(self.system, deque) and self.system:
            return self.system.popleft()
        if not self.user:
            raise IndexError("mailbox is empty")
        item = self.user.popleft()
        if self.waiting:
            self.admit()
        return item

    def wake(self) -> None:
        if self.parked is not None:
            reschedule(self.parked)
            self.parked = None

    def close(self) -> list[Any]:
        """Accept nothing more; return what was waiting, system lane first, then those who waited for space."""
        self.closed = True
        self.draining = False
        self.limit = -1
        rest = [*self.system, *self.user]
        self.system = ()
        self.user.clear()
        blocked, self.waiting = self.waiting or (), None
        for item, space in blocked:
            rest.append(item)
            if space is not None:
                space.resolve(STOPPED)
        return rest

    def drain(self, last: Any) -> None:
        """Accept nothing more in the user lane, and put `last` behind what waits there."""
        self.draining = True
        self.limit = -1
        for item, space in self.waiting or ():
            self.user.append(item)
            if space is not None:
                space.resolve(SENT)
        self.waiting = None
        self.user.append(last)
        self.wake()

    def reopen(self) -> None:
        """Accept messages again after `close`."""
        self.closed = False
        self.limit = self.spec.capacity if self.spec.key is None else 0

    def rekey(self, spec: MailboxSpec) -> None:
        """The same bound and policy from now on, with another key function: what waits is conflated by that one."""
        waiting = list(self.user)
        self.spec = spec
        self.user = ConflatingLane(spec.key) if spec.key is not None else deque()
        for item in waiting:
            self.offer(item)

    def take_out(self, chosen: Callable[[Any], bool]) -> list[Any]:
        """Remove and return the chosen items, wherever they wait; the others keep their order, and who waited for the
        space they leave is let in."""
        out = [*self.take_out_urgent(chosen), *_take_out(self.user, chosen)]
        if self.waiting:
            out += [item for item, _ in self.waiting if chosen(item)]
            self.waiting = deque(entry for entry in self.waiting if not chosen(entry[0]))
            self.admit()
        return out

    def take_out_urgent(self, chosen: Callable[[Any], bool]) -> list[Any]:
        """The same, in the system lane only."""
        return _take_out(self.system, chosen) if isinstance(self.system, deque) else []

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(
            system=len(self.system),
            user=len(self.user),
            blocked=len(self.waiting) if self.waiting else 0,
            capacity=self.spec.capacity,
            overflow=self.spec.overflow,
        )

    def _evict(self) -> None:
        """Give up the oldest message, but none of the runtime's own: a note to restart a child must not get lost."""
        passed = []
        while self.user:
            item = self.user.popleft()
            if not is_internal(item):
                self._dropped(item, Why.EVICTED)
                break
            passed.append(item)
        for note in reversed(passed):
            self.user.appendleft(note)

    def _urgent(self) -> deque[Any]:
        if not isinstance(self.system, deque):
            self.system = deque()
        return self.system

    def _abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        self.parked = None
        return Abort.SUCCEEDED


def _take_out(lane: Lane, chosen: Callable[[Any], bool]) -> list[Any]:
    out = [item for item in lane if chosen(item)]
    if out:
        kept = [item for item in lane if not chosen(item)]
        lane.clear()
        for item in kept:
            lane.append(item)
    return out
