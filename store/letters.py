"""Dead letters: messages that could not be delivered or kept, until a person decides."""

from datetime import datetime
from enum import Enum
from typing import Any

import asyncpg
import attrs

from store.database import Connection

_COLUMNS = "id, engine_id, kind, payload, reason, state, at, decided_by, decided_at"


class LetterState(Enum):
    OPEN = "open"
    RETRIED = "retried"
    DISCARDED = "discarded"


@attrs.frozen(kw_only=True)
class DeadLetter:
    """``payload``: the message's JSON text."""

    id: str
    engine_id: str
    kind: str
    payload: str
    reason: str
    at: datetime
    state: LetterState = LetterState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None


@attrs.frozen(kw_only=True)
class LetterPage:
    items: list[DeadLetter]
    next: int | None


async def save(conn: Connection, letter: DeadLetter) -> bool:
    """False when it is there already."""
    done = await conn.fetchval(
        "insert into dead_letters (id, engine_id, kind, payload, reason, at) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (id) do nothing returning true",
        *(letter.id, letter.engine_id, letter.kind, letter.payload, letter.reason, letter.at),
    )
    return bool(done)


async def get(conn: Connection, letter_id: str) -> DeadLetter | None:
    row = await conn.fetchrow(f"select {_COLUMNS} from dead_letters where id = $1", letter_id)
    return _letter(row) if row else None


async def decide(conn: Connection, letter_id: str, state: LetterState, by: str, at: datetime) -> DeadLetter | None:
    """None when there is no open letter of that id."""
    row = await conn.fetchrow(
        "update dead_letters set state = $2, decided_by = $3, decided_at = $4 where id = $1 and state = 'open'"
        f" returning {_COLUMNS}",
        *(letter_id, state.value, by, at),
    )
    return _letter(row) if row else None


async def page(conn: Connection, after: int | None, limit: int) -> LetterPage:
    """Newest last. ``after`` None: the newest ``limit``."""
    if after is None:
        rows = await conn.fetch(f"select cursor, {_COLUMNS} from dead_letters order by cursor desc limit $1", limit)
        return LetterPage(items=[_letter(row) for row in reversed(rows)], next=None)
    rows = await conn.fetch(
        f"select cursor, {_COLUMNS} from dead_letters where cursor > $1 order by cursor limit $2", after, limit + 1
    )
    following = rows[limit - 1]["cursor"] if len(rows) > limit else None
    return LetterPage(items=[_letter(row) for row in rows[:limit]], next=following)


def _letter(row: asyncpg.Record) -> DeadLetter:
    fields: dict[str, Any] = {field.name: row[field.name] for field in attrs.fields(DeadLetter)}
    return DeadLetter(**{**fields, "state": LetterState(row["state"])})
