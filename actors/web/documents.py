"""openapi.json and asyncapi.json, made from the route table and the message types: they say what the code does."""

import json
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_origin

from actors.web.names import COOKIE
from actors.web.table import Answer, Call, Caller, Query, Route, Text
from wire.asyncapi import asyncapi
from wire.jsonschema import Schema, Schemas
from wire.rest.access import ErrorBody
from wire.stops import IDENTIFIER

REASONS = {
    400: "not the JSON that is asked for",
    401: "no valid token",
    403: "the role or the proof is missing",
    404: "there is no such thing",
    405: "not with this method",
    409: "it conflicts with what is",
    412: "the version is not the stored one",
    413: "the body is too large",
    415: "the body is not JSON",
    422: "a field is missing or out of its range",
    428: "If-Match is missing",
    429: "too often",
    500: "a defect of the platform",
    503: "a part is away; try again",
}


HEADERS: dict[str, Schema] = {
    "ETag": {"description": "the version that is stored now", "schema": {"type": "string"}},
    "Location": {"description": "where the stop can be watched", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "respond-async, if that was preferred", "schema": {"type": "string"}},
    "Set-Cookie": {"description": "the refresh token: HttpOnly, SameSite=Strict", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "true: this is the answer that the key got before",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {"description": "seconds until it may be tried again", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "which kind of token is needed", "schema": {"type": "string"}},
}
ERROR_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

DESCRIPTION = """The control room for trading engines. Times are RFC 3339 in UTC, money is whole won.

Every error has the body ErrorBody. A path that is not here answers 404, a method that is not here 405, and an
address of the links without an upgrade 426. Unknown fields of a request are ignored."""


def openapi(routes: tuple[Route, ...]) -> Schema:
    """The whole document as plain values."""
    schemas = Schemas()
    error = schemas.of(ErrorBody)
    paths: dict[str, Schema] = {}
    for route in routes:
        path = re.sub(r"<([a-z_]+)>", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas, error)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Watchkeeper", "version": program_version(), "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.definitions.items())),
            "headers": HEADERS,
            "securitySchemes": {
                "person": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "engine": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": f"The refresh token; under TLS its name is __Host-{COOKIE}.",
                },
            },
        },
    }


def program_version() -> str:
    try:
        return version("watchkeeper")
    except PackageNotFoundError:
        return "0"


def _operation(route: Route, schemas: Schemas, error: Schema) -> Schema:
    carried = {route.status: route.answer, **route.other}
    responses = {str(status): _success(route, schemas, what) for status, what in carried.items()}
    responses |= {str(status): _failure(status, error) for status in failures(route) if status not in carried}
    operation: Schema = {
        "operationId": route.name,
        "summary": route.doc,
        "tags": [_tag(route)],
        "security": _security(route),
        "responses": dict(sorted(responses.items())),
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schemas.of(route.body)}}
        operation["requestBody"] = {"required": not route.optional_body, "content": content}
    if route.caller is Caller.PERSON:
        operation["x-role"] = route.role.value
    return operation


def _tag(route: Route) -> str:
    parts = route.path.strip("/").split("/")
    return parts[1] if parts[0] == "api" else "platform"


def _security(route: Route) -> list[Schema]:
    if route.cookie:
        return [{"session": []}]
    if route.caller is Caller.ANYONE:
        return [{}, {"person": []}] if 401 in route.refusals and route.body is None else []
    return [{route.caller.value: []}]


def _parameters(route: Route) -> list[Schema]:
    text: Schema = {"type": "string"}
    found = [
        {"name": name, "in": "path", "required": True, "schema": {**text, "pattern": f"^{IDENTIFIER}$"}}
        for name in route.parameters
    ]
    found += [_query(query) for query in route.query]
    headers: list[tuple[str, bool, str, Schema]] = []
    if route.if_match:
        headers.append(("If-Match", True, "the version this change is based on", text))
    if takes_key(route):
        key = {**text, "pattern": r"^[\x21-\x7e]{1,64}$"}
        headers.append(("Idempotency-Key", False, "the same key gets the same answer for 24 hours", key))
    if 202 in route.other:
        headers.append(("Prefer", False, "respond-async: answer as soon as the stop is kept", text))
    for name, required, doc, schema in headers:
        found.append({"name": name, "in": "header", "required": required, "description": doc, "schema": schema})
    return found


