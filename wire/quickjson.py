"""The quick way to read JSON text, for what is beyond doubt. ``wire.jsontext`` is the strict way, which decides.

msgspec reads several times faster than the library. What it would let pass is looked for beforehand, or counted
afterwards; at the least doubt the strict way reads the text anew, and only it refuses anything.

msgspec refuses by itself: numbers that are not finite, integers beyond 64 bits (the type says so), values nested deeper
than any ordinary message, invalid UTF-8, bare control characters, everything that is not JSON. It does not see a key
that occurs twice. Every key is followed by a colon, so where no quotation mark is followed by white space, the text
holds at least as many ``":`` as keys; when it holds exactly as many as the result has, no key was there twice.
"""

from typing import Annotated, Any

import msgspec

MAX_INT = 2**63 - 1
DEPTH = 4
"""How deep what is read here can be nested: a list of flat objects in a payload."""

_Plain = Annotated[int, msgspec.Meta(ge=-MAX_INT, le=MAX_INT)] | float | bool | str | None
_Flat = dict[str, _Plain]
_Part = _Plain | list[_Plain | _Flat] | _Flat
_Payload = _Plain | list[_Plain | _Flat] | dict[str, _Part]
_decode = msgspec.json.Decoder(dict[str, _Payload]).decode


def quickly_parsed(text: str) -> dict[str, Any] | None:
    """What ``text`` says, when that is beyond doubt: the same value as the strict way gives, nested ``DEPTH`` deep at
    most. None: ask the strict way."""
    if '" ' in text or "\n" in text or "\t" in text or "\r" in text:
        return None
    if "\\" in text and "\\u" in text:
        return None  # perhaps NUL
    try:
        value: dict[str, Any] = _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    keys, payload = text.count('":'), value.get("payload")
    if type(payload) is dict and keys == len(value) + len(payload):
        return value
    return value if keys == _keys_in(value) else None


def _keys_in(value: dict[str, Any]) -> int:
    keys = len(value)
    for item in value.values():
        if type(item) is dict:
            keys += _keys_in(item)
        elif type(item) is list:
            keys += sum(len(part) for part in item if type(part) is dict)
    return keys
