"""Everything about stops that may be slow, in the order in which it was decided: journal, database, dashboards.

The coordinator only notes here what is to be done; these loops do it from tasks of their own. What is noted survives a
restart of the coordinator. A journal that fails or hangs is reported and never waited for: a stop is durable as soon as
either the journal or the database has it.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Callable

import trio

from actors.board import Board
from actors.platform.degraded import DegradedParts
from actors.stops.book import StopBook
from actors.stops.cases import Case
from actors.stops.effects import RaiseAlert, RecordStop
from actors.stops.records import NotKept, StopRecords
from wire.rest.stops import Stop, StopState

SHOW_SECONDS = 0.05
LOOK_SECONDS = 0.01
SAVE_SECONDS = 0.2
RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
HUNG_SECONDS = 2.0
JOURNAL_HEAD_START_SECONDS = 0.5
JOURNAL_LIMIT = 10_000
EARLIER = 20
EARLIER_SECONDS = 0.5
"""Whoever asks again for a stop that is long over waits so long for the database; so many such answers are kept."""
CALM_SECONDS = 0.25
"""How long the database waits for the end of a running stop that the journal has: a copy of each step serves nobody."""

JOURNAL = "journal"
DATABASE = "database"


class StopKeeping:
    """``show`` publishes one view to the dashboards; ``alert`` hears at once that a stop could not be written down."""

    def __init__(
        self,
        book: StopBook,
        records: StopRecords,
        board: Board[Stop],
        degraded: DegradedParts,
        show: Callable[[Stop], object],
        *,
        alert: Callable[[RaiseAlert], object] = lambda _alert: None,
    ) -> None:
        self._alert = alert
        self._book = book
        self._records = records
        self._board = board
        self._degraded = degraded
        self._show = show
        self._to_journal: deque[RecordStop] = deque()
        self._to_show: dict[str, None] = {}
        self._to_save: dict[str, None] = {}
        self._to_settle: deque[Case] = deque(maxlen=1000)
        self._journal_bell = trio.Event()
        self._journal_moved = trio.Event()
        self._journal_failing = False
        self._show_bell = trio.Event()
        self._save_bell = trio.Event()
        self._writing_since: float | None = None
        self._saving = False
        self._being_saved: Counter[str] = Counter()
        self._earlier: deque[str] = deque()

    # --- noting, never waiting ---

    def record(self, note: RecordStop) -> None:
        """A stop to be written down, its journal and its database copy."""
        if len(self._to_journal) < JOURNAL_LIMIT:
            self._to_journal.append(note)
        self._journal_bell.set()

    def changed(self, stop_id: str) -> None:
        self._to_show[stop_id] = self._to_save[stop_id] = None
        self._show_bell.set()
        self._save_bell.set()

    def settled(self, case: Case) -> None:
        self._to_settle.append(case)
        self._save_bell.set()

    def put(self, stop_id: str) -> Stop:
        """The view as it is at this moment, for the caller and for everybody who waits on the board."""
        view = self._book.view(stop_id)
        self._board.put(stop_id, view)
        return view

    async def put_earlier(self, stop_id: str) -> Stop:
        """The same of a stop that is long over: all of it, where the database answers in time."""
        found = None
        with trio.move_on_after(EARLIER_SECONDS), contextlib.suppress(NotKept):
            found = await self._records.read_stop(stop_id)
        entry, over = self._book.register.entries[stop_id], self._book.past.get(stop_id)
        if over is None:
            return self.put(stop_id)  # it was opened again in the meantime
        view = found or over.view(entry)
        self._board.put(stop_id, view)
        self._earlier.append(stop_id)
        if len(self._earlier) > EARLIER:
            self._drop(self._earlier.popleft())
        return view

    def fold(self) -> None:
        """Called regularly: what is long over, shown and written is packed, and found in the database."""
        stop_id = self._book.fold_one(self._is_written)
        if stop_id is not None:
            self._board.drop(stop_id)
        self._book.put_away_one(self._is_written)

    def _is_written(self, stop_id: str) -> bool:
        return stop_id not in self._to_save and stop_id not in self._to_show and not self._being_saved[stop_id]

    def _drop(self, stop_id: str) -> None:
        if stop_id in self._book.past:
            self._board.drop(stop_id)

    def watch(self, now: float) -> None:
        """Called regularly: a journal write that does not come back is said to hang."""
        if self._writing_since is not None and now - self._writing_since > HUNG_SECONDS:
            self._journal_fails("a write to the stop journal does not come back")

    def _journal_fails(self, reason: str) -> None:
        """Said once, when it begins: a stop that is sent is not on the platform's disk."""
        if self._degraded.report(JOURNAL, reason):
            self._alert(RaiseAlert(code="error_journal", severity="critical", reason=reason))

    async def flush(self) -> None:
        """Returns when journal and database have everything; bound it."""
        while self._to_journal or self._to_save or self._to_settle or self._saving:
            self._journal_bell.set()
            self._save_bell.set()
            await trio.sleep(0.02)

    # --- the loops ---

    async def keep_journal(self) -> None:
        """Runs for ever. One write at a time; what came meanwhile goes into the next, with one fsync."""
        failures = 0
        while True:
            if not self._to_journal:
                self._journal_bell = trio.Event()
                await self._journal_bell.wait()
            batch = list(self._to_journal)
            self._writing_since = trio.current_time()
            try:
                await self._records.write_journal(batch)
            except NotKept as error:
                self._journal_fails(error.reason)
                self._note_journal(failing=True)
                await trio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                continue
            finally:
                self._writing_since = None
            failures = 0
            self._degraded.restored(JOURNAL)
            for note in batch:
                self._to_journal.popleft()
                self.became_durable(note.stop_id, note.entry.stop_epoch)
            self._note_journal(failing=False)

    def _note_journal(self, *, failing: bool) -> None:
        self._journal_failing = failing
        self._journal_moved.set()
        self._journal_moved = trio.Event()

    async def keep_database(self) -> None:
        """Runs for ever. The newest view of each changed stop; while the database is away they only get newer."""
        failures = 0
        while True:
            if not self._to_save and not self._to_settle:
                self._save_bell = trio.Event()
                await self._save_bell.wait()
            self._saving = True
            try:
                await self._save_all()
            except NotKept as error:
                self._degraded.report(DATABASE, error.reason)
                await trio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                continue
            finally:
                self._saving = False
            failures = 0
            await trio.sleep(SAVE_SECONDS)

    async def _save_all(self) -> None:
        await self.journal_first(JOURNAL_HEAD_START_SECONDS)
        await self._calm()
        while self._to_save:
            stop_id = next(iter(self._to_save))
            del self._to_save[stop_id]
            try:
                await self.save(stop_id)
            except BaseException:
                self._to_save[stop_id] = None  # also when it was only given up: it may not be there
                raise
        while self._to_settle:
            await self._records.settle_case(self._to_settle[0])
            self._to_settle.popleft()

    async def save(self, stop_id: str) -> None:
        """The present view into the database. Raises NotKept."""
        self._being_saved[stop_id] += 1
        try:
            if self._book.runs[stop_id].is_continued:
                earlier = await self._records.read_stop(stop_id)
                self._book.runs[stop_id].join(earlier)
            view = self._book.view(stop_id)
            await self._records.save_stop(view)
        finally:
            self._being_saved[stop_id] -= 1
            self._being_saved += Counter()  # forgets what is at zero
        self.became_durable(stop_id, view.epoch)

    async def journal_first(self, seconds: float) -> None:
        """A database that is ahead of the journal after a crash looks like a lost journal. It never waits longer, and
        for a journal that has failed not at all: then the database is what makes a stop durable."""
        with trio.move_on_after(seconds):
            while self._to_journal and not self._journal_failing:
                await self._journal_moved.wait()

    async def _calm(self) -> None:
        with trio.move_on_after(CALM_SECONDS):
            while not self._to_settle and all(map(self._may_wait, self._to_save)):  # noqa: ASYNC110  # as in keep_shown
                await trio.sleep(LOOK_SECONDS)

    def _may_wait(self, stop_id: str) -> bool:
        return self._book.runs[stop_id].durable and self._book.is_running(stop_id)

    async def keep_shown(self) -> None:
        """Runs for ever. Shows changes at once, and then at most every 50 ms, or a third of the time.

        That a stop is through, for which somebody may wait, is shown within 10 ms.
        """
        while True:
            if not self._to_show:
                self._show_bell = trio.Event()
                await self._show_bell.wait()
            began = trio.current_time()
            shown, self._to_show = self._to_show, {}
            for stop_id in shown:
                self._show(self.put(stop_id))
            now = trio.current_time()
            again = now + max(SHOW_SECONDS, 2 * (now - began))
            # Looking now and then is cheaper than being told of each of a thousand steps.
            while trio.current_time() < again and not any(map(self._is_through, self._to_show)):  # noqa: ASYNC110
                await trio.sleep(LOOK_SECONDS)

    def _is_through(self, stop_id: str) -> bool:
        """Whether every engine has come to an end since this was last shown."""
        shown = self._board.get(stop_id)
        return shown is not None and shown.state is StopState.RUNNING and not self._book.is_running(stop_id)

    def became_durable(self, stop_id: str, epoch: int) -> None:
        if self._book.became_durable(stop_id, epoch):
            self._to_show[stop_id] = None
            self._show_bell.set()
            self._to_save[stop_id] = None  # the row says it too; no bell: with the next change is early enough
