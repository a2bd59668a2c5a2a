"""JSON Schema (2020-12) of the message types, from the same annotations that check them.

What the schema of a class accepts is what the codec accepts, with two exceptions that JSON Schema cannot state: 5.0 is
an integer to it, and the bounds of a decimal in a string are not compared. Unknown fields are allowed, as everywhere.
"""

import types
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from wire.messages import TradeLog
from wire.rest.stops import StopRequest
from wire.schema import C
from wire.stops import IDENTIFIER, SYMBOL, Level, Scope
from wire.vocabulary import OrderRequest, OrderType

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DECIMAL = r"^-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,18})?$"
_SCOPE = f"^(all|(account|engine):{IDENTIFIER}|strategy:{IDENTIFIER}/{IDENTIFIER}|symbol:{SYMBOL})$"

_SIMPLE: Mapping[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time", "pattern": _TIME},
    date: {"type": "string", "format": "date", "pattern": _DAY},
    Decimal: {"type": "string", "pattern": _DECIMAL},
    Scope: {"type": "string", "pattern": _SCOPE, "description": Scope.__doc__},
    type(None): {"type": "null"},
    Any: {},
}

RULES: Mapping[type, Schema] = {
    TradeLog: {
        "if": {"properties": {"category": {"const": "Trade"}}},
        "then": {"required": ["reason"], "properties": {"reason": {"type": "string", "pattern": r"\S"}}},
    },
    OrderRequest: {
        "if": {"properties": {"order_type": {"const": OrderType.LIMIT.value}}},
        "then": {"required": ["price"], "properties": {"price": {"type": "integer"}}},
        "else": {"properties": {"price": {"type": "null"}}},
    },
    StopRequest: {"not": {"properties": {"level": {"const": Level.NORMAL.value}}, "required": ["level"]}},
}
"""Rules between the fields of a class, which its ``__attrs_post_init__`` checks."""


class Schemas:
    """Collects the definitions that schemas refer to. ``at``: where they will stand in the document.

    An answer carries every field, a message may leave out what has a default. A class that differs in this and is
    needed both ways gets a second name with ``Input`` or ``Answer`` at its end.
    """

    def __init__(self, at: str = "#/components/schemas/") -> None:
        self.definitions: dict[str, Schema] = {}
        self._at = at
        self._names: dict[tuple[type, bool], str] = {}

    def of(self, annotation: Any, *, answer: bool = False) -> Schema:
        """The schema of one type; classes become references."""
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._constrained(annotation, answer)
        if origin in (Union, types.UnionType):
            return self._union(get_args(annotation), answer)
        if origin is Literal:
            return {"enum": list(get_args(annotation))}
        if origin in (list, tuple):
            return {"type": "array", "items": self.of(get_args(annotation)[0], answer=answer)}
        if origin is dict:
            key, value = get_args(annotation)
            schema: Schema = {"type": "object", "additionalProperties": self.of(value, answer=answer)}
            if (names := self.of(key)) != _SIMPLE[str]:
                schema["propertyNames"] = names
            return schema
        if annotation in _SIMPLE:
            return dict(_SIMPLE[annotation])
        return self.named(self._define(annotation, answer))

    def named(self, name: str) -> Schema:
        return {"$ref": self._at + name}

    def _define(self, cls: type, answer: bool) -> str:
        """An enum or a message class."""
        if issubclass(cls, Enum) or not _may_leave_out(cls):
            answer = False
        known = self._names.get((cls, answer))
        if known is not None:
            return known
        name = cls.__name__
        if name in self.definitions:
            name += "Answer" if answer else "Input"
        self._names[cls, answer] = name
        self.definitions[name] = {}
        self.definitions[name] = self._values(cls) if issubclass(cls, Enum) else self.object(cls, answer=answer)
        return name

    def _values(self, cls: type[Enum]) -> Schema:
        return _described(cls, {"type": "string", "enum": [member.value for member in cls]})

    def object(self, cls: type, *, answer: bool = False) -> Schema:
        """The schema of a message class in place, not as a reference."""
        hints = get_type_hints(cls, include_extras=True)
        fields = [f for f in attrs.fields(cls) if f.init]
        required = [f.name for f in fields if answer or f.default is attrs.NOTHING]
        schema: Schema = {"type": "object", "properties": {}}
        for f in fields:
            schema["properties"][f.name] = self.of(hints[f.name], answer=answer)
            if not answer and isinstance(f.default, str | int | float | bool):
                schema["properties"][f.name]["default"] = f.default
            elif not answer and isinstance(f.default, Enum):
                schema["properties"][f.name]["default"] = f.default.value
        if required:
            schema["required"] = required
        return _described(cls, {**schema, **RULES.get(cls, {})})

    def _union(self, options: tuple[Any, ...], answer: bool) -> Schema:
        if set(options) == {int, float}:
            return {"type": "number"}
        return {"anyOf": [self.of(option, answer=answer) for option in options]}

    def _constrained(self, annotation: Any, answer: bool) -> Schema:
        schema = self.of(annotation.__origin__, answer=answer)
        for constraint in (m for m in annotation.__metadata__ if isinstance(m, C)):
            schema = {**schema, **_keywords(constraint, schema)}
        return schema


def _may_leave_out(cls: type, seen: frozenset[type] = frozenset()) -> bool:
    """Whether a message of this class, or of one inside it, may lack a field that an answer has."""
    fields = attrs.fields(cls)
    if any(f.default is not attrs.NOTHING for f in fields):
        return True
    parts = {part for hint in get_type_hints(cls).values() for part in _classes_in(hint)} - seen - {cls}
    return any(_may_leave_out(part, seen | {cls}) for part in parts)


def _classes_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and attrs.has(annotation) and annotation is not Scope:
        return [annotation]
    return [part for arg in get_args(annotation) for part in _classes_in(arg)]


def _described(cls: type, schema: Schema) -> Schema:
    if cls.__doc__ and not cls.__doc__.startswith("Method generated"):
        schema["description"] = " ".join(cls.__doc__.split())
    return schema


def _keywords(c: C, schema: Schema) -> Schema:
    kind = schema.get("type")
    lengths = {"array": ("minItems", "maxItems"), "object": ("minProperties", "maxProperties")}
    shortest, longest = lengths.get(kind if isinstance(kind, str) else "", ("minLength", "maxLength"))
    pairs: list[tuple[str, Any]] = [
        ("minimum", c.ge),
        ("exclusiveMinimum", c.gt),
        ("maximum", c.le),
        ("exclusiveMaximum", c.lt),
        (shortest, c.min_length),
        (longest, c.max_length),
        ("pattern", None if c.pattern is None else f"^(?:{c.pattern})$"),
        ("description", c.doc),
        ("x-unit", c.unit),
    ]
    if kind == "string":  # a decimal in a string
        pairs = [(name, value) for name, value in pairs if not name.endswith("imum")]
    if c.decimal_places is not None:
        pairs.append(("x-decimal-places", c.decimal_places))
    if c.secret:
        pairs.append(("format", "password"))
    return {name: value for name, value in pairs if value is not None}
