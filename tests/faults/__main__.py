"""Stops into real faults: `python -m tests.faults [--rounds N] [--engines N] [--rate R] [--seed N] [FAULT …]`.

Prints a table; exit 1 when a goal was missed, a stop forgotten, or an order written after its gate had closed.
"""

import argparse
import os
import random
import signal
import sys
import time
import traceback

from tests.faults.arena import Arena
from tests.faults.injectors import FAULTS, Unavailable
from tests.faults.measuring import Row, measure, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("WATCHKEEPER_FAULT_ROUNDS", "100")))
    parser.add_argument("--engines", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2.0, help="orders a second of each engine (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no new round of a fault after these")
    parser.add_argument("--spare", type=int, default=0, help="rounds that were late, and may be made once more")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    flags = parser.parse_args()
    if unknown := set(flags.faults) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    print(f"seed {flags.seed}, {flags.engines} engines, {flags.rate:g} orders a second each", flush=True)
    rows = []
    rng = random.Random(flags.seed)
    with Arena(engines=flags.engines, rate=flags.rate) as arena:
        for name in flags.faults or FAULTS:
            rows.append(run(arena, name, rng, flags.rounds, flags.seconds, flags.spare))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(table(rows), flush=True)
    return 0 if all(row.is_kept for row in rows) else 1


def run(arena: Arena, name: str, rng: random.Random, rounds: int, seconds: float, spare: int) -> Row:
    """A round that fails is told and ends the fault; the next one begins with a desk that trades. ``spare`` ones that
    were only late are made once more: a machine that does much else is late now and then, a fault each time."""
    fault = FAULTS[name](arena, rng)
    row = Row(name=name, goal=fault.goal)
    end, loads = time.monotonic() + seconds, []
    try:
        with fault.prepared():
            for number in range(rounds):
                if time.monotonic() > end:
                    break
                quick = number % 2 == 0 or bool(arena.strangers)  # a stranger never answers: do not wait for it
                made = measure(arena, fault, rng, respond_async=quick)
                while spare > 0 and not (made.is_in_time(fault.goal) or made.forgotten or made.overtaken):
                    spare -= 1
                    made = measure(arena, fault, rng, respond_async=quick)
                row.rounds.append(made)
                loads.append(os.getloadavg()[0])
    except Unavailable as error:
        row.trouble = f"SKIPPED, NOT TESTED: {error}"
        print(row.trouble, file=sys.stderr)
    except Exception as error:
        row.trouble = f"{type(error).__name__} in round {len(row.rounds) + 1}"
        traceback.print_exc()
    row.load = sum(loads) / len(loads) if loads else os.getloadavg()[0]
    return row


if __name__ == "__main__":
    sys.exit(main())
