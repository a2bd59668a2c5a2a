"""One definition of everything that crosses a boundary.

``@message`` makes a frozen, slotted, keyword-only attrs class whose fields carry their constraints in the annotation::

    @message
    class Fill:
        quantity: Annotated[int, C(ge=1)]
        reason: Annotated[str, C(max_length=500)] | None = None

The constraints are checked when an object is made, so a message that exists is valid, wherever it came from. Types
themselves are mypy's business inside and the codec's at the border.
"""

import operator
import re
import types
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from math import inf, isfinite
from typing import Annotated, Any, TypeVar, Union, cast, dataclass_transform, get_args, get_origin

import attrs

from wire.errors import InvalidField

T = TypeVar("T")


def plain_number(value: float) -> str:
    """For people: no exponent where none is needed, and every digit of an integer."""
    return str(int(value)) if value == int(value) else str(value)


@attrs.frozen(kw_only=True)
class C:
    """A constraint on one field. Bounds are inclusive unless ``gt``/``lt``; ``pattern`` must match the whole text."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    decimal_places: int | None = None
    secret: bool = False
    unit: str | None = None
    doc: str | None = None

    def check(self, value: Any) -> None:
        """Raises InvalidField without naming the value. ``_checker`` has shorter ways for the common cases."""
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            self._check_number(value)
        if isinstance(value, str | list | dict | tuple):
            self._check_length(len(value))
        if self.pattern is not None and isinstance(value, str) and not re.fullmatch(self.pattern, value):
            raise InvalidField(f"must match {self.pattern}")

    def _check_number(self, value: int | float | Decimal) -> None:
        if not isfinite(value):
            raise InvalidField("must be a finite number")
        for bound, holds, words in (
            (self.ge, operator.ge, "at least"),
            (self.gt, operator.gt, "more than"),
            (self.le, operator.le, "at most"),
            (self.lt, operator.lt, "less than"),
        ):
            if bound is not None and not holds(value, bound):
                raise InvalidField(f"must be {words} {plain_number(bound)}")
        if self.decimal_places is not None and isinstance(value, Decimal):
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int) or -exponent > self.decimal_places:
                raise InvalidField(f"must have at most {self.decimal_places} decimal places")

    def _check_length(self, length: int) -> None:
        if self.min_length is not None and length < self.min_length:
            raise InvalidField("must not be empty" if self.min_length == 1 else f"must have at least {self.min_length}")
        if self.max_length is not None and length > self.max_length:
            raise InvalidField(f"must have at most {self.max_length}")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def message(cls: type[T]) -> type[T]:
    """Makes ``cls`` a frozen, slotted, keyword-only attrs class that checks its constraints when made."""
    return attrs.frozen(kw_only=True, field_transformer=_constrain)(cls)


def changed(value: T, **changes: Any) -> T:
    """A copy of a message with other values in some fields, checked like any new one."""
    result: T = attrs.evolve(cast("Any", value), **changes)
    return result


def is_secret(field_type: Any) -> bool:
    """True when the annotation marks the field as secret anywhere."""
    return any(c.secret for c in _constraints_in(field_type))


def bare(annotation: Any) -> Any:
    """The annotation without its constraints."""
    return annotation.__origin__ if get_origin(annotation) is Annotated else annotation


def key_path(key: object) -> str:
    """How a key of an object is named in a field path: hostile keys do not get into logs and answers."""
    return key if isinstance(key, str) and _HARMLESS_KEY.fullmatch(key) else "(key)"


_HARMLESS_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _constraints_in(annotation: Any) -> Iterator[C]:
    if get_origin(annotation) is Annotated:
        yield from (m for m in annotation.__metadata__ if isinstance(m, C))
    for arg in get_args(annotation):
        yield from _constraints_in(arg)


def _constrain(cls: type, fields: "list[attrs.Attribute[Any]]") -> "list[attrs.Attribute[Any]]":
    out = []
    for field in fields:
        checker = _checker(field.type)
        changes: dict[str, Any] = {}
        if checker is not None:
            mine = Validator(checker)
            changes["validator"] = mine if field.validator is None else attrs.validators.and_(field.validator, mine)
        if is_secret(field.type):
            changes["repr"] = False
        out.append(field.evolve(**changes) if changes else field)
    return out


Checker = Callable[[Any], None]


@attrs.frozen
class Validator:
    """What the annotation of a field demands of its values, beyond their type."""

    checker: Checker

    def __call__(self, _instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        try:
            self.checker(value)
        except InvalidField as error:
            raise error.within(attribute.name) from None


def _checker(annotation: Any, *, alone: bool = True) -> Checker | None:
    """What must hold for a value of ``annotation``, or None when its type says everything.

    ``alone``: every value is of this type; otherwise it may be of another option of a union, which is left in peace.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        constraints = [m for m in annotation.__metadata__ if isinstance(m, C)]
        inner = _checker(annotation.__origin__)
        own = [_check_of(annotation.__origin__, c) if alone else c.check for c in constraints]
        return _all([*([inner] if inner else []), *own])
    if origin in (Union, types.UnionType):
        types_of = [a for a in get_args(annotation) if a is not type(None)]
        options = [c for a in types_of if (c := _checker(a, alone=len(types_of) == 1))]
        return _unless_none(_all(options)) if options else None
    if origin in (list, tuple):
        item = _checker(get_args(annotation)[0])
        return _each(item) if item else None
    if origin is dict:
        key, item = (_checker(a) for a in get_args(annotation))
        return _each_entry(key, item) if key or item else None
    if annotation is float:
        return C().check
    if annotation is datetime:
        return _aware
    return None


