"""The stop journal: a local file in which a stop counts once it is on the disk, whatever else is away.

``read_journal`` tells what a file says, ``StopJournal.begin`` starts a new file and keeps the old one beside it,
``StopJournal.resume`` goes on with a verified one. Everything here blocks; call ``append`` through a thread.

After a failed write or sync the same descriptor is never used again: what the kernel then says about it is worth
nothing. A new file is begun that carries what is open; the failed record is reported as not durable. A stop is carried
all the same (nothing forgets a stop), a release is not: it did not happen.
"""

import os
from collections.abc import Callable
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


@attrs.frozen(kw_only=True)
class Appended:
    """``durable``: the record is on stable storage. ``generation``: of the file that is written now."""

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
    """One writer of one file. ``key``: KeyRing.derive("stop journal"). ``clock`` dates a file begun after an error."""

    def __init__(
        self, path: Path, key: bytes, genesis: Genesis, state: Replayed, *, clock: Callable[[], datetime]
    ) -> None:
        self.path = path
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
    ) -> Self:
        """A new file whose first record is ``genesis``, on the disk when this returns. A file that is there is kept.

        Raises JournalError; then nothing has changed.
        """
        genesis = evolve(genesis, key_check=key_check(key))
        journal = cls(path, key, genesis, Replayed().after(genesis), clock=clock)
        try:
            journal._begin_file()
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
    ) -> Self:
        """Goes on with the file of ``reading``, which must be verified. Raises JournalError."""
        genesis = reading.genesis
        if reading.state is not JournalState.VERIFIED or genesis is None:
            raise JournalError(f"the stop journal {path} is {reading.state.value}: begin a new one")
        journal = cls(path, key, genesis, reading.replayed(), clock=clock)
        try:
            journal._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"the stop journal {path} cannot be written: {error.strerror}") from error
        journal._mac, journal._count = reading.last_mac, len(reading.records)
        return journal

    def append(self, record: Record) -> Appended:
        """Writes and syncs one record. Never raises for the disk: the answer says whether it is durable."""
        try:
            if self._file is None:
                self._begin_next()
            self._write(record)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._give_up_file()
            if not isinstance(record, ReleaseNoted):
                self._state = self._state.after(record)
            return Appended(durable=False, generation=self._try_next(), reason=reason)
        self._state = self._state.after(record)
        return Appended(durable=True, generation=self.generation)

    def rotate(self) -> None:
        """Begins a new file that carries what is open. Raises JournalError; then the old file goes on."""
        before, self._file = self._file, None
        try:
            self._begin_next()
        except OSError as error:
            self._file = before
            raise JournalError(f"the stop journal {self.path} cannot be begun anew: {error.strerror}") from error
        if before is not None:
            os.close(before)

    def close(self) -> None:
        self._give_up_file()

    # --- the file -----------------------------------------------------------------------------------------------

    def _write(self, record: Record) -> None:
        assert self._file is not None
        line, mac = encode(self._key, self._mac, self._count, record)
        written = 0
        while written < len(line):
            written += os.write(self._file, line[written:])
        _sync(self._file)
        self._mac, self._count = mac, self._count + 1

    def _give_up_file(self) -> None:
        if self._file is not None:
            descriptor, self._file = self._file, None
            try:
                os.close(descriptor)
            except OSError:  # the error was reported by the write before; the descriptor is gone either way
                return

    def _try_next(self) -> int:
        """A new file after an error, if the disk lets us; else the next append tries again."""
        try:
            self._begin_next()
        except OSError:
            self._give_up_file()
        return self.generation

    def _begin_next(self) -> None:
        register = self._state.register
        before = self._genesis, self._mac, self._count
        self._genesis = evolve(
            self._genesis,
            generation=self._genesis.generation + 1,
            at=self._clock(),
            floor=register.epoch,
            stops=self._state.open_stops(),
            previous=self._mac.hex(),
        )
        try:
            self._begin_file()
        except OSError:
            self._genesis, self._mac, self._count = before
            raise
        self._state = Replayed().after(self._genesis)

    def _begin_file(self) -> None:
        """Whole and synced under another name first; the last step puts it in place, so there is always one journal."""
        unfinished = self.path.with_name(f".{self.path.name}.new")
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file, self._mac, self._count = os.open(unfinished, flags, 0o600), b"", 0
        try:
            self._write(self._genesis)
            if self.path.exists():
                os.link(self.path, self._place_for_old())
            os.replace(unfinished, self.path)
            _sync_folder(self.path.parent)
        except OSError:
            self._give_up_file()
            raise

    def _place_for_old(self) -> Path:
        number = 1
        while (place := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        return place


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has no fdatasync


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
