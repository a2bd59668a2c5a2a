"""A stop in every state of the market: what can be sold is sold, the rest says why and is sold when it can be."""

import pytest
import trio

from wire.exchange.calendar import CLOSE, CLOSING_CALL
from wire.exchange.events import Condition
from wire.messages import TradeLog
from wire.values import Flatness, LogCategory, Side, StopPhase

P = StopPhase
A, B = "005930", "015760"


def sales(world, symbol=A):
    return [(q, price) for _at, side, s, q, price in world.client.sent if side is Side.SELL and s == symbol]


async def test_an_open_market_is_sold_at_once_and_verified_by_two_reads(world, autojump_clock):
    await world.hold(A, 10)
    await world.hold(B, 20)
    world.stop()
    report = await world.phase(P.VERIFIED, within=10)
    assert world.phases() == [P.FROZEN, P.CANCELLED, P.FLATTENED, P.VERIFIED]
    assert (report.flatness, report.positions_liquidated, report.residuals) == (Flatness.FLAT, 2, [])
    assert (world.held(), world.working(), sales(world)) == ({}, 0, [(10, 0)])


async def test_a_halted_symbol_leaves_a_residual_the_rest_is_sold_and_it_is_sold_when_it_trades_again(
    world, autojump_clock
):
    await world.hold(A, 10)
    await world.hold(B, 20)
    world.exchange.befall(A, Condition.HALTED)
    world.stop()
    report = await world.phase(P.FAILED)
    assert world.held() == {A: 10}
    assert (report.error, report.flatness) == ("error_positions_blocked", Flatness.NOT_FLAT)
    assert [(r.symbol, r.quantity, r.reason) for r in report.residuals] == [(A, 10, "trading in the symbol is halted")]
    assert "error_positions_blocked" in world.errors()
    assert [i.blocked for i in world.desk.positions_report().items] == ["trading in the symbol is halted"]
    await trio.sleep(30)
    assert world.errors().count("error_positions_blocked") == 1  # told once, not with every look
    assert len(sales(world)) == 1  # nothing is thrown at a halted market
    world.exchange.befall(A, Condition.NORMAL)
    await world.phase(P.VERIFIED, within=30)
    assert world.held() == {}


async def test_in_a_volatility_interruption_one_order_waits_for_the_single_price(world, autojump_clock):
    await world.hold(A, 10)
    world.exchange.befall(A, Condition.INTERRUPTED, seconds=60)
    world.stop()
    report = await world.phase(P.FAILED)
    assert "volatility interruption" in report.residuals[0].reason
    assert world.working() == 1
    placed = len(sales(world))
    await trio.sleep(40)
    assert (len(sales(world)), world.working()) == (placed, 1)  # it keeps its place in the queue
    await world.phase(P.VERIFIED, within=60)
    assert (world.held(), world.working()) == ({}, 0)


async def test_at_the_lower_limit_without_a_buyer_one_order_waits_in_the_queue(world, autojump_clock):
    await world.hold(A, 10)
    world.exchange.befall(A, Condition.LIMIT_DOWN)
    world.stop()
    report = await world.phase(P.FAILED)
    assert "lower price limit" in report.residuals[0].reason
    await trio.sleep(30)
    (order,) = world.exchange.open_orders("1234567801")
    placed = len(sales(world))
    await trio.sleep(60)
    assert len(sales(world)) == placed
    assert world.exchange.open_orders("1234567801") == [order]
    world.exchange.befall(A, Condition.NORMAL)
    await world.phase(P.VERIFIED, within=30)


async def test_in_the_closing_auction_the_order_waits_for_the_close(world, autojump_clock):
    await world.hold(A, 10)
    world.move_to(CLOSING_CALL + 5)
    world.stop()
    report = await world.phase(P.FAILED)
    assert "call auction" in report.residuals[0].reason
    world.move_to(CLOSE - 5)
    await world.phase(P.VERIFIED, within=60)
    assert world.held() == {}


async def test_orders_without_a_price_are_replaced_by_limits_where_they_are_not_taken(world, autojump_clock):
    await world.hold(A, 10)
    world.client.limit_only = True
    world.stop()
    await world.phase(P.VERIFIED)
    assert [bool(price) for _q, price in sales(world)] == [False, True]


