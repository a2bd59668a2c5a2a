"""A web face over scripted parts: real routes, tokens, hub, keys and actors; a database that answers from a table."""

import itertools
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from jsonschema import Draft202012Validator

from actors.alarms.webhook import AlertAcknowledged, TellOutside
from actors.config import Address, load_settings
from actors.fleet.preview import preview_of, unheard
from actors.incidents.office import DatabaseReports, IncidentOffice
from actors.platform.services import Services
from actors.requests import (
    COORDINATOR,
    FLEET,
    HEALTH,
    INCIDENTS,
    PARAMETERS,
    UI_CLIENTS,
    WEB,
    WEBHOOK,
    ApproveRelease,
    ChangeParameters,
    CheckCommand,
    CommandStrategy,
    ConfigurationChanged,
    ContinueStop,
    EngineEnrolled,
    EngineRemoved,
    GetParameters,
    GetSystemHealth,
    ListEngines,
    ListHealth,
    PreviewStop,
    Refusal,
    RequestRelease,
    RollBackParameters,
    ShowRelease,
    TakeStop,
)
from actors.web.app import Face, build_app
from actors.web.documents import openapi
from actors.web.doors import Doors
from actors.web.live import add_link
from actors.web.routes import ROUTES
from actors.web.server import WebServer, WhereAreYou
from store import engines, sessions, users
from store.engines import EngineRow, secret_hash
from store.errors import Unavailable
from store.keyring import KeyRing
from store.passwords import Passwords
from supervisor.actor import Actor, handles
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from tests.databases import patient
from wire.rest.access import Role
from wire.rest.engines import DrillStatus, SystemHealthMetrics
from wire.rest.releases import ReleaseState, ReleaseView
from wire.rest.stops import PreviewAnswer, Stop, StopState
from wire.rest.strategies import CommandStatus, StrategyCommandResult, StrategyParameters, UpdateResult, UpdateStatus
from wire.stops import Level, Scope
from wire.tokens import TokenKeys
from wire.values import ProcessStatus, StrategyAction, StrategyState

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ORIGIN = "http://127.0.0.1:8700"
_numbers = itertools.count(1)
CANARY = "CANARY-7f3a91-do-not-show"


class ScriptedDatabase:
    """Stands in for store.database.Database: each repository function has its answer in a table."""

    def __init__(self) -> None:
        self.answers: dict[Any, Any] = {users.everyone: [], sessions.revoked_since: []}
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []
        self.down_since: datetime | None = None

    def fall(self) -> None:
        self.down_since = NOW

    async def run(self, fn: Any, *args: Any, tx: Any = None) -> Any:
        await trio.lowlevel.checkpoint()
        self.calls.append((fn, args))
        if self.down_since is not None:
            raise Unavailable("away")
        answer = self.answers[fn]
        return answer(*args) if callable(answer) else answer


def stop_of(stop_id: str = "s1", **changes: Any) -> Stop:
    fields: dict[str, Any] = {
        "stop_id": stop_id,
        "request_id": "r1",
        "epoch": 7,
        "scope": Scope.everything(),
        "level": Level.FLATTEN,
        "user_id": "u-operator",
        "reason": "",
        "requested_at": NOW,
        "delivered": 1,
        "engines": 1,
        "durable": True,
        "state": StopState.VERIFIED,
        "results": [],
    }
    return Stop(**{**fields, **changes})


