"""``watchkeeper release``: a stop ends only when a person asks for it and another (or the same, later) approves.

Without ``--reason`` and ``--approve`` it shows what was asked for. Exit code 0 when the stop is released, 1 when the
release is asked for but not done, 3 when it is refused.
"""

import argparse
import sys
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
    parser.add_argument("--reason", default="", metavar="R", help="ask for the release: why it may end")
    parser.add_argument("--resume", action="store_true", help="let strategies trade again; without it they are paused")
    parser.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="ENGINE=WHY",
        help="release without this engine, which stays stopped",
    )
    parser.add_argument(
        "--reduced",
        metavar="MIN:WON",
        help="for the first minutes no opening order is worth more than so many won",
    )
    parser.add_argument("--approve", action="store_true", help="approve what was asked for")
    parser.add_argument("--yes", action="store_true", help="approve without being asked again")


def run(args: argparse.Namespace) -> int:
    waived = [_waiver(text) for text in args.waive]
    reduced = reduced_limits(args.reduced)
    if args.approve and (args.reason or waived or args.resume or reduced):
        raise Refused("--approve takes the release as it was asked for: --reason and what goes with it are not for it")
    if not args.reason and (waived or args.resume or reduced):
        raise Refused("a release needs --reason")
    wanted = {"reason": args.reason, "waive": waived, "resume": args.resume, "reduced": reduced}
    return trio.run(_release, args, wanted)


def reduced_limits(text: str | None) -> dict[str, int] | None:
    """MINUTES:WON as the body says it. Raises Refused."""
    if text is None:
        return None
    minutes, _, won = text.partition(":")
    if not (minutes.isascii() and minutes.isdigit() and won.isascii() and won.isdigit()):
        raise Refused("--reduced has to be MINUTES:WON, like 15:1000000")
    return {"minutes": int(minutes), "max_order_value": int(won)}


def _waiver(text: str) -> dict[str, str]:
    engine, equals, why = text.partition("=")
    if not equals or not engine or not why:
        raise Refused("--waive has to be ENGINE=WHY")
    return {"engine_id": engine, "reason": why}


async def _release(args: argparse.Namespace, wanted: dict[str, Any]) -> int:
    async with platform_of(args) as platform:
        stop = await _stop(platform, args.stop_id)
        path = f"/api/stops/{quote(stop['stop_id'], safe='')}"
        if args.reason:
            body = {**wanted, "epoch": stop["epoch"]}
            asked = (await with_fresh_proof(platform, f"{path}/release", body)).body
        else:
            asked = (await platform.call("GET", f"{path}/release")).body
        _show(stop, asked)
        if not args.approve or asked["state"] != "requested":
            return _report(stop, asked)
        if not args.yes:
            _confirm(stop)
        body = {"epoch": stop["epoch"], "release_id": asked["id"]}
        return _report(stop, (await with_fresh_proof(platform, f"{path}/approve", body)).body)


async def _stop(platform: Platform, stop_id: str | None) -> dict[str, Any]:
    if stop_id is not None:
        return dict((await platform.call("GET", f"/api/stops/{quote(stop_id, safe='')}")).body)
    found = (await platform.call("GET", "/api/stops?newest=true&limit=1000")).body["items"]
    still_open = [stop for stop in found if stop["released_at"] is None]
    if len(still_open) != 1:
        ids = ", ".join(stop["stop_id"] for stop in still_open) or "none"
        raise Refused(f"say which stop to release; open are: {ids}")
    return dict(still_open[0])


def _confirm(stop: dict[str, Any]) -> None:
    """Asks once, where somebody is there to be asked. Raises Refused when the answer is not yes."""
    if sys.stdin.isatty() and input(f"Release {stop['stop_id']}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("nothing was released")


async def with_fresh_proof(platform: Platform, path: str, body: dict[str, Any]) -> Answer:
    """What needs a password given within five minutes: it is asked for when the platform says so."""
    answer = await platform.ask("POST", path, body, timeout=PATIENCE)
    if answer.status == 403 and answer.body.get("error") == "error_reauthentication_required":
        await platform.step_up()
        answer = await platform.ask("POST", path, body, timeout=PATIENCE)
    if answer.status >= 400:
        raise refusal(answer)
    return answer


def _show(stop: dict[str, Any], release: dict[str, Any]) -> None:
    why = stop["reason"] or "no reason given"
    who, asked_by = stop["username"] or stop["user_id"], release["requested_by_name"] or release["requested_by"]
    line(f"stop {stop['stop_id']}: {stop['scope']} {stop['level']}, by {who}: {why}")
    line(f"release asked for by {asked_by} at {release['requested_at']}: {release['reason']}")
    line("strategies trade again" if release["resume"] else "strategies come back paused")
    if reduced := release["reduced"]:
        line(f"for {reduced['minutes']} minutes only opening orders of at most {reduced['max_order_value']:,} won")
    for waiver in release["waive"]:
        line(f"without {waiver['engine_id']}, which stays stopped: {waiver['reason']}")
    for item in release["checklist"]:
        line(f"{'✓' if item['ok'] else '✗'} {item['name']}: {item['detail']}")


def _report(stop: dict[str, Any], release: dict[str, Any]) -> int:
    stop_id = stop["stop_id"]
    why = release["history"][-1]["detail"] if release["history"] and release["state"] == "void" else None
    line(f"release of {stop_id}: {release['state']}{f' ({why})' if why else ''}")
    if release["state"] == "released":
        return OK
    if release["state"] == "requested":
        when = f", not before {release['not_before']}" if release["not_before"] else ""
        line(f"to approve{when}: watchkeeper release {stop_id} --approve")
    return FAILED