def takes_key(route: Route) -> bool:
    """Whether repeating the request under the same Idempotency-Key changes nothing: it does for every change.

    What is remembered by the database, or has a request_id of its own that the key stands for.
    """
    return route.remember or (route.method != "GET" and (route.if_match or route.grace))


def _query(query: Query) -> Schema:
    schema: Schema = {"type": "integer", "minimum": 0} if query.integer else {"type": "string"}
    if query.choices:
        schema["enum"] = list(query.choices)
    doc = query.doc
    return {"name": query.name, "in": "query", "required": query.required, "description": doc, "schema": schema}


def _success(route: Route, schemas: Schemas, what: Any) -> Schema:
    response: Schema = {"description": "done"}
    names = [*route.sets, *(["Idempotency-Replayed"] if route.remember else [])]
    if names:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if what is not None:
        response["content"] = _content(route, schemas, what)
    return response


def _content(route: Route, schemas: Schemas, what: Any) -> Schema:
    if what is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    schema = schemas.of(what, answer=True) if what is not dict else {"type": "object"}
    if get_origin(what) is list and route.path not in ARRAYS:
        schema = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": schema,
                "next": {"type": ["string", "null"], "description": "the cursor to go on from"},
            },
        }
    content: Schema = {"application/json": {"schema": schema}}
    if route.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    for media in route.media:
        content[media] = {"schema": {"type": "string"}}
    return content


ARRAYS = frozenset({"/api/engines/status", "/api/health/engines"})
"""The two lists that are plain arrays; every other one is a page."""


def failures(route: Route) -> list[int]:
    """The statuses with which a route may answer no."""
    statuses = {500, *route.refusals}
    if route.caller is not Caller.ANYONE or route.cookie:
        statuses |= {401, 403}
    if route.parameters or route.lenient:
        statuses.add(404)
    if route.body is not None:
        statuses |= {413, 422} if route.lenient else {400, 413, 415, 422}
    if route.method != "GET":
        statuses.add(413)
    if route.query or route.if_match:
        statuses.add(422)
    if route.if_match:
        statuses |= {409, 412, 428}
    if route.remember:
        statuses |= {409, 412, 422}
    if route.path.startswith("/api/") and not route.lenient and route.path != "/api/system/tree":
        statuses.add(503)
    return sorted(statuses)


def _failure(status: int, error: Schema) -> Schema:
    response: Schema = {"description": REASONS[status], "content": {"application/json": {"schema": error}}}
    if names := ERROR_HEADERS.get(status):
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return response


def openapi_route(routes: tuple[Route, ...]) -> Route:
    """The row that serves the document of ``routes`` and of itself."""
    return _document("/openapi.json", "This document.", lambda row: openapi((*routes, row)))


def asyncapi_route() -> Route:
    """The row that serves the document of the links."""
    return _document("/asyncapi.json", "The links of engines and dashboards.", lambda _: asyncapi(program_version()))


def _document(path: str, doc: str, make: Callable[[Route], Schema]) -> Route:
    """A document for anyone, made when first asked for."""
    made: list[str] = []

    async def document(_: Call) -> Answer:
        if not made:
            made.append(text_of(make(row)))
        return Answer(value=Text(content=made[0], mime="application/json"))

    row = Route(method="GET", path=path, handler=document, doc=doc, caller=Caller.ANYONE, answer=dict)
    return row


def text_of(document: Schema) -> str:
    """As it is served, and as it is committed."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
