"""Every limit of a day begins anew with the exchange's day, in Korea, and not with a process, of whichever side."""

from datetime import date
from itertools import chain, combinations

import pytest
import trio

from wire.exchange.calendar import CLOSE, MarketTime
from wire.exchange.events import Condition
from wire.exchange.fees import Side as ExchangeSide
from wire.exchange.orders import Kind, Ticket
from wire.values import StopPhase

P = StopPhase
A = "005930"
TUESDAY = date(2026, 1, 6)
MOMENTS = ("after the close", "after midnight", "in the morning")
RESTARTS = list(chain.from_iterable(combinations(MOMENTS, n) for n in range(4)))


class Life:
    """One engine over any number of its processes, each with its platform's limits told anew."""

    def __init__(self, open_world, exchange, restarts, **limits):
        self.open_world = open_world
        self.exchange = exchange
        self.restarts = restarts
        self.limits = limits
        self.latch = None

    async def over(self, *parts):
        """Does the parts one after the other; at a moment that is one for a restart the process ends and another
        begins. Returns the last process' world, as it ended."""
        rest = list(parts)
        while rest:
            async with self.open_world(self.exchange, latch=self.latch, **self.limits) as world:
                while rest:
                    part = rest.pop(0)
                    if part in MOMENTS:
                        if part in self.restarts:
                            break
                        continue
                    await part(world)
            self.latch = world.halting.latch
        return world


async def a_while(_world):
    await trio.sleep(40)


async def monday_evening(world):
    world.move_to(CLOSE + 60)
    await a_while(world)


async def tuesday_night(world):
    world.exchange.move_to(MarketTime(TUESDAY, 1_800))
    await a_while(world)


async def tuesday(world):
    """The first trade of the day is seen long before the account has been read anew."""
    world.client.slow["balance"] = 2.0
    world.exchange.move_to(MarketTime(TUESDAY, 36_000))
    await world.until(lambda: world.desk.trading_day == "20260106")
    await world.until(lambda: world.desk.risk.triggers.record.day == "20260106", within=90)
    await world.until(lambda: world.desk.gate.caution is None and world.desk.gate.synced, within=90)


def through_the_night(before, after):
    evening = (before, monday_evening, "after the close", a_while)
    return (*evening, tuesday_night, "after midnight", a_while, "in the morning", tuesday, after)


def over_the_night(before, after):
    """As a simulator does it: the next session follows upon the last at once."""
    return (before, monday_evening, "after the close", a_while, tuesday, after)


async def nothing(_world):
    await trio.sleep(1)


def record(world):
    return world.desk.risk.triggers.record


NIGHTS = [(through_the_night, moments) for moments in RESTARTS] + [(over_the_night, RESTARTS[n]) for n in (0, 1)]


def in_words(value):
    return value.__name__ if callable(value) else ", ".join(value) or "never"


@pytest.mark.parametrize(("night", "restarts"), NIGHTS, ids=in_words)
async def test_a_day_is_measured_from_the_close_before_whenever_processes_end(
    open_world, make_exchange, autojump_clock, night, restarts
):
    """Monday's loss is no loss of Tuesday's, and Monday's opening no yardstick for Tuesday."""

    async def lose(world):
        await world.hold(A, 20)
        world.exchange.befall(A, Condition.LIMIT_DOWN)
        await trio.sleep(40)
        assert record(world).day == "20260105"
        assert record(world).loss(world.desk.equity(), 0) > 300_000
        assert world.local_stops() == []

    life = Life(open_world, make_exchange(), restarts, max_daily_loss=600_000)
    world = await life.over(*night(lose, nothing))
    assert record(world).opening == world.exchange.accounts["1234567801"].assets_yesterday < 99_700_000
    assert world.local_stops() == []


LOSSES = {
    "daily_loss": {"max_daily_loss": 200_000},
    "emergency_loss": {"emergency_stop_loss": 200_000},
    "drawdown": {"max_drawdown": 200_000},
}


