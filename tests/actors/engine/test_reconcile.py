"""Notices without ids and reads of the broker: whatever is lost, doubled or late, the broker's view wins in the end."""

from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.desk import Desk
from actors.engine.kis import Balance
from actors.engine.orders import UNOWNED
from actors.engine.reconcile import BrokerRead, Reconciliation, split_fill
from actors.engine.risk.limits import Limits
from actors.engine.risk.watch import facts_of
from actors.engine.strategy import Place
from wire.kis.codes import SideCode
from wire.kis.notices import Acceptance, Notice, Revision
from wire.kis.trading import BalanceTotals, DailyOrder, Holding, OpenOrder
from wire.messages import Fill
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
from wire.values import OrderStatus, Side

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.at = 100.0

    def now(self):
        return self.at

    def wall(self):
        return AT


@pytest.fixture(scope="module")
def make_desk(tmp_path_factory):
    made = []

    def make():
        folder = tmp_path_factory.mktemp("desk")
        outlet = Outlet(folder / "outbox", new_id=new_id)
        outlet.open()
        desk = Desk(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=Clock(),
            lease=Lease(),
            outlet=outlet,
            ledger=Journal(folder / "ledger"),
        )
        desk.restore()
        desk.lease.renew(1e9, 0.0)
        desk.gate.agreed(desk.gate.doubts)
        desk.begin_day("20261120")
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.outlet.close()
        desk.ledger.close()


@pytest.fixture
def desk(make_desk):
    return make_desk()


def written(desk, *, side=Side.BUY, quantity=10, price=70_000, symbol="005930"):
    order = desk.place("s1", symbol, Place(side=side, quantity=quantity, price=price, reason="r"))
    desk.before_write(order.order_id)
    return desk.orders.get(order.order_id)


def notice(number="117", *, quantity=4, price=70_000, time="093012", **changes):
    base = Notice(
        customer="u",
        account="1234567801",
        order_no=number,
        side=SideCode.BUY,
        symbol="005930",
        quantity=quantity,
        price=price,
        time=time,
        fill_code="2",
        acceptance=Acceptance.CONFIRMED,
        branch="91252",
        order_quantity=10,
    )
    return attrs.evolve(base, **changes)


def read(desk, *, opens=(), daily=None, held=None, cash=0, notices=True):
    desk.clock.at += 1.0
    began = desk.clock.at
    desk.clock.at += 0.1
    holdings = tuple(
        Holding(
            symbol=s,
            quantity=q,
            sellable=q,
            average_price=Decimal("70000"),
            cost=q * 70_000,
            price=70_000,
            value=q * 70_000,
            profit=0,
        )
        for s, q in (held or {}).items()
    )
    totals = BalanceTotals(deposit=cash, cash_d1=cash, cash_d2=cash, stock_value=0, total_value=0, net_assets=0)
    return BrokerRead(
        began=began,
        ended=desk.clock.at,
        at=AT,
        open_orders=None if opens is None else tuple(opens),
        daily=None if daily is None else tuple(daily),
        balance=Balance(holdings=holdings, totals=totals),
        notices=notices,
    )


def open_row(number="117", *, quantity=10, filled=0, symbol="005930", price=70_000):
    return OpenOrder(
        branch="91252",
        order_no=number,
        symbol=symbol,
        quantity=quantity,
        price=price,
        filled_quantity=filled,
        open_quantity=quantity - filled,
        side=SideCode.BUY,
    )


def daily_row(number="117", *, quantity=10, filled=0, value=0, left=0, price=70_000, rejected=0):
    return DailyOrder(
        day="20261120",
        branch="91252",
        order_no=number,
        side=SideCode.BUY,
        symbol="005930",
        quantity=quantity,
        price=price,
        filled_quantity=filled,
        average_price=Decimal(0),
        filled_value=value,
        open_quantity=left,
        rejected_quantity=rejected,
    )


def fills(desk):
    return [s.message for s in desk.outlet.waiting() if isinstance(s.message, Fill)]


# --- notices ---


def test_a_notice_that_comes_before_the_answer_is_booked_with_it(desk):
    order = written(desk)
    desk.notice(notice())
    assert fills(desk) == []
    desk.accepted(order.order_id, "0000000117", "91252")
    assert [f.quantity for f in fills(desk)] == [4]
    assert desk.books.position("s1", "005930").quantity == 4


def test_a_repeated_notice_is_booked_once_and_asks_for_a_look(desk):
    looks = []
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.check = lambda: looks.append(1)
    for _ in range(3):
        desk.notice(notice())
    assert [f.quantity for f in fills(desk)] == [4]
    assert len(looks) == 2


