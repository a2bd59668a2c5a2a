"""Parameters of strategies: versions given by the platform, counted per engine and strategy.

The head of a strategy names the version that is wanted; compare-and-set is against it. A version that failed or expired
gives the head back to the last one before it that did not. What the engine says it runs is kept apart: the two may
differ.
"""

from datetime import datetime
from typing import Any

import asyncpg
import attrs

from store.database import Connection
from store.errors import StaleVersion
from store.jsoncolumn import from_json, to_json
from wire.parts import ParameterSpec
from wire.rest.strategies import UpdateStatus
from wire.values import Parameters

_COLUMNS = (
    "engine_id, strategy_id, version, base_version, request_id, parameters, status, user_id, at, applied_at, effective,"
    " error, reason"
)
ParameterSchema = dict[str, ParameterSpec]


@attrs.frozen(kw_only=True)
class VersionRow:
    """One set of parameters that was asked for. ``effective``: what the engine answered it runs."""

    engine_id: str
    strategy_id: str
    version: int
    base_version: int
    request_id: str
    parameters: Parameters
    status: UpdateStatus
    user_id: str
    at: datetime
    applied_at: datetime | None
    effective: Parameters | None
    error: str | None
    reason: str | None


@attrs.frozen(kw_only=True)
class EffectiveRow:
    """What an engine reported last."""

    engine_id: str
    strategy_id: str
    version: int
    parameters: Parameters
    parameter_schema: ParameterSchema
    at: datetime


@attrs.frozen(kw_only=True)
class Wanted:
    """A change to be noted. ``expected_version``: the head the person saw; None takes any."""

    engine_id: str
    strategy_id: str
    request_id: str
    parameters: Parameters
    user_id: str
    at: datetime
    expected_version: int | None
    status: UpdateStatus = UpdateStatus.PENDING


async def propose(conn: Connection, wanted: Wanted) -> VersionRow:
    """Gives it the next version and makes it the head. The same request_id again: what it led to. Needs a transaction.

    Raises StaleVersion. With status APPLIED it notes what an engine runs already: a first report, or an adoption.
    """
    await conn.execute(
        "insert into parameter_heads (engine_id, strategy_id, version, latest) values ($1, $2, 0, 0)"
        " on conflict do nothing",
        *(wanted.engine_id, wanted.strategy_id),
    )
    head = await conn.fetchrow(
        "select version, latest from parameter_heads where engine_id = $1 and strategy_id = $2 for update",
        *(wanted.engine_id, wanted.strategy_id),
    )
    assert head is not None
    if (known := await by_request(conn, wanted.request_id)) is not None:
        return known
    if wanted.expected_version not in (None, head["version"]):
        raise StaleVersion(head["version"])
    version = head["latest"] + 1
    applied = wanted.status is UpdateStatus.APPLIED
    row = await conn.fetchrow(
        "insert into parameter_versions (engine_id, strategy_id, version, base_version, request_id, parameters, status,"
        " user_id, at, applied_at, effective) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        f" returning {_COLUMNS}",
        *(wanted.engine_id, wanted.strategy_id, version, head["version"], wanted.request_id),
        *(to_json(wanted.parameters), wanted.status.value, wanted.user_id, wanted.at),
        *((wanted.at, to_json(wanted.parameters)) if applied else (None, None)),
    )
    assert row is not None
    await conn.execute(
        "update parameter_heads set version = $3, latest = $3 where engine_id = $1 and strategy_id = $2",
        *(wanted.engine_id, wanted.strategy_id, version),
    )
    return _version(row)


@attrs.frozen(kw_only=True)
class Outcome:
    """How a change ended. ``effective`` None: the engine never said."""

    request_id: str
    status: UpdateStatus
    at: datetime
    effective: Parameters | None = None
    error: str | None = None
    reason: str | None = None


