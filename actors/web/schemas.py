"""JSON Schema (2020-12) of the message types, from the same annotations that check them."""

import types
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs

from wire.schema import C
from wire.stops import Scope

Schema = dict[str, Any]


class Schemas:
    """Collects the definitions that schemas refer to. ``all_required``: an answer carries every field."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[tuple[type, bool], str] = {}

    def of(self, annotation: Any, *, answer: bool = False) -> Schema:
        """The schema of one type; classes become references."""
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._constrained(annotation, answer)
        if origin in (Union, types.UnionType):
            return self._union(get_args(annotation), answer)
        if origin in (list, tuple):
            return {"type": "array", "items": self.of(get_args(annotation)[0], answer=answer)}
        if origin is dict:
            key, value = get_args(annotation)
            schema: Schema = {"type": "object", "additionalProperties": self.of(value, answer=answer)}
            if (pattern := self.of(key).get("pattern")) is not None:
                schema["propertyNames"] = {"pattern": pattern}
            return schema
        return self._plain(annotation, answer)

    def _plain(self, cls: Any, answer: bool) -> Schema:
        simple: Mapping[Any, Schema] = {
            bool: {"type": "boolean"},
            int: {"type": "integer"},
            float: {"type": "number"},
            str: {"type": "string"},
            datetime: {"type": "string", "format": "date-time"},
            date: {"type": "string", "format": "date"},
            Decimal: {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
            Scope: {"type": "string", "description": Scope.__doc__},
            type(None): {"type": "null"},
            Any: {},
        }
        if cls in simple:
            return dict(simple[cls])
        if isinstance(cls, type) and issubclass(cls, Enum):
            return {"type": "string", "enum": [member.value for member in cls]}
        return {"$ref": f"#/components/schemas/{self._define(cls, answer)}"}

    def _define(self, cls: type, answer: bool) -> str:
        known = self._names.get((cls, answer))
        if known is not None:
            return known
        name = (
            cls.__name__ if cls.__name__ not in self.definitions else f"{cls.__name__}{'Answer' if answer else 'Input'}"
        )
        self._names[cls, answer] = name
        self.definitions[name] = {}
        self.definitions[name] = self._object(cls, answer)
        return name

    def _object(self, cls: type, answer: bool) -> Schema:
        hints = get_type_hints(cls, include_extras=True)
        fields = [f for f in attrs.fields(cls) if f.init]
        required = [f.name for f in fields if answer or f.default is attrs.NOTHING]
        schema: Schema = {
            "type": "object",
            "properties": {f.name: self.of(hints[f.name], answer=answer) for f in fields},
        }
        if required:
            schema["required"] = required
        if cls.__doc__ and not cls.__doc__.startswith("Method generated"):
            schema["description"] = " ".join(cls.__doc__.split())
        return schema

    def _union(self, options: tuple[Any, ...], answer: bool) -> Schema:
        if set(options) == {int, float}:
            return {"type": "number"}
        return {"anyOf": [self.of(option, answer=answer) for option in options]}

    def _constrained(self, annotation: Any, answer: bool) -> Schema:
        schema = self.of(annotation.__origin__, answer=answer)
        for constraint in (m for m in annotation.__metadata__ if isinstance(m, C)):
            schema = {**schema, **_keywords(constraint, schema)}
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
    if kind == "string":  # bounds of a decimal in a string are checked, but JSON Schema cannot say them
        pairs = [(name, value) for name, value in pairs if not name.endswith("imum")]
    if c.secret:
        pairs.append(("format", "password"))
    return {name: value for name, value in pairs if value is not None}
