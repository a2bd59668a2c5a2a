"""The lease that runs out in stages, and the engine's own risk limits, with the real actors in virtual time."""

import trio

from wire.exchange.events import Condition
from wire.exchange.fees import Side as ExchangeSide
from wire.exchange.orders import Kind, Ticket
from wire.parts import LeaseExpiry
from wire.stops import Level
from wire.values import LocalStopCause, Side, StopPhase

P = StopPhase
A, B = "005930", "015760"


def locals_of(world):
    return [(stop.level, stop.cause) for stop in world.local_stops()]


def bought(world):
    return [entry for entry in world.client.sent if entry[1] is Side.BUY]


def sold_elsewhere(world, symbol, quantity):
    """Somebody sells shares of the same account in another program."""
    sale = Ticket(account="1234567801", symbol=symbol, side=ExchangeSide.SELL, quantity=quantity, kind=Kind.MARKET)
    world.exchange.place(sale)
    world.exchange.drain()


def reads(world):
    """When the broker was read."""
    return [at for at, call in world.client.asked if call == "open_orders"]


# --- the lease ---


async def test_an_expired_lease_halts_and_the_next_one_trades_again_after_reconciliation(open_world, autojump_clock):
    async with open_world(lease=20.0) as world:
        await world.hold(A, 10)
        working = world.buy(A, 1, world.exchange.session(A).limits.lower)
        await trio.sleep(25)
        assert world.buy() is None
        assert world.working() == 1  # a halt cancels nothing
        assert world.local_stops() == []
        assert not world.desk.gate.synced or world.desk.gate.shut_reason(world.desk.clock.now()) is not None
        world.lend(1e6)
        await world.until(lambda: world.desk.gate.synced)
        assert world.buy() is not None
        assert world.desk.orders.get(working.order_id).is_working


async def test_a_read_begun_before_the_lease_ran_out_opens_nothing(open_world, autojump_clock):
    async with open_world(lease=20.0) as world:
        await world.hold(A, 10)
        desk, lease = world.desk, world.desk.lease
        world.client.slow["balance"] = 3.0
        await trio.sleep(lease.expires_at - desk.clock.now() - 1.0)
        before = len(reads(world))
        desk.check()
        await world.until(lambda: len(reads(world)) == before + 1)
        assert lease.alive(reads(world)[before])
        await world.until(lambda: not lease.alive(desk.clock.now()))
        await trio.sleep(0.5)
        world.lend(1e6)
        assert len(reads(world)) == before + 1  # that read is still under way
        await world.until(lambda: len(reads(world)) == before + 2)
        assert lease.alive(desk.clock.now())
        assert not desk.gate.synced
        assert world.buy() is None
        await world.until(lambda: desk.gate.synced)
        assert world.buy() is not None


async def test_a_lease_that_was_renewed_before_anybody_saw_it_end_still_asks_for_a_comparison(
    open_world, autojump_clock
):
    async with open_world(lease=20.0) as world:
        await world.hold(A, 10)
        world.client.failing.add("balance")
        desk, lease = world.desk, world.desk.lease
        lease.renew(desk.clock.now() + 20.0, desk.clock.now())
        lease.expires_at = desk.clock.now() - 0.001
        world.lend(1e6)
        assert lease.alive(desk.clock.now())
        assert not desk.gate.synced
        assert world.buy() is None
        world.client.failing.clear()
        await world.until(lambda: desk.gate.synced)
        assert world.buy() is not None


async def test_a_lease_that_stays_expired_cancels_then_flattens_and_only_a_release_ends_that(
    open_world, autojump_clock
):
    policy = LeaseExpiry(cancel_after_ms=20_000, flatten_after_ms=60_000)
    async with open_world(lease=20.0, policy=policy) as world:
        await world.hold(A, 10)
        world.buy(A, 1, world.exchange.session(A).limits.lower)
        await trio.sleep(25)
        assert (world.working(), locals_of(world)) == (1, [])
        await world.until(lambda: world.working() == 0)
        (cancel,) = world.local_stops()
        assert (cancel.level, cancel.cause) == (Level.CANCEL, LocalStopCause.LEASE_EXPIRED)
        await world.phase(P.VERIFIED, cancel.id)
        assert world.held() == {A: 10}
        await world.until(lambda: world.held() == {}, within=90)
        flatten = world.local_stops()[-1]
        assert (flatten.level, flatten.cause) == (Level.FLATTEN, LocalStopCause.LEASE_EXPIRED)
        await world.phase(P.VERIFIED, flatten.id)
        world.lend(1e6)
        await world.until(lambda: world.desk.gate.synced)
        assert world.buy() is None  # the lease is alive, and the stop is a stop
        world.release(cancel.id)
        assert world.buy() is None
        world.release(flatten.id)
        assert world.buy() is not None


async def test_a_lease_that_comes_back_in_time_leaves_no_stop(open_world, autojump_clock):
    async with open_world(lease=20.0, policy=LeaseExpiry(cancel_after_ms=20_000)) as world:
        await world.hold(A, 10)
        await trio.sleep(30)
        world.lend(30.0)
        await trio.sleep(25)
        assert world.local_stops() == []


async def test_a_policy_of_never_only_halts(open_world, autojump_clock):
    policy = LeaseExpiry(cancel_after_ms=None, flatten_after_ms=None)
    async with open_world(lease=20.0, policy=policy) as world:
        await world.hold(A, 10)
        await trio.sleep(120)
        assert (world.local_stops(), world.held(), world.buy()) == ([], {A: 10}, None)


