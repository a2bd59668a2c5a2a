"""openapi.json: generated from the route table and the message types, so it cannot say anything else than the code."""

import json
import re
from importlib.metadata import PackageNotFoundError, version
from typing import get_args, get_origin

from actors.web.schemas import Schema, Schemas
from actors.web.table import Answer, Call, Caller, Query, Route, Text
from wire.rest import ErrorBody
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
        "info": {
            "title": "Watchkeeper",
            "version": _version(),
            "description": "The control room for trading engines. Times are RFC 3339 in UTC, money is whole won.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.definitions.items())),
            "securitySchemes": {
                "person": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "engine": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def _version() -> str:
    try:
        return version("watchkeeper")
    except PackageNotFoundError:
        return "0"


def _operation(route: Route, schemas: Schemas, error: Schema) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.doc,
        "responses": {
            str(route.status): _success(route, schemas),
            **{str(status): _failure(status, error) for status in _failures(route)},
        },
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        schema = schemas.of(route.body)
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": not route.optional_body, "content": content}
    if route.caller is Caller.ANYONE:
        operation["security"] = []
    else:
        operation["security"] = [{route.caller.value: []}]
        if route.caller is Caller.PERSON:
            operation["x-role"] = route.role.value
    return operation


def _parameters(route: Route) -> list[Schema]:
    text: Schema = {"type": "string"}
    found = [
        {"name": name, "in": "path", "required": True, "schema": {**text, "pattern": f"^{IDENTIFIER}$"}}
        for name in route.parameters
    ]
    found += [_query(query) for query in route.query]
    headers = []
    if route.if_match:
        headers.append(("If-Match", True, "the version this change is based on"))
    if route.method in ("POST", "PATCH", "DELETE") and route.caller is Caller.PERSON:
        headers.append(("Idempotency-Key", False, "the same key gets the same answer for 24 hours"))
    if route.grace:
        headers.append(("Prefer", False, "respond-async: answer as soon as the stop is kept"))
    for name, required, doc in headers:
        found.append({"name": name, "in": "header", "required": required, "description": doc, "schema": text})
    return found


def _query(query: Query) -> Schema:
    schema: Schema = {"type": "integer", "minimum": 0} if query.integer else {"type": "string"}
    return {"name": query.name, "in": "query", "required": False, "description": query.doc, "schema": schema}


def _success(route: Route, schemas: Schemas) -> Schema:
    if route.answer is None:
        return {"description": "done"}
    if route.answer is str:
        return {"description": "done", "content": {"text/plain": {"schema": {"type": "string"}}}}
    schema = schemas.of(route.answer, answer=True) if route.answer is not dict else {"type": "object"}
    if get_origin(route.answer) is list and route.path not in ARRAYS:
        item = schemas.of(get_args(route.answer)[0], answer=True)
        schema = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": item},
                "next": {"type": ["string", "null"], "description": "the cursor to go on from"},
            },
        }
    content: Schema = {"application/json": {"schema": schema}}
    if route.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"description": "done", "content": content}


ARRAYS = frozenset({"/api/engines/status", "/api/health/engines"})
"""The two lists that are plain arrays; every other one is a page."""


def _failures(route: Route) -> list[int]:
    statuses = {500}
    if route.caller is not Caller.ANYONE:
        statuses |= {401, 403}
    if route.parameters:
        statuses.add(404)
    if route.body is not None:
        statuses |= {413, 422} if route.lenient else {400, 413, 415, 422}
    if route.query or route.if_match:
        statuses.add(422)
    if route.if_match:
        statuses |= {409, 412, 428}
    if route.remember:
        statuses |= {409, 422}
    if route.path.startswith("/api/auth"):
        statuses |= {401, 429}
    if route.path == "/api/settings/validate":
        statuses.add(429)
    if route.lenient:
        statuses |= {404}
    elif route.path.startswith("/api/") and route.path != "/api/system/tree":
        statuses.add(503)
    return sorted(statuses)


def _failure(status: int, error: Schema) -> Schema:
    return {"description": REASONS[status], "content": {"application/json": {"schema": error}}}


def document_route(routes: tuple[Route, ...]) -> Route:
    """The row that serves the document of ``routes`` and of itself. It is made when first asked for."""
    made: list[str] = []

    async def document(_: Call) -> Answer:
        if not made:
            made.append(json.dumps(openapi((*routes, row)), ensure_ascii=False, indent=1))
        return Answer(value=Text(content=made[0], mime="application/json"))

    row = Route(
        method="GET",
        path="/openapi.json",
        handler=document,
        doc="This document.",
        caller=Caller.ANYONE,
        answer=dict,
    )
    return row
