"""A stop whose closing orders are filled in parts: whatever is left, and why, its numbers add up in every report."""

import random
from itertools import dropwhile

import pytest
import trio

from wire.exchange.events import Condition
from wire.messages import Fill
from wire.values import Flatness, OrderStatus, Side, StopPhase

P = StopPhase
A, B = "005930", "015760"
SHARES = 20_000
"""More of the cheaper symbol than its whole book takes at once."""
RICH = 10**9
FAILURES = ("cancel", "balance", "place", "price", "answer", "notice")


def sold(world, symbol, since):
    fills = [m for m in world.said(Fill) if m.side is Side.SELL and m.symbol == symbol]
    return [f.quantity for f in fills[since:]]


def check_numbers(world, before):
    """Of every report since the first read: what is left by symbol, and how many are gone, make up what was there."""
    read = list(dropwhile(lambda r: r.flatness is Flatness.UNKNOWN, world.reports()))
    assert len(read) > 1
    for report in read:
        assert report.positions_liquidated + report.positions_remaining == len(before)
        left = {r.symbol: r.quantity for r in report.residuals}
        assert len(left) == len(report.residuals) == report.positions_remaining
        assert all(0 < quantity <= before[symbol] for symbol, quantity in left.items())
        assert all(r.reason for r in report.residuals)
        if report.phase in (P.FLATTENED, P.VERIFIED):
            assert (report.orders_remaining, report.positions_remaining, left) == (0, 0, {})
        if report.phase is P.FAILED:
            assert left
            assert report.flatness is not Flatness.FLAT


@pytest.fixture
async def rich(open_world, make_exchange):
    async with open_world(make_exchange(cash=RICH)) as world:
        yield world


async def test_a_close_that_is_filled_in_parts_and_then_blocked_leaves_exactly_the_rest(rich, autojump_clock):
    world = rich
    await world.hold(A, 10)
    await world.hold(B, SHARES)
    resting = world.buy(A, 5, world.exchange.session(A).limits.lower)
    await world.until(lambda: world.desk.orders.get(resting.order_id).is_working)
    since = len(sold(world, B, 0))
    world.stop()
    await world.until(lambda: sold(world, B, since))
    world.exchange.befall(B, Condition.LIMIT_DOWN)
    report = await world.phase(P.FAILED)
    parts = sold(world, B, since)
    assert len(parts) > 1
    assert 0 < sum(parts) < SHARES
    (residual,) = report.residuals
    assert (residual.symbol, residual.quantity) == (B, SHARES - sum(parts))
    assert "lower price limit" in residual.reason
    assert world.held() == {B: residual.quantity}
    assert (report.orders_cancelled, report.positions_liquidated, report.positions_remaining) == (1, 1, 1)
    assert report.orders_remaining == world.working()
    world.exchange.befall(B, Condition.NORMAL)
    report = await world.phase(P.VERIFIED, within=120)
    assert (report.orders_cancelled, report.positions_liquidated, report.residuals) == (1, 2, [])
    assert (sum(sold(world, B, since)), world.held()) == (SHARES, {})
    check_numbers(world, {A: 10, B: SHARES})


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_befalls_a_close_in_parts_every_report_adds_up_and_nothing_is_sold_twice(
    open_world, make_exchange, autojump_clock, seed
):
    chance = random.Random(seed)
    async with open_world(make_exchange(seed=seed + 1, cash=RICH)) as world:
        await world.hold(A, 200)
        await world.hold(B, SHARES)
        world.stop()
        for _ in range(12):
            await trio.sleep(chance.choice((0.1, 0.5, 2.0, 6.0)))
            world.exchange.befall(chance.choice((A, B)), chance.choice(list(Condition)), seconds=chance.choice((5, 40)))
            world.client.failing ^= set(chance.choices(FAILURES, k=chance.choice((0, 1))))
        world.client.failing.clear()
        for symbol in (A, B):
            world.exchange.befall(symbol, Condition.NORMAL)
        await world.phase(P.VERIFIED, within=300)
        assert world.held() == {}
        assert (sum(sold(world, A, 0)), sum(sold(world, B, 0))) == (200, SHARES)
        closes = [o for o in world.desk.orders if o.side is Side.SELL]
        assert all(o.status in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED) for o in closes)
        check_numbers(world, {A: 200, B: SHARES})
