"""The two durable copies of the stops, journal and database, as the coordinator uses them."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from actors.stops.cases import Case, row_of
from actors.stops.effects import RecordStop, Words
from actors.stops.records import NotKept, ReleaseNote
from actors.stops.run import PLATFORM
from store import audit, releases, stops, users
from store.database import Connection, Database
from store.errors import Conflict, StoreError
from store.journal import StopJournal
from store.journal_records import EpochNoted, Record, ReleaseNoted, StopNoted
from wire.rest.stops import Stop
from wire.stops import Entry

T = TypeVar("T")


class StopCopies:
    """``term`` of this platform, None while the database could not be asked for it: then it takes no epoch.

    The journal is one file with one writer: whatever thread appends takes the lock.
    """

    def __init__(self, journal: StopJournal, db: Database, term: Callable[[], int | None]) -> None:
        self._journal = journal
        self._db = db
        self._term = term
        self._lock = threading.Lock()

    def generation(self) -> int:
        """Of the journal file that is written now."""
        return self._journal.generation

    # --- stops ---

    async def write_journal(self, stops: Sequence[RecordStop]) -> None:
        records = [noted(s.stop_id, s.entry, s.words) for s in stops]
        # A coordinator that is restarted must not wait for a disk that hangs: the thread ends when the disk answers.
        await trio.to_thread.run_sync(self.append, records, abandon_on_cancel=True)

    def append(self, records: Sequence[Record]) -> None:
        """Blocking; from any thread, with one sync. Raises NotKept when they are not all on the disk."""
        with self._lock:
            self._append(records)

    def append_within(self, seconds: float, records: Sequence[Record]) -> bool:
        """The same, giving up when another writer holds the journal that long. False: not on the disk."""
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            self._append(records)
        except NotKept:
            return False
        finally:
            self._lock.release()
        return True

    def _append(self, records: Sequence[Record]) -> None:
        appended = self._journal.append(*records)
        if not appended.durable:
            raise NotKept(f"the stop journal could not be written: {appended.reason}")

    async def save_stop(self, stop: Stop) -> None:
        await self._run(stops.save, self._my_term(), stop)

    async def read_stop(self, stop_id: str) -> Stop | None:
        try:
            return await self._db.run(stops.get, stop_id)
        except StoreError as error:
            raise NotKept(str(error)) from None

    # --- releases ---

    async def risk_users(self) -> list[str]:
        try:
            return await self._db.run(users.who_may_release)
        except StoreError as error:
            raise NotKept(str(error)) from None

    async def note_case(self, case: Case) -> None:
        await self._run(_request, case)

    async def settle_case(self, case: Case) -> None:
        await self._run(_settle, case)

    async def reserve_release(self, note: ReleaseNote) -> None:
        records: list[Record] = [noted(note.plan.stop_id, note.entry, note.words)]
        records.append(EpochNoted(epoch=note.plan.epoch, term=self._my_term(), at=note.at))
        await trio.to_thread.run_sync(self.append, records, abandon_on_cancel=True)

    async def commit_release(self, note: ReleaseNote, kept: Sequence[Stop]) -> None:
        await self._run(_release, self._my_term(), note, kept)

    async def seal_release(self, note: ReleaseNote) -> None:
        plan = note.plan
        records: list[Record] = [noted(k.stop_id, k.entry, k.words) for k in plan.kept]
        records.append(ReleaseNoted(stop_ids=[plan.stop_id], epoch=plan.epoch, user_id=plan.user_id, at=note.at))
        await trio.to_thread.run_sync(self.append, records, abandon_on_cancel=True)

    def _my_term(self) -> int:
        term = self._term()
        if term is None:
            raise NotKept("the database has not been reached since the start")
        return term

    async def _run(self, fn: Callable[..., object], *args: object) -> None:
        try:
            await self._db.run(fn, *args, tx={})  # type: ignore[arg-type]  # every fn here takes the connection first
        except StoreError as error:
            raise NotKept(str(error)) from None


def noted(stop_id: str, entry: Entry, words: Words) -> StopNoted:
    return StopNoted(
        stop_id=stop_id,
        request_id=words.request_id,
        scope=entry.scope,
        level=entry.level,
        stop_epoch=entry.stop_epoch,
        user_id=words.user_id,
        reason=words.reason,
        cause=words.cause,
        at=words.requested_at,
        drill=words.drill,
        username=words.username,
    )


def words_of(stop: StopNoted) -> Words:
    return Words(
        request_id=stop.request_id,
        user_id=stop.user_id,
        reason=stop.reason,
        requested_at=stop.at,
        cause=stop.cause,
        drill=stop.drill,
        username=stop.username,
    )


async def _request(conn: Connection, case: Case) -> None:
    await releases.request(conn, row_of(case))
    await audit.append(
        conn,
        actor=case.requested_by,
        action="release.requested",
        target=f"stop:{case.stop_id}",
        detail={"release": case.id, "epoch": case.epoch, "reason": case.reason, "waived": case.waived},
        entry_id=case.id,
    )


async def _settle(conn: Connection, case: Case) -> None:
    await releases.settle(conn, row_of(case))


async def _release(conn: Connection, term: int, note: ReleaseNote, kept: Sequence[Stop]) -> None:
    plan, case, at = note.plan, note.case, note.at
    for stop in kept:
        await stops.save(conn, term, stop)
    await stops.release(conn, term, [plan.stop_id], plan.epoch, at)
    if not await releases.settle(conn, row_of(case)) and case.requested_by != PLATFORM:
        raise Conflict("one_release_at_a_time")
    await audit.append(
        conn,
        actor=note.approved_by.user_id,
        action="stop.released",
        target=f"stop:{plan.stop_id}",
        detail={
            "release": case.id,
            "epoch": plan.epoch,
            "requested_by": case.requested_by,
            "reason": plan.reason,
            "resume": plan.resume,
            "reduced": None if case.reduced is None else [case.reduced.minutes, case.reduced.max_order_value],
            "kept": {k.engine_id: k.stop_id for k in plan.kept},
        },
        at=at,
        entry_id=f"{plan.stop_id}@{plan.epoch}"[-64:],
    )
