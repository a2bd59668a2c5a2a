"""Hardened JSON text.

``parse`` refuses what two parsers could read differently or what cannot be stored: size, depth, duplicate keys,
non-finite numbers, integers beyond 64 bits, NUL and lone surrogates. Python's ``json`` accepts all of these.
"""

import json
import json.encoder
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, NoReturn, cast

from wire.errors import Malformed, TooLarge
from wire.quickjson import DEPTH, quickly_parsed
from wire.quickjson import MAX_INT as MAX_INT

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
_UTF8_BYTES = 4
"""At most, for one character."""


def parse(text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The one JSON object in ``text``, or Malformed or TooLarge. The errors keep no copy of the text."""
    if len(text) > max_bytes:
        raise TooLarge(f"the message is over {max_bytes} bytes")
    if type(text) is str and len(text) * _UTF8_BYTES <= max_bytes and max_depth >= DEPTH:
        quick = quickly_parsed(text)
        if quick is not None:
            return quick
    return strictly_parsed(text, max_bytes, max_depth)


def strictly_parsed(text: str | bytes, max_bytes: int, max_depth: int) -> dict[str, Any]:
    """``parse`` without its short way."""
    text = _checked_text(text, max_bytes)
    value = _loaded(text)
    if type(value) is not dict:
        raise Malformed("the message must be one JSON object")
    # Brackets that cannot reach the limit even when all are nested need no walk; the same for escapes that are absent.
    if text.count("{") + text.count("[") > max_depth:
        _check_depth(value, max_depth)
    if "\\u" in text and _SUSPECT_ESCAPE.search(text):
        _check_strings(value)
    return value


def salvage(text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, Any] | None:
    """What ``parse`` refused for a value that cannot be kept: NUL or a bare control character, half a surrogate pair,
    an integer beyond 64 bits. None for anything else it refuses. It is good for the number of a frame, not for more."""
    try:
        value = _loads_anything(_checked_text(text, max_bytes))
        if type(value) is not dict:
            return None
        _check_depth(value, max_depth)
    except (Malformed, TooLarge, json.JSONDecodeError, RecursionError):
        return None
    return value


def dump(value: Any) -> str:
    """Compact JSON of plain values; raises ValueError for NaN and infinities, which no message can hold."""
    text = dumps(value)
    return text if is_sound(text) else dumps(_cleaned(value))


def is_sound(text: str) -> bool:
    """Whether JSON text that was written here surely holds neither NUL nor half a surrogate pair."""
    if "\\" in text and "\\u0000" in text:
        return False
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_SUSPECT_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _checked_text(text: str | bytes, max_bytes: int) -> str:
    try:
        if isinstance(text, str):
            size = len(text) if text.isascii() else len(text.encode())
        else:
            size, text = len(text), bytes(text).decode()
    except UnicodeError:
        text = ""
    if not text:
        raise Malformed("the message is not UTF-8 text of a JSON object")
    if size > max_bytes:
        raise TooLarge(f"the message is over {max_bytes} bytes")
    return text


def _loaded(text: str) -> Any:
    # The error is raised outside the except block: a JSONDecodeError keeps the whole document, which may hold secrets.
    reason = None
    try:
        return _loads(text)
    except Malformed as error:
        reason = error.reason
    except json.JSONDecodeError as error:
        reason = f"not valid JSON at character {error.pos}"
    except RecursionError:
        reason = "nested too deeply"
    raise Malformed(reason)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("a key occurs twice in one object")
    return result


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > MAX_INT:
        raise Malformed("an integer does not fit in 64 bits")
    return value


def _bounded_integer(digits: str) -> int:
    """One that stands for an integer nobody can keep: it fits in no field."""
    return int(digits) if len(digits) <= 20 else MAX_INT + 1


def _float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise Malformed("a number is not finite")
    return value


def _constant(_name: str) -> NoReturn:
    raise Malformed("a number is not finite")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)


_scan = cast("Any", _decoder).scan_once


def _loads(text: str) -> Any:
    """``_decoder.decode``, without its search for white space around where there is none."""
    if text[0] == "{":
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            return _decoder.decode(text)
        if end == len(text):
            return value
    return _decoder.decode(text)


def _make_dumps() -> Callable[[Any], str]:
    """``_encoder.encode``, without making the C encoder anew for every text."""
    library = cast("Any", json.encoder)
    if library.c_make_encoder is None:  # an interpreter without the accelerator
        return _encoder.encode
    write = library.c_make_encoder(None, _encoder.default, quote, None, ":", ",", False, False, False)

    def write_anything(value: Any) -> str:
        text: str = quote(value) if type(value) is str else "".join(write(value, 0))
        return text

    return write_anything


quote: Callable[[str], str] = cast("Any", json.encoder).encode_basestring
"""A string as JSON text."""
dumps = _make_dumps()
"""``dump`` without the look at what no peer accepts."""
_loads_anything = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_bounded_integer, parse_float=_float, parse_constant=_constant, strict=False
).decode


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise Malformed("nested too deeply")
    for item in value.values() if type(value) is dict else value:
        if type(item) is dict or type(item) is list:
            _check_depth(item, left - 1)


def _check_strings(value: Any) -> None:
    if type(value) is str:
        if _UNSTORABLE.search(value):
            raise Malformed("text holds NUL or half a surrogate pair")
    elif type(value) is dict:
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)
    elif type(value) is list:
        for item in value:
            _check_strings(item)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value
