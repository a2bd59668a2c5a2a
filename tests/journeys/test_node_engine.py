"""An engine in plain JavaScript, written from docs/protocol.md alone, on the real platform: real sockets, a real
database, a connection that breaks. It needs Node; where there is Node it has to run."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import trio

from actors.links.listener import WhereEnginesConnect
from actors.platform.platform import run_platform
from actors.requests import (
    COORDINATOR,
    ENGINE_LISTENER,
    FLEET,
    PARAMETERS,
    ChangeParameters,
    GetParameters,
    ListEngines,
    Principal,
    TakeStop,
)
from actors.web.engines import enrol_engine
from store import logs
from wire.rest.access import Role
from wire.rest.engines import Connection, EnrolRequest
from wire.rest.stops import StopRequest, StopState
from wire.rest.strategies import ParameterChange, UpdateStatus
from wire.stops import Level, Scope
from wire.values import Flatness, LogCategory, StopPhase

pytestmark = [pytest.mark.database]
SOURCE = Path(__file__).parents[1] / "wire" / "node"
PATIENCE = 90.0
INSTALL_SECONDS = 300
WITHOUT_NODE = "NO NODE ON PATH: the engine in another language was not run"


@pytest.fixture(scope="module")
def client():
    """The program, with its one package installed from the lock file. Failing to install is failing."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(WITHOUT_NODE)
    modules = SOURCE / "node_modules"
    locked = json.loads((SOURCE / "package-lock.json").read_text())["packages"]["node_modules/ws"]["version"]
    have = modules / "ws" / "package.json"
    if not have.exists() or json.loads(have.read_text())["version"] != locked:
        install(modules)
    return [node, str(SOURCE / "engine.mjs")]


def install(modules):
    with tempfile.TemporaryDirectory(prefix="wk-node-", dir=SOURCE) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, folder)
        npm = shutil.which("npm")
        assert npm, "there is Node but no npm, so its client cannot be installed"
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        assert done.returncode == 0, f"npm ci failed:\n{done.stderr[-2000:]}"
        shutil.rmtree(modules, ignore_errors=True)
        (Path(folder) / "node_modules").rename(modules)


class Wire:
    """A cable between the engine and the listener, which can be pulled."""

    def __init__(self, address):
        self.address = address
        self.url = ""
        self.pulled = False
        self._streams = set()

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, self._carry, 0, host="127.0.0.1"))
            self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            task_status.started()

    async def _carry(self, near):
        if self.pulled:
            await trio.aclose_forcefully(near)
            return
        async with await trio.open_tcp_stream(self.address.host, self.address.port) as far:
            self._streams |= {near, far}
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._copy, near, far, nursery)
                    nursery.start_soon(self._copy, far, near, nursery)
            finally:
                self._streams -= {near, far}

    async def _copy(self, one, other, nursery):
        try:
            async for data in one:
                await other.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        nursery.cancel_scope.cancel()

    async def pull(self):
        self.pulled = True
        for stream in list(self._streams):
            await trio.aclose_forcefully(stream)


