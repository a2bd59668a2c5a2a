"""A whole engine against the simulated broker and a platform that speaks the link: real sockets, real time."""

import json
import resource
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
from jsonschema import Draft202012Validator

from wire.bundle import bundle, frame_name
from wire.conformance import read_update, validate_strategy_status, validate_system_health, validate_trade_log
from wire.messages import (
    REDUCED_RELEASES,
    STRATEGY_COMMANDS,
    ErrorReport,
    Fill,
    HealthUpdate,
    LocalStop,
    OrderUpdate,
    ParameterResult,
    ParameterUpdate,
    Positions,
    StrategyCommand,
    StrategyResult,
    StrategyStatusReport,
    TradeLog,
)
from wire.parts import LeaseExpiry, Reduced
from wire.stops import Level
from wire.values import (
    Flatness,
    LatchState,
    LocalStopCause,
    LogCategory,
    OrderStatus,
    ResultStatus,
    Severity,
    Side,
    StopPhase,
    StrategyAction,
    StrategyState,
    TradingState,
)
from wire.vocabulary import EngineUpdate, UpdateType

P = StopPhase


def filled(message):
    return isinstance(message, Fill)


async def hears_fills(platform, count, *, within=120.0, since=0):
    await platform.until(lambda: sum(filled(m) for m in platform.heard[since:]) >= count, within=within)


async def orders_sent(broker):
    return [entry for entry in await broker.log() if entry["purpose"] == "new"]


def put(sentinel, words):
    """Whole at once: a file that is read while it is still empty asks for the strictest level."""
    draft = sentinel.with_name("a draft")
    draft.write_text(words)
    draft.replace(sentinel)


async def test_an_engine_trades_with_reasons_and_a_flatten_leaves_the_account_flat_to_the_won(
    platform, broker, start_engine, tmp_path
):
    await start_engine(broker)
    await hears_fills(platform, 6)
    logs = [m for m in platform.heard if isinstance(m, TradeLog) and m.category is LogCategory.TRADE]
    assert logs
    assert all(log.reason and log.message.partition(" ")[2].startswith(f"{log.symbol}: ") for log in logs)
    assert any(isinstance(m, HealthUpdate) for m in platform.heard)
    platform.stop()
    report = await platform.hears_phase(P.VERIFIED)
    assert platform.phases() == [P.FROZEN, P.CANCELLED, P.FLATTENED, P.VERIFIED]
    assert (report.flatness, report.positions_remaining, report.orders_remaining) == (Flatness.FLAT, 0, 0)
    since = len(platform.heard)
    positions = await platform.hears(lambda m: isinstance(m, Positions), since=since)
    assert (positions.items, positions.open_orders) == ([], [])
    fills = [m for m in platform.heard if filled(m)]
    spent = sum(f.price * f.quantity * (1 if f.side is Side.BUY else -1) + f.fee + f.tax for f in fills)
    assert await broker.cash(tmp_path / "tokens") == 100_000_000 - spent
    check_output([json.loads(text) for text in platform.frames])


def check_output(frames):
    """What a real engine puts out passes the validators, and every frame of it the published schema."""
    validators = {
        "trade_log": (UpdateType.TRADE, validate_trade_log),
        "health_update": (UpdateType.HEALTH, validate_system_health),
        "strategy_status": (UpdateType.STATUS, validate_strategy_status),
    }
    for name, (kind, validate) in validators.items():
        told = [f["payload"] for f in frames if f["type"] == name]
        assert told, f"the engine never sent a {name}"
        for data in told:
            update = EngineUpdate(engine_id="E1", type=kind, timestamp=datetime.now(UTC), data=data)
            assert read_update(update) == validate(data)
    definitions = bundle()["$defs"]
    for frame in frames[:300]:
        name = frame_name("engine", frame["type"])
        Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(frame)


async def test_without_a_lease_nothing_is_ever_sent(platform, broker, start_engine):
    platform.lease_ms = 0
    await start_engine(broker)
    await platform.hears(lambda m: isinstance(m, Positions) and m.synced)
    await trio.sleep(3.0)
    assert await broker.log() == []


async def test_after_frozen_the_broker_sees_no_order_but_those_that_close(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 3)
    platform.stop(level=Level.HALT)
    await platform.hears_phase(P.VERIFIED)
    before = await broker.log()
    await trio.sleep(2.0)
    assert await broker.log() == before


