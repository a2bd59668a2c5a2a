"""``EngineLink`` for engines on trio::

    async with EngineLink("alpha.json", "state/alpha", name="Alpha") as link:
        await link.wait_open()

Handlers are async functions, or plain ones that do not wait. Leaving the block says goodbye and keeps every stop.
"""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import trio

from wire.http import HttpClient
from wire.sdk.calls import fetch_config, fetch_token
from wire.sdk.face import Face
from wire.sdk.platform import PlatformConfig
from wire.sdk.trio_driver import TrioDriver, carry_on
from wire.sockets import background

_FAREWELL = 1.0


class EngineLink(Face):
    """See ``Face`` for what it takes and can do; ``async with`` opens and closes it."""

    async def __aenter__(self) -> Self:
        engine = self._engine
        await trio.to_thread.run_sync(engine.open)
        async with AsyncExitStack() as stack:
            stack.callback(engine.close)
            self._http = await stack.enter_async_context(HttpClient(max_connections=4))
            nursery = await stack.enter_async_context(background())
            self._driver = TrioDriver(engine.conversation, http=self._http, clock=engine.clock)
            engine.config.fetch = self.config
            nursery.start_soon(carry_on, engine.work, engine.clock)
            nursery.start_soon(self._driver.run)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with trio.move_on_after(_FAREWELL, shield=True):
            await self._farewell()
        return await self._stack.__aexit__(kind, error, trace)

    async def _farewell(self) -> None:
        """What is spooled goes out as far as a moment allows, and the platform hears that this was on purpose."""
        conversation = self._engine.conversation
        while conversation.is_linked and len(self._engine.outlet):
            await self._driver.stirs()
        conversation.goodbye()
        while not self._driver.is_idle:
            await self._driver.stirs()

    async def wait_open(self, strategy_id: str | None = None) -> None:
        """Until an order of this strategy could leave. For how long, a cancel scope of yours decides."""
        self._running()
        while self.why_closed(strategy_id) is not None:
            await self._driver.stirs()

    async def config(self) -> PlatformConfig:
        """This engine's configuration from the platform, its secrets opened. Raises ConfigurationError, Unwelcome or
        PlatformAway."""
        credential = self._engine.credential
        token = await fetch_token(self._http, credential)
        return await fetch_config(self._http, credential, token)