async def settle(conn: Connection, outcome: Outcome) -> VersionRow | None:
    """Ends a pending change, once: applied, failed or expired. Needs a transaction.

    An APPLIED that comes after another answer becomes APPLIED_LATE and does not move the head. None when the request is
    not known; an unchanged row when there was nothing to do.
    """
    known = await conn.fetchrow(
        f"select {_COLUMNS} from parameter_versions where request_id = $1 for update", outcome.request_id
    )
    if known is None:
        return None
    before, status = UpdateStatus(known["status"]), outcome.status
    if before in (UpdateStatus.FAILED, UpdateStatus.EXPIRED) and status is UpdateStatus.APPLIED:
        status = UpdateStatus.APPLIED_LATE
    elif before is not UpdateStatus.PENDING:
        return _version(known)
    applied = status in (UpdateStatus.APPLIED, UpdateStatus.APPLIED_LATE)
    row = await conn.fetchrow(
        "update parameter_versions set status = $2, applied_at = $3, effective = $4, error = $5, reason = $6"
        f" where request_id = $1 returning {_COLUMNS}",
        *(outcome.request_id, status.value, outcome.at if applied else None),
        *(None if outcome.effective is None else to_json(outcome.effective), outcome.error, outcome.reason),
    )
    if not applied:
        await conn.execute(
            "update parameter_heads as h set version = coalesce((select max(v.version) from parameter_versions as v"
            " where v.engine_id = $1 and v.strategy_id = $2 and v.version < $3 and v.status in ('pending', 'applied')),"
            " 0) where h.engine_id = $1 and h.strategy_id = $2 and h.version = $3",
            *(known["engine_id"], known["strategy_id"], known["version"]),
        )
    assert row is not None
    return _version(row)


async def head(conn: Connection, engine_id: str, strategy_id: str) -> VersionRow | None:
    """The version that is wanted now. None: nothing was ever noted, version 0."""
    row = await conn.fetchrow(
        f"select {_COLUMNS} from parameter_versions natural join"
        " (select engine_id, strategy_id, version from parameter_heads) as h where engine_id = $1 and strategy_id = $2",
        *(engine_id, strategy_id),
    )
    return _version(row) if row else None


async def heads(conn: Connection, engine_id: str) -> list[VersionRow]:
    """The wanted versions of all strategies of an engine."""
    rows = await conn.fetch(
        f"select {_COLUMNS} from parameter_versions natural join"
        " (select engine_id, strategy_id, version from parameter_heads where engine_id = $1) as h order by strategy_id",
        engine_id,
    )
    return [_version(row) for row in rows]


async def by_request(conn: Connection, request_id: str) -> VersionRow | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from parameter_versions where request_id = $1", request_id)
    return _version(row) if row else None


async def version(conn: Connection, engine_id: str, strategy_id: str, number: int) -> VersionRow | None:
    row = await conn.fetchrow(
        f"select {_COLUMNS} from parameter_versions where engine_id = $1 and strategy_id = $2 and version = $3",
        *(engine_id, strategy_id, number),
    )
    return _version(row) if row else None


async def history(conn: Connection, engine_id: str, strategy_id: str, after: int, limit: int) -> list[VersionRow]:
    """Versions above ``after`` (0: from the first), newest last."""
    rows = await conn.fetch(
        f"select {_COLUMNS} from parameter_versions where engine_id = $1 and strategy_id = $2 and version > $3"
        " order by version limit $4",
        *(engine_id, strategy_id, after, limit),
    )
    return [_version(row) for row in rows]


async def pending(conn: Connection) -> list[VersionRow]:
    """What nobody has answered yet, oldest first: after a restart it is sent again or expires."""
    rows = await conn.fetch(f"select {_COLUMNS} from parameter_versions where status = 'pending' order by at")
    return [_version(row) for row in rows]


async def note_effective(conn: Connection, row: EffectiveRow) -> None:
    await conn.execute(
        "insert into parameter_effective (engine_id, strategy_id, version, parameters, parameter_schema, at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (engine_id, strategy_id) do update"
        " set version = $3, parameters = $4, parameter_schema = $5, at = $6",
        *(row.engine_id, row.strategy_id, row.version, to_json(row.parameters)),
        *(to_json(row.parameter_schema), row.at),
    )


async def effective(conn: Connection, engine_id: str, strategy_id: str) -> EffectiveRow | None:
    row = await conn.fetchrow(
        "select engine_id, strategy_id, version, parameters, parameter_schema, at from parameter_effective"
        " where engine_id = $1 and strategy_id = $2",
        *(engine_id, strategy_id),
    )
    if row is None:
        return None
    fields: dict[str, Any] = dict(row)
    fields["parameters"] = from_json(row["parameters"], dict[str, int | float])
    fields["parameter_schema"] = from_json(row["parameter_schema"], dict[str, ParameterSpec])
    return EffectiveRow(**fields)


def _version(row: asyncpg.Record) -> VersionRow:
    fields: dict[str, Any] = dict(row)
    fields["parameters"] = from_json(row["parameters"], dict[str, int | float])
    fields["status"] = UpdateStatus(row["status"])
    if row["effective"] is not None:
        fields["effective"] = from_json(row["effective"], dict[str, int | float])
    return VersionRow(**fields)
