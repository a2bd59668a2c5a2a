"""The life of orders, and books that agree with the broker to the won."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.books import Books, Held
from actors.engine.orders import FINAL, TRANSITIONS, UNOWNED, Order, OrderBook, from_plain, normal, to_plain
from wire.exchange import fees
from wire.values import OrderStatus, Side


def order(order_id="o1", *, side=Side.BUY, quantity=10, price=71_800, strategy="s1"):
    return Order(order_id=order_id, strategy_id=strategy, symbol="005930", side=side, quantity=quantity, price=price)


@pytest.fixture
def book():
    book = OrderBook()
    book.place(order())
    return book


def test_an_order_lives_from_the_decision_to_its_last_fill(book):
    book.written("o1")
    assert book.accepted("o1", "0000117057", "91252").status is OrderStatus.ACCEPTED
    assert book.fill("o1", 4, 71_800).status is OrderStatus.PARTIALLY_FILLED
    done = book.fill("o1", 6, 71_700)
    assert (done.status, done.filled, done.value) == (OrderStatus.FILLED, 10, 4 * 71_800 + 6 * 71_700)


def test_numbers_are_found_with_and_without_leading_zeros(book):
    book.accepted("o1", "0000117057", "91252")
    assert book.by_number("117057").order_id == "o1"
    assert normal(" 000123") == "123"


def test_a_lost_answer_is_unknown_until_the_broker_shows_the_order(book):
    book.written("o1")
    assert book.lost("o1", "no answer").status is OrderStatus.UNKNOWN
    assert book.accepted("o1", "77", "1").status is OrderStatus.ACCEPTED


def test_an_order_that_was_written_cannot_be_discarded(book):
    book.written("o1")
    assert book.discarded("o1", "gate closed") is None


def test_a_fill_that_crossed_the_cancel_is_still_counted(book):
    book.accepted("o1", "77", "1")
    book.cancelled("o1", "asked")
    late = book.fill("o1", 10, 71_800)
    assert (late.status, late.filled) == (OrderStatus.FILLED, 10)


def test_more_than_the_remainder_is_not_believed(book):
    book.accepted("o1", "77", "1")
    assert book.fill("o1", 11, 71_800) is None
    assert book.get("o1").filled == 0


def test_only_written_orders_that_are_not_over_take_from_a_position():
    book = OrderBook()
    for n, written in enumerate([True, True, False]):
        book.place(order(f"o{n}", side=Side.SELL))
        if written:
            book.written(f"o{n}")
    book.cancelled("o1", "asked")
    assert book.taking("s1", "005930", Side.SELL) == 10
    assert book.taking("s1", "005930", Side.SELL, but="o0") == 0
    assert book.taking("s2", "005930", Side.SELL) == 0


def test_the_ledger_gives_an_order_back_as_it_was(book):
    book.accepted("o1", "77", "1")
    kept = from_plain(to_plain(book.get("o1")))
    assert kept == attrs.evolve(book.get("o1"), placed_at=0.0)


moves = st.lists(
    st.sampled_from(["written", "accepted", "rejected", "discarded", "lost", "fill", "cancelled", "expired"]),
    max_size=12,
)


@given(moves)
def test_no_history_leaves_the_table_of_transitions_or_fills_too_much(history):
    book = OrderBook()
    seen = book.place(order())
    for move in history:
        match move:
            case "written" | "expired":
                getattr(book, move)("o1")
            case "accepted":
                book.accepted("o1", "77", "1")
            case "fill":
                book.fill("o1", 3, 100)
            case _:
                getattr(book, move)("o1", "why")
        now = book.get("o1")
        assert now.status is seen.status or now.status in TRANSITIONS[seen.status]
        assert now.filled >= seen.filled
        assert now.filled <= now.quantity
        assert (now.takes == 0) or (now.written and now.status not in FINAL)
        seen = now


fills = st.lists(
    st.tuples(
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["005930", "000660"]),
        st.sampled_from(list(Side)),
        st.integers(1, 50),
        st.integers(1_000, 900_000),
    ),
    max_size=30,
)


@given(fills)
def test_cash_moves_by_exactly_what_the_one_formula_says_and_no_share_is_lost(history):
    books = Books()
    books.cash = 10**12
    cash, shares = books.cash, {"005930": 0, "000660": 0}
    for strategy, symbol, side, quantity, price in history:
        if side is Side.SELL:
            quantity = min(quantity, shares[symbol])
            if quantity == 0:
                continue
        books.apply(strategy, symbol, side, quantity, price)
        cash += fees.charges(fees.Side(side.value), price, quantity).cash
        shares[symbol] += quantity if side is Side.BUY else -quantity
        assert all(p.quantity >= 0 and p.cost >= 0 for p in books.positions())
    assert books.cash == cash
    assert {s: books.total(s) for s in shares} == shares


@given(fills)
def test_what_was_won_and_what_is_held_at_cost_add_up_to_the_cash_that_was_put_in(history):
    books = Books()
    books.cash = start = 10**12
    for strategy, symbol, side, quantity, price in history:
        if side is Side.BUY or books.total(symbol) >= quantity:
            books.apply(strategy, symbol, side, quantity, price)
    assert books.cash + sum(p.cost for p in books.positions()) - books.realized == start


def test_a_sale_by_one_owner_leaves_the_shares_of_the_other():
    books = Books()
    books.apply("s1", "005930", Side.BUY, 10, 70_000)
    books.apply("s2", "005930", Side.BUY, 5, 72_000)
    books.apply("s1", "005930", Side.SELL, 10, 71_000)
    assert [(p.strategy_id, p.quantity) for p in books.positions()] == [("s2", 5)]
    assert books.position("s2", "005930").average_price == Decimal("72000.0000")


def test_the_brokers_view_wins_and_what_nobody_bought_is_unowned():
    books = Books()
    books.apply("s1", "005930", Side.BUY, 10, 70_000)
    held = {
        "005930": Held(quantity=4, average_price=Decimal("70000")),
        "000660": Held(quantity=3, average_price=Decimal("90000.5")),
    }
    differences = books.reconcile(held, cash=5_000_000)
    assert [(d.symbol, d.booked, d.held) for d in differences] == [("000660", 0, 3), ("005930", 10, 4)]
    assert books.agrees_with(held)
    assert books.position(UNOWNED, "000660").cost == 270_001
    assert books.position("s1", "005930").quantity == 4
    assert books.cash == 5_000_000


def test_the_profit_of_the_day_starts_at_zero_with_the_day():
    books = Books()
    books.begin_day("20261120")
    books.apply("s1", "005930", Side.BUY, 10, 70_000)
    assert books.realized == -98
    assert not books.begin_day("20261120")
    assert books.begin_day("20261121")
    assert books.realized == 0
