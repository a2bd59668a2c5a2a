"""The whole machine: orders and time in, events out."""

import itertools

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.exchange.calendar import CLOSE, CLOSING_CALL, DAY_START, OPENING, MarketTime
from wire.exchange.events import Accepted, DayOpened, Filled, Traded, Withdrawn
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side, charges
from wire.exchange.orders import Amendment, Kind, Lifetime, Order, Purpose, Refusal, Ticket
from wire.exchange.ticks import on_grid, step

CODE = "005930"
NOON = 12 * 3600


def buy(exchange, quantity=10, price=None, **more):
    limit = exchange.tape(CODE).last if price is None else price
    return exchange.place(Ticket(account="A", symbol=CODE, side=Side.BUY, quantity=quantity, price=limit, **more))


def sell(exchange, quantity=10, price=0, **more):
    ticket = Ticket(account="A", symbol=CODE, side=Side.SELL, quantity=quantity, price=price, kind=Kind.MARKET)
    return exchange.place(attrs.evolve(ticket, **more))


def cancel(exchange, order, **more):
    return exchange.amend(Amendment(account="A", original=order.number, purpose=Purpose.CANCEL, **more))


def fills(events):
    return [event.fill for event in events if isinstance(event, Filled)]


def test_a_market_buy_is_filled_at_once_and_paid(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, kind=Kind.MARKET)
    assert order.filled == 10
    account = exchange.accounts["A"]
    assert account.position(CODE).quantity == 10
    paid = sum(charges(Side.BUY, fill.price, fill.quantity).cash for fill in fills(exchange.drain()))
    assert account.cash_d2 == 100_000_000 + paid


def test_numbers_rise_and_a_cancel_takes_one(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, price=exchange.session(CODE).limits.lower)
    cancelled = cancel(exchange, order)
    assert (order.number, cancelled.number, cancelled.original) == (1, 2, 1)
    assert exchange.open_orders("A") == []
    assert exchange.orderable_cash("A") == 100_000_000


def test_an_open_buy_reserves_cash_and_a_market_buy_at_the_upper_limit(make_exchange):
    exchange = make_exchange()
    limits = exchange.session(CODE).limits
    buy(exchange, 10, price=limits.lower)
    assert exchange.reserved("A") == 10 * limits.lower + 10 * limits.lower * 141 // 1_000_000
    before = exchange.reserved("A")
    buy(exchange, 1, kind=Kind.MARKET)
    assert exchange.reserved("A") - before == limits.upper + limits.upper * 141 // 1_000_000


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"account": "nobody"}, Refusal.UNKNOWN_ACCOUNT),
        ({"symbol": "999999"}, Refusal.UNKNOWN_SYMBOL),
        ({"quantity": 0}, Refusal.QUANTITY),
        ({"quantity": -5}, Refusal.QUANTITY),
        ({"quantity": 10**10}, Refusal.QUANTITY),
        ({"price": 1}, Refusal.OUTSIDE_LIMITS),
        ({"price": 9_999_000}, Refusal.OUTSIDE_LIMITS),
        ({"quantity": 1_000_000}, Refusal.CASH),
        ({"side": Side.SELL}, Refusal.HOLDING),
    ],
)
def test_an_order_against_the_rules_is_refused_and_changes_nothing(make_exchange, change, refusal):
    exchange = make_exchange(at=NOON)
    before = exchange.save()
    ticket = Ticket(account="A", symbol=CODE, side=Side.BUY, quantity=1, price=exchange.tape(CODE).last)
    assert exchange.place(attrs.evolve(ticket, **change)) is refusal
    assert exchange.save() == before
    assert exchange.drain() == []


def test_a_price_between_two_ticks_is_refused(make_exchange):
    exchange = make_exchange(at=NOON)
    assert buy(exchange, price=exchange.tape(CODE).last + 1) is Refusal.OFF_GRID


def test_shares_cannot_be_sold_twice(make_exchange):
    exchange = make_exchange(at=NOON)
    buy(exchange, 10, kind=Kind.MARKET)
    upper = exchange.session(CODE).limits.upper
    assert isinstance(sell(exchange, 7, upper, kind=Kind.LIMIT), Order)
    assert sell(exchange, 4) is Refusal.HOLDING
    assert isinstance(sell(exchange, 3), Order)


def test_only_a_sale_of_held_shares_counts_as_reducing(make_exchange):
    exchange = make_exchange(at=NOON)
    buy(exchange, 10, kind=Kind.MARKET)
    sell(exchange, 10)
    assert [event.reduces for event in exchange.drain() if isinstance(event, Accepted)] == [False, True]


def test_the_rest_of_an_immediate_order_is_withdrawn(make_exchange):
    exchange = make_exchange(at=NOON, cash={"A": 10**12})
    shown = exchange.quotes(CODE).asks[0]
    order = buy(exchange, shown[1] + 5, shown[0], lifetime=Lifetime.IOC)
    assert (order.filled, order.cancelled, order.is_open) == (shown[1], 5, False)
    causes = [event.cause for event in exchange.drain() if isinstance(event, Withdrawn)]
    assert causes == ["immediate"]