@pytest.mark.parametrize("restarts", [(), MOMENTS], ids=in_words)
@pytest.mark.parametrize("trigger", LOSSES)
async def test_what_was_stopped_for_on_monday_is_stopped_for_on_tuesday_again(
    open_world, make_exchange, autojump_clock, trigger, restarts
):
    """The same loss of another day, although a person released the first: a mark is of its day."""
    lost = []

    async def lose(world):
        if not world.held():
            await world.hold(A, 20)
        before = len(world.local_stops())
        world.exchange.befall(A, Condition.LIMIT_DOWN)
        await world.until(lambda: len(world.local_stops()) > before)
        stop = world.local_stops()[-1]
        assert stop.reason.startswith(f"{trigger}: ")
        lost.append(stop.id)
        world.exchange.befall(A, Condition.NORMAL)
        await world.phase(P.VERIFIED, stop.id)
        await trio.sleep(5)
        assert list(record(world).tripped) == [trigger]
        world.release(stop.id)
        await trio.sleep(5)
        assert len(world.local_stops()) == before + 1  # and not again for the same loss

    life = Life(open_world, make_exchange(), restarts, **LOSSES[trigger])
    world = await life.over(*through_the_night(lose, lose))
    assert (len(lost), record(world).day) == (2, "20260106")


# --- what is counted by the minute, and what books and broker differ in ---


COUNTED = {
    "order_rate": {"max_orders_per_minute": 5},
    "reject_storm": {"max_rejects_per_minute": 5},
}


@pytest.mark.parametrize("trigger", COUNTED)
async def test_a_minute_s_count_is_not_begun_anew_by_a_restart(open_world, make_exchange, autojump_clock, trigger):
    exchange = make_exchange()

    async def send(world, times):
        await world.until(lambda: world.desk.gate.synced and world.desk.gate.caution is None)
        world.client.lot = 10 if trigger == "reject_storm" else 1
        for _ in range(times):
            world.buy(A, 1)
            await trio.sleep(0.2)
        await trio.sleep(1)

    async with open_world(exchange, **COUNTED[trigger]) as first:
        await send(first, 4)
        assert first.local_stops() == []
    async with open_world(exchange, **COUNTED[trigger]) as second:
        await send(second, 2)
        (stop,) = second.local_stops()
        assert stop.reason.startswith(f"{trigger}: ")
        await trio.sleep(70)
        latch = second.halting.latch
    async with open_world(exchange, latch=latch, **COUNTED[trigger]) as third:
        await trio.sleep(5)
        assert len(third.local_stops()) == 1


async def test_a_restart_behind_the_stop_for_a_minute_s_count_makes_no_second_one(
    open_world, make_exchange, autojump_clock
):
    exchange = make_exchange()
    async with open_world(exchange, max_orders_per_minute=3) as first:
        await first.until(lambda: first.desk.gate.synced and first.desk.gate.caution is None)
        for _ in range(4):
            first.buy(A, 1)
            await trio.sleep(0.2)
        await first.until(first.local_stops)
        latch = first.halting.latch
    async with open_world(exchange, latch=latch, max_orders_per_minute=3) as second:
        await trio.sleep(5)
        assert len(second.local_stops()) == 1
    async with open_world(exchange, max_orders_per_minute=3) as third:  # its latch never got there
        await trio.sleep(2)
        assert len(third.local_stops()) == 2


async def test_a_process_that_ends_between_a_mismatch_and_its_latched_stop_is_stopped_for_it_by_the_next(
    open_world, make_exchange, autojump_clock
):
    exchange = make_exchange()
    async with open_world(exchange) as first:
        await first.hold(A, 10)
        first.halting.is_safe = lambda _stop_id: False  # no disk takes the stop
        sale = Ticket(account="1234567801", symbol=A, side=ExchangeSide.SELL, quantity=4, kind=Kind.MARKET)
        exchange.place(sale)
        exchange.drain()
        await first.until(first.local_stops, within=90)
    async with open_world(exchange) as second:
        await second.until(lambda: len(second.local_stops()) == 2, within=5)
        assert "10 in the books, 6 at the broker" in second.local_stops()[-1].reason
        await trio.sleep(5)
        assert second.desk.ledger.mismatches == ()
        latch = second.halting.latch
    async with open_world(exchange, latch=latch) as third:
        await trio.sleep(5)
        assert len(third.local_stops()) == 2
