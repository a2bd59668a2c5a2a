"""Where messages go that nobody handled: a ring of the latest, counters of all, a log that does not flood."""

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from supervisor.mailbox import Why

__all__ = ["DeadLetter", "DeadLetters"]

logger = logging.getLogger("supervisor.deadletter")

LOGGED_PER_WINDOW: Final = 10
WINDOW: Final = 10.0


@attrs.frozen(kw_only=True)
class DeadLetter:
    """at: seconds on trio's clock. The message is not part of the repr: it may hold secrets."""

    at: float
    target: str
    kind: str
    why: Why
    message: Any = attrs.field(repr=False)
    error: BaseException | None = attrs.field(default=None, repr=False)


def _letter(at: float, target: str, kind: str, why: Why, message: Any, error: BaseException | None) -> DeadLetter:
    return DeadLetter(at=at, target=target, kind=kind, why=why, message=message, error=error)


class DeadLetters:
    """Keeps the latest `size` letters and counts all of them by (reason, message type)."""

    __slots__ = ("_counts", "_logged", "_now", "_observers", "_ring", "_suppressed", "_window_ends")

    def __init__(self, size: int = 256, now: Callable[[], float] = trio.current_time) -> None:
        self._now = now
        # Most letters are never looked at: the ring keeps what they are made of.
        self._ring: deque[tuple[float, str, str, Why, Any, BaseException | None]] = deque(maxlen=size)
        self._counts: Counter[tuple[Why, str]] = Counter()
        self._observers: list[Callable[[DeadLetter], object]] = []
        self._window_ends = -math.inf
        self._logged = 0
        self._suppressed = 0

    def add(self, target: str, message: Any, why: Why, error: BaseException | None = None) -> None:
        kind = type(message).__name__
        at = self._now()
        facts = (at, target, kind, why, message, error)
        self._ring.append(facts)
        self._counts[why, kind] += 1
        self._log(at, target, kind, why)
        if self._observers:
            self._show(_letter(*facts))

    def _show(self, letter: DeadLetter) -> None:
        for observer in tuple(self._observers):
            try:
                observer(letter)
            except Exception:  # an observer must never take a sender down
                if observer in self._observers:  # it may have failed before, inside of this very call
                    self._observers.remove(observer)
                logger.exception("observer %r failed and was removed", observer)

    def observe(self, observer: Callable[[DeadLetter], object]) -> Callable[[], None]:
        """Call `observer(letter)` for every letter from now on; returns the function that ends it."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer) if observer in self._observers else None

    def latest(self) -> tuple[DeadLetter, ...]:
        """Oldest first."""
        return tuple(_letter(*facts) for facts in self._ring)

    def counts(self) -> Mapping[tuple[Why, str], int]:
        return dict(self._counts)

    def total(self, why: Why | None = None) -> int:
        return sum(count for (reason, _), count in self._counts.items() if why is None or reason is why)

    def _log(self, at: float, target: str, kind: str, why: Why) -> None:
        if at >= self._window_ends:
            if self._suppressed:
                logger.warning("%d more dead letters in the last %g s", self._suppressed, WINDOW)
            self._window_ends, self._logged, self._suppressed = at + WINDOW, 0, 0
        if self._logged < LOGGED_PER_WINDOW:
            self._logged += 1
            logger.warning("dead letter: %s to %r (%s)", kind, target, why.value)
        else:
            self._suppressed += 1
