"""What befalls one symbol: halted, in a volatility interruption, at its lower limit without a buyer."""

import attrs
import pytest

from wire.exchange.calendar import MarketTime
from wire.exchange.events import Condition, Filled, Traded
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side
from wire.exchange.orders import Kind, Lifetime, Refusal, Ticket

CODE, NOON = "005930", 12 * 3600
SALE = Ticket(account="A", symbol=CODE, side=Side.SELL, quantity=10, kind=Kind.MARKET)


@pytest.fixture
def exchange(make_exchange):
    """Somebody holds ten shares at noon."""
    exchange = make_exchange(at=NOON, trades=1_000)
    exchange.place(attrs.evolve(SALE, side=Side.BUY))
    exchange.drain()
    return exchange


def wait(exchange, seconds):
    exchange.move_to(MarketTime(exchange.now.day, exchange.now.second + seconds))
    return exchange.drain()


def sold(events):
    return sum(e.fill.quantity for e in events if isinstance(e, Filled))


def traded(events, code=CODE):
    return [e for e in events if isinstance(e, Traded) and e.code == code]


def test_an_interruption_collects_orders_and_ends_with_one_price(exchange):
    exchange.befall(CODE, Condition.INTERRUPTED, seconds=120)
    assert exchange.is_interrupted(CODE)
    assert exchange.quotes(CODE).bids == ()
    order = exchange.place(SALE)
    assert order.is_open
    assert exchange.place(attrs.evolve(SALE, kind=Kind.BEST)) is Refusal.KIND
    assert exchange.place(attrs.evolve(SALE, kind=Kind.LIMIT, lifetime=Lifetime.IOC)) is Refusal.KIND
    during = wait(exchange, 119)
    assert (sold(during), traded(during)) == (0, [])
    assert traded(during, "015760")  # the others go on
    after = wait(exchange, 120)
    assert sold(after) == 10
    (fill,) = [e.fill for e in after if isinstance(e, Filled)]
    assert fill.price == traded(after)[0].step.price
    assert not exchange.is_interrupted(CODE)


def test_at_the_lower_limit_nobody_buys_until_it_ends(exchange):
    exchange.befall(CODE, Condition.LIMIT_DOWN)
    limits = exchange.session(CODE).limits
    (shown,) = traded(exchange.drain())
    assert (shown.step.price, shown.quotes.bids, exchange.prices()[CODE]) == (limits.lower, (), limits.lower)
    assert shown.quotes.asks[0][0] == limits.lower
    exchange.place(attrs.evolve(SALE, kind=Kind.LIMIT, price=limits.lower))
    during = wait(exchange, 600)
    assert (sold(during), traded(during)) == (0, [])
    exchange.befall(CODE, Condition.NORMAL)
    assert sold(wait(exchange, 600)) == 10


def test_a_halt_by_its_other_name_is_the_same_halt(exchange):
    exchange.befall(CODE, Condition.HALTED)
    assert exchange.place(SALE) is Refusal.HALTED
    exchange.befall(CODE, Condition.INTERRUPTED)  # out of one, into the other
    assert exchange.place(SALE).is_open


def test_a_new_day_begins_normally(exchange):
    exchange.befall(CODE, Condition.LIMIT_DOWN)
    exchange.move_to(MarketTime(exchange.market.calendar.next_open(exchange.now.day), NOON))
    assert traded(exchange.drain())
    assert exchange.quotes(CODE).bids


def test_an_unknown_symbol_is_an_error(exchange):
    with pytest.raises(KeyError):
        exchange.befall("nothing", Condition.HALTED)


@pytest.mark.parametrize("condition", [Condition.HALTED, Condition.INTERRUPTED, Condition.LIMIT_DOWN])
def test_a_condition_outlives_a_restart_and_ends_as_it_would_have(exchange, condition):
    exchange.befall(CODE, condition, seconds=120)
    exchange.drain()
    restored = Exchange(exchange.market, saved=exchange.save())
    assert restored.drain() == []  # nothing has happened by starting
    assert restored.save() == exchange.save()
    assert (restored.quotes(CODE).bids, restored.is_interrupted(CODE)) == (
        exchange.quotes(CODE).bids,
        exchange.is_interrupted(CODE),
    )
    for one in (exchange, restored):
        sale = one.place(SALE)
        assert (sale is Refusal.HALTED) is (condition is Condition.HALTED)
        assert sold(wait(one, 119)) == 0
        assert sold(wait(one, 120)) == (10 if condition is Condition.INTERRUPTED else 0)
