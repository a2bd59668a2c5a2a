"""People who may sign in."""

from datetime import datetime

import asyncpg
import attrs

from store.database import Connection
from wire.rest.access import Role

_COLUMNS = "id, username, password_hash, role, enabled, totp, token_epoch, created_at"


@attrs.frozen(kw_only=True)
class UserRow:
    """``totp`` is sealed. Access tokens that carry a lower ``token_epoch`` are revoked."""

    id: str
    username: str
    password_hash: str = attrs.field(repr=False)
    role: Role
    enabled: bool
    totp: bytes | None = attrs.field(repr=False)
    token_epoch: int
    created_at: datetime


async def add(conn: Connection, user_id: str, username: str, password_hash: str, role: Role) -> UserRow:
    """Raises Conflict (users_username, users_pkey) when the name or id is taken; names differ by more than case."""
    row = await conn.fetchrow(
        f"insert into users (id, username, password_hash, role) values ($1, $2, $3, $4) returning {_COLUMNS}",
        *(user_id, username, password_hash, role.value),
    )
    assert row is not None
    return _user(row)


async def find(conn: Connection, username: str) -> UserRow | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from users where lower(username) = lower($1)", username)
    return _user(row) if row else None


async def get(conn: Connection, user_id: str) -> UserRow | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from users where id = $1", user_id)
    return _user(row) if row else None


async def everyone(conn: Connection) -> list[UserRow]:
    return [_user(row) for row in await conn.fetch(f"select {_COLUMNS} from users order by created_at, id")]


async def names(conn: Connection, user_ids: list[str]) -> dict[str, str]:
    """What those are called whom these ids name; an id that names nobody is left out."""
    rows = await conn.fetch("select id, username from users where id = any($1)", user_ids)
    return {row["id"]: row["username"] for row in rows}


async def count(conn: Connection) -> int:
    return int(await conn.fetchval("select count(*) from users"))


async def who_may_release(conn: Connection) -> list[str]:
    """The ids of the enabled users of role risk or above. A desk of one approves its own releases."""
    rows = await conn.fetch("select id from users where enabled and role in ('risk', 'admin') order by id")
    return [row["id"] for row in rows]


async def set_password(conn: Connection, user_id: str, password_hash: str) -> None:
    """Every token of the user ends: its epoch rises and its sessions are revoked."""
    await conn.execute("update users set password_hash = $2 where id = $1", user_id, password_hash)
    await revoke_tokens(conn, user_id)


async def rehash(conn: Connection, user_id: str, password_hash: str) -> None:
    """The same password at another cost: nobody is signed out."""
    await conn.execute("update users set password_hash = $2, updated_at = now() where id = $1", user_id, password_hash)


async def set_role(conn: Connection, user_id: str, role: Role) -> None:
    await conn.execute("update users set role = $2 where id = $1", user_id, role.value)
    await revoke_tokens(conn, user_id)


async def set_enabled(conn: Connection, user_id: str, enabled: bool) -> None:
    await conn.execute("update users set enabled = $2 where id = $1", user_id, enabled)
    await revoke_tokens(conn, user_id)


async def set_totp(conn: Connection, user_id: str, sealed: bytes | None) -> None:
    await conn.execute("update users set totp = $2, updated_at = now() where id = $1", user_id, sealed)


async def revoke_tokens(conn: Connection, user_id: str) -> int:
    """Returns the new token epoch."""
    await conn.execute(
        "update login_sessions set revoked_at = now() where user_id = $1 and revoked_at is null", user_id
    )
    return int(
        await conn.fetchval(
            "update users set token_epoch = token_epoch + 1, updated_at = now() where id = $1 returning token_epoch",
            user_id,
        )
        or 0
    )


def _user(row: asyncpg.Record) -> UserRow:
    return UserRow(**{**dict(row), "role": Role(row["role"])})
