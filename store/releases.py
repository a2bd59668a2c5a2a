"""Requests to release a stop: one at a time for each stop, decided by people, voided by anything new."""

from datetime import datetime
from typing import Any

import asyncpg
import attrs

from store.database import Connection
from store.jsoncolumn import from_json, to_json
from wire.rest import ChecklistItem, ReleaseState, Waiver

_COLUMNS = (
    "id, stop_id, state, epoch, requested_by, reason, resume, waive, checklist, requested_at, not_before, approved_by,"
    " decided_at"
)


@attrs.frozen(kw_only=True)
class ReleaseRow:
    """``epoch``: what it clears. ``not_before``: when a desk of one may approve itself."""

    id: str
    stop_id: str
    state: ReleaseState
    epoch: int
    requested_by: str
    reason: str
    resume: bool
    waive: list[Waiver]
    checklist: list[ChecklistItem]
    requested_at: datetime
    not_before: datetime | None = None
    approved_by: str | None = None
    decided_at: datetime | None = None


async def request(conn: Connection, row: ReleaseRow) -> None:
    """Replaces a request that was waiting for this stop. Needs a transaction."""
    await void(conn, row.stop_id, row.requested_at)
    await conn.execute(
        "insert into stop_releases (id, stop_id, state, epoch, requested_by, reason, resume, waive, checklist,"
        " requested_at, not_before) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        *(row.id, row.stop_id, row.state.value, row.epoch, row.requested_by, row.reason, row.resume),
        *(to_json(row.waive), to_json(row.checklist), row.requested_at, row.not_before),
    )


async def waiting(conn: Connection, stop_id: str) -> ReleaseRow | None:
    """The request that waits for a decision."""
    row = await conn.fetchrow(
        f"select {_COLUMNS} from stop_releases where stop_id = $1 and state in ('requested', 'approved')", stop_id
    )
    return _release(row) if row else None


async def everyone_waiting(conn: Connection) -> list[ReleaseRow]:
    rows = await conn.fetch(
        f"select {_COLUMNS} from stop_releases where state in ('requested', 'approved') order by cursor"
    )
    return [_release(row) for row in rows]


async def decide(conn: Connection, release_id: str, state: ReleaseState, by: str, at: datetime) -> bool:
    """From waiting to approved or released. False when it was voided or decided meanwhile."""
    done = await conn.fetchval(
        "update stop_releases set state = $2, approved_by = $3, decided_at = $4"
        " where id = $1 and state in ('requested', 'approved') returning true",
        *(release_id, state.value, by, at),
    )
    return bool(done)


async def void(conn: Connection, stop_id: str, at: datetime) -> bool:
    """A raise or a new matching stop voids what waits. True when something waited."""
    done = await conn.fetchval(
        "update stop_releases set state = 'void', decided_at = $2"
        " where stop_id = $1 and state in ('requested', 'approved') returning true",
        *(stop_id, at),
    )
    return bool(done)


def _release(row: asyncpg.Record) -> ReleaseRow:
    fields: dict[str, Any] = dict(row)
    fields["state"] = ReleaseState(row["state"])
    fields["waive"] = from_json(row["waive"], list[Waiver])
    fields["checklist"] = from_json(row["checklist"], list[ChecklistItem])
    return ReleaseRow(**fields)
