"""Stops left for the next start: how a local operator stops everything while no platform runs.

Each is one file in ``<home>/stops.left``, 0600, synced before it counts. The platform opens them at its start, in the
journal and everywhere else, and only then forgets the files. A file that cannot be read means HALT on everything.
"""

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from store.journal_records import StopNoted, evolve
from wire.codec import decode, encode
from wire.errors import WireError
from wire.rest.stops import StopRequest
from wire.stops import Level, Scope

FOLDER = "stops.left"
UNREADABLE = "left_stop_unreadable"
MAX_BYTES = 64 * 1024


def leave(home: Path, stop: StopNoted) -> Path:
    """Returns the file once it is on the disk. ``stop_epoch`` is given at the start. Raises OSError."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.json"
    unfinished = path.with_suffix(".new")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(encode(evolve(stop, stop_epoch=0)))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    for changed in (folder, home):
        _sync_folder(changed)
    return path


def collect(home: Path, now: datetime) -> list[tuple[Path, StopNoted]]:
    """What was left, oldest first. The files stay until ``forget``. Never raises: what cannot be read is a stop too."""
    folder = home / FOLDER
    found: list[tuple[int, Path]] = []
    try:
        for path in folder.iterdir():
            if path.suffix == ".json":
                with suppress(FileNotFoundError):  # it was taken back in this moment
                    found.append((path.lstat().st_mtime_ns, path))
    except FileNotFoundError:
        return []
    except OSError:
        return [(folder, _unreadable(folder, now))]
    return [(path, stop) for _, path in sorted(found) if (stop := _read(path, now)) is not None]


def forget(path: Path) -> None:
    """After the stop is in the journal or the database. Raises OSError."""
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _read(path: Path, now: datetime) -> StopNoted | None:
    """None: it was taken back. What nobody could ask for is as good as unreadable."""
    try:
        stop = decode(_bytes_of(path), StopNoted)
        StopRequest(request_id=stop.request_id, scope=stop.scope, level=stop.level, reason=stop.reason)
        return stop
    except FileNotFoundError:
        return None if not path.is_symlink() else _unreadable(path, now)
    except (OSError, WireError):
        return _unreadable(path, now)


def _bytes_of(path: Path) -> bytes:
    """Of a plain file: whoever opened a pipe would wait for ever. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a plain file")
        return file.read(MAX_BYTES + 1)


def _unreadable(path: Path, now: datetime) -> StopNoted:
    stop_id = f"left-{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}"  # the same each time
    return StopNoted(
        stop_id=stop_id,
        request_id=stop_id,
        scope=Scope.everything(),
        level=Level.HALT,
        stop_epoch=0,
        user_id="local",
        reason="a stop was left by the local operator, but its file cannot be read",
        cause=UNREADABLE,
        at=now,
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
