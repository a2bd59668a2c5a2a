"""What engines tell, kept exactly once: trade logs (malformed ones as quarantined), order updates, fills, errors.

A batch and the links' progress are written in one transaction: what is acknowledged is committed. Duplicates die on
(engine_id, id). One row that cannot be kept (text the database refuses, a number too large) does not block the others:
where ``commit_together`` gives up, ``commit`` returns it as rejected, and its number is acknowledged with a nack.

Pages go by cursor, newest last; cursors rise in the order of commits, because a batch holds one advisory lock.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import attrs

from store import links
from store.database import Connection
from wire.messages import ErrorReport, Fill, OrderUpdate, TradeLog
from wire.quarantine import QuarantinedLog
from wire.rest.records import FillRow, LogRow, OrderRow
from wire.values import LogCategory, Side

T = TypeVar("T")
Kept = TradeLog | OrderUpdate | Fill | ErrorReport | QuarantinedLog

_LOCK = 0x574B_4C4F_4753
_TAKE_LOCK = "select pg_advisory_xact_lock($1)"
_NOT_STORABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError)


@attrs.frozen(kw_only=True)
class Received:
    """One message to keep. ``id`` is the envelope's (a trade log's own); ``at`` the envelope's time."""

    engine_id: str
    id: str
    at: datetime
    message: Kept


@attrs.frozen(kw_only=True)
class Rejected:
    received: Received
    reason: str


@attrs.frozen(kw_only=True)
class Committed:
    """``new``: what was not there before, to be shown; ``moved``: engines whose progress was taken."""

    new: list[Received]
    rejected: list[Rejected]
    moved: frozenset[str]


@attrs.frozen(kw_only=True)
class LogQuery:
    """``after`` None: the newest ``limit`` rows. ``text`` is looked for in message and reason."""

    after: int | None = None
    limit: int = 100
    engine_id: str | None = None
    category: LogCategory | None = None
    text: str | None = None


@attrs.frozen(kw_only=True)
class LogPage:
    items: list[LogRow]
    next: int | None


@attrs.frozen(kw_only=True)
class OrderPage:
    items: list[OrderRow]
    next: int | None


@attrs.frozen(kw_only=True)
class FillPage:
    items: list[FillRow]
    next: int | None


class NotAllStorable(Exception):
    """At least one row cannot be kept, so none was: ``commit`` finds out which."""


async def commit_together(
    conn: Connection, received: Sequence[Received], progress: Iterable[links.Progress], now: datetime
) -> Committed:
    """The whole batch in as few statements as possible, or NotAllStorable. Needs a transaction (``tx={}``)."""
    await conn.execute(_TAKE_LOCK, _LOCK)
    new: list[Received] = []
    try:
        for kind, insert in _INSERTS.items():
            if batch := [one for one in received if isinstance(one.message, kind)]:
                new += await insert(conn, batch)
    except _NOT_STORABLE:
        raise NotAllStorable from None
    return Committed(new=new, rejected=[], moved=frozenset(await links.advance(conn, progress, now)))


async def commit(
    conn: Connection, received: Sequence[Received], progress: Iterable[links.Progress], now: datetime
) -> Committed:
    """Every row that can be kept. Needs a transaction (``tx={}``)."""
    await conn.execute(_TAKE_LOCK, _LOCK)
    new: list[Received] = []
    rejected: list[Rejected] = []
    for kind, insert in _INSERTS.items():
        batch = [one for one in received if isinstance(one.message, kind)]
        if not batch:
            continue
        try:
            async with conn.transaction():
                new += await insert(conn, batch)
        except _NOT_STORABLE:
            new += await _one_by_one(conn, insert, batch, rejected)
    return Committed(new=new, rejected=rejected, moved=frozenset(await links.advance(conn, progress, now)))


async def _one_by_one(
    conn: Connection, insert: "Insert", batch: Sequence[Received], rejected: list[Rejected]
) -> list[Received]:
    new: list[Received] = []
    for one in batch:
        try:
            async with conn.transaction():
                new += await insert(conn, [one])
        except _NOT_STORABLE as error:  # its text may repeat the value
            rejected.append(Rejected(received=one, reason=f"cannot be stored ({type(error).__name__})"))
    return new


