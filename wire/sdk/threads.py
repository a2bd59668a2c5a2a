"""``EngineLink`` for synchronous engines::

    with EngineLink("alpha.json", "state/alpha", name="Alpha") as link:
        link.wait_open(timeout=30.0)

The link lives in a thread of its own, which keeps beating, obeying and halting whatever the engine's threads do. Any
thread may call it. Every call is carried out in the link's thread and waits for at most ``patience`` seconds; one that
gets no answer raises LinkStalled and has then not happened, nor will it: no knowledge means stopped.

Handlers (``read_account``, ``cancel_all``, ``flatten``, ``apply``, …) are plain functions that may wait; each call runs
on a worker thread, one at a time per kind. Callbacks of ``on_freeze`` run in the link's thread, in the very step in
which the gate closes: they set a flag or an event and do nothing else.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from wire.sdk.aio_driver import Running, abandoned
from wire.sdk.errors import ConfigurationError, GateClosed
from wire.sdk.face import Face
from wire.sdk.platform import PlatformConfig

P = ParamSpec("P")
R = TypeVar("R")

_START_TIMEOUT = 30.0
_END_TIMEOUT = 10.0


class LinkStalled(GateClosed):
    """The link's thread did not answer in time. What was asked has not happened."""

    code = "error_link_stalled"


class EngineLink(Face):
    """See ``Face`` for what it takes and can do; ``with`` opens and closes it. ``patience``: seconds a call waits."""

    patience: float = 1.0

    def __enter__(self) -> Self:
        """Raises ConfigurationError, for instance when another process has the folder."""
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, args=(opened,), name="engine link", daemon=True)
        self._thread.start()
        opened.result(_START_TIMEOUT)
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(_END_TIMEOUT)

    def _live(self, opened: "Future[None]") -> None:
        try:
            asyncio.run(self._main(opened))
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _main(self, opened: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        self._engine.open()
        self._link = Running(self._engine, handlers=abandoned)
        opened.set_result(None)
        try:
            await self._leave.wait()
        finally:
            await self._link.end()

    def _call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._engine.is_open or threading.current_thread() is self._thread:
            return fn(*args, **kwargs)
        answer: Future[R] = Future()
        try:
            self._loop.call_soon_threadsafe(_settle, answer, partial(fn, *args, **kwargs))
        except RuntimeError:
            raise LinkStalled("the link has ended") from None
        try:
            return answer.result(self.patience)
        except TimeoutError:
            if answer.cancel():
                raise LinkStalled(f"the link did not answer within {self.patience:g} s") from None
            return answer.result()  # it was being done at that very moment

    def wait_open(self, strategy_id: str | None = None, *, timeout: float) -> None:
        """Until an order of this strategy could leave. Raises TimeoutError after ``timeout`` seconds."""
        self._running()
        self._await(self._link.wait_open(strategy_id), timeout)

    def config(self, *, timeout: float = 30.0) -> PlatformConfig:
        """This engine's configuration from the platform, its secrets opened. Raises ConfigurationError, Unwelcome,
        PlatformAway or TimeoutError."""
        self._running()
        found: PlatformConfig = self._await(self._link.config(), timeout)
        return found

    def _await(self, work: Any, timeout: float) -> Any:
        if threading.current_thread() is self._thread:
            work.close()
            raise ConfigurationError("a callback in the link's own thread must not wait")
        answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result(timeout)
        except TimeoutError:
            answer.cancel()
            raise


def _settle(answer: "Future[Any]", work: Callable[[], Any]) -> None:
    """In the link's thread. Whoever asked may have given up meanwhile: then nothing is done."""
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(work())
    except Exception as error:
        answer.set_exception(error)