def test_a_best_order_takes_the_opposite_price_as_its_limit_and_a_top_order_its_own(make_exchange):
    exchange = make_exchange(at=NOON)
    quotes = exchange.quotes(CODE)
    assert buy(exchange, 1, kind=Kind.BEST).price == quotes.asks[0][0]
    assert buy(exchange, 1, kind=Kind.TOP).price == quotes.bids[0][0]


def test_orders_of_the_opening_auction_trade_at_one_price(make_exchange):
    exchange = make_exchange()
    upper = exchange.session(CODE).limits.upper
    buy(exchange, 3, price=upper)
    buy(exchange, 4, kind=Kind.MARKET)
    assert buy(exchange, 1, kind=Kind.BEST) is Refusal.KIND
    assert buy(exchange, 1, price=upper, lifetime=Lifetime.IOC) is Refusal.KIND
    assert fills(exchange.drain()) == []
    exchange.move_to(MarketTime(exchange.now.day, OPENING))
    done = fills(exchange.drain())
    assert {fill.price for fill in done} == {exchange.session(CODE).open}
    assert sum(fill.quantity for fill in done) == 7


def test_a_conditional_order_becomes_a_market_order_at_the_close(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, 2, price=exchange.session(CODE).limits.lower, kind=Kind.CONDITIONAL)
    exchange.move_to(MarketTime(exchange.now.day, CLOSING_CALL))
    assert exchange.orders[order.number].kind is Kind.MARKET
    exchange.drain()
    exchange.move_to(MarketTime(exchange.now.day, CLOSE))
    assert [fill.price for fill in fills(exchange.drain())] == [exchange.session(CODE).close]


def test_orders_end_with_the_day_and_numbers_begin_again(make_exchange):
    exchange = make_exchange(at=NOON)
    buy(exchange, price=exchange.session(CODE).limits.lower)
    exchange.drain()
    tomorrow = exchange.market.calendar.next_open(exchange.now.day)
    exchange.move_to(MarketTime(tomorrow, DAY_START))
    events = exchange.drain()
    assert [event.quantity for event in events if isinstance(event, Withdrawn)] == [10]
    assert DayOpened(day=tomorrow) in events
    assert exchange.reserved("A") == 0
    assert buy(exchange, price=exchange.session(CODE).limits.lower).number == 1


def test_after_the_close_nothing_is_taken(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, price=exchange.session(CODE).limits.lower)
    exchange.move_to(MarketTime(exchange.now.day, CLOSE))
    assert buy(exchange) is Refusal.CLOSED
    assert cancel(exchange, order) is Refusal.CLOSED


def test_a_halted_symbol_takes_cancels_only(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, price=exchange.session(CODE).limits.lower)
    exchange.halt(CODE, halted=True)
    exchange.drain()
    assert buy(exchange) is Refusal.HALTED
    exchange.move_to(MarketTime(exchange.now.day, NOON + 3600))
    assert {event.code for event in exchange.drain() if isinstance(event, Traded)} == {"015760"}
    assert isinstance(cancel(exchange, order), Order)
    exchange.halt(CODE, halted=False)
    assert isinstance(buy(exchange, 1), Order)


def test_nothing_left_and_foreign_orders_cannot_be_amended(make_exchange):
    exchange = make_exchange(at=NOON)
    order = buy(exchange, kind=Kind.MARKET)
    assert cancel(exchange, order) is Refusal.NOTHING_LEFT
    resting = buy(exchange, price=exchange.session(CODE).limits.lower)
    assert cancel(exchange, resting, quantity=11) is Refusal.NOTHING_LEFT
    foreign = Amendment(account="B", original=resting.number, purpose=Purpose.CANCEL)
    assert exchange.amend(foreign) is Refusal.UNKNOWN_ORDER
    assert isinstance(cancel(exchange, resting), Order)
    assert cancel(exchange, resting) is Refusal.NOTHING_LEFT


def test_a_modified_order_has_a_new_number_and_the_old_one_is_done(make_exchange):
    exchange = make_exchange(at=NOON)
    lower = exchange.session(CODE).limits.lower
    order = buy(exchange, 10, price=lower)
    part = Amendment(account="A", original=order.number, purpose=Purpose.MODIFY, quantity=4, price=step(lower, 1))
    modified = exchange.amend(part)
    assert (modified.quantity, modified.original) == (4, order.number)
    assert exchange.orders[order.number].open_quantity == 6
    assert exchange.amend(attrs.evolve(part, price=lower + 1)) is Refusal.OFF_GRID
    rich = attrs.evolve(part, quantity=6, price=exchange.session(CODE).limits.upper)
    assert isinstance(exchange.amend(rich), Order)


