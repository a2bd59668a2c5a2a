"""What each engine had at stake when it was last heard, in a file, so that a restart does not forget who is missing.

One JSON object a file, 0600, replaced whole. It decides nothing alone: with it the platform goes on counting how long
an engine is away; without it nobody is known to be missing, and that is said once.
"""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import attrs

from actors.alarms.conditions import Exposure


@attrs.frozen(kw_only=True)
class LastWord:
    """``heard_at``: aware, UTC. ``goodbye``: it said that it stops."""

    heard_at: datetime
    exposure: Exposure
    goodbye: bool = False


def read(path: Path) -> dict[str, LastWord] | None:
    """Blocking. None: there is no such file, or it cannot be believed."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {engine_id: _word(fields) for engine_id, fields in table.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(path: Path, words: Mapping[str, LastWord]) -> None:
    """Blocking, with fsync. Raises OSError."""
    table = {engine_id: _fields(word) for engine_id, word in words.items()}
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(table, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, path)


def _fields(word: LastWord) -> dict[str, object]:
    return {
        "heard_at": word.heard_at.isoformat(),
        "positions": word.exposure.positions,
        "orders": word.exposure.orders,
        "goodbye": word.goodbye,
    }


def _word(fields: Mapping[str, object]) -> LastWord:
    heard_at = datetime.fromisoformat(str(fields["heard_at"]))
    if heard_at.tzinfo is None:
        raise ValueError("a time without its zone")
    exposure = Exposure(positions=_count(fields["positions"]), orders=_count(fields["orders"]))
    return LastWord(heard_at=heard_at, exposure=exposure, goodbye=fields["goodbye"] is True)


def _count(value: object) -> int | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    raise ValueError("not a count")
