"""The main loop of a real platform stands still; the local socket and the emergency page still stop everything.

Three ways to stand still: a call into C that never comes back, a loop that never yields, and a debugger that has
stopped the main thread. Each time the stop has to be answered, written down and enforced from the emergency thread
alone; when the main loop lives again it goes on with the stop, and when it never does, the next start has it.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import trio

from actors.emergency.doors import CODE_FILE
from actors.emergency.glass import RECORDED_WORDS
from actors.emergency.local_socket import new_request, stop_locally
from tests.ports import free_port
from wire.client import dial
from wire.http import HttpClient
from wire.messages import Hello, Welcome
from wire.session import EngineSession, Received, Vitals
from wire.sockets import LinkClosed
from wire.stops import Level, Scope
from wire.values import LatchState, TradingMode

pytestmark = pytest.mark.database

PATIENCE = 60.0  # an answer takes a second and a half, where the machine does nothing else
PASSWORD = "a-long-password"

PLATFORM = """
import os, signal, trio
from pathlib import Path
from actors.config import load_settings
from actors.platform.platform import run_platform

wedge = Path(os.environ["WEDGE"])

def block(*_):
    wedge.with_suffix(".in").touch()
    os.close(os.open(wedge, os.O_RDONLY))  # until somebody opens the pipe to write

def spin(*_):
    wedge.with_suffix(".in").touch()
    while not wedge.with_suffix(".over").exists():
        for _ in range(100_000):
            pass

signal.signal(signal.SIGUSR1, block)
signal.signal(signal.SIGUSR2, spin)
trio.run(run_platform, load_settings({}, {k: v for k, v in os.environ.items() if k != "WEDGE"}))
"""


def _started(environment):
    return subprocess.Popen([sys.executable, "-c", PLATFORM], env=environment, stderr=subprocess.DEVNULL)


async def exists(path):
    await trio.lowlevel.checkpoint()
    return path.exists()


async def within(seconds, holds):
    """Waits for what another process brings about."""
    with trio.fail_after(seconds):
        while True:
            if value := await holds():
                return value
            await trio.sleep(0.1)


class Platform:
    """A platform in a process of its own."""

    def __init__(self, home, dsn):
        self.home = home
        self.wedge = home.parent / "wedge"
        os.mkfifo(self.wedge)
        self.http, self.engines, self.page = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.environment = {
            **os.environ,
            "WATCHKEEPER_HOME": str(home),
            "WATCHKEEPER_DATABASE_URL": dsn,
            "WATCHKEEPER_HTTP": self.http,
            "WATCHKEEPER_ENGINES": self.engines,
            "WATCHKEEPER_EMERGENCY": self.page,
            "WATCHKEEPER_ADMIN_PASSWORD": PASSWORD,
            "WEDGE": str(self.wedge),
        }
        self.process = None

    async def start(self):
        (self.home / "stop.sock").unlink(missing_ok=True)
        self.process = _started(self.environment)
        await within(180, lambda: exists(self.home / "stop.sock"))

    async def stand_still(self, how):
        """From when this returns the main loop does nothing, until ``go_on``."""
        os.kill(self.process.pid, how)
        await within(PATIENCE, lambda: exists(self.wedge.with_suffix(".in")))

    def go_on(self, how):
        self.wedge.with_suffix(".in").unlink()
        if how == signal.SIGUSR1:
            os.close(os.open(self.wedge, os.O_WRONLY | os.O_NONBLOCK))
        else:
            self.wedge.with_suffix(".over").touch()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)

    async def ask(self, http, method, path, body=None, headers=None, at=None):
        content = json.dumps(body).encode() if body is not None else b""
        sent = {"content-type": "application/json", **(headers or {})}
        return await http.request(method, f"http://{at or self.http}{path}", sent, content, timeout=PATIENCE)

    async def signed_in(self, http):
        answer = await self.ask(http, "POST", "/api/auth/login", {"username": "admin", "password": PASSWORD})
        assert answer.status == 200, answer
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def open_stops(self, http, who):
        items = (await self.ask(http, "GET", "/api/stops", headers=who)).json()["items"]
        return {s["stop_id"]: s for s in items if s["released_at"] is None}

    async def all_open(self, http, who, ids):
        """Every open stop, once these are among them."""
        found = await self.open_stops(http, who)
        return found if ids <= found.keys() else None


class Engine:
    """An engine's link, as far as it takes to be cut off and to come back."""

    def __init__(self, platform, http, secret):
        self.platform, self.http, self.secret = platform, http, secret
        self.cut = trio.Event()

    async def link(self, *, task_status):
        """Until the connection ends; started with what the welcome said."""
        asked = {"engine_id": "alpha", "secret": self.secret}
        engines = self.platform.engines
        token = (await self.platform.ask(self.http, "POST", "/api/auth/engine-token", asked, at=engines)).json()
        session = EngineSession("alpha", hello=self.hello, vitals=self.vitals)
        session.connected(trio.current_time())
        url = f"ws://{engines}/ws/engine/alpha"
        with contextlib.suppress(LinkClosed):
            async with dial(url, token["access_token"], timeout=PATIENCE) as link:
                for frame in session.take(trio.current_time()):
                    await link.send(frame)
                while True:
                    for event in session.receive(await link.receive(), trio.current_time()):
                        if isinstance(event, Received) and isinstance(event.message, Welcome):
                            task_status.started(event.message)
        self.cut.set()

    def vitals(self):
        return Vitals(stop_epoch=0, level=Level.NORMAL, synced=True)

    def hello(self, resume):
        return Hello(
            protocol="1",
            instance="i1",
            name="alpha",
            version="1",
            trading_mode=TradingMode.PAPER,
            stops=[],
            latch=LatchState.PRESENT,
            resume=resume,
        )


