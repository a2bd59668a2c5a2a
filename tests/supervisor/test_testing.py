"""The test kit tests itself."""

import pytest
import trio
import trio.testing

from supervisor.backoff import Backoff
from supervisor.buggify import point
from supervisor.system import open_system
from supervisor.testing import Crash, EventLog, Ping, Probe, buggify, explore, no_leaks, schedule


async def order_of_four():
    order = []

    async def task(name):
        order.append(name)

    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(task, name)
    return "".join(order)


def test_seeds_reach_all_24_orders_of_four_tasks_and_each_is_repeatable():
    orders = explore(order_of_four, seeds=range(300))
    assert len(set(orders)) == 24
    assert orders == explore(order_of_four, seeds=range(300))


def test_the_jitter_of_a_restart_follows_the_seed_of_the_schedule_unless_the_system_has_its_own():
    async def delays(**options):
        log, seen = EventLog(), []
        child = log.child("a", backoff=Backoff(base=1.0, max_delay=9.0, jitter=1.0))
        async with open_system(children=[child], period=99.0, **options) as system:
            system.telemetry.observe(lambda report: seen.append(report.seconds) if report.seconds else None)
            for _ in range(2):
                system.ref("a").tell(Crash())
                await trio.sleep(20)
        return tuple(seen)

    first = explore(delays, seeds=range(3))
    assert first == explore(delays, seeds=range(3))
    assert len(set(first)) == 3
    assert len(set(explore(lambda: delays(seed=7), seeds=range(3)))) == 1


def test_the_scheduler_is_as_before_afterwards():
    from trio._core import _run

    before = (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate())
    with schedule(1):
        assert _run._ALLOW_DETERMINISTIC_SCHEDULING
        trio.run(order_of_four)
    assert (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()) == before


def test_a_failure_names_its_seed():
    async def fails():
        raise ValueError

    with pytest.raises(ValueError) as error:
        explore(fails, seeds=[7])
    assert error.value.__notes__ == ["schedule seed 7"]


async def test_a_point_costs_virtual_time_only_when_buggified(autojump_clock):
    for _ in range(50):
        await point("here")
    assert trio.current_time() == 0
    with buggify(1, rate=0.5, longest=1.0) as active:
        for _ in range(50):
            await point("here")
    assert 5 < trio.current_time() < 30
    assert 10 < active.hits["here"] < 40
    before = trio.current_time()
    await point("here")
    assert trio.current_time() == before


def test_an_event_log_shows_both_traces_when_they_differ():
    log = EventLog()
    log.add("+a")
    with pytest.raises(AssertionError, match=r"expected: \+b\nhappened: \+a"):
        log.expect("+b")
    log.expect("")


async def test_a_probe_expects_in_order_and_in_time(autojump_clock):
    async with open_system() as system:
        probe = await Probe.start(system)
        probe.ref.tell(1)
        probe.ref.tell("two")
        assert await probe.expect(int) == 1
        with pytest.raises(AssertionError, match="expected a int, got 'two'"):
            await probe.expect(int)
        with pytest.raises(AssertionError, match="no int within 3 s"):
            await probe.expect(int, within=3)
        assert trio.current_time() == 3
        probe.ref.tell(4)
        with pytest.raises(AssertionError, match="expected nothing, got 4"):
            await probe.expect_nothing(seconds=1)


async def test_no_leaks_notices_a_task_that_stays():
    async with trio.open_nursery() as nursery:
        with pytest.raises(AssertionError, match="1 tasks were left behind"), no_leaks():
            nursery.start_soon(trio.sleep_forever)
        nursery.cancel_scope.cancel()


async def test_the_schedule_fixture_runs_a_test_once_per_seed(schedule_seed, event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        assert await system.ref("a").ask(Ping()) == "a#1"
    assert schedule_seed in range(4)


async def test_the_leak_fixture_watches_a_whole_test(leak_check):
    await trio.lowlevel.checkpoint()


async def test_no_leaks_is_not_deceived_by_a_task_that_ended_meanwhile():
    async with trio.open_nursery() as nursery:
        over = trio.Event()
        nursery.start_soon(over.wait, name="old")
        await trio.testing.wait_all_tasks_blocked()

        async def swap():
            with no_leaks():
                over.set()
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(trio.sleep_forever, name="new")

        with pytest.raises(AssertionError, match="1 tasks were left behind: new"):
            await swap()
        nursery.cancel_scope.cancel()
