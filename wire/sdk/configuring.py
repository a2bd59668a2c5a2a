"""Keeps an engine's configuration that of the platform: fetched when it is new, handed to the engine's handler."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from wire.sdk.errors import ConfigurationError
from wire.sdk.platform import PlatformConfig
from wire.sdk.work import Job, Lane, Outcome

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_TIMEOUT = 30.0

log = logging.getLogger("wire.sdk")

OnConfig = Callable[[PlatformConfig], Any]


async def _nowhere() -> PlatformConfig:
    raise ConfigurationError("the link is not open")


class ConfigLane(Lane):
    """``fetch`` is the driver's way to the platform. Without a ``handler`` nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.handler: OnConfig | None = None
        self.fetch: Callable[[], Awaitable[PlatformConfig]] = _nowhere
        self._wanted: int | None = None
        self._known: int | None = None
        self._fetched: PlatformConfig | None = None
        self._not_before: float | None = None
        self._pause = _FIRST_PAUSE

    def changed(self, version: int) -> None:
        """This is the platform's version now."""
        self._wanted = version
        self._not_before, self._pause = None, _FIRST_PAUSE
        self.wake()

    def next(self, now: float) -> Job | None:
        handler = self.handler
        if handler is None or self._wanted == self._known:
            return None
        if self._not_before is not None and now < self._not_before:
            return None
        if self._fetched is None:
            return Job(work=self.fetch, then=self._got, timeout=_TIMEOUT)
        fetched = self._fetched
        return Job(work=partial(handler, fetched), then=self._handled, timeout=_TIMEOUT, handler=True)

    def deadline(self) -> float | None:
        return None if self.busy or self.handler is None or self._wanted == self._known else self._not_before

    def _got(self, outcome: Outcome, now: float) -> None:
        if outcome.error is None:
            self._fetched = outcome.value
        elif isinstance(outcome.error, ConfigurationError):
            log.error("%s", outcome.error.reason)  # asking again changes nothing before a person does
            self._known = self._wanted
        else:
            self._again(now)

    def _handled(self, outcome: Outcome, now: float) -> None:
        fetched, self._fetched = self._fetched, None
        if outcome.error is not None or fetched is None:
            self._again(now)
            return
        self._known, self._pause, self._not_before = fetched.config_version, _FIRST_PAUSE, None
        if self._wanted is not None and self._wanted < fetched.config_version:
            self._wanted = fetched.config_version

    def _again(self, now: float) -> None:
        self._not_before = now + self._pause
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