async def test_an_odd_lot_stays_and_says_so(world, autojump_clock):
    await world.hold(A, 25)
    world.client.lot = 10
    world.stop()
    report = await world.phase(P.FAILED)
    assert world.held() == {A: 5}
    assert report.residuals[0].reason == "5 shares are fewer than the trading unit of 10"
    world.client.lot = 1
    await world.phase(P.VERIFIED, within=30)


async def test_after_the_close_nothing_is_sent_any_more_and_in_the_next_session_only_a_person_lets_it(
    world, autojump_clock
):
    await world.hold(A, 10)
    world.move_to(CLOSE + 60)
    world.stop()
    report = await world.phase(P.FAILED)
    assert report.residuals[0].reason == "the market is closed"
    assert report.residuals[0].until.isoformat() == "2026-01-06T00:00:00+00:00"
    tried = len(sales(world))
    await trio.sleep(60)
    assert len(sales(world)) == tried
    world.next_day()
    await world.until(lambda: world.report().error == "error_confirmation_needed")
    assert "error_confirmation_needed" in world.errors()
    await trio.sleep(30)
    assert (len(sales(world)), world.held()) == (tried, {A: 10})
    world.stop()  # the platform says it again with another epoch: nobody has asked for that
    await trio.sleep(60)
    assert len(sales(world)) == tried
    world.stop(again=True)
    await world.phase(P.VERIFIED)
    assert world.held() == {}


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_restart_in_another_session_waits_for_the_person_too(open_world, autojump_clock, confirmed):
    async with open_world() as world:
        await world.hold(A, 10)
        world.exchange.befall(A, Condition.HALTED)
        world.stop()
        await world.phase(P.FAILED)
        exchange, latch = world.exchange, world.halting.latch
    exchange.move_to(type(exchange.now)(exchange.market.calendar.next_open(exchange.now.day), 36_000))
    exchange.befall(A, Condition.NORMAL)
    async with open_world(exchange, latch=latch) as again:
        await trio.sleep(60)
        assert (again.client.sent, again.held()) == ([], {A: 10})
        assert again.report().error == "error_confirmation_needed"
        if confirmed:
            again.stop(again=True)
            await again.phase(P.VERIFIED)
            assert again.held() == {}


async def test_a_restart_in_the_same_session_goes_on_by_itself(open_world, autojump_clock, tmp_path):
    (tmp_path / "again").mkdir()
    async with open_world() as world:
        await world.hold(A, 10)
        world.exchange.befall(A, Condition.HALTED)
        world.stop()
        await world.phase(P.FAILED)
        exchange, latch = world.exchange, world.halting.latch
    exchange.befall(A, Condition.NORMAL)
    async with open_world(exchange, latch=latch, folder=tmp_path / "again") as again:
        await again.phase(P.VERIFIED)
        assert again.held() == {}
        assert P.FAILED not in again.phases()  # nobody is told that it could not go on


# --- evidence ---


@pytest.mark.parametrize("call", ["open_orders", "balance"])
async def test_while_a_read_fails_flatness_is_unknown_and_the_stop_times_out_and_is_verified_in_the_end(
    world, autojump_clock, call
):
    await world.hold(A, 10)
    world.client.failing.add(call)
    world.stop()
    await world.phase(P.TIMED_OUT)
    assert world.report().flatness is Flatness.UNKNOWN
    assert "not read" in world.report().flatness_reason
    assert P.VERIFIED not in world.phases()
    assert world.held() == {A: 10}  # what is not known is not sold twice, nor once
    world.client.failing.clear()
    await world.phase(P.VERIFIED, within=30)
    assert world.held() == {}


async def test_a_stop_is_verified_by_two_reads_that_do_not_overlap_and_began_after_the_last_fill(world, autojump_clock):
    await world.hold(A, 10)
    views, seen = [], world.desk.viewed
    world.desk.viewed = lambda view: (views.append(view), seen(view))
    world.exchange.befall(A, Condition.INTERRUPTED, seconds=20)
    world.stop()
    await world.phase(P.VERIFIED)
    first, second = views[-2:]
    assert world.desk.last_fill < first.began <= first.ended <= second.began
    assert (first.positions, second.positions, first.orders, second.orders) == ((), (), (), ())


async def test_the_reasons_of_an_order_are_in_its_lines_once(world, autojump_clock):
    await world.hold(A, 10)
    lines = [m for m in world.said(TradeLog) if m.category is LogCategory.TRADE]
    assert lines
    assert all(line.message.count(line.reason) <= 1 for line in lines)
