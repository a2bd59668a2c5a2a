"""``watchkeeper keys``: the ring that seals broker keys. Nothing here ever prints a key."""

import argparse

import trio

from actors.cli.flags import platform_flags, settings_of
from actors.cli.offline import open_database
from actors.cli.tables import line, show
from actors.config import PlatformSettings
from actors.errors import OK, Failed, Refused
from store import platform, settings
from store.errors import KeysError, StoreError, UnknownKey
from store.keyring import KeyFile, KeyRing


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    platform_flags(actions.add_parser("list", help="the numbers of the keys in the ring"))
    platform_flags(
        actions.add_parser("verify", help="whether the ring opens everything that is sealed in the database")
    )


def run(args: argparse.Namespace) -> int:
    where = settings_of(args)
    ring = load_ring(where)
    if args.action == "list":
        show(("key", "state"), [(n, "active" if n == ring.active else "opens old values") for n in ring.numbers])
        return OK
    return trio.run(_verify, where, ring)


def load_ring(where: PlatformSettings) -> KeyRing:
    """Raises Refused with what is wrong with the file."""
    file = KeyFile(where.keys)
    if not file.exists():
        raise Refused(f"there is no key ring at {where.keys}: it is made at the platform's first start")
    try:
        return file.load()
    except KeysError as error:
        raise Refused(str(error)) from None


async def _verify(where: PlatformSettings, ring: KeyRing) -> int:
    try:
        async with open_database(where) as db:
            identity = await db.run(platform.read)
            used = await db.run(settings.keys_in_use, ring)
    except UnknownKey as error:
        raise Failed(str(error)) from None
    except StoreError as error:
        raise Failed(str(error)) from None
    if identity.key_check not in (None, ring.check):
        raise Failed(f"{where.keys} is not the key ring of this database")
    line(f"the ring of {len(ring.numbers)} opens all {sum(used.values())} sealed values; active is key {ring.active}")
    return OK
