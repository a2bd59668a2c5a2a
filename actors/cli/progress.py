"""How far a stop is, as the command prints it, whichever way it was taken."""

from typing import Any

from actors.cli.tables import line, show
from actors.errors import FAILED, OK
from wire.rest import StopState


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
            result["positions_remaining"],
            result["flatness"],
            result.get("error") or result.get("flatness_reason") or "",
        )
        for result in stop["results"]
    ]
    if rows:
        show(("engine", "phase", "cancelled", "closed", "left", "flatness", "why"), rows)
    if not stop["durable"]:
        line("not yet on stable storage")
    if stop["state"] == StopState.VERIFIED.value:
        return OK
    line("recorded, but not verified: watch it with `watchkeeper status`")
    return FAILED
