"""Engines that may connect: one per broker account."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import asyncpg
import attrs

from store.database import Connection

_COLUMNS = (
    "engine_id, name, account_id, secret_hash, public_key, version, trading_mode, last_seen_at, created_at, rotated_at,"
    " deregistered_at"
)


@attrs.frozen(kw_only=True)
class EngineRow:
    """``public_key``: what its secrets are sealed to. ``version``, ``trading_mode``: as its last hello told."""

    engine_id: str
    name: str
    account_id: str
    secret_hash: bytes = attrs.field(repr=False)
    public_key: str | None
    version: str | None
    trading_mode: str | None
    last_seen_at: datetime | None
    created_at: datetime
    rotated_at: datetime | None
    deregistered_at: datetime | None


def secret_hash(key: bytes, engine_id: str, secret: str) -> bytes:
    """``key``: KeyRing.derive("engine secrets"). A secret has 256 bits, so a slow hash would add nothing."""
    message = f"{engine_id}\0{secret}".encode(errors="surrogatepass")
    return hashlib.blake2b(message, key=key, digest_size=32, person=b"wk engine").digest()


async def enrol(
    conn: Connection, engine_id: str, name: str, account_id: str, hashed: bytes, public_key: str | None
) -> EngineRow:
    """Raises Conflict: one_engine_per_account, engines_name or engines_pkey."""
    row = await conn.fetchrow(
        "insert into engines (engine_id, name, account_id, secret_hash, public_key) values ($1, $2, $3, $4, $5)"
        f" returning {_COLUMNS}",
        *(engine_id, name, account_id, hashed, public_key),
    )
    assert row is not None
    return _engine(row)


async def get(conn: Connection, engine_id: str) -> EngineRow | None:
    """None when there is none of that id, or it was deregistered."""
    row = await conn.fetchrow(
        f"select {_COLUMNS} from engines where engine_id = $1 and deregistered_at is null", engine_id
    )
    return _engine(row) if row else None


async def registered(conn: Connection) -> list[EngineRow]:
    rows = await conn.fetch(f"select {_COLUMNS} from engines where deregistered_at is null order by created_at, name")
    return [_engine(row) for row in rows]


async def deregister(conn: Connection, engine_id: str, now: datetime) -> bool:
    """False when it was not registered. Its id is never given again: its logs keep their meaning."""
    done = await conn.fetchval(
        "update engines set deregistered_at = $2 where engine_id = $1 and deregistered_at is null returning true",
        *(engine_id, now),
    )
    return bool(done)


async def rotate(conn: Connection, engine_id: str, hashed: bytes, public_key: str | None, now: datetime) -> bool:
    """A new secret; the old one is worth nothing from now on. ``public_key`` None keeps the one that is there."""
    done = await conn.fetchval(
        "update engines set secret_hash = $2, public_key = coalesce($3, public_key), rotated_at = $4"
        " where engine_id = $1 and deregistered_at is null returning true",
        *(engine_id, hashed, public_key, now),
    )
    return bool(done)


async def seen(conn: Connection, engines: Iterable[tuple[str, str, str]], at: datetime) -> None:
    """Each (engine id, version, trading mode) has said hello."""
    await conn.executemany(
        "update engines set version = $2, trading_mode = $3, last_seen_at = $4 where engine_id = $1",
        [(*engine, at) for engine in engines],
    )


def _engine(row: asyncpg.Record) -> EngineRow:
    return EngineRow(**dict(row))
