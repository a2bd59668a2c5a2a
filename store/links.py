"""Where each engine's link stands: the session that may be resumed and what of it is committed.

``logs.commit`` moves ``last_recv`` in the same transaction as the messages it counts.
"""

from collections.abc import Iterable
from datetime import datetime

import asyncpg
import attrs

from store.database import Connection

_COLUMNS = "engine_id, session, epoch, instance, last_recv, next_seq"


@attrs.frozen(kw_only=True)
class LinkRow:
    """``last_recv``: everything up to it is committed. ``next_seq``: what the platform sends next."""

    engine_id: str
    session: str
    epoch: int
    instance: str
    last_recv: int
    next_seq: int


async def get(conn: Connection, engine_id: str) -> LinkRow | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from engine_links where engine_id = $1", engine_id)
    return _link(row) if row else None


async def everyone(conn: Connection) -> list[LinkRow]:
    return [_link(row) for row in await conn.fetch(f"select {_COLUMNS} from engine_links order by engine_id")]


_BEGIN = (
    "insert into engine_links (engine_id, session, epoch, instance, opened_at, updated_at)"
    " values ($1, $2, 1, $3, $4, $4) on conflict (engine_id) do update set session = $2,"
    " epoch = engine_links.epoch + 1, instance = $3, last_recv = 0, next_seq = 1, opened_at = $4, updated_at = $4"
)


async def begin(conn: Connection, engine_id: str, session: str, instance: str, now: datetime) -> LinkRow:
    """A new session with the next epoch; what an older one still commits moves nothing here."""
    row = await conn.fetchrow(f"{_BEGIN} returning {_COLUMNS}", engine_id, session, instance, now)
    assert row is not None
    return _link(row)


async def begin_many(conn: Connection, sessions: Iterable[tuple[str, str, str]], now: datetime) -> None:
    """``begin`` for every (engine id, session, instance), in one round trip."""
    await conn.executemany(_BEGIN, [(*session, now) for session in sessions])


@attrs.frozen(kw_only=True)
class Progress:
    """How far a session is. None leaves a number as it is; numbers only rise."""

    engine_id: str
    session: str
    last_recv: int | None = None
    next_seq: int | None = None


async def advance(conn: Connection, progress: Iterable[Progress], now: datetime) -> set[str]:
    """Moves the sessions that are still current, in one statement, and returns their engines' ids."""
    steps = [(step.engine_id, step.session, step.last_recv, step.next_seq) for step in progress]
    if not steps:
        return set()
    rows = await conn.fetch(
        "update engine_links l set last_recv = greatest(l.last_recv, coalesce(s.last_recv, 0)),"
        " next_seq = greatest(l.next_seq, coalesce(s.next_seq, 0)), updated_at = $5"
        " from (select engine_id, session, max(last_recv) as last_recv, max(next_seq) as next_seq"
        " from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as s(engine_id, session, last_recv, next_seq)"
        " group by engine_id, session) s where l.engine_id = s.engine_id and l.session = s.session"
        " returning l.engine_id",
        *(list(column) for column in zip(*steps, strict=True)),
        now,
    )
    return {row["engine_id"] for row in rows}


def _link(row: asyncpg.Record) -> LinkRow:
    return LinkRow(**dict(row))
