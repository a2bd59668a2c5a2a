"""What every engine gets, whichever driver it uses: the same story over trio, asyncio and a thread."""

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import groupby

import pytest

from wire.errors import InvalidField
from wire.messages import (
    REDUCED_RELEASES,
    Account,
    Auth,
    ConfigChanged,
    EmergencyStop,
    ErrorReport,
    Fill,
    Goodbye,
    HealthUpdate,
    LocalStop,
    ParameterResult,
    Positions,
    StrategyCommand,
    StrategyResult,
    StrategyStatusReport,
    TradeLog,
)
from wire.parts import Reduced
from wire.sdk import ConfigurationError, GateClosed, Level, Scope
from wire.session import CloseLink
from wire.values import (
    Flatness,
    LatchState,
    LocalStopCause,
    ResultStatus,
    StopPhase,
    StrategyAction,
    StrategyState,
    TradingState,
)

P = StopPhase


@pytest.fixture(autouse=True)
def _nobody_breaks_the_protocol(platform):
    yield
    assert not [m for m in platform.heard if isinstance(m, CloseLink)]


def test_an_engine_trades_only_after_the_platform_gave_it_a_lease(engine, platform, order):
    platform.lease_ms = 0
    alpha = engine()
    platform.until(lambda: platform.hellos)
    assert platform.hellos[0].strategies[0].parameters == {"size": 10, "edge": 1.0}
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))
    platform.lease_ms = 15_000
    alpha.wait_open()
    alpha.do(order()("o1"))
    told = platform.hears(StrategyStatusReport, lambda s: s.trading_state is TradingState.NORMAL)
    assert told.id == "ma"


def test_what_an_engine_tells_arrives_once_and_what_is_wrong_is_never_spooled(engine, platform):
    alpha = engine()
    log_id = alpha.do(lambda link: link.trade_log("Trade", "BUY 005930", reason="averages crossed", symbol="005930"))
    fill = {"strategy_id": "ma", "symbol": "005930", "side": "buy", "quantity": 3, "price": 71_800}
    alpha.do(lambda link: link.fill("o1", **fill, fill_id="f1"))
    alpha.do(lambda link: link.health(cpu_usage=12.5, memory_usage=3.0))
    for wrong, field in (
        (lambda link: link.trade_log("Trade", "BUY"), "reason"),
        (lambda link: link.trade_log("Gossip", "x"), "category"),
        (lambda link: link.fill("o1", **{**fill, "price": 71_800.0}), "price"),
        (lambda link: link.fill("o1", **{**fill, "quantity": 0}), "quantity"),
        (lambda link: link.health(cpu_usage=float("nan")), "cpu_usage"),
        (lambda link: link.error("oops", category="risk", reason="r"), "code"),
        (lambda link: link.trade_log("System", "x", timestamp=datetime(2026, 11, 20)), "timestamp"),
        (lambda link: link.fill("o1", **fill, at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))), "at"),
        (lambda link: link.stop("halt", "r"), "level"),
        (lambda link: link.stop("HALT", "r", cause="whim"), "cause"),
        (lambda link: link.broker_token("stale"), "broker_token"),
        (lambda link: link.check("o1", symbol="005930", side="hold", quantity=1), "side"),
        (lambda link: link.check("o1", symbol="005930", side="buy", quantity=1.5), "remaining"),
    ):
        with pytest.raises(InvalidField) as refused:
            alpha.do(wrong)
        assert refused.value.field == field
    heard = platform.hears(TradeLog, lambda m: m.id == log_id)
    assert heard.reason == "averages crossed"
    assert platform.hears(Fill, lambda m: m.id == "f1").price == 71_800
    assert platform.hears(HealthUpdate).cpu_usage == 12.5
    assert len([m for m in platform.heard if isinstance(m, TradeLog) and m.id == log_id]) == 1


def test_text_that_is_no_utf_8_is_told_with_a_sign_in_its_place_and_holds_up_no_stop(engine, platform):
    alpha = engine()
    log_id = alpha.do(lambda link: link.trade_log("System", "a\ud800\x00b"))
    assert platform.hears(TradeLog, lambda m: m.id == log_id).message == "a\ufffd\ufffdb"
    stop_id = alpha.do(lambda link: link.stop("HALT", "the file \udcff is gone"))
    assert platform.hears(LocalStop, lambda m: m.id == stop_id).reason == "the file \ufffd is gone"


