"""``watchkeeper config``: what holds and why."""

import argparse

from actors.cli.flags import platform_flags, settings_of
from actors.errors import OK


def arguments(parser: argparse.ArgumentParser) -> None:
    platform_flags(parser)


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args).effective()
    widest = max(len(setting.name) for setting in settings)
    for setting in settings:
        print(f"{setting.name:<{widest}}  {setting.value}  [{setting.origin.value}]")
    return OK
