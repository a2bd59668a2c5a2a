"""The stop journal: a local file in which a stop counts once it is on the disk, whatever else is away.

``read_journal`` tells what a file says, ``StopJournal.begin`` starts a new file and keeps the old one beside it,
``StopJournal.resume`` goes on with a verified one. Everything here blocks; call ``append`` through a thread.

After a failed write or sync the same descriptor is never used again: what the kernel then says about it is worth
nothing. A new file is begun that carries what is open; the failed record is reported as not durable. A stop is carried
all the same (nothing forgets a stop), a release is not: it did not happen.

A file that has grown to ``max_bytes`` is followed by a new one in the same way, and the newest ``KEPT`` of the old ones
stay beside it (``stops.journal.7`` is older than ``stops.journal.8``). At every moment of that, and after a crash at
any, exactly one whole journal is in its place.
"""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import attrs

from store.errors import JournalError
from store.journal_records import (
    Genesis,
    JournalReading,
    JournalState,
    Record,
    ReleaseNoted,
    Replayed,
    encode,
    evolve,
    key_check,
    verify,
)

MAX_BYTES = 1 << 20
KEPT = 16
NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""How a file system says that it has no second names for files."""


@attrs.frozen(kw_only=True)
class Appended:
    """``durable``: the records are on stable storage. ``generation``: of the file that is written now."""

    durable: bool
    generation: int
    reason: str | None = None


def read_journal(path: Path, key: bytes) -> JournalReading:
    """What the file says: never raises, an unreadable file is a corrupt one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return JournalReading(state=JournalState.NEW, reason="there is no journal")
    except OSError as error:
        return JournalReading(state=JournalState.CORRUPT, reason=f"cannot be read: {error.strerror}")
    return verify(data, key)


