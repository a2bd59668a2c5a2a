"""``--local``: a stop by whoever may use the home folder. No password, no network, no database.

A running platform takes it through a socket in the home folder, in a thread of its own that works while everything else
hangs. Without a platform the stop is left, synced, where the next start reads it before any engine may trade.
"""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from actors.cli.tables import line
from actors.errors import FAILED, Failed, Refused
from store.journal_records import StopNoted
from store.left_stops import leave
from wire.stops import Level, Scope

SOCKET = "local.sock"
PATIENCE = 40.0


def stop_locally(home: Path, request: dict[str, Any]) -> int:
    """Returns the exit code. Raises Refused when the home folder is not there or not ours."""
    if not home.is_dir():
        raise Refused(f"there is no home folder {home}: nothing was ever started there")
    answer = _ask(home / SOCKET, request)
    if answer is None:
        return _leave(home, request)
    raise Failed(str(answer))


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """The platform's answer; None when no platform listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        sock.sendall(json.dumps(request).encode() + b"\n")
        return dict(json.loads(sock.makefile().readline()))


def _leave(home: Path, request: dict[str, Any]) -> int:
    stop = StopNoted(
        stop_id=request["request_id"],
        request_id=request["request_id"],
        scope=Scope.parse(request["scope"]),
        level=Level(request["level"]),
        stop_epoch=0,
        user_id="local",
        reason=request["reason"],
        cause="local_operator",
        at=datetime.now(UTC),
    )
    try:
        path = leave(home, stop)
    except OSError as error:
        raise Refused(f"{home} cannot be written ({error.strerror}): nothing was stopped") from None
    line(f"no platform runs here: the stop is left in {path} and holds from the next start on")
    line("engines that still run lose their lease and halt by themselves")
    return FAILED
