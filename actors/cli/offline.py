"""The database itself, for the few commands that need no platform."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.config import PlatformSettings
from actors.errors import Refused
from store.database import Database
from store.embedded import EmbeddedPostgres
from store.errors import EmbeddedError


@asynccontextmanager
async def open_database(settings: PlatformSettings) -> AsyncIterator[Database]:
    """The configured database, or the embedded one: that of the running platform, or started for this command alone."""
    if settings.database_url is not None:
        async with Database(settings.database_url, size=1).open() as db:
            yield db
        return
    server = EmbeddedPostgres(settings.home)
    try:
        try:
            dsn = server.start()
        except EmbeddedError as error:
            raise Refused(str(error)) from None
        async with Database(dsn, size=1).open() as db:
            yield db
    finally:
        server.stop()
