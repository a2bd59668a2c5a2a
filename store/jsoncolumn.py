"""Messages in ``json`` columns. Text the wire would refuse (NUL, lone surrogates) becomes U+FFFD on the way in."""

import json
from typing import Any, TypeVar

from wire.codec import dump, structure, unstructure

T = TypeVar("T")


def to_json(value: Any) -> str:
    return dump(unstructure(value))


def from_json(text: str, cls: type[T]) -> T:
    return structure(json.loads(text), cls)
