"""Writes the report of every stop by itself: a picture when it begins, the whole when it is over, again when it is
released. Nothing waits for it; while the database is away the newest report of each stop waits in memory.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

import attrs
import trio

from actors.fleet.fleet import FleetBoard
from actors.fleet.preview import previewed
from actors.fleet.row import EngineRow
from actors.incidents.report import (
    LINES_AFTER,
    LINES_BEFORE,
    Before,
    IncidentReport,
    RunningStrategy,
    Slice,
    Window,
    compose,
    is_complete,
    mentioned,
    pictures,
    window,
)
from store import incidents, logs, users
from store.database import Database
from store.errors import StoreError
from supervisor.actor import Actor, Reply, handles
from supervisor.message import DEFERRED, Request
from wire.codec import decode, encode
from wire.errors import WireError
from wire.rest.stops import Stop, StopState
from wire.stops import Scope

SETTLE_SECONDS = 2.0
"""Evidence that arrives right behind a final phase still belongs in the report."""
RETRY_SECONDS = 5.0
FRESH = timedelta(seconds=5)
REMEMBERED = 1000
REPORT_BYTES = 4 * 1024 * 1024


@attrs.frozen(kw_only=True)
class StopSeen:
    """A view of a stop as it is shown: each changed one."""

    stop: Stop


@attrs.frozen(kw_only=True)
class MakeReport(Request[IncidentReport]):
    """The report as of now, whether the stop is over or not."""

    stop: Stop


class ReportBook(Protocol):
    """All raise StoreError."""

    async def save(self, report: IncidentReport) -> None: ...
    async def saved(self, stop_id: str) -> IncidentReport | None: ...
    async def log(self, window: Window) -> Slice: ...
    async def names(self, user_ids: list[str]) -> dict[str, str]: ...


class DatabaseReports:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def save(self, report: IncidentReport) -> None:
        text = encode(report, nulls=True)
        await self._db.run(incidents.save, report.stop.stop_id, report.made_at, report.complete, text)

    async def saved(self, stop_id: str) -> IncidentReport | None:
        text = await self._db.run(incidents.get, stop_id)
        try:
            return decode(text, IncidentReport, max_bytes=REPORT_BYTES) if text is not None else None
        except WireError:
            return None

    async def log(self, window: Window) -> Slice:
        before = await self._db.run(logs.last_before, window.engines, window.since, window.at, LINES_BEFORE + 1)
        after = await self._db.run(logs.first_after, window.engines, window.at, window.until, LINES_AFTER + 1)
        is_cut = len(before) > LINES_BEFORE or len(after) > LINES_AFTER
        return Slice(before=before[-LINES_BEFORE:], after=after[:LINES_AFTER], is_cut=is_cut)

    async def names(self, user_ids: list[str]) -> dict[str, str]:
        return await self._db.run(users.names, user_ids)


class IncidentOffice(Actor):
    def __init__(
        self, board: FleetBoard, book: ReportBook, *, wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._board = board
        self._book = book
        self._wall = wall
        self._pictures: OrderedDict[str, list[Before]] = OrderedDict()
        self._written: OrderedDict[str, tuple[int, StopState, datetime | None]] = OrderedDict()
        self._due: OrderedDict[str, tuple[Stop, float]] = OrderedDict()
        self._bell = trio.Event()

    async def started(self) -> None:
        self.context.spawn(self._write, name="write")

    @handles(StopSeen)
    async def on_seen(self, msg: StopSeen) -> None:
        stop = msg.stop
        is_new = stop.stop_id not in self._pictures
        if is_new and self._wall() - stop.requested_at < FRESH:
            self._remember(stop.stop_id, self._look(stop))
        mark = (stop.epoch, stop.state, stop.released_at)
        if self._written.get(stop.stop_id) == mark:
            if waiting := self._due.get(stop.stop_id):
                self._due[stop.stop_id] = (stop, waiting[1])
            return
        if not (is_new or is_complete(stop)):
            return
        self._written[stop.stop_id] = mark
        self._written.move_to_end(stop.stop_id)
        self._due[stop.stop_id] = (stop, trio.current_time() + SETTLE_SECONDS)
        for kept in (self._written, self._due):
            while len(kept) > REMEMBERED:
                kept.popitem(last=False)
        self._bell.set()

    @handles(MakeReport)
    async def on_make(self, msg: MakeReport) -> IncidentReport:
        self.context.spawn(self._answer, msg.stop, self.context.defer(), name="report")
        return cast("IncidentReport", DEFERRED)

    async def _answer(self, stop: Stop, reply: Reply) -> None:
        reply.send(await self._made(stop))

    # --- making -------------------------------------------------------------------------------------------------------

    def _look(self, stop: Stop) -> list[Before]:
        now = trio.current_time()
        rows = (self._board.rows.get(result.engine_id) for result in stop.results)
        return [picture_of(row, stop.scope, now) for row in rows if row is not None]

    def _remember(self, stop_id: str, found: list[Before]) -> None:
        self._pictures[stop_id] = found
        while len(self._pictures) > REMEMBERED:
            self._pictures.popitem(last=False)

    async def _made(self, stop: Stop) -> IncidentReport:
        """What cannot be read is missing and said to be."""
        log: Slice | None = None
        people: dict[str, str] = {}
        try:
            if stop.stop_id not in self._pictures:
                saved = await self._book.saved(stop.stop_id)
                self._remember(stop.stop_id, pictures(saved) if saved is not None else [])
            log = await self._book.log(window(stop))
            people = await self._book.names(mentioned(stop))
        except StoreError:
            pass
        return compose(stop, self._pictures.get(stop.stop_id, []), log, self._wall(), people=people)

    async def _write(self) -> None:
        """The stop that has waited longest, once it has settled; after a failure all wait."""
        while True:
            if not self._due:
                self._bell = trio.Event()
                await self._bell.wait()
            stop_id, (stop, at) = next(iter(self._due.items()))
            await trio.sleep_until(at)
            if self._due.get(stop_id) != (stop, at):
                continue
            try:
                await self._book.save(await self._made(stop))
            except StoreError:
                await trio.sleep(RETRY_SECONDS)
                continue
            if self._due.get(stop_id) == (stop, at):
                del self._due[stop_id]


def picture_of(row: EngineRow, scope: Scope, now: float) -> Before:
    """An engine as far as the stop's scope reaches."""
    seen = previewed(row, scope, now)
    return Before(
        engine_id=row.engine_id,
        connection=seen.connection,
        orders=seen.orders,
        positions=seen.positions,
        value=seen.value,
        as_of=seen.as_of,
        strategies=[
            RunningStrategy(
                strategy_id=s.report.id,
                status=s.report.status.value,
                version=s.report.version,
                parameters=dict(s.report.parameters),
            )
            for s in row.strategies.values()
        ],
    )