# --- losses ---


async def test_a_daily_loss_halts_the_engine_and_after_a_release_only_a_greater_one_does_again(
    open_world, autojump_clock
):
    async with open_world(max_daily_loss=200_000) as world:
        await world.hold(A, 20)
        world.exchange.befall(A, Condition.LIMIT_DOWN)  # thirty percent down: about 430,000 won
        await world.until(world.local_stops)
        (local,) = world.local_stops()
        assert (local.level, local.cause) == (Level.HALT, LocalStopCause.RISK)
        assert local.reason.startswith("daily_loss: the day's loss of")
        assert "error_risk_daily_loss" in world.errors()
        assert (world.buy(), world.held()) == (None, {A: 20})
        await trio.sleep(20)
        world.release(local.id)
        await trio.sleep(20)
        assert len(world.local_stops()) == 1
        assert world.buy(B) is not None


async def test_the_emergency_loss_closes_what_is_held(open_world, autojump_clock):
    async with open_world(emergency_stop_loss=200_000) as world:
        await world.hold(A, 20)
        world.exchange.befall(A, Condition.LIMIT_DOWN)
        await world.until(world.local_stops)
        assert locals_of(world) == [(Level.FLATTEN, LocalStopCause.RISK)]
        world.exchange.befall(A, Condition.NORMAL)
        await world.phase(P.VERIFIED, world.local_stops()[0].id)
        assert world.held() == {}


async def test_neither_a_restart_nor_a_deleted_ledger_makes_todays_loss_smaller(open_world, autojump_clock, tmp_path):
    async with open_world() as world:
        await world.hold(A, 20)
        world.exchange.befall(A, Condition.LIMIT_DOWN)
        await trio.sleep(5)
        exchange = world.exchange
    for folder in (tmp_path, tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        async with open_world(exchange, folder=folder, max_daily_loss=200_000) as again:
            await again.until(again.local_stops)
            assert locals_of(again) == [(Level.HALT, LocalStopCause.RISK)]


async def test_a_limit_of_the_platform_that_is_tightened_stops_at_once(world, autojump_clock):
    from actors.engine.risk.limits import Limits

    await world.hold(A, 10)
    world.desk.risk.take(Limits(max_daily_loss=0))
    await world.until(world.local_stops)
    assert locals_of(world) == [(Level.HALT, LocalStopCause.RISK)]


# --- what is not right with the engine or the broker ---


async def test_shares_that_left_by_another_way_are_a_mismatch_and_halt(world, autojump_clock):
    await world.hold(A, 10)
    sold_elsewhere(world, A, 4)
    await world.until(world.local_stops, within=90)
    (local,) = world.local_stops()
    assert (local.level, local.cause) == (Level.HALT, LocalStopCause.RISK)
    assert "10 in the books, 6 at the broker" in local.reason


async def test_too_many_orders_halt(open_world, autojump_clock):
    async with open_world(max_orders_per_minute=3) as world:
        await world.hold(A, 1)
        for _ in range(4):
            world.buy(A, 1)
            await trio.sleep(0.2)
        await world.until(world.local_stops)
        assert world.local_stops()[0].reason.startswith("order_rate")
        assert len(bought(world)) <= 5


async def test_a_broker_that_refuses_one_order_after_another_halts(open_world, autojump_clock):
    async with open_world(max_rejects_per_minute=2) as world:
        await world.hold(A, 1)
        world.client.lot = 10
        for _ in range(3):
            world.buy(A, 1)
            await trio.sleep(0.5)
        await world.until(world.local_stops)
        assert world.local_stops()[0].reason.startswith("reject_storm")


async def test_while_the_account_is_not_read_it_warns_and_then_only_reduces_and_goes_on_by_itself(
    world, autojump_clock
):
    await world.hold(A, 10)
    world.client.failing.add("balance")
    await world.until(lambda: "error_risk_not_judged" in world.errors(), within=180)
    assert world.desk.gate.caution is None
    await world.until(lambda: world.desk.gate.caution is not None, within=120)
    assert (world.buy(), world.local_stops()) == (None, [])
    world.client.failing.clear()
    await world.until(lambda: world.desk.gate.caution is None and world.desk.gate.synced, within=90)
    assert world.buy() is not None


async def test_a_judgement_that_fails_warns_and_then_only_reduces_and_stops_nobody_from_judging_again(
    world, autojump_clock, monkeypatch
):
    """Whatever is wrong with it: a limit that cannot be computed is no limit that is kept."""
    await world.hold(A, 10)
    await world.until(lambda: world.desk.gate.caution is None and world.desk.gate.synced)

    def fails(_desk):
        raise ZeroDivisionError

    monkeypatch.setattr("actors.engine.risk.watch.facts_of", fails)
    await world.until(lambda: "error_risk_not_judged" in world.errors(), within=30)
    assert world.desk.gate.caution is None
    await world.until(lambda: world.desk.gate.caution is not None, within=90)
    assert (world.buy(), world.local_stops()) == (None, [])
    monkeypatch.undo()
    await world.until(lambda: world.desk.gate.caution is None, within=30)
    assert world.buy() is not None


async def test_without_the_platforms_limits_only_reductions_leave(open_world, autojump_clock):
    async with open_world(platform=None) as world:
        await world.until(lambda: world.desk.gate.synced)
        await trio.sleep(20)
        assert world.buy() is None
        assert "not known" in world.desk.gate.caution
