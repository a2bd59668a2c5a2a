"""The command line: ``watchkeeper COMMAND``, also ``python -m actors COMMAND``.

Only the module of the command that is asked for is imported, so that a stop does not wait for a web framework to load.
Exit codes: 0 fine, 1 failed (or, for a stop, recorded but not verified), 2 wrong usage, 3 refused with the reason.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from actors.errors import FAILED, OK, REFUSED, Failed, Refused

INTERRUPTED = 130

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("actors.cli.serving", "run the platform"),
    "demo": ("actors.cli.demo", "the platform, a simulated broker and three engines on this machine"),
    "engine": ("actors.cli.engine", "run a reference engine"),
    "broker-sim": ("actors.cli.broker_sim", "run a simulated broker"),
    "stop": ("actors.cli.stopping", "stop trading, by default everything"),
    "release": ("actors.cli.releasing", "ask for, or approve, the end of a stop"),
    "status": ("actors.cli.status", "what every engine is doing"),
    "logs": ("actors.cli.following", "what the engines tell"),
    "strategies": ("actors.cli.strategies", "list strategies, pause one or let one go on"),
    "engines": ("actors.cli.enrolling", "add, list, remove engines, or give one a new secret"),
    "users": ("actors.cli.people", "add, list, change users"),
    "keys": ("actors.cli.keys", "list or verify the keys that seal secrets"),
    "audit": ("actors.cli.auditing", "verify the audit log"),
    "doctor": ("actors.cli.doctor", "look for what is wrong with this installation"),
    "config": ("actors.cli.settings", "the effective settings and where each comes from"),
}
"""Every command: the module with its ``arguments(parser)`` and ``run(args) -> exit code``, and its line in the help."""
DELEGATED = frozenset({"engine", "broker-sim"})
"""Commands whose own program reads their arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BaseExceptionGroup as group:
        known = _known(group)
        if known is None:
            raise
        return _told(known)
    except (Refused, Failed) as known:
        return _told(known)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone; nothing may be written to it at the exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in DELEGATED:
        return int(import_module(COMMANDS[arguments[0]][0]).run(arguments[1:]))
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    parser = argparse.ArgumentParser(prog="watchkeeper", description="The control room for automated trading engines.")
    parser.add_argument("--version", action="version", version=f"watchkeeper {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, words) in COMMANDS.items():
        sub = commands.add_parser(name, help=words, description=words)
        if name == wanted:
            import_module(module).arguments(sub)
    args = parser.parse_args(arguments)
    return int(import_module(COMMANDS[args.command][0]).run(args))


def _version() -> str:
    try:
        return version("watchkeeper")
    except PackageNotFoundError:
        return "0"


def _known(group: BaseExceptionGroup[BaseException]) -> Refused | Failed | None:
    """The one answer inside nested groups, when every leaf is one."""
    found, other = group.split((Refused, Failed))
    if found is None or other is not None:
        return None
    leaf: BaseException = found
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf if isinstance(leaf, Refused | Failed) else None


def _told(error: Refused | Failed) -> int:
    print(f"watchkeeper: {error.message}", file=sys.stderr)
    return REFUSED if isinstance(error, Refused) else error.code or FAILED
