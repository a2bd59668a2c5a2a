"""A platform that only speaks the link, a simulated broker on a real port, and engines between the two."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial

import attrs
import pytest
import trio

from actors.engine.config import read_config
from actors.engine.kis import KisAccount, KisClient
from actors.engine.main import run_engine
from actors.engine.throttle import RateWindow, Throttle
from actors.engine.tokens import TokenCache
from actors.simulator.options import SimulatorOptions
from actors.simulator.server import serve
from wire.http import HttpClient
from wire.kis.codes import Profile
from wire.messages import ConfigChanged, EmergencyStop, Heartbeat, Hello, Release, StopProgress
from wire.parts import LeaseExpiry, Limits
from wire.plain import PlainResponse
from wire.sdk.platform import read_credential
from wire.server import EngineListener, open_listeners
from wire.session import CloseLink, Offer, PlatformSession, Received
from wire.sockets import LinkClosed
from wire.stops import Entry, Level, Register, Scope, StopRecord, StopSnapshot
from wire.tokens import TokenKeys

ADMIN = {"authorization": "Bearer test-admin", "content-type": "application/json"}
SECRET = "engine-secret"


class Platform:
    """One platform in memory: it commits everything at once, grants leases, and remembers what engines said."""

    found_again = 120.0  # seconds after an outage: an engine pauses for 30 at most (full jitter), then it dials

    def __init__(self):
        self.keys = TokenKeys(b"k" * 32)
        self.register = Register()
        self.platform_id = "platform-1"
        self.lease_ms = 15_000
        self.expiry = LeaseExpiry()
        self.limits = Limits(heartbeat_ms=300, offline_ms=15_000)
        self.hellos = []
        self.heard = []
        self.frames = []
        self.logged_in = 0
        self.links_lost = 0
        self.session = None
        self.socket = None
        self.detached = None
        self.address = ""
        self.risk_limits = None
        self.config_version = 1
        self.configs_read = 0
        self._wake = trio.Event()
        self._news = trio.Event()
        self.scope = trio.CancelScope()

    # --- being a server ---

    async def run(self, *, port=0, task_status=trio.TASK_STATUS_IGNORED):
        listener = EngineListener(authorize=self._authorize, handler=self._handle, http=self._http)
        listeners = await open_listeners("127.0.0.1", port)
        self.address = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with self.scope:
            await listener.serve(listeners, task_status=task_status)

    def _authorize(self, engine_id, token):
        return self.keys.verify(token, "engine")

    async def _http(self, request):
        if request.path == "/api/engine/config":
            return self._config()
        body = json.loads(request.body)
        if body.get("secret") != SECRET:
            return PlainResponse.of_json(401, {"error": "error_unauthorized", "reason": "no"})
        self.logged_in += 1
        issued = self.keys.issue_engine(body["engine_id"])
        return PlainResponse.of_json(200, {"access_token": issued.token, "expires_in": 900})

    def _config(self):
        """No user has saved anything, or these limits."""
        self.configs_read += 1
        if self.risk_limits is None:
            return PlainResponse.of_json(404, {"error": "error_no_configuration", "reason": "nothing saved"})
        limits = {"max_daily_loss": 10**9, "max_position_size": 10**9, "max_concurrent_positions": 40}
        limits |= {"emergency_stop_loss": 10**9, **self.risk_limits}
        return PlainResponse.of_json(
            200, {"config_version": self.config_version, "account_id": "A1", "sealed": None, "risk_limits": limits}
        )

    def change_limits(self, **limits):
        """A person saves other limits."""
        self.risk_limits, self.config_version = limits, self.config_version + 1
        self.send(ConfigChanged(config_version=self.config_version))

    async def _handle(self, socket, engine_id, _claims):
        session = PlatformSession(engine_id, now=trio.current_time(), limits=self.limits)
        self.session, self.socket = session, socket
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, session, socket)
                while True:
                    self.frames.append(await socket.receive())
                    for event in session.receive(self.frames[-1], trio.current_time()):
                        self._take(session, event)
                    self._wake.set()
        except* LinkClosed:
            self.links_lost += 1
        finally:
            self.detached = session.detach() or self.detached
            if self.session is session:
                self.session = None

    async def _write(self, session, socket):
        while True:
            self._wake = trio.Event()
            while frames := session.take(trio.current_time()):
                for frame in frames:
                    await socket.send(frame)
            with trio.move_on_after(0.1):
                await self._wake.wait()

    def _take(self, session, event):
        if isinstance(event, CloseLink):
            raise AssertionError(f"the engine broke the protocol: {event}")
        if not isinstance(event, Received):
            return
        match event.message:
            case Hello() as hello:
                self._greet(session, hello)
            case Heartbeat() as beat:
                session.answer_heartbeat(beat, stop=self.snapshot(), lease_ms=self._lease())
        self.heard.append(event.message)
        if event.seq is not None:
            session.committed(event.seq, trio.current_time())
        self._news.set()
        self._news = trio.Event()

    def _greet(self, session, hello):
        self.hellos.append(hello)
        for record in hello.stops:
            self.register = self.register.with_stop(
                record.stop_id, Entry(record.scope, record.level, record.stop_epoch)
            )
        offer = Offer(
            session=f"s{len(self.hellos)}",
            epoch=len(self.hellos),
            platform_id=self.platform_id,
            term=1,
            stop=self.snapshot(),
            lease_ms=self._lease(),
            on_lease_expiry=self.expiry,
            token_expires=datetime.now(UTC) + timedelta(seconds=900),
            config_version=self.config_version,
        )
        for event in session.welcome(offer, trio.current_time(), detached=self.detached):
            self._take(session, event)

    def _lease(self):
        return self.lease_ms

    def snapshot(self):
        effective = [
            StopRecord(stop_id=i, scope=e.scope, level=e.level, stop_epoch=e.stop_epoch)
            for i, e in self.register.open_stops()
        ]
        return StopSnapshot(epoch=self.register.epoch, effective=effective, released=self.register.released_ids())

    # --- being an operator ---

    def stop(self, stop_id="x", *, scope="all", level=Level.FLATTEN):
        epoch = self.register.epoch + 1
        self.register = self.register.with_stop(stop_id, Entry(Scope.parse(scope), level, epoch))
        self.send(
            EmergencyStop(
                stop_id=stop_id,
                stop_epoch=epoch,
                scope=Scope.parse(scope),
                level=level,
                proof="",
                timeout_ms=30_000,
                reason="a test",
                user_id="tester",
            )
        )

    def release(self, *stop_ids, resume=True, reduced=None):
        epoch = self.register.epoch + 1
        self.register = self.register.with_release(stop_ids, epoch)
        held = self.snapshot().effective
        self.send(Release(stop_ids=list(stop_ids), epoch=epoch, effective=held, resume=resume, reduced=reduced))

    def send(self, message):
        self.session.send(message)
        self._wake.set()

    async def until(self, holds, *, within):
        """Waits until something outside of this object's own news is true."""
        with trio.fail_after(within):
            while not holds():
                with trio.move_on_after(0.1):
                    await self._news.wait()

    async def hears(self, holds, *, within=90.0, since=0):
        """The first message, from number ``since`` on, for which ``holds`` is true."""
        with trio.fail_after(within):
            while True:
                for message in self.heard[since:]:
                    if holds(message):
                        return message
                await self._news.wait()

    async def hears_phase(self, phase, stop_id="x", *, within=90.0, since=0):
        return await self.hears(
            lambda m: isinstance(m, StopProgress) and m.stop_id == stop_id and m.phase is phase,
            within=within,
            since=since,
        )

    def phases(self, stop_id="x"):
        found = [m.phase for m in self.heard if isinstance(m, StopProgress) and m.stop_id == stop_id]
        return [p for n, p in enumerate(found) if n == 0 or found[n - 1] is not p]


