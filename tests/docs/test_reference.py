"""The documents for machines are those of the code, sound by the official schemas, and true of what the codec does."""

import gzip
import importlib.util
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from actors.web.routes import ROUTES
from actors.web.table import Caller
from wire.bundle import DIRECTIONS, VOCABULARY
from wire.closing import CloseCode
from wire.ui import Topic

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
SCHEMAS = Path(__file__).with_name("schemas")


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(name):
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


def test_the_committed_documents_are_those_of_the_code(reference):
    stale = [name for name, made in reference.OUTPUTS.items() if (ROOT / name).read_text(encoding="utf-8") != made()]
    assert stale == [], "run: make docs"


# --- sound --------------------------------------------------------------------------------------------------------


def test_openapi_is_sound():
    schema = json.loads((SCHEMAS / "openapi-3.1.json").read_text())
    Draft202012Validator(schema).validate(document("openapi.json"))


def test_asyncapi_is_sound():
    schema = json.loads(gzip.decompress((SCHEMAS / "asyncapi-3.1.0.json.gz").read_bytes()))
    Draft7Validator(schema).validate(document("asyncapi.json"))


def schemas_of(name):
    plain = document(name)
    return plain["$defs"] if name == "wire.schema.json" else plain["components"]["schemas"]


NAMES = ["wire.schema.json", "openapi.json", "asyncapi.json"]


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_one(name):
    for schema in schemas_of(name).values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_leads_somewhere_and_every_definition_is_used(name):
    plain = document(name)
    pointers = set(re.findall(r'"\$ref": "([^"]+)"', (REFERENCE / name).read_text(encoding="utf-8")))
    for pointer in pointers:
        place = plain
        for key in pointer.removeprefix("#/").split("/"):
            place = place[key.replace("~1", "/")]
    used = {pointer.rpartition("/")[2] for pointer in pointers}
    entries = {"EngineUp", "EngineDown", "UiUp", "UiDown"}
    items = {f"{topic.value.capitalize()}Item" for topic in Topic}
    words = {cls.__name__ for cls in VOCABULARY}
    assert set(schemas_of(name)) - used - entries - items - words == set()


# --- complete -----------------------------------------------------------------------------------------------------


def operations():
    for path, methods in document("openapi.json")["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


CHANGE_NOTHING = ("/api/auth/step-up", "/api/settings/validate", "/api/stops/preview")


def by_person(route):
    return route.caller is Caller.PERSON and route.method != "GET"


def test_openapi_has_every_route_and_every_parameter():
    told = {(method, path): operation for method, path, operation in operations()}
    assert set(told) == {(r.method, r.path.replace("<", "{").replace(">", "}")) for r in ROUTES}
    for route in ROUTES:
        operation = told[route.method, route.path.replace("<", "{").replace(">", "}")]
        named = {(p["in"], p["name"]): p for p in operation.get("parameters", [])}
        assert {n for place, n in named if place == "path"} == set(route.parameters)
        assert {n for place, n in named if place == "query"} == {q.name for q in route.query}
        assert (("header", "If-Match") in named) is route.if_match
        assert (("header", "Prefer") in named) is (202 in route.other)
        assert (("header", "Idempotency-Key") in named) is (route.path not in CHANGE_NOTHING and by_person(route))
        assert ("requestBody" in operation) is (route.body is not None)


def test_every_error_of_openapi_has_the_error_body():
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/readyz", "503"):
                body = response["content"]["application/json"]["schema"]
                assert body == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)


def test_every_operation_says_who_may_call_it():
    document_ = document("openapi.json")
    for route in ROUTES:
        path = route.path.replace("<", "{").replace(">", "}")
        operation = document_["paths"][path][route.method.lower()]
        schemes = {name for requirement in operation["security"] for name in requirement}
        assert schemes <= set(document_["components"]["securitySchemes"])
        if route.caller is not Caller.ANYONE:
            assert schemes == {route.caller.value}
            assert {"401", "403"} <= set(operation["responses"])


def test_asyncapi_has_every_message_in_its_direction_and_lane():
    plain = document("asyncapi.json")
    told = {
        (operation["action"], ref["$ref"].split("/")[2], ref["$ref"].rpartition("/")[2])
        for operation in plain["operations"].values()
        for ref in operation["messages"]
    }
    channels = {"engine": "engineLink", "ui": "uiLink"}
    assert told == {
        ("receive" if direction.endswith("Up") else "send", channels[link], kind)
        for direction, (link, table) in DIRECTIONS.items()
        for kind in table
    }
    codes = plain["channels"]["engineLink"]["x-close-codes"]
    assert {int(code) for code in codes} == set(CloseCode)
    assert set(plain["channels"]["uiLink"]["x-topics"]) == {topic.value for topic in Topic}
