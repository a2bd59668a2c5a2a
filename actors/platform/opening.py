"""Opening the platform's memory: database, keys, journal, and from them the register that holds from the first moment.

The database may be away; then the journal, the local list of engines and caution (HALT on everything) take its place,
and ``actors.platform.database_office`` joins the two later. Nothing here listens to anybody yet.
"""

import contextlib
import fcntl
import heapq
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from actors.config import PlatformSettings
from actors.errors import Refused
from actors.stops.effects import AuditStop
from actors.stops.ledger import UNFOLDED
from actors.stops.untold import decisions
from store import audit, links, platform, releases, settings, stops
from store.database import Connection, Database
from store.errors import JournalError, KeysError, MigrationError, StoreError, Unavailable
from store.journal import StopJournal, read_journal
from store.journal_records import JournalReading, JournalState
from store.keyring import KeyFile, KeyRing
from store.links import LinkRow
from store.migrate import migrate
from store.releases import ReleaseRow
from store.start import DatabaseReading, StartRegister, merge_at_start, read_database
from store.stops import Brief
from store.tenure import AnotherPlatform, Tenure
from wire.rest.stops import Stop

DATABASE_PATIENCE = 8.0
JOURNAL_FILE = "stops.journal"
LOCK_FILE = "platform.lock"

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class KeptStops:
    """What the database knows of stops beyond the register. ``views``: with their stories, those that may be open, the
    newest, and what came since a request for a release that waits; ``past``: the others without. ``releases``: the
    requests that wait for a decision."""

    views: list[Stop]
    requests: dict[str, str]
    releases: list[ReleaseRow]
    past: list[Brief] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class Opened:
    """``tenure`` None: the database could not be asked. ``links``: where the sessions of an earlier platform stood.
    ``untold``: decisions of the journal that the audit log may lack."""

    keyring: KeyRing
    journal: StopJournal
    start: StartRegister
    platform_id: str
    tenure: Tenure | None
    kept: KeptStops | None
    untold: list[AuditStop] = attrs.field(factory=list)
    links: list[LinkRow] = attrs.field(factory=list)


