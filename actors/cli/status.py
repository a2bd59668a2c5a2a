"""``watchkeeper status``: the fleet at a glance. Exit code 1 when an engine is away or a part is degraded.

An overdue drill is said, and changes no exit code: nothing is wrong with the desk that runs.
"""

import argparse
from typing import Any

import trio

from actors.cli.flags import remote_flags
from actors.cli.remote import platform_of
from actors.cli.tables import line, show
from actors.errors import FAILED, OK


def arguments(parser: argparse.ArgumentParser) -> None:
    remote_flags(parser)


def run(args: argparse.Namespace) -> int:
    return trio.run(_status, args)


async def _status(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        ready = (await platform.ask("GET", "/readyz")).body
        engines = (await platform.call("GET", "/api/engines/status")).body
        stops = (await platform.call("GET", "/api/stops?newest=true&limit=1000")).body["items"]
        drill = (await platform.call("GET", "/api/health/system")).body["drill"]
    for part in ready["degraded"]:
        line(f"degraded: {part['part']} since {part['since']}: {part['reason']}")
    for stop in stops:
        if stop["released_at"] is None:
            what = "drill" if stop["drill"] else "stop"
            who, why = stop["username"] or stop["user_id"], stop["reason"]
            line(f"open {what} {stop['stop_id']}: {stop['scope']} {stop['level']}, {stop['state']}, by {who}: {why}")
    if drill and drill["overdue"]:
        last = f"the last was at {drill['last_at']}" if drill["last_at"] else "there never was one"
        line(f"a drill is overdue: {last}; watchkeeper stop --drill")
    show(("engine", "link", "mode", "level", "age", "positions", "orders", "version"), [_row(e) for e in engines])
    healthy = all(engine["connection"] == "connected" for engine in engines) and not ready["degraded"]
    return OK if healthy else FAILED


def _row(engine: dict[str, Any]) -> tuple[object, ...]:
    age = None if engine["age_ms"] is None else f"{engine['age_ms'] / 1000:.1f} s"
    level = "HALT (lease)" if engine["halted_by_lease"] and engine["level"] == "NORMAL" else engine["level"]
    return (
        f"{engine['name']} ({engine['engine_id']})",
        engine["connection"],
        engine["trading_mode"],
        level,
        age,
        engine["positions"],
        engine["open_orders"],
        engine["version"],
    )
