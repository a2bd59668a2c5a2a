"""The engine's durable memory of its stops: a small local file that outlives kill -9, power loss and the platform.

The file is one line of JSON and one line with its checksum, replaced atomically and fsynced together with its folder.
Nothing but a release that names a stop's id ends a stop here. A file that does not read back exactly as written is
corrupt: it is kept aside for a person, and the engine halts itself.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import attrs

from wire.errors import WireError
from wire.stops import Entry, Level, Register, Scope, StopRecord
from wire.values import LatchState, LocalStopCause

_FORMAT = 1
_KEPT_RELEASED = 1000


@attrs.frozen(kw_only=True)
class LatchedStop:
    """One stop as this engine knows it. ``cause`` only for the engine's own stops. ``session``: the trading day
    (YYYYMMDD) in which a person asked for it, at ``session_epoch``; None while that is not known. ``cancelled``,
    ``liquidated``: the orders and positions that are gone by it so far."""

    record: StopRecord
    reason: str
    user_id: str
    at: datetime
    timeout_ms: int = 30_000
    drill: bool = False
    cause: LocalStopCause | None = None
    released_epoch: int | None = None
    session: str | None = None
    session_epoch: int = 0
    cancelled: int = 0
    liquidated: int = 0

    @property
    def entry(self) -> Entry:
        record = self.record
        return Entry(record.scope, record.level, record.stop_epoch, self.released_epoch)

    @property
    def is_open(self) -> bool:
        return self.entry.is_open

    def merge(self, other: Self) -> Self:
        """The same stop heard again: at least as strict, at least as new. The first words about it are kept."""
        merged = self.entry.merge(other.entry)
        newer = other if other.record.stop_epoch > self.record.stop_epoch else self
        same = (merged.scope, merged.level, merged.stop_epoch)
        proofs = [r.proof for r in (other.record, self.record) if r.proof and (r.scope, r.level, r.stop_epoch) == same]
        record = StopRecord(
            stop_id=self.record.stop_id,
            scope=merged.scope,
            level=merged.level,
            stop_epoch=merged.stop_epoch,
            proof=proofs[0] if proofs else "",
        )
        asked = max(self, other, key=lambda stop: stop.session_epoch)
        return attrs.evolve(
            newer,
            record=record,
            cause=self.cause or other.cause,
            released_epoch=merged.released_epoch,
            session=asked.session,
            session_epoch=asked.session_epoch,
            cancelled=max(self.cancelled, other.cancelled),
            liquidated=max(self.liquidated, other.liquidated),
        )


@attrs.frozen(kw_only=True)
class Latch:
    """The content of the file. Immutable; every change returns a new one."""

    stops: tuple[LatchedStop, ...] = ()
    floor: int = 0
    platform_id: str | None = None

    def register(self) -> Register:
        register = Register(floor=self.floor)
        for stop in self.stops:
            register = register.with_stop(stop.record.stop_id, stop.entry)
        return register

    def find(self, stop_id: str) -> LatchedStop | None:
        return next((s for s in self.stops if s.record.stop_id == stop_id), None)

    def open_stops(self) -> list[LatchedStop]:
        return [s for s in self.stops if s.is_open]

    def with_stop(self, stop: LatchedStop) -> "Latch":
        known = self.find(stop.record.stop_id)
        if known is None:
            return attrs.evolve(self, stops=(*self.stops, stop))
        merged = known.merge(stop)
        return attrs.evolve(self, stops=tuple(merged if s is known else s for s in self.stops))

    def with_release(self, stop_ids: Iterable[str], epoch: int) -> "Latch":
        """Only the named stops, and of those only what was open at ``epoch``."""
        named = set(stop_ids)

        def released(stop: LatchedStop) -> LatchedStop:
            if stop.record.stop_id not in named:
                return stop
            return attrs.evolve(stop, released_epoch=max(epoch, stop.released_epoch or 0))

        stops = tuple(released(s) for s in self.stops)
        return attrs.evolve(self, stops=stops, floor=max(self.floor, epoch))._pruned()

    def with_session(self, stop_id: str, epoch: int, session: str) -> "Latch":
        """A person asked for this epoch of the stop in this session."""
        return self._with(stop_id, session=session, session_epoch=epoch)

    def with_counts(self, stop_id: str, *, cancelled: int, liquidated: int) -> "Latch":
        """So far, of every process of this engine together."""
        return self._with(stop_id, cancelled=cancelled, liquidated=liquidated)

    def _with(self, stop_id: str, **known: Any) -> "Latch":
        stops = tuple(attrs.evolve(s, **known) if s.record.stop_id == stop_id else s for s in self.stops)
        return attrs.evolve(self, stops=stops)

    def at_least(self, epoch: int) -> "Latch":
        return attrs.evolve(self, floor=max(self.floor, epoch))

    def _pruned(self) -> "Latch":
        """Open stops are kept for ever, released ones only so long that a late copy is still recognised."""
        released = [s for s in self.stops if not s.is_open]
        forgotten = {s.record.stop_id for s in released[: max(0, len(released) - _KEPT_RELEASED)]}
        if not forgotten:
            return self
        floor = max(self.floor, self.register().epoch)
        return attrs.evolve(self, floor=floor, stops=tuple(s for s in self.stops if s.record.stop_id not in forgotten))


def encode(latch: Latch) -> bytes:
    body = json.dumps(
        {
            "format": _FORMAT,
            "floor": latch.floor,
            "platform_id": latch.platform_id,
            "stops": [_to_plain(s) for s in latch.stops],
        },
        separators=(",", ":"),
    ).encode()
    return body + b"\n" + _checksum(body) + b"\n"


def decode(data: bytes) -> Latch | None:
    """None when the bytes are not exactly what ``encode`` makes."""
    body, newline, rest = data.partition(b"\n")
    if not newline or rest != _checksum(body) + b"\n":
        return None
    try:
        plain = json.loads(body)
        if plain["format"] != _FORMAT:
            return None
        stops = tuple(_from_plain(s) for s in plain["stops"])
        return Latch(stops=stops, floor=plain["floor"], platform_id=plain["platform_id"])
    except (ValueError, KeyError, TypeError, WireError):
        return None


def load(path: Path) -> tuple[LatchState, Latch]:
    """Reads the file. A corrupt one is copied aside for a person, and stays in its place, corrupt at every start, until
    the next latch is safe."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return LatchState.ABSENT, Latch()
    except OSError:
        return LatchState.CORRUPT, Latch()
    latch = decode(data)
    if latch is None:
        with suppress(OSError):
            write_durably(path.with_suffix(".corrupt"), data)
        return LatchState.CORRUPT, Latch()
    return LatchState.PRESENT, latch


