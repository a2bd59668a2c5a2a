"""What a supervisor decides, as plain functions and one sliding window. No clock, no task, no actor.

The vocabulary and the answers are OTP's; where they differ on purpose, the docstring says so.
"""

import enum
import math
from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from supervisor.checks import is_count, is_finite
from supervisor.errors import SpecError
from supervisor.reason import ExitKind, ExitReason

__all__ = [
    "AutoShutdown",
    "Intensity",
    "Restart",
    "Strategy",
    "keeps_spec",
    "restart_group",
    "shuts_down",
    "wants_restart",
]


class Restart(enum.Enum):
    """When a child that ended by itself is started again."""

    __hash__ = object.__hash__  # members are singletons, and the inherited hash is a Python function

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(enum.Enum):
    """Which siblings are restarted along with the one that ended."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class AutoShutdown(enum.Enum):
    """Whether the supervisor ends by itself when significant children have ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


_EXPECTED: frozenset[ExitKind] = frozenset({ExitKind.NORMAL, ExitKind.SHUTDOWN, ExitKind.IGNORED})

RESTARTS: Mapping[tuple[Restart, ExitKind], bool] = {
    (restart, kind): restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and kind not in _EXPECTED)
    for restart in Restart
    for kind in ExitKind
}
"""The whole table. An escalated sub-supervisor counts as abnormal: OTP lets a transient one vanish silently."""


def wants_restart(restart: Restart, reason: ExitReason) -> bool:
    """Does a child with this restart word come back after this end?"""
    return RESTARTS[restart, reason.kind]


def keeps_spec(restart: Restart) -> bool:
    """Does the supervisor remember a child that has ended and is not restarted? Temporary ones are forgotten."""
    return restart is not Restart.TEMPORARY


def restart_group(strategy: Strategy, order: Sequence[str], failed: str) -> tuple[str, ...]:
    """The ids to stop (in reverse) and start (in order) together when `failed` has ended; it is among them."""
    if strategy is Strategy.ONE_FOR_ONE:
        return (failed,)
    if strategy is Strategy.ONE_FOR_ALL:
        return tuple(order)
    return tuple(order[order.index(failed) :])


def shuts_down(auto: AutoShutdown, significant: bool, others_significant: bool) -> bool:
    """Does the end of one child end the supervisor? `others_significant`: is another significant child still there?"""
    if auto is AutoShutdown.NEVER or not significant:
        return False
    return auto is AutoShutdown.ANY_SIGNIFICANT or not others_significant


@attrs.define
class Intensity:
    """More than `most` restarts within any `period` seconds end the supervisor.

    A sliding window of exact float times, both bounds inclusive: a restart `period` seconds ago still counts.
    (OTP truncates to whole seconds, so its window is anything from P to P+1.) `most=inf` never gives up.
    """

    most: float = 3
    period: float = 5.0
    _times: deque[float] = attrs.field(factory=deque, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.most != math.inf and not is_count(self.most, least=0):
            raise SpecError("intensity", self.most, "must be a whole number of restarts of at least 0, or math.inf")
        if not (is_finite(self.period) and self.period > 0):
            raise SpecError("period", self.period, "must be a finite number of seconds above 0")

    def restart(self, now: float) -> bool:
        """Count one restart at `now`. False: that was one too many."""
        if self.most == math.inf:
            return True
        while self._times and now - self._times[0] > self.period:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.most

    def spent(self, now: float) -> int:
        """How many restarts count at `now`."""
        return sum(now - time <= self.period for time in self._times)

    def escalates_despite(self, longest_delay: float) -> bool:
        """Can a child that fails at once, delayed by up to `longest_delay` s each time, still exceed the intensity?

        `most` + 1 restarts must fit into one period, and `most` delays lie between them.
        """
        return self.most == math.inf or self.most * longest_delay <= self.period
