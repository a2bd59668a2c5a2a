"""One symbol's book: price first, then the market, then time."""

from datetime import date

import pytest

from wire.exchange.fees import Side
from wire.exchange.market import Step
from wire.exchange.matching import Match, OrderBook, Quotes
from wire.exchange.orders import Kind, Lifetime, Order

QUOTES = Quotes(asks=((71_600, 10), (71_700, 20)), bids=((71_500, 10), (71_400, 20)))


def order(number, side, quantity, price, lifetime=Lifetime.DAY):
    return Order(
        number=number,
        day=date(2026, 1, 5),
        second=36_000,
        account="A",
        symbol="005930",
        side=side,
        kind=Kind.LIMIT if price else Kind.MARKET,
        lifetime=lifetime,
        label="00",
        quantity=quantity,
        price=price,
    )


def step(price, volume, aggressor):
    return Step(second=36_001, price=price, volume=volume, aggressor=aggressor)


@pytest.fixture
def book():
    made = OrderBook()
    made.show(QUOTES)
    return made


def test_an_arriving_order_takes_the_best_price_first_and_no_more_than_is_shown(book):
    matches = book.arrive(order(1, Side.BUY, 25, 71_700))
    assert matches == [Match(order=1, quantity=10, price=71_600), Match(order=1, quantity=15, price=71_700)]


def test_what_was_taken_is_gone_until_the_market_trades_again(book):
    book.arrive(order(1, Side.BUY, 10, 71_600))
    assert book.arrive(order(2, Side.BUY, 5, 71_600)) == []
    assert book.quotes.asks[0] == (71_600, 0)
    book.show(QUOTES)
    assert len(book.arrive(order(3, Side.BUY, 5, 71_600))) == 1


def test_a_limit_below_the_best_offer_waits(book):
    assert book.arrive(order(1, Side.BUY, 5, 71_500)) == []


def test_a_market_order_takes_every_level(book):
    matches = book.arrive(order(1, Side.SELL, 100, 0))
    assert [(match.price, match.quantity) for match in matches] == [(71_500, 10), (71_400, 20)]


def test_all_or_nothing_takes_nothing_when_it_cannot_have_all(book):
    assert book.arrive(order(1, Side.BUY, 31, 71_700, Lifetime.FOK)) == []
    assert sum(match.quantity for match in book.arrive(order(2, Side.BUY, 30, 71_700, Lifetime.FOK))) == 30


def test_two_accounts_trade_at_the_resting_price_in_the_order_of_arrival(book):
    for number in (1, 2):
        book.rest(order(number, Side.SELL, 5, 71_600))
    matches = book.arrive(order(3, Side.BUY, 18, 71_600))
    assert matches == [
        Match(order=3, quantity=10, price=71_600),  # the market's displayed quantity stands in front
        Match(order=3, quantity=5, price=71_600),
        Match(order=1, quantity=5, price=71_600),
        Match(order=3, quantity=3, price=71_600),
        Match(order=2, quantity=3, price=71_600),
    ]


def test_a_better_resting_price_comes_before_the_market():
    book = OrderBook([order(1, Side.SELL, 5, 71_500)])
    book.show(Quotes(asks=((71_600, 10),), bids=()))
    assert book.arrive(order(2, Side.BUY, 5, 71_600))[0] == Match(order=2, quantity=5, price=71_500)


def test_a_trade_at_the_limit_fills_a_share_in_the_order_of_arrival(book):
    for number in (1, 2):
        book.rest(order(number, Side.BUY, 6, 71_500))
    matches = book.traded(step(71_500, 20, Side.SELL))
    assert matches == [Match(order=1, quantity=6, price=71_500), Match(order=2, quantity=4, price=71_500)]


def test_a_price_that_passed_the_limit_fills_at_the_limit(book):
    book.rest(order(1, Side.BUY, 8, 71_800))
    assert book.traded(step(71_600, 3, Side.BUY)) == [Match(order=1, quantity=8, price=71_800)]


def test_a_price_away_from_the_limit_fills_nothing(book):
    book.rest(order(1, Side.BUY, 8, 71_000))
    book.rest(order(2, Side.SELL, 8, 72_000))
    assert book.traded(step(71_600, 1000, Side.BUY)) == []


def test_an_auction_has_one_price_and_fills_better_orders_whole(book):
    book.rest(order(1, Side.BUY, 50, 71_500))
    book.rest(order(2, Side.BUY, 500, 71_600))
    book.rest(order(3, Side.BUY, 70, 0))
    book.rest(order(4, Side.SELL, 10, 71_600))
    matches = book.uncross(71_500, 30)
    assert matches == [
        Match(order=3, quantity=70, price=71_500),
        Match(order=2, quantity=500, price=71_500),
        Match(order=1, quantity=30, price=71_500),
    ]
