"""The way out for everything the engine has to say.

Lossless messages go to a durable spool before anything else knows of them, and leave it only when the platform has
committed them; so they survive a broken link, a platform that is away and kill -9 of this process. Conflated messages
keep only their latest value. The link drains both; when there is no link, nothing is lost and nothing blocks.

A disk that refuses takes nothing away from a stop: what cannot be written is kept in memory, said aloud, and written
as soon as the disk takes it again.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import attrs

from wire.codec import structure, unstructure
from wire.errors import WireError
from wire.lanes import ENGINE_UP, LANES, TYPE_OF, Lane
from wire.messages import ErrorReport, Fill, TradeLog
from wire.outbox import VITAL
from wire.sdk.journal import Journal, Line
from wire.sdk.syncing import Fsync, Syncable, Syncer
from wire.sdk.work import Job, Outcome
from wire.values import ErrorCategory, Severity

_COMPACT_AFTER = 5_000  # journal lines that are mostly acknowledgements


@attrs.frozen(kw_only=True)
class Spooled:
    """One lossless message under its durable id."""

    id: str
    message: object


class Outlet:
    """``capacity``: unacknowledged messages; beyond it the oldest trade logs give way (and the gap is reported), other
    messages never do. ``wake`` is called after every change, ``failed`` when the file cannot be written.

    ``fsync`` ALWAYS syncs every line before ``send`` returns; the other policies leave that to ``SpoolLane``.
    """

    def __init__(
        self,
        path: Path,
        *,
        new_id: Callable[[], str],
        capacity: int = 20_000,
        fsync: Fsync = Fsync.INTERVAL,
    ) -> None:
        self._journal = Journal(path)
        self._fsync = fsync
        self._delta: list[Line] | None = None
        self._behind = False
        self._new_id = new_id
        self._capacity = capacity
        self._waiting: OrderedDict[str, object] = OrderedDict()
        self._fresh: deque[str] = deque()
        self._vital: deque[str] = deque()
        self._latest: dict[type, object] = {}
        self.lost = 0
        self.wake: Callable[[], None] = _nobody
        self.failed: Callable[[OSError], None] = lambda _error: None

    def open(self) -> bool:
        """Reads what an earlier process left. False when the tail was torn. Raises OSError when it cannot be read."""
        lines, torn = self._journal.load()
        for line in lines:
            self._replay(line)
        self.rewind()
        try:
            self._journal.rewrite(self._lines())
        except OSError as error:
            self._fell_behind(error)
        return not torn

    def send(self, message: object) -> str | None:
        """Takes a message; its durable id when it is lossless. Never raises for what a disk does."""
        lane = LANES[type(message)]
        if lane is Lane.CONFLATED:
            self._latest[type(message)] = message
            self.wake()
            return None
        if lane is not Lane.LOSSLESS:
            raise ValueError(f"{type(message).__name__} is not something an engine spools")
        durable_id = message.id if isinstance(message, TradeLog | Fill) else self._new_id()
        self._waiting[durable_id] = message
        (self._vital if isinstance(message, VITAL) else self._fresh).append(durable_id)
        self._write({"+": durable_id, "type": TYPE_OF[type(message)], "payload": unstructure(message)})
        self._shed()
        self.wake()
        return durable_id

    def acknowledged(self, ids: Iterable[str]) -> None:
        """The platform has committed these."""
        gone = [i for i in ids if self._waiting.pop(i, None) is not None]
        if gone:
            self._write({"-": gone})

    def waiting(self) -> list[Spooled]:
        """Everything unacknowledged, oldest first."""
        return [Spooled(id=i, message=m) for i, m in self._waiting.items()]

    def take_fresh(self, limit: int) -> list[Spooled]:
        """At most ``limit`` messages that the link has not had yet, oldest first. They stay here until acknowledged.

        What the engine says of stops, errors and commands comes first and beyond the limit: it must not wait behind
        trade logs that a platform without its database cannot acknowledge.
        """
        taken = self._take(self._vital, len(self._vital))
        return taken + self._take(self._fresh, limit - len(taken))

    def _take(self, fresh: deque[str], limit: int) -> list[Spooled]:
        taken: list[Spooled] = []
        while fresh and len(taken) < limit:
            durable_id = fresh.popleft()
            if durable_id in self._waiting:
                taken.append(Spooled(id=durable_id, message=self._waiting[durable_id]))
        return taken

    def rewind(self) -> None:
        """A new link knows nothing: everything unacknowledged is fresh again."""
        self._vital = deque(i for i, m in self._waiting.items() if isinstance(m, VITAL))
        self._fresh = deque(i for i, m in self._waiting.items() if not isinstance(m, VITAL))

    def take_latest(self) -> list[object]:
        """The conflated messages that are new since the last call."""
        latest, self._latest = list(self._latest.values()), {}
        return latest

    # --- the file ---

    def _write(self, line: Line) -> None:
        if self._delta is not None:
            self._delta.append(line)
        if self._behind:
            return
        try:
            self._journal.append(line)
            if self._fsync is Fsync.ALWAYS:
                self._journal.sync()
        except OSError as error:
            self._fell_behind(error)

    def _fell_behind(self, error: OSError) -> None:
        """What stands there now may end in half a line: nothing more is appended before the file is whole again."""
        self._behind = True
        self.failed(error)

    @property
    def is_behind(self) -> bool:
        """Whether the file lacks something that memory has."""
        return self._behind

    @property
    def wants_rewrite(self) -> bool:
        """Whether the file should be written anew: it lacks something, or is mostly acknowledgements."""
        return self._behind or self._journal.length > max(_COMPACT_AFTER, 2 * len(self._waiting))

    def begin_rewrite(self) -> Callable[[], None]:
        """Blocking work for a thread, which writes what waits now beside the file; then ``end_rewrite``."""
        lines, self._delta = list(self._lines()), []
        return lambda: self._journal.prepare(lines)

    def end_rewrite(self, *, written: bool) -> None:
        """The prepared file, with what was said meanwhile, takes the place of the old one."""
        delta, self._delta = self._delta or [], None
        if not written:
            return
        try:
            self._journal.adopt(delta)
            self._behind = False
        except OSError as error:
            self._fell_behind(error)

    @property
    def unsynced(self) -> bool:
        return self._journal.unsynced and self._fsync is not Fsync.NEVER

    def sync(self) -> None:
        """Blocking; for a thread."""
        self._journal.sync()

    def make_whole(self) -> None:
        """Blocking, at the end: the file has everything that memory has, on stable storage. Raises OSError."""
        if self._behind:
            self._journal.rewrite(self._lines())
            self._behind = False
        else:
            self._journal.sync()

    def close(self) -> None:
        self._journal.close()

    def __len__(self) -> int:
        return len(self._waiting)

    def _shed(self) -> None:
        if len(self._waiting) <= self._capacity:
            return
        oldest = next((i for i, m in self._waiting.items() if isinstance(m, TradeLog)), None)
        if oldest is None:
            return
        del self._waiting[oldest]
        self._write({"-": [oldest]})
        self.lost += 1
        if self.lost % 1000 == 1:
            self.send(_overflow(self.lost))

    def _replay(self, line: Line) -> None:
        if "+" in line:
            message = _read(line)
            if message is not None:
                self._waiting[line["+"]] = message
        for gone in line.get("-", ()):
            self._waiting.pop(gone, None)

    def _lines(self) -> Iterator[Line]:
        return ({"+": i, "type": TYPE_OF[type(m)], "payload": unstructure(m)} for i, m in self._waiting.items())


class Rewritable(Syncable, Protocol):
    """A file that memory leads and that can be written anew while it goes on."""

    @property
    def wants_rewrite(self) -> bool: ...

    def begin_rewrite(self) -> Callable[[], None]: ...

    def end_rewrite(self, *, written: bool) -> None: ...


class SpoolLane(Syncer):
    """Keeps such a file short, whole and safe."""

    def __init__(self, file: Rewritable, *, failed: Callable[[Exception], None]) -> None:
        super().__init__(file, failed=failed)
        self._kept = file

    def next(self, now: float) -> Job | None:
        if now >= self._not_before and self._kept.wants_rewrite:
            return Job(work=self._kept.begin_rewrite(), then=self._rewritten, blocking=True)
        return super().next(now)

    def _rewritten(self, outcome: Outcome, now: float) -> None:
        self._kept.end_rewrite(written=outcome.error is None)
        self._done(outcome, now)


def _read(line: Line) -> object | None:
    """None for what this version does not know any more."""
    kind = ENGINE_UP.get(line.get("type", ""))
    if kind is None:
        return None
    try:
        value: Any = structure(line.get("payload"), kind)
    except WireError:
        return None
    return value  # type: ignore[no-any-return]


def _overflow(lost: int) -> ErrorReport:
    return ErrorReport(
        code="error_outbox_overflow",
        category=ErrorCategory.LINK,
        reason=f"{lost} trade logs were dropped while the platform was away",
        severity=Severity.ERROR,
        degraded=True,
    )


def _nobody() -> None:
    """Nobody drains yet."""


def new_id() -> str:
    """A durable id: 128 random bits, hexadecimal."""
    return os.urandom(16).hex()
