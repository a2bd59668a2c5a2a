"""Stops enter the audit chain when the database takes them: in the order of decision, each exactly once.

Stopping never waits for an audit. Each entry has an id that follows from what it tells, so after a crash or a doubtful
commit it is simply appended again and found there already.
"""

from collections import deque
from datetime import UTC, datetime
from typing import Protocol

import trio

from actors.platform.degraded import DegradedParts
from actors.stops.effects import AuditStop
from store import audit
from store.audit import Checkpoint, CheckpointFile
from store.database import Connection, Database
from store.errors import StoreError
from supervisor.actor import Actor, handles

RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
LIMIT = 100_000
CHECKPOINT_SECONDS = 5.0
PART = "audit"


class AuditChain(Protocol):
    async def append(self, entry: AuditStop) -> None:
        """Idempotent by ``entry.id``. Raises StoreError."""

    async def checkpoint(self) -> None:
        """Notes the head of the chain outside the database, if it moved. Raises StoreError or OSError."""


class DatabaseChain:
    def __init__(self, db: Database, file: CheckpointFile) -> None:
        self._db = db
        self._file = file
        self._noted: bytes | None = None

    async def append(self, entry: AuditStop) -> None:
        detail = {"stop": entry.detail, "epoch": entry.epoch, "degraded": entry.degraded, "drill": entry.drill}

        async def appended(conn: Connection) -> None:  # asyncio flavour
            await audit.append(
                conn,
                actor=entry.actor,
                action=entry.action,
                target=f"stop:{entry.stop_id}",
                detail=detail,
                at=entry.at,
                entry_id=entry.id,
            )

        await self._db.run(appended, tx={})

    async def checkpoint(self) -> None:
        head = await self._db.run(audit.head)
        if head.seq and head.hash != self._noted:
            await trio.to_thread.run_sync(
                self._file.save, Checkpoint(seq=head.seq, hash=head.hash, at=datetime.now(UTC))
            )
            self._noted = head.hash


class Auditor(Actor):
    """Keeps the order: nothing is appended before what was decided earlier."""

    def __init__(self, chain: AuditChain, degraded: DegradedParts, waiting: deque[AuditStop]) -> None:
        self._chain = chain
        self._degraded = degraded
        self._waiting = waiting
        self._bell = trio.Event()

    async def started(self) -> None:
        self.context.spawn(self._append, name="chain")
        self.context.spawn(self._checkpoint, name="checkpoint")

    @handles(AuditStop)
    async def on_stop(self, msg: AuditStop) -> None:
        if len(self._waiting) < LIMIT:
            self._waiting.append(msg)
        self._bell.set()

    async def _append(self) -> None:
        failures = 0
        while True:
            if not self._waiting:
                self._bell = trio.Event()
                await self._bell.wait()
            try:
                await self._chain.append(self._waiting[0])
            except StoreError as error:
                self._degraded.report(PART, str(error))
                await trio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            else:
                self._waiting.popleft()
                self._degraded.restored(PART)
                failures = 0

    async def _checkpoint(self) -> None:
        while True:
            await trio.sleep(CHECKPOINT_SECONDS)
            try:
                await self._chain.checkpoint()
            except (StoreError, OSError) as error:
                self.context.log.warning("the audit checkpoint was not written: %s", error)