class Coordinator(Actor):
    """Takes every stop and notes what it was asked."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk

    @handles(TakeStop)
    async def on_stop(self, msg: TakeStop) -> Stop | Refusal:
        self.desk.asked.append(msg)
        if str(msg.request.scope) == "engine:unknown":
            return Refusal(status=404, error="error_unknown_engine", reason="there is no such engine", field="scope")
        stop = stop_of(
            request_id=msg.request.request_id,
            scope=msg.request.scope,
            level=msg.request.level,
            user_id=msg.principal.user_id,
            reason=msg.request.reason,
            drill=msg.request.drill,
            state=self.desk.stop_state,
            durable=self.desk.durable,
        )
        self.desk.services.stops.put(stop.stop_id, stop)
        return stop

    @handles(ContinueStop)
    async def on_continue(self, msg: ContinueStop) -> Stop | Refusal:
        self.desk.asked.append(msg)
        stop = self.desk.services.stops.get(msg.stop_id)
        if stop is None:
            return Refusal(status=404, error="error_not_found", reason="there is no such stop")
        self.desk.services.stops.put(msg.stop_id, attrs.evolve(stop, state=self.desk.stop_state))
        return attrs.evolve(stop, state=StopState.RUNNING)

    @handles(RequestRelease)
    async def on_release(self, msg: RequestRelease) -> ReleaseView | Refusal:
        self.desk.asked.append(msg)
        return release_view(msg.stop_id, ReleaseState.REQUESTED)

    @handles(ApproveRelease)
    async def on_approve(self, msg: ApproveRelease) -> ReleaseView | Refusal:
        self.desk.asked.append(msg)
        return release_view(msg.stop_id, ReleaseState.RELEASED)

    @handles(ShowRelease)
    async def on_show(self, msg: ShowRelease) -> ReleaseView | None:
        self.desk.asked.append(msg)
        return release_view(msg.stop_id, ReleaseState.REQUESTED) if msg.stop_id == "s1" else None

    @handles(PreviewStop)
    async def on_preview(self, msg: PreviewStop) -> PreviewAnswer | Refusal:
        self.desk.asked.append(msg)
        return preview_of([unheard("E1")])


def release_view(stop_id: str, state: ReleaseState) -> ReleaseView:
    return ReleaseView(
        id="rel1",
        stop_id=stop_id,
        state=state,
        checklist=[],
        requested_by="u-risk",
        requested_at=NOW,
        not_before=None,
        epoch=7,
        reason="over",
        waive=[],
        resume=False,
        reduced=None,
        approved_by=None,
        history=[],
    )


class Listening(Actor):
    """Stands in for an actor that is only told things."""

    def __init__(self, heard: list) -> None:
        self.heard = heard

    @handles(TellOutside)
    async def on_tell(self, msg: TellOutside) -> None:
        self.heard.append(msg)

    @handles(AlertAcknowledged)
    async def on_acknowledged(self, msg: AlertAcknowledged) -> None:
        self.heard.append(msg)


class Fleet(Actor):
    def __init__(self, desk: "Desk") -> None:
        self.desk = desk

    @handles(ListEngines)
    async def on_list(self, msg: ListEngines) -> list[Any]:
        return []

    @handles(ListHealth)
    async def on_health(self, msg: ListHealth) -> list[Any]:
        return []

    @handles(CheckCommand)
    async def on_check(self, msg: CheckCommand) -> Refusal | None:
        if msg.engine_id != "E1":
            return Refusal(status=404, error="error_unknown_engine", reason="there is no such engine")
        return None

    @handles(CommandStrategy)
    async def on_command(self, msg: CommandStrategy) -> StrategyCommandResult | Refusal:
        self.desk.asked.append(msg)
        pausing = msg.action is StrategyAction.PAUSE
        return StrategyCommandResult(
            request_id=msg.request_id,
            engine_id=msg.engine_id,
            strategy_id=msg.strategy_id,
            action=msg.action,
            status=CommandStatus.APPLIED,
            strategy_status=StrategyState.PAUSED if pausing else StrategyState.ACTIVE,
            error=None,
            reason=None,
        )

    @handles(EngineEnrolled)
    async def on_enrolled(self, msg: EngineEnrolled) -> None:
        self.desk.asked.append(msg)

    @handles(EngineRemoved)
    async def on_removed(self, msg: EngineRemoved) -> None:
        self.desk.asked.append(msg)

    @handles(ConfigurationChanged)
    async def on_changed(self, msg: ConfigurationChanged) -> None:
        self.desk.asked.append(msg)


class Health(Fleet):
    @handles(GetSystemHealth)
    async def on_system(self, msg: GetSystemHealth) -> SystemHealthMetrics:
        return SystemHealthMetrics(
            cpu_usage=1.5,
            memory_usage=2.5,
            process_status=ProcessStatus.RUNNING,
            engine_count=0,
            active_strategies=0,
            last_update=NOW,
            engines_connected=0,
            engines_offline=0,
            loop_lag_ms=0.1,
            database="up",
            degraded=[],
            drill=self.desk.drill,
        )


class Parameters(Actor):
    def __init__(self, desk: "Desk") -> None:
        self.desk = desk

    def _result(self, engine_id: str, strategy_id: str, request_id: str, status: UpdateStatus) -> UpdateResult:
        return UpdateResult(
            request_id=request_id,
            engine_id=engine_id,
            strategy_id=strategy_id,
            status=status,
            parameters={"fast": 5},
            version=4,
            applied_at=None,
            error=None,
            reason=None,
        )

    @handles(ChangeParameters)
    async def on_change(self, msg: ChangeParameters) -> UpdateResult | Refusal:
        self.desk.asked.append(msg)
        if msg.expected_version != 3:
            return Refusal(status=412, error="error_version_conflict", reason="the version is 3")
        request_id = msg.change.request_id or ""
        applied = self._result(msg.engine_id, msg.change.strategy_id, request_id, UpdateStatus.APPLIED)
        self.desk.services.updates.put(request_id, applied)
        return self._result(msg.engine_id, msg.change.strategy_id, request_id, UpdateStatus.PENDING)

    @handles(RollBackParameters)
    async def on_roll_back(self, msg: RollBackParameters) -> UpdateResult | Refusal:
        self.desk.asked.append(msg)
        return self._result(msg.engine_id, msg.request.strategy_id, msg.request_id, UpdateStatus.APPLIED)

    @handles(GetParameters)
    async def on_get(self, msg: GetParameters) -> StrategyParameters | Refusal:
        return StrategyParameters(
            engine_id=msg.engine_id,
            strategy_id=msg.strategy_id,
            version=3,
            desired={"fast": 5},
            effective={"fast": 5},
            effective_version=3,
            parameter_schema={},
            updated_at=NOW,
        )


@cache
def documented() -> tuple[dict[str, Any], list[tuple[re.Pattern[str], dict[str, Any]]]]:
    document = openapi(ROUTES)
    paths = [(re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path)), ops) for path, ops in document["paths"].items()]
    return document, sorted(paths, key=lambda one: "[^/]+" in one[0].pattern)


@cache
def validator(path: str, method: str, status: str) -> Draft202012Validator:
    document, _ = documented()
    keys = ("paths", path, method, "responses", status, "content", "application/json", "schema")
    pointer = "#/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)
    return Draft202012Validator({"$ref": pointer, **document})


def check_documented(method: str, path: str, response: Any, body: bytes) -> None:
    """Every answer any test gets is one that openapi.json promises: its status, its headers and its body."""
    document, paths = documented()
    bare = path.partition("?")[0]
    found = next((ops for pattern, ops in paths if pattern.fullmatch(bare)), {})
    if (operation := found.get(method.lower())) is None:
        return
    name = next(name for name, ops in document["paths"].items() if ops is found)
    status = str(response.status_code)
    assert status in operation["responses"], f"{method} {name} answers {status}, which openapi.json does not know"
    promised = operation["responses"][status]
    for header in ("ETag", "Location", "Retry-After", "WWW-Authenticate", "Set-Cookie", "Idempotency-Replayed"):
        assert header not in response.headers or header in promised.get("headers", {}), f"{method} {name}: {header}"
    mime = response.content_type.split(";")[0] if body else None
    assert mime in promised.get("content", {None: 0}), f"{method} {name} {status}: {mime}"
    if mime == "application/json":
        validator(name, method.lower(), status).validate(json.loads(body))


@attrs.define
class Desk:
    """The whole scripted platform and a client of its web face."""

    services: Any = None
    db: ScriptedDatabase = attrs.field(factory=ScriptedDatabase)
    asked: list[Any] = attrs.field(factory=list)
    heard: list[Any] = attrs.field(factory=list)
    stop_state: StopState = StopState.VERIFIED
    durable: bool = True
    drill: DrillStatus | None = None
    app: Any = None
    client: Any = None
    face: Any = None
    address: Any = None

    telling: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def tell_dashboards(self) -> None:
        """What the web server does, where there is none."""
        with self.telling:
            await self.services.hub.run()

    def token(self, role: str = "admin", *, user: str | None = None, age: int = 0, **claims: Any) -> str:
        auth_time = int(datetime.now(UTC).timestamp()) - age
        name = user or f"u-{role}"
        issued = self.services.tokens.issue_user(name, username=name, role=role, auth_time=auth_time, **claims)
        return str(issued.token)

    def engine_token(self, engine_id: str = "E1") -> str:
        return str(self.services.tokens.issue_engine(engine_id).token)

    async def call(
        self, method: str, path: str, *, role: str | None = "admin", body: Any = None, **options: Any
    ) -> Any:
        headers = dict(options.pop("headers", {}))
        token = options.pop("token", None) or (self.token(role) if role else None)
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        data = options.pop("data", None)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            data = json.dumps(body)
        with trio.fail_after(30):
            response = await self.client.open(path, method=method, headers=headers, data=data, **options)
        check_documented(method, path, response, await response.get_data())
        return response


def user_row(user_id: str, role: Role, password_hash: str, **changes: Any) -> users.UserRow:
    fields: dict[str, Any] = {
        "id": user_id,
        "username": user_id.removeprefix("u-"),
        "password_hash": password_hash,
        "role": role,
        "enabled": True,
        "totp": None,
        "token_epoch": 0,
        "created_at": NOW,
    }
    return users.UserRow(**{**fields, **changes})


@asynccontextmanager
async def open_desk(tmp_path: Any, db: Any = None):
    desk = Desk()
    if db is not None:
        desk.db = db
    children = [
        ChildSpec(id=WEBHOOK, factory=lambda: Listening(desk.heard)),
        ChildSpec(id=INCIDENTS, factory=lambda: IncidentOffice(SimpleNamespace(rows={}), DatabaseReports(desk.db))),
        ChildSpec(id=COORDINATOR, factory=lambda: Coordinator(desk)),
        ChildSpec(id=FLEET, factory=lambda: Fleet(desk)),
        ChildSpec(id=HEALTH, factory=lambda: Health(desk)),
        ChildSpec(id=PARAMETERS, factory=lambda: Parameters(desk)),
        ChildSpec(id=UI_CLIENTS, factory=lambda: DynamicSupervisor(intensity=1000)),
    ]
    ring = KeyRing.generate()
    async with open_system(name="desk", children=children) as system:
        desk.services = Services(
            settings=load_settings({"home": str(tmp_path)}, {}),
            db=desk.db,
            keyring=ring,
            tokens=TokenKeys(ring.derive("tokens")),
            system=system,
        )
        desk.services.enrolled.replace([engine_row("E1", ring, f"{CANARY}-engine-secret")])
        desk.face = Face(services=desk.services, doors=Doors(passwords=Passwords(memory=8192 * 1024, passes=1)))
        desk.face.doors.origins = frozenset({ORIGIN})
        desk.app = build_app(desk.face)
        add_link(desk.app, desk.face)
        desk.client = desk.app.test_client()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.tell_dashboards)
            yield desk
            nursery.cancel_scope.cancel()


def engine_row(engine_id: str, ring: KeyRing, secret: str, public_key: str | None = None) -> EngineRow:
    return EngineRow(
        engine_id=engine_id,
        name=engine_id,
        account_id=f"A-{engine_id}",
        secret_hash=secret_hash(ring.derive("engine secrets"), engine_id, secret),
        public_key=public_key,
        version=None,
        trading_mode=None,
        last_seen_at=None,
        created_at=NOW,
        rotated_at=None,
        deregistered_at=None,
    )


@pytest.fixture
async def desk(tmp_path):
    async with open_desk(tmp_path) as desk:
        yield desk


@pytest.fixture
async def served(desk):
    """The desk behind a real listener on a free port."""
    settings = desk.services.settings
    object.__setattr__(settings, "http", Address("127.0.0.1", 0))
    desk.telling.cancel()
    spec = ChildSpec(id=WEB, factory=lambda: WebServer(desk.services))
    web = await desk.services.system.start_child("desk", spec)
    desk.address = await web.ask(WhereAreYou())
    return desk


@pytest.fixture
def kit():
    """What the tests of this folder share."""

    class Kit:
        pass

    kit = Kit()
    kit.open_desk, kit.stop_of, kit.user_row, kit.NOW = open_desk, stop_of, user_row, NOW
    kit.ORIGIN, kit.CANARY, kit.engine_row = ORIGIN, CANARY, engine_row
    return kit


# --- with a real database ---------------------------------------------------------------------------------------------


@pytest.fixture
async def real(tmp_path, database_dsn):
    """The desk on a real PostgreSQL, with a user of every role; each password is "<role>-password"."""
    async with patient(database_dsn, size=4).open() as db, open_desk(tmp_path, db) as desk:
        db.audit_key = b"k" * 32
        for role in Role:
            hashed = await desk.face.doors.passwords.hash(f"{role.value}-password")
            await db.run(users.add, f"u-{role.value}", role.value, hashed, role)
        await db.run(engines.enrol, "E1", "E1", "A-E1", b"h" * 32, None)
        yield desk
