"""What the stops of an engine's own latch teach the platform when it says hello. Pure.

Whatever the platform does not know is opened again, never dropped: with its whole scope when the platform's own proof
is on it, else for that engine alone. An engine can therefore stop itself, and nobody else, by what it claims.
"""

import hashlib
from collections.abc import Callable, Iterable

import attrs

from wire.stops import Entry, Level, Register, Scope, ScopeKind, StopRecord

MAX_EPOCH = 2**40
"""No engine may push the register further: epochs must stay exact in the database and in every JSON reader."""

OWN_STOPS = 256
"""Open stops of one engine by itself. One more that is no stricter takes nothing away that these leave: it is the
newest of them by another name, so that an engine that stops itself for ever fills no register, copy or frame."""

Check = Callable[[StopRecord], bool]


@attrs.frozen(kw_only=True)
class Reopened:
    """A stop that is open now because an engine remembered it. ``engines_id`` is the engine's own name for it."""

    stop_id: str
    engines_id: str
    proven: bool


@attrs.frozen(kw_only=True)
class Learned:
    """``names`` says under which id the platform keeps each of the engine's stops."""

    register: Register
    reopened: list[Reopened]
    names: dict[str, str]


def learn(register: Register, engine_id: str, stops: Iterable[StopRecord], is_ours: Check) -> Learned:
    """Merges the stops of a hello into the register."""
    names: dict[str, str] = {}
    reopened: list[Reopened] = []
    for record in stops:
        proven = bool(record.proof) and is_ours(record)
        stop_id, entry = _placed(register, engine_id, record, proven)
        names[record.stop_id] = stop_id
        before = register.entries.get(stop_id)
        register = register.with_stop(stop_id, entry)
        if not (before and before.is_open) and register.entries[stop_id].is_open:
            reopened.append(Reopened(stop_id=stop_id, engines_id=record.stop_id, proven=proven))
    return Learned(register=register, reopened=reopened, names=names)


def one_of_many(register: Register, engine_id: str, level: Level) -> str | None:
    """The newest open stop of this engine alone where so many, at least as strict, are open already; else None."""
    own = [
        (entry.stop_epoch, stop_id)
        for stop_id, entry in register.open_stops()
        if entry.scope.kind is ScopeKind.ENGINE and entry.scope.name == engine_id
    ]
    if len(own) < OWN_STOPS:
        return None
    rank = level.rank
    strict = [one for one in own if register.entries[one[1]].level.rank >= rank]
    return max(strict)[1] if len(strict) >= OWN_STOPS else None


def alias(engine_id: str, stop_id: str) -> str:
    """The platform's id for an engine's stop whose own id means another stop here. The same for ever."""
    digest = hashlib.blake2b(f"{engine_id}\n{stop_id}".encode(), digest_size=12).hexdigest()
    return f"local-{digest}"


def _placed(register: Register, engine_id: str, record: StopRecord, proven: bool) -> tuple[str, Entry]:
    claimed = Entry(record.scope, record.level, min(record.stop_epoch, MAX_EPOCH))
    if proven:
        return record.stop_id, claimed
    known = register.entries.get(record.stop_id)
    own = attrs.evolve(claimed, scope=Scope.of_engine(engine_id))
    if known is None and (newest := one_of_many(register, engine_id, record.level)) is not None:
        return newest, register.entries[newest]
    if known is None or known.scope == own.scope:
        return record.stop_id, own
    if record.stop_epoch <= max(known.stop_epoch, known.released_epoch or 0):
        return record.stop_id, known
    return alias(engine_id, record.stop_id), own
