"""How far a stop is, as the command prints it, whichever way it was taken."""

from typing import Any

from actors.cli.tables import line, show
from actors.errors import FAILED, OK
from wire.rest.stops import StopState
from wire.values import Flatness


def _left(result: dict[str, Any]) -> int | str:
    """Positions that remain. None is known only by reads of the broker; where those say nothing, it is not."""
    count: int | None = result["positions_remaining"]
    return "?" if not count and result["flatness"] == Flatness.UNKNOWN.value else count or 0


def report(stop: dict[str, Any]) -> int:
    """Prints how far each engine is, and returns the exit code."""
    what = "drill" if stop["drill"] else "stop"
    line(f"{what} {stop['stop_id']}: {stop['scope']} {stop['level']}, epoch {stop['epoch']}, {stop['state']}")
    rows = [
        (
            result["engine_id"],
            result["phase"],
            result["orders_cancelled"],
            result["positions_liquidated"],
            _left(result),
            result["flatness"],
            result.get("error") or result.get("flatness_reason") or "",
        )
        for result in stop["results"]
    ]
    if rows:
        show(("engine", "phase", "cancelled", "closed", "left", "flatness", "why"), rows)
    for result in stop["results"]:
        if result["orders_remaining"]:
            line(f"left at {result['engine_id']}: {result['orders_remaining']} working orders")
        for each in result["residuals"]:
            until = f" (until {each['until']})" if each.get("until") else ""
            line(f"left at {result['engine_id']}: {each['symbol']} {each['quantity']:,}, {each['reason']}{until}")
    if not stop["durable"]:
        line("not recorded yet: it is not on stable storage")
    if stop["state"] == StopState.VERIFIED.value:
        return OK
    line(f"{'recorded' if stop['durable'] else 'taken'}, but not verified: watch it with `watchkeeper status`")
    return FAILED