def _check_of(kind: Any, c: C) -> Checker:
    """What ``c.check`` does for values of this type, without asking again and again what does not apply to it."""
    if kind is str and c.pattern is not None and c.min_length is None and c.max_length is None:
        return _matches(re.compile(c.pattern).fullmatch, c.pattern)
    if kind is str and c.pattern is None:
        return _has_length(c)
    if kind is int:
        return _lies_between(c)
    return c.check


def _matches(fullmatch: Callable[[str], object], pattern: str) -> Checker:
    def check(value: Any) -> None:
        if not fullmatch(value):
            raise InvalidField(f"must match {pattern}")

    return check


def _has_length(c: C) -> Checker:
    shortest, longest = c.min_length or 0, inf if c.max_length is None else c.max_length

    def check(value: Any) -> None:
        if not shortest <= len(value) <= longest:
            c.check(value)

    return check


def _lies_between(c: C) -> Checker:
    low, high = -inf if c.ge is None else c.ge, inf if c.le is None else c.le
    above, below = -inf if c.gt is None else c.gt, inf if c.lt is None else c.lt

    def check(value: Any) -> None:
        if not (low <= value <= high and above < value < below):
            c.check(value)

    return check


def _all(checkers: list[Checker]) -> Checker:
    if len(checkers) == 1:
        return checkers[0]

    def check(value: Any) -> None:
        for checker in checkers:
            checker(value)

    return check


def _unless_none(checker: Checker) -> Checker:
    return lambda value: None if value is None else checker(value)


def _each(checker: Checker) -> Checker:
    def check(values: Any) -> None:
        for i, value in enumerate(values):
            try:
                checker(value)
            except InvalidField as error:
                raise error.within(f"[{i}]") from None

    return check


def _each_entry(key_checker: Checker | None, checker: Checker | None) -> Checker:
    def check(values: Any) -> None:
        for key, value in values.items():
            try:
                if key_checker:
                    key_checker(key)
                if checker:
                    checker(value)
            except InvalidField as error:
                raise error.within(key_path(key)) from None

    return check


def _aware(value: Any) -> None:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidField("must carry a time zone offset (RFC 3339)")
