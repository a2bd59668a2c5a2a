"""A log line of an engine that is not valid: refused as a message, kept as a row that a person can see.

The row says what was wrong and shows a bounded excerpt. Of the engine's own text it has only the fields that a log line
is known to have, cut short, with controls and everything that looks like a credential taken out.
"""

from datetime import datetime
from typing import Any, get_type_hints

from wire.conformance import categorize_trade_log
from wire.errors import WireError
from wire.jsontext import dump
from wire.messages import TradeLog
from wire.redaction import printable, redact
from wire.schema import message
from wire.values import DurableId, LogCategory, Severity, Text

MAX_VALUE = 80
MAX_EXCERPT = 1000


@message
class QuarantinedLog:
    """Has the fields of a trade log, so that every reader of logs can show it. ``message``: the excerpt, JSON text.
    ``reason``: what is wrong, by the name of the field. ``timestamp``: when the platform got it."""

    id: DurableId
    category: LogCategory
    message: Text
    timestamp: datetime
    reason: Text
    severity: Severity = Severity.WARNING
    quarantined: bool = True


def quarantined(payload: Any, error: WireError, *, id: str, at: datetime) -> QuarantinedLog:
    """The row for a ``trade_log`` that could not be read. ``id``: one that no engine gives its own lines."""
    known = payload if isinstance(payload, dict) else {}
    field = f"{error.field}: " if error.field else ""
    return QuarantinedLog(
        id=id,
        category=categorize_trade_log(known),
        message=excerpt(payload),
        timestamp=at,
        reason=f"{field}{error.reason}"[:2000],
    )


def excerpt(payload: Any) -> str:
    """At most 1,000 characters of what came."""
    if not isinstance(payload, dict):
        return f"no object, but {_KINDS.get(type(payload), 'something else')}"
    shown = {name: _short(payload[name]) for name in _FIELDS if name in payload}
    others = len(payload) - len(shown)
    text = dump(shown | ({"…": f"{others} other fields"} if others else {}))
    return text[:MAX_EXCERPT]


_FIELDS = tuple(get_type_hints(TradeLog))
_KINDS = {str: "a text", list: "a list", int: "a number", float: "a number", bool: "a boolean", type(None): "nothing"}


def _short(value: Any) -> Any:
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if not isinstance(value, str):
        return value
    text = redact(printable(value))
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
