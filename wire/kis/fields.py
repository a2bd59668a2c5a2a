"""Between typed objects and the broker's texts: every scalar of its API is a string under a name of its own.

A shape names its wire fields in the annotations, and one pair of functions reads and writes all shapes::

    @attrs.frozen(kw_only=True)
    class Level:
        price: Annotated[int, Wire("ASKP1")]

Objects (``to_object``/``from_object``) are matched by name, records (``to_record``/``from_record``) by position: the
``^``-joined records of the stream carry no names. Reading is strict (an empty number is an error, never zero) and
errors never repeat the value.
"""

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import attrs

from wire.errors import InvalidField

T = TypeVar("T")
_INTEGER = re.compile(r"-?[0-9]{1,18}(\.0+)?")


@attrs.frozen
class Wire:
    """The broker's name of a field, and the width to which a number is padded with zeros when written."""

    name: str
    width: int = 0


@attrs.frozen(kw_only=True)
class _Slot:
    attribute: str
    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    optional: bool


def _read_integer(text: str) -> int:
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise InvalidField("must be a whole number")
    return int(text.partition(".")[0])


def _read_decimal(text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise InvalidField("must be a number") from None
    if not number.is_finite():
        raise InvalidField("must be a finite number")
    return number


def _read_flag(text: str) -> bool:
    if text not in ("Y", "N"):
        raise InvalidField("must be Y or N")
    return text == "Y"


def _enum_reader(kind: type[StrEnum]) -> Callable[[str], Any]:
    def read(text: str) -> StrEnum:
        try:
            return kind(text.strip())
        except ValueError:
            raise InvalidField(f"is not a known {kind.__name__} code") from None

    return read


def _optional_reader(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) if text.strip() else None


def _reader(kind: Any) -> Callable[[str], Any]:
    if isinstance(kind, types.UnionType):
        inner = next(part for part in typing.get_args(kind) if part is not type(None))
        return _optional_reader(_reader(inner))
    if kind is str:
        return str
    if kind is bool:
        return _read_flag
    if kind is int:
        return _read_integer
    if kind is Decimal:
        return _read_decimal
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum_reader(kind)
    raise TypeError(f"no text form for {kind!r}")


def _writer(width: int) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "Y" if value else "N"
        if isinstance(value, int):
            return f"{value:0{width}d}"
        return str(value)

    return write


_KNOWN: dict[type, tuple[_Slot, ...]] = {}


def _slots(shape: type) -> tuple[_Slot, ...]:
    if shape not in _KNOWN:
        _KNOWN[shape] = _inspect(shape)
    return _KNOWN[shape]


def _inspect(shape: type) -> tuple[_Slot, ...]:
    hints = typing.get_type_hints(shape, include_extras=True)
    return tuple(_slot(attribute, hints[attribute.name]) for attribute in attrs.fields(shape))


def _slot(attribute: "attrs.Attribute[Any]", hint: Any) -> _Slot:
    if typing.get_origin(hint) is not Annotated:
        raise TypeError(f"{attribute.name} has no Wire name")
    kind, wire = typing.get_args(hint)[:2]
    return _Slot(
        attribute=attribute.name,
        name=wire.name,
        read=_reader(kind),
        write=_writer(wire.width),
        optional=attribute.default is not attrs.NOTHING,
    )


def wire_names(shape: type) -> tuple[str, ...]:
    """The broker's field names of a shape, in order."""
    return tuple(slot.name for slot in _slots(shape))


def to_object(value: Any) -> dict[str, str]:
    """A shape as the JSON object the broker knows."""
    return {slot.name: slot.write(getattr(value, slot.attribute)) for slot in _slots(type(value))}


def from_object(shape: type[T], source: object, *, where: str = "") -> T:
    """A shape from a JSON object or a query; unknown fields are ignored.

    Raises InvalidField, naming ``where`` and the field, when a field without a default is missing or one is not valid.
    """
    if not isinstance(source, Mapping):
        raise InvalidField("must be an object", field=where or None)
    values = {}
    for slot in _slots(shape):
        if slot.name in source:
            values[slot.attribute] = _read(slot, _as_text(source[slot.name], slot, where), where)
        elif not slot.optional:
            raise InvalidField("is required", field=_path(where, slot))
    return shape(**values)


def to_record(value: Any) -> list[str]:
    """A shape as the positional fields of a stream record."""
    return [slot.write(getattr(value, slot.attribute)) for slot in _slots(type(value))]


def from_record(shape: type[T], fields: Sequence[str], *, where: str = "") -> T:
    """A shape from positional fields; InvalidField when their number is another than the shape's."""
    slots = _slots(shape)
    if len(fields) != len(slots):
        raise InvalidField(f"has {len(fields)} fields instead of {len(slots)}", field=where or None)
    return shape(**{slot.attribute: _read(slot, text, where) for slot, text in zip(slots, fields, strict=True)})


def _as_text(value: object, slot: _Slot, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidField("must be a string", field=_path(where, slot))


def _read(slot: _Slot, text: str, where: str) -> Any:
    try:
        return slot.read(text)
    except InvalidField as error:
        raise InvalidField(error.reason, field=_path(where, slot)) from None


def _path(where: str, slot: _Slot) -> str:
    return f"{where}.{slot.name}" if where else slot.name
