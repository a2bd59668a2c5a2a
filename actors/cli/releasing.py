"""``watchkeeper release``: a stop ends only when a person asks for it and another (or the same, later) approves.

Exit code 0 when the stop is released, 1 when the release is asked for but not done, 3 when it is refused.
"""

import argparse
from typing import Any
from urllib.parse import quote

import trio

from actors.cli.flags import remote_flags
from actors.cli.remote import Answer, Platform, platform_of, refusal
from actors.cli.tables import line
from actors.errors import FAILED, OK, Refused

PATIENCE = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    remote_flags(parser)
    parser.add_argument("stop_id", nargs="?", help="which stop; may be left out while only one is open")
    parser.add_argument("--reason", default="", metavar="R", help="why it may end")
    parser.add_argument("--resume", action="store_true", help="let strategies trade again; without it they are paused")
    parser.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="ENGINE=WHY",
        help="release without this engine, which stays stopped",
    )
    parser.add_argument("--approve", action="store_true", help="approve what was asked for")


def run(args: argparse.Namespace) -> int:
    if not args.approve and not args.reason:
        raise Refused("a release needs --reason")
    return trio.run(_release, args, [_waiver(text) for text in args.waive])


def _waiver(text: str) -> dict[str, str]:
    engine, equals, why = text.partition("=")
    if not equals or not engine or not why:
        raise Refused("--waive has to be ENGINE=WHY")
    return {"engine_id": engine, "reason": why}


async def _release(args: argparse.Namespace, waived: list[dict[str, str]]) -> int:
    async with platform_of(args) as platform:
        stop = await _stop(platform, args.stop_id)
        path = f"/api/stops/{quote(stop['stop_id'], safe='')}"
        if args.approve:
            answer = await platform.call("POST", f"{path}/approve", {"epoch": stop["epoch"]}, timeout=PATIENCE)
        else:
            body = {"reason": args.reason, "epoch": stop["epoch"], "waive": waived, "resume": args.resume}
            answer = await _with_fresh_proof(platform, f"{path}/release", body)
    return _report(stop["stop_id"], answer.body)


async def _stop(platform: Platform, stop_id: str | None) -> dict[str, Any]:
    if stop_id is not None:
        return dict((await platform.call("GET", f"/api/stops/{quote(stop_id, safe='')}")).body)
    found = (await platform.call("GET", "/api/stops?newest=true&limit=1000")).body["items"]
    still_open = [stop for stop in found if stop["released_at"] is None]
    if len(still_open) != 1:
        ids = ", ".join(stop["stop_id"] for stop in still_open) or "none"
        raise Refused(f"say which stop to release; open are: {ids}")
    return dict(still_open[0])


async def _with_fresh_proof(platform: Platform, path: str, body: dict[str, Any]) -> Answer:
    """A release needs a password given within five minutes: it is asked for when the platform says so."""
    answer = await platform.ask("POST", path, body, timeout=PATIENCE)
    if answer.status == 403 and answer.body.get("error") == "error_reauthentication_required":
        await platform.step_up()
        answer = await platform.ask("POST", path, body, timeout=PATIENCE)
    if answer.status >= 400:
        raise refusal(answer)
    return answer


def _report(stop_id: str, release: dict[str, Any]) -> int:
    for item in release["checklist"]:
        line(f"{'✓' if item['ok'] else '✗'} {item['name']}: {item['detail']}")
    line(f"release of {stop_id}: {release['state']}")
    if release["state"] == "released":
        return OK
    when = f", not before {release['not_before']}" if release["not_before"] else ""
    line(f"to approve{when}: watchkeeper release {stop_id} --approve")
    return FAILED
