"""``watchkeeper stop``: the operator's stop without a browser.

Exit code 0 only when every engine is verified, 1 when the stop is recorded but not (yet) verified, 3 when refused.
"""

import argparse
import sys
import uuid
from typing import Any

import trio

from actors.cli.flags import remote_flags, settings_of
from actors.cli.local import stop_locally
from actors.cli.progress import report
from actors.cli.remote import Unreachable, platform_of, refusal
from actors.errors import Refused
from wire.errors import InvalidField
from wire.stops import Level, Scope

PATIENCE = 45.0


def arguments(parser: argparse.ArgumentParser) -> None:
    remote_flags(parser)
    parser.add_argument(
        "--scope", default="all", metavar="S", help="all, account:ID, engine:ID, strategy:E/ID, symbol:CODE"
    )
    levels = [level.value for level in Level if level is not Level.NORMAL]
    parser.add_argument("--level", choices=levels, help="how much (default FLATTEN, of a drill HALT)")
    parser.add_argument("--reason", default="", metavar="R", help="why, for the record")
    parser.add_argument("--drill", action="store_true", help="a drill: the same stop, real and latched, with a label")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--local", action="store_true", help="through the home folder: no password, no database")


def run(args: argparse.Namespace) -> int:
    request = _request(args)
    if not args.yes:
        _confirm(request)
    if args.local:
        return stop_locally(settings_of(args).home, request)
    return trio.run(_stop, args, request)


def _request(args: argparse.Namespace) -> dict[str, Any]:
    try:
        scope = Scope.parse(args.scope)
    except InvalidField as error:
        raise Refused(f"--scope {error.reason}") from None
    if len(args.reason) > 500:
        raise Refused("--reason has at most 500 characters")
    level = args.level or (Level.HALT if args.drill else Level.FLATTEN).value
    named = {"scope": str(scope), "level": level, "reason": args.reason, "drill": args.drill}
    return {"request_id": str(uuid.uuid4()), **named}


def _confirm(request: dict[str, Any]) -> None:
    """Asks once. Raises Refused when the answer is not yes."""
    if not sys.stdin.isatty():
        raise Refused("nobody is there to confirm the stop: add --yes")
    what = "everything" if request["scope"] == "all" else request["scope"]
    if request["drill"]:
        what += " (a drill: engines really stop until it is released)"
    if input(f"Stop {what}, level {request['level']}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("nothing was stopped")


async def _stop(args: argparse.Namespace, request: dict[str, Any]) -> int:
    async with platform_of(args) as platform:
        try:
            answer = await platform.ask("POST", "/api/engines/emergency-stop", request, timeout=PATIENCE)
        except Unreachable as away:
            raise Refused(f"{away.message}; without it: watchkeeper stop --local") from None
        if answer.status not in (200, 202):
            raise refusal(answer)
    return report(answer.body)
