"""All deadlines of a system in one heap, waited for by one task.

A cancel scope with a deadline costs about as much as half an ask (`move_on_after` 0.58 of a bare checkpoint), and a
sleeping task per timer costs 2 kB. Here a deadline is one heap entry; cancelling it is a flag, and the heap is rebuilt
when more than half of it is dead.
"""

import heapq
import math
from collections.abc import Callable
from itertools import count

import trio

__all__ = ["Alarm", "Timekeeper"]


class Alarm:
    """One future call of a sync function on the system's own task. `entry`: the time under which the heap has it."""

    __slots__ = ("_keeper", "action", "entry", "when")

    def __init__(self, keeper: "Timekeeper", when: float, action: Callable[[], object]) -> None:
        self._keeper = keeper
        self.when = self.entry = when
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """After this the action will not run. Any number of times."""
        if self.action is not None:
            self.action = None
            self._keeper.forget_one()


class Timekeeper:
    """Runs alarms in the order of their times; equal times in the order they were set."""

    __slots__ = ("_dead", "_heap", "_now", "_order", "_scope", "_target")

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self._now = now
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()
        self._dead = 0
        self._target = math.inf
        self._scope: trio.CancelScope | None = None

    def at(self, when: float, action: Callable[[], object]) -> Alarm:
        """Call `action` at trio time `when` (seconds, monotonic), or in the next pass if that is past."""
        alarm = Alarm(self, when, action)
        heapq.heappush(self._heap, (when, next(self._order), alarm))
        if when < self._target:
            self._target = when
            if self._scope is not None:
                self._scope.deadline = when
        return alarm

    def again(self, alarm: Alarm | None, when: float, action: Callable[[], object]) -> Alarm:
        """Like `at`. A cancelled `alarm` whose entry is still in the heap, and not too late, is set anew: whoever sets
        one deadline after the other leaves no trail of dead entries."""
        if alarm is None or alarm.action is not None or when < alarm.entry:
            return self.at(when, action)
        alarm.when, alarm.action = when, action
        self._dead -= 1
        return alarm

    def after(self, seconds: float, action: Callable[[], object]) -> Alarm:
        return self.at(self._now() + seconds, action)

    def forget_one(self) -> None:
        self._dead += 1
        if self._dead > 512 and self._dead * 2 > len(self._heap):
            heap, self._heap = self._heap, [entry for entry in self._heap if entry[2].action is not None]
            for _, _, alarm in heap:
                if alarm.action is None:
                    alarm.entry = math.inf
            heapq.heapify(self._heap)
            self._dead = 0

    def run_due(self, now: float) -> None:
        """Run what is due at `now` and drop the dead entries in front."""
        heap = self._heap
        while heap and (heap[0][0] <= now or heap[0][2].action is None):
            _, order, alarm = heapq.heappop(heap)
            if alarm.action is not None and alarm.when > now:
                alarm.entry = alarm.when
                heapq.heappush(heap, (alarm.when, order, alarm))
                continue
            alarm.entry = math.inf
            action, alarm.action = alarm.action, None
            if action is None:
                self._dead -= 1
            else:
                action()
            heap = self._heap
        self._target = heap[0][0] if heap else math.inf

    async def run(self) -> None:
        """The one task. Ends only by cancellation."""
        while True:
            with trio.CancelScope(deadline=self._target) as self._scope:
                await trio.sleep_forever()
            self._scope = None
            self.run_due(self._now())

    def __len__(self) -> int:
        return len(self._heap) - self._dead
