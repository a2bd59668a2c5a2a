"""What an engine is asked to do: one strategy is paused or goes on, and every engine hears of a new configuration."""

from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.requests import CommandStrategy, ConfigurationChanged
from tests.actors.links.engine import Engine
from wire.messages import REDUCED_RESUMES, STRATEGY_COMMANDS, ConfigChanged, StrategyCommand, StrategyResult, Welcome
from wire.parts import Reduced, StrategyReport
from wire.rest.releases import ReducedLimits
from wire.rest.strategies import CommandStatus
from wire.session import Received
from wire.stops import Level, Scope
from wire.values import ResultStatus, StrategyAction, StrategyState


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    away=st.lists(st.booleans(), min_size=3, max_size=3),
    versions=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    pauses=st.lists(st.floats(0, 6), min_size=4, max_size=4),
)
def test_every_running_engine_hears_of_every_change_of_its_configuration(open_world, away, versions, pauses):
    """Feature: trading-platform-backend-integration, Property 7: 구성 변경 알림"""

    async def play():
        async with open_world(engines=3) as world:
            current = {"version": 0}
            world.desk.config_version = lambda _engine_id: current["version"]
            engines = [Engine(f"E{n + 1}") for n in range(3)]
            for engine, is_away in zip(engines, away, strict=True):
                if not is_away:
                    await world.connect(engine)
            for version, pause in zip(versions, pauses, strict=False):
                await trio.sleep(pause)
                current["version"] = version
                world.system.ref("fleet").tell(ConfigurationChanged(config_version=version))
            await trio.sleep(0.1)
            for engine, is_away in zip(engines, away, strict=True):
                if not is_away:
                    assert [m.config_version for m in engine.of(ConfigChanged)] == versions
                    continue
                await world.connect(engine)
                assert engine.of(Welcome)[0].config_version == versions[-1]

    trio.run(play, clock=MockClock(autojump_threshold=0))


def strategy(strategy_id="ma"):
    return StrategyReport(
        id=strategy_id, name="MA", status=StrategyState.PAUSED, parameters={}, parameter_schema={}, version=1
    )


async def command(world, action=StrategyAction.RESUME, *, strategy_id="ma", request_id="c1", reduced=None):
    asked = CommandStrategy(
        engine_id="E1", strategy_id=strategy_id, action=action, request_id=request_id, reduced=reduced
    )
    return await world.system.ref("fleet").ask(asked, timeout=20)


@asynccontextmanager
async def commanded(open_world, answer, *, capabilities=(STRATEGY_COMMANDS,)):
    """A world whose engine answers a command with what ``answer`` makes of it."""
    async with open_world() as world:
        engine = Engine("E1")
        engine.capabilities, engine.strategies = capabilities, (strategy(),)
        plainly = engine.on_event

        def on_event(event):
            plainly(event)
            if isinstance(event, Received) and isinstance(event.message, StrategyCommand):
                reply = answer(event.message)
                if reply is not None:
                    engine.say(reply)

        engine.on_event = on_event
        await world.connect(engine)
        await trio.sleep(0.01)
        yield world, engine


def done(asked):
    return StrategyResult(
        request_id=asked.request_id,
        strategy_id=asked.strategy_id,
        status=ResultStatus.APPLIED,
        strategy_status=StrategyState.ACTIVE,
    )


async def test_a_strategy_goes_on_by_a_command_with_the_present_epoch_and_the_engine_s_word_is_the_answer(
    open_world, autojump_clock
):
    async with commanded(open_world, done) as (world, engine):
        result = await command(world)
        assert (result.status, result.strategy_status) == (CommandStatus.APPLIED, StrategyState.ACTIVE)
        [sent] = [m for m in engine.received if isinstance(m, StrategyCommand)]
        assert (sent.strategy_id, sent.action, sent.request_id) == ("ma", StrategyAction.RESUME, "c1")
        assert sent.stop_epoch == world.desk.shelf.book.register.epoch
        assert 0 < sent.expires_ms <= 10_000


async def test_what_the_engine_refuses_is_said_in_its_words(open_world, autojump_clock):
    def no(asked):
        return StrategyResult(
            request_id=asked.request_id,
            strategy_id=asked.strategy_id,
            status=ResultStatus.FAILED,
            strategy_status=StrategyState.PAUSED,
            error="error_stale_epoch",
            reason="a stop came after this was decided",
        )

    async with commanded(open_world, no) as (world, _engine):
        result = await command(world)
        assert (result.status, result.error) == (CommandStatus.FAILED, "error_stale_epoch")


async def test_no_answer_within_ten_seconds_is_expired_and_nothing_is_sent_later(open_world, autojump_clock):
    async with commanded(open_world, lambda _asked: None) as (world, _engine):
        began = trio.current_time()
        result = await command(world)
        assert (result.status, result.error) == (CommandStatus.EXPIRED, "error_timeout")
        assert trio.current_time() - began == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("covering", ["all", "account:A1", "engine:E1", "strategy:E1/ma"])
async def test_no_strategy_goes_on_while_a_stop_holds_it(open_world, autojump_clock, covering):
    async with commanded(open_world, done) as (world, engine):
        await world.stop(scope=Scope.parse(covering), level=Level.REDUCE_ONLY)
        refused = await command(world)
        assert (refused.status, refused.error) == (409, "error_stopped")
        assert not [m for m in engine.received if isinstance(m, StrategyCommand)]
        paused = await command(world, StrategyAction.PAUSE, request_id="c2")
        assert paused.status is CommandStatus.APPLIED


@pytest.mark.parametrize("elsewhere", ["engine:E2", "strategy:E1/other", "symbol:005930"])
async def test_a_stop_of_something_else_holds_nothing_up(open_world, autojump_clock, elsewhere):
    async with commanded(open_world, done) as (world, engine):
        engine.strategies = (strategy(), strategy("other"))
        world.desk.shelf.book.roster.heard("E1", None, ["ma", "other"])
        await world.stop(scope=Scope.parse(elsewhere), level=Level.HALT)
        assert (await command(world)).status is CommandStatus.APPLIED


async def test_an_engine_that_does_not_know_commands_is_not_sent_any(open_world, autojump_clock):
    async with commanded(open_world, done, capabilities=("lease",)) as (world, engine):
        refused = await command(world)
        assert (refused.status, refused.error) == (409, "error_unsupported")
        assert not [m for m in engine.received if isinstance(m, StrategyCommand)]


async def test_reduced_limits_go_with_a_resume_to_engines_that_keep_to_them(open_world, autojump_clock):
    careful = ReducedLimits(minutes=15, max_order_value=1_000_000)
    async with commanded(open_world, done, capabilities=(STRATEGY_COMMANDS,)) as (world, engine):
        refused = await command(world, reduced=careful)
        assert (refused.status, refused.error, refused.field) == (409, "error_unsupported", "reduced")
        assert not engine.of(StrategyCommand)
    async with commanded(open_world, done, capabilities=(STRATEGY_COMMANDS, REDUCED_RESUMES)) as (world, engine):
        assert (await command(world, reduced=careful)).status is CommandStatus.APPLIED
        [sent] = engine.of(StrategyCommand)
        assert sent.reduced == Reduced(for_ms=900_000, max_order_value=1_000_000)


async def test_commands_name_a_strategy_of_a_connected_engine(open_world, autojump_clock):
    async with commanded(open_world, done) as (world, engine):
        assert (await command(world, strategy_id="none")).error == "error_unknown_strategy"
        engine.pipe.cut()
        await trio.sleep(0.01)
        assert (await command(world)).error == "error_engine_offline"
