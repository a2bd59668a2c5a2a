"""``watchkeeper demo``: everything on this machine."""

import argparse
from pathlib import Path

import trio

from actors.cli.clash import refuse_clash
from actors.cli.flags import platform_flags, settings_of
from actors.cli.home import ready_home
from actors.demo.demo import DemoOptions, run_demo
from actors.errors import OK, Refused
from actors.logs import set_up_logging


def arguments(parser: argparse.ArgumentParser) -> None:
    platform_flags(parser)
    parser.add_argument("--data", type=Path, metavar="FILE", help="daily bars to replay; without it prices are made up")
    parser.add_argument("--speed", type=float, metavar="X", help="simulated seconds per real second")
    parser.add_argument("--seed", type=int, metavar="N", help="of the made-up prices")
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))


def run(args: argparse.Namespace) -> int:
    refuse_clash()
    if args.data is not None and not args.data.is_file():
        raise Refused(f"--data {args.data}: there is no such file")
    if args.speed is not None and not 0 < args.speed <= 100_000:
        raise Refused("--speed must be above 0 and at most 100000")
    given = {name: value for name in ("data", "speed", "seed") if (value := getattr(args, name)) is not None}
    settings = settings_of(args)
    ready_home(settings.home)
    set_up_logging(args.log_level)
    trio.run(run_demo, settings, DemoOptions(**given))
    return OK
