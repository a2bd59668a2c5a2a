"""The last word of each engine about its account, one row for each trading day. Money in whole won."""

import asyncpg

from store.database import Connection
from wire.messages import Account


async def save(conn: Connection, engine_id: str, account: Account) -> None:
    """An older report than the one that is there changes nothing."""
    await conn.execute(
        "insert into account_snapshots as s (engine_id, trading_day, equity, cash, realized_pnl, as_of)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (engine_id, trading_day) do update"
        " set equity = $3, cash = $4, realized_pnl = $5, as_of = $6 where s.as_of < $6",
        *(engine_id, account.trading_day, account.equity, account.cash, account.realized_pnl, account.as_of),
    )


async def latest(conn: Connection) -> dict[str, Account]:
    """By engine."""
    rows = await conn.fetch(
        "select distinct on (engine_id) engine_id, trading_day, equity, cash, realized_pnl, as_of"
        " from account_snapshots order by engine_id, trading_day desc"
    )
    return {row["engine_id"]: _account(row) for row in rows}


async def history(conn: Connection, engine_id: str, limit: int) -> list[Account]:
    """The newest ``limit`` days, newest last."""
    rows = await conn.fetch(
        "select trading_day, equity, cash, realized_pnl, as_of from account_snapshots where engine_id = $1"
        " order by trading_day desc limit $2",
        *(engine_id, limit),
    )
    return [_account(row) for row in reversed(rows)]


def _account(row: asyncpg.Record) -> Account:
    return Account(
        equity=row["equity"],
        cash=row["cash"],
        realized_pnl=row["realized_pnl"],
        trading_day=row["trading_day"],
        as_of=row["as_of"],
    )