class Debugger:
    """Stops the main thread of a child, and no other, as a debugger does. Every call comes from one thread."""

    SEIZE, INTERRUPT, DETACH, CONT = 0x4206, 0x4207, 17, 7
    WALL = 0x40000000
    WAITING_FOR_EVENTS = {"x86_64": ("232", "281"), "aarch64": ("22",)}

    def __init__(self, pid):
        self.pid = pid
        self._let_go, self._said = threading.Event(), queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def freeze(self):
        """False where the system does not let a process be traced."""
        self._thread.start()
        return self._said.get(timeout=2 * PATIENCE)

    def let_go(self):
        self._let_go.set()
        self._thread.join(PATIENCE)

    def _run(self):
        ptrace = ctypes.CDLL(None).ptrace
        ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        ptrace.restype = ctypes.c_long
        if ptrace(self.SEIZE, self.pid, None, None) != 0:
            self._said.put(False)
            return
        end = time.monotonic() + PATIENCE
        while True:
            while not self._is_idle() and time.monotonic() < end:
                pass
            ptrace(self.INTERRUPT, self.pid, None, None)
            os.waitpid(self.pid, self.WALL)
            if self._is_idle() or time.monotonic() > end:
                break
            ptrace(self.CONT, self.pid, None, None)  # it had begun to do something in between
        self._said.put(True)
        self._let_go.wait(4 * PATIENCE)
        ptrace(self.DETACH, self.pid, None, None)

    def _is_idle(self):
        """Waiting for events it holds no lock of the interpreter; a thread stopped with that lock stops them all."""
        numbers = self.WAITING_FOR_EVENTS.get(os.uname().machine)
        return numbers is None or Path(f"/proc/{self.pid}/syscall").read_text().split()[0] in numbers


async def stop_while_wedged(platform, http, engine, symbol, proof):
    """Both doors, while the main loop stands still; ``proof`` is what the page takes. Returns the ids they recorded."""
    scope = Scope.parse(f"symbol:{symbol}")
    local = await stop_locally(platform.home, new_request(scope, Level.CANCEL, "wedged"))
    assert (local.recorded, local.durable, local.words) == (True, True, RECORDED_WORDS)
    assert local.engines == 1
    with trio.fail_after(PATIENCE):
        await engine.cut.wait()
    shown = await platform.ask(http, "GET", "/", at=platform.page)
    assert shown.status == 200
    page = await platform.ask(http, "POST", "/stop", {"reason": symbol}, proof, at=platform.page)
    assert (page.status, page.json()["durable"], page.json()["words"]) == (200, True, RECORDED_WORDS)
    return local.stop_id, page.json()["stop_id"]


async def test_a_stop_is_recorded_and_enforced_while_the_main_loop_stands_still(home, database_dsn):
    platform = Platform(home, database_dsn)
    try:
        await platform.start()
        async with HttpClient() as http, trio.open_nursery() as nursery:
            who = await platform.signed_in(http)
            enrolled = {"name": "alpha", "account_id": "A1", "engine_id": "alpha"}
            secret = (await platform.ask(http, "POST", "/api/engines", enrolled, who)).json()["secret"]
            everything = set()
            for mode, symbol in ((signal.SIGUSR1, "BLOCK"), (signal.SIGUSR2, "SPIN"), ("debugger", "FROZEN")):
                engine = Engine(platform, http, secret)
                await nursery.start(engine.link)
                debugger = Debugger(platform.process.pid) if mode == "debugger" else None
                if debugger is None:
                    await platform.stand_still(mode)
                elif not debugger.freeze():
                    continue
                proof = {"x-emergency-code": (platform.home / CODE_FILE).read_text().strip()}
                if mode == signal.SIGUSR1:
                    proof = who  # the first one: it opens the stop, later ones raise it
                by_socket, by_page = await stop_while_wedged(platform, http, engine, symbol, proof)
                if debugger is not None:
                    debugger.let_go()
                else:
                    platform.go_on(mode)
                everything |= {by_socket, by_page}

                found = await within(90, partial(platform.all_open, http, who, frozenset(everything)))
                assert (found[by_socket]["scope"], found[by_socket]["level"]) == (f"symbol:{symbol}", "CANCEL")
                assert (found[by_page]["scope"], found[by_page]["level"]) == ("all", "FLATTEN")
                assert (found[by_page]["username"], found[by_socket]["username"]) == ("admin", "local")
                # An engine that comes back is under the stops before it could get a lease.
                back = Engine(platform, http, secret)
                with trio.CancelScope() as visit:
                    async with trio.open_nursery() as inner:
                        welcome = await inner.start(back.link)
                        visit.cancel()
                assert everything <= {r.stop_id for r in welcome.stop.effective}
            assert len({s["scope"] for s in found.values()}) == len(found)  # the same scope stayed one stop
            await platform.stand_still(signal.SIGUSR1)
            drill = await stop_locally(home, new_request(Scope.everything(), Level.HALT, "exercise", drill=True))
            assert not drill.recorded
            last = await stop_locally(home, new_request(Scope.of_engine("alpha"), Level.HALT, "never came back"))
            assert last.words == RECORDED_WORDS
            platform.kill()
            await platform.start()
            assert last.stop_id in await platform.open_stops(http, await platform.signed_in(http))
            nursery.cancel_scope.cancel()
    finally:
        platform.kill()
