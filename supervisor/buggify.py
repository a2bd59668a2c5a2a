"""Places where a test may lose time.

`await point("before start")` costs one test of a global in production. Under `buggify(seed)` it sometimes sleeps, so
that orders which are rare in practice become common, and every run is repeatable from its seed. The delay is in
trio's time: under a virtual clock it is free, and deadlines really come closer.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

__all__ = ["Buggify", "buggify", "jitter_seed", "point", "repeatable"]


class Buggify:
    """What was delayed, and how often."""

    __slots__ = ("_longest", "_rate", "_rng", "hits")

    def __init__(self, seed: int, rate: float, longest: float) -> None:
        self._rng = random.Random(seed)
        self._rate = rate
        self._longest = longest
        self.hits: Counter[str] = Counter()

    async def pause(self, where: str) -> None:
        if self._rng.random() < self._rate:
            self.hits[where] += 1
            await trio.sleep(self._rng.random() * self._longest)


_active: Buggify | None = None


@contextmanager
def buggify(seed: int, *, rate: float = 0.25, longest: float = 0.5) -> Iterator[Buggify]:
    """Inside, a share `rate` of all points sleep up to `longest` seconds, chosen by `seed`."""
    global _active
    before, _active = _active, Buggify(seed, rate, longest)
    try:
        yield _active
    finally:
        _active = before


_seed: int | None = None


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Inside, a system that was given no seed takes this one for the jitter of its back-offs."""
    global _seed
    before, _seed = _seed, seed
    try:
        yield
    finally:
        _seed = before


def jitter_seed(own: int | None) -> int | None:
    """The seed a system was given, else that of the schedule it runs under; None: from the operating system."""
    return _seed if own is None else own


async def point(where: str, *, shield: bool = False) -> None:
    """Not a checkpoint outside of `buggify`; inside, one with probability `rate`, not cancellable if `shield`."""
    if _active is not None:
        with trio.CancelScope(shield=shield):
            await _active.pause(where)