Insert = Callable[[Connection, Sequence[Received]], Any]


async def _insert_trade_logs(conn: Connection, batch: Sequence[Received]) -> list[Received]:
    """Malformed lines too: each in its place among the others."""

    lines = [_line(one) for one in batch]
    return _new(batch, await conn.fetch(_INSERT_LINES, lines, len(lines)))


_LINE = "engine_id, id, category, message, reason, strategy_id, symbol, order_id, severity, at, quarantined"
# The ordinary case, that all are new, is told by one row and not by as many as there are lines.
_INSERT_LINES = (
    f"with fresh as (insert into trade_logs ({_LINE}) select {_LINE} from unnest($1::trade_log_line[])"
    " on conflict do nothing returning engine_id, id), size as (select count(*) as n from fresh)"
    " select null as engine_id, null as id from size where n = $2"
    " union all select engine_id, id from fresh, size where n <> $2"
)


def _line(one: Received) -> tuple[Any, ...]:
    """A ``trade_log_line``."""
    m = one.message
    if isinstance(m, QuarantinedLog):
        about: tuple[str | None, ...] = (None, None, None)
    else:
        assert isinstance(m, TradeLog)
        about = (m.strategy_id, m.symbol, m.order_id)
    severity = m.severity.value if m.severity else None
    return (
        one.engine_id,
        one.id,
        m.category.value,
        m.message,
        m.reason,
        *about,
        severity,
        m.timestamp,
        isinstance(m, QuarantinedLog),
    )


async def _insert_order_updates(conn: Connection, batch: Sequence[Received]) -> list[Received]:
    def columns(one: Received) -> tuple[Any, ...]:
        m = one.message
        assert isinstance(m, OrderUpdate)
        order = (m.order_id, m.broker_order_id, m.strategy_id, m.symbol, m.side.value)
        return (*order, m.quantity, m.price, m.status.value, m.filled, m.reason, one.at)

    rows = await conn.fetch(
        "insert into order_updates (engine_id, id, order_id, broker_order_id, strategy_id, symbol, side, quantity,"
        " price, status, filled, reason, at)"
        " select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],"
        " $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::text[], $13::timestamptz[])"
        " on conflict do nothing returning engine_id, id",
        *_arrays(batch, columns),
    )
    return _new(batch, rows)


async def _insert_fills(conn: Connection, batch: Sequence[Received]) -> list[Received]:
    def columns(one: Received) -> tuple[Any, ...]:
        m = one.message
        assert isinstance(m, Fill)
        return (m.order_id, m.strategy_id, m.symbol, m.side.value, m.quantity, m.price, m.fee, m.tax, m.at)

    rows = await conn.fetch(
        "insert into fills (engine_id, id, order_id, strategy_id, symbol, side, quantity, price, fee, tax, at)"
        " select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],"
        " $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[])"
        " on conflict do nothing returning engine_id, id",
        *_arrays(batch, columns),
    )
    return _new(batch, rows)


async def _insert_error_reports(conn: Connection, batch: Sequence[Received]) -> list[Received]:
    def columns(one: Received) -> tuple[Any, ...]:
        m = one.message
        assert isinstance(m, ErrorReport)
        return (m.code, m.category.value, m.reason, m.severity.value, m.degraded, one.at)

    rows = await conn.fetch(
        "insert into error_reports (engine_id, id, code, category, reason, severity, degraded, at)"
        " select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
        " $7::boolean[], $8::timestamptz[]) on conflict do nothing returning engine_id, id",
        *_arrays(batch, columns),
    )
    return _new(batch, rows)


_INSERTS: dict[type | tuple[type, ...], Insert] = {
    (TradeLog, QuarantinedLog): _insert_trade_logs,
    OrderUpdate: _insert_order_updates,
    Fill: _insert_fills,
    ErrorReport: _insert_error_reports,
}


def _arrays(batch: Sequence[Received], columns: Callable[[Received], tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*((one.engine_id, one.id, *columns(one)) for one in batch), strict=True)]


