"""The start-up rule: what is stopped when the platform comes up, from what the journal and the database say. Pure.

Stops are the union of both. A release counts when a verified record of the journal says so; one that only the database
has was never committed, except where the journal's own genesis says that everything up to its floor is settled.

Where the journal cannot be believed to be whole (missing, torn, corrupt, another platform's, another database's, older
than the database), or the database cannot be asked, there is additionally HALT on everything, cause ``lost_journal``.
Ignorance opens HALT, never more and never less: of stops the journal does not know, the database's releases then stand,
because the HALT covers them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from store import platform, stops
from store.database import Connection
from store.journal_records import Genesis, JournalReading, JournalState, Replayed, StopNoted, evolve
from store.stops import Brief
from wire.stops import Entry, Level, Register, Scope, ScopeKind

LOST_JOURNAL = "lost_journal"


@attrs.frozen(kw_only=True)
class DatabaseReading:
    """The database's copy, without the stories of its stops. ``journal_generation`` None: this database never saw a
    journal. ``briefs`` are not needed for the rule of the start."""

    platform_id: str
    database_id: str
    journal_generation: int | None
    register: Register
    stops: dict[str, StopNoted]
    briefs: Mapping[str, Brief] = attrs.field(factory=dict, repr=False)

    @property
    def is_new(self) -> bool:
        return self.journal_generation is None and not self.register.entries and self.register.epoch == 0


@attrs.frozen(kw_only=True)
class StartRegister:
    """What holds from the first moment on.

    ``findings`` are the reasons why the journal is not believed; ``lost_journal`` the stop to be written to both when
    there are any and none is open already. ``genesis``: begin a new journal file with it, else resume the one read.
    """

    register: Register
    stops: dict[str, StopNoted]
    findings: tuple[str, ...]
    lost_journal: StopNoted | None
    genesis: Genesis | None
    first_start: bool

    @property
    def epoch(self) -> int:
        return self.register.epoch

    def open_stops(self) -> list[StopNoted]:
        return [self.stops[stop_id] for stop_id, _ in self.register.open_stops()]


async def read_database(conn: Connection) -> DatabaseReading:
    """Needs a transaction of isolation repeatable_read."""
    identity = await platform.read(conn)
    briefs = await stops.briefs(conn)
    return DatabaseReading(
        platform_id=identity.platform_id,
        database_id=identity.database_id,
        journal_generation=identity.journal_generation,
        register=stops.register_of(briefs, await stops.platform_epoch(conn)),
        stops={stop_id: brief.noted for stop_id, brief in briefs.items()},
        briefs=briefs,
    )


def merge_at_start(
    journal: JournalReading, database: DatabaseReading | None, *, now: datetime, new_id: Callable[[], str]
) -> StartRegister:
    """``database`` None: it cannot be asked. ``new_id`` makes ids for stops and, at worst, for the platform."""
    first_start = journal.state is JournalState.NEW and database is not None and database.is_new
    findings = () if first_start else tuple(_findings(journal, database))
    written = journal.replayed() if journal.state is not JournalState.FOREIGN else Replayed()
    merged = _union(written, database, floor=_settled_floor(journal, findings))
    lost = (
        None if not findings or _halts_everything(merged) else _halt(merged.register.epoch + 1, findings, now, new_id)
    )
    if lost is not None:
        merged = merged.after(lost)
    return StartRegister(
        register=merged.register,
        stops=merged.stops,
        findings=findings,
        lost_journal=lost,
        genesis=_genesis(journal, database, merged, now, new_id) if first_start or findings else None,
        first_start=first_start,
    )


def _findings(journal: JournalReading, database: DatabaseReading | None) -> list[str]:
    """Why the journal cannot be believed to be whole."""
    found = []
    if journal.state is JournalState.NEW:
        found.append("the stop journal is missing")
    elif journal.state is not JournalState.VERIFIED:
        found.append(f"the stop journal is {journal.state.value}: {journal.reason}")
    if database is None:
        return [*found, "the database cannot be asked"]
    if (genesis := journal.genesis) is None:
        return found
    if (genesis.platform_id, genesis.database_id) != (database.platform_id, database.database_id):
        found.append("the stop journal belongs to another database")
    elif (database.journal_generation or 0) > genesis.generation or database.register.epoch > journal.last_epoch:
        found.append("the stop journal is older than the database")
    return found


def _settled_floor(journal: JournalReading, findings: tuple[str, ...]) -> int | None:
    """Up to which epoch the database's own releases stand for stops the journal does not know; None: all of them."""
    if findings or journal.genesis is None:
        return None
    return journal.genesis.floor


def _union(written: Replayed, database: DatabaseReading | None, *, floor: int | None) -> Replayed:
    if database is None:
        return written
    counted: dict[str, Entry] = {}
    for stop_id, entry in database.register.entries.items():
        settled = stop_id not in written.register.entries and (floor is None or entry.stop_epoch <= floor)
        counted[stop_id] = entry if settled else attrs.evolve(entry, released_epoch=None)
    register = written.register.at_least(database.register.epoch).merge(Register(entries=counted))
    for stop_id, epoch in written.releases.items():
        register = register.with_release([stop_id], epoch)
    behind = {
        i for i, s in written.stops.items() if i in database.stops and s.stop_epoch < database.stops[i].stop_epoch
    }
    details = {**database.stops, **{i: s for i, s in written.stops.items() if i not in behind}}
    detailed = {stop_id: _detailed(details[stop_id], entry) for stop_id, entry in register.entries.items()}
    return Replayed(register=register, stops=detailed, releases=written.releases)


def _detailed(stop: StopNoted, entry: Entry) -> StopNoted:
    if (stop.scope, stop.level, stop.stop_epoch) == (entry.scope, entry.level, entry.stop_epoch):
        return stop
    return evolve(stop, scope=entry.scope, level=entry.level, stop_epoch=entry.stop_epoch)


def _halts_everything(merged: Replayed) -> bool:
    """Whether an earlier start found the same and nobody has released it."""
    return any(
        stop.cause == LOST_JOURNAL and stop.scope.kind is ScopeKind.ALL and stop.level >= Level.HALT
        for stop in merged.open_stops()
    )


def _halt(epoch: int, findings: tuple[str, ...], now: datetime, new_id: Callable[[], str]) -> StopNoted:
    stop_id = new_id()
    return StopNoted(
        stop_id=stop_id,
        request_id=stop_id,
        scope=Scope.everything(),
        level=Level.HALT,
        stop_epoch=epoch,
        user_id="platform",
        reason="; ".join(findings),
        cause=LOST_JOURNAL,
        at=now,
    )


def _genesis(
    journal: JournalReading,
    database: DatabaseReading | None,
    merged: Replayed,
    now: datetime,
    new_id: Callable[[], str],
) -> Genesis:
    before = journal.genesis
    known = database or before
    return Genesis(
        platform_id=known.platform_id if known else new_id(),
        database_id=known.database_id if known else "",
        generation=1 + max(before.generation if before else 0, (database and database.journal_generation) or 0),
        at=now,
        floor=merged.register.epoch,
        stops=merged.open_stops(),
        ended=merged.ended(),
        previous=journal.last_mac.hex() if journal.records else "",
    )
