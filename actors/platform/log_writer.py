"""Keeps what engines tell, in batches: one transaction for up to 2000 messages or 20 ms, the links' progress included.

Only after the commit are the links told, so an ack means committed and never merely received. A message the database
refuses is set aside as a dead letter and nacked; it does not hold up the others. While the database is away messages
wait here, unacknowledged, and the engines' windows bound how many.
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import attrs
import trio

from actors.platform.degraded import DegradedParts
from store import engines, letters, links, logs, snapshots
from store.database import Connection, Database
from store.errors import Refused, StoreError
from store.letters import DeadLetter
from store.links import Progress
from store.logs import Committed, Received
from supervisor.actor import Actor, handles
from supervisor.ref import Ref
from wire.codec import encode
from wire.lanes import TYPE_OF
from wire.messages import Account

BATCH = 2000
GATHER_SECONDS = 0.02
ACCOUNT_SECONDS = 5.0
RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)
CAPACITY = 400_000
"""Mailbox places: 1,000 engines with their whole windows. A full one closes the link that fills it (4013)."""
PART = "logs"


@attrs.frozen(kw_only=True)
class Keep:
    """What a link has read at once: ``rows`` in order, and their numbers. When they are committed everything up to
    ``seq`` is, because what has no row is kept elsewhere."""

    engine_id: str
    link: Ref
    connection: int
    session: str
    seq: int
    rows: Sequence[Received] = ()
    numbers: Sequence[int] = ()


@attrs.frozen(kw_only=True)
class SessionBegun:
    engine_id: str
    session: str
    instance: str
    version: str
    trading_mode: str


@attrs.frozen(kw_only=True)
class SetAside:
    """A message that nobody can use, for a person to look at."""

    letter: DeadLetter


@attrs.frozen(kw_only=True)
class KeepAccount:
    engine_id: str
    account: Account


@attrs.frozen(kw_only=True)
class Kept:
    """Told to a link: everything up to ``seq`` of that connection is committed."""

    connection: int
    seq: int


@attrs.frozen(kw_only=True)
class NotStorable:
    """Told to a link before ``Kept``: this one message is counted, and will never be stored."""

    connection: int
    seq: int
    id: str
    reason: str


class Ledger(Protocol):
    """The database as this actor needs it. Every method raises StoreError."""

    async def begin(self, begun: Sequence[SessionBegun], now: datetime) -> None: ...
    async def commit(self, received: Sequence[Received], progress: Sequence[Progress], now: datetime) -> Committed: ...
    async def bury(self, letter: DeadLetter) -> None: ...
    async def note_account(self, engine_id: str, account: Account) -> None: ...


class DatabaseLedger:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def begin(self, begun: Sequence[SessionBegun], now: datetime) -> None:
        """All of them, or with the first that is refused none."""
        await self._db.run(_begin_all, begun, now, tx={})

    async def commit(self, received: Sequence[Received], progress: Sequence[Progress], now: datetime) -> Committed:
        with suppress(logs.NotAllStorable):
            return await self._db.run(logs.commit_together, received, progress, now, tx={})
        return await self._db.run(logs.commit, received, progress, now, tx={})

    async def bury(self, letter: DeadLetter) -> None:
        await self._db.run(letters.save, letter)

    async def note_account(self, engine_id: str, account: Account) -> None:
        await self._db.run(snapshots.save, engine_id, account)


async def _begin_all(conn: Connection, begun: Sequence[SessionBegun], now: datetime) -> None:
    await links.begin_many(conn, [(one.engine_id, one.session, one.instance) for one in begun], now)
    await engines.seen(conn, [(one.engine_id, one.version, one.trading_mode) for one in begun], now)


class LogWriter(Actor):
    """``show`` gets every message that was not stored before, after its commit, in the order of commits."""

    def __init__(
        self,
        ledger: Ledger,
        degraded: DegradedParts,
        show: Callable[[Received], object],
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._degraded = degraded
        self._show = show
        self._wall = wall
        self._queue: deque[Keep | SessionBegun | SetAside] = deque()
        self._rows = 0
        self._accounts: dict[str, Account] = {}
        self._bell = trio.Event()

    async def started(self) -> None:
        self.context.spawn(self._write, name="batches")
        self.context.spawn(self._note_accounts, name="accounts")

    @handles(Keep)
    async def on_keep(self, msg: Keep) -> None:
        self._queue.append(msg)
        self._rows += len(msg.rows)
        self._bell.set()

    @handles(SessionBegun)
    async def on_begun(self, msg: SessionBegun) -> None:
        self._queue.append(msg)
        self._bell.set()

    @handles(SetAside)
    async def on_set_aside(self, msg: SetAside) -> None:
        self._queue.append(msg)
        self._bell.set()

    @handles(KeepAccount)
    async def on_account(self, msg: KeepAccount) -> None:
        self._accounts[msg.engine_id] = msg.account

    # --- the loops ---

    async def _write(self) -> None:
        failures = 0
        while True:
            if not self._queue:
                self._bell = trio.Event()
                await self._bell.wait()
            if self._rows < BATCH:
                await trio.sleep(GATHER_SECONDS)
            try:
                await self._write_some()
            except StoreError as error:
                self._degraded.report(PART, str(error))
                await trio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            else:
                self._degraded.restored(PART)
                failures = 0

    async def _write_some(self) -> None:
        """One batch. What fails stays in the queue, in its place."""
        if begun := self._beginnings():
            await self._begin(begun)
            for _ in begun:
                self._queue.popleft()
            return
        first = self._queue[0]
        if isinstance(first, SetAside):
            await self._ledger.bury(first.letter)
            self._queue.popleft()
            return
        batch = self._next_batch()
        received = [row for keep in batch for row in keep.rows]
        committed = await self._ledger.commit(received, _progress(batch), self._wall())
        for rejected in committed.rejected:
            await self._ledger.bury(_letter(rejected.received, rejected.reason, self._wall()))
        for _ in batch:
            self._queue.popleft()
        self._rows -= len(received)
        reasons = {(r.received.engine_id, r.received.id): r.reason for r in committed.rejected}
        self._tell(batch, reasons)
        for one in committed.new:
            self._show(one)

    def _beginnings(self) -> list[SessionBegun]:
        """A fleet that comes back does so at once: its sessions begin in one transaction."""
        begun: list[SessionBegun] = []
        for item in self._queue:
            if not isinstance(item, SessionBegun) or len(begun) == BATCH:
                break
            begun.append(item)
        return begun

    def _next_batch(self) -> list[Keep]:
        """At least one, and no more rows than a batch may have."""
        batch: list[Keep] = []
        rows = 0
        for item in self._queue:
            if not isinstance(item, Keep) or (batch and rows + len(item.rows) > BATCH):
                break
            batch.append(item)
            rows += len(item.rows)
        return batch

    async def _begin(self, begun: Sequence[SessionBegun]) -> None:
        """A row that the database refuses (an engine deregistered meanwhile) is no reason to hold up the rest."""
        try:
            await self._ledger.begin(begun, self._wall())
        except Refused as error:
            if len(begun) > 1:
                for one in begun:
                    await self._begin([one])
                return
            self.context.log.warning("the session of %s was not noted: %s", begun[0].engine_id, error)

    def _tell(self, batch: Iterable[Keep], reasons: dict[tuple[str, str], str]) -> None:
        done: dict[tuple[Ref, int], int] = {}
        for keep in batch:
            if reasons:
                self._tell_refused(keep, reasons)
            done[(keep.link, keep.connection)] = keep.seq
        for (link, connection), seq in done.items():
            if not link.closed:
                link.tell(Kept(connection=connection, seq=seq), urgent=True)

    def _tell_refused(self, keep: Keep, reasons: dict[tuple[str, str], str]) -> None:
        for row, seq in zip(keep.rows, keep.numbers, strict=True):
            if (reason := reasons.get((keep.engine_id, row.id))) is not None:
                note = NotStorable(connection=keep.connection, seq=seq, id=row.id, reason=reason)
                keep.link.tell(note, urgent=True)

    async def _note_accounts(self) -> None:
        while True:
            await trio.sleep(ACCOUNT_SECONDS)
            for engine_id in list(self._accounts):
                account = self._accounts.pop(engine_id)
                try:
                    await self._ledger.note_account(engine_id, account)
                except StoreError as error:
                    self._accounts.setdefault(engine_id, account)
                    self._degraded.report(PART, str(error))
                    break


def _progress(batch: Iterable[Keep]) -> list[Progress]:
    reached: dict[tuple[str, str], int] = {}
    for keep in batch:
        key = (keep.engine_id, keep.session)
        reached[key] = max(keep.seq, reached.get(key, 0))
    return [Progress(engine_id=e, session=s, last_recv=seq) for (e, s), seq in reached.items()]


def _letter(received: Received, reason: str, now: datetime) -> DeadLetter:
    return DeadLetter(
        id=str(uuid.uuid4()),
        engine_id=received.engine_id,
        kind=TYPE_OF.get(type(received.message), "trade_log"),
        payload=_storable(encode(received.message)),
        reason=reason,
        at=now,
    )


def _storable(text: str) -> str:
    """JSON escapes everything the database refuses, except what it refuses escaped: NUL and lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\\u0000", "\\ufffd")
