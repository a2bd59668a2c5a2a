"""The web face on a real PostgreSQL: signing in, settings, enrolling, the audit log; and no secret ever comes back."""

import base64
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from nacl.public import PrivateKey, SealedBox

from actors.alarms.webhook import LETTER_KIND, AlertAcknowledged
from actors.platform.database_office import DatabaseOffice, ForgetExpired, Standing
from actors.requests import ConfigurationChanged, EngineEnrolled, EngineRemoved
from actors.web import validation
from actors.web.names import COOKIE
from actors.web.preferences import loosened
from actors.web.throttle import Throttle
from actors.web.totp import code
from store import alerts, audit, idempotency, letters, logs, platform, sessions, stops, users
from wire.codec import encode
from wire.messages import TradeLog
from wire.rest.records import Alert, AlertState
from wire.rest.settings import Check, RiskLimits
from wire.values import LogCategory

pytestmark = pytest.mark.database


async def login(desk, name="operator", password=None, **more):
    body = {"username": name, "password": password or f"{name}-password", **more}
    return await desk.call("POST", "/api/auth/login", role=None, body=body)


def cookie_of(response):
    header = response.headers["Set-Cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Strict" in header
    return header.split(";")[0].split("=", 1)[1]


async def refresh(desk, cookie, **headers):
    jar = {"Cookie": f"{COOKIE}={cookie}", **headers}
    return await desk.call("POST", "/api/auth/refresh", role=None, headers=jar)


# --- what nobody can ask for any more ---


async def test_what_has_expired_is_deleted_and_what_still_counts_is_not(real):
    now = datetime.now(UTC)
    long_ago, lately = now - timedelta(days=2), now - timedelta(hours=2)
    for name, ends in (("old", long_ago), ("ended", lately), ("open", now + timedelta(days=1))):
        await real.db.run(sessions.begin, name, "u-operator", name, long_ago, ends, "")
    for name, at in (("old", long_ago), ("young", now)):
        slot = idempotency.Slot(user_id="u-operator", route="POST /x", key=name)
        await real.db.run(idempotency.claim, slot, b"body", at, tx={})
        await real.db.run(idempotency.complete, slot, 200, "x")
    office = DatabaseOffice(real.services, Standing(platform_id="P", tenure=None), "", lambda: 0, lambda: (), print)
    await office.on_forget_expired(ForgetExpired())
    assert await real.db.run(names_of, "select id from login_sessions") >= {"ended", "open"}
    assert "old" not in await real.db.run(names_of, "select id from login_sessions")
    assert await real.db.run(names_of, "select key from idempotency") == {"young"}


async def names_of(conn, query):
    return {row[0] for row in await conn.fetch(query)}


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_a_login_gives_a_token_for_the_role_and_a_cookie(real):
    response = await login(real, "operator")
    answer = await response.get_json()
    assert (response.status_code, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 900)
    assert answer["user"] == {"id": "u-operator", "username": "operator", "role": "operator"}
    assert (await real.call("GET", "/api/settings/user", token=answer["access_token"])).status_code == 200
    assert (await real.call("GET", "/api/audit", token=answer["access_token"])).status_code == 403
    assert cookie_of(response)


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(real):
    wrong, unknown = await login(real, "admin", "no-password"), await login(real, "nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert await wrong.get_data() == await unknown.get_data()


class AtOnce(Throttle):
    """Every try comes in the same moment, however long the machine takes."""

    def wait(self, keys, now):
        return super().wait(keys, 0.0)

    def failed(self, keys, now):
        super().failed(keys, 0.0)


async def test_after_ten_failures_the_next_try_has_to_wait(real):
    real.face.doors.throttle = AtOnce()
    for _ in range(10):
        assert (await login(real, "admin", "wrong-password")).status_code == 401
    throttled = await login(real, "admin")
    assert throttled.status_code == 429
    assert int(throttled.headers["Retry-After"]) >= 1
    assert (await login(real, "operator")).status_code == 200  # from the same address
    step_up = await real.call("POST", "/api/auth/step-up", role="admin", body={"password": "admin-password"})
    assert step_up.status_code == 200  # whoever is in stays in


async def test_a_disabled_user_does_not_get_in(real):
    await real.db.run(users.set_enabled, "u-viewer", False)
    assert (await login(real, "viewer")).status_code == 401


async def test_a_user_with_a_second_factor_needs_its_code(real):
    secret = b"12345678901234567890"
    sealed = real.services.keyring.seal(secret, "users", "u-risk", "totp")
    await real.db.run(users.set_totp, "u-risk", sealed)
    assert (await login(real, "risk")).status_code == 401
    now = code(secret, int(datetime.now(UTC).timestamp() // 30))
    assert (await login(real, "risk", totp=now)).status_code == 200


def test_the_codes_are_those_of_rfc_6238():
    secret = b"12345678901234567890"
    assert [code(secret, t // 30) for t in (59, 1111111109, 2000000000)] == ["287082", "081804", "279037"]


async def test_a_refresh_token_rotates_and_the_stolen_old_one_is_worth_nothing(real):
    first = cookie_of(await login(real))
    second = cookie_of(await refresh(real, first))
    assert second != first
    assert (await refresh(real, second)).status_code == 200
    assert (await refresh(real, "made-up")).status_code == 401
    assert (await refresh(real, first)).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
async def test_another_sites_page_cannot_use_the_cookie(real, headers):
    cookie = cookie_of(await login(real))
    for path in ("/api/auth/refresh", "/api/auth/logout"):
        response = await real.call("POST", path, role=None, headers={"Cookie": f"{COOKIE}={cookie}", **headers})
        assert response.status_code == 403
        assert (await response.get_json())["error"] == "error_origin"


async def test_under_tls_the_cookie_is_bound_to_the_host(real):
    headers = {"Origin": "https://desk.example"}
    real.face.doors.origins = frozenset({"https://desk.example"})
    body = {"username": "operator", "password": "operator-password"}
    response = await real.call("POST", "/api/auth/login", role=None, body=body, headers=headers)
    assert response.headers["Set-Cookie"].startswith(f"__Host-{COOKIE}=")
    assert "Secure" in response.headers["Set-Cookie"]
    assert "Path=/;" in response.headers["Set-Cookie"]


async def test_logging_out_ends_the_token_and_the_cookie(real):
    response = await login(real)
    token, cookie = (await response.get_json())["access_token"], cookie_of(response)
    assert (await real.call("POST", "/api/auth/logout", token=token)).status_code == 204
    assert (await real.call("GET", "/api/stops", token=token)).status_code == 401
    assert (await refresh(real, cookie)).status_code == 401


async def test_logging_out_by_the_cookie_alone_ends_its_tokens_too(real):
    response = await login(real)
    token, cookie = (await response.get_json())["access_token"], cookie_of(response)
    out = await real.call("POST", "/api/auth/logout", role=None, headers={"Cookie": f"{COOKIE}={cookie}"})
    assert out.status_code == 204
    assert (await real.call("GET", "/api/stops", token=token)).status_code == 401


async def test_a_step_up_gives_a_token_with_a_fresh_proof(real):
    old = real.token("risk", age=3600)
    release = {"reason": "over", "epoch": 7}
    assert (await real.call("POST", "/api/stops/s1/release", token=old, body=release)).status_code == 403
    wrong = await real.call("POST", "/api/auth/step-up", token=old, body={"password": "nope"})
    assert wrong.status_code == 401
    right = await real.call("POST", "/api/auth/step-up", token=old, body={"password": "risk-password"})
    fresh = (await right.get_json())["access_token"]
    assert (await real.call("POST", "/api/stops/s1/release", token=fresh, body=release)).status_code == 201


async def test_a_new_password_ends_every_token_of_the_user(real):
    token = (await (await login(real, "viewer")).get_json())["access_token"]
    changed = await real.call("PATCH", "/api/users/u-viewer", body={"password": "another-password"})
    assert changed.status_code == 200
    assert (await real.call("GET", "/api/stops", token=token)).status_code == 401
    assert (await login(real, "viewer", "another-password")).status_code == 200


async def test_the_last_administrator_stays_one(real):
    for change in ({"enabled": False}, {"role": "viewer"}):
        response = await real.call("PATCH", "/api/users/u-admin", body=change)
        assert response.status_code == 409
        assert (await response.get_json())["error"] == "error_last_admin"


async def test_a_name_is_given_once(real):
    body = {"username": "Operator", "password": "long-enough"}
    assert (await real.call("POST", "/api/users", body=body)).status_code == 409


# --- settings ---------------------------------------------------------------------------------------------------------

KEYS = {"api_key": "CANARY-KEY-0123456789", "api_secret": "CANARY-SECRET-0123456789abcdef"}


def settings(**account):
    fields = {"id": "acc-1", "name": "Main", "type": "kis", "account_number": "12345678-01", **account}
    return {
        "brokerage_accounts": [fields],
        "system_preferences": {"theme": "light"},
        "risk_limits": {"max_daily_loss": 1000},
    }


async def save(desk, body, version, role="operator", **headers):
    return await desk.call(
        "POST", "/api/settings/user", role=role, body=body, headers={"If-Match": str(version), **headers}
    )


async def test_settings_are_saved_whole_masked_and_told_to_the_engines(real):
    response = await save(real, settings(**KEYS), 0)
    answer = await response.get_json()
    assert (response.status_code, response.headers["ETag"], answer["config_version"]) == (200, '"1"', 1)
    assert answer["brokerage_accounts"][0]["api_key"]["set"] is True
    assert "CANARY" not in json.dumps(answer)
    assert ConfigurationChanged(config_version=1) in real.asked
    again = await (await real.call("GET", "/api/settings/user", role="operator")).get_json()
    assert again["brokerage_accounts"] == answer["brokerage_accounts"]


@pytest.mark.parametrize("good", [True, False])
async def test_keys_that_the_broker_took_are_shown_as_validated_where_they_are_kept(real, monkeypatch, good):
    async def answers(credentials, setup):
        return [Check(name=name, ok=good, reason="said", ms=1) for name in ("format", "token", "account")]

    monkeypatch.setattr(validation, "validate_credentials", answers)
    kept = await (await save(real, settings(**KEYS), 0)).get_json()
    [account] = kept["brokerage_accounts"]
    assert account["last_validated"] is None
    tried = {"brokerage_type": account["type"], "account_number": account["account_number"], **KEYS}
    answer = await real.call("POST", "/api/settings/validate", body=tried, role="operator")
    assert (await answer.get_json())["is_valid"] is good
    shown = await (await real.call("GET", "/api/settings/user", role="operator")).get_json()
    assert (shown["brokerage_accounts"][0]["last_validated"] is not None) is good
    assert shown["config_version"] == kept["config_version"]


async def test_a_secret_is_kept_replaced_or_deleted_as_asked(real):
    first = (await (await save(real, settings(**KEYS), 0)).get_json())["brokerage_accounts"][0]
    kept = (await (await save(real, settings(api_key={"set": True}), 1)).get_json())["brokerage_accounts"][0]
    assert kept["api_key"] == first["api_key"]
    assert kept["api_secret"] == first["api_secret"]
    replaced = (await (await save(real, settings(api_key="CANARY-OTHER-0123456789"), 2)).get_json())[
        "brokerage_accounts"
    ][0]
    assert replaced["api_key"]["fingerprint"] != first["api_key"]["fingerprint"]
    deleted = (await (await save(real, settings(api_key=None), 3)).get_json())["brokerage_accounts"][0]
    assert deleted["api_key"]["set"] is False


async def test_two_saves_against_one_version_do_not_both_win(real):
    assert (await save(real, settings(), 0)).status_code == 200
    assert (await save(real, settings(), 0)).status_code == 412
    no_version = await real.call("POST", "/api/settings/user", role="operator", body=settings())
    assert no_version.status_code == 428


async def test_loosening_a_limit_needs_the_risk_role_and_tightening_does_not(real):
    tight = {**settings(), "risk_limits": {"max_daily_loss": 1}}
    loose = {**settings(), "risk_limits": {"max_daily_loss": 99_000_000}}
    assert (await save(real, tight, 0)).status_code == 200
    refused = await save(real, loose, 1)
    assert refused.status_code == 403
    assert (await refused.get_json())["field"] == "risk_limits.max_daily_loss"


def test_what_loosens_is_named():
    old = RiskLimits(max_daily_loss=10, emergency_stop_loss=10)
    new = RiskLimits(max_daily_loss=11, emergency_stop_loss=9)
    assert loosened(old, new) == ["max_daily_loss"]


async def test_an_account_of_another_user_is_not_taken_over(real):
    await save(real, settings(), 0, "operator")
    response = await save(real, settings(), 0, "risk")
    assert response.status_code == 409


async def test_the_same_key_gets_the_same_answer_and_another_body_none(real):
    first = await save(real, settings(), 0, **{"Idempotency-Key": "k1"})
    again = await save(real, settings(), 0, **{"Idempotency-Key": "k1"})
    assert await again.get_data() == await first.get_data()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await save(real, settings(name="Other"), 1, **{"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert (await other.get_json())["error"] == "error_idempotency_conflict"


async def test_what_failed_can_be_tried_again_with_the_same_key(real):
    assert (await save(real, settings(), 9, **{"Idempotency-Key": "k2"})).status_code == 412
    assert (await save(real, settings(), 0, **{"Idempotency-Key": "k2"})).status_code == 200


# --- engines ----------------------------------------------------------------------------------------------------------


async def enrol(desk, name="Alpha", account="A-9", key="", **more):
    headers = {"Idempotency-Key": key} if key else {}
    return await desk.call("POST", "/api/engines", body={"name": name, "account_id": account, **more}, headers=headers)


async def test_an_enrolled_engine_gets_tokens_with_the_secret_that_is_shown_once(real):
    response = await enrol(real)
    engine = await response.get_json()
    assert response.status_code == 201
    assert any(isinstance(told, EngineEnrolled) for told in real.asked)
    body = {"engine_id": engine["engine_id"], "secret": engine["secret"]}
    token = await (await real.call("POST", "/api/auth/engine-token", role=None, body=body)).get_json()
    assert token["expires_in"] == 900
    shown = await (await real.call("GET", "/api/engines")).get_json()
    assert engine["secret"] not in json.dumps(shown)
    wrong = await real.call("POST", "/api/auth/engine-token", role=None, body={**body, "secret": "x"})
    assert wrong.status_code == 401


async def test_a_repeated_enrolment_gets_the_same_secret_which_is_nowhere_in_the_database_in_clear(real):
    first = await (await enrol(real, key="once")).get_json()
    again = await (await enrol(real, key="once")).get_json()
    assert again == first
    kept = await real.db.run(_all_answers)
    assert kept
    assert first["secret"] not in kept


async def _all_answers(conn):
    return "".join(row["answer"] or "" for row in await conn.fetch("select answer from idempotency"))


async def test_one_engine_per_account(real):
    await enrol(real)
    response = await enrol(real, name="Beta")
    assert response.status_code == 409
    assert (await response.get_json())["error"] == "error_account_in_use"


async def test_a_removed_engine_is_forgotten_with_its_tokens(real):
    engine = await (await enrol(real)).get_json()
    token = real.engine_token(engine["engine_id"])
    assert (await real.call("DELETE", f"/api/engines/{engine['engine_id']}")).status_code == 204
    assert EngineRemoved(engine_id=engine["engine_id"]) in real.asked
    assert (await real.call("GET", "/api/engine/config", token=token)).status_code == 401
    assert (await real.call("DELETE", "/api/engines/nobody")).status_code == 404


async def test_a_rotated_secret_replaces_the_old_one_and_its_tokens(real):
    engine = await (await enrol(real)).get_json()
    old = real.engine_token(engine["engine_id"])
    rotated = await (await real.call("POST", f"/api/engines/{engine['engine_id']}/rotate")).get_json()
    assert rotated["secret"] != engine["secret"]
    assert (await real.call("GET", "/api/engine/config", token=old)).status_code == 401
    body = {"engine_id": engine["engine_id"], "secret": rotated["secret"]}
    fresh = (await (await real.call("POST", "/api/auth/engine-token", role=None, body=body)).get_json())["access_token"]
    assert (await real.call("GET", "/api/engine/config", token=fresh)).status_code == 404


async def test_a_public_key_that_is_none_is_refused(real):
    for key in ("x", "AAAA", "é"):
        assert (await enrol(real, public_key=key)).status_code == 422


async def test_an_engine_reads_its_own_configuration_sealed_to_it_and_audited_before(real):
    private = PrivateKey.generate()
    public = base64.b64encode(bytes(private.public_key)).decode()
    engine = await (await enrol(real, account="acc-1", public_key=public)).get_json()
    await save(real, settings(**KEYS), 0)
    token = real.engine_token(engine["engine_id"])
    response = await real.call("GET", "/api/engine/config", token=token)
    found = await response.get_json()
    opened = json.loads(SealedBox(private).decrypt(base64.b64decode(found["sealed"])))
    assert opened == {"app_key": KEYS["api_key"], "app_secret": KEYS["api_secret"], "account": "1234567801"}
    assert "CANARY" not in await response.get_data(as_text=True)
    page = await real.db.run(audit.page, None, 10)
    assert page.items[-1].action == "engine.config.read"
    assert page.items[-1].actor == f"engine:{engine['engine_id']}"


# --- records ----------------------------------------------------------------------------------------------------------


async def keep(desk, count):
    now = datetime.now(UTC)
    lines = [
        logs.Received(
            engine_id="E1",
            id=f"t{n}",
            at=now,
            message=TradeLog(id=f"t{n}", category=LogCategory.TRADE, message=f"=line {n}", timestamp=now, reason="why"),
        )
        for n in range(count)
    ]
    await desk.db.run(logs.commit, lines, [], now, tx={})


async def test_logs_are_paged_from_the_first_to_the_last_and_the_newest_are_a_page_too(real):
    await keep(real, 5)
    seen, after = [], ""
    while after is not None:
        page = await (await real.call("GET", f"/api/logs?limit=2&after={after}", role="viewer")).get_json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert seen == ["t0", "t1", "t2", "t3", "t4"]
    newest = await (await real.call("GET", "/api/logs?limit=2&newest=true", role="viewer")).get_json()
    assert [item["id"] for item in newest["items"]] == ["t3", "t4"]


async def test_logs_are_found_by_engine_category_and_words(real):
    await keep(real, 3)
    for query, count in (("engine=E1", 3), ("engine=E2", 0), ("category=System", 0), ("q=line 2", 1)):
        page = await (await real.call("GET", f"/api/logs?{query}", role="viewer")).get_json()
        assert len(page["items"]) == count


async def test_a_list_as_csv_runs_nothing_in_a_spreadsheet(real):
    await keep(real, 1)
    response = await real.call("GET", "/api/logs", role="viewer", headers={"Accept": "text/csv"})
    text = await response.get_data(as_text=True)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert text.splitlines()[0].startswith("cursor,engine_id,id,category")
    assert "'=line 0" in text


def alert_of(alert_id):
    return Alert(
        id=alert_id,
        code="error_some",
        severity="error",
        reason="words",
        engine_id=None,
        stop_id=None,
        state=AlertState.OPEN,
        raised_at=datetime.now(UTC),
        acknowledged_by=None,
        acknowledged_at=None,
    )


async def test_an_alert_is_acknowledged_by_name_and_shown_at_once(real):
    await real.db.run(alerts.save, alert_of("a1"))
    token = (await (await login(real, "operator")).get_json())["access_token"]
    done = await (await real.call("POST", "/api/alerts/a1/ack", token=token)).get_json()
    assert (done["state"], done["acknowledged_by"]) == ("acknowledged", "u-operator")
    assert done["acknowledged_by_name"] == "operator"
    listed = await (await real.call("GET", "/api/alerts", role="viewer")).get_json()
    assert listed["items"][0]["acknowledged_by_name"] == "operator"
    assert (await real.call("POST", "/api/alerts/none/ack", role="operator")).status_code == 404
    assert real.heard == [AlertAcknowledged(alert_id="a1")]


async def test_an_alert_that_was_acknowledged_meanwhile_is_sent_again_as_acknowledged(real):
    await real.db.run(alerts.save, alert_of("a8"))
    letter = letters.DeadLetter(
        id="l8", engine_id="E1", kind=LETTER_KIND, payload=encode(alert_of("a8")), reason="no", at=datetime.now(UTC)
    )
    await real.db.run(letters.save, letter)
    await real.call("POST", "/api/alerts/a8/ack", role="operator")
    await real.call("POST", "/api/dead-letters/l8/retry", role="risk")
    told = real.heard[-1].alert
    assert (told.id, told.state, told.acknowledged_by) == ("a8", AlertState.ACKNOWLEDGED, "u-operator")


async def test_an_alert_that_nobody_outside_took_is_sent_again_by_a_person_once(real):
    payload = encode(alert_of("a7"))
    for letter_id, kind in (("l2", LETTER_KIND), ("l3", "fill")):
        letter = letters.DeadLetter(
            id=letter_id, engine_id="E1", kind=kind, payload=payload, reason="not taken", at=datetime.now(UTC)
        )
        await real.db.run(letters.save, letter)
    assert (await real.call("POST", "/api/dead-letters/l2/retry", role="operator")).status_code == 403
    done = await (await real.call("POST", "/api/dead-letters/l2/retry", role="risk")).get_json()
    assert (done["state"], done["decided_by"]) == ("retried", "u-risk")
    assert [told.alert.id for told in real.heard] == ["a7"]
    assert (await real.call("POST", "/api/dead-letters/l2/retry", role="risk")).status_code == 404
    refused = await real.call("POST", "/api/dead-letters/l3/retry", role="risk")
    assert (refused.status_code, (await refused.get_json())["error"]) == (409, "error_not_retryable")
    assert (await (await real.call("GET", "/api/dead-letters", role="viewer")).get_json())["items"][1][
        "state"
    ] == "open"


async def test_a_stop_is_listed_before_the_database_has_it(real, kit):
    """The database is told last; a stop that counts already must not be missing where people look for it."""
    term = (await real.db.run(platform.begin_term)).term
    kept, fresh, drill = kit.stop_of("s-1", epoch=3), kit.stop_of("s-2", epoch=4), kit.stop_of("s-3", drill=True)
    await real.db.run(stops.save, term, kept, tx={})
    for stop in (fresh, drill):
        real.services.stops.put(stop.stop_id, stop)

    async def listed(query=""):
        answer = await (await real.call("GET", f"/api/stops{query}", role="viewer")).get_json()
        return [stop["stop_id"] for stop in answer["items"]], answer["next"]

    assert await listed() == (["s-1", "s-2", "s-3"], None)
    assert await listed("?drill=true") == (["s-3"], None)
    assert await listed("?after=0&limit=1") == (["s-1", "s-2", "s-3"], None)
    assert await listed("?newest=true&limit=1") == (["s-3"], None)
    asked = real.db.run

    async def run(work, *args, **more):
        """The database gets the stop between the two questions of one listing."""
        answer = await asked(work, *args, **more)
        if work is stops.written:
            await asked(stops.save, term, fresh, tx={})
        return answer

    real.db.run = run
    assert await listed() == (["s-1", "s-2", "s-3"], None)


async def test_the_report_of_a_stop_is_data_or_a_document_in_two_languages(real, kit):
    stop = kit.stop_of("s-7", reason="<script>x</script>")
    real.services.stops.put("s-7", stop)
    data = await (await real.call("GET", "/api/stops/s-7/report", role="viewer")).get_json()
    assert (data["stop"]["stop_id"], data["complete"], data["log"]) == ("s-7", True, [])
    html = await real.call("GET", "/api/stops/s-7/report?lang=en", headers={"Accept": "text/html"})
    text = await html.get_data(as_text=True)
    assert html.content_type == "text/html; charset=utf-8"
    assert "Emergency stop report s-7" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    korean = await real.call("GET", "/api/stops/s-7/report", headers={"Accept": "text/markdown"})
    assert "긴급 정지 보고서" in await korean.get_data(as_text=True)
    assert (await real.call("GET", "/api/stops/s-8/report")).status_code == 404
    wrong = await real.call("GET", "/api/stops/s-7/report?lang=fr")
    assert (wrong.status_code, (await wrong.get_json())["field"]) == (422, "lang")


async def test_a_dead_letter_is_listed_without_its_content_and_discarded_once(real):
    letter = letters.DeadLetter(
        id="l1", engine_id="E1", kind="fill", payload='{"CANARY": 1}', reason="cannot be stored", at=datetime.now(UTC)
    )
    await real.db.run(letters.save, letter)
    listed = await real.call("GET", "/api/dead-letters", role="viewer")
    assert "CANARY" not in await listed.get_data(as_text=True)
    assert (await listed.get_json())["items"][0]["state"] == "open"
    done = await real.call("POST", "/api/dead-letters/l1/discard", role="risk")
    assert (await done.get_json())["decided_by"] == "u-risk"
    assert (await real.call("POST", "/api/dead-letters/l1/discard", role="risk")).status_code == 404


async def test_the_audit_log_tells_who_did_what_and_its_chain_holds(real):
    await login(real, "admin")
    await enrol(real)
    page = await (await real.call("GET", "/api/audit", role="risk")).get_json()
    assert [(e["actor"], e["action"]) for e in page["items"]] == [("u-admin", "login"), ("u-admin", "engine.enrol")]
    verdict = await (await real.call("GET", "/api/audit/verify", role="risk")).get_json()
    assert (verdict["ok"], verdict["entries"]) == (True, 2)


async def test_an_altered_entry_is_found(real):
    await login(real, "admin")
    await real.db.run(_forge)
    verdict = await (await real.call("GET", "/api/audit/verify", role="risk")).get_json()
    assert (verdict["ok"], verdict["broken_at"]) == (False, 1)


async def _forge(conn):
    await conn.execute("update audit set actor = 'u-somebody'")


# --- no secret ever comes back ----------------------------------------------------------------------------------------


async def test_no_secret_is_in_any_answer_log_line_or_audit_entry(real, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    first = await login(real, "admin", "CANARY-password")
    said.append(await first.get_data(as_text=True))
    for body in (
        settings(**KEYS),
        settings(api_key="CANARY\x00"),
        settings(api_key=["CANARY"]),
        settings(id="CANARY ID"),
    ):
        said.append(await (await save(real, body, 0)).get_data(as_text=True))
    enrolment = await (await enrol(real)).get_json()
    tries = [
        ("POST", "/api/auth/engine-token", {"engine_id": enrolment["engine_id"], "secret": "CANARY-secret"}),
        ("POST", "/api/auth/step-up", {"password": "CANARY-password"}),
        ("POST", "/api/users", {"username": "new", "password": "CANARY-password"}),
        ("POST", "/api/users", {"username": "new", "password": ["CANARY-password"]}),
        ("PATCH", "/api/users/u-viewer", {"password": "CANARY-password"}),
        ("POST", "/api/settings/validate", {"brokerage_type": "samsung", "account_number": "1", **KEYS}),
        ("POST", "/api/settings/validate", {"brokerage_type": "CANARY", "account_number": "1", **KEYS}),
    ]
    for method, path, body in tries:
        said.append(await (await real.call(method, path, body=body)).get_data(as_text=True))
    for path in ("/api/settings/user", "/api/audit?limit=1000", "/api/engines", "/api/users", "/api/system/tree"):
        said.append(await (await real.call("GET", path)).get_data(as_text=True))
    everything = "\n".join(said) + caplog.text
    assert "CANARY" not in everything
    assert enrolment["secret"] not in everything
    assert "eyJ" not in caplog.text
