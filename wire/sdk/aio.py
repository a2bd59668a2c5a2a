"""``EngineLink`` for engines on asyncio::

    async with EngineLink("alpha.json", "state/alpha", name="Alpha") as link:
        await link.wait_open()

Handlers are async functions, or plain ones that do not wait. Leaving the block says goodbye and keeps every stop.
"""

from typing import Self

from wire.sdk.aio_driver import Running, whole
from wire.sdk.face import Face
from wire.sdk.platform import PlatformConfig


class EngineLink(Face):
    """See ``Face`` for what it takes and can do; ``async with`` opens and closes it."""

    async def __aenter__(self) -> Self:
        await whole(self._engine.open)
        self._link = Running(self._engine)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._link.end()

    async def wait_open(self, strategy_id: str | None = None) -> None:
        """Until an order of this strategy could leave. For how long, an ``asyncio.timeout`` of yours decides."""
        self._running()
        await self._link.wait_open(strategy_id)

    async def config(self) -> PlatformConfig:
        """This engine's configuration from the platform, its secrets opened. Raises ConfigurationError, Unwelcome or
        PlatformAway."""
        self._running()
        return await self._link.config()
