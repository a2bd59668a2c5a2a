"""``watchkeeper up``: the platform alone."""

import argparse
from functools import partial

import trio

from actors.cli.clash import refuse_clash
from actors.cli.flags import platform_flags, settings_of
from actors.cli.home import ready_home
from actors.collector import SettleWhenStarted
from actors.errors import OK
from actors.logs import set_up_logging
from actors.platform.platform import run_platform


def arguments(parser: argparse.ArgumentParser) -> None:
    platform_flags(parser)
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))


def run(args: argparse.Namespace) -> int:
    refuse_clash()
    settings = settings_of(args)
    ready_home(settings.home)
    set_up_logging(args.log_level)
    trio.run(partial(run_platform, settings, task_status=SettleWhenStarted()))
    return OK
