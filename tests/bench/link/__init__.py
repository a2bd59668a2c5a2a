"""The engine link and the dashboards beside other stacks: one load, separate processes, ratios from one run.

Peers: the stack of the project's first design (FastAPI, uvicorn, pydantic) as it was written and tuned; the practical
limit of Python (uvloop, a sans-I/O protocol, msgspec); Node with `ws`. The product is the real platform, with its
acknowledgements kept in memory (as the peers keep nothing) and with them committed to PostgreSQL.

Every figure is a median over rounds in which all servers take their turn, so a noisy machine is noisy for all; the
absolute figures are only there to be read side by side. `BENCH_ROUNDS` sets the number of rounds (5).

    python -m tests.bench link
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from tests.bench.link import load, servers, stopping
from tests.bench.link.servers import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
DASHBOARDS = (1, 10, 50)
ENGINES = (10, 100, 500)
STOPS_A_ROUND = 10
SEED, OFF, ON = "seed", "product, memory", "product, PostgreSQL"
LIBRARY = "product, trio-websocket"

T = TypeVar("T")
Results = dict[tuple[str, str], list[float]]


def main() -> None:
    results: Results = defaultdict(list)
    with ExitStack() as stack:
        peers = [_ended_by(stack, server) for server in _peers()]
        off = _ended_by(stack, servers.start_product(OFF, "--memory", "--engines", "50"))
        on = _ended_by(stack, servers.start_product(ON, "--engines", "50"))
        library = _ended_by(stack, servers.start_product(LIBRARY, "--memory", "--library", "--engines", "50"))
        fleets = {n: _ended_by(stack, servers.start_product(OFF, "--memory", "--engines", str(n))) for n in ENGINES}
        running = [*peers, off, on]
        for server in (*peers, fleets[ENGINES[-1]]):
            results["memory", server.name].append(load.idle_memory(server, "memory", ENGINES[-1] - 20) / 1000)
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS} ...", flush=True)
            for server in running:
                _flow(server, number, results)
            for server in (off, library):
                _driver(server, number, results)
            for engines in ENGINES:
                for server in (*peers, fleets[engines]):
                    _stop(server, number, engines, results)
        _report(results, [server.name for server in running])


def _ended_by(stack: ExitStack, server: Server) -> Server:
    stack.callback(server.end)
    return server


def _peers() -> list[Server]:
    python, peers = str(servers.environment()), servers.HERE / "peers"
    running = [
        servers.start_peer(SEED, python, str(peers / "seed.py")),
        servers.start_peer("seed, tuned", python, str(peers / "seed.py"), "--tuned"),
        servers.start_peer("limit", python, str(peers / "limit.py")),
    ]
    if (folder := servers.node()) is not None:
        running.append(servers.start_peer("node ws", "node", str(peers / "node.mjs"), str(folder)))
    return running


def _tried(case: Callable[[str], T], run: str) -> T:
    """A machine that is busy with other things cuts connections at times: such a case is run again, twice at most."""
    for attempt in range(2):
        try:
            return case(f"{run}.{attempt}")
        except (OSError, RuntimeError) as error:
            print(f"{run} is run again: {error}", flush=True)
    return case(f"{run}.2")


def _flow(server: Server, number: int, results: Results) -> None:
    for dashboards in DASHBOARDS:
        done = _tried(lambda run, m=dashboards: load.fan_out(server, run, m), f"f{number}.{dashboards}")
        for name in ("ingested", "delivered", "cpu", "server_busy", "busy", "gaps"):
            results[f"{name} {dashboards}", server.name].append(getattr(done, name))
    for stalled in (False, True):
        seen = _tried(lambda run, s=stalled: load.latencies(server, run, stalled=s), f"l{number}.{stalled:d}")
        results[f"p99 {stalled:d}", server.name].append(_at(seen, 0.99) * 1000)


def _driver(server: Server, number: int, results: Results) -> None:
    """Only what drives the engines' sockets differs."""
    done = _tried(lambda run: load.fan_out(server, run, 1), f"d{number}")
    results["driver cpu", server.name].append(done.cpu)
    results["driver ingested", server.name].append(done.ingested)


def _stop(server: Server, number: int, engines: int, results: Results) -> None:
    """The product as a fleet of exactly so many enrolled engines: one that is enrolled and away is work, too."""
    times = _tried(lambda run: stopping.stops(server, run, engines, STOPS_A_ROUND), f"s{number}.{engines}")
    for name in ("seen", "acked", "answered", "own", "cpu"):
        results[f"stop {name} {engines}", server.name] += [t * 1000 for t in getattr(times, name)]


