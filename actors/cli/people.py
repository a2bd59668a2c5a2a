"""``watchkeeper users``: who may sign in, and as what."""

import argparse
import getpass
import os
import sys
from typing import Any
from urllib.parse import quote

import trio

from actors.cli.flags import remote_flags
from actors.cli.remote import Platform, platform_of
from actors.cli.tables import line, show
from actors.errors import OK, Refused
from wire.rest.access import Role

NEW_PASSWORD = "WATCHKEEPER_NEW_PASSWORD"
SHORTEST = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help=f"add a user; the password from {NEW_PASSWORD} or a prompt")
    add.add_argument("--role", default=Role.VIEWER.value, choices=[role.value for role in Role])
    passwd = actions.add_parser("passwd", help=f"a new password, from {NEW_PASSWORD} or a prompt; ends all sessions")
    role = actions.add_parser("role", help="another role; ends all sessions")
    disable = actions.add_parser("disable", help="may not sign in any more; ends all sessions")
    enable = actions.add_parser("enable", help="may sign in again")
    for parser_ in (add, passwd, role, disable, enable):
        parser_.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=[each.value for each in Role])
    for parser_ in (add, passwd, role, disable, enable, actions.add_parser("list", help="everyone")):
        remote_flags(parser_)


def run(args: argparse.Namespace) -> int:
    match args.action:
        case "add":
            return trio.run(_add, args, _new_password(args.name))
        case "list":
            return trio.run(_list, args)
        case "passwd":
            return trio.run(_change, args, {"password": _new_password(args.name)}, "has a new password")
        case "role":
            return trio.run(_change, args, {"role": args.role}, f"is now {args.role}")
        case "disable":
            return trio.run(_change, args, {"enabled": False}, "is disabled")
        case _:
            return trio.run(_change, args, {"enabled": True}, "is enabled")


def _new_password(name: str) -> str:
    """Raises Refused when there is none, it is too short, or was not typed twice alike."""
    password = os.environ.get(NEW_PASSWORD)
    if not password:
        if not sys.stdin.isatty():
            raise Refused(f"a new password for {name} is needed: set {NEW_PASSWORD}, or run this at a terminal")
        password = getpass.getpass(f"New password of {name}: ")
        if getpass.getpass("Again: ") != password:
            raise Refused("the two were not alike")
    if len(password) < SHORTEST:
        raise Refused(f"a password has at least {SHORTEST} characters")
    return password


async def _add(args: argparse.Namespace, password: str) -> int:
    body = {"username": args.name, "password": password, "role": args.role}
    async with platform_of(args) as platform:
        await platform.call("POST", "/api/users", body)
    line(f"{args.name} may sign in as {args.role}")
    return OK


async def _change(args: argparse.Namespace, change: dict[str, Any], words: str) -> int:
    async with platform_of(args) as platform:
        person = await _find(platform, args.name)
        await platform.call("PATCH", f"/api/users/{quote(person['id'], safe='')}", change)
    line(f"{person['username']} {words}")
    return OK


async def _find(platform: Platform, name: str) -> dict[str, Any]:
    people = (await platform.call("GET", "/api/users")).body["items"]
    found = [person for person in people if person["username"].lower() == name.lower()]
    if not found:
        raise Refused(f"there is no user {name}")
    return dict(found[0])


async def _list(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        people = (await platform.call("GET", "/api/users")).body["items"]
    show(
        ("name", "role", "state", "id"),
        [(p["username"], p["role"], "enabled" if p["enabled"] else "disabled", p["id"]) for p in people],
    )
    return OK
