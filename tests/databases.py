"""Databases of tests."""

from store.database import Database

PATIENCE = 60.0


def patient(dsn: str, *, size: int) -> Database:
    """One that is waited for longer than the product waits: on a busy machine a connection takes its time."""
    return Database(dsn, size=size, acquire_timeout=PATIENCE, connect_timeout=PATIENCE, command_timeout=PATIENCE)
