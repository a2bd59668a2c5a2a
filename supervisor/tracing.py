"""What an actor did lately. Off until asked for, and free while off: the loop then uses another handler table."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from supervisor.cell import Ask, Cell, Tick

__all__ = ["TraceEntry", "TracingTable"]


@attrs.frozen(kw_only=True)
class TraceEntry:
    """at: trio time the handler began; seconds: how long it ran; outcome: "ok" or the exception's type name."""

    at: float
    incarnation: int
    kind: str
    asked: bool
    seconds: float
    outcome: str


class TracingTable(dict[type, Callable[[Any, Any], Awaitable[Any]]]):
    """A handler table that records; the real table is the actor's own."""

    def __init__(self, cell: Cell, size: int) -> None:
        super().__init__()
        self._cell = cell
        self.entries: deque[TraceEntry] = deque(maxlen=size)

    def __missing__(self, kind: type) -> Callable[[Any, Any], Awaitable[Any]]:
        async def traced(actor: Any, item: Any) -> None:
            message = item.message if isinstance(item, Ask | Tick) else item
            began = trio.current_time()
            outcome = "ok"
            try:
                await actor.__handlers__[kind](actor, item)
            except BaseException as error:
                outcome = type(error).__name__
                raise
            finally:
                self.entries.append(
                    TraceEntry(
                        at=began,
                        incarnation=self._cell.incarnation,
                        kind=type(message).__name__,
                        asked=isinstance(item, Ask),
                        seconds=trio.current_time() - began,
                        outcome=outcome,
                    )
                )

        self[kind] = traced
        return traced