def test_the_account_is_read_and_shown(engine, platform, account):
    account.positions["005930"] = 5
    engine()
    shown = platform.hears(Positions, lambda m: m.synced and m.items)
    assert [(i.symbol, i.quantity, i.average_price) for i in shown.items] == [("005930", 5, Decimal(1000))]
    assert platform.hears(Account).equity == 1_000_000


def test_parameters_are_applied_and_the_answer_says_what_is_in_force(engine, platform):
    alpha = engine()
    platform.until(lambda: platform.is_linked)
    platform.update("ma", request_id="r1", version=1, size=80)
    answer = platform.hears(ParameterResult, lambda r: r.request_id == "r1")
    assert (answer.status, answer.parameters, answer.version) == (ResultStatus.APPLIED, {"size": 50, "edge": 1.0}, 1)
    assert alpha.values == [{"size": 80, "edge": 1.0}]
    for request, version, changes, code in (
        ("r2", 2, {"size": 1000}, "error_invalid_parameters"),
        ("r3", 2, {"leverage": 2}, "error_unknown_parameter"),
        ("r4", 2, {"size": 66}, "error_strategy_refused"),
        ("r5", 1, {"size": 3}, "error_stale_version"),
    ):
        platform.update("ma", request_id=request, version=version, base=7, **changes)
        answer = platform.hears(ParameterResult, lambda r, request=request: r.request_id == request)
        assert (answer.status, answer.error) == (ResultStatus.FAILED, code)
        assert answer.parameters == {"size": 50, "edge": 1.0}
        assert "secret" not in (answer.reason or "")
    platform.update("nobody", request_id="r6", version=1, size=3)
    assert platform.hears(ParameterResult, lambda r: r.request_id == "r6").error == "error_unknown_strategy"
    engine.stop(alpha)
    again = engine()
    assert again.do(lambda link: link.parameters("ma")) == {"size": 50, "edge": 1.0}
    platform.until(lambda: len(platform.hellos) == 2)
    assert platform.hellos[1].strategies[0].version == 1


def test_a_stop_closes_the_gate_cancels_closes_and_is_verified(engine, platform, account, order):
    account.positions["005930"] = 7
    account.orders["o9"] = ("000660", 2)
    alpha = engine()
    alpha.wait_open()
    platform.stop("x", level=Level.FLATTEN)
    frozen = platform.phase(P.FROZEN, "x")
    assert frozen.in_flight == 0
    with pytest.raises(GateClosed):
        alpha.do(order(side="sell")("o1"))
    done = platform.phase(P.VERIFIED, "x")
    assert (done.orders_cancelled, done.orders_remaining) == (1, 0)
    assert (done.positions_liquidated, done.positions_remaining, done.flatness) == (1, 0, Flatness.FLAT)
    assert done.latched
    assert {(str(f.scope), f.level) for f in account.frozen} == {("all", Level.FLATTEN)}
    assert (account.positions["005930"], account.orders) == (0, {})
    seen = [m.phase for m in platform.heard if hasattr(m, "phase") and m.stop_id == "x"]
    steps = [p for n, p in enumerate(seen) if p not in seen[:n] and p is not P.CANCELLED]  # one read may show both
    assert steps == [P.FROZEN, P.FLATTENED, P.VERIFIED]
    platform.release("x")
    alpha.wait_open()
    alpha.do(order()("o2"))


def test_what_slices_an_order_ends_in_the_step_in_which_the_gate_closes(engine, platform):
    """A slicer is ended by ``on_freeze``: by then the gate is closed, and nobody has been told so yet."""
    seen, running = [], []

    def end_slicing(link):
        def ended(freeze):
            said = [m for m in platform.heard if getattr(m, "phase", None) is P.FROZEN]
            seen.append((running.pop(), link.why_closed("ma", "005930"), freeze.level, freeze.reason, len(said)))

        return ended

    alpha = engine(set_up=lambda link, _: link.on_freeze(end_slicing(link)))
    alpha.wait_open()
    running.append("slice 1 of 5")
    platform.stop("x", level=Level.CANCEL)
    platform.phase(P.VERIFIED, "x")
    assert seen == [("slice 1 of 5", "stopped at CANCEL", Level.CANCEL, "practice", 0)]


