"""Cash by settlement day, cost and average price."""

from datetime import date
from decimal import Decimal

import pytest

from wire.exchange.accounts import Account, BooksError, Position
from wire.exchange.calendar import Calendar
from wire.exchange.fees import Side

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = date(2024, 11, 22), date(2024, 11, 25), date(2024, 11, 26), date(2024, 11, 27)
CALENDAR = Calendar()


def bought(account, quantity=4, price=248_750, day=FRIDAY):
    return account.filled(Side.BUY, "005930", price, quantity, day, CALENDAR)[0]


def test_a_buy_lowers_the_cash_of_the_day_after_next_and_not_the_deposit():
    account = bought(Account(id="A", deposit=10_000_000))
    assert (account.deposit, account.cash_d2) == (10_000_000, 9_004_860)
    assert account.cash_by(MONDAY) == 10_000_000
    assert account.position("005930").average_price == Decimal("248750.0000")


def test_cash_settles_two_trading_days_later():
    account = bought(Account(id="A", deposit=10_000_000))
    monday = account.opened_day(MONDAY, {"005930": 250_000})
    tuesday = monday.opened_day(TUESDAY, {"005930": 250_000})
    assert (monday.deposit, tuesday.deposit, tuesday.unsettled) == (10_000_000, 9_004_860, ())
    assert monday.assets_yesterday == 9_004_860 + 1_000_000


def test_proceeds_can_be_spent_before_they_settle():
    account = bought(Account(id="A", deposit=995_140))
    assert account.cash_d2 == 0
    sold, made = account.filled(Side.SELL, "005930", 250_000, 4, FRIDAY, CALENDAR)
    assert sold.cash_d2 == made.cash
    assert bought(sold, quantity=3).position("005930").quantity == 3


def test_a_sold_out_position_stays_listed_until_the_sale_has_settled():
    account = bought(Account(id="A", deposit=10_000_000))
    account, _ = account.filled(Side.SELL, "005930", 250_000, 4, FRIDAY, CALENDAR)
    days = []
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        account = account.opened_day(day, {})
        days.append("005930" in account.positions)
    assert days == [True, True, False]


def test_the_average_of_two_buys_weighs_the_shares_and_a_sale_keeps_it():
    position = Position(symbol="005930").bought(3, 300).bought(1, 200)
    assert position.average_price == Decimal("125.0000")
    assert position.sold(2).average_price == Decimal("125.0000")
    assert position.sold(4).cost == 0


def test_today_becomes_yesterday():
    account = bought(Account(id="A", deposit=10_000_000)).opened_day(MONDAY, {})
    assert (account.today.bought, account.yesterday.bought, account.yesterday.expenses) == (0, 995_000, 140)
    held = account.position("005930")
    assert (held.bought_today, held.bought_yesterday) == (0, 4)


def test_books_never_go_below_zero():
    with pytest.raises(BooksError):
        bought(Account(id="A", deposit=995_139))
    with pytest.raises(BooksError):
        bought(Account(id="A", deposit=10**7)).filled(Side.SELL, "005930", 250_000, 5, FRIDAY, CALENDAR)
