"""The folder in which an engine's state outlives its process."""

import fcntl
import os
from pathlib import Path

from wire.sdk.errors import ConfigurationError


def lock(folder: Path) -> int:
    """One process per state folder: the descriptor that holds the lock.

    Raises ConfigurationError when another process holds it, or the folder cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"state folder {folder} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"another process runs with the state folder {folder}") from None
    return descriptor
