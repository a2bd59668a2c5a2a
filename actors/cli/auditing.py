"""``watchkeeper audit verify``: whether the chain of the audit log still holds. Exit code 1 when it does not."""

import argparse

import trio

from actors.cli.flags import remote_flags
from actors.cli.remote import platform_of
from actors.cli.tables import line
from actors.errors import OK, Failed

PATIENCE = 120.0


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    remote_flags(actions.add_parser("verify", help="check every entry against the chain's key and the last checkpoint"))


def run(args: argparse.Namespace) -> int:
    return trio.run(_verify, args)


async def _verify(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        found = (await platform.call("GET", "/api/audit/verify", timeout=PATIENCE)).body
    if not found["ok"]:
        raise Failed(f"the audit log is broken at entry {found['broken_at']}: {found['reason']}")
    witness = f", up to checkpoint {found['checkpoint']}" if found["checkpoint"] else ""
    line(f"the audit log holds: {found['entries']} entries{witness}, head {found['head'][:16]}")
    return OK