def _new(batch: Sequence[Received], rows: Sequence[asyncpg.Record]) -> list[Received]:
    """The first of each id that the database did not have. One row without an id stands for all of them."""
    if len(rows) == len(batch) or (len(rows) == 1 and rows[0]["id"] is None):
        return list(batch)
    fresh = {(row["engine_id"], row["id"]) for row in rows}
    first: dict[tuple[str, str], Received] = {}
    for one in batch:
        first.setdefault((one.engine_id, one.id), one)
    return [one for key, one in first.items() if key in fresh]


# --- pages ----------------------------------------------------------------------------------------------------------


_TRADE_LOGS = (
    "select cursor, engine_id, id, category, message, at as timestamp, reason, strategy_id, symbol, order_id,"
    " severity, quarantined from trade_logs where cursor > coalesce($1, 0) and ($3::text is null or engine_id = $3)"
    " and ($4::text is null or category = $4)"
    " and ($5::text is null or strpos(lower(message), $5) > 0 or strpos(lower(reason), $5) > 0)"
)
_ORDERS = (
    "select cursor, engine_id, order_id, broker_order_id, strategy_id, symbol, side, quantity, price, status, filled,"
    " reason, at from order_updates where cursor > coalesce($1, 0) and ($3::text is null or engine_id = $3)"
)
_FILLS = (
    "select cursor, engine_id, id, order_id, strategy_id, symbol, side, quantity, price, fee, tax, at from fills"
    " where cursor > coalesce($1, 0) and ($3::text is null or engine_id = $3)"
)
_FORWARD, _BACKWARD = " order by cursor limit $2", " order by cursor desc limit $2"


async def trade_logs(conn: Connection, query: LogQuery) -> LogPage:
    text = query.text.lower() if query.text else None
    category = query.category.value if query.category else None
    rows = await _fetch(conn, _TRADE_LOGS, query, category, text)
    shown, following = _window(rows, query)
    items = [LogRow(**{**dict(row), "category": LogCategory(row["category"])}) for row in shown]
    return LogPage(items=items, next=following)


_AROUND = (
    "select cursor, engine_id, id, category, message, at as timestamp, reason, strategy_id, symbol, order_id, severity,"
    " quarantined from trade_logs where received_at >= $1 and received_at < $2 and engine_id = any($3::text[])"
    " order by cursor"
)


async def last_before(
    conn: Connection, engines: Sequence[str], since: datetime, at: datetime, limit: int
) -> list[LogRow]:
    """The newest lines of these engines that were received before ``at``, oldest first."""
    return _log_rows(await conn.fetch(f"{_AROUND} desc limit $4", since, at, list(engines), limit))[::-1]


async def first_after(
    conn: Connection, engines: Sequence[str], at: datetime, until: datetime, limit: int
) -> list[LogRow]:
    """The first lines of these engines that were received from ``at`` on, oldest first."""
    return _log_rows(await conn.fetch(f"{_AROUND} limit $4", at, until, list(engines), limit))


def _log_rows(rows: Iterable[asyncpg.Record]) -> list[LogRow]:
    return [LogRow(**{**dict(row), "category": LogCategory(row["category"])}) for row in rows]


async def orders(conn: Connection, query: LogQuery) -> OrderPage:
    """Updates of orders, not their last states. Category and text do not apply."""
    shown, following = _window(await _fetch(conn, _ORDERS, query), query)
    return OrderPage(items=[OrderRow(**{**dict(row), "side": Side(row["side"])}) for row in shown], next=following)


async def fills(conn: Connection, query: LogQuery) -> FillPage:
    """Category and text do not apply."""
    shown, following = _window(await _fetch(conn, _FILLS, query), query)
    return FillPage(items=[FillRow(**{**dict(row), "side": Side(row["side"])}) for row in shown], next=following)


async def _fetch(conn: Connection, select: str, query: LogQuery, *filters: str | None) -> list[asyncpg.Record]:
    order = _BACKWARD if query.after is None else _FORWARD
    return await conn.fetch(select + order, query.after, query.limit + 1, query.engine_id, *filters)


def _window(rows: list[asyncpg.Record], query: LogQuery) -> tuple[list[asyncpg.Record], int | None]:
    """Newest last, and the cursor to go on from when there is more."""
    shown = rows[: query.limit]
    if query.after is None:
        return shown[::-1], None
    return shown, shown[-1]["cursor"] if len(rows) > query.limit else None