async def test_a_release_without_resume_leaves_the_strategy_paused_and_one_with_resume_trades_again(
    platform, broker, start_engine
):
    await start_engine(broker)
    await hears_fills(platform, 2)
    platform.stop("one", level=Level.CANCEL)
    await platform.hears_phase(P.VERIFIED, "one")
    platform.release("one", resume=False)
    await trio.sleep(2.5)
    count = sum(filled(m) for m in platform.heard)
    await trio.sleep(2.5)
    assert sum(filled(m) for m in platform.heard) == count
    platform.stop("two", level=Level.HALT)
    await platform.hears_phase(P.VERIFIED, "two")
    platform.release("two", resume=True)
    await hears_fills(platform, count + 2)


async def test_after_a_release_with_reduced_limits_nothing_large_is_bought(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 2)
    assert REDUCED_RELEASES in platform.hellos[0].capabilities
    platform.stop("one", level=Level.FLATTEN)
    await platform.hears_phase(P.VERIFIED, "one")
    since = len(platform.heard)
    platform.release("one", resume=True, reduced=Reduced(for_ms=4_000, max_order_value=1))
    began = await platform.hears(lambda m: isinstance(m, TradeLog) and m.message.startswith("REDUCED"), since=since)
    await hears_fills(platform, 1, since=since)
    over = began.timestamp + timedelta(seconds=3.9)  # the two are read from different clocks of the machine
    assert min(m.at for m in platform.heard[since:] if filled(m)) > over


async def test_a_strategy_is_paused_and_goes_on_by_commands_that_no_stop_has_overtaken(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 2)
    assert STRATEGY_COMMANDS in platform.hellos[0].capabilities

    async def told(request_id, action, *, epoch=None):
        epoch = platform.register.epoch if epoch is None else epoch
        platform.send(
            StrategyCommand(
                request_id=request_id, strategy_id="cross", action=action, stop_epoch=epoch, expires_ms=60_000
            )
        )
        return await platform.hears(lambda m: isinstance(m, StrategyResult) and m.request_id == request_id)

    paused = await told("p", StrategyAction.PAUSE)
    assert (paused.status, paused.strategy_status) == (ResultStatus.APPLIED, StrategyState.PAUSED)
    await platform.hears(lambda m: isinstance(m, StrategyStatusReport) and m.status is StrategyState.PAUSED)
    await trio.sleep(1.5)
    sent = await orders_sent(broker)  # what rests at the broker may still be filled
    await trio.sleep(2.0)
    assert await orders_sent(broker) == sent
    count = sum(filled(m) for m in platform.heard)
    platform.stop("one", level=Level.HALT)
    await platform.hears_phase(P.VERIFIED, "one")
    held = await told("r1", StrategyAction.RESUME)
    assert (held.error, held.strategy_status) == ("error_stopped", StrategyState.PAUSED)
    decided_before = platform.register.epoch
    platform.release("one", resume=False)
    late = await told("r2", StrategyAction.RESUME, epoch=decided_before)
    assert (late.status, late.error) == (ResultStatus.FAILED, "error_stale_epoch")
    resumed = await told("r3", StrategyAction.RESUME)
    assert (resumed.status, resumed.strategy_status) == (ResultStatus.APPLIED, StrategyState.ACTIVE)
    await hears_fills(platform, count + 1)


async def test_parameters_are_applied_between_ticks_and_echoed_and_a_stale_epoch_is_refused(
    platform, broker, start_engine
):
    await start_engine(broker)
    await platform.hears(lambda m: isinstance(m, Positions) and m.synced)

    def update(request_id, parameters, *, version, base, epoch=0):
        return ParameterUpdate(
            request_id=request_id,
            strategy_id="cross",
            parameters=parameters,
            version=version,
            base_version=base,
            stop_epoch=epoch,
            expires_ms=60_000,
        )

    async def answer(request_id):
        return await platform.hears(lambda m: isinstance(m, ParameterResult) and m.request_id == request_id)

    platform.send(update("r1", {"maxPositionSize": 8, "takeProfitPercent": 0.5}, version=1, base=0))
    applied = await answer("r1")
    assert (applied.status, applied.version) == (ResultStatus.APPLIED, 1)
    assert applied.parameters["maxPositionSize"] == 8
    assert applied.parameters["shortWindow"] == 3
    platform.send(update("r2", {"maxPositionSize": 8.5}, version=2, base=1))
    assert (await answer("r2")).error == "error_invalid_parameters"
    platform.send(update("r3", {"nonsense": 1}, version=2, base=1))
    assert (await answer("r3")).error == "error_unknown_parameter"
    platform.stop(level=Level.HALT)
    await platform.hears_phase(P.VERIFIED)
    platform.send(update("r4", {"maxPositionSize": 4}, version=2, base=1, epoch=0))
    refused = await answer("r4")
    assert (refused.error, refused.version, refused.parameters["maxPositionSize"]) == ("error_stale_epoch", 1, 8)


