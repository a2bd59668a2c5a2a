"""What an engine that shares its loop, and its threads, with the link can do to it."""

import asyncio
import threading

import pytest
import trio

from wire.messages import ErrorReport, LocalStop
from wire.sdk import Level
from wire.values import StopPhase

P = StopPhase


@pytest.mark.parametrize("driver", ["asyncio"])
def test_a_handler_that_waited_for_a_cancelled_task_has_failed_and_the_stop_goes_on(engine, platform, account):
    account.positions["005930"], account.orders["o1"] = 3, ("005930", 1)
    failed = []

    def set_up(link, _engine):
        async def cancel_all(orders):
            if not failed:
                failed.append(slicing := asyncio.create_task(asyncio.sleep(60)))
                slicing.cancel()
                await slicing
            account.cancel_all(orders)

        link.broker(read_account=account.read, cancel_all=cancel_all, flatten=account.flatten)

    alpha = engine(set_up=set_up)
    alpha.wait_open()
    platform.stop("x", level=Level.FLATTEN)
    assert platform.phase(P.VERIFIED, "x").orders_cancelled == 1
    assert "cancelled" in platform.hears(ErrorReport, lambda e: e.code == "error_cancel_failed").reason


@pytest.mark.parametrize("driver", ["asyncio"])
def test_a_callback_of_on_freeze_that_meets_a_cancelled_task_stops_nothing(engine, platform, account):
    def set_up(link, _engine):
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        link.on_freeze(lambda _freeze: cancelled.result())

    alpha = engine(set_up=set_up)
    alpha.wait_open()
    platform.stop("x", level=Level.HALT)
    assert platform.phase(P.VERIFIED, "x").latched
    assert platform.hears(ErrorReport, lambda e: e.code == "error_freeze_callback")


@pytest.mark.parametrize("driver", ["asyncio", "trio"])
def test_the_latch_and_the_stop_file_wait_for_no_thread_of_the_engine(engine, driver, platform):
    released = threading.Event()

    def occupy(_link):
        if driver == "trio":
            for _ in range(60):
                trio.lowlevel.spawn_system_task(trio.to_thread.run_sync, released.wait, 120)
        else:
            occupied.extend(asyncio.create_task(asyncio.to_thread(released.wait, 120)) for _ in range(60))

    occupied = []
    alpha = engine()
    alpha.wait_open()
    alpha.do(occupy)
    try:
        platform.stop("x", level=Level.HALT)
        assert platform.phase(P.VERIFIED, "x").latched
        alpha.put_stop_file("HALT")
        assert platform.hears(LocalStop).level is Level.HALT
        assert not released.is_set()
    finally:
        released.set()