def test_a_modification_beyond_the_cash_leaves_the_order_alone(make_exchange):
    exchange = make_exchange(at=NOON, cash={"A": 600_000})
    order = buy(exchange, 10, price=exchange.session(CODE).limits.lower)
    dear = Amendment(
        account="A", original=order.number, purpose=Purpose.MODIFY, price=exchange.session(CODE).limits.upper
    )
    assert exchange.amend(dear) is Refusal.CASH
    assert exchange.orders[order.number] == order


def test_a_saved_exchange_goes_on_where_it_was(make_exchange):
    exchange = make_exchange(at=NOON)
    buy(exchange, price=exchange.session(CODE).limits.lower)
    buy(exchange, 5, kind=Kind.MARKET)
    restored = Exchange(exchange.market, saved=exchange.save())
    assert restored.tape(CODE) == exchange.tape(CODE)
    exchange.drain()
    later = MarketTime(exchange.now.day, CLOSE)
    exchange.move_to(later)
    restored.move_to(later)
    assert restored.save() == exchange.save()
    assert fills(restored.drain()) == fills(exchange.drain())


ACTIONS = st.tuples(
    st.sampled_from(["A", "B"]),
    st.sampled_from(["005930", "015760"]),
    st.sampled_from(Side),
    st.sampled_from([*Kind, "cancel", "modify", "wait", "wait"]),
    st.integers(1, 3_000),
    st.integers(-6, 6),
    st.sampled_from(Lifetime),
)


def act(exchange, action):
    account, code, side, what, quantity, ticks, lifetime = action
    price = step(exchange.tape(code).last, ticks)
    if what == "wait":
        later = exchange.now.second + quantity * 4
        day = exchange.now.day
        exchange.move_to(
            MarketTime(day, later) if later < CLOSE else MarketTime(exchange.market.calendar.next_open(day), DAY_START)
        )
    elif what in ("cancel", "modify"):
        mine = exchange.open_orders(account)
        if mine:
            chosen = mine[quantity % len(mine)]
            purpose = Purpose.CANCEL if what == "cancel" else Purpose.MODIFY
            exchange.amend(
                Amendment(
                    account=account,
                    original=chosen.number,
                    purpose=purpose,
                    quantity=None if ticks > 0 else 1 + quantity % chosen.open_quantity,
                    price=step(exchange.tape(chosen.symbol).last, ticks),
                )
            )
    else:
        exchange.place(
            Ticket(
                account=account, symbol=code, side=side, quantity=quantity, price=price, kind=what, lifetime=lifetime
            )
        )


@given(st.integers(0, 1_000), st.lists(ACTIONS, max_size=40))
def test_cash_and_shares_are_conserved_to_the_won_and_nothing_goes_below_zero(make_exchange, seed, actions):
    check_books(make_exchange, seed, actions)


@pytest.mark.deep
@settings(max_examples=3_000, deadline=None)
@given(st.integers(0, 10**6), st.lists(ACTIONS, max_size=120))
def test_books_balance_over_long_histories(make_exchange, seed, actions):
    check_books(make_exchange, seed, actions)


def check_books(make_exchange, seed, actions):
    start = {"A": 30_000_000, "B": 500_000_000}
    exchange = make_exchange(seed, cash=start)
    booked = dict(start)
    held = dict.fromkeys(itertools.product(start, ["005930", "015760"]), 0)
    for action in actions:
        act(exchange, action)
        for event in exchange.drain():
            if isinstance(event, Filled):
                fill, order = event.fill, event.order
                made = charges(fill.side, fill.price, fill.quantity)
                assert (made.fee, made.tax) == (fill.fee, fill.tax)
                booked[fill.account] += made.cash
                held[fill.account, fill.symbol] += fill.quantity if fill.side is Side.BUY else -fill.quantity
                assert order.matches(fill.price)
                assert on_grid(fill.price)
                assert exchange.session(fill.symbol).limits.allow(fill.price) or fill.day != exchange.now.day
                assert order.filled + order.cancelled + order.expired <= order.quantity
        for name, account in exchange.accounts.items():
            assert account.cash_d2 == booked[name]
            assert exchange.orderable_cash(name) >= 0
            for code in ("005930", "015760"):
                position = account.position(code)
                assert position.quantity == held[name, code] >= 0
                assert exchange.sellable(name, code) >= 0
                assert position.cost >= 0
                assert (position.quantity == 0) == (position.cost == 0)


@given(st.integers(0, 1_000), st.lists(ACTIONS, max_size=25))
def test_the_same_seed_and_the_same_orders_give_the_same_day(make_exchange, seed, actions):
    first, second = make_exchange(seed), make_exchange(seed)
    for action in actions:
        act(first, action)
        act(second, action)
    assert first.drain() == second.drain()
    assert first.save() == second.save()
