"""Error codes in words: ``error_<what>``, whatever number or text an engine or a broker has for it (property 4)."""

import re
from collections.abc import Mapping
from typing import Any

from wire.errors import CODE

ERROR_CODES: Mapping[int, str] = {
    1001: "error_api_connection",
    1002: "error_insufficient_balance",
    1003: "error_invalid_symbol",
}
"""Numbers that engines use for what went wrong, in words."""

CODE_FIELDS: Mapping[str, str] = {"error_report": "code", "stop_progress": "error", "parameter_result": "error"}
"""Where a message of an engine has an error code."""

_MAX_CODE = 64


def transform_error_code(code: object) -> str:
    """A code of the form ``error_<what>`` for whatever an engine or a broker calls its error."""
    if isinstance(code, int) and not isinstance(code, bool):
        return ERROR_CODES.get(code) or f"error_unknown_{'minus_' if code < 0 else ''}{abs(code)}"[:_MAX_CODE]
    if not isinstance(code, str):
        return "error_unknown"
    if CODE.match(code):
        return code
    if re.fullmatch(r"-?[0-9]{1,18}", code, re.ASCII):
        return transform_error_code(int(code))
    words = re.sub(r"[^a-z0-9]+", "_", code.lower().removeprefix("error")).strip("_")
    return f"error_{words}"[:_MAX_CODE].rstrip("_") if words else "error_unknown"


def conformed(kind: str, payload: Any) -> Any:
    """The payload of an engine's message with its error code in words; everything else as it came."""
    code = meant_code(kind, payload)
    return payload if code is None else {**payload, CODE_FIELDS[kind]: code}


def meant_code(kind: str, payload: Any) -> str | None:
    """What a message means that has a number for its code. The link refuses it; people are told this."""
    name = CODE_FIELDS.get(kind)
    if name is None or type(payload) is not dict or type(payload.get(name)) is not int:
        return None
    return transform_error_code(payload[name])