def save(path: Path, latch: Latch) -> None:
    """Blocking; returns when the latch is on stable storage. Raises OSError."""
    write_durably(path, encode(latch))


def write_durably(path: Path, data: bytes) -> None:
    """Replaces the file atomically, mode 0600, and fsyncs it and its folder. Raises OSError."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _to_plain(stop: LatchedStop) -> dict[str, Any]:
    record = stop.record
    return {
        "stop_id": record.stop_id,
        "scope": str(record.scope),
        "level": record.level.value,
        "stop_epoch": record.stop_epoch,
        "proof": record.proof,
        "reason": stop.reason,
        "user_id": stop.user_id,
        "at": stop.at.isoformat(),
        "timeout_ms": stop.timeout_ms,
        "drill": stop.drill,
        "cause": stop.cause.value if stop.cause else None,
        "released_epoch": stop.released_epoch,
        "session": stop.session,
        "session_epoch": stop.session_epoch,
        "cancelled": stop.cancelled,
        "liquidated": stop.liquidated,
    }


def _from_plain(plain: dict[str, Any]) -> LatchedStop:
    return LatchedStop(
        record=StopRecord(
            stop_id=plain["stop_id"],
            scope=Scope.parse(plain["scope"]),
            level=Level(plain["level"]),
            stop_epoch=plain["stop_epoch"],
            proof=plain["proof"],
        ),
        reason=plain["reason"],
        user_id=plain["user_id"],
        at=datetime.fromisoformat(plain["at"]),
        timeout_ms=plain["timeout_ms"],
        drill=plain["drill"],
        cause=LocalStopCause(plain["cause"]) if plain["cause"] else None,
        released_epoch=plain["released_epoch"],
        session=plain.get("session"),  # an older file does not say it
        session_epoch=plain.get("session_epoch", 0),
        cancelled=plain.get("cancelled", 0),
        liquidated=plain.get("liquidated", 0),
    )
