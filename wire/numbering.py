"""What was received: which number comes next, what is committed, and when the peer must be told.

An ack means committed, never merely received. It is cumulative, and late by at most ``delay`` seconds or ``batch``
messages.
"""

from enum import Enum

import attrs

from wire.lines import Line, put


class Verdict(Enum):
    """last + 1: NEXT, process it. At or below last: SEEN, drop it and ack again. Above: GAP, close."""

    NEXT = "next"
    SEEN = "seen"
    GAP = "gap"


@attrs.define
class Inbound:
    """The receiving half of one session. ``last`` is the highest number received in order."""

    delay: float = 0.2
    batch: int = 64
    last: int = 0
    due_at: float | None = None
    _uncommitted: Line[int] = ()
    _told: int = 0
    _owed: bool = False

    @property
    def uncommitted(self) -> int:
        """How many messages the application has and did not commit yet."""
        return len(self._uncommitted)

    @property
    def committed(self) -> int:
        """Every message up to this number is committed, or needs no commit."""
        return self._uncommitted[0] - 1 if self._uncommitted else self.last

    def judge(self, seq: int) -> Verdict:
        if seq == self.last + 1:
            return Verdict.NEXT
        return Verdict.SEEN if seq <= self.last else Verdict.GAP

    def take(self, seq: int) -> None:
        """The message went to the application, which will commit it."""
        self.last = seq
        self._uncommitted = put(self._uncommitted, seq)

    def count(self, to_seq: int, now: float) -> None:
        """Numbers up to ``to_seq`` need no commit: a conflated message, an invalid one, or a filled gap."""
        self.last = max(self.last, to_seq)
        self._schedule(now)

    def commit(self, seq: int, now: float) -> None:
        while self._uncommitted and self._uncommitted[0] <= seq:
            self._uncommitted.popleft()
        self._uncommitted = self._uncommitted or ()
        self._schedule(now)

    def seen_again(self) -> None:
        """The peer repeats itself, so it does not know: say it once more, at once."""
        self._owed = True

    def is_due(self, now: float) -> bool:
        if self._owed or self.committed - self._told >= self.batch:
            return True
        return self.due_at is not None and now >= self.due_at

    def news(self) -> int | None:
        """The ack that any frame may carry, or None when the peer knows already."""
        return self.committed if self._owed or self.committed > self._told else None

    def told(self, seq: int) -> None:
        self._told = seq
        self._owed = False
        self.due_at = None

    def restart(self, last: int) -> None:
        """A new connection begins after ``last``, which the peer learns from the hello or the welcome."""
        self.last = self._told = last
        self._uncommitted = ()
        self._owed = False
        self.due_at = None

    def _schedule(self, now: float) -> None:
        if self.due_at is None and self.committed > self._told:
            self.due_at = now + self.delay
