"""One platform per database: a session-level advisory lock on a connection of its own, and the term behind it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import trio

from store import platform
from store.database import Database
from store.errors import StaleTerm, StoreError, Unavailable

_LOCK = 0x574B_5445_524D
_PROBE_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0  # the server notices the death of an earlier platform a moment later


class AnotherPlatform(StoreError):
    """Another platform runs on this database."""


async def nothing_to_do() -> None:
    pass


class Tenure:
    """This platform's time in office. ``begin`` takes it, ``keep`` holds it, ``end`` gives it up."""

    def __init__(self, db: Database, connection: Any, identity: platform.Identity) -> None:
        self._db = db
        self._connection = connection
        self.identity = identity

    @property
    def term(self) -> int:
        return self.identity.term

    @classmethod
    async def begin(
        cls,
        db: Database,
        *,
        patience: float = _PATIENCE_SECONDS,
        prepare: Callable[[], Awaitable[object]] = nothing_to_do,
    ) -> "Tenure":
        """Takes the lock, prepares, and raises the term. Raises AnotherPlatform, or Unavailable.

        ``prepare`` runs while the lock is held and no other platform is: what it raises gives the lock back, and the
        term is as it was.
        """
        end = time.monotonic() + patience
        while (connection := await _take(db)) is None:
            if time.monotonic() > end:
                raise AnotherPlatform("another platform runs on this database; one database serves one platform")
            await trio.sleep(0.1)
        try:
            await prepare()
            identity = await db.run(platform.begin_term, tx={})
        except BaseException:
            connection.terminate()
            raise
        db.term = identity.term
        return cls(db, connection, identity)

    async def keep(self) -> None:
        """Runs for ever. The lock is taken anew after the connection was lost. Raises StaleTerm once usurped."""
        while True:
            await trio.sleep(_PROBE_SECONDS)
            try:
                if self._connection is None or not await _answers(self._db, self._connection):
                    self.end()
                    self._connection = await _take(self._db)
                term: int | None = (await self._db.run(platform.read)).term
            except Unavailable:
                if not self._db.usurped:
                    continue  # cut off from it one cannot know; the next connection is compared before it is used
                term = None
            if term != self.term:
                raise StaleTerm("another platform has started on this database")

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _take(db: Database) -> Any:
    """A connection that holds the lock, or None when another session holds it."""

    async def attempt() -> Any:  # asyncio flavour
        connection = await db.connect("watchkeeper-tenure")
        try:
            if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
        return None

    return await db.cross(attempt)


async def _answers(db: Database, connection: Any) -> bool:
    async def ask() -> bool:  # asyncio flavour
        try:
            return bool(await connection.fetchval("select true"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False

    return bool(await db.cross(ask))