def test_a_stop_that_comes_after_its_release_is_acknowledged_and_not_executed(engine, platform, account, order):
    alpha = engine()
    alpha.wait_open()
    platform.stop("x", level=Level.FLATTEN)
    stopped = platform.phase(P.VERIFIED, "x")
    platform.release("x")
    alpha.wait_open()
    account.positions["005930"], frozen = 5, len(account.frozen)
    platform.send(
        EmergencyStop(
            stop_id="x",
            stop_epoch=stopped.stop_epoch,
            scope=Scope.everything(),
            level=Level.FLATTEN,
            proof="",
            timeout_ms=30_000,
            reason="from an old outbox",
            user_id="tester",
        )
    )
    answer = platform.phase(P.SUPERSEDED, "x")
    assert (answer.positions_liquidated, answer.flatness) == (0, Flatness.UNKNOWN)
    platform.until(lambda: platform.unacked == 0)
    reads = account.reads
    platform.until(lambda: account.reads > reads + 2)
    assert (account.positions["005930"], len(account.frozen)) == (5, frozen)
    alpha.do(order()("o1"))


def test_a_flatten_that_was_cut_off_by_a_restart_is_finished_and_nothing_is_sold_twice(engine, platform, account):
    account.positions.update({"005930": 7, "000660": 4})
    sold = []

    def slowly(closings):  # one position a call; the process ends after the first
        account.flatten(closings[:1])
        sold.extend((c.symbol, c.quantity) for c in closings[:1])

    def slow_hands(link, _):
        link.broker(read_account=account.read, cancel_all=account.cancel_all, flatten=slowly)

    alpha = engine(set_up=slow_hands)
    alpha.wait_open()
    platform.stop("x", level=Level.FLATTEN)
    platform.until(lambda: sold)
    engine.stop(alpha)
    left = {s for s, q in account.positions.items() if q}
    since = len(platform.heard)
    again = engine(set_up=slow_hands)
    assert again.do(lambda link: link.level()) is Level.FLATTEN
    done = platform.phase(P.VERIFIED, "x", since=since)
    assert (done.flatness, done.positions_remaining) == (Flatness.FLAT, 0)
    assert sorted(sold) == [("000660", 4), ("005930", 7)]
    assert len(left) <= 1
    assert [s.stop_id for s in platform.hellos[1].stops] == ["x"]
    platform.release("x")
    again.wait_open()
    account.positions["005930"] = 3
    engine.stop(again)
    engine(set_up=slow_hands).wait_open()
    assert (account.positions["005930"], len(sold)) == (3, 2)  # released is released, in the next process too


def test_after_a_release_with_reduced_limits_only_small_orders_leave(engine, platform, account):
    alpha = engine()
    alpha.wait_open()
    assert REDUCED_RELEASES in platform.hellos[0].capabilities
    platform.stop("x", level=Level.HALT)
    platform.phase(P.VERIFIED, "x")
    platform.release("x", reduced=Reduced(for_ms=60_000, max_order_value=10_000))
    alpha.wait_open()
    order = {"symbol": "005930", "side": "buy", "strategy_id": "ma"}
    with pytest.raises(GateClosed, match="value is not known"):
        alpha.do(lambda link: link.check("o1", **order, quantity=1))
    with pytest.raises(GateClosed, match="more than 10,000"):
        alpha.do(lambda link: link.check("o2", **order, quantity=3, price=5_000))
    alpha.do(lambda link: link.check("o3", **order, quantity=2, price=5_000))


