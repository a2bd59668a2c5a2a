"""Messages from an engine's own values, checked field by field before anything is spooled."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from wire.codec import structure, unstructure

T = TypeVar("T")


def checked(cls: type[T], **fields: Any) -> T:
    """A message whose every field has the type and range of the protocol. Raises InvalidField naming the field.

    Enums may be given as their values, times must be aware; None means left out.
    """
    return structure({name: _plain(value) for name, value in fields.items() if value is not None}, cls)


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
