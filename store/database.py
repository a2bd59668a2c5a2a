"""asyncpg behind trio: one crossing per unit of work.

A unit of work is an asyncio-flavoured function whose first parameter is a connection. ``await db.run(fn, *args)`` takes
a connection, calls it, gives the connection back; ``tx={}`` wraps it in a transaction. The whole unit is one asyncio
coroutine, so a cancelled trio scope cannot leave a connection half used. Holding an asyncpg context manager open across
trio checkpoints loses the connection for ever when the scope expires: never do that.

Cancelled does not mean "not committed". Writers give their own ids and use ``on conflict do nothing``.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, TypeVarTuple

import asyncpg
import attrs
import trio
import trio_asyncio

from store.errors import BadValue, Conflict, NotDurable, Refused, StoreError, Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = Any

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logging.getLogger(__name__)

_AWAY = (
    OSError,  # the builtin TimeoutError is one, and so is a socket that is not there
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state": a session that was killed while idle
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement_timeout
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.ReadOnlySQLTransactionError,
)
_CONTENDED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
_IDLE_SECONDS = 60.0
_LISTEN_PROBE_SECONDS = 10.0
_audit_key: ContextVar[bytes | None] = ContextVar("audit_key", default=None)


def audit_key() -> bytes:
    """Within a unit of work: the ``audit_key`` of its database. Raises StoreError when it has none."""
    if (key := _audit_key.get()) is None:
        raise StoreError("this database has no audit key, so nothing that must be audited can be done")
    return key


class Contended(Unavailable):
    """Two transactions met; nothing of this one was kept. ``Database.retry`` tries it again."""


@attrs.frozen(kw_only=True)
class Up:
    """The listening connection is (again) there. What happened before is unknown: read the tables."""


@attrs.frozen(kw_only=True)
class Down:
    """The listening connection is lost."""


@attrs.frozen(kw_only=True)
class Notified:
    channel: str
    payload: str


@attrs.frozen(kw_only=True)
class DatabaseStatistics:
    """``abandoned``: units given up while the server did not answer; ``stray``: errors no unit was there to take."""

    size: int
    busy: int
    abandoned: int
    stray: int
    missed_notifications: int


class Database:
    """A pool of connections. ``dsn`` is a secret and never shown. Times are in seconds.

    It opens even when the server is away: connections are made on demand, and a unit that gets none raises
    Unavailable. ``down_since`` says since when that has been so, for the health page; None while all is well.
    ``audit_key`` is set once the key ring is read; ``store.audit`` needs it.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 8,
        command_timeout: float = 5.0,
        acquire_timeout: float = 2.0,
        connect_timeout: float = 3.0,
        grace: float = 0.25,
    ) -> None:
        self._dsn = dsn
        self._size = size
        self._command_timeout = command_timeout
        self._acquire_timeout = acquire_timeout
        self._connect_timeout = connect_timeout
        self._grace = grace
        self._abandoned = self._stray = self._missed = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Any = None
        self.audit_key: bytes | None = None
        self.term: int | None = None
        self.usurped = False
        self.down_since: datetime | None = None
        self.down_reason: str | None = None

    def __repr__(self) -> str:
        return f"<Database {'open' if self._loop else 'closed'}{' away' if self.down_since else ''}>"

    def statistics(self) -> DatabaseStatistics:
        pool = self._pool
        return DatabaseStatistics(
            size=self._size,
            busy=pool.get_size() - pool.get_idle_size() if pool is not None else 0,
            abandoned=self._abandoned,
            stray=self._stray,
            missed_notifications=self._missed,
        )

    # --- life ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """The pool and its asyncio loop. An error of the body leaves as it was, not wrapped in groups of the loop's."""
        failed: Exception | None = None
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(self._note_stray)
            self._loop = loop
            self._pool = await self._finish(self._make_pool())
            try:
                yield self
            except Exception as error:
                failed = error
            finally:
                await self._close()
        if failed is not None:
            raise failed

    async def _make_pool(self) -> Any:
        return await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._size,
            command_timeout=self._command_timeout,
            timeout=self._connect_timeout,
            init=self._admit,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            reset=_leaves_nothing,
            server_settings={
                "application_name": "watchkeeper",
                # a little under command_timeout: the server's own cancel is the cleaner one
                "statement_timeout": str(int(self._command_timeout * 900)),
                "idle_in_transaction_session_timeout": "15000",
                "timezone": "UTC",
            },
        )

    async def _admit(self, connection: Any) -> None:
        """A new connection may lead to a database that another platform has taken meanwhile: nothing is read or written
        by it before the terms were compared. ``term`` None: no platform is in office here."""
        if self.term is None:
            return
        if await connection.fetchval("select term from platform") != self.term:
            self.usurped = True
            raise Unavailable("another platform has started on this database")

    async def _close(self) -> None:
        assert self._pool is not None
        pool, self._pool = self._pool, None
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self._grace * 8) as patience:
                await self._finish(pool.close())
            if patience.cancelled_caught:
                pool.terminate()
        self._loop = None

    def _note_stray(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """trio-asyncio's own handler would end the whole program on one stray asyncio error."""
        self._stray += 1
        log.warning("stray error in the database loop: %s", type(context.get("exception")).__name__)

    # --- units of work ------------------------------------------------------------------------------------------

    async def run(
        self,
        fn: Callable[["Connection", *Ts], Awaitable[T]],
        *args: *Ts,
        tx: Mapping[str, Any] | None = None,
    ) -> T:
        """Calls ``fn(connection, *args)`` on a pooled connection; ``tx`` holds asyncpg's transaction options.

        Raises Unavailable when the database is away or too slow, Refused (Conflict, BadValue) when it says no, and
        whatever ``fn`` raises itself; then the transaction is rolled back.
        """
        return await self.cross(lambda: self._unit(fn, args, tx))

    async def cross(self, make_unit: Callable[[], Awaitable[T]]) -> T:
        """Runs asyncio-flavoured code that needs no pooled connection; the errors are those of ``run``."""
        # The error is raised outside the handler: the driver's own must not hang on as its context.
        failure: StoreError
        try:
            result: T = await self._finish(make_unit())
        except (*_AWAY, *_CONTENDED, asyncpg.PostgresError, UnicodeEncodeError, OverflowError) as error:
            failure = self._translate(error)
        else:
            self.down_since = self.down_reason = None
            return result
        raise failure

    async def connect(self, application_name: str) -> Any:
        """A connection outside the pool, for what lasts as long as its session. Asyncio flavour: use within cross."""
        return await asyncpg.connect(
            self._dsn,
            timeout=self._connect_timeout,
            command_timeout=self._command_timeout,
            server_settings={"application_name": application_name},
        )

    async def retry(
        self,
        fn: Callable[["Connection", *Ts], Awaitable[T]],
        *args: *Ts,
        tx: Mapping[str, Any] | None = None,
        attempts: int = 6,
        base: float = 0.05,
    ) -> T:
        """Like ``run``, again while Unavailable: at most ``attempts`` times, full jitter up to base * 2^k, ≤ 2 s."""
        for attempt in range(attempts - 1):
            with contextlib.suppress(Unavailable):
                return await self.run(fn, *args, tx=tx)
            await trio.sleep(random.uniform(0, min(2.0, base * 2**attempt)))
        return await self.run(fn, *args, tx=tx)

    async def assert_durable(self) -> None:
        """Raises NotDurable when the server may lose what it acknowledged, Unavailable when it cannot be asked."""
        for name, value in (await self.run(_durability)).items():
            if value == "off":
                raise NotDurable(f"the database runs with {name} = off, so an acknowledged commit can be lost")

    async def _unit(
        self, fn: Callable[..., Awaitable[T]], args: Sequence[Any], tx: Mapping[str, Any] | None
    ) -> T:  # asyncio flavour
        if (pool := self._pool) is None:
            raise Unavailable("the database is not open")
        _audit_key.set(self.audit_key)  # a unit is an asyncio task, with a context of its own
        connection = await pool.acquire(timeout=self._acquire_timeout)
        try:
            if tx is None:
                return await fn(connection, *args)
            async with connection.transaction(**tx):
                return await fn(connection, *args)
        finally:
            await pool.release(connection, timeout=self._command_timeout)

    async def _finish(self, unit: Any) -> Any:
        """Runs an asyncio coroutine to its end, from trio. A server that hangs does not hold a cancelled caller."""
        if self._loop is None:
            unit.close()
            raise Unavailable("the database is not open")
        task = self._loop.create_task(unit)
        done = trio.Event()

        def ended(task: "asyncio.Task[Any]") -> None:
            if not task.cancelled():
                task.exception()  # marks it as seen
            done.set()

        task.add_done_callback(ended)
        try:
            await done.wait()
        except trio.Cancelled:
            task.cancel()
            with trio.CancelScope(shield=True), trio.move_on_after(self._grace):
                await done.wait()
            if not done.is_set():
                self._abandoned += 1
            elif not task.cancelled() and task.exception() is None:
                return task.result()  # it was done: say so; the scope fires at the next checkpoint
            raise
        if task.cancelled():
            raise Unavailable("the database is closing")
        return task.result()

    def _translate(self, error: BaseException) -> StoreError:
        if isinstance(error, _CONTENDED):
            return Contended(type(error).__name__)
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            name = getattr(error, "constraint_name", None)
            unique = isinstance(error, asyncpg.UniqueViolationError | asyncpg.ExclusionViolationError)
            return Conflict(name) if unique else BadValue(f"breaks the rule {name or 'of a column'}")
        if isinstance(error, asyncpg.ClientConfigurationError):
            return Refused("WATCHKEEPER_DATABASE_URL is not the URL of a PostgreSQL database")
        if isinstance(error, asyncpg.DataError | ValueError | OverflowError):  # asyncpg's own argument check included
            return BadValue(f"a value the database cannot hold ({type(error).__name__})")
        if isinstance(error, _AWAY):
            return self._away(_first(error))
        sqlstate = getattr(error, "sqlstate", None)
        return Refused(f"the database refused a statement ({type(error).__name__}, {sqlstate})")

    def _away(self, first: BaseException) -> Unavailable:
        words = first.strerror if isinstance(first, OSError) and first.strerror else ""
        self.down_reason = f"{type(first).__name__}{': ' + words if words else ''}"
        self.down_since = self.down_since or datetime.now(UTC)
        return Unavailable(f"the database cannot be asked ({self.down_reason})")

    # --- notifications ------------------------------------------------------------------------------------------

    async def listen(
        self, channels: Sequence[str], send: "trio.MemorySendChannel[Up | Down | Notified]"
    ) -> None:  # never returns
        """LISTEN on a connection of its own, made again when lost. Every ``Up`` means: read the tables again.

        A full channel drops notifications (counted): they only say that something changed.
        """
        delay = 0.05
        while True:
            with contextlib.suppress(StoreError):  # the Down below says it
                delay = 0.05 if await self._hear(channels, send) else delay
            await send.send(Down())
            await trio.sleep(random.uniform(delay / 2, delay))
            delay = min(2.0, delay * 2)

    async def _hear(self, channels: Sequence[str], send: "trio.MemorySendChannel[Up | Down | Notified]") -> bool:
        """One connection's life; True when it came up."""
        lost = trio.Event()
        connection = await self.cross(lambda: self._listening(channels, send, lost))
        try:
            await send.send(Up())
            with contextlib.suppress(StoreError):
                await self._watch(connection, lost)
            return True
        finally:
            connection.terminate()

    async def _listening(
        self, channels: Sequence[str], send: "trio.MemorySendChannel[Up | Down | Notified]", lost: trio.Event
    ) -> Any:  # asyncio flavour
        def heard(_connection: Any, _pid: int, channel: str, payload: object) -> None:
            try:
                send.send_nowait(Notified(channel=channel, payload=str(payload)))
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self._missed += 1

        connection = await self.connect("watchkeeper-listen")
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            for channel in channels:
                await connection.add_listener(channel, heard)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _watch(self, connection: Any, lost: trio.Event) -> None:
        """Until the connection is lost; a half-open one is found by asking."""
        while not lost.is_set():
            with trio.move_on_after(_LISTEN_PROBE_SECONDS):
                await lost.wait()
            if lost.is_set():
                return
            with trio.move_on_after(self._command_timeout) as patience:
                await self.cross(lambda: connection.fetchval("select 1"))
            if patience.cancelled_caught:
                return


async def _durability(conn: Connection) -> dict[str, str]:
    names = ("synchronous_commit", "fsync", "full_page_writes")
    return {name: str(await conn.fetchval("select current_setting($1)", name)) for name in names}


async def _leaves_nothing(_connection: object) -> None:
    """Instead of asyncpg's round trip that resets what a session has set: a unit sets nothing beyond its transaction,
    and one that it left open asyncpg rolls back by itself."""


def _first(error: BaseException) -> BaseException:
    """ "cannot call Transaction.__aexit__()" hides what really happened."""
    while isinstance(error, asyncpg.InterfaceError) and error.__context__ is not None:
        error = error.__context__
    return error
