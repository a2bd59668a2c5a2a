"""Logging: one JSON object a line to stderr, plain lines on a terminal, never a secret in either."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from wire.redaction import redact

_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what was given as ``extra`` becomes fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _FIELDS:
                line[name] = value if isinstance(value, int | float | bool | None) else redact(str(value))
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """A record for a person at a terminal; control characters of foreign texts cannot move the cursor."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = " ".join(f"{n}={v}" for n, v in vars(record).items() if n not in _FIELDS)
        text = f"{at} {record.levelname.lower():7} {record.getMessage()}" + (f" ({extra})" if extra else "")
        lines = [_printable(redact(text))]
        if record.exc_info:
            lines += [_printable(part) for part in redact(self.formatException(record.exc_info)).splitlines()]
        return "\n".join(lines)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)


def set_up_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends every logger of the process to ``stream`` (stderr), and nothing anywhere else."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(PlainLines() if out.isatty() else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("hypercorn", "quart", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
