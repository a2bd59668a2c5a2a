"""The STOP file: a person's stop that needs no platform and no network."""

import os
import time
from pathlib import Path

from wire.stops import Level

SENTINEL = "STOP"
_LEVELS = {level.value: level for level in Level if level is not Level.NORMAL}
_HEAD = 200
"""Bytes of it that are read."""


def asked_level(path: Path) -> Level | None:
    """The level that the file's first word asks for; None when there is no file. Blocking.

    Whatever is not understood, or cannot be read, or is no file at all, means the strictest.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe nobody writes to holds up nobody
    except FileNotFoundError:
        return Level.FLATTEN if path.is_symlink() else None
    except OSError:
        return Level.FLATTEN
    try:
        words = os.read(descriptor, _HEAD).decode(errors="replace").split()
    except OSError:
        words = []
    finally:
        os.close(descriptor)
    return _LEVELS.get(words[0].upper() if words else "", Level.FLATTEN)


def put_away(path: Path) -> Level | None:
    """The stop is latched: the file has done its work, and only a release ends the stop. Blocking.

    Returns the level that it asked for in the end, since a person may have written it anew after it was read; None
    where somebody else took it away. Raises OSError where the folder does not let it go.
    """
    taken = path.with_name(f"{SENTINEL}.taken")
    try:
        path.replace(taken)
    except FileNotFoundError:
        return None
    except OSError:  # one of them is a folder: both are kept
        taken = path.with_name(f"{SENTINEL}.taken.{time.time_ns()}")
        path.replace(taken)
    return asked_level(taken)