def test_closing_orders_pass_only_after_the_stop_and_never_open_anything(engine, platform, account, order):
    account.positions["005930"] = 7
    alpha = engine(set_up=lambda link, _: link.broker(read_account=account.read))
    alpha.wait_open()

    def closing(order_id, **changes):
        order = {"symbol": "005930", "side": "sell", "quantity": 7, "strategy_id": "ma", **changes}
        return lambda link: link.check(order_id, **order, closing=True)

    with pytest.raises(GateClosed, match="no stop asks"):
        alpha.do(closing("c1"))
    platform.stop("x", level=Level.FLATTEN)
    platform.phase(P.FROZEN, "x")
    for changes in ({"side": "buy"}, {"quantity": 8}, {"symbol": "000660"}, {"strategy_id": "other"}):
        with pytest.raises(GateClosed, match="can be reduced"):
            alpha.do(closing("c2", **changes))
    alpha.do(closing("c3"))
    for _ in range(3):  # however often the account is read: its fate is open
        reads = account.reads
        platform.until(lambda reads=reads: account.reads > reads + 1)
        with pytest.raises(GateClosed, match="only 0 shares"):
            alpha.do(closing("c4"))
    alpha.do(lambda link: link.settle("c3"))
    with pytest.raises(GateClosed, match="only 0 shares"):
        alpha.do(closing("c4"))
    platform.until(lambda: _passes(alpha, closing("c5")))  # refused by the broker: it still holds the shares


def _passes(engine, act):
    try:
        engine.do(act)
    except GateClosed:
        return False
    return True


def test_a_request_in_flight_is_told_and_waited_for(engine, platform, account, order):
    alpha = engine()
    alpha.wait_open()
    alpha.do(order()("o1"))
    platform.stop("x", level=Level.CANCEL)
    assert platform.phase(P.FROZEN, "x").in_flight == 1
    reads = account.reads
    platform.until(lambda: account.reads > reads + 3)
    assert not [m for m in platform.heard if getattr(m, "phase", None) is P.CANCELLED]
    alpha.do(lambda link: link.settle("o1"))
    platform.phase(P.VERIFIED, "x")


def test_a_request_whose_answer_is_lost_is_told_by_a_later_read(engine, platform, account, order):
    alpha = engine()
    alpha.wait_open()
    sent = {"symbol": "005930", "side": "buy", "quantity": 1, "strategy_id": "ma"}

    def lose(link):
        with pytest.raises(ConnectionError), link.sending("o1", **sent):
            raise ConnectionError

    alpha.do(lose)
    platform.stop("x", level=Level.CANCEL)
    assert platform.phase(P.FROZEN, "x").in_flight == 1
    platform.phase(P.VERIFIED, "x")


@pytest.mark.parametrize("level", [Level.CANCEL, Level.FLATTEN])
def test_an_engine_without_handlers_halts_and_never_claims_more(engine, platform, level, order):
    alpha = engine(set_up=lambda link, _: link.broker())
    platform.until(lambda: platform.is_linked)
    with pytest.raises(GateClosed, match="no live lease"):
        alpha.do(order()("o0"))
    alpha.do(lambda link: link.reconciled())
    alpha.wait_open()
    platform.stop("halt", level=Level.HALT)
    assert platform.phase(P.VERIFIED, "halt").latched
    platform.stop("x", level=level)
    failed = platform.phase(P.FAILED, "x")
    assert (failed.error, failed.flatness) == ("error_not_supported", Flatness.UNKNOWN)
    platform.until(lambda: any(getattr(m, "latched", False) and m.stop_id == "x" for m in platform.heard))
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))
    assert not [m for m in platform.heard if getattr(m, "phase", None) is P.VERIFIED and m.stop_id == "x"]
    assert platform.hears(ErrorReport, lambda e: e.code == "error_not_supported").degraded


def test_what_cannot_be_cancelled_fails_until_a_person_did_it_and_the_broker_shows_it(engine, platform, account):
    account.orders["o9"] = ("000660", 2)
    engine(set_up=lambda link, _: link.broker(read_account=account.read)).wait_open()
    platform.stop("x", level=Level.CANCEL)
    failed = platform.phase(P.FAILED, "x")
    assert (failed.error, failed.orders_remaining) == ("error_not_supported", 1)
    account.orders.clear()
    platform.phase(P.VERIFIED, "x")


def test_a_broker_that_cannot_be_read_proves_nothing(engine, platform, account):
    account.positions["005930"] = 7
    engine().wait_open()
    account.broken = True
    platform.stop("x", level=Level.FLATTEN, timeout_ms=700)
    late = platform.phase(P.TIMED_OUT, "x")
    assert (late.flatness, late.flatness_reason) == (Flatness.UNKNOWN, "the account was not read: ConnectionError")
    account.broken = False
    assert platform.phase(P.VERIFIED, "x").flatness is Flatness.FLAT
    assert not [m for m in platform.heard if "secret-in" in repr(m)]


