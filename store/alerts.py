"""Alerts: open until a named person acknowledges them."""

from datetime import datetime
from typing import Any

import asyncpg
import attrs

from store.database import Connection
from wire.rest.records import Alert, AlertState

_COLUMNS = (
    "id, code, severity, reason, engine_id, stop_id, state, raised_at, acknowledged_by, acknowledged_at,"
    " acknowledged_by_name"
)


@attrs.frozen(kw_only=True)
class AlertPage:
    items: list[Alert]
    next: int | None


async def save(conn: Connection, alert: Alert) -> bool:
    """False when an alert of that id is there already."""
    done = await conn.fetchval(
        "insert into alerts (id, code, severity, reason, engine_id, stop_id, state, raised_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing returning true",
        *(alert.id, alert.code, alert.severity, alert.reason, alert.engine_id, alert.stop_id),
        *(alert.state.value, alert.raised_at),
    )
    return bool(done)


async def acknowledge(
    conn: Connection, alert_id: str, user_id: str, at: datetime, name: str | None = None
) -> Alert | None:
    """The first to acknowledge stays the one. None when there is no such alert."""
    row = await conn.fetchrow(
        "update alerts set state = case state when 'open' then 'acknowledged' else state end,"
        " acknowledged_by_name = case when acknowledged_by is null then $4 else acknowledged_by_name end,"
        " acknowledged_by = coalesce(acknowledged_by, $2), acknowledged_at = coalesce(acknowledged_at, $3)"
        f" where id = $1 returning {_COLUMNS}",
        *(alert_id, user_id, at, name),
    )
    return _alert(row) if row else None


async def get(conn: Connection, alert_id: str) -> Alert | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from alerts where id = $1", alert_id)
    return _alert(row) if row else None


async def told(conn: Connection, alert_id: str, at: datetime) -> None:
    """The outside has taken it."""
    await conn.execute("update alerts set told_at = coalesce(told_at, $2) where id = $1", alert_id, at)


async def open_alerts(conn: Connection) -> list[tuple[Alert, bool]]:
    """The oldest first, each with whether the outside was told."""
    rows = await conn.fetch(f"select {_COLUMNS}, told_at from alerts where state = 'open' order by cursor")
    return [(_alert(row), row["told_at"] is not None) for row in rows]


async def page(conn: Connection, after: int | None, limit: int) -> AlertPage:
    """Newest last. ``after`` None: the newest ``limit``."""
    if after is None:
        rows = await conn.fetch(f"select cursor, {_COLUMNS} from alerts order by cursor desc limit $1", limit)
        return AlertPage(items=[_alert(row) for row in reversed(rows)], next=None)
    rows = await conn.fetch(
        f"select cursor, {_COLUMNS} from alerts where cursor > $1 order by cursor limit $2", after, limit + 1
    )
    following = rows[limit - 1]["cursor"] if len(rows) > limit else None
    return AlertPage(items=[_alert(row) for row in rows[:limit]], next=following)


def _alert(row: asyncpg.Record) -> Alert:
    fields: dict[str, Any] = {name: row[name] for name in _COLUMNS.split(", ")}
    return Alert(**{**fields, "state": AlertState(row["state"])})
