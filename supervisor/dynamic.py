"""A supervisor for many children of the same standing: no order, each restarted alone, stopped all at once."""

import math
from collections.abc import Iterable

import trio

from supervisor.actor import handles
from supervisor.checks import is_count
from supervisor.errors import Refused, SpecError
from supervisor.keeping import Child
from supervisor.ref import Ref, StartChild
from supervisor.supervision import Supervisor

__all__ = ["DynamicSupervisor", "TooManyChildren"]


class TooManyChildren(Refused):
    """`max_children` are there, counting those that wait for their restart."""

    def __init__(self, supervisor: str, limit: int) -> None:
        super().__init__(f"supervisor {supervisor!r} already has {limit} children")
        self.supervisor = supervisor
        self.limit = limit


class DynamicSupervisor(Supervisor):
    """Starts without children; `start_child` adds them. A child that ended for good is forgotten with its spec.

    All children are stopped together, so the stop takes as long as the slowest one, not the sum.
    """

    def __init__(self, *, intensity: float = 3, period: float = 5.0, max_children: float = math.inf) -> None:
        super().__init__(intensity=intensity, period=period)
        if max_children != math.inf and not is_count(max_children, least=1):
            raise SpecError("max_children", max_children, "must be a whole number of at least 1, or math.inf")
        self._max_children = max_children

    @handles(StartChild)
    async def _on_start_child(self, msg: StartChild) -> Ref:
        if len(self._children) >= self._max_children:
            raise TooManyChildren(self.context.name, int(self._max_children))
        return await super()._on_start_child(msg)

    def _keeps(self, child: Child) -> bool:
        return False

    async def _stop_children(self, children: Iterable[Child], *, brutal: bool) -> None:
        async with trio.open_nursery() as stopping:
            for child in children:
                stopping.start_soon(self._stop_one, child, brutal)

    async def _stop_one(self, child: Child, brutal: bool) -> None:
        await super()._stop_children((child,), brutal=brutal)
