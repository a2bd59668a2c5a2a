"""The text of the stop journal: what its lines say and how they are verified. Pure.

Each record is one JSON line whose MAC covers the line and the MAC before it, so nothing can be altered, left out, put
in or moved. The first record, the genesis, binds the file to one platform and one database, and carries what was open
when the file was begun.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, TypeVar, cast

import attrs

from wire.codec import dump, structure, unstructure
from wire.errors import WireError
from wire.schema import C, message
from wire.stops import Entry, Epoch, Identifier, Level, Register, Scope

_MAC_HEX = 64
_SEAL = b',"mac":"'
_END = b'"}'
_NO_MAC = b"\0" * 32


M = TypeVar("M")


def evolve(record: M, **changes: Any) -> M:
    """``attrs.evolve`` for a message: mypy does not know that messages are attrs classes."""
    changed: M = attrs.evolve(cast("Any", record), **changes)
    return changed


@message
class StopNoted:
    """A stop was opened, or raised: the same id again, with a higher level or epoch."""

    stop_id: Identifier
    request_id: Annotated[str, C(max_length=64)]
    scope: Scope
    level: Level
    stop_epoch: Epoch
    user_id: Annotated[str, C(max_length=64)]
    reason: Annotated[str, C(max_length=2000)]
    cause: Annotated[str, C(max_length=64)]
    at: datetime
    drill: bool = False
    username: Annotated[str, C(max_length=64)] | None = None

    def entry(self) -> Entry:
        return Entry(scope=self.scope, level=self.level, stop_epoch=self.stop_epoch)


@message
class ReleaseNoted:
    """The commit point of a release: these stops, as far as they were open at ``epoch``."""

    stop_ids: list[Identifier]
    epoch: Epoch
    user_id: Annotated[str, C(max_length=64)]
    at: datetime


@message
class EpochNoted:
    """An epoch was given or seen, before anything is done under it."""

    epoch: Epoch
    term: Epoch
    at: datetime


@message
class Ended:
    """A stop whose release is committed, as a later file remembers it."""

    stop: StopNoted
    released_epoch: Epoch


REMEMBERED = 256
"""Released stops that a new file remembers: an engine that missed the release may still hold one of them."""


@message
class Genesis:
    """The first record of a file. Every stop up to ``floor`` that is not in ``stops`` was released before.

    ``ended`` names the last of those, so that an engine that missed a release cannot bring one back.
    ``previous`` is the MAC of the last verified record of the file before it, ``key_check`` tells a foreign key.
    """

    platform_id: Annotated[str, C(max_length=64)]
    database_id: Annotated[str, C(max_length=64)]
    generation: Annotated[int, C(ge=1)]
    at: datetime
    floor: Epoch = 0
    stops: list[StopNoted] = attrs.field(factory=list)
    ended: list[Ended] = attrs.field(factory=list)
    previous: Annotated[str, C(max_length=64)] = ""
    key_check: Annotated[str, C(max_length=32)] = ""


Record = Genesis | StopNoted | ReleaseNoted | EpochNoted
_KINDS: dict[str, type[Record]] = {
    "genesis": Genesis,
    "stop": StopNoted,
    "release": ReleaseNoted,
    "epoch": EpochNoted,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class JournalState(Enum):
    """NEW: no file. TORN: ends within a line. CORRUPT: a line is not what was written. FOREIGN: another platform's."""

    NEW = "new"
    VERIFIED = "verified"
    TORN = "torn"
    CORRUPT = "corrupt"
    FOREIGN = "foreign"


@attrs.frozen(kw_only=True)
class Replayed:
    """What the records add up to. ``stops`` has the details of every stop in ``register``.

    ``releases`` has the highest epoch of every release, also of stops that only the database could take.
    """

    register: Register = attrs.field(factory=Register)
    stops: dict[str, StopNoted] = attrs.field(factory=dict)
    releases: dict[str, int] = attrs.field(factory=dict)

    def after(self, record: Record) -> "Replayed":
        match record:
            case Genesis():
                carried = attrs.evolve(self, register=self.register.at_least(record.floor))
                for stop in record.stops:
                    carried = carried.after(stop)
                for one in record.ended:
                    carried = carried.after(one.stop).released([one.stop.stop_id], one.released_epoch)
                return carried
            case StopNoted():
                register = self.register.with_stop(record.stop_id, record.entry())
                if (released := self.releases.get(record.stop_id)) is not None:
                    register = register.with_release([record.stop_id], released)  # written before the stop itself
                merged = register.entries[record.stop_id]
                known = self.stops.get(record.stop_id, record)
                newest = record if record.stop_epoch >= known.stop_epoch else known  # as in every other copy
                noted = evolve(newest, scope=merged.scope, level=merged.level, stop_epoch=merged.stop_epoch)
                return attrs.evolve(self, register=register, stops={**self.stops, record.stop_id: noted})
            case ReleaseNoted():
                return self.released(record.stop_ids, record.epoch)
            case EpochNoted():
                return attrs.evolve(self, register=self.register.at_least(record.epoch))

    def released(self, stop_ids: Iterable[str], epoch: int) -> "Replayed":
        raised = {i: max(epoch, self.releases.get(i, 0)) for i in stop_ids}
        register = self.register.with_release(raised, epoch)
        return attrs.evolve(self, register=register, releases={**self.releases, **raised})

    def open_stops(self) -> list[StopNoted]:
        return [self.stops[stop_id] for stop_id, _ in self.register.open_stops()]

    def ended(self) -> list[Ended]:
        """The stops that were released last, oldest first: only those whose release is in a journal."""
        over = [(epoch, i) for i, epoch in self.releases.items() if i in self.stops and self._is_over(i, epoch)]
        return [Ended(stop=self.stops[i], released_epoch=epoch) for epoch, i in sorted(over)[-REMEMBERED:]]

    def _is_over(self, stop_id: str, epoch: int) -> bool:
        return self.register.entries[stop_id].stop_epoch <= epoch


