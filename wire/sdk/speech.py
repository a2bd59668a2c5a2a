"""Messages from an engine's own values, checked field by field before anything is spooled."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from wire.codec import structure, unstructure
from wire.errors import InvalidField

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def checked(cls: type[T], **fields: Any) -> T:
    """A message whose every field has the type and range of the protocol. Raises InvalidField naming the field.

    Enums may be given as their values, times must be aware; None means left out.
    """
    for name, value in fields.items():
        if isinstance(value, datetime):
            _require_moment(name, value)
    return structure({name: _plain(value) for name, value in fields.items() if value is not None}, cls)


def word_of(kind: type[E], value: E | str, *, field: str) -> E:
    """The member that ``value`` names. Raises InvalidField."""
    try:
        return kind(value)
    except ValueError:
        words = ", ".join(str(member.value) for member in kind)
        raise InvalidField(f"must be one of {words}", field=field) from None


def _require_moment(name: str, value: datetime) -> None:
    if value.utcoffset() is None:
        raise InvalidField("needs a time zone", field=name)
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise InvalidField("is outside the years 1 to 9999", field=name) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | Decimal):
        return unstructure(value) if not isinstance(value, Decimal) else format(value, "f")
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
