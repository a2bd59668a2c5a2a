"""``watchkeeper logs``: the last lines of what the engines tell, and with ``-f`` what follows."""

import argparse
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import trio

from actors.cli.flags import remote_flags
from actors.cli.remote import Platform, Unreachable, platform_of
from actors.cli.tables import complain, line
from actors.errors import OK, Failed, Refused

PERIOD = 1.0
MOST = 1000


def arguments(parser: argparse.ArgumentParser) -> None:
    remote_flags(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many of the last (default 50)")
    parser.add_argument("--engine", metavar="ID", help="only of this engine")
    parser.add_argument("--category", choices=("System", "Strategy", "Trade"))
    parser.add_argument("-q", "--search", metavar="WORDS", help="only with these words")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    return trio.run(_logs, args)


async def _logs(args: argparse.Namespace) -> int:
    named = {"engine": args.engine, "category": args.category, "q": args.search}
    wanted = {name: value for name, value in named.items() if value}
    async with platform_of(args) as platform:
        newest = {**wanted, "newest": "true", "limit": str(min(max(args.lines, 1), MOST))}
        items = await _page(platform, newest)
        if args.engine and not items:
            await _need_engine(platform, args.engine)
        _show(items, as_json=args.json)
        if args.follow:
            await _follow(platform, wanted, items[-1]["cursor"] if items else 0, as_json=args.json)
    return OK


async def _need_engine(platform: Platform, engine_id: str) -> None:
    """Raises Refused for a name that belongs to no engine: its silence would look like an engine's."""
    known = [engine["engine_id"] for engine in (await platform.call("GET", "/api/engines/status")).body]
    if engine_id not in known:
        raise Refused(f"there is no engine {engine_id}; there are: {', '.join(sorted(known)) or 'none'}")


async def _follow(platform: Platform, wanted: Mapping[str, str], cursor: int, *, as_json: bool) -> None:
    """Until it is interrupted. A platform that is away for a moment is waited for."""
    away = False
    while True:
        try:
            items = await _page(platform, {**wanted, "after": str(cursor), "limit": str(MOST)})
            away = False
        except (Unreachable, Failed) as error:
            if not away:
                complain(error.message)
            items, away = [], True
        _show(items, as_json=as_json)
        cursor = items[-1]["cursor"] if items else cursor
        if len(items) < MOST:
            await trio.sleep(PERIOD)


async def _page(platform: Platform, query: Mapping[str, str]) -> list[dict[str, Any]]:
    return list((await platform.call("GET", f"/api/logs?{urlencode(query)}")).body["items"])


def _show(items: list[dict[str, Any]], *, as_json: bool) -> None:
    for item in items:
        if as_json:
            line(json.dumps(item, ensure_ascii=False))
            continue
        line(line_of(item))


def line_of(item: dict[str, Any]) -> str:
    """One line for a person; a line of the engine that was not valid says so."""
    reason = f" — {item['reason']}" if item["reason"] else ""
    symbol = f" {item['symbol']}" if item["symbol"] else ""
    kind = f"quarantined {item['category']}" if item.get("quarantined") else item["category"]
    return f"{item['timestamp']} {item['engine_id']} {kind}{symbol}: {item['message']}{reason}"
