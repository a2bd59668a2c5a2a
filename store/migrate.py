"""Numbered SQL files, applied once each under one advisory lock.

``NNNN_words.sql`` runs in a transaction; a file that begins with ``-- no transaction`` runs statement by statement,
split at lines ``-- split``. What was applied is remembered with the file's hash: a file edited later, or a database
newer than the program, is refused before anything is changed. Needs a direct connection, not a transaction pooler.
"""

import asyncio
import hashlib
import logging
import re
import time
from pathlib import Path

import asyncpg
import attrs

from store.database import Connection
from store.errors import MigrationError

SQL = Path(__file__).parent / "sql"
_LOCK = 0x574B_4D49_4752
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_SPLIT = re.compile(r"^-- split$", re.MULTILINE)

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()

    @property
    def bare(self) -> bool:
        """Runs outside a transaction, as ``create index concurrently`` must."""
        return self.text.startswith("-- no transaction")

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


def load(folder: Path) -> list[Migration]:
    """The files of ``folder`` in order. Raises MigrationError for a wrong name, a double number or a gap."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        if (named := _NAME.fullmatch(path.name)) is None:
            raise MigrationError(f"{path.name}: the name must be NNNN_words.sql")
        found.append(Migration(version=int(named[1]), name=named[2], text=path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationError(f"{migration}: expected number {expected:04}")
    return found


async def migrate(dsn: str, folder: Path = SQL, *, patience: float = 120.0) -> list[int]:
    """Applies what is missing and returns its numbers. Asyncio flavour; ``patience`` in seconds for another migrator.

    Raises MigrationError, and OSError or asyncpg's errors when the server cannot be reached.
    """
    files = load(folder)
    connection = await asyncpg.connect(
        dsn, timeout=10, server_settings={"application_name": "watchkeeper-migrate", "lock_timeout": "10000"}
    )
    try:
        await _lock(connection, patience)
        await connection.execute(
            "create table if not exists schema_version (version integer primary key, name text not null,"
            " sha256 text not null, applied_at timestamptz not null default now(), ms integer not null)"
        )
        missing = _missing(files, await connection.fetch("select version, sha256 from schema_version"))
        for migration in missing:
            await _apply(connection, migration)
        return [migration.version for migration in missing]
    finally:
        await connection.close(timeout=5)


async def _lock(connection: Connection, patience: float) -> None:
    """By polling: a waiter inside the lock call holds a snapshot, which would block ``create index concurrently``."""
    end = time.monotonic() + patience
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        if time.monotonic() > end:
            raise MigrationError("another process has been migrating this database for too long")
        await asyncio.sleep(0.1)


def _missing(files: list[Migration], applied: list[asyncpg.Record]) -> list[Migration]:
    have = {row["version"]: row["sha256"] for row in applied}
    if have and max(have) > len(files):
        raise MigrationError(f"the database is newer than this program (schema version {max(have)})")
    if edited := [str(f) for f in files if f.version in have and have[f.version] != f.sha256]:
        raise MigrationError(f"applied files were edited since: {', '.join(edited)}")
    return [f for f in files if f.version not in have]


async def _apply(connection: Connection, migration: Migration) -> None:
    began = time.monotonic()
    try:
        if migration.bare:
            for statement in filter(str.strip, _SPLIT.split(migration.text)):
                await connection.execute(statement)
            await _remember(connection, migration, began)
        else:
            async with connection.transaction():
                await connection.execute(migration.text)
                await _remember(connection, migration, began)
    except asyncpg.PostgresError as error:
        at = getattr(error, "position", None)
        where = f" (line {_line(migration.text, int(at))})" if at else ""
        raise MigrationError(f"{migration}: {getattr(error, 'message', None) or error}{where}") from error
    log.info("applied %s", migration)


async def _remember(connection: Connection, migration: Migration, began: float) -> None:
    took = int((time.monotonic() - began) * 1000)
    await connection.execute(
        "insert into schema_version (version, name, sha256, ms) values ($1, $2, $3, $4)",
        *(migration.version, migration.name, migration.sha256, took),
    )


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
