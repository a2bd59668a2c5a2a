"""The simulator's books on disk: one SQLite file per market, written before an order is answered.

Functions here block; the exchange actor calls them in a worker thread, one at a time.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs

from actors.errors import Refused
from actors.simulator.customers import Customer
from wire.exchange.accounts import Account
from wire.exchange.calendar import MarketTime
from wire.exchange.exchange import Saved
from wire.exchange.orders import Fill, Order

T = TypeVar("T")
HISTORY = 5_000  # orders that can still be asked for

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customers (account TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders
    (day TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (day, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fills (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


@attrs.frozen(kw_only=True)
class LogEntry:
    """One order call that reached the exchange: accepted with its number, or refused with its code.

    ``at`` is real time (Unix seconds), ``day`` and ``time`` the market's. ``reduces``: it sells shares that are held.
    """

    seq: int
    at: float
    day: str
    time: str
    account: str
    purpose: str
    accepted: bool
    code: str
    order_no: str = ""
    original: str = ""
    symbol: str = ""
    side: str = ""
    quantity: int = 0
    price: int = 0
    reduces: bool = False


@attrs.frozen(kw_only=True)
class Changes:
    """What one commit writes."""

    now: MarketTime
    next_number: int
    halted: frozenset[str] = frozenset()
    interrupted: tuple[tuple[str, float], ...] = ()
    limit_down: frozenset[str] = frozenset()
    accounts: tuple[Account, ...] = ()
    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    log: tuple[LogEntry, ...] = ()
    customers: tuple[Customer, ...] = ()


@attrs.frozen(kw_only=True)
class Books:
    """What a start finds. ``saved`` is None in a new file; ``history`` holds orders of earlier days, oldest first."""

    saved: Saved | None
    customers: tuple[Customer, ...]
    history: tuple[Order, ...]
    next_seq: int


def books_path(home: Path, data: Path | None, seed: int) -> Path:
    """The file of a market: another seed or another data file is another market with books of its own."""
    if data is None:
        return home / f"books-model-{seed}.sqlite3"
    return home / f"books-{hashlib.sha256(data.read_bytes()).hexdigest()[:12]}-{seed}.sqlite3"


class Ledger:
    """The open file. Raises Refused when it cannot be opened or belongs to a running simulator."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0.2)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._put("meta", key="opened", value="yes")  # takes the lock now rather than at the first order
        except sqlite3.OperationalError as error:
            words = "another simulator uses it" if "locked" in str(error) else str(error)
            raise Refused(f"cannot use the books {path}: {words}") from error
        except (OSError, sqlite3.DatabaseError) as error:
            raise Refused(f"cannot use the books {path}: {error}") from error

    def close(self) -> None:
        self._db.close()

    def first_day(self, wanted: date) -> date:
        """The day the market of these books began: ``wanted`` in a new file. A modelled market depends on it."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'first_day'").fetchone()
        if row is None:
            self._put("meta", key="first_day", value=wanted.isoformat())
            return wanted
        return date.fromisoformat(row[0])

    def load(self) -> Books:
        """Everything a start needs."""
        meta = dict(self._db.execute("SELECT key, value FROM meta"))
        customers = tuple(self._read("SELECT body FROM customers", Customer))
        next_seq = self._db.execute("SELECT coalesce(max(seq), 0) + 1 FROM log").fetchone()[0]
        if "now" not in meta:
            return Books(saved=None, customers=customers, history=(), next_seq=next_seq)
        now = _structure(meta["now"], MarketTime)
        today: list[Order] = []
        earlier: list[Order] = []
        for order in self._read(f"SELECT body FROM orders ORDER BY day DESC, number DESC LIMIT {HISTORY}", Order):
            (today if order.day == now.day else earlier).append(order)
        saved = Saved(
            now=now,
            next_number=int(meta["next_number"]),
            next_fill=self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM fills").fetchone()[0],
            accounts=tuple(self._read("SELECT body FROM accounts ORDER BY id", Account)),
            orders=tuple(reversed(today)),
            halted=frozenset(json.loads(meta.get("halted", "[]"))),
            interrupted=tuple((code, until) for code, until in json.loads(meta.get("interrupted", "[]"))),
            limit_down=frozenset(json.loads(meta.get("limit_down", "[]"))),
        )
        return Books(saved=saved, customers=customers, history=tuple(reversed(earlier)), next_seq=next_seq)

    def commit(self, changes: Changes) -> None:
        """Write all of it or nothing, and return when it is on stable storage."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._put("meta", key="now", value=_text(changes.now))
            self._put("meta", key="next_number", value=str(changes.next_number))
            self._put("meta", key="halted", value=json.dumps(sorted(changes.halted)))
            self._put("meta", key="interrupted", value=json.dumps(changes.interrupted))
            self._put("meta", key="limit_down", value=json.dumps(sorted(changes.limit_down)))
            for customer in changes.customers:
                self._put("customers", account=customer.account, body=_text(customer))
            for account in changes.accounts:
                self._put("accounts", id=account.id, body=_text(account))
            for order in changes.orders:
                self._put("orders", day=order.day.isoformat(), number=order.number, body=_text(order))
            for fill in changes.fills:
                self._put("fills", number=fill.number, body=_text(fill))
            for entry in changes.log:
                self._put("log", seq=entry.seq, body=_text(entry))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def log(self, after: int, limit: int) -> list[LogEntry]:
        """The order log, oldest first."""
        query = "SELECT body FROM log WHERE seq > ? ORDER BY seq LIMIT ?"
        return list(self._read(query, LogEntry, after, limit))

    def _put(self, table: str, **columns: Any) -> None:
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self._db.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))

    def _read(self, query: str, shape: type[T], *values: Any) -> Iterable[T]:
        return (_structure(body, shape) for (body,) in self._db.execute(query, values).fetchall())


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda text, _: Decimal(text))
    return converter


_CONVERTER = _converter()


def _text(value: Any) -> str:
    return json.dumps(_CONVERTER.unstructure(value), ensure_ascii=False)


def _structure(text: str, shape: type[T]) -> T:
    return _CONVERTER.structure(json.loads(text), shape)
