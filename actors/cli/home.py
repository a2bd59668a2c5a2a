"""The home folder as a command finds it."""

import fcntl
import os
from pathlib import Path

from actors.errors import Refused

LOCK_FILE = "platform.lock"
"""Held by the platform that runs in the folder."""


def ready_home(home: Path) -> None:
    """Makes the folder, or raises Refused with what is wrong with it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(_words(home, error.strerror)) from None
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise Refused(_words(home, "it may not be written"))


def _words(home: Path, why: str | None) -> str:
    return f"the home folder {home} cannot be used ({why}): choose another with --home or WATCHKEEPER_HOME"


def is_in_use(home: Path) -> bool:
    """Whether a platform runs in this folder."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
