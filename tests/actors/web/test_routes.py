"""Every route, from its table: who may call it, and what it answers to nonsense."""

import json
import logging
import re

import pytest

from actors.web.pages import Pages, accepts_gzip, serve
from actors.web.routes import ROUTES
from actors.web.table import Caller
from supervisor.actor import Actor
from supervisor.mailbox import Why
from supervisor.spec import ChildSpec
from supervisor.telemetry import Event
from wire.rest.access import Role

FOR_PEOPLE = [r for r in ROUTES if r.caller is Caller.PERSON]
WITH_BODY = [r for r in ROUTES if r.body is not None]
STRICT_BODY = [r for r in WITH_BODY if not r.lenient]


def path_of(route):
    path = route.path
    for name in route.parameters:
        path = path.replace(f"<{name}>", "x1")
    return path


def names(route):
    return f"{route.method} {route.path}"


async def shape(response):
    """Every error is the same shape, and nothing else is in it."""
    body = json.loads(await response.get_data(as_text=True))
    assert set(body) <= {"error", "reason", "field"}
    assert body["error"].startswith("error_")
    assert body["reason"]
    assert response.headers["Content-Type"] == "application/json"
    return body


def ask_for(desk, route):
    """A token good enough for the route, so that the test meets what comes after."""
    return desk.engine_token() if route.caller is Caller.ENGINE else desk.token("admin")


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=names)
async def test_nobody_gets_in_without_a_token(desk, route):
    response = await desk.call(route.method, path_of(route), role=None)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    await shape(response)


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=names)
async def test_an_engine_gets_into_nothing_that_is_for_people(desk, route):
    response = await desk.call(route.method, path_of(route), token=desk.engine_token())
    assert response.status_code == 403
    await shape(response)


@pytest.mark.parametrize("route", [r for r in FOR_PEOPLE if r.role is not Role.VIEWER], ids=names)
async def test_a_role_too_low_is_refused(desk, route):
    lower = list(Role)[list(Role).index(route.role) - 1]
    response = await desk.call(route.method, path_of(route), role=lower.value)
    assert response.status_code == 403
    assert (await shape(response))["error"] == "error_forbidden"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30." + "A" * 43, "x" * 5000])
