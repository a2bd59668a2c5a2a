"""What only a synchronous engine can do wrong: wait in the wrong place, hang in a handler, call from anywhere."""

import sys
import threading
import time

import pytest

from wire.messages import ErrorReport, ParameterResult
from wire.sdk import ConfigurationError, GateClosed, Level, Reading, WorkingAtBroker
from wire.sdk.threads import EngineLink, LinkStalled
from wire.values import ResultStatus, StopPhase

P = StopPhase
PATIENCE = 60.0


@pytest.fixture
def link(platform, tmp_path):
    credential = platform.credential(tmp_path / "engine.json")
    link = EngineLink(credential, tmp_path / "state", name="Threaded", health_every=None, read_every=0.1)
    link.strategy("ma", name="Averages")
    link.broker(read_account=Reading)
    return link


def buy(link, order_id="o1"):
    link.check(order_id, symbol="005930", side="buy", quantity=1, strategy_id="ma")


def test_a_link_that_does_not_answer_is_a_closed_gate_and_the_order_is_never_counted(link, platform):
    blocked, go_on = threading.Event(), threading.Event()
    with link:
        link.wait_open(timeout=PATIENCE)
        link.patience = 0.2
        link._loop.call_soon_threadsafe(lambda: (blocked.set(), go_on.wait(PATIENCE)))
        assert blocked.wait(PATIENCE)
        with pytest.raises(LinkStalled) as stalled:
            buy(link)
        assert isinstance(stalled.value, GateClosed)
        go_on.set()
        link.patience = PATIENCE
        platform.stop("x", level=Level.HALT)
        assert platform.phase(P.FROZEN, "x").in_flight == 0


def test_a_handler_that_leaves_its_thread_has_failed_at_once_and_is_called_again(link, platform, monkeypatch):
    monkeypatch.setattr("wire.sdk.executor.HANDLER_TIMEOUT", 2 * PATIENCE)  # of one that hangs
    asked = []

    def cancel_all(orders):
        asked.append(orders)
        if len(asked) == 1:
            sys.exit(1)

    working = WorkingAtBroker(order_id="o1", symbol="005930", side="buy", remaining=1, price=900, strategy_id="ma")
    link.broker(read_account=lambda: Reading(orders=[] if len(asked) > 1 else [working]), cancel_all=cancel_all)
    with link:
        link.wait_open(timeout=PATIENCE)
        platform.stop("x", level=Level.CANCEL)
        assert platform.phase(P.VERIFIED, "x").orders_cancelled == 1
        assert "SystemExit" in platform.hears(ErrorReport, lambda e: e.code == "error_cancel_failed").reason


def test_a_handler_that_hangs_delays_no_stop(link, platform):
    hanging, hangs, go_on = threading.Event(), threading.Event(), threading.Event()

    def hang():
        if hanging.is_set():
            hangs.set()
            go_on.wait(2 * PATIENCE)
        return Reading()

    link.broker(read_account=hang)
    with link:
        link.wait_open(timeout=PATIENCE)
        hanging.set()
        assert hangs.wait(PATIENCE)  # a read is under way
        platform.stop("x", level=Level.HALT)
        assert platform.phase(P.VERIFIED, "x").latched
        assert not go_on.is_set()
        with pytest.raises(GateClosed, match="HALT"):
            buy(link)
        go_on.set()


def test_callbacks_run_in_the_links_thread_and_handlers_elsewhere(link, platform):
    where = {}

    def froze(_freeze):
        where["freeze"] = threading.current_thread()
        link.trade_log("System", "frozen, says the callback")
        with pytest.raises(ConfigurationError, match="must not wait"):
            link.wait_open(timeout=1.0)
        where["told"] = True

    def read():
        where["read"] = threading.current_thread()
        link.trade_log("System", "read, says the handler")
        return Reading()

    link.broker(read_account=read)
    link.on_freeze(froze)
    with link:
        link.wait_open(timeout=PATIENCE)
        platform.stop("x", level=Level.HALT)
        platform.phase(P.VERIFIED, "x")
    assert where["told"]
    assert where["freeze"] is link._thread
    assert where["read"] not in (link._thread, threading.current_thread())


def test_many_threads_may_trade_at_once_and_none_after_frozen(link, platform):
    passed, go_on = [], threading.Event()

    def trade(name):
        for n in range(10_000):
            if go_on.is_set():
                return
            try:
                with link.sending(f"{name}-{n}", symbol="005930", side="buy", quantity=1, strategy_id="ma"):
                    passed.append(time.monotonic())
            except GateClosed:
                continue

    with link:
        link.wait_open(timeout=PATIENCE)
        traders = [threading.Thread(target=trade, args=(f"t{n}",)) for n in range(4)]
        for trader in traders:
            trader.start()
        platform.until(lambda: passed)
        time.sleep(0.1)
        platform.stop("x", level=Level.HALT)
        frozen = platform.phase(P.VERIFIED, "x")
        count = len(passed)
        time.sleep(0.2)
        go_on.set()
        for trader in traders:
            trader.join(PATIENCE)
    assert count > 0
    assert len(passed) - count <= frozen.in_flight


def test_a_slow_apply_is_answered_as_busy_and_the_rest_goes_on(link, platform, monkeypatch):
    monkeypatch.setattr("wire.sdk.strategies.APPLY_TIMEOUT", 0.2)
    go_on = threading.Event()
    link.strategy("slow", name="Slow", apply=lambda values: go_on.wait(PATIENCE))
    with link:
        platform.until(lambda: platform.is_linked)
        platform.update("slow", request_id="r1", version=1)
        busy = platform.hears(ParameterResult, lambda r: r.request_id == "r1")
        assert (busy.status, busy.error) == (ResultStatus.FAILED, "error_strategy_busy")
        platform.update("ma", request_id="r2", version=1)
        assert platform.hears(ParameterResult, lambda r: r.request_id == "r2").status is ResultStatus.APPLIED
        go_on.set()


def test_waiting_has_an_end(link, platform):
    platform.lease_ms = 0
    with link, pytest.raises(TimeoutError):
        link.wait_open(timeout=0.3)


def test_the_configuration_can_be_asked_for(link, platform):
    with link:
        assert link.config(timeout=PATIENCE).account_id == "A1"
