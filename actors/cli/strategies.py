"""``watchkeeper strategies``: list them, pause one, let one go on.

Exit code 0 when the engine has done it, 1 when it did not answer in time, 3 when it is refused.
"""

import argparse
from typing import Any
from urllib.parse import quote

import trio

from actors.cli.flags import remote_flags
from actors.cli.releasing import reduced_limits, with_fresh_proof
from actors.cli.remote import platform_of
from actors.cli.tables import line, show
from actors.errors import FAILED, OK, Refused
from wire.rest.strategies import CommandStatus


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    remote_flags(verbs.add_parser("list", help="every strategy of every engine"))
    for verb, words in (("pause", "no order of it leaves any more"), ("resume", "let a paused one go on (role risk)")):
        sub = verbs.add_parser(verb, help=words)
        remote_flags(sub)
        sub.add_argument("engine")
        sub.add_argument("strategy")
        sub.add_argument("--reason", default="", metavar="R", required=verb == "resume", help="why, for the record")
        if verb == "resume":
            words = "for the first minutes no opening order is worth more than so many won"
            sub.add_argument("--reduced", metavar="MIN:WON", help=words)


def run(args: argparse.Namespace) -> int:
    return trio.run(_list if args.verb == "list" else _command, args)


async def _list(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        engines = (await platform.call("GET", "/api/engines/status")).body
    show(
        ("engine", "link", "strategy", "name", "status", "trading", "version"),
        [_row(engine, strategy) for engine in engines for strategy in engine["strategies"]],
    )
    return OK


def _row(engine: dict[str, Any], strategy: dict[str, Any]) -> tuple[object, ...]:
    told = ("id", "name", "status", "trading_state", "version")
    return (engine["engine_id"], engine["connection"], *(strategy[name] for name in told))


async def _command(args: argparse.Namespace) -> int:
    path = f"/api/engines/{quote(args.engine, safe='')}/strategies/{quote(args.strategy, safe='')}/{args.verb}"
    body: dict[str, Any] = {"reason": args.reason}
    if args.verb == "resume" and args.reduced is not None:
        body["reduced"] = reduced_limits(args.reduced)
    async with platform_of(args) as platform:
        result = (await with_fresh_proof(platform, path, body)).body
    match CommandStatus(result["status"]):
        case CommandStatus.FAILED:
            raise Refused(f"{result['reason']} [{result['error']}]")
        case CommandStatus.EXPIRED:
            line(str(result["reason"]))
            return FAILED
        case CommandStatus.APPLIED:
            line(f"{args.engine}/{args.strategy} is {result['strategy_status']}")
            return OK
