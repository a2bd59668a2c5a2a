"""TypeScript of what the dashboard reads and writes, from the same definitions as everything else.

Two modules: ``enums`` with a constant list and a type of one name for each enum, which the bundle contains; ``types``
with the shapes, of which no byte reaches the bundle. Bounds are checked where messages are made.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from actors.web.table import Route
from wire.bundle import frame_name, frame_schema
from wire.items import ITEMS
from wire.jsonschema import Schema, Schemas
from wire.phrases import KINDS, KOREAN, TERMS
from wire.rest.access import ErrorBody
from wire.ui import UI_DOWN, UI_UP

HEAD = "/** Made from the platform's message classes by `make docs`; do not edit. Times: RFC 3339, money: won. */\n"
_WORDS = re.compile(r"\^\(\?:([A-Za-z0-9_]+(?:\|[A-Za-z0-9_]+)+)\)\$")
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def enums(routes: tuple[Route, ...]) -> str:
    found = _schemas(routes).definitions
    return "\n".join([HEAD, *(_enum(name, found[name]) for name in sorted(found) if "enum" in found[name])])


def shapes(routes: tuple[Route, ...]) -> str:
    """Answers and items with all their fields, requests and frames as they may be sent."""
    found = _schemas(routes).definitions
    lists = sorted(name for name in found if "enum" in found[name])
    parts = [HEAD, f'import type {{ {", ".join(lists)} }} from "./enums";\n']
    parts += [_definition(name, found[name]) for name in sorted(found) if name not in lists]
    for direction, table in UI:
        parts.append(f"export type {direction} = {' | '.join(frame_name('ui', kind) for kind in table)};\n")
    return "\n".join([*parts, *_items()])


UI: tuple[tuple[str, Mapping[str, type]], ...] = (("UiUp", UI_UP), ("UiDown", UI_DOWN))


def phrases() -> str:
    """The book of sentences, for a page that says them in Korean."""
    tables = (("KOREAN", KOREAN), ("TERMS", TERMS), ("KINDS", KINDS))
    made = "/** Made from `wire/phrases.py` by `make docs`; do not edit. */\n"
    for name, table in tables:
        rows = "\n".join(f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}," for k, v in table.items())
        made += f"export const {name}: Readonly<Record<string, string>> = {{\n{rows}\n}};\n"
    return made


def _schemas(routes: tuple[Route, ...]) -> Schemas:
    schemas = Schemas(at="#/")
    schemas.of(ErrorBody)
    for item in ITEMS.values():
        schemas.of(item.cls, answer=True)
        if item.or_else is not None:
            schemas.of(item.or_else, answer=True)
    for route in routes:
        for what in (route.answer, *route.other.values()):
            for cls in get_args(what) if get_origin(what) is list else (what,):
                if cls not in (None, str, dict):
                    schemas.of(cls, answer=True)
    for route in routes:
        if route.body is not None:
            schemas.of(route.body)
    for direction, table in UI:
        for kind, cls in table.items():
            schemas.definitions[frame_name("ui", kind)] = frame_schema(schemas, direction, kind, cls)
    return schemas


def _items() -> Iterator[str]:
    """What each topic carries."""
    yield "export interface TopicItems {"
    for topic, item in ITEMS.items():
        of = " | ".join(_item_name(cls) for cls in (item.cls, item.or_else) if cls is not None)
        owner = "{ engine_id: string }"
        yield f"  {topic.value}: " + (f"({of}) & {owner};" if item.of_engine else f"{of};")
    yield "}\n"


def _item_name(cls: type) -> str:
    return cls.__name__


def _enum(name: str, schema: Schema) -> str:
    values = ", ".join(json.dumps(value) for value in schema["enum"])
    constant = f"export const {name} = [{values}] as const;\nexport type {name} = (typeof {name})[number];\n"
    return _doc(schema, "") + constant


def _definition(name: str, schema: Schema) -> str:
    doc = _doc(schema, "")
    if schema.get("type") == "object" and "properties" in schema:
        return f"{doc}export interface {name} {_body(schema, '')}\n"
    return f"{doc}export type {name} = {_type(schema)};\n"


def _doc(schema: Mapping[str, Any], indent: str) -> str:
    words = schema.get("description")
    return f"{indent}/** {words.replace('``', '`').replace('*/', '* /')} */\n" if words else ""


def _body(schema: Schema, indent: str) -> str:
    required = schema.get("required", [])
    lines = [
        f"{indent}  {name}{'' if name in required else '?'}: {_type(field)};"
        for name, field in schema["properties"].items()
    ]
    return "\n".join(["{", *lines, indent + "}"])


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    kind = schema.get("type")
    if kind == "array":
        inner = _type(schema["items"])
        return f"({inner})[]" if " " in inner else f"{inner}[]"
    if kind == "object":
        return f"Record<string, {_type(schema.get('additionalProperties', {}))}>"
    if kind == "string" and (words := _WORDS.fullmatch(schema.get("pattern", ""))):
        return " | ".join(json.dumps(word) for word in words[1].split("|"))
    return _PLAIN.get(str(kind), "unknown")