async def test_a_token_that_is_none_is_refused(desk, token):
    response = await desk.call("GET", "/api/stops", role=None, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401


async def test_a_person_does_not_read_an_engines_configuration(desk):
    assert (await desk.call("GET", "/api/engine/config", role="admin")).status_code == 403
    assert (await desk.call("GET", "/api/engine/config", role=None)).status_code == 401


async def test_a_token_of_an_earlier_generation_counts_no_more(desk):
    token = desk.token("admin")
    desk.services.denied.require_generation("u-admin", 1)
    assert (await desk.call("GET", "/api/system/tree", token=token)).status_code == 401


BROKEN = {
    "not JSON": (b"{", 400),
    "no object": (b"[1, 2]", 400),
    "text": (b'"text"', 400),
    "not UTF-8": (b"\xff\xfe\x00", 400),
    "twice the same key": (b'{"a": 1, "a": 2}', 400),
    "NaN": (b'{"epoch": NaN}', 400),
    "infinite": (b'{"epoch": 1e999}', 400),
    "NUL": (b'{"reason": "\\u0000"}', 400),
    "too deep": (b'{"a":' * 40 + b"1" + b"}" * 40, 400),
    "wrong types": (
        b'{"epoch": "7", "reason": 7, "username": 1, "password": {}, "engine_id": [], "scope": 1, "note": 2,'
        b' "public_key": 3, "role": 4}',
        422,
    ),
}


@pytest.mark.parametrize("route", STRICT_BODY, ids=names)
async def test_a_body_that_is_not_what_is_asked_for_is_refused(desk, route):
    for what, (raw, status) in BROKEN.items():
        response = await desk.call(
            route.method,
            path_of(route),
            token=ask_for(desk, route),
            data=raw,
            headers={"Content-Type": "application/json", "If-Match": "3"},
        )
        assert (what, response.status_code) == (what, status)
        await shape(response)


@pytest.mark.parametrize("route", STRICT_BODY, ids=names)
async def test_a_body_of_another_type_is_refused(desk, route):
    for mime in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = await desk.call(
            route.method, path_of(route), token=ask_for(desk, route), data=b"{}", headers={"Content-Type": mime}
        )
        assert response.status_code == 415
        await shape(response)


@pytest.mark.parametrize("route", WITH_BODY, ids=names)
async def test_a_body_too_large_is_refused(desk, route):
    response = await desk.call(
        route.method,
        path_of(route),
        token=ask_for(desk, route),
        data=b'{"reason": "' + b"x" * 300_000 + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 413
    await shape(response)


@pytest.mark.parametrize("route", [r for r in STRICT_BODY if not r.optional_body], ids=names)
async def test_a_missing_body_is_refused(desk, route):
    response = await desk.call(route.method, path_of(route), token=ask_for(desk, route))
    assert response.status_code == 400
    await shape(response)


LISTS = [r for r in ROUTES if any(q.name == "limit" for q in r.query)]


NO_PAGES = ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1e3", "after=x", "after=-1", "limit=%D9%A1"]


@pytest.mark.parametrize("route", LISTS, ids=names)
async def test_a_page_that_cannot_be_is_refused(desk, route):
    for query in NO_PAGES:
        response = await desk.call(route.method, f"{path_of(route)}?strategy_id=s&{query}")
        assert response.status_code == 422
        assert (await shape(response))["field"] == query.split("=")[0]


async def test_a_log_category_nobody_knows_is_refused(desk):
    response = await desk.call("GET", "/api/logs?category=Gossip")
    assert response.status_code == 422
    assert (await shape(response))["field"] == "category"


@pytest.mark.parametrize(
    "path", ["/api/stops/%00", "/api/stops/..%2f..%2fetc", "/api/stops/" + "x" * 65, "/api/stops/a b"]
)
async def test_an_id_that_cannot_be_one_is_not_found(desk, path):
    response = await desk.call("GET", path)
    assert response.status_code == 404
    await shape(response)


@pytest.mark.parametrize(
    "path",
    [
        "/api/nothing",
        "/api",
        "/api/stops/x/y/z",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/none.js",
        "/api//stops",
        "/api/engines/emergency-stop//",
    ],
)
async def test_an_address_without_anything_is_404_for_every_method(desk, path):
    for method in ("GET", "POST", "DELETE", "PATCH"):
        response = await desk.call(method, path)
        assert response.status_code == 404
        await shape(response)


@pytest.mark.parametrize("route", ROUTES, ids=names)
async def test_a_method_that_is_not_served_is_405_and_says_what_is(desk, route):
    method = "PUT"
    response = await desk.call(method, path_of(route))
    assert response.status_code == 405
    assert route.method in response.headers["Allow"]
    await shape(response)


@pytest.mark.parametrize("route", ROUTES, ids=names)
async def test_options_tells_the_methods_and_needs_no_token(desk, route):
    response = await desk.call("OPTIONS", path_of(route), role=None)
    assert response.status_code == 204
    assert route.method in response.headers["Allow"]
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_links_address_speaks_websocket_only(desk):
    response = await desk.call("GET", "/ws", role=None)
    assert (response.status_code, response.headers["Upgrade"]) == (426, "websocket")
    await shape(response)


async def test_head_is_answered_like_get(desk):
    assert (await desk.call("HEAD", "/healthz", role=None)).status_code == 200


CHANGES = [r for r in ROUTES if r.if_match]


async def test_a_change_without_if_match_is_428_and_against_an_old_version_412(desk):
    path, body = "/api/engines/E1/parameters", {"strategy_id": "s", "parameters": {"fast": 5}}
    assert (await desk.call("PATCH", path, body=body)).status_code == 428
    assert (await desk.call("PATCH", path, body=body, headers={"If-Match": "*"})).status_code == 428
    assert (await desk.call("PATCH", path, body=body, headers={"If-Match": '"2"'})).status_code == 412
    assert (await desk.call("PATCH", path, body=body, headers={"If-Match": "abc"})).status_code == 412
    good = await desk.call("PATCH", path, body=body, headers={"If-Match": '"3"'})
    assert good.status_code == 200
    assert (await good.get_json())["status"] == "applied"
    assert good.headers["ETag"] == '"4"'


async def test_parameters_are_read_with_their_version_as_etag(desk):
    response = await desk.call("GET", "/api/engines/E1/parameters?strategy_id=s", role="viewer")
    assert response.headers["ETag"] == '"3"'
    assert (await desk.call("GET", "/api/engines/E1/parameters")).status_code == 422


async def test_an_unknown_field_is_ignored(desk):
    response = await desk.call("POST", "/api/stops/preview", body={"scope": "all", "colour": "red"})
    assert response.status_code == 200


async def test_an_unexpected_error_shows_nothing_of_itself(desk, caplog):
    def fail(*_):
        raise ValueError("the secret is hunter2-canary")

    from store import alerts

    desk.db.answers[alerts.page] = fail
    with caplog.at_level(logging.ERROR):
        response = await desk.call("GET", "/api/alerts")
    assert response.status_code == 500
    body = await response.get_data(as_text=True)
    assert "hunter2" not in body + caplog.text
    assert "ValueError" not in body
    assert "ValueError at fail" in caplog.text


async def test_what_needs_the_database_says_503_while_it_is_away(desk):
    desk.db.fall()
    for path in ("/api/logs", "/api/alerts", "/api/audit", "/api/settings/user", "/api/engines", "/api/users"):
        response = await desk.call("GET", path)
        assert response.status_code == 503
        assert response.headers["Retry-After"]
        await shape(response)


async def test_the_platform_is_ready_while_the_database_is_away_and_says_what_is_missing(desk):
    desk.services.degraded.report("database", "away")
    answer = await (await desk.call("GET", "/readyz", role=None)).get_json()
    assert answer["ready"] is True
    assert answer["degraded"][0]["part"] == "database"


async def test_the_platform_is_not_ready_while_it_goes_down(desk):
    desk.face.doors.draining = True
    response = await desk.call("GET", "/readyz", role=None)
    assert response.status_code == 503
    assert (await response.get_json())["ready"] is False


async def test_health_and_the_tree_are_shown_to_a_viewer(desk):
    assert (await (await desk.call("GET", "/api/health/system", role="viewer")).get_json())["database"] == "up"
    assert await (await desk.call("GET", "/api/engines/status", role="viewer")).get_json() == []
    assert await (await desk.call("GET", "/api/health/engines", role="viewer")).get_json() == []
    tree = await (await desk.call("GET", "/api/system/tree", role="viewer")).get_json()
    assert {child["name"] for child in tree["children"]} >= {"stops", "fleet", "ui-clients"}


async def test_metrics_are_for_this_machine_or_a_viewer(desk):
    text = await (await desk.call("GET", "/metrics", role=None)).get_data(as_text=True)
    assert "watchkeeper_database_up 1" in text
    assert text.count("# TYPE watchkeeper_stops_by_state gauge") == 1
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert (await desk.call("GET", "/metrics", role=None, headers=forwarded)).status_code == 401
    assert (await desk.call("GET", "/metrics", role="viewer", headers=forwarded)).status_code == 200


async def test_metrics_count_every_event_of_the_supervisors_and_every_reason_of_a_dead_letter(desk):
    system = desk.services.system
    lost = system.dead_letters.total(Why.STOPPED)
    started = dict(system.statistics().events)["child_started"]
    ref = await system.start_child(system.name, ChildSpec(id="shortly", factory=Actor))
    await system.root.terminate_child("shortly")
    ref.tell("nobody takes this")
    text = await (await desk.call("GET", "/metrics", role=None)).get_data(as_text=True)
    told = dict(re.findall(r'watchkeeper_supervisor_events_total{event="(\w+)"} (\d+)', text))
    assert set(told) == {event.value for event in Event}
    assert int(told["child_started"]) == started + 1
    reasons = dict(re.findall(r'watchkeeper_dead_letters_total{reason="(\w+)"} (\d+)', text))
    assert set(reasons) == {why.value for why in Why}
    assert int(reasons["stopped"]) == lost + 1


async def test_every_answer_carries_the_security_headers(desk):
    for path in ("/", "/api/stops", "/api/nothing", "/healthz"):
        headers = (await desk.call("GET", path, role=None)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"]
        assert "Server" not in headers


async def test_answers_of_the_api_are_never_cached(desk):
    assert (await desk.call("GET", "/api/health/system")).headers["Cache-Control"] == "no-store"


# --- the documents ------------------------------------------------------------------------------------------------


async def test_openapi_names_every_route_and_resolves_every_reference(desk):
    document = await (await desk.call("GET", "/openapi.json", role=None)).get_json()
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(r.method, r.path.replace("<", "{").replace(">", "}")) for r in ROUTES}
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert document["components"]["schemas"][reference]
    operations = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(set(operations)) == len(operations)


# --- the dashboard's files ------------------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + " " * 2000)
    (tmp_path / "assets" / "app-1a2b.js").write_text("let a = 1;" * 300)
    (tmp_path / ".hidden").write_text("no")
    return Pages(tmp_path)


def test_the_page_is_asked_for_anew_and_hashed_files_are_kept_for_ever(build):
    page = serve(build.find("/"), if_none_match=None, accept_encoding=None)
    asset = serve(build.find("/assets/app-1a2b.js"), if_none_match=None, accept_encoding=None)
    assert page.headers["Cache-Control"] == "no-cache"
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.headers["Content-Type"].startswith("text/javascript")


def test_a_file_the_browser_has_is_not_sent_again(build):
    first = serve(build.find("/"), if_none_match=None, accept_encoding="gzip")
    again = serve(build.find("/"), if_none_match=first.headers["ETag"], accept_encoding="gzip")
    assert (again.status, again.content) == (304, b"")
    assert first.headers["Content-Encoding"] == "gzip"


def test_a_screen_of_the_dashboard_is_its_page_and_anything_else_is_nothing(build):
    assert build.find("/stops/s1") is build.find("/")
    for path in ("/nothing", "/../pyproject.toml", "/.hidden", "/assets/", "/assets/other.js", "//etc/passwd"):
        assert build.find(path) is None


def test_without_a_build_a_plain_page_says_so(tmp_path):
    page = Pages(tmp_path).find("/")
    assert page is not None
    assert b"has not been built" in page.content


@pytest.mark.parametrize(
    "header, packed",
    [
        ("gzip", True),
        ("gzip;q=0", False),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0.000", False),
        ("br", False),
        (None, False),
    ],
)
def test_gzip_is_sent_only_to_who_wants_it(header, packed):
    assert accepts_gzip(header) is packed


async def test_a_strategy_s_id_that_cannot_be_one_is_a_bad_field_and_no_outage(desk):
    answer = await desk.call("GET", "/api/engines/E1/parameters?strategy_id=%00")
    assert (answer.status_code, (await answer.get_json())["field"]) == (422, "strategy_id")
