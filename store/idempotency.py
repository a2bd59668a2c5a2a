"""Requests with an Idempotency-Key: per user and route, the same key gets the same answer, for 24 hours."""

import hashlib
from datetime import datetime, timedelta

import attrs

from store.database import Connection

LIFETIME = timedelta(hours=24)
_ABANDONED = timedelta(seconds=60)  # a platform that died in the middle of a request does not block its key for a day


@attrs.frozen(kw_only=True)
class Slot:
    user_id: str
    route: str
    key: str


@attrs.frozen(kw_only=True)
class Fresh:
    """The first request of this key: do it, then ``complete`` or ``forget`` the slot."""


@attrs.frozen(kw_only=True)
class Replay:
    """It was done before; this was the answer."""

    status: int
    answer: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class OtherBody:
    """The key was used with another body: 422 error_idempotency_conflict."""


@attrs.frozen(kw_only=True)
class InProgress:
    """The first request of this key is still at work."""


async def claim(conn: Connection, slot: Slot, body: bytes, now: datetime) -> Fresh | Replay | OtherBody | InProgress:
    """Needs a transaction."""
    hashed = hashlib.blake2b(body, digest_size=32).digest()
    await conn.execute(
        "delete from idempotency where user_id = $1 and route = $2 and key = $3"
        " and (expires_at <= $4 or (status is null and created_at <= $5))",
        *(slot.user_id, slot.route, slot.key, now, now - _ABANDONED),
    )
    first = await conn.fetchval(
        "insert into idempotency (user_id, route, key, body_hash, created_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning true",
        *(slot.user_id, slot.route, slot.key, hashed, now, now + LIFETIME),
    )
    if first:
        return Fresh()
    row = await conn.fetchrow(
        "select body_hash, status, answer from idempotency where user_id = $1 and route = $2 and key = $3",
        *(slot.user_id, slot.route, slot.key),
    )
    if row is None:
        return InProgress()  # forgotten between the two statements: the client comes again
    if row["body_hash"] != hashed:
        return OtherBody()
    return InProgress() if row["status"] is None else Replay(status=row["status"], answer=row["answer"])


async def complete(conn: Connection, slot: Slot, status: int, answer: str) -> None:
    await conn.execute(
        "update idempotency set status = $4, answer = $5 where user_id = $1 and route = $2 and key = $3",
        *(slot.user_id, slot.route, slot.key, status, answer),
    )


async def forget(conn: Connection, slot: Slot) -> None:
    """The request failed before it did anything: the key is free again."""
    await conn.execute(
        "delete from idempotency where user_id = $1 and route = $2 and key = $3 and status is null",
        *(slot.user_id, slot.route, slot.key),
    )


async def purge(conn: Connection, now: datetime) -> None:
    await conn.execute("delete from idempotency where expires_at <= $1", now)