class StopJournal:
    """One writer of one file. ``key``: KeyRing.derive("stop journal"). ``clock`` dates the files that follow it."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        genesis: Genesis,
        state: Replayed,
        *,
        clock: Callable[[], datetime],
        max_bytes: int,
    ) -> None:
        self.path = path
        self._max_bytes = self._rotate_at = max_bytes
        self._size = 0
        self._key = key
        self._genesis = genesis
        self._state = state
        self._clock = clock
        self._file: int | None = None
        self._mac = b""
        self._count = 0

    def __repr__(self) -> str:
        return f"<StopJournal {self.path} generation {self.generation}{'' if self._file else ' broken'}>"

    @property
    def generation(self) -> int:
        return self._genesis.generation

    @property
    def state(self) -> Replayed:
        """What the journal holds, by its own records."""
        return self._state

    @classmethod
    def begin(
        cls,
        path: Path,
        key: bytes,
        genesis: Genesis,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_bytes: int = MAX_BYTES,
    ) -> Self:
        """A new file whose first record is ``genesis``, on the disk when this returns. A file that is there is kept.

        Raises JournalError; then nothing has changed.
        """
        genesis = evolve(genesis, key_check=key_check(key))
        journal = cls(path, key, genesis, Replayed().after(genesis), clock=clock, max_bytes=max_bytes)
        try:
            journal._begin_file(genesis)
        except OSError as error:
            raise JournalError(f"the stop journal {path} cannot be begun: {error.strerror}") from error
        return journal

    @classmethod
    def resume(
        cls,
        path: Path,
        key: bytes,
        reading: JournalReading,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_bytes: int = MAX_BYTES,
    ) -> Self:
        """Goes on with the file of ``reading``, which must be verified. Raises JournalError."""
        genesis = reading.genesis
        if reading.state is not JournalState.VERIFIED or genesis is None:
            raise JournalError(f"the stop journal {path} is {reading.state.value}: begin a new one")
        journal = cls(path, key, genesis, reading.replayed(), clock=clock, max_bytes=max_bytes)
        try:
            journal._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            journal._size = os.fstat(journal._file).st_size
        except OSError as error:
            raise JournalError(f"the stop journal {path} cannot be written: {error.strerror}") from error
        journal._mac, journal._count = reading.last_mac, len(reading.records)
        return journal

    def append(self, *records: Record) -> Appended:
        """Writes the records and syncs once. Never raises for the disk: the answer says whether all are durable."""
        try:
            if self._file is None:
                self._begin_next()
            self._write(*records)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._give_up_file()
            self._note(r for r in records if not isinstance(r, ReleaseNoted))
            return Appended(durable=False, generation=self._try_next(), reason=reason)
        self._note(records)
        if self._size >= self._rotate_at:
            self._follow()
        return Appended(durable=True, generation=self.generation)

    def _note(self, records: Iterable[Record]) -> None:
        for record in records:
            self._state = self._state.after(record)

    def _follow(self) -> None:
        """The file is full. Where a new one cannot be begun this one goes on, and that is tried again later."""
        try:
            self.rotate()
        except JournalError:
            self._rotate_at = self._size + self._max_bytes // 8

    def rotate(self) -> None:
        """Begins a new file that carries what is open. Raises JournalError; then the old file goes on."""
        before, self._file = self._file, None
        try:
            self._begin_next()
        except OSError as error:
            if before is not None and _is_at(self.path, before):
                self._file = before
            else:  # another file may have its place: the next append begins one that surely has it
                _close(before)
            raise JournalError(f"the stop journal {self.path} cannot be begun anew: {error.strerror}") from error
        _close(before)

    def close(self) -> None:
        self._give_up_file()

    # --- the file -----------------------------------------------------------------------------------------------

    def _write(self, *records: Record) -> None:
        assert self._file is not None
        lines, mac = [], self._mac
        for number, record in enumerate(records, self._count):
            line, mac = encode(self._key, mac, number, record)
            lines.append(line)
        rest = memoryview(b"".join(lines))
        size = self._size + len(rest)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        _sync(self._file)
        self._mac, self._count, self._size = mac, self._count + len(lines), size

    def _give_up_file(self) -> None:
        descriptor, self._file = self._file, None
        _close(descriptor)

    def _try_next(self) -> int:
        """A new file after an error, if the disk lets us; else the next append tries again."""
        try:
            self._begin_next()
        except OSError:
            self._give_up_file()
        return self.generation

    def _begin_next(self) -> None:
        register = self._state.register
        genesis = evolve(
            self._genesis,
            generation=self._genesis.generation + 1,
            at=self._clock(),
            floor=register.epoch,
            stops=self._state.open_stops(),
            ended=self._state.ended(),
            previous=self._mac.hex(),
        )
        self._begin_file(genesis)
        self._state = Replayed().after(genesis)

    def _begin_file(self, genesis: Genesis) -> None:
        """Whole and synced under another name first; the last step puts it in place, so there is always one journal."""
        unfinished = self.path.with_name(f".{self.path.name}.new")
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        before = self._mac, self._count, self._size
        self._file, self._mac, self._count, self._size = os.open(unfinished, flags, 0o600), b"", 0, 0
        try:
            self._write(genesis)
            if self.path.exists():
                _keep(self.path, self._place_for_old())
            os.replace(unfinished, self.path)
            _sync_folder(self.path.parent)
        except OSError:
            self._give_up_file()
            self._mac, self._count, self._size = before
            raise
        self._genesis = genesis
        self._rotate_at = max(self._max_bytes, 2 * self._size)
        self._forget_oldest()

    def _place_for_old(self) -> Path:
        return self.path.with_name(f"{self.path.name}.{max(self._old(), default=0) + 1}")

    def _old(self) -> list[int]:
        """The numbers of the old files, oldest first."""
        tails = (place.suffix[1:] for place in self.path.parent.glob(f"{self.path.name}.*"))
        return sorted(int(tail) for tail in tails if tail.isdecimal())

    def _forget_oldest(self) -> None:
        for number in self._old()[:-KEPT]:
            with suppress(OSError):  # it is tried again after the next file
                self.path.with_name(f"{self.path.name}.{number}").unlink(missing_ok=True)


def _close(descriptor: int | None) -> None:
    """An error was reported by the write before, or there was none; the descriptor is gone either way."""
    if descriptor is not None:
        with suppress(OSError):
            os.close(descriptor)


def _keep(path: Path, old: Path) -> None:
    """The file gets another name too, or on a file system that knows no second names, a copy of it does."""
    try:
        os.link(path, old)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        old.touch(mode=0o600)
        old.write_bytes(path.read_bytes())


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has no fdatasync


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
