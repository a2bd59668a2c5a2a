"""The audit log: an HMAC chain over every entry, and a signed checkpoint outside the database.

Whoever can write the database but has not the key cannot alter, delete, insert, reorder or append an entry unnoticed;
cutting off the end is noticed down to the last checkpoint, which is kept in a local file. The key is the database
object's ``audit_key`` (KeyRing.derive("audit chain")); a unit of work finds it without being told.
"""

import hmac
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import attrs
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from store.database import Connection, audit_key
from store.errors import StoreError
from wire.codec import dump
from wire.schema import C, message

_LOCK = 0x574B_4155_4449
_COLUMNS = "seq, id, prev_hash, hash, at, actor, action, target, detail"
_NOTHING = b"\0" * 32
_BATCH = 500  # about 3 ms of the loop
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@message
class AuditEntry:
    """``hash`` in hex; ``detail`` never holds a secret."""

    seq: Annotated[int, C(ge=1)]
    id: Annotated[str, C(max_length=64)]
    at: datetime
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    hash: Annotated[str, C(max_length=64)]


@attrs.frozen(kw_only=True)
class AuditPage:
    items: list[AuditEntry]
    next: int | None


@attrs.frozen(kw_only=True)
class Head:
    """The last entry; seq 0: there is none."""

    seq: int
    hash: bytes


@attrs.frozen(kw_only=True)
class Verification:
    """``broken_at``: the first entry that is not what was written (or is missing); None when all is well."""

    ok: bool
    entries: int
    head: Head
    broken_at: int | None = None
    reason: str | None = None


async def append(
    conn: Connection,
    *,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, Any],
    at: datetime | None = None,
    entry_id: str | None = None,
) -> AuditEntry:
    """Adds an entry, in the transaction of what it tells about. The same ``entry_id`` again: what is there already."""
    key = audit_key()
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock($1)", _LOCK)  # one chain: one appends after the other
        entry_id = entry_id or str(uuid.uuid4())
        if (known := await conn.fetchrow(f"select {_COLUMNS} from audit where id = $1", entry_id)) is not None:
            return _entry(known)
        last = await head(conn)
        texts = [_UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text) for text in (actor, action, target)]
        row = (last.seq + 1, entry_id, (at or datetime.now(UTC)).astimezone(UTC), *texts, dump(dict(detail)))
        link = _link(key, last.hash, *row)
        stored = await conn.fetchrow(
            "insert into audit (seq, id, at, actor, action, target, detail, prev_hash, hash)"
            f" values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning {_COLUMNS}",
            *(*row, last.hash, link),
        )
    assert stored is not None
    return _entry(stored)


async def missing(conn: Connection, entry_ids: Sequence[str]) -> set[str]:
    """Those of the ids that no entry has."""
    rows = await conn.fetch("select id from audit where id = any($1::text[])", list(entry_ids))
    return set(entry_ids) - {row["id"] for row in rows}


async def head(conn: Connection) -> Head:
    row = await conn.fetchrow("select seq, hash from audit order by seq desc limit 1")
    return Head(seq=row["seq"], hash=row["hash"]) if row else Head(seq=0, hash=_NOTHING)


async def page(conn: Connection, after: int | None, limit: int) -> AuditPage:
    """Newest last. ``after`` None: the newest ``limit``."""
    if after is None:
        rows = await conn.fetch(f"select {_COLUMNS} from audit order by seq desc limit $1", limit)
        return AuditPage(items=[_entry(row) for row in reversed(rows)], next=None)
    rows = await conn.fetch(f"select {_COLUMNS} from audit where seq > $1 order by seq limit $2", after, limit + 1)
    following = rows[limit - 1]["seq"] if len(rows) > limit else None
    return AuditPage(items=[_entry(row) for row in rows[:limit]], next=following)


async def verify(conn: Connection, checkpoint: "Checkpoint | None" = None) -> Verification:
    """Reads the whole chain. With a checkpoint, also that nothing up to it was cut off or written anew."""
    key, last = audit_key(), Head(seq=0, hash=_NOTHING)
    while rows := await conn.fetch(
        f"select {_COLUMNS} from audit where seq > $1 order by seq limit $2", last.seq, _BATCH
    ):
        for row in rows:
            if (reason := _fault(key, last, row)) is not None:
                return Verification(ok=False, entries=last.seq, head=last, broken_at=last.seq + 1, reason=reason)
            last = Head(seq=row["seq"], hash=row["hash"])
            if checkpoint is not None and last.seq == checkpoint.seq and last.hash != checkpoint.hash:
                reason = "the entry is not the one the checkpoint saw"
                return Verification(ok=False, entries=last.seq, head=last, broken_at=last.seq, reason=reason)
    if checkpoint is not None and last.seq < checkpoint.seq:
        reason = f"the log ends here, but the checkpoint saw entry {checkpoint.seq}"
        return Verification(ok=False, entries=last.seq, head=last, broken_at=last.seq + 1, reason=reason)
    return Verification(ok=True, entries=last.seq, head=last)


def _fault(key: bytes, last: Head, row: asyncpg.Record) -> str | None:
    if row["seq"] != last.seq + 1:
        return "an entry is missing"
    said = (row["seq"], row["id"], row["at"], row["actor"], row["action"], row["target"], row["detail"])
    if row["prev_hash"] != last.hash or not hmac.compare_digest(_link(key, last.hash, *said), row["hash"]):
        return "the entry is not what was written"
    return None


def _link(key: bytes, previous: bytes, *said: Any) -> bytes:
    seq, entry_id, at, *texts = said
    payload = json.dumps([seq, entry_id, at.isoformat(), *texts], ensure_ascii=False, separators=(",", ":"))
    return hmac.digest(key, previous + payload.encode(), "sha256")


def _entry(row: asyncpg.Record) -> AuditEntry:
    same = {name: row[name] for name in ("seq", "id", "at", "actor", "action", "target")}
    return AuditEntry(**same, detail=json.loads(row["detail"]), hash=row["hash"].hex())


# --- checkpoints ----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The chain had this head at that time."""

    seq: int
    hash: bytes
    at: datetime


class CheckpointFile:
    """The last checkpoint, Ed25519-signed, in a file. ``seed``: KeyRing.derive("audit checkpoint")."""

    def __init__(self, path: Path, seed: bytes) -> None:
        self.path = path
        self._key = SigningKey(seed)

    def save(self, checkpoint: Checkpoint) -> None:
        """Atomic and synced. Raises OSError."""
        text = json.dumps([checkpoint.seq, checkpoint.hash.hex(), checkpoint.at.isoformat()])
        signature = self._key.sign(text.encode()).signature.hex()
        unfinished = self.path.with_name(f".{self.path.name}.new")
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n{signature}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path)

    def load(self) -> Checkpoint | None:
        """None when there is no file. Raises StoreError when it was not written by this platform."""
        try:
            text, signature = self.path.read_text().splitlines()
            self._key.verify_key.verify(text.encode(), bytes.fromhex(signature))
            seq, digest, at = json.loads(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, CryptoError):
            raise StoreError(f"the audit checkpoint {self.path} was not written by this platform") from None
        return Checkpoint(seq=seq, hash=bytes.fromhex(digest), at=datetime.fromisoformat(at))
