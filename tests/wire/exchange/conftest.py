"""A small market of our own."""

from datetime import date

import pytest

from wire.exchange.calendar import MarketTime
from wire.exchange.exchange import Exchange
from wire.exchange.market import Market, Symbol

MONDAY = date(2026, 1, 5)
SYMBOLS = (Symbol(code="005930", name="삼성전자", price=71_500), Symbol(code="015760", name="한국전력", price=22_450))


@pytest.fixture(scope="session")
def make_exchange():
    """Build an exchange on a Monday morning; short days keep the tests quick."""

    def make(seed=1, *, at=None, cash=None, trades=60):
        market = Market(seed, first_day=MONDAY, symbols=SYMBOLS, trades_per_day=trades)
        exchange = Exchange(market)
        for account, amount in (cash or {"A": 100_000_000, "B": 100_000_000}).items():
            exchange.open_account(account, amount)
        if at is not None:
            exchange.move_to(MarketTime(exchange.now.day, at))
        exchange.drain()
        return exchange

    return make