@attrs.define
class Broker:
    """The simulated broker, with the account that the engine trades."""

    address: object
    http: HttpClient
    keys: dict

    async def admin(self, path, body=None):
        data = json.dumps(body or {}).encode()
        method = "POST" if body is not None else "GET"
        answer = await self.http.request(method, f"http://{self.address}{path}", ADMIN, data, timeout=60)
        assert answer.status < 300, answer.body
        return answer.json()

    async def faults(self, **faults):
        await self.admin("/sim/faults", {"account": self.keys["account"], **faults})

    async def cash(self, tokens):
        """The account's cash by the broker's own books, asked for with the token the engine shares."""
        account = KisAccount(
            profile=Profile(self.keys["profile"]),
            app_key=self.keys["app_key"],
            app_secret=self.keys["app_secret"],
            account=self.keys["account"],
            rest_url=f"http://{self.address}",
        )
        cache = TokenCache(tokens, host=account.rest, app_key=account.app_key, wall=time.time)
        client = KisClient(account, http=self.http, tokens=cache, throttle=Throttle(RateWindow(1)))
        return (await client.balance()).totals.cash_d2

    async def log(self):
        """Every order event of the broker so far."""
        entries, after = [], 0
        while True:
            page = await self.admin(f"/sim/orders?after={after}")
            entries += page["items"]
            if page["next"] is None:
                return entries
            after = page["next"]


