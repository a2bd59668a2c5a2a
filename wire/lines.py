"""Queues that weigh nothing while nothing waits: an empty deque takes 760 bytes, and an idle connection has several."""

from collections import deque
from typing import TypeVar

T = TypeVar("T")

Line = deque[T] | tuple[()]
"""Look at it, and take from it while it is not empty; only ``put`` puts something in."""


def put(line: Line[T], item: T) -> deque[T]:
    """The line with the item at its end: the same one, unless it was empty until now."""
    if isinstance(line, deque):
        line.append(item)
        return line
    return deque((item,))
