"""Properties 10 and 11 over the real actors and the engine's own code, in virtual time: platform, links, engines."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.stops.parts import FINAL, TIMEOUT_SECONDS
from tests.stops.simulation import ENGINES, simulate
from tests.stops.traders import Trader
from wire.rest.stops import StopState
from wire.stops import Level, Scope
from wire.values import Flatness, StopPhase

SCOPES = ["all", "account:A1", "account:A2", "engine:E1", "engine:E2"]
holding = st.tuples(st.integers(0, 3), st.integers(0, 3))


async def begin(sim, nursery, holdings, *, away=()):
    """The platform and its engines, each with its orders and positions and the pace of its broker."""
    await nursery.start(sim.run_platform)
    for name in ENGINES:
        sim.engines[name].holds(*holdings[name])
        if name not in away:
            await nursery.start(sim.run_engine, name)
    await trio.sleep(2.0)


def concerned(scope):
    return {name for name, account in ENGINES.items() if Scope.parse(scope).concerns(name, account)}


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    holdings=st.fixed_dictionaries({name: holding for name in ENGINES}),
    paces=st.fixed_dictionaries({name: st.floats(0.05, 2.0) for name in ENGINES}),
    away=st.sets(st.sampled_from(sorted(ENGINES)), max_size=1),
    scope=st.sampled_from(SCOPES),
    level=st.sampled_from([Level.CANCEL, Level.FLATTEN]),
)
def test_every_connected_engine_cancels_closes_and_reports(seed, holdings, paces, away, scope, level):
    """Feature: trading-platform-backend-integration, Property 10: 긴급 정지 완전 흐름"""

    async def story(sim):
        async with trio.open_nursery() as nursery:
            await begin(sim, nursery, {n: (*holdings[n], paces[n]) for n in ENGINES}, away=away)
            began = sim.now
            await sim.stop(scope, level)
            view = await sim.life.board.wait_for(
                "s1", lambda v: v.state is not StopState.RUNNING, timeout=TIMEOUT_SECONDS
            )
            assert sim.now - began < TIMEOUT_SECONDS
            assert {r.engine_id for r in view.results} == concerned(scope)
            for result in view.results:
                orders, positions = holdings[result.engine_id]
                engine = sim.engines[result.engine_id]
                if result.engine_id in away:
                    assert (result.phase, result.success) == (StopPhase.UNREACHABLE, False)
                    continue
                assert (result.phase, result.success) == (StopPhase.VERIFIED, True)
                assert (result.orders_cancelled, engine.orders) == (orders, {})
                assert result.completed_at is not None
                if level is Level.FLATTEN:
                    assert (result.positions_liquidated, engine.positions) == (positions, {})
                    assert result.flatness is Flatness.FLAT
                else:
                    assert len(engine.positions) == positions
            for name in set(ENGINES) - concerned(scope) - away:
                assert (len(sim.engines[name].orders), len(sim.engines[name].positions)) == holdings[name]
            await trio.sleep(1.0)
            sim.judge_known(away)
            nursery.cancel_scope.cancel()

    simulate(seed, story=story, runner=Trader)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    holdings=st.fixed_dictionaries({name: st.tuples(st.integers(1, 3), st.integers(1, 3)) for name in ENGINES}),
    paces=st.fixed_dictionaries({name: st.sampled_from([0.2, 1.0, 9.0, 14.0, 40.0]) for name in ENGINES}),
)
def test_after_thirty_seconds_an_engine_has_finished_or_is_named_as_late(seed, holdings, paces):
    """Feature: trading-platform-backend-integration, Property 11: 긴급 정지 타임아웃"""

    async def story(sim):
        async with trio.open_nursery() as nursery:
            await begin(sim, nursery, {n: (*holdings[n], paces[n]) for n in ENGINES})
            await sim.stop("all", Level.FLATTEN)
            await trio.sleep(TIMEOUT_SECONDS + 2.0)
            view = sim.life.book.view("s1")
            assert view.state is not StopState.RUNNING
            for result in view.results:
                assert result.phase in FINAL
                late = result.phase is StopPhase.TIMED_OUT
                assert late or result.success
                assert result.success or "error_timeout" in result.error
                # Frozen at once, whatever the broker does.
                assert result.ms_to_frozen < 3_000
            slow = [p for p in paces.values() if p >= TIMEOUT_SECONDS]
            assert (view.state is StopState.TIMED_OUT) or not slow
            # It keeps trying: the work that was late is done, and said.
            await trio.sleep(12 * max(paces.values()))
            done = sim.life.book.view("s1")
            assert done.state is StopState.VERIFIED
            assert all(not sim.engines[n].orders and not sim.engines[n].positions for n in ENGINES)
            nursery.cancel_scope.cancel()

    simulate(seed, story=story, runner=Trader)
