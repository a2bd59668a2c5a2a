"""Links that stall one by one and come free in another order: a stop waits for none of them and reaches all."""

import pytest
import trio

from tests.stops.simulation import QUIET, simulate
from wire.rest.stops import StopState
from wire.sdk.halting import Halting
from wire.stops import Level

ENGINES = {"E1": "A1", "E2": "A2", "E3": "A3", "E4": "A4", "E5": "A5"}
SEEDS = 12
LEASE_SECONDS = 15.0
SCOPES = ("all", "engine:E1", "account:A2", "symbol:005930")


def held(sim):
    """Which engines have their gates closed by a stop."""
    return {name for name, engine in sim.engines.items() if engine.gate.engine_level() >= Level.HALT}


async def swizzle(sim):
    """Any of the links, in any order, with stops in between; the last one stops everything."""
    rng = sim.rng
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in ENGINES:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(7.0)  # everybody has a lease and trades
        stalled = rng.sample(sorted(ENGINES), rng.randint(1, len(ENGINES)))
        for name in stalled:
            sim.engines[name].pipe.clog()
            await sim.stop(rng.choice(SCOPES), Level.HALT)
            await trio.sleep(rng.random())
        await sim.stop("all", Level.HALT)
        await trio.sleep(1.0)
        assert held(sim) >= ENGINES.keys() - set(stalled)  # those that flow wait for nobody
        for name in rng.sample(stalled, len(stalled)):
            await trio.sleep(rng.random() * 4)
            engine = sim.engines[name]
            if engine.pipe is not None:
                engine.pipe.unclog()
                await trio.sleep(1.0)
                assert name in held(sim) or not engine.may_open()
        await trio.sleep(QUIET)
        assert held(sim) == ENGINES.keys()
        sim.judge_quiet()
        book = sim.life.book
        assert {book.view(i).state for i, _ in book.register.open_stops()} == {StopState.VERIFIED}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_links_that_stall_and_come_free_in_any_order_keep_no_stop_from_anybody(seed):
    simulate(seed, story=swizzle, accounts=ENGINES)


async def stalled_for_long(sim):
    """Nobody frees the link: what the engine does not hear, its lease says."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in ENGINES:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(7.0)
        engine = sim.engines["E3"]
        assert engine.may_open()
        engine.pipe.clog()
        await sim.stop("all", Level.HALT)
        await trio.sleep(LEASE_SECONDS + 0.5)
        assert not engine.may_open()
        nursery.cancel_scope.cancel()


def test_a_link_that_stays_stalled_is_a_stop_by_the_lease():
    simulate(1, story=stalled_for_long, accounts=ENGINES)


def every_story():
    for seed in range(SEEDS):
        simulate(seed, story=swizzle, accounts=ENGINES)


def test_an_engine_that_forgets_what_a_frame_says_is_found_out(monkeypatch):
    monkeypatch.setattr(Halting, "stop", lambda _self, _message: None)
    monkeypatch.setattr(Halting, "adopt", lambda _self, _snapshot, *, trusted: False)
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        every_story()
