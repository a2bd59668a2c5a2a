"""Fan-out to many actors without a task switch: `publish` is synchronous and every subscriber's own mailbox policy
decides what a slow one gets.

A topic knows nothing of encodings. What is sent is the dispatcher's business: `each` tells every subscriber the same
object; `EncodeOnce` calls an encoder once per format in use and tells the result, so that five hundred sockets share
one string. A dispatcher of your own gets the message and the subscriptions.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from supervisor.ref import Ref

__all__ = ["Dispatcher", "EncodeOnce", "Published", "Subscription", "Topic", "each"]

M = TypeVar("M")


@attrs.frozen
class Subscription:
    """`format` is whatever the dispatcher understands; None unless given."""

    ref: Ref
    format: Hashable = None


@attrs.frozen
class Published:
    """How many mailboxes took the message, and how many dropped it (counted as dead letters)."""

    sent: int
    dropped: int


Dispatcher = Callable[[Any, Iterable[Subscription]], Published]


def each(message: Any, subscriptions: Iterable[Subscription]) -> Published:
    """Tell everybody the same object."""
    sent = dropped = 0
    for subscription in subscriptions:
        if subscription.ref.tell(message):
            sent += 1
        else:
            dropped += 1
    return Published(sent, dropped)


class EncodeOnce:
    """A dispatcher that encodes once per format: `encode(message, format)` → what is told to that format's readers."""

    __slots__ = ("_encode",)

    def __init__(self, encode: Callable[[Any, Any], object]) -> None:
        self._encode = encode

    def __call__(self, message: Any, subscriptions: Iterable[Subscription]) -> Published:
        encoded: dict[Hashable, object] = {}
        sent = dropped = 0
        for subscription in subscriptions:
            format = subscription.format
            if format not in encoded:
                encoded[format] = self._encode(message, format)
            if subscription.ref.tell(encoded[format]):
                sent += 1
            else:
                dropped += 1
        return Published(sent, dropped)


class Topic(Generic[M]):
    """Subscribers in the order of their subscription. Subscribing twice delivers once (the format is replaced).

    A subscription survives restarts of the subscriber and ends when its place is closed for good.
    """

    __slots__ = ("_dispatch", "_known", "_subscriptions", "name")

    def __init__(self, name: str, dispatch: Dispatcher = each) -> None:
        self.name = name
        self._dispatch = dispatch
        self._subscriptions: dict[Ref, Subscription] = {}
        self._known: set[Ref] = set()

    def subscribe(self, ref: Ref, *, format: Hashable = None) -> bool:
        """False when `ref` is gone for good and was not subscribed."""
        if ref.closed:
            return False
        if ref not in self._known:
            self._known.add(ref)
            ref.when_closed(lambda: self._forget(ref))
        self._subscriptions[ref] = Subscription(ref, format)
        return True

    def unsubscribe(self, ref: Ref) -> None:
        """Nothing is told to `ref` after this. Any number of times."""
        self._subscriptions.pop(ref, None)

    def _forget(self, ref: Ref) -> None:
        self._known.discard(ref)
        self.unsubscribe(ref)

    def publish(self, message: M, *, exclude: Ref | None = None) -> Published:
        """Tell every subscriber but `exclude`, in order."""
        chosen = tuple(self._subscriptions.values())
        if exclude is not None:
            chosen = tuple(subscription for subscription in chosen if subscription.ref != exclude)
        return self._dispatch(message, chosen)

    @property
    def subscriptions(self) -> Mapping[Ref, Subscription]:
        return dict(self._subscriptions)

    def __len__(self) -> int:
        return len(self._subscriptions)
