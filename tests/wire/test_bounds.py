"""Every bound of every message, one step outside it: refused, and by the name of the field. And what the published
schema says of a value is what the codec does with it."""

import math
import types
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.wire.every_message import MESSAGES
from wire.codec import structure, unstructure
from wire.errors import InvalidField
from wire.jsonschema import Schemas
from wire.schema import C

few = settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], database=None)
some = settings(few, max_examples=12)


def constrained(annotation):
    """The constraint and the bare type of what is constrained first in an annotation, looking through ``| None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        found = [constrained(option) for option in get_args(annotation) if option is not type(None)]
        return found[0] if len(found) == 1 else None
    if get_origin(annotation) is not Annotated:
        return None
    constraints = [m for m in annotation.__metadata__ if isinstance(m, C)]
    return (constraints[-1], annotation.__origin__) if constraints else None


def beside(kind, bound, way):
    """The nearest number to ``bound`` that lies in the direction ``way``."""
    return int(bound) + way if kind is int else math.nextafter(bound, way * math.inf)


def outside(c, kind):
    """Plain values that are just not allowed."""
    if kind in (int, float):
        yield from (beside(kind, c.ge, -1) for _ in [0] if c.ge is not None)
        yield from (beside(kind, c.le, 1) for _ in [0] if c.le is not None)
        yield from (kind(bound) for bound in (c.gt, c.lt) if bound is not None)
    if kind is Decimal:
        yield from (str(c.ge - 1) for _ in [0] if c.ge is not None)
        yield from ("1." + "1" * (c.decimal_places + 1) for _ in [0] if c.decimal_places is not None)
    if kind is str:
        yield from ("x" * (c.max_length + 1) for _ in [0] if c.max_length is not None)
        yield from ("" for _ in [0] if c.min_length)
        yield from (" \n", "") if c.pattern is not None and c.pattern != "" else ()
    if get_origin(kind) is dict and c.min_length:
        yield {}


def bounds_of(cls):
    """Field, constraint and type of every field that has one."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if (found := constrained(hint)) is not None:
            yield name, *found


BOUNDED = [cls for cls in MESSAGES if any(list(outside(c, kind)) for _, c, kind in bounds_of(cls))]


def test_there_are_many_bounds():
    assert sum(len(list(outside(c, kind))) for cls in BOUNDED for _, c, kind in bounds_of(cls)) > 400


@pytest.mark.parametrize("cls", BOUNDED, ids=lambda c: c.__name__)
@few
@given(data=st.data())
def test_a_value_just_outside_a_bound_is_refused_by_the_name_of_its_field(cls, strategy, data):
    plain = unstructure(data.draw(strategy(cls)), nulls=True)
    for name, c, kind in bounds_of(cls):
        values = list(outside(c, kind))
        if get_origin(kind) is list and c.max_length is not None:
            item = data.draw(strategy(get_args(kind)[0]))
            values.append([unstructure(item, nulls=True)] * (c.max_length + 1))
        for value in values:
            with pytest.raises(InvalidField) as caught:
                structure({**plain, name: value}, cls)
            assert caught.value.field == name


# --- the published schema ------------------------------------------------------------------------------------------


@cache
def checker(cls: type) -> Any:
    schemas = Schemas(at="#/$defs/")
    schema = schemas.of(cls)
    return Draft202012Validator({**schema, "$defs": schemas.definitions})


WRONG = [None, True, 1, -1, 5.5, "x", "", [], {}, [None], "NaN", "\x1b[31m", {"type": {}}, "active", "all", 10**16]


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda c: c.__name__)
@some
@given(data=st.data())
def test_the_schema_accepts_what_the_codec_accepts_and_nothing_else(cls, strategy, data):
    """But for what JSON Schema cannot say: bounds of decimals in strings, and numbers beyond 64 bits."""
    plain = unstructure(data.draw(strategy(cls)), nulls=data.draw(st.booleans()))
    assert checker(cls).is_valid(plain)
    if not plain:
        return
    name = data.draw(st.sampled_from(sorted(plain)))
    broken = {**plain, name: data.draw(st.sampled_from(WRONG))}
    if data.draw(st.booleans()):
        del broken[name]
    try:
        structure(broken, cls)
    except InvalidField:
        assert not checker(cls).is_valid(broken)
    else:
        assert checker(cls).is_valid(broken)


def test_enums_and_literals_are_closed():
    for cls in MESSAGES:
        for hint in get_type_hints(cls).values():
            if isinstance(hint, type) and issubclass(hint, Enum):
                schema = checker_of(hint)
                assert schema["enum"] == [member.value for member in hint]


def checker_of(enum: type) -> dict[str, Any]:
    schemas = Schemas(at="#/$defs/")
    schemas.of(enum)
    return schemas.definitions[enum.__name__]