def test_the_stop_file_stops_without_a_platform_and_needs_a_release(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    alpha.put_stop_file("HALT")
    local = platform.hears(LocalStop)
    assert (local.level, local.cause) == (Level.HALT, LocalStopCause.SENTINEL)
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))
    platform.phase(P.VERIFIED, local.id)
    platform.until(lambda: not (alpha.folder / "STOP").exists())


def test_a_stricter_word_in_the_stop_file_is_heard_while_the_first_is_obeyed(engine, platform, account):
    account.positions["005930"] = 7
    alpha = engine()
    alpha.wait_open()
    alpha.put_stop_file("HALT")
    assert platform.hears(LocalStop).level is Level.HALT
    alpha.put_stop_file("FLATTEN")  # the file is still there, and is put away next
    flatten = platform.hears(LocalStop, lambda m: m.level is Level.FLATTEN)
    assert platform.phase(P.VERIFIED, flatten.id).flatness is Flatness.FLAT


def test_an_engine_may_stop_itself(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    for wrong in (lambda link: link.stop("NORMAL", "r"), lambda link: link.stop("HALT", " ")):
        with pytest.raises(InvalidField):
            alpha.do(wrong)
    stop_id = alpha.do(lambda link: link.stop("HALT", "the day's loss is over the limit"))
    assert platform.hears(LocalStop).id == stop_id
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))


def test_the_latch_outlives_the_process_and_boots_halted(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    platform.stop("x", level=Level.HALT)
    platform.phase(P.VERIFIED, "x")
    engine.stop(alpha)
    assert platform.hears(Goodbye).cause == "stopped"
    alpha = engine()
    with pytest.raises(GateClosed, match="HALT"):
        alpha.do(order()("o1"))
    platform.until(lambda: len(platform.hellos) == 2)
    hello = platform.hellos[1]
    assert ([s.stop_id for s in hello.stops], hello.latch) == (["x"], LatchState.PRESENT)
    platform.release("x")
    alpha.wait_open()


def test_a_corrupt_latch_halts_and_is_reported(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    platform.stop("x", level=Level.HALT)
    platform.phase(P.VERIFIED, "x")
    engine.stop(alpha)
    latch = alpha.folder / "latch.json"
    latch.write_bytes(latch.read_bytes()[:-9])
    alpha = engine(folder="state")
    assert alpha.do(lambda link: link.level()) is Level.HALT
    platform.until(lambda: len(platform.hellos) == 2)
    assert platform.hellos[1].latch is LatchState.CORRUPT
    assert platform.hears(LocalStop).cause is LocalStopCause.RISK
    assert latch.with_suffix(".corrupt").exists()


def test_a_lost_lease_halts_then_cancels_and_that_needs_a_release(engine, platform, account, order):
    platform.lease_ms = 600
    platform.expiry = type(platform.expiry)(cancel_after_ms=300, flatten_after_ms=None)
    account.orders["o9"] = ("000660", 2)
    alpha = engine()
    alpha.wait_open()
    platform.lease_ms = 0
    stopped = platform.hears(LocalStop)
    assert (stopped.cause, stopped.level) == (LocalStopCause.LEASE_EXPIRED, Level.CANCEL)
    levels = [f.level for f in account.frozen]
    assert [level for level, _ in groupby(levels)] == [Level.HALT, Level.CANCEL]  # on a slow machine it halts twice
    platform.phase(P.VERIFIED, stopped.id)
    assert account.orders == {}
    platform.lease_ms = 15_000
    with pytest.raises(GateClosed, match="CANCEL"):
        alpha.do(order()("o1"))


def test_what_was_said_while_the_platform_was_away_arrives_afterwards(engine, platform, monkeypatch):
    monkeypatch.setattr("wire.sdk.dialling.reconnect_delay", lambda _attempt, *, resumable, rng: 1.0)  # not sooner
    alpha = engine()
    platform.until(lambda: platform.is_linked)
    platform.cut()
    platform.until(lambda: not platform.is_linked or len(platform.hellos) == 2)
    ids = [alpha.do(lambda link, n=n: link.trade_log("System", f"line {n}")) for n in range(20)]
    platform.until(lambda: len(platform.hellos) == 2)
    platform.hears(TradeLog, lambda m: m.id == ids[-1])
    heard = [m.id for m in platform.heard if isinstance(m, TradeLog) and m.id in ids]
    assert heard == ids


def test_the_outbox_survives_a_process_that_never_met_the_platform(engine, platform, tmp_path):
    nowhere = tmp_path / "nowhere.json"
    plain = json.loads((tmp_path / "engine.json").read_text())
    nowhere.write_text(json.dumps({**plain, "platform_url": "http://127.0.0.1:9"}))
    nowhere.chmod(0o600)
    alpha = engine(credential=nowhere, fsync="always")
    log_id = alpha.do(lambda link: link.trade_log("System", "nobody hears this yet"))
    engine.stop(alpha)
    engine()
    platform.hears(TradeLog, lambda m: m.id == log_id)


def test_the_configuration_comes_at_the_welcome_and_when_it_changes(engine, platform):
    seen = []
    engine(set_up=lambda link, _: link.on_config(seen.append))
    platform.until(lambda: seen)
    assert (seen[0].config_version, seen[0].account_id) == (1, "A1")
    platform.config = {**platform.config, "config_version": 2, "risk_limits": {"max_orders": 3}}
    platform.send(ConfigChanged(config_version=2))
    platform.until(lambda: len(seen) == 2)
    assert seen[1].risk_limits == {"max_orders": 3}


def test_a_platform_that_refuses_the_secret_leaves_the_engine_halted(engine, platform, tmp_path, order):
    wrong = platform.credential(tmp_path / "wrong.json")
    wrong.write_text(wrong.read_text().replace('"secret": "', '"secret": "x'))
    alpha = engine(credential=wrong)
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))
    platform.until(lambda: "does not want" in (alpha.do(lambda link: link.why_closed()) or ""))


