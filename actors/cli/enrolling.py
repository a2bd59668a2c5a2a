"""``watchkeeper engines``: who may connect, and their credential files."""

import argparse
import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import trio
from nacl.public import PrivateKey

from actors.cli.flags import remote_flags, settings_of
from actors.cli.remote import platform_of
from actors.cli.tables import line, show
from actors.errors import OK, Refused


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="enrol an engine and write its credential file")
    add.add_argument("name", metavar="NAME", help="what people call it")
    add.add_argument("--account", required=True, metavar="ID", help="the broker account it alone trades")
    add.add_argument("--id", metavar="ID", help="its id; made up when left out")
    rotate = actions.add_parser("rotate", help="give an engine a new secret and write its credential file")
    for parser_ in (add, rotate):
        parser_.add_argument(
            "-o", "--output", required=True, type=Path, metavar="FILE", help="the credential file, 0600"
        )
        parser_.add_argument("--engines-url", metavar="URL", help="where the engine finds the platform")
    remove = actions.add_parser("remove", help="deregister an engine; its link is closed")
    for parser_ in (rotate, remove):
        parser_.add_argument("engine_id", metavar="ID")
    for parser_ in (add, rotate, remove, actions.add_parser("list", help="every enrolled engine")):
        remote_flags(parser_)


def run(args: argparse.Namespace) -> int:
    match args.action:
        case "add":
            return trio.run(_add, args)
        case "rotate":
            return trio.run(_rotate, args)
        case "remove":
            return trio.run(_remove, args)
        case _:
            return trio.run(_list, args)


async def _add(args: argparse.Namespace) -> int:
    private = PrivateKey.generate()
    body = {"name": args.name, "account_id": args.account, "engine_id": args.id, "public_key": _public(private)}
    with _new_file(args.output) as file:
        async with platform_of(args) as platform:
            engine = (await platform.call("POST", "/api/engines", body)).body
        _write_credential(file, args, engine, private)
    line(f"enrolled {engine['name']} as {engine['engine_id']} for account {engine['account_id']}: {args.output}")
    return OK


async def _rotate(args: argparse.Namespace) -> int:
    private = PrivateKey.generate()
    path = f"/api/engines/{quote(args.engine_id, safe='')}/rotate"
    with _new_file(args.output) as file:
        async with platform_of(args) as platform:
            engine = (await platform.call("POST", path, {"public_key": _public(private)})).body
        _write_credential(file, args, engine, private)
    line(f"{engine['engine_id']} has a new secret: {args.output}; the old credential file is worth nothing now")
    return OK


async def _remove(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        await platform.call("DELETE", f"/api/engines/{quote(args.engine_id, safe='')}")
    line(f"{args.engine_id} is deregistered")
    return OK


async def _list(args: argparse.Namespace) -> int:
    async with platform_of(args) as platform:
        engines = (await platform.call("GET", "/api/engines")).body["items"]
    show(
        ("id", "name", "account", "enrolled"),
        [(e["engine_id"], e["name"], e["account_id"], e["created_at"]) for e in engines],
    )
    return OK


def _public(private: PrivateKey) -> str:
    return base64.b64encode(bytes(private.public_key)).decode()


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A file that was not there before, 0600; taken away again when what follows fails. Raises Refused.

    It is made before the platform is asked, so that no secret is given out that then cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} exists already and is not overwritten: choose another file") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_credential(file: TextIO, args: argparse.Namespace, engine: dict[str, Any], private: PrivateKey) -> None:
    settings = settings_of(args)
    scheme = "https" if settings.engines_tls else "http"
    credential = {
        "platform_url": args.engines_url or f"{scheme}://{settings.engines}",
        "engine_id": engine["engine_id"],
        "account_id": engine["account_id"],
        "secret": engine["secret"],
        "private_key": base64.b64encode(bytes(private)).decode(),
    }
    json.dump(credential, file, indent=1)
    file.write("\n")
