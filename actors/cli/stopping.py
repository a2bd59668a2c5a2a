"""``watchkeeper stop``: the operator's stop without a browser.

Exit code 0 only when every engine is verified, 1 when the stop is recorded but not (yet) verified or when nobody knows
whether it was taken, 3 when refused.
``--continue`` is a person's word that what is left of an open stop may be sent in this trading session.
"""

import argparse
import sys
import uuid
from typing import Any
from urllib.parse import quote

import trio

from actors.cli.flags import remote_flags, settings_of
from actors.cli.local import stop_locally
from actors.cli.progress import report
from actors.cli.remote import Answer, Platform, Unanswered, Unreachable, platform_of, refusal
from actors.cli.tables import complain
from actors.errors import Failed, Refused
from wire.errors import InvalidField
from wire.rest.stops import StopState
from wire.stops import Level, Scope

PATIENCE = 45.0
SILENCE = 5.0
"""Seconds without an answer after which a person is told of the other ways. Closing positions takes as long, too."""
BESIDES = "on the platform's own machine: watchkeeper stop --local; from elsewhere its emergency page"
FINISH_SECONDS = 30.0
"""How long a continued stop is watched, as long as the platform itself watches a new one."""


def arguments(parser: argparse.ArgumentParser) -> None:
    remote_flags(parser)
    parser.add_argument(
        "--scope", default="all", metavar="S", help="all, account:ID, engine:ID, strategy:E/ID, symbol:CODE"
    )
    levels = [level.value for level in Level if level is not Level.NORMAL]
    parser.add_argument("--level", choices=levels, help="how much (default FLATTEN, of a drill HALT)")
    parser.add_argument("--reason", default="", metavar="R", help="why, for the record")
    parser.add_argument("--drill", action="store_true", help="a drill: the same stop, real and latched, with a label")
    parser.add_argument(
        "--continue",
        dest="goes_on",
        metavar="STOP_ID",
        help="do what is left of this open stop now",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--local", action="store_true", help="through the home folder: no password, no database")


def run(args: argparse.Namespace) -> int:
    if args.goes_on is not None:
        return _continue(args)
    request = _request(args)
    if not args.yes:
        _confirm(request)
    if args.local:
        return stop_locally(settings_of(args).home, request)
    return trio.run(_stop, args, request)


def _continue(args: argparse.Namespace) -> int:
    if args.scope != "all" or args.level or args.reason or args.drill or args.local:
        raise Refused("--continue takes the stop as it was asked for: --scope, --level and the like are not for it")
    if not args.yes:
        _ask(f"Continue {args.goes_on}: send what is left of it in this trading session?", "nothing was sent")
    return trio.run(_go_on, args)


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
    what = "everything" if request["scope"] == "all" else request["scope"]
    if request["drill"]:
        what += " (a drill: engines really stop until it is released)"
    _ask(f"Stop {what}, level {request['level']}?", "nothing was stopped")


def _ask(question: str, otherwise: str) -> None:
    """Asks once. Raises Refused when the answer is not yes."""
    if not sys.stdin.isatty():
        raise Refused("nobody is there to confirm the stop: add --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused(otherwise)


async def _stop(args: argparse.Namespace, request: dict[str, Any]) -> int:
    async with platform_of(args) as platform:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_besides)
            answer = await _asked(platform, request)
            nursery.cancel_scope.cancel()
        if answer.status not in (200, 202):
            raise refusal(answer)
    return report(answer.body)


async def _asked(platform: Platform, request: dict[str, Any]) -> Answer:
    """Raises Refused where nobody was asked, and Failed where nobody knows."""
    try:
        return await platform.ask("POST", "/api/engines/emergency-stop", request, timeout=PATIENCE, late=True)
    except Unanswered:
        raise Failed(f"no answer: whether the stop was taken is not known; {BESIDES}") from None
    except Unreachable as away:
        raise Refused(f"{away.message}; without it: watchkeeper stop --local") from None
    except Failed as away:  # nobody can be signed in, so nothing was asked
        raise Refused(f"{away.message}: nothing was stopped; {BESIDES}") from None


async def _tell_besides() -> None:
    await trio.sleep(SILENCE)
    complain(f"no answer yet, the last engine's may take {FINISH_SECONDS:g} s; {BESIDES}")


async def _go_on(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        path = f"/api/stops/{quote(args.goes_on, safe='')}"
        stop = (await platform.call("POST", f"{path}/continue", {}, late=True)).body
        end = trio.current_time() + FINISH_SECONDS
        while stop["state"] == StopState.RUNNING.value and trio.current_time() < end:
            await trio.sleep(0.5)
            stop = (await platform.call("GET", path)).body
    return report(stop)
