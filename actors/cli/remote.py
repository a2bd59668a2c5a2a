"""A running platform as a command sees it: its REST face, and a session kept in the home folder, 0600.

The access token of the last command is used as long as it lives, then the refresh cookie, then a password: from
``WATCHKEEPER_PASSWORD`` or a prompt. What the platform answers no to becomes Refused, with its own words.
"""

import argparse
import getpass
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import attrs

from actors.cli.flags import settings_of
from actors.cli.tables import complain
from actors.errors import Failed, Refused
from wire.codec import decode, encode
from wire.errors import Malformed, WireError
from wire.http import HttpClient, HttpError, Response
from wire.schema import C, message

PASSWORD = "WATCHKEEPER_PASSWORD"
TIMEOUT = 10.0
MARGIN = 10.0


class Unreachable(Refused):
    """No platform answers at the address, and nothing was changed."""


class Unanswered(Failed):
    """A change was asked for and not answered: whether it was made is not known."""


@attrs.frozen(kw_only=True)
class Answer:
    """What the platform answered. ``body`` is plain JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = attrs.field(repr=False)


@message
class Session:
    """What is kept between commands. ``expires``: Unix seconds of the access token."""

    token: Annotated[str, C(secret=True)] = ""
    expires: float = 0.0
    cookie: Annotated[str, C(secret=True)] = ""


class SessionFile:
    """One file per address and user. A file that cannot be read is as good as none."""

    def __init__(self, home: Path, url: str, user: str) -> None:
        name = hashlib.blake2b(f"{url}\n{user}".encode(), digest_size=8).hexdigest()
        self.path = home / "sessions" / f"{name}.json"

    def load(self) -> Session:
        try:
            return decode(self.path.read_bytes(), Session)
        except (OSError, WireError):
            return Session()

    def save(self, session: Session) -> None:
        """Raises Refused when the home folder cannot be written."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(encode(session))
            fresh.replace(self.path)
        except OSError as error:
            raise Refused(f"{self.path.parent} cannot be written ({error.strerror}): choose another --home") from None


class Platform:
    """Requests to one platform, signed in when first needed."""

    def __init__(self, http: HttpClient, url: str, user: str, file: SessionFile) -> None:
        self._http = http
        self.url = url
        self.user = user
        self._file = file
        self._session = file.load()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        late: bool = False,
    ) -> Answer:
        """An answer below 400. Raises Refused with the platform's reason, Unreachable or Unanswered without one."""
        answer = await self.ask(method, path, body, headers=headers, timeout=timeout, late=late)
        if answer.status >= 400:
            raise refusal(answer)
        return answer

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        late: bool = False,
    ) -> Answer:
        """Whatever it answers, signed in. A token that counts no more is replaced once. ``late``: one past its end goes
        first all the same, since a platform whose database is away takes a stop with it, and signs nobody in."""
        tried = time.time() < self._session.expires - MARGIN or (late and bool(self._session.token))
        if not tried:
            await self._sign_in()
        answer = await self._send(method, path, body, headers, timeout)
        if answer.status == 401 and tried:
            await self._sign_in()
            answer = await self._send(method, path, body, headers, timeout)
        return answer

    async def step_up(self) -> None:
        """Gives the password again, for what needs a fresh proof."""
        answer = await self._send("POST", "/api/auth/step-up", {"password": read_password(self.user)}, None, TIMEOUT)
        if answer.status != 200:
            raise refusal(answer)
        self._keep(answer)

    async def _sign_in(self) -> None:
        if self._session.cookie:
            cookie = {"cookie": self._session.cookie}
            answer = await self._send("POST", "/api/auth/refresh", {}, cookie, TIMEOUT, signed=False)
            if answer.status == 200:
                self._keep(answer)
                return
            if answer.status >= 500:
                raise refusal(answer)  # a password would be answered the same
        credentials = {"username": self.user, "password": read_password(self.user)}
        answer = await self._send("POST", "/api/auth/login", credentials, None, TIMEOUT, signed=False)
        if answer.status != 200:
            raise refusal(answer)
        self._keep(answer)

    def _keep(self, answer: Answer) -> None:
        cookie = answer.headers.get("set-cookie")
        self._session = Session(
            token=str(answer.body["access_token"]),
            expires=time.time() + float(answer.body["expires_in"]),
            cookie=self._session.cookie if cookie is None else cookie.split(";")[0],
        )
        try:
            self._file.save(self._session)
        except Refused as error:  # a full disk keeps nobody from what was asked for
            complain(f"the session is not kept: {error.message}")

    async def _send(
        self,
        method: str,
        path: str,
        body: object,
        headers: Mapping[str, str] | None,
        timeout: float,
        *,
        signed: bool = True,
    ) -> Answer:
        sent = {"accept": "application/json", **(headers or {})}
        content = b""
        if body is not None:
            sent["content-type"] = "application/json"
            content = json.dumps(body).encode()
        if signed:
            sent["authorization"] = f"Bearer {self._session.token}"
        try:
            return _answer(await self._http.request(method, self.url + path, sent, content, timeout=timeout))
        except HttpError as error:
            if error.written and signed and method != "GET":
                words = f"the platform at {self.url} was asked and did not answer: whether it did it is not known"
                raise Unanswered(words) from None
            raise Unreachable(f"no platform answers at {self.url}: is it running? (watchkeeper up)") from None


def _answer(response: Response) -> Answer:
    try:
        body = response.json() if response.body else None
    except Malformed:
        body = None
    return Answer(status=response.status, body=body, headers=response.headers)


def refusal(answer: Answer) -> Refused | Failed:
    """What the platform said no with. That it cannot do it now is a failure, not a refusal."""
    body = answer.body if isinstance(answer.body, dict) else {}
    field = f" ({body['field']})" if body.get("field") else ""
    words = f"{body.get('reason') or 'the platform refused'}{field} [{body.get('error') or answer.status}]"
    return Failed(words) if answer.status >= 500 else Refused(words)


def read_password(user: str) -> str:
    """From the environment or a prompt. Raises Refused when there is neither."""
    if password := os.environ.get(PASSWORD):
        return password
    if not sys.stdin.isatty():
        raise Refused(f"a password for {user} is needed: set {PASSWORD}, or run this at a terminal")
    return getpass.getpass(f"Password of {user}: ")


@asynccontextmanager
async def platform_of(args: argparse.Namespace) -> AsyncIterator[Platform]:
    """The platform the flags name. Raises Refused for an address that is none."""
    settings = settings_of(args)
    scheme = "https" if settings.http_tls else "http"
    url = (args.url or f"{scheme}://{settings.http}").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise Refused("--url must look like http://127.0.0.1:8700")
    user = args.user or os.environ.get("WATCHKEEPER_USER") or "admin"
    async with HttpClient(max_connections=2) as http:
        yield Platform(http, url, user, SessionFile(settings.home, url, user))
