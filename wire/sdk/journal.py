"""An append-only file of JSON lines, each with its own checksum, that survives kill -9 and a torn last line.

A line is handed to the system at once (so the death of the process cannot take it back) and made safe against power
loss by ``sync``, which the owner calls on a thread. Reading stops at the first line that does not check: everything
before it was written whole.
"""

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from wire.sdk.latch import write_durably

Line = dict[str, Any]


def encode_line(line: Line) -> bytes:
    """Of any text, also with half surrogates, which come from bytes that were no UTF-8."""
    body = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode_lines(data: bytes) -> tuple[list[Line], bool]:
    """The whole lines from the start, and whether anything after them was unreadable."""
    lines: list[Line] = []
    for raw in data.splitlines(keepends=True):
        line = _decode_line(raw)
        if line is None:
            return lines, True
        lines.append(line)
    return lines, False


def _decode_line(raw: bytes) -> Line | None:
    if not raw.endswith(b"\n") or len(raw) < 10 or raw[8:9] != b" ":
        return None
    body = raw[9:-1]
    if raw[:8] != b"%08x" % zlib.crc32(body):
        return None
    try:
        line = json.loads(body)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


class Journal:
    """One open file. ``append`` writes; ``sync`` blocks until all of it is on stable storage; both raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._unsynced = False
        self._prepared = 0
        self.length = 0

    def load(self) -> tuple[list[Line], bool]:
        """Reads what is there, then cuts a torn tail off so that appending goes on behind the last whole line. Where
        the disk refuses that, every ``append`` raises until the file has been written anew. Raises OSError when it
        cannot be read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        lines, torn = decode_lines(data)
        self.length = len(lines)
        with suppress(OSError):
            if torn:
                write_durably(self.path, b"".join(encode_line(line) for line in lines))
            self._open()
        return lines, torn

    def append(self, line: Line) -> None:
        data = memoryview(encode_line(line))
        while data:
            data = data[os.write(self._descriptor, data) :]
        self.length += 1
        self._unsynced = True

    @property
    def unsynced(self) -> bool:
        return self._unsynced

    def sync(self) -> None:
        """Blocking; for a thread. Lines appended meanwhile may or may not be included and stay marked unsynced."""
        self._unsynced = False
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self._unsynced = True
            raise

    def rewrite(self, lines: Iterable[Line]) -> None:
        """Replaces the whole file, atomically and durably."""
        kept = list(lines)
        write_durably(self.path, b"".join(encode_line(line) for line in kept))
        self.close()
        self.length = len(kept)
        self._open()

    def prepare(self, lines: Iterable[Line]) -> None:
        """Blocking, for a thread: writes a file beside this one that ``adopt`` can put in its place."""
        kept = list(lines)
        write_durably(self._beside, b"".join(encode_line(line) for line in kept))
        self._prepared = len(kept)

    def adopt(self, more: Iterable[Line]) -> None:
        """The prepared file, with these lines behind it, is this file from now on."""
        more = list(more)
        descriptor = os.open(self._beside, os.O_WRONLY | os.O_APPEND)
        try:
            data = memoryview(b"".join(encode_line(line) for line in more))
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)
        os.replace(self._beside, self.path)
        self.length = self._prepared + len(more)
        self._open()
        self._unsynced = True

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".next")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self.close()
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
