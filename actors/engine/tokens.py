"""The broker's access token, shared by every process that uses the same key.

The broker issues one token a minute per key and tells the account holder each time, so the token lies in a file of the
home folder (0600) under a name that does not reveal the key. A lock file keeps two processes from asking at once, and
the file remembers the last issue, so that the minute holds across processes and restarts.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from actors.engine.errors import BrokerRefused
from wire.http import HttpError
from wire.sdk.errors import EngineError
from wire.sdk.latch import write_durably
from wire.values import BrokerToken

ISSUE_PERIOD = 60.0  # seconds between two issues for one key
_EXPIRING = 600.0
_MARGIN = 60.0
_LOCK_PATIENCE = 30.0


class TokenTooSoon(EngineError):
    """The last issue is less than a minute ago. ``wait``: seconds until the broker may be asked again."""

    code = "error_token_too_soon"

    def __init__(self, wait: float) -> None:
        self.wait = wait
        super().__init__(f"the broker issues one token a minute for a key: ask again in {wait:.0f} s")


@attrs.frozen(kw_only=True)
class Issued:
    """``expires_at`` and ``issued_at``: Unix seconds. ``token`` is empty after it was found invalid."""

    token: str = attrs.field(repr=False)
    expires_at: float
    issued_at: float


Issue = Callable[[], Awaitable[tuple[str, float]]]
"""Asks the broker: the token, and for how many seconds it is valid."""


class TokenCache:
    """``folder`` is made when missing, 0700. ``wall`` gives Unix seconds."""

    def __init__(self, folder: Path, *, host: str, app_key: str, wall: Callable[[], float]) -> None:
        name = hashlib.sha256(f"{host}\n{app_key}".encode()).hexdigest()[:24]
        self._path = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"
        self._wall = wall
        self._known: Issued | None = None
        self._unwritten = False  # the file lacks what is known
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def state(self) -> BrokerToken:
        """For the engine's health; looks at what is known, asks nobody."""
        known = self._known
        if known is None:
            return BrokerToken.NONE
        left = known.expires_at - self._wall()
        if not known.token or left <= 0:
            return BrokerToken.INVALID
        return BrokerToken.EXPIRING if left < _EXPIRING else BrokerToken.OK

    async def get(self, issue: Issue) -> str:
        """A valid token, from memory, from the file, or newly issued. Raises TokenTooSoon and what ``issue`` raises."""
        if self._known is not None and self._valid(self._known):
            return self._known.token
        async with self._locked():
            self._known = self._newest()
            if self._known is not None and self._valid(self._known):
                return self._known.token
            if self._known is not None and (wait := self._known.issued_at + ISSUE_PERIOD - self._wall()) > 0:
                raise TokenTooSoon(wait)
            return await self._issue(issue)

    def invalidate(self, token: str) -> None:
        """The broker refused this token. Another one, issued meanwhile by somebody else, is left alone."""
        known = self._newest() or self._known
        if known is not None and known.token == token:
            self._keep(attrs.evolve(known, token=""))
        else:
            self._known = known

    async def _issue(self, issue: Issue) -> str:
        asked, before = self._wall(), self._known
        self._keep(Issued(token="", expires_at=0.0, issued_at=asked))  # a lost answer uses up the minute too
        try:
            token, lifetime = await issue()
        except EngineError as error:
            if _certainly_not_issued(error):
                self._keep(before or Issued(token="", expires_at=0.0, issued_at=0.0))
            raise
        self._keep(Issued(token=token, expires_at=asked + lifetime, issued_at=asked))
        return token

    def _valid(self, issued: Issued) -> bool:
        return bool(issued.token) and self._wall() < issued.expires_at - _MARGIN

    def _read(self) -> Issued | None:
        try:
            plain = json.loads(self._path.read_bytes())
            return Issued(
                token=str(plain["token"]),
                expires_at=float(plain["expires_at"]),
                issued_at=float(plain["issued_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _newest(self) -> Issued | None:
        """What the file says. What it could not be told counts more, unless another process wrote a later issue."""
        found, kept = self._read(), self._known if self._unwritten else None
        return kept if kept is not None and (found is None or found.issued_at <= kept.issued_at) else found

    def _keep(self, issued: Issued) -> None:
        """A full disk takes no broker away from a stop: the token is then known to this process alone."""
        self._known = issued
        try:
            write_durably(self._path, json.dumps(attrs.asdict(issued)).encode())
            self._unwritten = False
        except OSError:
            self._unwritten = True

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with trio.fail_after(_LOCK_PATIENCE):
                while not _try_lock(descriptor):  # noqa: ASYNC110  # another process's lock has no event to wait for
                    await trio.sleep(0.1)
            yield
        finally:
            os.close(descriptor)


def _certainly_not_issued(error: EngineError) -> bool:
    """The broker answered no, or was never reached."""
    cause = error.__cause__
    return isinstance(error, BrokerRefused) or (isinstance(cause, HttpError) and not cause.written)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
