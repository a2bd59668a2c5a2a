"""The database as the parameters need it."""

from typing import Protocol

from actors.fleet.fleet import FleetBoard
from actors.requests import Refusal
from store import audit, parameters
from store.database import Connection, Database
from store.parameters import EffectiveRow, Outcome, VersionRow, Wanted
from wire.rest.strategies import StrategyParameters


class ParameterStore(Protocol):
    """Every method raises StoreError; ``propose`` StaleVersion when the head moved."""

    async def heads(self, engine_id: str) -> list[VersionRow]: ...
    async def head(self, engine_id: str, strategy_id: str) -> VersionRow | None: ...
    async def propose(self, wanted: Wanted) -> VersionRow: ...
    async def settle(self, outcome: Outcome) -> VersionRow | None: ...
    async def version(self, engine_id: str, strategy_id: str, number: int) -> VersionRow | None: ...
    async def effective(self, engine_id: str, strategy_id: str) -> EffectiveRow | None: ...
    async def note_effective(self, row: EffectiveRow) -> None: ...
    async def pending(self) -> list[VersionRow]: ...


class DatabaseParameters:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def heads(self, engine_id: str) -> list[VersionRow]:
        return await self._db.run(parameters.heads, engine_id)

    async def head(self, engine_id: str, strategy_id: str) -> VersionRow | None:
        return await self._db.run(parameters.head, engine_id, strategy_id)

    async def propose(self, wanted: Wanted) -> VersionRow:
        return await self._db.run(_propose, wanted, tx={})

    async def settle(self, outcome: Outcome) -> VersionRow | None:
        return await self._db.run(_settle, outcome, tx={})

    async def version(self, engine_id: str, strategy_id: str, number: int) -> VersionRow | None:
        return await self._db.run(parameters.version, engine_id, strategy_id, number)

    async def effective(self, engine_id: str, strategy_id: str) -> EffectiveRow | None:
        return await self._db.run(parameters.effective, engine_id, strategy_id)

    async def note_effective(self, row: EffectiveRow) -> None:
        await self._db.run(parameters.note_effective, row)

    async def pending(self) -> list[VersionRow]:
        return await self._db.run(parameters.pending)


async def wanted(
    store: ParameterStore, fleet: FleetBoard, engine_id: str, strategy_id: str
) -> StrategyParameters | Refusal:
    """Desired and effective, with the envelope the engine reported last. Raises StoreError."""
    row = fleet.rows.get(engine_id)
    if row is None:
        return Refusal(status=404, error="error_unknown_engine", reason="there is no such engine")
    known = await store.effective(engine_id, strategy_id)
    live = row.strategies.get(strategy_id)
    if known is None and live is None:
        reason = "the engine has not reported such a strategy"
        return Refusal(status=404, error="error_unknown_strategy", reason=reason, field="strategy_id")
    head = await store.head(engine_id, strategy_id)
    report = live.report if live is not None else None
    schema = report.parameter_schema if report is not None else {}
    effective = report.parameters if report is not None else known.parameters if known is not None else None
    version = report.version if report is not None else known.version if known is not None else None
    return StrategyParameters(
        engine_id=engine_id,
        strategy_id=strategy_id,
        version=head.version if head is not None else 0,
        desired=head.parameters if head is not None else effective or {},
        effective=effective,
        effective_version=version,
        parameter_schema=schema or (known.parameter_schema if known is not None else {}),
        updated_at=head.at if head is not None else None,
    )


async def _propose(conn: Connection, wanted: Wanted) -> VersionRow:
    row = await parameters.propose(conn, wanted)
    await audit.append(
        conn,
        actor=wanted.user_id,
        action="parameters.change",
        target=f"strategy:{wanted.engine_id}/{wanted.strategy_id}",
        detail={"request_id": row.request_id, "version": row.version, "parameters": dict(row.parameters)},
        entry_id=f"param-{row.engine_id}-{row.strategy_id}-{row.version}"[-64:],
    )
    return row


async def _settle(conn: Connection, outcome: Outcome) -> VersionRow | None:
    row = await parameters.settle(conn, outcome)
    if row is not None:
        await audit.append(
            conn,
            actor=f"engine:{row.engine_id}",
            action=f"parameters.{row.status.value}",
            target=f"strategy:{row.engine_id}/{row.strategy_id}",
            detail={"request_id": row.request_id, "version": row.version, "error": row.error, "reason": row.reason},
            entry_id=f"{row.status.value}-{row.engine_id}-{row.strategy_id}-{row.version}"[-64:],
        )
    return row
