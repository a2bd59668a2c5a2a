"""The whole platform on a real database, real sockets and threads: it accepts an engine, stops it, forgets nothing."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import attrs
import pytest
import trio

from actors.config import Address
from actors.emergency import doors, emergency, glass
from actors.emergency.doors import CODE_FILE
from actors.emergency.emergency import WhereIsThePage
from actors.emergency.glass import RECORDED_WORDS
from actors.emergency.local_socket import new_request, stop_locally
from actors.errors import Refused
from actors.links import listener
from actors.links.listener import WhereEnginesConnect
from actors.platform import opening
from actors.platform.auditor import DatabaseChain
from actors.platform.platform import run_platform
from actors.requests import (
    ALERTS,
    COORDINATOR,
    EMERGENCY,
    ENGINE_LISTENER,
    FLEET,
    HEALTH,
    ApproveRelease,
    GetSystemHealth,
    ListEngines,
    Principal,
    RequestRelease,
    ShowRelease,
    TakeStop,
)
from actors.stops.copies import StopCopies
from actors.stops.effects import RaiseAlert
from actors.stops.records import NotKept
from actors.web import server
from actors.web.engines import enrol_engine
from store import alerts, audit, incidents, links, logs, platform, releases, stops
from store.errors import JournalError, Unavailable
from store.journal_records import StopNoted
from store.keyring import KeyFile, KeyRing
from store.stops import Brief
from tests import databases
from tests.actors.links.engine import progress
from wire.client import dial
from wire.http import HttpClient
from wire.messages import Auth, EmergencyStop, Goodbye, Hello, TradeLog, Welcome
from wire.rest.access import Role
from wire.rest.engines import Connection, EnrolRequest
from wire.rest.releases import ReleaseRequest, ReleaseState, ReleaseView
from wire.rest.stops import StopRequest, StopState
from wire.session import EngineSession, LeaseGranted, Received, Vitals
from wire.sockets import LinkClosed
from wire.stops import Entry, Level, Scope
from wire.values import LatchState, LogCategory, StopPhase, TradingMode

pytestmark = pytest.mark.database


@asynccontextmanager
async def running(settings):
    failure = None
    async with trio.open_nursery() as nursery:
        services = await nursery.start(run_platform, settings)
        try:
            yield services
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def operator():
    return Principal(user_id="kim", username="kim", role=Role.ADMIN, auth_time=datetime.now(UTC))


async def take(services, **fields):
    asked = TakeStop(principal=operator(), request=StopRequest(**fields))
    return await services.system.ref(COORDINATOR).ask(asked, timeout=60, urgent=True)


class Engine:
    """A small engine on a real socket that obeys at once."""

    def __init__(self, engine_id, secret):
        self.engine_id = engine_id
        self.secret = secret
        self.latch = {}
        self.received = []
        self.leased = trio.Event()
        self.welcomed = trio.Event()
        self.closed_with = None
        self.bell = trio.Event()
        self.session = EngineSession(engine_id, hello=self.hello, vitals=self.vitals)

    def hello(self, resume):
        return Hello(
            protocol="1",
            instance="i1",
            name=self.engine_id,
            version="1.0",
            trading_mode=TradingMode.PAPER,
            stops=list(self.latch.values()),
            latch=LatchState.PRESENT,
            capabilities=[],
            supported_brokerages=["kis"],
            strategies=[],
            resume=resume,
        )

    def vitals(self):
        level = max((r.level for r in self.latch.values()), default=Level.NORMAL)
        epoch = max((r.stop_epoch for r in self.latch.values()), default=0)
        return Vitals(stop_epoch=epoch, level=level, synced=True)

    async def run(self, services, *, task_status=trio.TASK_STATUS_IGNORED):
        address = await services.system.ref(ENGINE_LISTENER).ask(WhereEnginesConnect())
        async with HttpClient() as http:
            body = json.dumps({"engine_id": self.engine_id, "secret": self.secret}).encode()
            answer = await http.request(
                "POST",
                f"http://{address}/api/auth/engine-token",
                {"content-type": "application/json"},
                body,
                timeout=60.0,
            )
        assert answer.status == 200, answer
        token = answer.json()["access_token"]
        self.session.connected(trio.current_time())
        try:
            async with (
                dial(f"ws://{address}/ws/engine/{self.engine_id}", token, timeout=60.0) as socket,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self.write, socket)
                task_status.started()
                await self.read(socket, nursery)
        except* LinkClosed as closed:
            self.closed_with = closed.exceptions[0].code
        self.session.disconnected()

    async def read(self, socket, nursery):
        try:
            while True:
                text = await socket.receive()
                for event in self.session.receive(text, trio.current_time()):
                    self.on_event(event)
                self.bell.set()
        except LinkClosed as closed:
            self.closed_with = closed.code
            nursery.cancel_scope.cancel()

    async def write(self, socket):
        while True:
            self.session.tick(trio.current_time())
            frames = self.session.take(trio.current_time())
            for text in frames:
                await socket.send(text)
            if not frames:
                with trio.move_on_after(0.05):
                    await self.bell.wait()
                self.bell = trio.Event()

    def on_event(self, event):
        if isinstance(event, LeaseGranted) and event.expires_at > trio.current_time():
            self.leased.set()
        if not isinstance(event, Received):
            return
        self.received.append(event.message)
        match event.message:
            case EmergencyStop() as stop:
                self.latch[stop.stop_id] = stop.record()
                for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
                    self.session.send(progress(stop, phase))
            case Welcome() as welcome:
                for record in welcome.stop.effective:
                    self.latch[record.stop_id] = record
                self.welcomed.set()
        if event.seq is not None:
            self.session.committed(event.seq, trio.current_time())


async def enrol(services, name="alpha"):
    request = EnrolRequest(name=name, account_id=f"account-{name}", engine_id=name)
    enrolled = await enrol_engine(services, "kim", request)
    return Engine(name, enrolled.secret)


async def within(seconds, holds):
    """Waits for what other threads and processes bring about."""
    with trio.fail_after(seconds):
        while True:
            with suppress(Unavailable):  # on a busy machine the database, too, is waited for
                if value := await holds():
                    return value
            await trio.sleep(0.05)


async def test_an_engine_is_enrolled_connects_gets_a_lease_and_its_story_is_kept(settings):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.leased.wait()
        line = TradeLog(id="l1", category=LogCategory.SYSTEM, message="hello", timestamp=engine_time())
        engine.session.send(line)

        async def kept():
            page = await services.db.retry(logs.trade_logs, logs.LogQuery())
            return [row.id for row in page.items]

        assert await within(90, kept) == ["l1"]
        (status,) = await services.system.ref(FLEET).ask(ListEngines())
        assert (status.connection, status.engine_id) == (Connection.CONNECTED, "alpha")
        nursery.cancel_scope.cancel()


def engine_time():
    return datetime.now(UTC)


async def test_a_stop_is_verified_audited_once_and_still_holds_after_a_restart(settings):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        stop = await take(services, request_id="r1")
        done = await services.stops.wait_for(
            stop.stop_id, lambda s: s.state is StopState.VERIFIED and s.durable, timeout=60
        )
        assert done.state is StopState.VERIFIED

        async def audited():
            page = await services.db.retry(audit.page, None, 100)
            return [e for e in page.items if e.target == f"stop:{stop.stop_id}"]

        assert [e.action for e in await within(90, audited)] == ["stop.taken"]
        nursery.cancel_scope.cancel()
    async with running(settings) as services:
        again = await take(services, request_id="r1")
        assert (again.stop_id, again.level, again.released_at) == (stop.stop_id, Level.FLATTEN, None)
        (kept,) = await services.db.retry(stops.open_stops)
        assert kept.stop_id == stop.stop_id


async def test_stops_that_the_audit_log_could_not_take_are_in_it_once_and_in_order_after_the_next_start(
    settings, monkeypatch
):
    async def away(*_entry):
        raise Unavailable("the audit log hangs")

    async def audited(services):
        page = await services.db.retry(audit.page, None, 100)
        told = [e for e in page.items if e.action.startswith("stop.")]
        return [(e.action, e.actor, e.target, e.detail["drill"]) for e in told]

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseChain, "append", away)
        async with running(settings) as services:
            first = await take(services, level=Level.HALT)
            await take(services, level=Level.FLATTEN, reason="worse")
            second = await take(services, scope=Scope.parse("symbol:005930"), level=Level.HALT, drill=True)
            await services.stops.wait_for(second.stop_id, lambda s: s.durable, timeout=60)
            assert await audited(services) == []
    for _ in range(2):
        async with running(settings) as services:

            async def complete(services=services):
                return len(told := await audited(services)) >= 3 and told

            assert await within(90, complete) == [
                ("stop.taken", "kim", f"stop:{first.stop_id}", False),
                ("stop.raised", "kim", f"stop:{first.stop_id}", False),
                ("stop.taken", "kim", f"stop:{second.stop_id}", True),
            ]


async def test_of_old_stops_a_start_reads_no_stories_and_they_are_told_all_the_same(settings):
    old = opening.UNFOLDED + 5

    async def years(conn):
        await conn.execute(
            "insert into stops (stop_id, request_id, scope, level, stop_epoch, released_epoch, term, user_id, reason,"
            " cause, requested_at, released_at, engines, state, timeline) select 'old-' || n, 'request-' || n, 'all',"
            " 'HALT', n, n, 1, 'kim', 'why', 'operator', now(), now(), 1, 'verified',"
            """ '[{"at": "2026-03-02T09:00:00Z", "event": "requested"}]' from generate_series(1, $1::int) n""",
            old,
        )
        await conn.execute("insert into stop_requests select request_id, stop_id, now() from stops")

    async with running(settings) as services:
        await services.db.retry(years)
    (settings.home / opening.JOURNAL_FILE).unlink()  # it would not know them: the next one begins above them
    async with running(settings) as services:
        again = await take(services, request_id="request-3")
        assert (again.stop_id, again.user_id, again.level) == ("old-3", "kim", Level.HALT)
        assert again.released_at is not None
        assert [event.event for event in again.timeline] == ["requested"]
        newest = await take(services, request_id=f"request-{old}")
        assert newest.stop_id == f"old-{old}"
        held = await within(5, lambda: services.db.retry(stops.open_stops))
        assert [s.cause for s in held] == ["lost_journal"]


def brief(stop_id, epoch, released=None):
    scope = Scope.everything()
    noted = StopNoted(
        stop_id=stop_id, request_id=stop_id, scope=scope, level=Level.HALT, stop_epoch=epoch, user_id="kim",
        reason="", cause="operator", at=datetime.now(UTC),
    )  # fmt: skip
    entry = Entry(scope, Level.HALT, epoch, released)
    return Brief(noted=noted, entry=entry, released_at=None, delivered=1, engines=1, state=StopState.VERIFIED)


def test_read_whole_is_what_may_be_open_what_is_newest_and_what_came_after_a_request_that_waits():
    known = {b.noted.stop_id: b for b in (brief(f"s{n}", n, n + 1) for n in range(10))}
    known["open"] = brief("open", 2)
    assert opening.read_whole(known, [], [], newest=2) == {"open", "s8", "s9"}
    assert opening.read_whole(known, ["s4", "of the journal only"], [], newest=0) == {"open", "s4"}
    waiting = [
        releases.ReleaseRow(
            id=f"r-{stop_id}", stop_id=stop_id, state=ReleaseState.REQUESTED, epoch=1, seen_epoch=seen,
            requested_by="lee", reason="", resume=False, waive=[], checklist=[], requested_at=datetime.now(UTC),
        )
        for stop_id, seen in (("s1", 6), ("s3", 8))
    ]  # fmt: skip
    assert opening.read_whole(known, [], waiting, newest=0) == {"open", "s1", "s3", "s7", "s8", "s9"}


async def test_going_down_says_goodbye_to_the_engines_and_closes_with_4000(settings):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        services.system.stop()

        async def ended():
            return engine.closed_with

        assert await within(90, ended) == 4000
        (goodbye,) = [m for m in engine.received if isinstance(m, Goodbye)]
        assert goodbye.cause == "drain"
        assert goodbye.reconnect_after_ms > 0
        nursery.cancel_scope.cancel()


UPGRADE = {
    "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-protocol": "watchkeeper-engine.v1",
}  # fmt: skip


async def test_what_the_engine_s_door_refuses_is_http_with_a_status_and_a_reason(settings):
    async with running(settings) as services, HttpClient() as http:
        engine = await enrol(services)
        address = await services.system.ref(ENGINE_LISTENER).ask(WhereEnginesConnect())
        own = services.tokens.issue_engine(engine.engine_id).token
        stranger = services.tokens.issue_engine("nobody").token

        async def refused(path, method="GET", body=b"", **headers):
            answer = await http.request(method, f"http://{address}{path}", headers, body, timeout=60.0)
            assert set(answer.json()) <= {"error", "reason", "field"}
            return answer.status, answer.json()["error"]

        bearer = {"authorization": f"Bearer {own}"}
        link = f"/ws/engine/{engine.engine_id}"
        assert await refused("/nothing") == (404, "error_not_found")
        assert await refused("/api/engines/status") == (404, "error_not_found")
        assert await refused("/ws", **UPGRADE, **bearer) == (404, "error_not_found")
        assert await refused(link, **bearer) == (426, "error_upgrade_required")
        assert await refused(link, **{**UPGRADE, "sec-websocket-protocol": "x"}, **bearer) == (
            426, "error_upgrade_required",
        )  # fmt: skip
        assert await refused(link, **UPGRADE) == (401, "error_unauthorized")
        assert (await refused(link, **UPGRADE, authorization="Bearer a.b.c"))[0] == 401
        assert await refused("/ws/engine/other", **UPGRADE, **bearer) == (403, "error_engine_mismatch")
        assert (await refused("/ws/engine/nobody", **UPGRADE, authorization=f"Bearer {stranger}"))[0] == 401
        assert (await refused("/api/engine/config"))[0] == 401
        assert (await refused("/api/auth/engine-token", "POST", b"{"))[0] == 400
        wrong = json.dumps({"engine_id": engine.engine_id, "secret": "s" * 43}).encode()
        assert (await refused("/api/auth/engine-token", "POST", wrong))[0] == 401


async def test_the_epochs_of_an_engine_s_sessions_rise_over_restarts_as_the_database_counts_them(settings):
    epochs = []
    engine = None
    for _ in range(2):
        async with running(settings) as services, trio.open_nursery() as nursery:
            engine = Engine("alpha", engine.secret) if engine is not None else await enrol(services)
            await nursery.start(engine.run, services)
            with trio.fail_after(60):
                await engine.welcomed.wait()
            epochs.append(engine.session.epoch)

            async def noted(services=services, session=engine.session.session):
                row = await services.db.retry(links.get, "alpha")
                return row is not None and row.session == session and row.epoch

            assert await within(90, noted) == epochs[-1]
            nursery.cancel_scope.cancel()
    assert epochs == [1, 2]


async def test_another_engine_s_token_renews_no_link(settings):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        other = await enrol(services, "beta")
        engine.session.send(Auth(token=services.tokens.issue_engine(other.engine_id).token), id="a1")

        async def ended():
            return engine.closed_with

        assert await within(90, ended) == 4504
        nursery.cancel_scope.cancel()


async def test_a_request_for_a_release_waits_on_over_a_restart_unless_a_stop_came_in_between(settings):
    async def ask(services, stop):
        wanted = ReleaseRequest(reason="looked", epoch=stop.epoch, resume=True)
        asked = RequestRelease(principal=operator(), stop_id=stop.stop_id, request=wanted)
        return await services.system.ref(COORDINATOR).ask(asked, timeout=60)

    async def shown(services, stop):
        return await services.system.ref(COORDINATOR).ask(ShowRelease(stop_id=stop.stop_id))

    async with running(settings) as services:
        stop = await take(services, level=Level.HALT)
        first = await ask(services, stop)
        assert first.state is ReleaseState.REQUESTED
    async with running(settings) as services:
        assert await shown(services, stop) == first
        early = ApproveRelease(principal=operator(), stop_id=stop.stop_id, epoch=stop.epoch, release_id=first.id)
        admin = attrs.evolve(early, principal=attrs.evolve(operator(), user_id="lee"))
        released = await services.system.ref(COORDINATOR).ask(admin, timeout=60)
        assert isinstance(released, ReleaseView), released
        assert (released.state, released.approved_by) == (ReleaseState.RELEASED, "lee")
        again = await take(services, level=Level.HALT)
        second = await ask(services, again)
        # The request is voided in memory; that the database says so too is a matter of luck at a kill.
        await take(services, scope=Scope.parse("symbol:005930"), level=Level.HALT)
    async with running(settings) as services:
        assert (await shown(services, again)) is None
        row = await services.db.retry(releases.last, again.stop_id)
        assert (row.id, row.state) == (second.id, ReleaseState.VOID)


async def test_two_operators_at_once_have_one_stop_of_the_higher_level_and_both_are_told(settings):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        answers = {}

        async def press(name, level):
            answers[name] = await take(services, request_id=name, level=level, reason=name)

        async with trio.open_nursery() as operators:
            for n, level in enumerate((Level.HALT, Level.FLATTEN, Level.HALT, Level.CANCEL)):
                operators.start_soon(press, f"operator-{n}", level)
        (stop_id,) = {a.stop_id for a in answers.values()}
        done = await services.stops.wait_for(stop_id, lambda s: s.state is StopState.VERIFIED and s.durable, timeout=60)
        assert (done.state, done.level) == (StopState.VERIFIED, Level.FLATTEN)
        assert engine.latch[stop_id].level is Level.FLATTEN
        for name in answers:
            assert (await take(services, request_id=name, level=Level.HALT)).stop_id == stop_id
        nursery.cancel_scope.cancel()


async def test_a_stop_survives_kill_9_of_the_platform_the_moment_it_is_durable(settings, home, database_dsn):
    program = (
        "import os,sys,trio\n"
        "from actors.config import load_settings\n"
        "from actors.platform.platform import run_platform\n"
        "trio.run(run_platform, load_settings({}, os.environ))\n"
    )
    environment = {
        **os.environ,
        "WATCHKEEPER_HOME": str(home),
        "WATCHKEEPER_DATABASE_URL": database_dsn,
        "WATCHKEEPER_HTTP": "127.0.0.1:0",
        "WATCHKEEPER_ENGINES": "127.0.0.1:0",
        "WATCHKEEPER_EMERGENCY": "off",
    }
    process = start([sys.executable, "-c", program], environment)
    try:
        await within(90, lambda: exists(home / "stop.sock"))
        answer = await stop_locally(home, new_request(Scope.everything(), Level.FLATTEN, "kill me"))
        assert (answer.recorded, answer.durable) == (True, True)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    async with running(settings) as services:
        (kept,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (kept.stop_id, kept.reason, kept.level) == (answer.stop_id, "kill me", Level.FLATTEN)


def start(command, environment):
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


async def exists(path):
    await trio.lowlevel.checkpoint()
    return path.exists()


def hang_until_the_end_of(ask):
    """The main loop stands still for as long as another thread needs for its answers."""
    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(120)
    assert not asking.is_alive()


@pytest.fixture
def patient(monkeypatch):
    """A main loop that takes a stop after more than a second, because the machine does much else, still takes it."""
    monkeypatch.setattr(glass, "MAIN_LOOP_SECONDS", 60.0)


async def test_while_the_main_loop_hangs_a_local_stop_is_recorded_and_the_engines_are_cut(settings, home):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        answers = []

        def ask():
            answers.append(trio.run(stop_locally, home, new_request(Scope.everything(), Level.FLATTEN, "hang")))

        hang_until_the_end_of(ask)
        (answer,) = answers
        assert (answer.recorded, answer.durable, answer.words) == (True, True, RECORDED_WORDS)
        found = await services.stops.wait_for(answer.stop_id, lambda s: True, timeout=60)
        assert (found.level, found.cause) == (Level.FLATTEN, "local")
        nursery.cancel_scope.cancel()
    async with running(settings) as services:
        kept = await within(90, lambda: services.db.retry(stops.open_stops))
        assert answer.stop_id in {s.stop_id for s in kept}


async def test_a_stop_recorded_beside_a_hanging_loop_is_the_open_one_of_its_scope_and_never_lower(settings, home):
    async with running(settings) as services:
        await enrol(services)
        scope = Scope.of_engine("alpha")
        first = await take(services, scope=scope, level=Level.FLATTEN)
        answers = []

        def ask():
            for level in (Level.HALT, Level.CANCEL):
                answers.append(trio.run(stop_locally, home, new_request(scope, level, "hang")))

        hang_until_the_end_of(ask)
        assert {a.words for a in answers} == {RECORDED_WORDS}
        assert {a.stop_id for a in answers} == {first.stop_id}
        found = await services.stops.wait_for(first.stop_id, lambda s: s.epoch > first.epoch, timeout=60)
        assert found.level is Level.FLATTEN
        assert len(services.stops.values()) == 1


async def test_the_local_socket_is_private_and_answers_without_a_password(settings, home, patient):
    async with running(settings):
        assert (home / "stop.sock").stat().st_mode & 0o777 == 0o600
        assert (home / CODE_FILE).stat().st_mode & 0o777 == 0o600
        answer = await stop_locally(home, new_request(Scope.everything(), Level.HALT, "here"))
        assert (answer.recorded, answer.state) == (True, StopState.EMPTY)
        refused = await stop_locally(home, new_request(Scope.parse("engine:nobody"), Level.HALT, "here"))
        assert not refused.recorded


async def test_stop_local_prints_the_id_and_how_far_each_engine_is_like_the_remote_one(settings, home, patient):
    async with running(settings) as services, trio.open_nursery() as nursery:
        engine = await enrol(services)
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()

        async def stop(*arguments):
            command = [sys.executable, "-m", "actors", "stop", "--local", "--yes", *arguments]
            return await trio.run_process(
                command, env={**os.environ, "WATCHKEEPER_HOME": str(home)}, capture_stdout=True, check=False
            )

        drill = await stop("--drill", "--reason", "exercise")
        head, _, row, *rest = drill.stdout.decode().splitlines()
        assert head.startswith("drill stop-")
        assert head.endswith(", verified")
        assert (row.split()[:2], rest, drill.returncode) == (["alpha", "verified"], [], 0)
        real = await stop("--level", "FLATTEN")
        assert real.stdout.decode().startswith("stop stop-")
        (found,) = services.stops.values()
        assert (found.level, found.drill) == (Level.FLATTEN, False)
        nursery.cancel_scope.cancel()


async def test_with_no_platform_a_stop_is_left_for_the_next_start(settings, home):
    home.mkdir(parents=True)
    answer = await stop_locally(home, new_request(Scope.everything(), Level.CANCEL, "later"))
    assert (answer.recorded, answer.stop_id) == (True, None)
    wanted_by = datetime.now(UTC)
    async with running(settings) as services:
        (kept,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (kept.level, kept.reason, str(kept.scope)) == (Level.CANCEL, "later", "all")
        assert kept.requested_at <= wanted_by
    assert not list((home / "stops.left").glob("*.json"))


async def test_a_fleet_that_fails_as_a_whole_in_one_step_loses_no_alert(settings):
    async with running(settings) as services:
        alerts = [
            RaiseAlert(code=code, severity="critical", reason="gone", engine_id=f"e{n}")
            for n in range(500)
            for code in ("error_engine_lost", "error_unreachable_exposed", "error_stop_failed")
        ]
        assert all([services.system.ref(ALERTS).tell(alert) for alert in alerts])


async def test_a_first_start_is_refused_in_one_line_when_its_database_cannot_be_reached(settings, home, monkeypatch):
    monkeypatch.setattr(opening, "DATABASE_PATIENCE", 0.3)
    wrong = attrs.evolve(settings, database_url="postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(Refused, match="correct WATCHKEEPER_DATABASE_URL"):
        await run_platform(wrong)
    assert not (home / opening.JOURNAL_FILE).exists()


async def test_a_busy_port_is_refused_in_one_line_before_anything_is_made(settings, home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = attrs.evolve(settings, http=Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(Refused, match="in use by another program"):
            await run_platform(busy)
    assert {p.name for p in home.iterdir()} <= {opening.LOCK_FILE}


async def test_a_start_without_the_database_halts_everything_and_still_takes_engines_and_stops(
    settings, home, monkeypatch
):
    async with running(settings) as services:
        engine = await enrol(services)
    monkeypatch.setattr(opening, "DATABASE_PATIENCE", 0.3)
    away = attrs.evolve(settings, database_url="postgresql://nobody@127.0.0.1:9/none")
    async with running(away) as services, trio.open_nursery() as nursery:
        assert services.degraded.is_degraded("database")
        await nursery.start(engine.run, services)
        with trio.fail_after(60):
            await engine.welcomed.wait()
        assert {r.level for r in engine.latch.values()} == {Level.HALT}
        stop = await take(services, level=Level.FLATTEN)
        done = await services.stops.wait_for(
            stop.stop_id, lambda s: s.state is StopState.VERIFIED and s.durable, timeout=60
        )
        assert done.durable
        nursery.cancel_scope.cancel()
    async with running(settings) as services:
        kept = await within(90, lambda: services.db.retry(stops.open_stops))
        assert max(s.level for s in kept) is Level.FLATTEN


async def test_a_second_platform_in_the_same_home_or_on_the_same_database_is_refused(settings, home):
    async with running(settings):
        with pytest.raises(Refused, match="home"):
            await run_platform(settings)
        other = attrs.evolve(settings, home=home.parent / "other", keys=home / "keys")
        with pytest.raises(Refused, match="database"):
            await run_platform(other)


async def looked(settings, fn):
    """What the database says, asked without being a platform."""
    async with databases.patient(settings.database_url, size=4).open() as db:
        return await db.run(fn)


@pytest.mark.parametrize("ring", [None, KeyRing.generate()])
async def test_whoever_lacks_the_key_ring_is_refused_and_has_changed_nothing_in_the_database(settings, home, ring):
    async with running(settings):
        pass
    before = await looked(settings, platform.read)
    other = attrs.evolve(settings, home=home.parent / "other", keys=home.parent / "keys-of-another")
    if ring is not None:
        KeyFile(other.keys).save(ring)
    with pytest.raises(Refused, match="key ring"):
        await run_platform(other)
    assert await looked(settings, platform.read) == before
    async with running(settings) as services:
        assert (await services.db.retry(platform.read)).term == before.term + 1


async def test_a_first_start_that_cannot_write_its_journal_binds_no_key_ring(settings, home, monkeypatch):
    def full(*_asked):
        raise JournalError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(opening.StopJournal, "begin", full)
        with pytest.raises(Refused, match="the disk is full"):
            await run_platform(settings)
    shutil.rmtree(home)  # a person begins elsewhere
    async with running(settings) as services:
        assert not await services.db.retry(stops.open_stops)


async def test_a_home_that_cannot_be_used_is_refused_in_one_line(settings, home):
    home.write_text("")
    with pytest.raises(Refused, match=r"the home folder .* cannot be used"):
        await run_platform(settings)


async def test_while_the_audit_log_takes_nothing_stops_are_taken_and_no_release_is(settings, monkeypatch):
    async def away(*_asked, **_named):
        raise Unavailable("the audit log hangs")

    async with running(settings) as services:
        stop = await take(services, level=Level.HALT)
        asked = ReleaseRequest(reason="looked", epoch=stop.epoch)
        wanted = RequestRelease(principal=operator(), stop_id=stop.stop_id, request=asked)
        lee = attrs.evolve(operator(), user_id="lee")
        with monkeypatch.context() as patch:
            patch.setattr(audit, "append", away)
            assert (await services.system.ref(COORDINATOR).ask(wanted, timeout=20)).status == 503
        view = await services.system.ref(COORDINATOR).ask(wanted, timeout=20)
        approval = ApproveRelease(principal=lee, stop_id=stop.stop_id, epoch=stop.epoch, release_id=view.id)
        with monkeypatch.context() as patch:
            patch.setattr(audit, "append", away)
            refused = await services.system.ref(COORDINATOR).ask(approval, timeout=20)
            assert (refused.status, refused.error) == (503, "error_not_durable")
            other = await take(services, scope=Scope.parse("symbol:005930"), level=Level.HALT)
            assert (await services.stops.wait_for(other.stop_id, lambda s: s.durable, timeout=10)).durable
        assert services.stops.get(stop.stop_id).released_at is None
        assert stop.stop_id in {s.stop_id for s in await services.db.retry(stops.open_stops)}


async def test_a_release_that_reached_the_database_alone_is_taken_back_there_too(settings, home):
    """Killed between the two: the journal says open. Then the journal is lost, and the database is all there is."""
    async with running(settings) as services:
        stop = await take(services, level=Level.FLATTEN)
        await services.stops.wait_for(stop.stop_id, lambda s: s.durable, timeout=60)
        await within(90, lambda: services.db.retry(stops.open_stops))
        term = (await services.db.retry(platform.read)).term
    async with databases.patient(settings.database_url, size=4).open() as db:
        await db.run(stops.release, term, [stop.stop_id], stop.epoch, datetime.now(UTC), tx={})
        assert not await db.run(stops.open_stops)
    async with running(settings) as services:
        (kept,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (kept.stop_id, kept.level) == (stop.stop_id, Level.FLATTEN)
        assert services.stops.get(stop.stop_id).epoch == kept.epoch > stop.epoch
    (home / opening.JOURNAL_FILE).unlink()
    async with running(settings) as services:

        async def both():
            kept = await services.db.retry(stops.open_stops)
            return {s.level for s in kept} == {Level.HALT, Level.FLATTEN}

        await within(90, both)


async def test_a_second_platform_migrates_nothing_under_the_first(settings, home, monkeypatch):
    async with running(settings):
        called = []

        async def migrating(dsn):
            called.append(dsn)

        monkeypatch.setattr(opening, "migrate", migrating)
        with pytest.raises(Refused, match="another platform runs on this database"):
            await run_platform(attrs.evolve(settings, home=home.parent / "other", keys=home / "keys"))
        assert called == []


async def forget_the_journal(conn):
    await conn.execute("update platform set journal_generation = null")


async def test_a_journal_that_the_database_had_not_heard_of_when_the_first_start_was_killed_is_missed_later(
    settings, home
):
    async with running(settings) as services:
        await services.db.retry(forget_the_journal)
    async with running(settings) as services:
        assert (await services.db.retry(platform.read)).journal_generation == 1
        assert not await services.db.retry(stops.open_stops)
    (home / opening.JOURNAL_FILE).unlink()
    async with running(settings) as services:
        (halt,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (halt.cause, halt.level, halt.scope) == ("lost_journal", Level.HALT, Scope.everything())

        async def alarmed():
            return [a for a, _told in await services.db.retry(alerts.open_alerts) if a.code == "error_lost_journal"]

        (alert,) = await within(90, alarmed)
        assert (alert.severity, alert.stop_id) == ("critical", halt.stop_id)


async def test_a_stop_that_was_left_beside_a_running_platform_is_taken_up_by_it(settings, home):
    async with running(settings) as services:
        (home / "stop.sock").unlink()
        answer = await stop_locally(home, new_request(Scope.everything(), Level.CANCEL, "left beside"))
        assert answer.stop_id is None
        (kept,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (kept.level, kept.reason) == (Level.CANCEL, "left beside")
        await within(90, lambda: nothing_left(home))


async def test_a_stop_that_was_left_stays_on_the_disk_until_another_copy_is_there(settings, home, monkeypatch):
    async def away(*_asked):
        raise NotKept("nothing can be written")

    async with running(settings) as services:
        (home / "stop.sock").unlink()
        with monkeypatch.context() as patch:
            for write in ("write_journal", "save_stop"):
                patch.setattr(StopCopies, write, away)
            await stop_locally(home, new_request(Scope.everything(), Level.CANCEL, "left beside"))

            async def open_in_memory():
                return [s for s in services.stops.values() if s.reason == "left beside"]

            (taken,) = await within(10, open_in_memory)
            await trio.sleep(2.5)  # looked at again and again
            assert not services.stops.get(taken.stop_id).durable
            assert not await nothing_left(home)
        await within(15, lambda: nothing_left(home))
        assert services.stops.get(taken.stop_id).durable
        assert len(services.stops.values()) == 1


async def test_what_was_left_and_cannot_be_taken_away_stops_everything_and_closes_no_door(settings, home):
    (home / "stops.left" / "odd.json").mkdir(parents=True)
    async with running(settings) as services:
        (halt,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (halt.level, halt.cause) == (Level.HALT, "left_stop_unreadable")
        (home / "stops.left" / "later.json").mkdir()
        await within(90, lambda: services.db.retry(stops.by_request, left_id("later.json")))
        await trio.sleep(1.5)  # it is looked at again, and again it cannot be taken away
        answer = await stop_locally(home, new_request(Scope.everything(), Level.CANCEL, "the door"))
        assert (answer.recorded, answer.stop_id) == (True, halt.stop_id)


def left_id(name):
    return f"left-{hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()}"


async def test_the_local_socket_says_which_field_of_a_request_is_wrong(settings, home):
    async with running(settings):
        stream = await trio.open_unix_socket(str(home / "stop.sock"))
        async with stream:
            await stream.send_all(b'{"request_id": "r1", "scope": "some"}\n')
            answer = json.loads(await stream.receive_some(4096))
    assert (answer["recorded"], answer["words"].split(":")[0]) == (False, "scope")


async def test_the_emergency_doors_open_again_after_whatever_failed_there(settings, home, monkeypatch):
    failing, forget_left = [OSError("once"), RuntimeError("twice")], glass.collect

    def failing_at_first(*asked):
        if failing:
            raise failing.pop()
        return forget_left(*asked)

    monkeypatch.setattr(glass, "collect", failing_at_first)
    monkeypatch.setattr(emergency, "AGAIN_SECONDS", 0.1)
    async with running(settings) as services:

        async def taken():
            answer = await stop_locally(home, new_request(Scope.everything(), Level.HALT, "x"), silence=30)
            return answer.stop_id

        assert await within(90, taken)
        assert not failing
        assert await services.system.ref(EMERGENCY).ask(WhereIsThePage()) is not None


@pytest.mark.parametrize("damaged", [b"", b"\n", b"\xff" * 16, b"\0" * 17])
async def test_an_emergency_code_that_is_not_whole_opens_nothing_and_is_made_anew(settings, home, damaged):
    home.mkdir(mode=0o700)
    (home / CODE_FILE).write_bytes(damaged)
    async with running(settings) as services, HttpClient() as http:
        address = await services.system.ref(EMERGENCY).ask(WhereIsThePage())
        said = await http.request("POST", f"http://{address}/stop", {"x-emergency-code": ""}, b"{}", timeout=60.0)
        assert said.status == 401
        code = (home / CODE_FILE).read_text().strip()
        said = await http.request("POST", f"http://{address}/stop", {"x-emergency-code": code}, b"{}", timeout=90.0)
        assert (said.status, said.json()["recorded"]) == (200, True)


async def nothing_left(home):
    await trio.lowlevel.checkpoint()
    return not list((home / "stops.left").glob("*.json"))


async def test_the_emergency_page_stops_everything_for_whoever_knows_the_code(settings, home):
    async with running(settings) as services, HttpClient() as http:
        address = await services.system.ref(EMERGENCY).ask(WhereIsThePage())
        page = await http.request("GET", f"http://{address}/", {}, b"", timeout=60.0)
        assert page.status == 200
        wrong = await http.request("POST", f"http://{address}/stop", {"x-emergency-code": "no"}, b"{}", timeout=60.0)
        assert wrong.status == 401
        assert not await services.db.retry(stops.open_stops)
        code = (home / CODE_FILE).read_text().strip()
        said = await http.request(
            "POST", f"http://{address}/stop", {"x-emergency-code": code}, b'{"reason":"page"}', timeout=90.0
        )
        assert (said.status, said.json()["recorded"]) == (200, True)
        (kept,) = await within(90, lambda: services.db.retry(stops.open_stops))
        assert (kept.level, kept.reason) == (Level.FLATTEN, "page")


async def test_every_stop_writes_its_own_report_and_who_vanished_is_remembered(settings):
    async with running(settings) as services:
        stop = await take(services, level=Level.HALT, reason="a test")

        async def complete():
            text = await services.db.retry(incidents.get, stop.stop_id)
            return text and (report := json.loads(text))["complete"] and report

        report = await within(90, complete)
        assert (report["stop"]["reason"], report["complete"], report["log"]) == ("a test", True, [])
        assert (settings.home / "last_words.json").exists() is False  # no engine was ever heard


async def test_an_emergency_page_whose_address_is_busy_is_a_warning_and_no_more(settings, home, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = attrs.evolve(settings, emergency=Address("127.0.0.1", taken.getsockname()[1]))
        async with running(busy) as services:
            assert await services.system.ref(EMERGENCY).ask(WhereIsThePage()) is None
            assert (await stop_locally(home, new_request(Scope.everything(), Level.HALT, "x"))).recorded
    (said,) = [r for r in caplog.records if "no emergency page" in r.getMessage()]
    assert said.levelname == "WARNING"


async def test_the_emergency_page_is_where_the_platform_says(settings):
    async with running(settings) as services:

        async def told():
            return (await services.system.ref(HEALTH).ask(GetSystemHealth(), timeout=60)).emergency

        page = await within(90, told)
        async with HttpClient() as http:
            answer = await http.request("GET", page, timeout=60)
        assert (answer.status, b"<html" in answer.body) == (200, True)


async def test_the_first_record_is_in_journal_and_database_before_anybody_can_connect(settings, home, monkeypatch):
    found = []

    def looking(module, name):
        real = getattr(module, name)

        def look(*asked):
            found.append((home / opening.JOURNAL_FILE).read_bytes().count(b"genesis"))
            return real(*asked)

        monkeypatch.setattr(module, name, look)

    looking(listener, "_listen")
    looking(server, "listen")
    looking(doors, "_unix_listener")
    note = platform.note_journal

    async def noting(conn, term, number):
        assert found == []  # nobody is listened to yet
        return await note(conn, term, number)

    monkeypatch.setattr(platform, "note_journal", noting)
    async with running(settings) as services:
        assert found == [1, 1, 1]
        assert (await services.db.retry(platform.read)).journal_generation == 1