@attrs.frozen(kw_only=True)
class JournalReading:
    """What a file says. ``records``: up to the first that could not be verified; ``reason`` says what is wrong."""

    state: JournalState
    records: tuple[Record, ...] = ()
    last_mac: bytes = attrs.field(default=_NO_MAC, repr=False)
    reason: str = ""

    @property
    def genesis(self) -> Genesis | None:
        first = self.records[0] if self.records else None
        return first if isinstance(first, Genesis) else None

    @property
    def last_epoch(self) -> int:
        return self.replayed().register.epoch

    def replayed(self) -> Replayed:
        return replay(self.records)


def replay(records: Iterable[Record]) -> Replayed:
    state = Replayed()
    for record in records:
        state = state.after(record)
    return state


def key_check(key: bytes) -> str:
    return hashlib.blake2b(b"", key=key, digest_size=16, person=b"wk jrnl check").hexdigest()


def encode(key: bytes, previous: bytes, number: int, record: Record) -> tuple[bytes, bytes]:
    """The line of a record, with its newline, and its MAC; ``previous`` is the MAC of the line before (b"": none)."""
    body = dump({"n": number, "kind": _NAMES[type(record)], "record": unstructure(record)}).encode()
    body = body[:-1]  # the MAC goes inside the object
    mac = _mac(key, previous or _NO_MAC, body)
    return body + _SEAL + mac.hex().encode() + _END + b"\n", mac


def verify(data: bytes, key: bytes) -> JournalReading:
    """Reads the bytes of a file. Never raises: whatever is wrong is the reading's state and reason."""
    lines = data.split(b"\n")
    tail = lines.pop()
    records: list[Record] = []
    mac = _NO_MAC
    for number, line in enumerate(lines):
        found = _verified(line, key, mac, number)
        if found is None:
            state = _of_another_key(line, key) if number == 0 else JournalState.CORRUPT
            return _reading(state, records, mac, f"record {number} is not what was written")
        record, mac = found
        if isinstance(record, Genesis) != (number == 0):
            return _reading(JournalState.CORRUPT, records, mac, f"record {number} is out of place")
        records.append(record)
    if tail:
        return _reading(JournalState.TORN, records, mac, f"ends within record {len(records)}")
    if not records:
        return _reading(JournalState.TORN, records, mac, "is empty")
    return _reading(JournalState.VERIFIED, records, mac, "")


def _reading(state: JournalState, records: list[Record], mac: bytes, reason: str) -> JournalReading:
    return JournalReading(state=state, records=tuple(records), last_mac=mac, reason=reason)


def _verified(line: bytes, key: bytes, previous: bytes, number: int) -> tuple[Record, bytes] | None:
    body, seal = line[: -(len(_SEAL) + _MAC_HEX + len(_END))], line[-(len(_SEAL) + _MAC_HEX + len(_END)) :]
    mac = _mac(key, previous, body)
    if not hmac.compare_digest(seal, _SEAL + mac.hex().encode() + _END):
        return None
    try:
        said: dict[str, Any] = json.loads(body + b"}")
        record: Record = structure(said["record"], _KINDS[said["kind"]])
    except (ValueError, KeyError, TypeError, WireError):
        return None
    return (record, mac) if said["n"] == number else None


def _of_another_key(line: bytes, key: bytes) -> JournalState:
    """A genesis that is whole but was sealed with another key belongs to another home."""
    try:
        told = json.loads(line)["record"]["key_check"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return JournalState.CORRUPT
    is_foreign = isinstance(told, str) and len(told) == len(key_check(key)) and told != key_check(key)
    return JournalState.FOREIGN if is_foreign else JournalState.CORRUPT


def _mac(key: bytes, previous: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(previous + body, key=key, digest_size=32, person=b"wk journal").digest()