async def test_the_lease_runs_out_when_the_platform_goes_and_orders_are_cancelled_by_policy(
    platform, broker, start_engine, nursery
):
    platform.lease_ms, platform.expiry = 5_000, LeaseExpiry(cancel_after_ms=1_000)
    await start_engine(broker)
    await hears_fills(platform, 3)
    port = int(platform.address.rpartition(":")[2])
    platform.scope.cancel()
    await trio.sleep(5.6)
    sent = await orders_sent(broker)
    await trio.sleep(3.0)
    assert await orders_sent(broker) == sent
    platform.scope = trio.CancelScope()
    since = len(platform.heard)
    await nursery.start(partial(platform.run, port=port))
    local = await platform.hears(lambda m: isinstance(m, LocalStop), within=platform.found_again, since=since)
    assert (local.level, local.cause) == (Level.CANCEL, LocalStopCause.LEASE_EXPIRED)
    await platform.hears_phase(P.VERIFIED, local.id, since=since)
    assert platform.hellos[-1].stops[0].stop_id == local.id


async def test_a_sentinel_file_stops_the_engine_and_is_put_away(platform, broker, start_engine, tmp_path):
    await start_engine(broker)
    await hears_fills(platform, 2)
    sentinel = tmp_path / "state" / "STOP"
    put(sentinel, "cancel please")
    local = await platform.hears(lambda m: isinstance(m, LocalStop))
    assert (local.level, local.cause) == (Level.CANCEL, LocalStopCause.SENTINEL)
    await platform.hears_phase(P.VERIFIED, local.id)
    await platform.until(lambda: not sentinel.exists(), within=60.0)


async def test_a_stop_file_that_is_a_folder_or_written_anew_stops_and_never_restarts_its_watch(
    platform, broker, start_engine, tmp_path
):
    await start_engine(broker)
    await hears_fills(platform, 2)
    sentinel = tmp_path / "state" / "STOP"
    (tmp_path / "state" / "STOP.taken").write_text("an earlier one")
    put(sentinel, "HALT")
    first = await platform.hears(lambda m: isinstance(m, LocalStop))
    put(sentinel, "CANCEL")
    second = await platform.hears(lambda m: isinstance(m, LocalStop) and m.id != first.id)
    assert (first.level, second.level) == (Level.HALT, Level.CANCEL)
    await platform.until(lambda: not sentinel.exists(), within=60.0)
    sentinel.mkdir()
    third = await platform.hears(lambda m: isinstance(m, LocalStop) and m.level is Level.FLATTEN)
    await platform.hears_phase(P.VERIFIED, third.id)
    await platform.until(lambda: not sentinel.exists(), within=60.0)
    told = [m.id for m in platform.heard if isinstance(m, LocalStop)]
    assert told == [first.id, second.id, third.id]


async def test_an_order_whose_answer_is_lost_is_found_by_reconciliation_and_never_sent_again(
    platform, broker, start_engine
):
    await broker.faults(gateway_timeouts=2, gateway_executes=True)
    await start_engine(broker)
    lost = await platform.hears(lambda m: isinstance(m, OrderUpdate) and m.status is OrderStatus.UNKNOWN)
    found = await platform.hears(
        lambda m: isinstance(m, OrderUpdate) and m.order_id == lost.order_id and m.broker_order_id
    )
    assert found.status is not OrderStatus.REJECTED
    numbers = [m.broker_order_id for m in platform.heard if isinstance(m, OrderUpdate) and m.order_id == lost.order_id]
    assert len({n for n in numbers if n}) == 1


@pytest.mark.deep
async def test_an_order_the_gateway_lost_is_given_up_and_its_symbol_trades_on(platform, broker, start_engine):
    await broker.faults(gateway_timeouts=1, gateway_executes=False)
    await start_engine(broker)
    lost = await platform.hears(lambda m: isinstance(m, OrderUpdate) and m.status is OrderStatus.UNKNOWN)
    given_up = await platform.hears(
        lambda m: (
            isinstance(m, OrderUpdate)
            and m.order_id == lost.order_id
            and m.status in (OrderStatus.REJECTED, OrderStatus.CANCELLED)
        ),
        within=90,
    )
    assert given_up.filled == 0


@pytest.mark.deep
async def test_fills_whose_notices_are_dropped_are_booked_by_reconciliation(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 1)
    await broker.faults(drop_notices=True)
    since = len(platform.heard)
    await trio.sleep(4.0)
    platform.stop()
    await platform.hears_phase(P.VERIFIED, since=since, within=60)
    await broker.faults()


