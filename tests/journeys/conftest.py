"""A desk on this machine: the real command as a subprocess, reached as users reach it, by HTTP and a browser."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import attrs
import pytest

from tests.ports import free_port

ADMIN_PASSWORD = "Journey-" + secrets.token_urlsafe(12)
CHROMIUM_NAMES = (os.environ.get("WATCHKEEPER_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")


@attrs.frozen
class Answer:
    status: int
    body: object
    headers: dict[str, str]


class Api:
    """The REST face as a script uses it, with one user's token."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.token: str | None = None

    def call(self, method, path, body=None, *, headers=None, timeout=120.0) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return self._answer(answer)
        except urllib.error.HTTPError as error:
            return self._answer(error)

    @staticmethod
    def _answer(response) -> Answer:
        text = response.read().decode()
        body = json.loads(text) if text and "json" in response.headers.get("Content-Type", "") else text
        return Answer(response.status, body, {k.lower(): v for k, v in response.headers.items()})

    def get(self, path, **kw):
        answer = self.call("GET", path, **kw)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer.body

    def login(self, username, password):
        answer = self.call("POST", "/api/auth/login", {"username": username, "password": password})
        assert answer.status == 200, answer
        self.token = answer.body["access_token"]
        return self

    def every(self, path, **filters):
        """All items of a paged list."""
        query = "".join(f"&{k}={v}" for k, v in filters.items())
        items, after = [], None
        while True:
            page = self.get(f"{path}?limit=1000{query}" + (f"&after={after}" if after else ""))
            items += page["items"]
            after = page["next"]
            if after is None:
                return items


class Desk:
    """`watchkeeper demo` in a home of its own, on free ports, with the means to kill it and start it again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.password = ADMIN_PASSWORD
        self.port = free_port()
        self.environment = {
            **os.environ,
            "WATCHKEEPER_HOME": str(home),
            "WATCHKEEPER_HTTP": f"127.0.0.1:{self.port}",
            "WATCHKEEPER_ENGINES": f"127.0.0.1:{free_port()}",
            "WATCHKEEPER_EMERGENCY": "off",
            "WATCHKEEPER_ADMIN_PASSWORD": ADMIN_PASSWORD,
        }
        self.environment.pop("WATCHKEEPER_DATABASE_URL", None)
        self.process: subprocess.Popen | None = None
        self.log = home.parent / "demo.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str, command: str = "demo") -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "actors", command, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_until(self._ready, "the platform is ready", 180)

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the platform ended with {self.process.returncode}:\n{self.tail()}")
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_until(self, holds, what: str, seconds: float, *, every: float = 0.25):
        """The first true value of ``holds``; fails naming ``what`` when the time is over."""
        end = time.monotonic() + seconds
        while True:
            if value := holds():
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{self.tail()}")
            time.sleep(every)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9: nobody gets a chance to say goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
            raise

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 180) -> subprocess.CompletedProcess:
        """One of the command's other verbs, as the operator types it."""
        return subprocess.run(
            [sys.executable, "-m", "actors", *arguments],
            env={**self.environment, "WATCHKEEPER_PASSWORD": ADMIN_PASSWORD},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def api(self, username="admin", password=ADMIN_PASSWORD) -> Api:
        return Api(self.url).login(username, password)


@pytest.fixture
def desk():
    # Not pytest's tmp_path: as root, PostgreSQL runs as another account, which cannot enter pytest's private folders.
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-journey-"))
    folder.chmod(0o755)
    desk = Desk(folder / "home")
    try:
        yield desk
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            desk.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page():
    """A page of a real Chromium."""
    path = next((found for name in CHROMIUM_NAMES if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("SKIPPED, NOT TESTED: no Chromium (set WATCHKEEPER_CHROMIUM to its path)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="SKIPPED, NOT TESTED: no playwright")
    # Where trio_asyncio was imported, new loops of this thread would be its own, which cannot be run in pieces.
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        with sync_api.sync_playwright() as play:
            chrome = play.chromium.launch(executable_path=path)
            found = chrome.new_context(viewport={"width": 1440, "height": 900}, locale="ko-KR").new_page()
            found.set_default_timeout(60_000)
            yield found
            chrome.close()
    finally:
        asyncio.set_event_loop_policy(None)
