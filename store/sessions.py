"""Login sessions: refresh tokens that rotate at each use and can be revoked.

A refresh token is 256 random bits; only its hash is stored. A token used again after it was rotated was stolen, and
ends its session; two tabs that refresh within ten seconds of each other are no theft.
"""

import hashlib
from datetime import datetime, timedelta

import asyncpg
import attrs

from store.database import Connection

_COLUMNS = "id, user_id, auth_time, created_at, used_at, expires_at, revoked_at, origin"
_TABS = timedelta(seconds=10)


@attrs.frozen(kw_only=True)
class LoginSession:
    """``auth_time``: when the password was last given."""

    id: str
    user_id: str
    auth_time: datetime
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    origin: str


@attrs.frozen(kw_only=True)
class Refreshed:
    """``rotated`` False: another tab was first, and the cookie it got is the right one."""

    session: LoginSession
    rotated: bool


async def begin(
    conn: Connection, session_id: str, user_id: str, token: str, now: datetime, expires_at: datetime, origin: str
) -> LoginSession:
    row = await conn.fetchrow(
        "insert into login_sessions (id, user_id, token_hash, auth_time, created_at, used_at, expires_at, origin)"
        f" values ($1, $2, $3, $4, $4, $4, $5, $6) returning {_COLUMNS}",
        *(session_id, user_id, _hash(token), now, expires_at, origin),
    )
    assert row is not None
    return _session(row)


async def refresh(conn: Connection, token: str, new_token: str, now: datetime) -> Refreshed | None:
    """None when the token is unknown, expired, revoked, or stolen (then its session ends). Needs a transaction."""
    hashed = _hash(token)
    row = await conn.fetchrow(
        f"select {_COLUMNS}, token_hash from login_sessions where (token_hash = $1 or previous_hash = $1)"
        " and revoked_at is null and expires_at > $2 for update",
        *(hashed, now),
    )
    if row is None:
        return None
    if row["token_hash"] != hashed:
        if now - row["used_at"] > _TABS:
            await revoke(conn, row["id"], now)
            return None
        return Refreshed(session=_session(row), rotated=False)
    row = await conn.fetchrow(
        "update login_sessions set token_hash = $2, previous_hash = token_hash, used_at = $3 where id = $1"
        f" returning {_COLUMNS}",
        *(row["id"], _hash(new_token), now),
    )
    assert row is not None
    return Refreshed(session=_session(row), rotated=True)


async def get(conn: Connection, session_id: str) -> LoginSession | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from login_sessions where id = $1", session_id)
    return _session(row) if row else None


async def step_up(conn: Connection, session_id: str, now: datetime) -> None:
    """The password was given again."""
    await conn.execute("update login_sessions set auth_time = $2 where id = $1", session_id, now)


async def revoke(conn: Connection, session_id: str, now: datetime) -> bool:
    """True when it was alive."""
    done = await conn.fetchval(
        "update login_sessions set revoked_at = $2 where id = $1 and revoked_at is null returning true", session_id, now
    )
    return bool(done)


async def revoke_by_token(conn: Connection, token: str, now: datetime) -> str | None:
    """The id of the session that ended, for the deny list."""
    found = await conn.fetchval(
        "update login_sessions set revoked_at = $2 where token_hash = $1 and revoked_at is null returning id",
        *(_hash(token), now),
    )
    return str(found) if found is not None else None


async def revoked_since(conn: Connection, since: datetime) -> list[str]:
    """The ids a restarted platform must deny: access tokens of these sessions may still be running."""
    rows = await conn.fetch("select id from login_sessions where revoked_at >= $1", since)
    return [row["id"] for row in rows]


async def purge(conn: Connection, before: datetime) -> None:
    """Forgets what ended before that time."""
    await conn.execute("delete from login_sessions where expires_at < $1 or revoked_at < $1", before)


def _hash(token: str) -> bytes:
    return hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=32, person=b"wk refresh").digest()


def _session(row: asyncpg.Record) -> LoginSession:
    return LoginSession(**{field.name: row[field.name] for field in attrs.fields(LoginSession)})