def test_the_token_is_renewed_on_the_link_that_stands(engine, platform):
    platform.token_lives = 1.0
    engine()
    platform.hears(Auth)
    assert len(platform.hellos) == 1


def test_a_strategy_is_paused_and_resumed(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    for n, (action, status) in enumerate((("pause", StrategyState.PAUSED), ("resume", StrategyState.ACTIVE))):
        command = StrategyCommand(
            request_id=f"r{n}", strategy_id="ma", action=StrategyAction(action), stop_epoch=0, expires_ms=10_000
        )
        platform.send(command)
        told = platform.hears(StrategyResult, lambda r, n=n: r.request_id == f"r{n}")
        assert told.strategy_status is status
        if status is StrategyState.PAUSED:
            with pytest.raises(GateClosed, match="paused"):
                alpha.do(order()("o1"))
        else:
            alpha.do(order()("o2"))


def test_another_platform_than_its_own_gives_no_lease_but_its_stops_count(engine, platform, order):
    alpha = engine()
    alpha.wait_open()
    platform.platform_id = "somebody-else"
    platform.cut()
    platform.until(lambda: len(platform.hellos) == 2)
    platform.until(lambda: "own platform" in (alpha.do(lambda link: link.why_closed()) or ""))
    with pytest.raises(GateClosed):
        alpha.do(order()("o1"))
    platform.update("ma", request_id="r1", version=1, size=80)
    assert platform.hears(ParameterResult).error == "error_foreign_platform"
    assert alpha.values == []
    platform.stop("x", level=Level.HALT)
    platform.phase(P.VERIFIED, "x")


def test_two_processes_never_share_a_folder_and_a_closed_link_says_so(engine, platform, driver):
    alpha = engine()
    with pytest.raises(ConfigurationError, match="another process"):
        engine()
    engine.stop(alpha)
    with pytest.raises(ConfigurationError, match="not open"):
        alpha.link.trade_log("System", "too late")


def test_a_callback_that_fails_stops_nothing(engine, platform):
    def fail(_freeze):
        raise RuntimeError("secret-in-an-exception")

    engine(set_up=lambda link, _: link.on_freeze(fail)).wait_open()
    platform.stop("x", level=Level.HALT)
    platform.phase(P.VERIFIED, "x")
    assert platform.hears(ErrorReport).code == "error_freeze_callback"
    assert "secret" not in platform.hears(ErrorReport).reason
