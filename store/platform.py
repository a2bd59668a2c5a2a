"""The one row that says who this platform is, which database this is, and which start of the platform is the last."""

import asyncpg
import attrs

from store.database import Connection
from store.errors import StaleTerm

_COLUMNS = "platform_id, database_id, term, epoch, journal_generation, key_check"


@attrs.frozen(kw_only=True)
class Identity:
    """``epoch``: the highest stop epoch written here. ``journal_generation`` None: no stop journal was ever begun."""

    platform_id: str
    database_id: str
    term: int
    epoch: int
    journal_generation: int | None
    key_check: str | None


async def read(conn: Connection) -> Identity:
    return _identity(await conn.fetchrow(f"select {_COLUMNS} from platform"))


async def bound_key_check(conn: Connection) -> str | None:
    """The key ring this database knows; None: none yet, or nothing was ever made here. Changes nothing."""
    if await conn.fetchval("select to_regclass('platform')") is None:
        return None
    bound: str | None = await conn.fetchval("select key_check from platform")
    return bound


async def begin_term(conn: Connection) -> Identity:
    """Once at each start: every earlier platform of this database can write no epoch from now on."""
    return _identity(await conn.fetchrow(f"update platform set term = term + 1 returning {_COLUMNS}"))


async def require_term(conn: Connection, term: int) -> None:
    """Inside a transaction, before any epoch is written. Raises StaleTerm.

    Takes the row as ``note_epoch`` will: of two writers that shared it first, each would wait for the other.
    """
    if await conn.fetchval("select term from platform for no key update") != term:
        raise StaleTerm("another platform has started on this database")


async def note_epoch(conn: Connection, term: int, epoch: int) -> None:
    """Raises the highest epoch known to this database; never lowers it."""
    if not await conn.fetchval(
        "update platform set epoch = greatest(epoch, $2) where term = $1 returning true", term, epoch
    ):
        raise StaleTerm("another platform has started on this database")


async def note_journal(conn: Connection, term: int, generation: int) -> None:
    """From now on a missing journal means a lost one."""
    if not await conn.fetchval(
        "update platform set journal_generation = $2 where term = $1 returning true", term, generation
    ):
        raise StaleTerm("another platform has started on this database")


async def bind_key_check(conn: Connection, check: str) -> bool:
    """True when the key ring is the one this database knows; the first one ever shown is remembered."""
    bound = await conn.fetchval("update platform set key_check = coalesce(key_check, $1) returning key_check", check)
    return bool(bound == check)


def _identity(row: asyncpg.Record | None) -> Identity:
    assert row is not None
    return Identity(**dict(row))
