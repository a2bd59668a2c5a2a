"""The register of stops in the database: one of its copies, merged with what is there, never lowered.

Every function that writes an epoch takes the ``term`` of the platform that writes and raises StaleTerm when another
platform has started since. They need a transaction (``tx={}``).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import attrs

from store import platform
from store.database import Connection
from store.journal_records import StopNoted
from store.jsoncolumn import from_json, to_json
from wire.rest.stops import EmergencyStopResult, Stop, StopState, TimelineEvent
from wire.stops import Entry, Level, Register, Scope

_COLUMNS = (
    "stop_id, request_id, stop_epoch, released_epoch, scope, level, user_id, username, reason, cause, drill,"
    " requested_at, released_at, delivered, engines, durable, state, results, timeline"
)


BRIEFS_AT_ONCE = 2000
FULL_AT_ONCE = 20
"""Rows of one statement: a stop of five hundred engines is 1 MB, and every statement has its time limit."""


@attrs.frozen(kw_only=True)
class Brief:
    """A stop without its story: what the register, and whoever asks for it again, need of one that is long over."""

    noted: StopNoted
    entry: Entry
    released_at: datetime | None
    delivered: int
    engines: int
    state: StopState


@attrs.frozen(kw_only=True)
class StopPage:
    """``next`` None: there is nothing newer."""

    items: list[Stop]
    next: int | None


async def save(conn: Connection, term: int, stop: Stop) -> Entry:
    """Opens the stop, or merges it with what is there: the higher level, the higher epoch. Returns what now holds.

    Who wanted it and why, and whether it is a drill, are those of the highest epoch. Also notes
    ``stop.request_id`` for it, so that a raise by another request finds the same stop.
    """
    await platform.require_term(conn, term)
    known = await conn.fetchrow(
        "select scope, level, stop_epoch, released_epoch from stops where stop_id = $1 for update", stop.stop_id
    )
    entry = Entry(scope=stop.scope, level=stop.level, stop_epoch=stop.epoch)
    if known is None:
        await _insert(conn, term, stop)
    else:
        entry = _entry(known).merge(entry)
        await conn.execute(
            "update stops set scope = $2, level = $3, stop_epoch = $4, term = $5 where stop_id = $1",
            *(stop.stop_id, str(entry.scope), entry.level.value, entry.stop_epoch, term),
        )
        if stop.epoch >= known["stop_epoch"]:
            await conn.execute(
                "update stops set user_id = $2, reason = $3, cause = $4, drill = $5, username = $6 where stop_id = $1",
                *(stop.stop_id, stop.user_id, stop.reason, stop.cause, stop.drill, stop.username),
            )
        await save_progress(conn, stop)
    await note_request(conn, stop.request_id, stop.stop_id, stop.requested_at)
    await platform.note_epoch(conn, term, entry.stop_epoch)
    return entry


async def _insert(conn: Connection, term: int, stop: Stop) -> None:
    await conn.execute(
        "insert into stops (stop_id, request_id, scope, level, stop_epoch, term, user_id, reason, cause, drill,"
        " requested_at, delivered, engines, durable, state, results, timeline, username)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        *(stop.stop_id, stop.request_id, str(stop.scope), stop.level.value, stop.epoch, term, stop.user_id),
        *(stop.reason, stop.cause, stop.drill, stop.requested_at, stop.delivered, stop.engines, stop.durable),
        *(stop.state.value, to_json(stop.results), to_json(stop.timeline), stop.username),
    )


async def note_request(conn: Connection, request_id: str, stop_id: str, at: datetime) -> None:
    """The same request again comes back to the same stop."""
    await conn.execute(
        "insert into stop_requests (request_id, stop_id, at) values ($1, $2, $3) on conflict do nothing",
        *(request_id, stop_id, at),
    )


async def save_progress(conn: Connection, stop: Stop) -> bool:
    """Results, timeline and counts as they are now; no epoch, no release. False when the stop is not there."""
    done = await conn.fetchval(
        "update stops set delivered = $2, engines = $3, durable = $4, state = $5, results = $6, timeline = $7"
        " where stop_id = $1 returning true",
        *(stop.stop_id, stop.delivered, stop.engines, stop.durable, stop.state.value),
        *(to_json(stop.results), to_json(stop.timeline)),
    )
    return bool(done)


async def release(conn: Connection, term: int, stop_ids: Sequence[str], epoch: int, at: datetime) -> list[str]:
    """Releases what was open at ``epoch``, and returns the ids of it. A stop raised above it since stays open."""
    await platform.require_term(conn, term)
    rows = await conn.fetch(
        "update stops set released_epoch = $2, released_at = $3, term = $4"
        " where stop_id = any($1) and stop_epoch <= $2 and coalesce(released_epoch, 0) < stop_epoch returning stop_id",
        *(list(stop_ids), epoch, at, term),
    )
    await platform.note_epoch(conn, term, epoch)
    return sorted(row["stop_id"] for row in rows)


async def register(conn: Connection) -> Register:
    """This copy of the register: every stop ever, open or released, and the highest epoch ever noted."""
    return register_of(await briefs(conn), await platform_epoch(conn))


async def platform_epoch(conn: Connection) -> int:
    """The highest epoch ever noted."""
    epoch: int = await conn.fetchval("select epoch from platform")
    return epoch


def register_of(known: Mapping[str, Brief], floor: int) -> Register:
    return Register(entries={stop_id: brief.entry for stop_id, brief in known.items()}, floor=floor)


async def briefs(conn: Connection) -> dict[str, Brief]:
    """Every stop ever, oldest first. What many of them have in common is there once."""
    found: dict[str, Brief] = {}
    words: dict[str, str] = {}
    scopes: dict[str, Scope] = {}
    last = 0
    while True:
        rows = await conn.fetch(
            "select cursor, stop_id, request_id, stop_epoch, released_epoch, scope, level, user_id, username, reason,"
            " cause, drill, requested_at, released_at, delivered, engines, state"
            " from stops where cursor > $1 order by cursor limit $2",
            *(last, BRIEFS_AT_ONCE),
        )
        for row in rows:
            brief = _brief(row, words, scopes)
            found[brief.noted.stop_id] = brief
        if len(rows) < BRIEFS_AT_ONCE:
            return found
        last = rows[-1]["cursor"]


def _brief(row: asyncpg.Record, words: dict[str, str], scopes: dict[str, Scope]) -> Brief:
    def once(text: str) -> str:
        return words.setdefault(text, text)

    stop_id, username = row["stop_id"], row["username"]
    if (scope := scopes.get(row["scope"])) is None:
        scope = scopes[row["scope"]] = Scope.parse(row["scope"])
    entry = Entry(scope, Level(row["level"]), row["stop_epoch"], row["released_epoch"])
    noted = StopNoted(
        stop_id=stop_id,
        request_id=stop_id if row["request_id"] == stop_id else row["request_id"],
        scope=scope,
        level=entry.level,
        stop_epoch=entry.stop_epoch,
        user_id=once(row["user_id"]),
        reason=once(row["reason"]),
        cause=once(row["cause"]),
        at=row["requested_at"],
        drill=row["drill"],
        username=once(username) if username is not None else None,
    )
    return Brief(
        noted=noted,
        entry=entry,
        released_at=row["released_at"],
        delivered=row["delivered"],
        engines=row["engines"],
        state=StopState(row["state"]),
    )


async def get(conn: Connection, stop_id: str) -> Stop | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from stops where stop_id = $1", stop_id)
    return _stop(row) if row else None


async def by_request(conn: Connection, request_id: str) -> Stop | None:
    stop_id = await conn.fetchval("select stop_id from stop_requests where request_id = $1", request_id)
    return await get(conn, stop_id) if stop_id is not None else None


async def requests(conn: Connection) -> dict[str, str]:
    """Every request_id and the stop it led to."""
    rows = await conn.fetch("select request_id, stop_id from stop_requests")
    return {row["request_id"]: row["stop_id"] for row in rows}


async def open_stops(conn: Connection) -> list[Stop]:
    rows = await conn.fetch(
        f"select {_COLUMNS} from stops where coalesce(released_epoch, 0) < stop_epoch order by cursor"
    )
    return [_stop(row) for row in rows]


async def some(conn: Connection, stop_ids: Iterable[str]) -> list[Stop]:
    """These stops with all that is known of them, oldest first."""
    wanted, found = list(stop_ids), []
    for begin in range(0, len(wanted), FULL_AT_ONCE):
        part = wanted[begin : begin + FULL_AT_ONCE]
        found += await conn.fetch(f"select cursor, {_COLUMNS} from stops where stop_id = any($1)", part)
    return [_stop(row) for row in sorted(found, key=lambda row: row["cursor"])]


async def written(conn: Connection, stop_ids: Iterable[str]) -> set[str]:
    """Which of these stops have reached the database."""
    rows = await conn.fetch("select stop_id from stops where stop_id = any($1::text[])", list(stop_ids))
    return {row["stop_id"] for row in rows}


async def page(conn: Connection, after: int | None, limit: int, drill: bool | None = None) -> StopPage:
    """Newest last. ``after`` None: the newest ``limit``. ``drill``: only drills, or only what is none."""
    if after is None:
        rows = await conn.fetch(
            f"select cursor, {_COLUMNS} from stops where $2::boolean is null or drill = $2"
            " order by cursor desc limit $1",
            *(limit, drill),
        )
        rows.reverse()
        return StopPage(items=[_stop(row) for row in rows], next=None)
    rows = await conn.fetch(
        f"select cursor, {_COLUMNS} from stops where cursor > $1 and ($3::boolean is null or drill = $3)"
        " order by cursor limit $2",
        *(after, limit + 1, drill),
    )
    more = len(rows) > limit
    return StopPage(items=[_stop(row) for row in rows[:limit]], next=rows[limit - 1]["cursor"] if more else None)


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(
        scope=Scope.parse(row["scope"]),
        level=Level(row["level"]),
        stop_epoch=row["stop_epoch"],
        released_epoch=row["released_epoch"],
    )


def _stop(row: asyncpg.Record) -> Stop:
    same = (
        "stop_id",
        "request_id",
        "user_id",
        "username",
        "reason",
        "cause",
        "drill",
        "requested_at",
        "delivered",
        "engines",
    )
    fields: dict[str, Any] = {name: row[name] for name in (*same, "durable")}
    return Stop(
        **fields,
        epoch=row["stop_epoch"],
        scope=Scope.parse(row["scope"]),
        level=Level(row["level"]),
        state=StopState(row["state"]),
        results=from_json(row["results"], list[EmergencyStopResult]),
        timeline=from_json(row["timeline"], list[TimelineEvent]),
        released_at=row["released_at"] if not _entry(row).is_open else None,
    )
