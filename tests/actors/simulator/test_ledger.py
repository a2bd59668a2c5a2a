"""The books on disk."""

import sqlite3
from datetime import date

import pytest

from actors.errors import Refused
from actors.simulator.customers import Customer
from actors.simulator.ledger import Changes, Ledger, LogEntry, books_path
from wire.exchange.calendar import MarketTime
from wire.exchange.events import Condition, Filled
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side
from wire.exchange.market import Market
from wire.exchange.orders import Kind, Ticket

CODE = "005930"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "books.sqlite3"


@pytest.fixture
def exchange():
    made = Exchange(Market(1, first_day=date(2026, 1, 5), trades_per_day=50))
    made.open_account("1234567801", 10**8)
    made.move_to(MarketTime(made.now.day, 40_000))
    made.drain()
    return made


def everything(exchange, events, **more):
    saved = exchange.save()
    return Changes(
        now=saved.now,
        next_number=saved.next_number,
        halted=saved.halted,
        interrupted=saved.interrupted,
        limit_down=saved.limit_down,
        accounts=saved.accounts,
        orders=saved.orders,
        fills=tuple(event.fill for event in events if isinstance(event, Filled)),
        **more,
    )


def trade(exchange):
    exchange.place(Ticket(account="1234567801", symbol=CODE, side=Side.BUY, quantity=5, kind=Kind.MARKET, label="01"))
    low = exchange.session(CODE).limits.lower
    exchange.place(Ticket(account="1234567801", symbol=CODE, side=Side.BUY, quantity=2, price=low, label="00"))
    return exchange.drain()


def test_what_was_committed_is_what_is_loaded(path, exchange):
    exchange.halt("000660", halted=True)
    exchange.befall("015760", Condition.INTERRUPTED, seconds=90)
    exchange.befall("035420", Condition.LIMIT_DOWN)
    ledger = Ledger(path)
    assert ledger.load().saved is None
    ledger.commit(everything(exchange, trade(exchange)))
    ledger.close()
    again = Ledger(path)
    assert again.load().saved == exchange.save()
    again.close()


def test_a_market_begins_once(path):
    ledger = Ledger(path)
    assert [ledger.first_day(date(2026, 1, day)) for day in (5, 6)] == [date(2026, 1, 5)] * 2
    ledger.close()


def test_orders_of_earlier_days_become_history(path, exchange):
    ledger = Ledger(path)
    ledger.commit(everything(exchange, trade(exchange)))
    yesterday = tuple(exchange.orders.values())
    exchange.move_to(MarketTime(date(2026, 1, 6)))
    ledger.commit(everything(exchange, exchange.drain()))
    books = ledger.load()
    assert books.saved.orders == ()
    assert books.history == yesterday
    ledger.close()


def test_a_commit_that_fails_leaves_nothing(path, exchange):
    ledger = Ledger(path)
    bad = LogEntry(seq=object(), at=0.0, day="", time="", account="", purpose="", accepted=True, code="")
    with pytest.raises((sqlite3.Error, TypeError)):
        ledger.commit(everything(exchange, trade(exchange), log=(bad,)))
    assert ledger.load().saved is None
    ledger.commit(everything(exchange, []))
    assert ledger.load().saved is not None
    ledger.close()


def test_customers_and_the_log_are_kept_in_order(path, exchange):
    customer = Customer(account="1234567801", app_key="PSkey", app_secret="s", hts_id="h")
    entries = [
        LogEntry(seq=i, at=1.0, day="20260105", time="120000", account="A", purpose="new", accepted=True, code="")
        for i in (1, 2, 3)
    ]
    ledger = Ledger(path)
    ledger.commit(everything(exchange, [], customers=(customer,), log=tuple(entries)))
    books = ledger.load()
    assert (books.customers, books.next_seq) == ((customer,), 4)
    assert ledger.log(1, 10) == entries[1:]
    ledger.close()


def test_one_file_serves_one_simulator(path):
    ledger = Ledger(path)
    with pytest.raises(Refused, match="another simulator"):
        Ledger(path)
    ledger.close()
    Ledger(path).close()


def test_a_file_that_is_no_ledger_is_refused(path):
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(Refused):
        Ledger(path)


def test_another_market_has_other_books(tmp_path):
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "b.csv").write_text("b")
    places = {
        books_path(tmp_path, None, 1),
        books_path(tmp_path, None, 2),
        books_path(tmp_path, tmp_path / "a.csv", 1),
        books_path(tmp_path, tmp_path / "b.csv", 1),
    }
    assert len(places) == 4