@contextlib.contextmanager
def home_of_one(home: Path) -> Iterator[None]:
    """Makes the home folder (0700) and keeps every other platform out of it. Raises Refused."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"the home folder {home} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"another platform runs in {home}: one home serves one platform") from None
        yield
    finally:
        os.close(descriptor)


async def take_office(db: Database, dsn: str, keys: KeyFile) -> Tenure:
    """Migrates the database and becomes its one platform. Raises Refused, or Unavailable.

    Whoever is refused, because another platform runs or the key ring is another's, has changed nothing in it.
    """

    async def prepare() -> None:
        await _refuse_another_ring(db, keys)
        await db.cross(lambda: migrate(dsn))
        await db.assert_durable()

    try:
        return await Tenure.begin(db, prepare=prepare)
    except AnotherPlatform as error:
        raise Refused(str(error)) from None
    except MigrationError as error:
        raise Refused(str(error)) from None
    except Unavailable:
        raise
    except StoreError as error:
        raise Refused(f"{error}: is WATCHKEEPER_DATABASE_URL right?") from None


async def _refuse_another_ring(db: Database, keys: KeyFile) -> None:
    bound = await db.run(platform.bound_key_check)
    if bound is None:
        return
    try:
        ring = keys.load_or_create(encrypted_data_exists=True)
    except KeysError as error:
        raise Refused(str(error)) from None
    if ring.check != bound:
        raise another_ring(keys)


def another_ring(keys: KeyFile) -> Refused:
    return Refused(f"the key ring {keys.path} is not the one this database was made with")


async def open_memory(here: PlatformSettings, db: Database, dsn: str) -> Opened:
    """Raises Refused with one clear line for everything a person has to put right first."""
    keys = KeyFile(here.keys)
    tenure = await _office_within(db, dsn, keys, DATABASE_PATIENCE)
    try:
        return await _opened(here, db, keys, tenure)
    except BaseException:
        if tenure is not None:
            tenure.end()
        raise


async def _opened(here: PlatformSettings, db: Database, keys: KeyFile, tenure: Tenure | None) -> Opened:
    journal_path = here.home / JOURNAL_FILE
    if tenure is None and not journal_path.exists():
        raise Refused(
            f"a first start needs its database, and there was none to be reached ({db.down_reason}): start it,"
            " or correct WATCHKEEPER_DATABASE_URL"
        )
    keyring = await _keys(keys, db, tenure, journal_exists=journal_path.exists())
    db.audit_key = keyring.derive("audit chain")
    key = keyring.derive("stop journal")
    reading = read_journal(journal_path, key)
    database = await db.run(read_database, tx={"isolation": "repeatable_read"}) if tenure is not None else None
    now = datetime.now(UTC)
    start = merge_at_start(reading, database, now=now, new_id=lambda: str(uuid.uuid4()))
    kept = None
    if database is not None:
        kept = await db.run(kept_stops, database.briefs, [stop_id for stop_id, _ in start.register.open_stops()])
    journal = _journal(journal_path, key, reading, start)
    if tenure is not None and not await db.run(platform.bind_key_check, keyring.check):
        raise another_ring(keys)
    if tenure is not None and tenure.identity.journal_generation != journal.generation:
        # Also of a journal that was begun, or begun anew, when the database did not hear of it.
        await db.run(platform.note_journal, tenure.term, journal.generation)
    for finding in start.findings:
        log.warning("stopped at start: %s", finding)
    platform_id = _platform_id(database, reading, start)
    return Opened(
        keyring=keyring,
        journal=journal,
        start=start,
        platform_id=platform_id,
        tenure=tenure,
        kept=kept,
        untold=await _untold(db, tenure, reading, now),
        links=await db.run(links.everyone) if tenure is not None else [],
    )


async def _office_within(db: Database, dsn: str, keys: KeyFile, seconds: float) -> Tenure | None:
    end = trio.current_time() + seconds
    pause = 0.1
    while True:
        try:
            return await take_office(db, dsn, keys)
        except Unavailable as error:
            if trio.current_time() + pause > end:
                log.warning("the database does not answer: %s", error)
                return None
        await trio.sleep(pause)
        pause = min(1.0, pause * 2)


async def _keys(keys: KeyFile, db: Database, tenure: Tenure | None, *, journal_exists: bool) -> KeyRing:
    """Made at the very first start only; never in the place of keys that something was encrypted with."""
    try:
        if tenure is None:
            return keys.load_or_create(encrypted_data_exists=journal_exists)
        needed = tenure.identity.key_check is not None or await db.run(settings.sealed_data_exists)
        ring = keys.load_or_create(encrypted_data_exists=needed)
    except KeysError as error:
        raise Refused(str(error)) from None
    if tenure.identity.key_check not in (None, ring.check):
        raise another_ring(keys)
    return ring


async def _untold(db: Database, tenure: Tenure | None, reading: JournalReading, now: datetime) -> list[AuditStop]:
    """What an earlier platform decided and could not tell the audit log; without the database, whatever it decided."""
    if reading.state is JournalState.FOREIGN:
        return []
    decided = decisions(reading.records, now)
    missing = None if tenure is None else await db.run(audit.missing, [entry.id for entry in decided])
    return [entry for entry in decided if missing is None or entry.id in missing]


async def kept_stops(conn: Connection, briefs: Mapping[str, Brief], maybe_open: Iterable[str]) -> KeptStops:
    """``maybe_open``: in any copy; what is open in the database itself is read in any case."""
    waiting = await releases.everyone_waiting(conn)
    wanted = read_whole(briefs, maybe_open, waiting)
    return KeptStops(
        views=await stops.some(conn, wanted),
        requests=await stops.requests(conn),
        releases=waiting,
        past=[brief for stop_id, brief in briefs.items() if stop_id not in wanted],
    )


def read_whole(
    briefs: Mapping[str, Brief], maybe_open: Iterable[str], waiting: Sequence[ReleaseRow], *, newest: int = UNFOLDED
) -> set[str]:
    """Of which stops everything is read at the start."""
    last = heapq.nlargest(newest, briefs.values(), key=lambda brief: brief.entry.stop_epoch)
    since = min((row.seen_epoch for row in waiting), default=None)
    wanted = {brief.noted.stop_id for brief in last}
    wanted |= {row.stop_id for row in waiting if row.stop_id in briefs}
    wanted |= {stop_id for stop_id in maybe_open if stop_id in briefs}
    for stop_id, brief in briefs.items():
        if brief.entry.is_open or (since is not None and brief.entry.stop_epoch > since):
            wanted.add(stop_id)
    return wanted


def _journal(path: Path, key: bytes, reading: JournalReading, start: StartRegister) -> StopJournal:
    try:
        if start.genesis is not None:
            return StopJournal.begin(path, key, start.genesis)
        return StopJournal.resume(path, key, reading)
    except JournalError as error:
        raise Refused(str(error)) from None


def _platform_id(database: DatabaseReading | None, reading: JournalReading, start: StartRegister) -> str:
    if database is not None:
        return database.platform_id
    genesis = start.genesis or reading.genesis
    return genesis.platform_id if genesis is not None else str(uuid.uuid4())