@pytest.fixture
async def platform(nursery):
    platform = Platform()
    await nursery.start(platform.run)
    return platform


@pytest.fixture
async def start_broker(tmp_path, nursery):
    """Starts a simulated broker on a Monday after the opening, sixty times as fast as real."""
    http = HttpClient()

    async def start(profile="real", speed=60.0, cash=100_000_000):
        options = SimulatorOptions(
            home=tmp_path / "broker", speed=speed, seed=3, start=date(2026, 1, 5), admin_token="test-admin"
        )
        address = await nursery.start(partial(serve, options))
        broker = Broker(address=address, http=http, keys={})
        broker.keys = await broker.admin("/sim/accounts", {"account": "12345678-01", "profile": profile, "cash": cash})
        return broker

    async with http:
        yield start


@pytest.fixture
async def broker(start_broker):
    return await start_broker()


@pytest.fixture
def write_files(tmp_path):
    """Writes an engine's two files and returns the path of its configuration."""

    def write(platform_url, broker, *, secret=SECRET, parameters="", more=""):
        credential = {
            "platform_url": platform_url,
            "engine_id": "E1",
            "secret": secret,
            "account_id": "A1",
        }
        path = tmp_path / "engine.json"
        path.write_text(json.dumps(credential))
        path.chmod(0o600)
        config = tmp_path / "engine.toml"
        config.write_text(
            f"""
credential_file = "engine.json"
state_dir = "state"
token_dir = "tokens"
symbols = ["005930", "000660", "035420", "005380", "035720"]
{more}
[broker]
profile = "{broker.keys["profile"]}"
rest_url = "http://{broker.address}"
ws_url = "ws://{broker.address}"
app_key = "{broker.keys["app_key"]}"
app_secret = "{broker.keys["app_secret"]}"
hts_id = "{broker.keys["hts_id"]}"
account = "{broker.keys["account"]}"
[[strategies]]
id = "cross"
name = "Moving averages"
kind = "ma_cross"
parameters = {{ cooldownSeconds = 1, shortWindow = 3, longWindow = 8{parameters} }}
"""
        )
        return config

    return write


@pytest.fixture
def start_engine(tmp_path, nursery, platform, write_files):
    """Starts the engine inside this process; ``engine.end()`` ends it like a SIGTERM."""

    @attrs.define
    class Running:
        system: object
        scope: trio.CancelScope
        ended: trio.Event

        async def end(self):
            self.scope.cancel()
            await self.ended.wait()

    async def start(broker, **changes):
        config = read_config(write_files(f"http://{platform.address}", broker, **changes), tmp_path)
        config.state_folder.mkdir(exist_ok=True)
        credential = read_credential(config.credential_file)
        scope, ended = trio.CancelScope(), trio.Event()

        async def run(*, task_status):
            with scope:
                await run_engine(config, credential, task_status=task_status)
            ended.set()

        return Running(await nursery.start(run), scope, ended)

    return start


@pytest.fixture
def engine_process(tmp_path, write_files):
    """Starts the engine as the process that users start; ``kill`` is SIGKILL."""

    def spawn(config):
        with (tmp_path / "engine.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "actors.engine", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "WATCHKEEPER_HOME": str(tmp_path / "home")},
            )

    @asynccontextmanager
    async def start(config):
        process = spawn(config)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            await trio.to_thread.run_sync(process.wait)

    return start
