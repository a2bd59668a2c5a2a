"""Work that takes time, decided without doing any of it: lanes say what is next, a driver carries it out.

A lane has at most one job under way; what becomes of a job is told to its lane, which then says what comes after. A
driver (trio, asyncio or a thread's) only asks for jobs, runs them and sleeps until the next deadline.
"""

from collections.abc import Callable, Iterable
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a job: its value, or the error that it raised or that ended it."""

    value: Any = None
    error: Exception | None = None


Then = Callable[[Outcome, float], None]


@attrs.frozen(kw_only=True)
class Job:
    """``work`` is called with nothing. A ``blocking`` one runs on a thread; of another one an awaitable result is
    awaited, for at most ``timeout`` seconds. ``then`` hears the outcome and the time. ``handler``: it is the engine's
    own code."""

    work: Callable[[], Any]
    then: Then
    blocking: bool = False
    handler: bool = False
    timeout: float | None = None


class Lane:
    """One kind of work. ``wake`` tells the driver to look again."""

    def __init__(self) -> None:
        self.busy = False
        self.wake: Callable[[], None] = _nobody

    def tick(self, now: float) -> None:
        """Whatever time alone brings about; called before every ``next``, also while busy."""

    def next(self, now: float) -> Job | None:
        """The next job, or None. Asked only while no job of this lane is under way."""
        return None

    def deadline(self) -> float | None:
        """When to ask again although nobody woke the driver."""
        return None


class Work:
    """All lanes of one driver. ``woken`` is called whenever it should look again."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.lanes = tuple(lanes)
        self.woken: Callable[[], None] = _nobody
        for lane in self.lanes:
            lane.wake = self.wake

    def begin(self) -> None:
        """A driver starts: jobs of an earlier one are not under way any more."""
        for lane in self.lanes:
            lane.busy = False

    def wake(self) -> None:
        self.woken()

    def jobs(self, now: float) -> list[tuple[Lane, Job]]:
        """What is to be started now."""
        started = []
        for lane in self.lanes:
            lane.tick(now)
            if not lane.busy and (job := lane.next(now)) is not None:
                lane.busy = True
                started.append((lane, job))
        return started

    def finished(self, lane: Lane, job: Job, outcome: Outcome, now: float) -> None:
        lane.busy = False
        job.then(outcome, now)
        self.wake()

    def deadline(self) -> float | None:
        return min((d for lane in self.lanes if (d := lane.deadline()) is not None), default=None)


def _nobody() -> None:
    """No driver yet."""
