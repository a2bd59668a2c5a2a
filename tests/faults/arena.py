"""A whole desk of real processes on one machine: PostgreSQL, the platform, the broker's simulator and many engines.

Everything is reached as from outside, by HTTP, files and signals. Processes are ended by the handles this module holds,
or by ids from files it knows (``postmaster.pid``), never by a name.
"""

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
import psutil

from store.embedded import EmbeddedPostgres
from tests.faults.hammer import Diary, Moments
from tests.ports import free_port

T = TypeVar("T")

SYMBOLS = ("005930", "035420", "005380", "068270", "035720")
PATIENCE = 60.0


class Late(AssertionError):
    """Something did not come about in time."""


def until(holds: Callable[[], T], what: str, seconds: float = PATIENCE, *, every: float = 0.05) -> T:
    """The first true value of ``holds``. Raises Late naming ``what``."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > end:
            raise Late(f"not within {seconds:g} s: {what}")
        time.sleep(every)
    return value


@attrs.frozen
class Answer:
    status: int
    body: Any


class Away(Exception):
    """No whole answer came."""


def call(
    port: int,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 40.0,
) -> Answer:
    """One request on a connection of its own. Raises Away."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    sent = {"content-type": "application/json", **(headers or {})}
    if token:
        sent["authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        text = answer.read()
        kind = answer.headers.get("content-type", "")
        return Answer(answer.status, json.loads(text) if text and "json" in kind else text)
    except (OSError, http.client.HTTPException) as error:
        raise Away(str(error)) from error
    finally:
        connection.close()


@attrs.define
class Person:
    """Somebody at the desk. A release wants a password given within five minutes, so it is given anew every three."""

    username: str
    password: str
    token: str = ""
    proven_at: float = float("-inf")


class Arena:
    """``engines``: how many processes; ``rate``: orders a second of each. Use it as a context manager.

    PostgreSQL is started on the thread that makes this object and ends with that thread.
    """

    def __init__(self, *, engines: int, rate: float) -> None:
        # Not below a private folder: as root, PostgreSQL runs as another account, which must be able to enter.
        self.folder = Path(tempfile.mkdtemp(prefix="wk-arena-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.rate = rate
        self.http, self.links, self.page = free_port(), free_port(), free_port()
        self.postgres = EmbeddedPostgres(self.folder / "database")
        self.admin = Person("admin", "Arena-" + secrets.token_urlsafe(12))
        self.second = Person("second", "Arena-" + secrets.token_urlsafe(12))
        self.names = [f"h{number:02}" for number in range(engines)]
        self.diaries: dict[str, Diary] = {}
        self.secrets: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.strangers: list[str] = []  # enrolled engines that obey nobody: a release waives them
        self.stopped_pids: list[int] = []
        self.why_not: Answer | None = None

    def __enter__(self) -> "Arena":
        try:
            self._dsn = self.postgres.start()
            self._start_simulator()
            self.start_platform()
            self._enrol()
            for name in self.names:
                self.start_engine(name)
            self.all_trade(120.0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw_database()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- processes ---

    def spawn(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """``python -m command``, its output in NAME.log. It ends with the thread that calls this, however that ends."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "actors.demo.tether", sys.executable, "-m", *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.processes[name]

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(20)

    def tail(self, name: str, lines: int = 30) -> str:
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def start_platform(self) -> None:
        self.launch_platform()
        until(self.is_ready, "the platform is ready", 90)

    def launch_platform(self) -> None:
        environment = {
            "WATCHKEEPER_HOME": str(self.home),
            "WATCHKEEPER_DATABASE_URL": self._dsn,
            "WATCHKEEPER_HTTP": f"127.0.0.1:{self.http}",
            "WATCHKEEPER_ENGINES": f"127.0.0.1:{self.links}",
            "WATCHKEEPER_EMERGENCY": f"127.0.0.1:{self.page}",
            "WATCHKEEPER_ADMIN_PASSWORD": self.admin.password,
        }
        self.spawn("platform", "actors", "up", **environment)

    def is_ready(self) -> bool:
        platform = self.processes["platform"]
        if platform.poll() is not None:
            raise AssertionError(f"the platform ended with {platform.returncode}:\n{self.tail('platform')}")
        with suppress(Away):
            return call(self.http, "GET", "/readyz", timeout=2).status == 200
        return False

    def is_whole(self) -> bool:
        """Ready, and nothing degraded: a release can be written down."""
        with suppress(Away):
            answer = call(self.http, "GET", "/readyz", timeout=2)
            return answer.status == 200 and not answer.body["degraded"]
        return False

    @property
    def platform_pid(self) -> int:
        return self.processes["platform"].pid

    def _start_simulator(self) -> None:
        self._accounts = {
            name: {
                "account": f"7{number:07}01",
                "app_key": "PS" + secrets.token_hex(17),
                "app_secret": secrets.token_urlsafe(90),
                "profile": "real",
                "cash": 10**13,
            }
            for number, name in enumerate(self.names)
        }
        accounts, port = self.folder / "accounts.json", self.folder / "simulator.address"
        accounts.write_text(json.dumps({"accounts": list(self._accounts.values())}))
        arguments = ("--listen", "127.0.0.1:0", "--home", str(self.folder / "simulator"), "--speed", "1")
        files = ("--accounts", str(accounts), "--port-file", str(port))
        self.spawn("simulator", "actors", "broker-sim", *arguments, *files)
        until(port.exists, "the simulator answers")
        self._broker = f"http://{port.read_text().strip()}"

    # --- engines ---

    def _enrol(self) -> None:
        body = {"username": self.second.username, "password": self.second.password, "role": "risk"}
        assert self.ask("POST", "/api/users", body).status == 201
        for number, name in enumerate(self.names):
            folder = self.folder / name
            folder.mkdir()
            account = f"kis-{name}"
            answer = self.ask("POST", "/api/engines", {"name": name, "engine_id": name, "account_id": account})
            assert answer.status == 201, answer
            self.secrets[name] = answer.body["secret"]
            credential = {
                "platform_url": f"http://127.0.0.1:{self.links}",
                "engine_id": name,
                "secret": self.secrets[name],
                "account_id": account,
            }
            (folder / "credential.json").write_text(json.dumps(credential))
            (folder / "credential.json").chmod(0o600)
            keys = self._accounts[name]
            config = {
                "name": name,
                "folder": str(folder),
                "credential": str(folder / "credential.json"),
                "broker": self._broker,
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "rate": str(self.rate),
                **{key: keys[key] for key in ("account", "app_key", "app_secret")},
            }
            (folder / "engine.json").write_text(json.dumps(config))
            self.diaries[name] = Diary(folder / "diary")

    def start_engine(self, name: str) -> None:
        self.spawn(name, "tests.faults.hammer", str(self.folder / name / "engine.json"))

    def moments(self) -> dict[str, Moments]:
        return {name: diary.read() for name, diary in self.diaries.items()}

    def all_trade(self, seconds: float = PATIENCE) -> None:
        """Every engine's gate is open and its orders are accepted from now on."""
        before = {name: m.accepted for name, m in self.moments().items()}

        def trade() -> bool:
            return all(not m.closed and m.accepted > before[name] for name, m in self.moments().items())

        try:
            until(trade, "every engine trades", seconds)
        except Late as late:
            idle = [n for n, m in self.moments().items() if m.closed or m.accepted <= before[n]]
            raise Late(f"{late}; not {idle}\n{self.tail(idle[0])}\n{self.tail('platform')}") from None

    def trade_again(self, seconds: float = 3 * PATIENCE) -> None:
        """Everything is released, also what an engine that comes back later brings with it, and every engine trades."""
        end = time.monotonic() + seconds
        while True:
            self.release_all()
            try:
                return self.all_trade(5.0)
            except Late:
                if time.monotonic() > end:
                    raise

    # --- people ---

    def signed_in(self, person: Person) -> str:
        if time.monotonic() - person.proven_at > 180:
            body = {"username": person.username, "password": person.password}
            answer = until(lambda: self._login(body), f"{person.username} signs in")
            person.token, person.proven_at = answer["access_token"], time.monotonic()
        return person.token

    def _login(self, body: dict[str, str]) -> Any:
        with suppress(Away):
            answer = call(self.http, "POST", "/api/auth/login", body)
            return answer.body if answer.status == 200 else None

    def ask(self, method: str, path: str, body: object = None, *, who: Person | None = None) -> Answer:
        return call(self.http, method, path, body, token=self.signed_in(who or self.admin))

    def refresh_people(self) -> None:
        for person in (self.admin, self.second):
            self.signed_in(person)

    def open_stops(self) -> dict[str, Any]:
        """Every open stop by its id, as the platform says now."""
        found, after = {}, ""
        while True:
            answer = self.ask("GET", f"/api/stops?limit=1000{after}")
            assert answer.status == 200, answer
            found.update({s["stop_id"]: s for s in answer.body["items"] if s["released_at"] is None})
            if answer.body["next"] is None:
                return found
            after = f"&after={answer.body['next']}"

    def release_all(self) -> None:
        """By the real procedure: one person asks, the other one approves, until nothing is open."""
        for stop_id, stop in self.open_stops().items():
            if stop["scope"].removeprefix("engine:") in self.strangers:
                continue  # what waiving them left behind
            until(lambda stop_id=stop_id: self._release(stop_id), f"{stop_id} is released", 90, every=0.1)

    def _release(self, stop_id: str) -> bool:
        path = f"/api/stops/{stop_id}"
        with suppress(Away):
            stop = self.ask("GET", path).body
            if stop["released_at"] is not None:
                return True
            epoch = stop["epoch"]
            waive = [{"engine_id": name, "reason": "disturbs on purpose"} for name in self.strangers]
            body = {"reason": "measured", "epoch": epoch, "resume": True, "waive": waive}
            asked = self.ask("POST", f"{path}/release", body)
            if asked.status == 201:
                done = self.ask("POST", f"{path}/approve", {"epoch": epoch}, who=self.second)
                return done.status == 200 and done.body["state"] == "released"
            self.why_not = asked
        return False

    # --- PostgreSQL, by the ids in its own file ---

    def database_pids(self) -> list[int]:
        """Children first, the postmaster last."""
        try:
            postmaster = int((self.postgres.data / "postmaster.pid").read_text().splitlines()[0])
            return [*(p.pid for p in psutil.Process(postmaster).children(recursive=True)), postmaster]
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return []

    def freeze_database(self) -> None:
        self.stopped_pids = self.database_pids()
        for pid in reversed(self.stopped_pids):  # the postmaster first: no new child escapes
            os.kill(pid, signal.SIGSTOP)

    def thaw_database(self) -> None:
        for pid in self.stopped_pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped_pids = []

    def kill_database(self) -> None:
        pids = self.database_pids()
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.postgres.stop()

    def start_database(self) -> None:
        assert self.postgres.start() == self._dsn


@contextmanager
def child(arena: Arena, name: str, *command: str, **environment: str) -> Iterator[None]:
    """A disturbing process that runs as long as the block."""
    arena.spawn(name, *command, **environment)
    try:
        yield
    finally:
        arena.end(name, signal.SIGKILL)