async def test_a_balance_that_cannot_be_read_is_unknown_and_never_flat(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 3)
    await broker.faults(empty_balance=True)
    platform.stop()
    unknown = await platform.hears(
        lambda m: getattr(m, "stop_id", "") == "x" and "not read:" in (m.flatness_reason or "")
    )
    assert unknown.flatness is Flatness.UNKNOWN
    await trio.sleep(2.0)
    assert P.VERIFIED not in platform.phases()
    await broker.faults()
    await platform.hears_phase(P.VERIFIED)


async def test_positions_that_cannot_be_closed_because_the_market_is_closed_are_a_residual(
    platform, broker, start_engine
):
    await start_engine(broker)
    await hears_fills(platform, 3)
    await broker.faults(closed=True)
    platform.stop()
    failed = await platform.hears_phase(P.FAILED)
    assert failed.residuals
    assert all(r.reason == "the market is closed" and r.until is not None for r in failed.residuals)
    await platform.hears(lambda m: isinstance(m, ErrorReport) and m.code == "error_positions_blocked")
    await broker.faults()
    platform.stop("again")
    await platform.hears_phase(P.VERIFIED, "again")


@pytest.mark.deep
async def test_the_stream_ends_and_the_engine_reconciles_before_it_trades_again(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 2)
    since = len(platform.heard)
    await broker.admin("/sim/disconnect", {})
    await platform.hears(lambda m: isinstance(m, ErrorReport) and m.code == "error_broker_unavailable", since=since)
    await platform.hears(lambda m: isinstance(m, TradeLog) and "in step" in m.message, since=since)
    await hears_fills(platform, 1, since=since)


@pytest.mark.deep
async def test_an_expired_token_is_renewed_once_and_nothing_else_happens(platform, broker, start_engine):
    await start_engine(broker)
    await hears_fills(platform, 2)
    await broker.admin("/sim/expire-token", {"account": broker.keys["account"]})
    since = len(platform.heard)
    await trio.sleep(3.0)
    assert not any(isinstance(m, OrderUpdate) and m.status is OrderStatus.UNKNOWN for m in platform.heard[since:])


async def test_a_killed_engine_with_a_latched_stop_returns_stopped_and_finishes_its_work(
    platform, broker, engine_process, write_files
):
    config = write_files(f"http://{platform.address}", broker)
    async with engine_process(config) as process:
        await hears_fills(platform, 3)
        platform.stop()
        await platform.hears_phase(P.FROZEN)
        await platform.hears(lambda m: getattr(m, "latched", False))
        process.kill()
    hellos = len(platform.hellos)
    platform.register = type(platform.register)()  # this platform lost its memory: the engine's latch must do
    async with engine_process(config):
        await platform.until(lambda: len(platform.hellos) > hellos, within=platform.found_again)
        hello = platform.hellos[-1]
        assert hello.latch is LatchState.PRESENT
        assert [(s.stop_id, s.level) for s in hello.stops] == [("x", Level.FLATTEN)]
        await platform.hears_phase(P.VERIFIED, since=0)


async def test_an_engine_that_starts_on_a_full_disk_is_there_opens_nothing_and_closes_what_it_holds(
    platform, broker, engine_process, write_files
):
    config = write_files(f"http://{platform.address}", broker)
    async with engine_process(config):
        await hears_fills(platform, 3)
    since = len(platform.heard)
    async with engine_process(config) as process:
        none, hard = 0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (none, hard))  # long before it has written anything
        report = await platform.hears(lambda m: isinstance(m, ErrorReport) and "latch" in m.reason, since=since)
        assert (report.code, report.severity) == ("error_storage", Severity.CRITICAL)
        before = len(await orders_sent(broker))
        await platform.hears(lambda m: isinstance(m, Positions) and m.synced, since=since)
        held = await platform.hears(
            lambda m: isinstance(m, StrategyStatusReport) and m.trading_state is TradingState.HALTED, since=since
        )
        assert held.id == "cross"
        await trio.sleep(3.0)
        assert len(await orders_sent(broker)) == before
        platform.stop()
        frozen = await platform.hears_phase(P.FROZEN)
        assert not frozen.latched
        await platform.hears(lambda m: isinstance(m, Positions) and not m.items and not m.open_orders, since=since)
        assert P.VERIFIED not in platform.phases()
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await platform.hears_phase(P.VERIFIED)
        count = sum(filled(m) for m in platform.heard)
        platform.release("x")
        await hears_fills(platform, count + 1)


async def test_a_wrong_secret_is_one_clear_line_and_the_engine_stays_halted(
    platform, broker, engine_process, write_files, tmp_path
):
    config = write_files(f"http://{platform.address}", broker, secret="wrong")
    async with engine_process(config) as process:
        log = tmp_path / "engine.log"
        await platform.until(lambda: "refuses this engine" in log.read_text(), within=90)
        assert process.poll() is None
    assert await broker.log() == []
