"""The limits at the desk: before an order is made, and again right above the socket."""

from datetime import UTC, datetime

import pytest

from actors.engine.desk import Desk
from actors.engine.prices import BalanceSeen, Quote
from actors.engine.risk.book import UNKNOWN, RiskBook
from actors.engine.risk.limits import Limits
from actors.engine.risk.plan import RiskPlan
from actors.engine.risk.pretrade import RiskRefused
from actors.engine.risk.watch import facts_of
from actors.engine.strategy import Place
from wire.messages import TradeLog
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
from wire.stops import Level
from wire.values import LogCategory, Side


class Clock:
    at = 100.0

    def now(self):
        return self.at

    def wall(self):
        return datetime(2026, 11, 20, 0, 30, tzinfo=UTC)


@pytest.fixture
def make_desk(tmp_path):
    made = []

    def make(**limits):
        outlet = Outlet(tmp_path / "outbox", new_id=new_id)
        outlet.open()
        desk = Desk(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=Clock(),
            lease=Lease(),
            outlet=outlet,
            ledger=Journal(tmp_path / "ledger"),
            risk=RiskBook(RiskPlan(limits=Limits(**limits))),
        )
        desk.restore()
        desk.lease.renew(1e9, 0.0)
        desk.gate.agreed(desk.gate.doubts)
        desk.begin_day("20261120")
        desk.books.cash = 1_000_000
        desk.quote("A00001", Quote(price=1_000, bid=999, ask=1_001, at=100.0))
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.outlet.close()
        desk.ledger.close()


def buy(desk, quantity=10, *, price=1_000, symbol="A00001"):
    return desk.place("s1", symbol, Place(side=Side.BUY, quantity=quantity, price=price, reason="r"))


def refusals(desk):
    waiting = [s.message for s in desk.outlet.waiting() if isinstance(s.message, TradeLog)]
    return [m for m in waiting if m.message.startswith("REFUSED")]


def test_an_order_over_the_limit_is_never_made_and_a_person_hears_of_it_once_a_minute(make_desk):
    desk = make_desk(max_position_size=10_000)
    assert buy(desk, 10) is not None
    for _ in range(5):
        assert buy(desk, 1) is None
    (told,) = refusals(desk)
    assert (told.category, told.symbol, told.strategy_id) == (LogCategory.STRATEGY, "A00001", "s1")
    assert told.reason.startswith("error_risk_position_size: 11 shares at 1,000")
    desk.clock.at += 60.0
    buy(desk, 1)
    assert len(refusals(desk)) == 2


def test_a_limit_that_was_tightened_meanwhile_refuses_a_queued_order_right_above_the_socket(make_desk):
    desk = make_desk()
    order = buy(desk, 10)
    desk.risk.take(Limits(max_position_size=5_000))
    with pytest.raises(RiskRefused) as refused:
        desk.before_write(order.order_id)
    assert refused.value.code == "error_risk_position_size"
    assert not desk.orders.get(order.order_id).written


def test_the_market_price_counts_where_it_is_higher_than_the_orders(make_desk):
    desk = make_desk(max_position_size=10_000)
    assert buy(desk, 11, price=1) is None
    assert buy(desk, 10, price=0) is not None


def test_under_caution_only_reductions_leave_and_a_strategy_sees_it(make_desk):
    desk = make_desk()
    desk.books.apply("s1", "A00001", Side.BUY, 10, 1_000)
    desk.gate.caution = "the limits cannot be judged"
    assert desk.standing("s1", "A00001").level is Level.REDUCE_ONLY
    assert buy(desk) is None
    sale = desk.place("s1", "A00001", Place(side=Side.SELL, quantity=10, price=1_000, reason="r"))
    desk.before_write(sale.order_id)
    assert desk.place("s1", "A00001", Place(side=Side.SELL, quantity=1, price=1_000, reason="r")) is None
    desk.gate.caution = None
    assert buy(desk) is not None


def test_limits_and_the_days_record_outlive_the_process(make_desk):
    desk = make_desk()
    desk.prices.seen = BalanceSeen(at=100.0, prices={}, assets_yesterday=1_200_000)
    verdict = desk.risk.judge(facts_of(desk))
    desk.ledger.keep_risk(verdict.keep)
    desk.ledger.keep_limits(Limits(max_daily_loss=7))
    desk.ledger.rewrite()
    again = make_desk()
    assert again.risk.triggers.record.opening == 1_200_000
    assert (again.risk.is_known, again.risk.limits.max_daily_loss) == (True, 7)


def test_while_the_platforms_limits_are_not_known_there_is_caution(make_desk):
    desk = make_desk()
    desk.prices.seen = BalanceSeen(at=100.0, prices={}, assets_yesterday=1_000_000)
    assert desk.risk.judge(facts_of(desk)).caution == UNKNOWN
    desk.risk.take(Limits())
    assert desk.risk.judge(facts_of(desk)).caution is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: setattr(d.prices, "seen", None), "not been read"),
        (lambda d: setattr(d, "trading_day", ""), "date is not known"),
        (lambda d: setattr(d.clock, "at", 100.0 + 91.0), "last read 91 s ago"),
        (lambda d: d.books.apply("s1", "B00001", Side.BUY, 1, 10), "price of B00001"),
    ],
)
def test_what_cannot_be_believed_is_named(make_desk, spoil, words):
    desk = make_desk()
    desk.prices.seen = BalanceSeen(at=100.0, prices={}, assets_yesterday=1)
    assert facts_of(desk).problem is None
    spoil(desk)
    assert words in facts_of(desk).problem


def test_a_read_of_another_day_says_nothing_about_today(make_desk):
    desk = make_desk()
    desk.prices.seen = BalanceSeen(at=100.0, prices={}, assets_yesterday=1)
    desk.begin_day("20261123")
    assert desk.prices.seen is None


def test_a_difference_found_at_the_start_is_no_mistake_of_the_engine_and_a_later_one_is(make_desk):
    desk = make_desk()
    desk.mismatched("found at the start")
    assert desk.risk.triggers.judge(facts_of(desk)).trips == ()
    desk.was_in_step = True
    desk.mismatched("found later")
    assert [t.trigger.value for t in desk.risk.triggers.judge(facts_of(desk)).trips] == ["position_mismatch"]