class NodeEngine:
    """The program. ``told``: what it said happened, in order."""

    def __init__(self, command, url, secret, folder):
        self.command = [*command, url, "node", secret, str(folder)]
        self.told = []
        self._read = 0
        self._news = trio.Event()

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = await trio.lowlevel.open_process(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        task_status.started()
        try:
            rest = b""
            async for data in self.process.stdout:
                *lines, rest = (rest + data).split(b"\n")
                self.told += [json.loads(line) for line in lines]
                self._news.set()
                self._news = trio.Event()
            await self.process.wait()
        finally:
            with trio.CancelScope(shield=True):
                self.process.kill()
                await self.process.wait()
                await trio.aclose_forcefully(self.process.stdin)
                await trio.aclose_forcefully(self.process.stdout)

    async def wish(self, what, **more):
        await self.process.stdin.send_all(json.dumps({"do": what, **more}).encode() + b"\n")

    async def tells(self, event, **fields):
        """The next such event after the one that was looked at last."""
        with trio.fail_after(PATIENCE):
            while True:
                for n, told in enumerate(self.told[self._read :], self._read + 1):
                    if told["event"] == event and fields.items() <= told.items():
                        self._read = n
                        return told
                await self._news.wait()


@asynccontextmanager
async def desk(settings, client, folder):
    """A platform, a cable and the engine at its end."""
    failure = None
    async with trio.open_nursery() as nursery:
        services = await nursery.start(run_platform, settings)
        try:
            request = EnrolRequest(name="node", account_id="account-node", engine_id="node")
            secret = (await enrol_engine(services, "kim", request)).secret
            cable = Wire(await services.system.ref(ENGINE_LISTENER).ask(WhereEnginesConnect()))
            await nursery.start(cable.run)
            engine = NodeEngine(client, cable.url, secret, folder)
            await nursery.start(engine.run)
            yield services, cable, engine
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def operator():
    return Principal(user_id="kim", username="kim", role=Role.ADMIN, auth_time=datetime.now(UTC))


async def rows(services):
    page = await services.db.run(logs.trade_logs, logs.LogQuery(limit=1000, engine_id="node"))
    return page.items


async def lines(services):
    return [row.id for row in await rows(services) if row.category is LogCategory.TRADE and not row.quarantined]


async def every_line(services, count):
    """What is kept as soon as there is that much of it."""

    async def enough():
        kept = await lines(services)
        return kept if len(kept) >= count else None

    return await until(enough)


async def until(holds):
    """Waits for what other threads and processes bring about."""
    with trio.fail_after(PATIENCE):
        while True:
            if value := await holds():
                return value
            await trio.sleep(0.05)


def names(first, last):
    return [f"node-log-{n}" for n in range(first, last + 1)]


async def test_an_engine_written_from_the_guide_keeps_its_story_over_a_cut_and_obeys(settings, client, tmp_path):
    async with desk(settings, client, tmp_path) as (services, cable, engine):
        assert (await engine.tells("welcome"))["resumed"] is False
        assert (await engine.tells("lease", alive=True))["ms"] == 15_000
        await engine.wish("log", first=1, count=20)
        await engine.tells("all acked")
        assert await lines(services) == names(1, 20)  # acknowledged means committed, so nobody has to wait

        await engine.wish("log", first=21, count=200)
        await cable.pull()
        await engine.tells("closed")
        await engine.wish("log", first=221, count=20)
        cable.pulled = False
        assert (await engine.tells("welcome"))["resumed"] is True
        assert await every_line(services, 240) == names(1, 240)

        await engine.wish("malformed")
        assert (await engine.tells("refused message"))["code"] == "error_invalid_field"
        await engine.wish("log", first=241, count=1)
        assert await every_line(services, 241) == names(1, 241)
        assert [row.quarantined for row in await rows(services)][-2:] == [True, False]

        await engine.wish("refresh")
        await engine.tells("accepted", re="auth-1")
        await change_of_parameters(services, engine)
        await stop(services, engine)

        await cable.pull()
        await engine.tells("closed")
        cable.pulled = False
        again = await engine.tells("welcome")
        assert (again["resumed"], again["stops"], again["level"]) == (True, 1, "FLATTEN")
        await engine.wish("leave")
        with trio.fail_after(PATIENCE):
            assert await engine.process.wait() == 0

        async def gone():
            [row] = await services.system.ref(FLEET).ask(ListEngines())
            return row.connection is Connection.OFFLINE

        await until(gone)


async def change_of_parameters(services, engine):
    change = ParameterChange(strategy_id="ma", parameters={"riskPerTrade": 0.25}, request_id="change-1")
    known = await services.system.ref(PARAMETERS).ask(GetParameters(engine_id="node", strategy_id="ma"))
    assert (known.desired, known.effective) == ({"riskPerTrade": 0.5}, {"riskPerTrade": 0.5})
    asked = ChangeParameters(principal=operator(), engine_id="node", expected_version=known.version, change=change)
    pending = await services.system.ref(PARAMETERS).ask(asked)
    assert pending.status is UpdateStatus.PENDING, pending
    assert (await engine.tells("parameters"))["parameters"] == {"riskPerTrade": 0.25}
    final = await services.updates.wait_for(
        "change-1", lambda u: u.status is not UpdateStatus.PENDING, timeout=PATIENCE
    )
    assert (final.status, final.parameters) == (UpdateStatus.APPLIED, {"riskPerTrade": 0.25})


async def stop(services, engine):
    request = StopRequest(request_id="stop-1", scope=Scope.of_engine("node"), reason="the end of the test")
    taken = await services.system.ref(COORDINATOR).ask(TakeStop(principal=operator(), request=request), urgent=True)
    done = await services.stops.wait_for(taken.stop_id, lambda s: s.state is not StopState.RUNNING, timeout=PATIENCE)
    assert (await engine.tells("stop"))["stop_id"] == taken.stop_id
    [result] = done.results
    assert (done.state, done.level, result.phase) == (StopState.VERIFIED, Level.FLATTEN, StopPhase.VERIFIED)
    assert (result.orders_cancelled, result.positions_liquidated, result.flatness) == (2, 1, Flatness.FLAT)
    phases = [event.event for event in done.timeline if event.engine_id == "node"]
    reached = [phase for phase in ("frozen", "cancelled", "flattened", "verified") if phase in phases]
    assert reached == ["frozen", "cancelled", "flattened", "verified"], phases


@pytest.mark.deep
async def test_an_engine_that_is_killed_loses_nothing_and_repeats_nothing(settings, client, tmp_path):
    async with desk(settings, client, tmp_path) as (services, cable, engine), trio.open_nursery() as nursery:
        await engine.tells("welcome")
        await engine.wish("log", first=1, count=300)
        await every_line(services, 20)
        engine.process.kill()
        heir = NodeEngine(engine.command[:2], *engine.command[2:3], engine.command[4], tmp_path)
        await nursery.start(heir.run)
        assert (await heir.tells("welcome"))["resumed"] is False
        await heir.tells("all acked")
        kept = await lines(services)
        assert kept == names(1, len(kept))
        await heir.wish("leave")
