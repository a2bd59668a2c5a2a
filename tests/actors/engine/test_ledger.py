"""What the desk's ledger remembers over the end of a process."""

from actors.engine.books import Books
from actors.engine.ledger import Ledger
from actors.engine.orders import Order, OrderBook
from wire.sdk.journal import Journal
from wire.values import Side


def test_the_ledger_remembers_who_owns_what_and_whose_order_it_was(tmp_path):
    def opened():
        orders, books = OrderBook(), Books()
        return orders, books, Ledger(Journal(tmp_path / "ledger"), orders, books)

    orders, books, ledger = opened()
    ledger.restore()
    books.begin_day("20261120")
    order = orders.place(
        Order(order_id="o1", strategy_id="s1", symbol="005930", side=Side.BUY, quantity=4, price=70_000)
    )
    ledger.order(order)
    ledger.order(orders.accepted("o1", "0000117057", "91252"))
    books.apply("s1", "005930", Side.BUY, 4, 70_000)
    books.apply("s2", "000660", Side.BUY, 2, 90_000)
    ledger.books()
    books.apply("s2", "000660", Side.SELL, 2, 91_000)
    ledger.books()
    ledger.close()
    orders, books, ledger = opened()
    ledger.restore()
    assert [(p.strategy_id, p.symbol, p.quantity, p.cost) for p in books.positions()] == [("s1", "005930", 4, 280_000)]
    assert (books.day, books.realized) == ("20261120", -39 - 25 + (182_000 - 25 - 91 - 273) - 180_000)
    assert orders.by_number("117057").strategy_id == "s1"
    ledger.close()
