"""A read model that others can wait on: the latest immutable value per key.

An actor that works on something long (a stop, a change of parameters) puts each new view of it on a board. Readers
see the latest view at once and wait for the one they need, without a place in the actor's mailbox and without holding
it up.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

V = TypeVar("V")


class Board(Generic[V]):
    """Keeps at most ``capacity`` values; the longest untouched one goes first."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._values: OrderedDict[str, V] = OrderedDict()
        self._changed = trio.Event()

    def put(self, key: str, value: V) -> None:
        """Publishes the newest view and wakes every waiter."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._capacity:
            self._values.popitem(last=False)
        self._changed.set()
        self._changed = trio.Event()

    def drop(self, key: str) -> None:
        """What is not on the board any more has to be looked for elsewhere."""
        self._values.pop(key, None)

    def get(self, key: str) -> V | None:
        return self._values.get(key)

    def values(self) -> list[V]:
        """All values, the longest untouched first."""
        return list(self._values.values())

    async def wait_for(self, key: str, holds: Callable[[V], bool], *, timeout: float) -> V | None:
        """The first view for which ``holds`` is true; after ``timeout`` seconds the latest one (None: never seen)."""
        with trio.move_on_after(timeout):
            while True:
                value = self._values.get(key)
                if value is not None and holds(value):
                    return value
                await self._changed.wait()
        return self._values.get(key)
