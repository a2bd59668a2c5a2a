"""Work is carried out alike on trio, in virtual time, and on asyncio: one job a lane, deadlines, and a clean end."""

import asyncio
import time

import pytest
import trio
import trio.testing

from wire.sdk import aio_driver, trio_driver
from wire.sdk.work import Job, Lane, Work


class Script(Lane):
    """Gives out these jobs one after another, each as soon as the lane is free."""

    def __init__(self, *jobs, gap=0.0):
        super().__init__()
        self.jobs = list(jobs)
        self.gap = gap
        self.due = 0.0
        self.outcomes = []
        self.at = []

    def next(self, now):
        if not self.jobs or now < self.due:
            return None
        self.due = now + self.gap
        self.at.append(now)
        work, options = self.jobs.pop(0)
        return Job(work=work, then=lambda outcome, _now: self.outcomes.append(outcome), **options)

    def deadline(self):
        return self.due if self.jobs and not self.busy else None


class Now:
    def __init__(self, now):
        self.now = now

    def wall(self):
        raise NotImplementedError


async def _inline(work):
    await trio.lowlevel.checkpoint()
    return work()


def on_trio(work, seconds, sleeps, over):
    async def main():
        sleeps.append(trio.sleep)
        with trio.move_on_after(seconds):
            await trio_driver.carry_on(work, Now(trio.current_time), on_thread=_inline)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def on_asyncio(work, seconds, sleeps, over):
    async def enough():
        await asyncio.sleep(seconds / 10)
        while not over():  # noqa: ASYNC110 - what a lane has done comes with no event
            await asyncio.sleep(0.01)

    async def main():
        sleeps.append(asyncio.sleep)
        carrying = asyncio.create_task(aio_driver.carry_on(work, Now(time.monotonic)))
        await aio_driver.within(60, enough())
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)

    asyncio.run(main())


@pytest.fixture(params=[on_trio, on_asyncio])
def run(request):
    """Runs the work for so many seconds; asyncio's are a tenth as long, and last until it is over."""
    return request.param


def test_a_lane_has_one_job_at_a_time_and_lanes_do_not_wait_for_each_other(run):
    sleeps, running, most = [], [], []

    async def busy():
        running.append(1)
        most.append(len(running))
        await sleeps[0](0.01)
        running.pop()

    one = Script((busy, {}), (busy, {}), (busy, {}))
    forever = Script((lambda: sleeps[0](1000), {}))
    run(Work([forever, one]), 2.0, sleeps, lambda: len(one.outcomes) == 3)
    assert most == [1, 1, 1]
    assert [o.error for o in one.outcomes] == [None] * 3
    assert forever.outcomes == []


def test_values_errors_and_timeouts_are_outcomes(run):
    sleeps = []

    async def later():
        await sleeps[0](0)
        return 2

    def fail():
        raise ValueError("no")

    lane = Script(
        (lambda: 1, {}),
        (later, {}),
        (fail, {"blocking": True}),
        (lambda: sleeps[0](1000), {"timeout": 0.05}),
        (lambda: 3, {"blocking": True}),
    )
    run(Work([lane]), 5.0, sleeps, lambda: len(lane.outcomes) == 5)
    assert [o.value for o in lane.outcomes] == [1, 2, None, None, 3]
    assert [type(o.error) for o in lane.outcomes] == [type(None), type(None), ValueError, TimeoutError, type(None)]


def test_a_deadline_is_kept_and_a_wake_is_heard(run):
    sleeps = []
    slow = Script(*[(lambda: None, {})] * 4, gap=0.05)
    woken = Script()

    async def wake():
        await sleeps[0](0.01)
        woken.jobs.append((lambda: "heard", {}))
        woken.wake()

    run(Work([slow, woken, Script((wake, {}))]), 5.0, sleeps, lambda: len(slow.outcomes) == 4 and woken.outcomes)
    assert [o.value for o in woken.outcomes] == ["heard"]
    gaps = [b - a for a, b in zip(slow.at, slow.at[1:], strict=False)]
    assert len(gaps) == 3
    assert all(gap >= 0.05 for gap in gaps)


def test_a_second_driver_takes_over_what_a_first_one_left(run):
    sleeps = []
    lane = Script((lambda: sleeps[-1](1000), {}), (lambda: "after", {}))
    work = Work([lane])
    run(work, 0.5, sleeps, lambda: lane.at)
    assert lane.outcomes == []
    run(work, 2.0, sleeps, lambda: lane.outcomes)
    assert [o.value for o in lane.outcomes] == ["after"]
