"""Requests to release a stop: one at a time for each stop, decided by people, voided by anything new."""

from datetime import datetime
from typing import Any

import asyncpg
import attrs

from store.database import Connection
from store.jsoncolumn import from_json, to_json
from wire.rest.releases import ChecklistItem, ReducedLimits, ReleaseState, ReleaseStep, Waiver

_COLUMNS = (
    "id, stop_id, state, epoch, seen_epoch, requested_by, reason, resume, waive, checklist, requested_at, not_before,"
    " approved_by, decided_at, history, reduced"
)


@attrs.frozen(kw_only=True)
class ReleaseRow:
    """``epoch``: what it clears. ``seen_epoch``: the register's highest one when it was asked for. ``not_before``: when
    a desk of one may approve itself."""

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
    seen_epoch: int = 0
    history: list[ReleaseStep] = attrs.field(factory=list)
    reduced: ReducedLimits | None = None


async def request(conn: Connection, row: ReleaseRow) -> None:
    """Replaces a request that was waiting for this stop. Needs a transaction."""
    await conn.execute(
        "update stop_releases set state = 'void', decided_at = $2"
        " where stop_id = $1 and state in ('requested', 'approved')",
        *(row.stop_id, row.requested_at),
    )
    await conn.execute(
        "insert into stop_releases (id, stop_id, state, epoch, requested_by, reason, resume, waive, checklist,"
        " requested_at, not_before, seen_epoch, history, reduced)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        *(row.id, row.stop_id, row.state.value, row.epoch, row.requested_by, row.reason, row.resume),
        *(to_json(row.waive), to_json(row.checklist), row.requested_at, row.not_before, row.seen_epoch),
        *(to_json(row.history), to_json(row.reduced) if row.reduced is not None else None),
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


async def last(conn: Connection, stop_id: str) -> ReleaseRow | None:
    """The newest request for this stop, whatever became of it."""
    row = await conn.fetchrow(
        f"select {_COLUMNS} from stop_releases where stop_id = $1 order by cursor desc limit 1", stop_id
    )
    return _release(row) if row else None


async def settle(conn: Connection, row: ReleaseRow) -> bool:
    """The state it has come to, with its history. False when it had come to another end before, or is not there."""
    done = await conn.fetchval(
        "update stop_releases set state = $2, approved_by = $3, decided_at = $4, history = $5"
        " where id = $1 and (state in ('requested', 'approved') or state = $2) returning true",
        *(row.id, row.state.value, row.approved_by, row.decided_at, to_json(row.history)),
    )
    return bool(done)


def _release(row: asyncpg.Record) -> ReleaseRow:
    fields: dict[str, Any] = dict(row)
    fields["state"] = ReleaseState(row["state"])
    fields["waive"] = from_json(row["waive"], list[Waiver])
    fields["checklist"] = from_json(row["checklist"], list[ChecklistItem])
    fields["reduced"] = from_json(row["reduced"], ReducedLimits) if row["reduced"] is not None else None
    fields["history"] = from_json(row["history"], list[ReleaseStep])
    return ReleaseRow(**fields)
