"""The engines that may connect, in memory and in a local file, so that knowing them needs no database.

The database is the truth; the file (0600: it holds keyed hashes of the engines' secrets) is what the last platform
knew, and serves only until the database could be read.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from store.engines import EngineRow

ENGINES_FILE = "engines.json"

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class EnrolledEngine:
    engine_id: str
    name: str
    account_id: str
    secret_hash: bytes = attrs.field(repr=False)
    public_key: str | None = None
    seen_before: bool = False


class EnrolledEngines:
    """``is_complete``: a list was read from somewhere, so an engine that is not on it does not exist."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._engines: dict[str, EnrolledEngine] = {}
        self._is_written = False
        self.is_complete = False

    def keep_in(self, file: Path) -> None:
        """From now on what is known is also in this file."""
        self._file = file

    def get(self, engine_id: str) -> EnrolledEngine | None:
        return self._engines.get(engine_id)

    def everyone(self) -> list[EnrolledEngine]:
        return list(self._engines.values())

    def replace(self, rows: Iterable[EngineRow]) -> None:
        """What the database says. Blocking: writes the file when something changed."""
        engines = {
            row.engine_id: EnrolledEngine(
                engine_id=row.engine_id,
                name=row.name,
                account_id=row.account_id,
                secret_hash=row.secret_hash,
                public_key=row.public_key,
                seen_before=row.last_seen_at is not None,
            )
            for row in rows
        }
        changed = engines != self._engines or not self.is_complete or not self._is_written
        self._engines, self.is_complete = engines, True
        if changed:
            self._keep()

    def read_file(self) -> bool:
        """Blocking. False when there is no readable file; then nothing is known."""
        if self._file is None:
            return False
        try:
            rows = json.loads(self._file.read_text(encoding="utf-8"))
            engines = [EnrolledEngine(**{**row, "secret_hash": bytes.fromhex(row["secret_hash"])}) for row in rows]
        except (OSError, ValueError, TypeError, KeyError):
            return False
        self._engines = {e.engine_id: e for e in engines}
        self.is_complete = self._is_written = True
        return True

    def _keep(self) -> None:
        """A disk that is full keeps no platform from starting. A file that is out of date goes: it could let an engine
        in that was removed since. The next list that is read is written again."""
        try:
            self._write()
            self._is_written = True
        except OSError as error:
            self._is_written = False
            log.warning("the list of engines could not be kept: %s", error.strerror)
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._file is None:
            return
        rows = [{**attrs.asdict(e), "secret_hash": e.secret_hash.hex()} for e in self._engines.values()]
        fresh = self._file.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            json.dump(rows, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, self._file)
