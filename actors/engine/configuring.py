"""What the platform keeps for this engine, read again whenever it may be another: risk limits and broker keys.

A read that fails is tried again until it succeeds. What is in force stays in force meanwhile; an engine that has never
heard of its limits lets only reducing orders leave.
"""

import random
from collections.abc import Callable, Mapping

import trio

from actors.engine.desk import Desk
from actors.engine.risk.limits import Limits, from_platform
from supervisor.actor import Actor
from supervisor.backoff import Backoff
from wire.http import HttpClient
from wire.messages import ErrorReport
from wire.sdk.calls import fetch_config, fetch_token
from wire.sdk.errors import ConfigurationError, PlatformAway, Unwelcome
from wire.sdk.platform import Credential, NoConfiguration, PlatformConfig
from wire.values import ErrorCategory, LogCategory, Severity

_BACKOFF = Backoff(base=1.0, max_delay=60.0)


class PlatformSettings:
    """Memory shared by whoever hears of a change and the actor that reads. ``version`` None: never read."""

    def __init__(self, desk: Desk, *, keys: Callable[[Mapping[str, str]], None]) -> None:
        self._desk = desk
        self._keys = keys
        self._wanted = trio.Event()
        self.version: int | None = None

    def changed(self, version: int) -> None:
        """The platform says which version it has."""
        if version != self.version or not self._desk.risk.is_known:
            self._wanted.set()

    async def wait(self) -> None:
        await self._wanted.wait()
        self._wanted = trio.Event()

    def take(self, found: PlatformConfig) -> None:
        """Raises ConfigurationError, with everything as it was, for limits that cannot be understood."""
        self._limits(from_platform(found.risk_limits))
        self.version = found.config_version
        if found.secrets:
            self._keys(found.secrets)

    def take_none(self) -> None:
        """The platform keeps nothing for this engine: its own file says everything."""
        self._limits(Limits())
        self.version = 0

    def _limits(self, limits: Limits) -> None:
        desk = self._desk
        if desk.risk.take(limits):
            desk.log(LogCategory.SYSTEM, f"RISK limits in force: {desk.risk.limits.words()}", None)
        if desk.ledger.limits != limits:
            desk.ledger.keep_limits(limits)


class Configuring(Actor):
    """Reads when it is asked to, until it has an answer."""

    def __init__(self, *, desk: Desk, settings: PlatformSettings, credential: Credential, http: HttpClient) -> None:
        self._desk = desk
        self._settings = settings
        self._credential = credential
        self._http = http

    async def started(self) -> None:
        self.context.spawn(self._keep)

    async def _keep(self) -> None:
        attempt = 0
        while True:
            if attempt == 0:
                await self._settings.wait()
            problem = await self._read()
            if problem is None:
                attempt = 0
                continue
            if attempt == 0:
                self._report(problem)
            attempt += 1
            await trio.sleep(_BACKOFF.delay(attempt, random.Random()))

    async def _read(self) -> str | None:
        """Why it is to be tried again; None when it is settled."""
        try:
            token = await fetch_token(self._http, self._credential)
            self._settings.take(await fetch_config(self._http, self._credential, token))
        except NoConfiguration:
            self._settings.take_none()
        except (ConfigurationError, PlatformAway, Unwelcome) as error:
            return error.reason
        return None

    def _report(self, problem: str) -> None:
        words = f"the platform's settings cannot be used, what was known stays in force: {problem}"
        self._desk.outlet.send(
            ErrorReport(
                code="error_configuration_unread",
                category=ErrorCategory.SYSTEM,
                reason=words[:2000],
                severity=Severity.WARNING,
                degraded=True,
            )
        )
