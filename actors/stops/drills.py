"""When the last drill was, and whether the next one is due. Pure.

A drill is a real stop with a label, so its record is the stop itself; one that a real stop took the place of counts no
more.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from actors.stops.past import Over
from actors.stops.run import Run
from wire.rest.engines import DrillStatus


def drill_status(runs: Iterable[Run | Over], now: datetime, *, days: int, known: bool) -> DrillStatus:
    """``days``: how often there should be one, 0 for never. ``known``: earlier stops have been read."""
    last = max((r for r in runs if r.words.drill), key=lambda r: r.words.requested_at, default=None)
    at = last.words.requested_at if last is not None else None
    due = at + timedelta(days=days) if at is not None and days else None
    return DrillStatus(
        last_at=at,
        stop_id=last.stop_id if last is not None else None,
        due_at=due,
        overdue=_overdue(at, due, now, days=days, known=known),
    )


def _overdue(at: datetime | None, due: datetime | None, now: datetime, *, days: int, known: bool) -> bool | None:
    if not days:
        return False
    if due is not None and now < due:
        return False
    return True if known else None