def _report(results: Results, names: list[str]) -> None:
    def table(title: str, keys: list[str], cell: Callable[[str, str], str]) -> None:
        print(f"\n{title}\n{'':22}" + "".join(f"{key:>16}" for key in keys))
        for name in names:
            print(f"{name:22}" + "".join(f"{cell(key, name):>16}" for key in keys))

    def beside_seed(key: str, name: str) -> str:
        mine, seed = statistics.median(results[key, name]), statistics.median(results[key, SEED])
        ratios = [a / b for a, b in zip(results[key, name], results[key, SEED], strict=True) if b]
        return f"{mine:,.0f} ({statistics.median(ratios):.2f}x)" if seed else f"{mine:,.0f}"

    def percentiles(key: str, name: str) -> str:
        if not (times := sorted(results[key, name])):
            return "-"
        return f"{_at(times, 0.5):.1f}/{_at(times, 0.99):.1f}"

    def plain(key: str, name: str) -> str:
        return f"{statistics.median(results[key, name]):.2f}" if results[key, name] else "-"

    table("messages taken in and acknowledged per second", [f"ingested {m}" for m in DASHBOARDS], beside_seed)
    table("messages delivered to dashboards per second", [f"delivered {m}" for m in DASHBOARDS], beside_seed)
    table("CPU seconds per 100,000 messages taken in", [f"cpu {m}" for m in DASHBOARDS], plain)
    table("CPUs the server got", [f"server_busy {m}" for m in DASHBOARDS], plain)
    table("CPUs the generator took (1 = it was the limit)", [f"busy {m}" for m in DASHBOARDS], plain)
    table("stop: POST to the last engine has it, ms p50/p99", [f"stop seen {n}" for n in ENGINES], percentiles)
    table("stop: POST to the last acknowledgement sent, ms p50/p99", [f"stop acked {n}" for n in ENGINES], percentiles)
    table("... of which the generator's own CPU, ms p50/p99", [f"stop own {n}" for n in ENGINES], percentiles)
    table("stop: POST to its answer, ms p50/p99", [f"stop answered {n}" for n in ENGINES], percentiles)
    table("stop: CPU of the server for all of it, ms", [f"stop cpu {n}" for n in ENGINES], plain)
    table("memory per idle engine connection, kB", ["memory"], plain)
    table("delay of ten dashboards, p99 ms: alone, beside a stalled one", ["p99 0", "p99 1"], plain)
    _goals(results)


def _goals(results: Results) -> None:
    def middle(key: str, name: str) -> float:
        return statistics.median(results[key, name])

    def ratio(key: str, name: str, base: str = SEED) -> float:
        return statistics.median(a / b for a, b in zip(results[key, name], results[key, base], strict=True))

    def tails(key: str) -> float:
        mine, seed = (_at(sorted(results[key, name]), 0.99) for name in (OFF, SEED))
        return mine / seed

    print("\ngoals, beside the seed in the same run")
    for what, measured, goal, more in (
        ("delivered, 10 dashboards", ratio("delivered 10", OFF), 5.0, True),
        ("delivered, 50 dashboards", ratio("delivered 50", OFF), 12.0, True),
        ("taken in, 1 dashboard", ratio("ingested 1", OFF), 1.0, True),
        ("delivered, 10 dashboards, PostgreSQL", ratio("delivered 10", ON), 2.5, True),
        ("delivered, 50 dashboards, PostgreSQL", ratio("delivered 50", ON), 6.0, True),
        ("taken in, 1 dashboard, PostgreSQL", ratio("ingested 1", ON), 0.5, True),
        ("own framing: taken in, beside trio-websocket", ratio("driver ingested", OFF, LIBRARY), 1.5, True),
        ("own framing: trio-websocket's CPU for a message", ratio("driver cpu", LIBRARY, OFF), 1.5, True),
        ("stop of 500, to the last ack, p99", tails("stop acked 500"), 0.25, False),
        ("stop of 500, to the answer, p99", tails("stop answered 500"), 0.25, False),
        ("memory of an engine connection", middle("memory", OFF) / middle("memory", SEED), 0.5, False),
        ("p99 beside a stalled dashboard", middle("p99 1", OFF) / middle("p99 0", OFF), 1.1, False),
    ):
        reached = measured >= goal if more else measured <= goal
        print(f"{what:48} {measured:6.2f}x  goal {'>=' if more else '<='} {goal:g}x  {'reached' if reached else 'NOT'}")


def _at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")