def test_two_fills_that_were_really_alike_are_both_there_after_reconciliation(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.notice(notice())
    desk.notice(notice())
    reconciliation = Reconciliation(desk)
    for _ in range(3):
        reconciliation.apply(
            read(
                desk, opens=[open_row(filled=8)], daily=[daily_row(filled=8, value=560_000, left=2)], held={"005930": 8}
            ),
            patience=1.0,
        )
    assert desk.orders.get(order.order_id).filled == 8
    assert desk.books.position("s1", "005930").quantity == 8


def test_a_cancel_is_matched_by_the_original_number(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.notice(notice("118", fill_code="1", original="0000000117", revision=Revision.CANCEL, quantity=10, price=0))
    assert desk.orders.get(order.order_id).status is OrderStatus.CANCELLED


def test_a_refusal_by_the_exchange_ends_the_order(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.notice(notice(fill_code="1", refusal="1", acceptance=Acceptance.RECEIVED))
    assert desk.orders.get(order.order_id).status is OrderStatus.REJECTED


def test_the_notice_of_an_order_whose_answer_was_lost_names_it_after_five_seconds(desk):
    order = written(desk)
    desk.lost(order.order_id, "no answer")
    desk.notice(notice())
    desk.clock.at += 4.9
    desk.expire_early()
    assert desk.orders.get(order.order_id).status is OrderStatus.UNKNOWN
    desk.clock.at += 0.2
    desk.expire_early()
    assert desk.orders.get(order.order_id).filled == 4


# --- reads ---


def test_a_fill_that_a_read_shows_first_is_not_booked_again_when_its_notice_comes(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    reconciliation = Reconciliation(desk)
    shown = {"opens": [open_row(filled=4)], "daily": [daily_row(filled=4, value=280_000, left=6)]}
    assert reconciliation.apply(read(desk, **shown, held={"005930": 4}), patience=1.0).again
    assert fills(desk) == []
    outcome = reconciliation.apply(read(desk, **shown, held={"005930": 4}), patience=1.0)
    assert outcome.agreed
    desk.notice(notice())
    assert [f.quantity for f in fills(desk)] == [4]


def test_a_fill_found_by_the_first_read_after_a_start_makes_no_loss_of_the_whole_cash(desk):
    """What was filled while the process was dead is booked in that read, whose cash then may be older than the fill."""
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.risk.take(Limits(emergency_stop_loss=20_000_000))
    reading, opens = Reconciliation(desk), [open_row(filled=4)]
    first = reading.apply(read(desk, opens=opens, held={"005930": 4}, cash=300_000_000), patience=0.0)
    assert desk.books.total("005930") == 4
    assert (desk.risk.judge(facts_of(desk)).trips, desk.account_report()) == ((), None)
    assert facts_of(desk).problem == "the account has not been read yet"
    assert first.again  # and soon
    second = reading.apply(read(desk, opens=opens, held={"005930": 4}, cash=300_000_000), patience=1.0)
    assert not second.again
    assert facts_of(desk).equity == desk.account_report().equity == 300_280_000


def test_a_lost_order_is_found_by_what_it_is(desk):
    order = written(desk)
    desk.lost(order.order_id, "no answer")
    assert Reconciliation(desk).wants_daily(())
    Reconciliation(desk).apply(read(desk, opens=[open_row("200")], daily=[daily_row("200", left=10)]), patience=1.0)
    found = desk.orders.get(order.order_id)
    assert (found.status, found.number) == (OrderStatus.ACCEPTED, "200")


def test_an_order_whose_answer_is_slow_is_not_taken_for_a_strangers_however_often_it_is_seen(desk):
    order = written(desk)
    reconciliation = Reconciliation(desk)
    for _ in range(4):
        assert reconciliation.apply(read(desk, opens=[open_row("200")]), patience=1.0).view.problem is not None
    desk.accepted(order.order_id, "0000000200", "91252")
    desk.notice(notice("200", quantity=10))
    whole = [daily_row("200", filled=10, value=700_000)]
    outcomes = [reconciliation.apply(read(desk, daily=whole, held={"005930": 10}), patience=1.0) for _ in range(3)]
    assert [o.agreed for o in outcomes] == [True] * 3
    assert [(p.strategy_id, p.quantity) for p in outcomes[-1].view.positions] == [("s1", 10)]
    assert [f.quantity for f in fills(desk)] == [10]


def test_a_lost_order_is_not_mistaken_for_one_like_it_that_waits_for_its_answer(desk):
    lost, waiting = written(desk), written(desk)
    desk.lost(lost.order_id, "no answer")
    reconciliation = Reconciliation(desk)
    listed = {"opens": [open_row("200")], "daily": [daily_row("200", left=10)]}
    assert reconciliation.apply(read(desk, **listed), patience=1.0).again
    desk.accepted(waiting.order_id, "200", "91252")
    for _ in range(10):
        reconciliation.apply(read(desk, **listed), patience=1.0)
    assert desk.orders.by_number("200").order_id == waiting.order_id
    assert (desk.orders.get(lost.order_id).number, desk.orders.get(lost.order_id).status) == ("", OrderStatus.REJECTED)


def test_a_lost_order_without_a_trace_is_given_up_only_after_a_while(desk):
    order = written(desk)
    desk.lost(order.order_id, "no answer")
    reconciliation = Reconciliation(desk)
    for _ in range(7):
        assert reconciliation.apply(read(desk, daily=[]), patience=1.0).again
    assert desk.orders.get(order.order_id).status is OrderStatus.UNKNOWN
    for _ in range(2):
        reconciliation.apply(read(desk, daily=[]), patience=1.0)
    assert desk.orders.get(order.order_id).status is OrderStatus.REJECTED


def test_without_the_notice_stream_a_lost_order_is_never_given_up(desk):
    order = written(desk)
    desk.lost(order.order_id, "no answer")
    reconciliation = Reconciliation(desk)
    for _ in range(30):
        reconciliation.apply(read(desk, daily=[], notices=False), patience=1.0)
    assert desk.orders.get(order.order_id).status is OrderStatus.UNKNOWN


def test_shares_nobody_bought_become_unowned_after_patience(desk):
    reconciliation = Reconciliation(desk)
    first = reconciliation.apply(read(desk, held={"000660": 3}), patience=1.0)
    assert (first.agreed, first.view.problem) == (False, "books and broker differ: reading again")
    second = reconciliation.apply(read(desk, held={"000660": 3}, cash=5), patience=1.0)
    assert second.agreed
    assert [(p.strategy_id, p.quantity) for p in second.view.positions] == [(UNOWNED, 3)]
    assert desk.books.cash == 5


def test_shares_that_vanish_without_a_fill_are_believed_gone_only_after_longer(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    desk.notice(notice(quantity=10))
    reconciliation = Reconciliation(desk)
    for _ in range(4):
        assert reconciliation.apply(read(desk), patience=1.0).view.problem is not None
    for _ in range(3):
        outcome = reconciliation.apply(read(desk), patience=1.0)
    assert outcome.agreed
    assert desk.books.positions() == []


def test_a_strangers_order_is_seen_first_as_a_problem_and_then_as_one_that_a_stop_can_cancel(desk):
    reconciliation = Reconciliation(desk)
    first = reconciliation.apply(read(desk, opens=[open_row("900")]), patience=1.0)
    assert first.view.problem is not None
    second = reconciliation.apply(read(desk, opens=[open_row("900")]), patience=1.0)
    (stranger,) = second.view.orders
    assert (stranger.strategy_id, stranger.remaining) == (UNOWNED, 10)


def test_where_no_open_orders_are_offered_the_view_needs_the_notices(desk):
    reconciliation = Reconciliation(desk)
    assert reconciliation.apply(read(desk, opens=None, daily=[]), patience=0.0).view.problem is None
    interrupted = reconciliation.apply(read(desk, opens=None, daily=[], notices=False), patience=0.0)
    assert "notice stream is interrupted" in interrupted.view.problem


def test_a_new_day_ends_the_orders_of_the_old_one_but_not_one_sent_just_now(desk):
    old = written(desk)
    desk.accepted(old.order_id, "117", "91252")
    desk.clock.at += 60
    fresh = written(desk, symbol="000660")
    desk.accepted(fresh.order_id, "1", "91252")
    assert desk.begin_day("20261121")
    assert desk.orders.get(old.order_id) is None
    assert desk.orders.by_number("117") is None
    assert desk.orders.by_number("0000000001").status is OrderStatus.ACCEPTED
    reconciliation = Reconciliation(desk)
    for _ in range(3):
        reconciliation.apply(read(desk), patience=1.0)
    assert desk.orders.get(fresh.order_id).status is OrderStatus.CANCELLED


@pytest.mark.parametrize("is_over", [False, True])
def test_a_number_that_is_given_again_on_the_next_day_names_the_order_of_that_day(desk, is_over):
    old = written(desk, quantity=8)
    desk.accepted(old.order_id, "823", "91252")
    desk.begin_day("20261121")
    reconciliation = Reconciliation(desk)
    if is_over:
        for _ in range(3):
            reconciliation.apply(read(desk), patience=1.0)
        assert desk.orders.get(old.order_id).status is OrderStatus.CANCELLED
        desk.notice(notice("823", time="141219"))  # before the answer that gives the number
        assert desk.orders.get(old.order_id).filled == 0
    new = written(desk, quantity=4)
    desk.accepted(new.order_id, "823", "91252")
    if not is_over:
        desk.notice(notice("823", time="141219"))
    assert desk.orders.get(new.order_id).filled == 4
    row = attrs.evolve(daily_row("823", quantity=4, filled=4, value=280_000), day="20261121")
    for _ in range(3):
        outcome = reconciliation.apply(read(desk, daily=[row], held={"005930": 4}), patience=1.0)
    assert outcome.agreed
    assert (desk.orders.get(old.order_id).filled, desk.orders.get(old.order_id).is_final) == (0, True)
    assert desk.books.total("005930") == 4


def test_where_no_open_orders_are_offered_a_missing_row_ends_an_order_only_if_the_list_has_rows(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    reconciliation = Reconciliation(desk)
    for _ in range(20):
        assert not reconciliation.apply(read(desk, opens=None, daily=[]), patience=1.0).again
    assert desk.orders.get(order.order_id).is_working
    for _ in range(12):
        reconciliation.apply(read(desk, opens=None, daily=[daily_row("5")]), patience=1.0)
    assert desk.orders.get(order.order_id).status is OrderStatus.CANCELLED


def test_an_order_that_the_list_of_open_orders_lacks_counts_as_working_until_that_is_explained(desk):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    reconciliation = Reconciliation(desk)
    for _ in range(2):  # the broker's lists come a little later than its answers
        view = reconciliation.apply(read(desk, daily=[]), patience=2.0).view
        assert [(o.order_id, o.remaining) for o in view.orders] == [(order.order_id, 10)]
    view = reconciliation.apply(read(desk, opens=[open_row()]), patience=2.0).view
    assert [o.order_id for o in view.orders] == [order.order_id]
    for _ in range(3):
        outcome = reconciliation.apply(read(desk, daily=[daily_row()]), patience=2.0)
    assert outcome.view.orders == ()
    assert desk.orders.get(order.order_id).status is OrderStatus.CANCELLED


@pytest.mark.parametrize("patience", [0.0, 1.0])
def test_an_order_that_one_of_two_lists_shows_is_not_over_before_a_while(desk, patience):
    order = written(desk)
    desk.accepted(order.order_id, "117", "91252")
    reconciliation = Reconciliation(desk)
    for _ in range(7):  # a page of the open orders is missing
        outcome = reconciliation.apply(read(desk, daily=[daily_row(left=10)]), patience=patience)
        assert outcome.again
        assert [o.order_id for o in outcome.view.orders] == [order.order_id]
    for _ in range(2):
        outcome = reconciliation.apply(read(desk, daily=[daily_row(left=10)]), patience=patience)
    assert outcome.view.orders == ()


def test_a_read_that_began_before_the_day_did_says_nothing_about_todays_loss(desk):
    reconciliation = Reconciliation(desk)
    late = read(desk, cash=1_000)
    desk.clock.at += 1.0
    desk.begin_day("20261121")
    reconciliation.apply(late, patience=1.0)
    assert facts_of(desk).problem == "the account has not been read yet"
    reconciliation.apply(read(desk, cash=1_000), patience=1.0)
    assert facts_of(desk).problem is None


def test_an_order_whose_fate_is_not_known_is_at_stake(desk):
    order = written(desk)
    desk.lost(order.order_id, "no answer")
    assert [(o.order_id, o.remaining) for o in desk.positions_report().open_orders] == [(order.order_id, 10)]


@given(st.integers(1, 10_000), st.integers(1, 1_000_000))
def test_a_read_fill_is_split_into_prices_of_whole_won_that_add_up(quantity, odd):
    value = quantity * 70_000 + odd % quantity
    parts = list(split_fill(quantity, value))
    assert sum(q for q, _ in parts) == quantity
    assert sum(q * p for q, p in parts) == value
    assert len(parts) <= 2


events = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["notice", "lost", "twice", "late"])), min_size=1, max_size=5
)


@given(events)
def test_whatever_becomes_of_the_notices_the_books_end_at_the_brokers_truth(make_desk, history):
    desk = make_desk()
    order = written(desk, quantity=20)
    desk.accepted(order.order_id, "117", "91252")
    reconciliation, done, late = Reconciliation(desk), 0, []
    for n, (quantity, fate) in enumerate(history):
        done += quantity
        mine = notice(quantity=quantity, time=f"0930{n:02}", order_quantity=20)
        for _ in range({"notice": 1, "twice": 2}.get(fate, 0)):
            desk.notice(mine)
        if fate == "late":
            late.append(mine)
        reconciliation.apply(_truth(desk, done), patience=1.0)
    for mine in late:
        desk.notice(mine)
    for _ in range(12):
        outcome = reconciliation.apply(_truth(desk, done), patience=1.0)
    assert outcome.agreed
    assert desk.orders.get(order.order_id).filled == done
    assert desk.books.total("005930") == done
    assert sum(f.quantity for f in fills(desk)) == done


def _truth(desk, done):
    return read(
        desk,
        opens=[open_row(quantity=20, filled=done)],
        daily=[daily_row(quantity=20, filled=done, value=done * 70_000, left=20 - done)],
        held={"005930": done},
    )
