"""Hypothesis strategies derived from the message classes themselves, so a new field is tested without a new line."""

import types
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import reject
from hypothesis import strategies as st

from wire.errors import InvalidField
from wire.schema import C
from wire.stops import SYMBOL, Scope, ScopeKind

IDENTIFIERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", fullmatch=True, alphabet=st.characters(codec="ascii"))
TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
SCOPES = st.one_of(
    st.just(Scope.everything()),
    st.builds(Scope, st.sampled_from([ScopeKind.ACCOUNT, ScopeKind.ENGINE]), IDENTIFIERS),
    st.builds(Scope, st.just(ScopeKind.SYMBOL), st.from_regex(SYMBOL, fullmatch=True)),
    st.builds(Scope, st.just(ScopeKind.STRATEGY), IDENTIFIERS, IDENTIFIERS),
)
SIMPLE = {bool: st.booleans(), datetime: TIMES, date: st.dates(), Scope: SCOPES, type(None): st.none()}


@cache
def strategy_for(annotation: Any) -> st.SearchStrategy[Any]:
    """Valid values of an annotation as it stands in a message class."""
    constraints = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, C)]
    bare = annotation.__origin__ if get_origin(annotation) is Annotated else annotation
    constraint = constraints[-1] if constraints else C()
    if bare in SIMPLE:
        return SIMPLE[bare]
    if bare in (int, float, Decimal):
        return number(bare, constraint)
    if bare is str:
        return text(constraint)
    return compound(bare, constraint)


def number(kind: type, c: C) -> st.SearchStrategy[Any]:
    low, high = (c.ge if c.ge is not None else c.gt), (c.le if c.le is not None else c.lt)
    if kind is int:
        low = -(2**63) + 1 if low is None else int(low) + (c.gt is not None)
        return st.integers(low, 2**63 - 1 if high is None else int(high) - (c.lt is not None))
    if kind is Decimal:
        return st.decimals(low, high or 10**12, places=c.decimal_places, allow_nan=False, allow_infinity=False)
    return st.floats(
        low, high, exclude_min=c.gt is not None, exclude_max=c.lt is not None, allow_nan=False, allow_infinity=False
    )


def text(c: C) -> st.SearchStrategy[str]:
    if c.pattern is not None:
        return st.from_regex(c.pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
    return st.text(TEXT, min_size=c.min_length or 0, max_size=min(c.max_length or 20, 20))


def compound(bare: Any, c: C) -> st.SearchStrategy[Any]:
    origin, args = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        return st.one_of(*(strategy_for(a) for a in args))
    if origin in (list, tuple):
        items = st.lists(strategy_for(args[0]), min_size=c.min_length or 0, max_size=4)
        return items.map(tuple) if origin is tuple else items
    if origin is dict:
        return st.dictionaries(strategy_for(args[0]), strategy_for(args[1]), max_size=4)
    if origin is Literal:
        return st.sampled_from(args)
    if bare is Any:
        return st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(TEXT, max_size=5)
    if issubclass(bare, Enum):
        return st.sampled_from(list(bare))
    return messages_of(bare)


@st.composite
def messages_of(draw: st.DrawFn, cls: type) -> Any:
    arguments = {}
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING or draw(st.booleans()):
            arguments[field.name] = draw(strategy_for(field.type))
    try:
        return cls(**arguments)
    except InvalidField:
        reject()  # a rule between fields, such as the reason of a Trade


@pytest.fixture(scope="session")
def strategy() -> Callable[[Any], st.SearchStrategy[Any]]:
    return strategy_for
