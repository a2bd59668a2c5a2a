"""Correctness properties of the seeds that the web face keeps."""

import base64
import json
import re

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.public import PrivateKey

from actors.live.hub import Hub
from actors.web import validation
from actors.web.engines import read_configuration
from actors.web.problems import Problem
from store import audit
from tests.databases import patient
from wire.rest.engines import Connection, EngineStatus
from wire.rest.settings import BrokerageCredentials, BrokerageType, Check
from wire.sdk.platform import Credential, config_answer
from wire.stops import Level
from wire.tokens import TokenKeys
from wire.ui import Subscription, Topic
from wire.values import EngineState, TradingMode

ANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

statuses = st.builds(
    EngineStatus,
    engine_id=st.sampled_from(["E1", "E2", "E3"]),
    name=st.just("Engine"),
    status=st.sampled_from(EngineState),
    connection=st.sampled_from(Connection),
    trading_mode=st.sampled_from(TradingMode),
    level=st.sampled_from(Level),
    stops=st.just([]),
    halted_by_lease=st.booleans(),
    lease_expires_at=st.none(),
    last_heartbeat=st.none(),
    age_ms=st.integers(0, 10_000),
    version=st.just("1"),
    account_id=st.just("A1"),
    strategies=st.just([]),
    positions=st.integers(0, 9),
    open_orders=st.integers(0, 9),
    synced=st.booleans(),
    equity=st.none(),
    realized_pnl=st.none(),
)


def read(feed, into):
    while (frames := feed.next_frames()) is not None:
        for frame in map(json.loads, frames.texts):
            if frame["type"] == "snapshot":
                into.clear()
            into.update({item["engine_id"]: item for item in frame["payload"]["items"]})


@ANY
@given(changes=st.lists(statuses, min_size=1, max_size=20), reads=st.lists(st.booleans(), min_size=20, max_size=20))
def test_every_change_of_an_engines_status_reaches_every_client(changes, reads):
    """Feature: trading-platform-backend-integration, Property 16: 상태 변경 브로드캐스팅"""
    hub = Hub()
    eager, lazy = hub.feed([Subscription(topic=Topic.ENGINES)]), hub.feed([Subscription(topic=Topic.ENGINES)])
    seen_by_eager, seen_by_lazy, latest = {}, {}, {}
    for change, is_read in zip(changes, reads, strict=False):
        hub.publish(Topic.ENGINES, change, key=change.engine_id)
        latest[change.engine_id] = (change.status.value, change.connection.value, change.level.value)
        read(eager, seen_by_eager)
        assert states(seen_by_eager) == latest
        if is_read:
            read(lazy, seen_by_lazy)
    read(lazy, seen_by_lazy)
    assert states(seen_by_lazy) == latest


def states(seen):
    return {engine: (item["status"], item["connection"], item["level"]) for engine, item in seen.items()}


checks = st.lists(
    st.builds(
        Check,
        name=st.sampled_from(["format", "token", "account"]),
        ok=st.booleans(),
        reason=st.just("words"),
        ms=st.integers(0, 9),
    ),
    max_size=4,
)


@ANY
@given(made=checks)
def test_nothing_is_valid_before_the_broker_itself_has_said_so(made):
    """Feature: trading-platform-backend-integration, Property 22: 연결성을 통한 구성 검증"""
    credentials = BrokerageCredentials(
        brokerage_type=BrokerageType.KIS, api_key="k", api_secret="s", account_number="12345678-01"
    )
    result = validation.result_of(made, credentials)
    passed = {check.name for check in made if check.ok}
    failed = {check.name for check in made if not check.ok}
    assert result.is_valid == (passed == {"format", "token", "account"} and not failed)
    assert {error.split(":")[0] for error in result.errors} == failed


keys = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200)


@ANY
@given(
    key=keys | st.from_regex(r"[A-Za-z0-9]{36}", fullmatch=True),
    secret=keys | st.from_regex(r"[A-Za-z0-9+/=]{180}", fullmatch=True),
    account=keys.map(lambda text: text[:32]) | st.from_regex(r"[0-9]{8}-[0-9]{2}", fullmatch=True),
)
def test_keys_are_accepted_by_their_brokers_form_and_no_other(key, secret, account, tmp_path):
    """Feature: trading-platform-backend-integration, Property 8: API 키 검증"""
    credentials = BrokerageCredentials(
        brokerage_type=BrokerageType.KIS, api_key=key, api_secret=secret, account_number=account
    )
    rightly_formed = (
        re.fullmatch(r"[\x21-\x7e]{36}", key) is not None
        and re.fullmatch(r"[\x21-\x7e]{180}", secret) is not None
        and re.fullmatch(r"[0-9]{8}-?[0-9]{2}", account) is not None
    )
    found = trio.run(lambda: validation.validate(credentials, tokens=tmp_path, url="http://127.0.0.1:1"))
    [form] = [check for check in found.checks if check.name == "format"]
    assert form.ok == rightly_formed
    assert not found.is_valid
    assert (len(found.checks) > 1) == rightly_formed


TOKENS = st.sampled_from(["none", "garbage", "person", "expired", "unknown engine", "denied", "other platform"])


