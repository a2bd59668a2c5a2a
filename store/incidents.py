"""Reports of stops: the newest of each, kept whole as it was told."""

from datetime import datetime

from store.database import Connection


async def save(conn: Connection, stop_id: str, made_at: datetime, complete: bool, report: str) -> None:
    """``report``: its JSON text. An older one changes nothing, and an incomplete one never replaces a complete one."""
    await conn.execute(
        "insert into incident_reports as r (stop_id, made_at, complete, report) values ($1, $2, $3, $4)"
        " on conflict (stop_id) do update set made_at = $2, complete = $3, report = $4"
        " where r.made_at <= $2 and (not r.complete or $3)",
        *(stop_id, made_at, complete, report),
    )


async def get(conn: Connection, stop_id: str) -> str | None:
    """Its JSON text."""
    found: str | None = await conn.fetchval("select report from incident_reports where stop_id = $1", stop_id)
    return found
