"""A real desk for a while: `python -m tests.faults.soak [--minutes M] [--engines N] [--rate R]`.

Engines trade against the simulator, people stop and release everything now and then, dashboards come and go. The
platform's process is looked at from outside. Exit 1 when after the first fifth anything grows by more than a twentieth.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from statistics import median
from typing import Any

import attrs
import psutil

from tests.faults.arena import Arena, child
from tests.faults.injectors import Fault
from tests.faults.measuring import measure

STOP_EVERY = 60.0
LOOK_EVERY = 5.0
GROWTH = 1.05
SPARE = {"memory": 4.0, "descriptors": 4, "threads": 4, "actors": 2}  # what comes and goes without growing


@attrs.frozen
class Look:
    """``memory``: MiB that this process alone uses; ``actors``: all in the platform's tree."""

    memory: float
    descriptors: int
    threads: int
    actors: int


def look(arena: Arena) -> Look:
    process = psutil.Process(arena.platform_pid)
    memory = process.memory_full_info().uss / 2**20
    tree = arena.ask("GET", "/api/system/tree").body
    return Look(memory, process.num_fds(), process.num_threads(), _count(tree))


def _count(node: Any) -> int:
    children = node if isinstance(node, list) else node.get("items") or node.get("children") or []
    own = 0 if isinstance(node, list) or "items" in node else 1
    return own + sum(_count(one) for one in children)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--engines", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2.0, help="orders a second of each engine (default %(default)s)")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    with Arena(engines=flags.engines, rate=flags.rate) as arena:
        looks, rounds = watch(arena, 60 * flags.minutes)
        orders = sum(m.accepted for m in arena.moments().values())
    share = max(1, len(looks) // 5)
    early, late = looks[share : 2 * share], looks[-share:]
    print(f"{flags.minutes:g} minutes, {orders:,} orders, {rounds} stops, load {os.getloadavg()[0]:.1f}")
    print("| | after the first fifth | at the end | growth |\n|---|---|---|---|")
    grew = False
    for name in attrs.fields_dict(Look):
        before, after = (median(getattr(one, name) for one in some) for some in (early, late))
        grew = grew or after > max(before * GROWTH, before + SPARE[name])
        print(f"| {name} | {before:,.1f} | {after:,.1f} | {100 * (after / before - 1):+.1f} % |")
    return 1 if grew else 0


def watch(arena: Arena, seconds: float) -> tuple[list[Look], int]:
    """One look every five seconds; a stop and its release every minute, beside dashboards that never read."""
    began, stopped, looks, rounds = time.monotonic(), time.monotonic(), [], 0
    fault, rng = Fault(arena, random.Random(1)), random.Random(1)
    while time.monotonic() - began < seconds:
        if time.monotonic() - stopped > STOP_EVERY:
            stopped, rounds = time.monotonic(), rounds + 1
            places = json.dumps({"http": arena.http, "token": arena.signed_in(arena.admin)})
            with child(arena, "dashboards", "tests.faults.nuisances", "stalled-dashboards", NUISANCE=places):
                measure(arena, fault, rng, respond_async=True)
            arena.trade_again()
        looks.append(look(arena))
        time.sleep(LOOK_EVERY)
    return looks, rounds


if __name__ == "__main__":
    sys.exit(main())