@ANY
@given(kinds=st.lists(TOKENS, min_size=1, max_size=3))
async def test_no_engine_configuration_leaves_without_a_token_of_that_engine(desk, kinds):
    """Feature: trading-platform-backend-integration, Property 23: 인증된 구성 액세스"""
    for kind in kinds:
        headers = {} if kind == "none" else {"Authorization": f"Bearer {await bad_token(desk, kind)}"}
        response = await desk.call("GET", "/api/engine/config", role=None, headers=headers)
        assert response.status_code in (401, 403)
        assert set(await response.get_json()) == {"error", "reason"}
    assert desk.db.calls == []


async def bad_token(desk, kind):
    match kind:
        case "garbage":
            return "e30.e30." + "A" * 43
        case "person":
            return desk.token("admin")
        case "expired":
            past = TokenKeys(desk.services.keyring.derive("tokens"), clock=lambda: 1_000_000_000)
            return past.issue_engine("E1").token
        case "unknown engine":
            return desk.engine_token("E404")
        case "denied":
            desk.services.denied.require_generation("E1", 1)
            return desk.engine_token("E1")
        case _:
            return TokenKeys(b"o" * 32).issue_engine("E1").token


def beside_one_desk(database_dsn, tmp_path, kit, check):
    """Runs ``check(run)`` in a thread; ``run(example, ...)`` runs one example in the loop of the desk, with the desk.
    A desk and a pool for each of a hundred examples would take longer than all of them."""

    async def opened():
        async with patient(database_dsn, size=2).open() as db, kit.open_desk(tmp_path, db) as desk:
            db.audit_key = b"k" * 32
            await trio.to_thread.run_sync(check, lambda example, *given: trio.from_thread.run(example, desk, *given))

    trio.run(opened)


@pytest.mark.database
def test_every_configuration_that_leaves_is_in_the_audit_log_before(database_dsn, tmp_path, kit):
    """Feature: trading-platform-backend-integration, Property 24: 보안 감사 로깅"""

    async def example(desk, asked):
        desk.services.enrolled.replace([kit.engine_row(name, desk.services.keyring, "s" * 43) for name in ("E1", "E2")])
        before = (await desk.db.run(audit.head)).seq
        for engine_id in asked:
            with pytest.raises(Problem):
                await read_configuration(desk.services, engine_id)
        page = await desk.db.run(audit.page, before, 100)
        known = [f"engine:{engine_id}" for engine_id in asked if engine_id != "nobody"]
        assert [(e.actor, e.action, e.target) for e in page.items] == [
            (name, "engine.config.read", name) for name in known
        ]

    def check(run):
        @ANY
        @given(asked=st.lists(st.sampled_from(["E1", "E2", "nobody"]), min_size=1, max_size=6))
        def each(asked):
            run(example, asked)

        each()

    beside_one_desk(database_dsn, tmp_path, kit, check)


visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


@pytest.mark.database
def test_every_engine_that_starts_gets_everything_it_needs_by_one_call(database_dsn, tmp_path, kit):
    """Feature: trading-platform-backend-integration, Property 6: 엔진 구성 전달"""
    private = PrivateKey.generate()
    public = base64.b64encode(bytes(private.public_key)).decode()
    credential = Credential(
        engine_id="E1", secret="s", account_id="A-E1", http_url="", ws_url="", private_key=bytes(private)
    )

    async def example(desk, key, secret, number, loss):
        desk.services.enrolled.replace([kit.engine_row("E1", desk.services.keyring, "s" * 43, public)])
        await desk.db.run(with_risk)
        saved = await desk.call("GET", "/api/settings/user", role="risk")
        version = (await saved.get_json())["config_version"]
        account = {"id": "A-E1", "name": "Main", "type": "kis", "account_number": number}
        body = {
            "brokerage_accounts": [{**account, "api_key": key, "api_secret": secret}],
            "system_preferences": {"theme": "light"},
            "risk_limits": {} if loss is None else {"max_daily_loss": loss},
        }
        headers = {"If-Match": str(version)}
        done = await desk.call("POST", "/api/settings/user", role="risk", body=body, headers=headers)
        assert done.status_code == 200, await done.get_json()
        answer = await desk.call("GET", "/api/engine/config", token=desk.engine_token("E1"))
        raw = await answer.get_data()
        assert key.encode() not in raw or len(key) < 12
        found = config_answer(credential, answer.status_code, raw)
        expected = {"app_key": key, "app_secret": secret, "account": number.replace("-", "")}
        assert found.secrets == expected
        assert found.account_id == "A-E1"
        assert found.config_version == version + 1
        assert loss is None or found.risk_limits["max_daily_loss"] == loss

    def check(run):
        @ANY
        @given(
            key=visible,
            secret=visible,
            number=st.from_regex(r"[0-9]{8}-[0-9]{2}", fullmatch=True),
            loss=st.none() | st.integers(0, 10**12),
        )
        def each(key, secret, number, loss):
            run(example, key, secret, number, loss)

        each()

    beside_one_desk(database_dsn, tmp_path, kit, check)


async def with_risk(conn):
    await conn.execute(
        "insert into users (id, username, password_hash, role) values ('u-risk', 'risk', 'x', 'risk')"
        " on conflict do nothing"
    )
