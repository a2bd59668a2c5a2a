"""The lattice of stops: levels, scopes and the register whose copies always merge to the same truth.

A register maps a stop's id to what is known of it. Copies live in the platform's memory, its journal, its database
and in every engine's latch. They merge per id: union of stops, maximum of levels and epochs, union of releases. The
merge is commutative, associative and idempotent, so no order of arrival, no restart and no lost copy can undo a stop;
only a release that names the id and an epoch not below the stop's ends it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import total_ordering
from typing import Annotated, Self

import attrs

from wire.errors import InvalidField
from wire.schema import C, message

IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
SYMBOL = r"[A-Z0-9]{1,12}"
Identifier = Annotated[str, C(pattern=IDENTIFIER)]
Epoch = Annotated[int, C(ge=0)]


@total_ordering
class Level(Enum):
    """How much a stop takes away, in rising order.

    NORMAL nothing · REDUCE_ONLY only orders that reduce a position · HALT send nothing · CANCEL and cancel working
    orders · FLATTEN and close positions by reduce-only orders.
    """

    NORMAL = "NORMAL"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALT = "HALT"
    CANCEL = "CANCEL"
    FLATTEN = "FLATTEN"

    @property
    def rank(self) -> int:
        return _RANK[self]

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        return self.rank < other.rank


_RANK = {level: i for i, level in enumerate(Level)}


class ScopeKind(Enum):
    ALL = "all"
    ACCOUNT = "account"
    ENGINE = "engine"
    STRATEGY = "strategy"
    SYMBOL = "symbol"


@attrs.frozen
class Scope:
    """What a stop covers: ``all``, ``account:<id>``, ``engine:<id>``, ``strategy:<engine>/<id>``, ``symbol:<code>``."""

    kind: ScopeKind
    name: str = ""
    engine: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidField for anything that is not one of the five forms; it never guesses a narrower scope."""
        if text == "all":
            return cls(ScopeKind.ALL)
        head, colon, name = text.partition(":")
        kinds = {k.value: k for k in ScopeKind if k is not ScopeKind.ALL}
        if not colon or head not in kinds:
            raise InvalidField("must be all, account:<id>, engine:<id>, strategy:<engine>/<id> or symbol:<code>")
        kind, engine = kinds[head], None
        if kind is ScopeKind.STRATEGY:
            engine, slash, name = name.partition("/")
            if not slash or not _is_identifier(engine):
                raise InvalidField("a strategy scope is strategy:<engine>/<id>")
        if kind is ScopeKind.SYMBOL and not re.fullmatch(SYMBOL, name):
            raise InvalidField("symbol needs a stock code of capitals and digits (at most 12)")
        if not _is_identifier(name):
            raise InvalidField(f"{head} needs an id of letters, digits and _.:- (at most 64)")
        return cls(kind, name, engine)

    @classmethod
    def everything(cls) -> Self:
        return cls(ScopeKind.ALL)

    @classmethod
    def of_engine(cls, engine_id: str) -> Self:
        return cls(ScopeKind.ENGINE, engine_id)

    def __str__(self) -> str:
        if self.kind is ScopeKind.ALL:
            return "all"
        if self.kind is ScopeKind.STRATEGY:
            return f"strategy:{self.engine}/{self.name}"
        return f"{self.kind.value}:{self.name}"

    def concerns(self, engine_id: str, account_id: str | None) -> bool:
        """Whether an engine has anything to do for this stop. A symbol may be traded by any engine."""
        match self.kind:
            case ScopeKind.ALL | ScopeKind.SYMBOL:
                return True
            case ScopeKind.ACCOUNT:
                return account_id is None or account_id == self.name
            case ScopeKind.ENGINE:
                return engine_id == self.name
            case ScopeKind.STRATEGY:
                return engine_id == self.engine

    def covers(self, engine_id: str, account_id: str | None, strategy_id: str | None, symbol: str | None) -> bool:
        """Whether an order of this strategy in this symbol is under the stop. Not knowing (None) counts as covered."""
        if not self.concerns(engine_id, account_id):
            return False
        match self.kind:
            case ScopeKind.STRATEGY:
                return strategy_id is None or strategy_id == self.name
            case ScopeKind.SYMBOL:
                return symbol is None or symbol == self.name
            case _:
                return True


def _is_identifier(text: str) -> bool:
    return re.fullmatch(IDENTIFIER, text) is not None


@message
class StopRecord:
    """A stop as it travels. ``proof`` is the platform's MAC over the other fields, empty when an engine opened it."""

    stop_id: Identifier
    scope: Scope
    level: Level
    stop_epoch: Epoch
    proof: Annotated[str, C(max_length=128)] = ""


@message
class StopSnapshot:
    """The register as an engine may see it: its highest epoch, the open stops of that engine, and the ids released."""

    epoch: Epoch
    effective: list[StopRecord]
    released: list[Identifier]


@attrs.frozen
class Entry:
    """What a register knows of one stop. Open unless a release covers its epoch."""

    scope: Scope
    level: Level
    stop_epoch: int
    released_epoch: int | None = None

    @property
    def is_open(self) -> bool:
        return self.released_epoch is None or self.released_epoch < self.stop_epoch

    @property
    def highest(self) -> int:
        """The higher one of its epochs."""
        return max(self.stop_epoch, self.released_epoch or 0)

    def released_from(self, epoch: int) -> bool:
        """Whether a release covers this epoch of the stop."""
        return self.released_epoch is not None and self.released_epoch >= epoch

    def merge(self, other: "Entry") -> "Entry":
        """The least entry that is above both. Copies that disagree about the scope mean everything."""
        released = [e for e in (self.released_epoch, other.released_epoch) if e is not None]
        return Entry(
            scope=self.scope if self.scope == other.scope else Scope.everything(),
            level=max(self.level, other.level),
            stop_epoch=max(self.stop_epoch, other.stop_epoch),
            released_epoch=max(released, default=None),
        )


@attrs.frozen
class _Summary:
    """What is worked out of these ``entries``: the open ones, and the highest epoch."""

    entries: Mapping[str, Entry]
    open: Mapping[str, Entry]
    highest: int

    @classmethod
    def of(cls, entries: Mapping[str, Entry]) -> Self:
        highest = max((e.highest for e in entries.values()), default=0)
        return cls(entries, {i: e for i, e in entries.items() if e.is_open}, highest)

    def after(self, entries: Mapping[str, Entry], changed: Iterable[str]) -> "_Summary":
        """Of ``entries``, which differ from these in what is ``changed``; epochs only rise."""
        still, highest = dict(self.open), self.highest
        for stop_id in changed:
            entry = entries[stop_id]
            highest = max(highest, entry.highest)
            if entry.is_open:
                still[stop_id] = entry
            else:
                still.pop(stop_id, None)
        return _Summary(entries, still, highest)


@attrs.frozen
class Register:
    """An immutable register of stops; every change returns a new one. ``floor`` is an epoch seen elsewhere.

    It may hold every stop of many years: what is asked of the open ones does not look at the others.
    """

    entries: Mapping[str, Entry] = attrs.field(factory=dict)
    floor: int = 0
    _summary: _Summary | None = attrs.field(default=None, eq=False, repr=False)

    def _summed(self) -> _Summary:
        if self._summary is None or self._summary.entries is not self.entries:
            object.__setattr__(self, "_summary", _Summary.of(self.entries))
        assert self._summary is not None
        return self._summary

    @property
    def epoch(self) -> int:
        """The highest epoch found anywhere in this copy. The next one must be strictly above it."""
        return max(self.floor, self._summed().highest)

    def at_least(self, epoch: int) -> "Register":
        return Register(self.entries, max(self.floor, epoch), self._summed())

    def with_stop(self, stop_id: str, entry: Entry) -> "Register":
        known = self.entries.get(stop_id)
        entries = {**self.entries, stop_id: known.merge(entry) if known else entry}
        return Register(entries, self.floor, self._summed().after(entries, [stop_id]))

    def with_release(self, stop_ids: Iterable[str], epoch: int) -> "Register":
        """Releases what was open at ``epoch``. An id that is not known is left alone: nothing is released unseen."""
        entries, changed = dict(self.entries), []
        for stop_id in stop_ids:
            if (known := entries.get(stop_id)) is not None:
                entries[stop_id] = known.merge(attrs.evolve(known, released_epoch=epoch))
                changed.append(stop_id)
        return Register(entries, max(self.floor, epoch), self._summed().after(entries, changed))

    def merge(self, other: "Register") -> "Register":
        entries = dict(self.entries)
        for stop_id, entry in other.entries.items():
            known = entries.get(stop_id)
            entries[stop_id] = known.merge(entry) if known else entry
        return Register(entries, max(self.floor, other.floor))

    def open_stops(self) -> Iterator[tuple[str, Entry]]:
        return iter(self._summed().open.items())

    def released_ids(self) -> list[str]:
        return [stop_id for stop_id, entry in self.entries.items() if not entry.is_open]

    def denied_by(self, other: "Register") -> list[str]:
        """The stops that are open here, and that the other copy takes for released."""
        return [i for i, e in self.open_stops() if (other.entries.get(i) or e).released_from(e.stop_epoch)]

    def concerning(self, engine_id: str, account_id: str | None) -> list[tuple[str, Entry]]:
        """The open stops for which this engine has something to do."""
        return [(i, e) for i, e in self.open_stops() if e.scope.concerns(engine_id, account_id)]

    def level_for(
        self,
        engine_id: str,
        account_id: str | None,
        strategy_id: str | None = None,
        symbol: str | None = None,
    ) -> Level:
        """The maximum over the open stops that cover this; NORMAL when none does."""
        covering = (e.level for _, e in self.open_stops() if e.scope.covers(engine_id, account_id, strategy_id, symbol))
        return max(covering, default=Level.NORMAL)

    def engine_level(self, engine_id: str, account_id: str | None) -> Level:
        """The level that holds for the engine as a whole: stops of a strategy or symbol do not count."""
        whole = (ScopeKind.ALL, ScopeKind.ACCOUNT, ScopeKind.ENGINE)
        levels = (e.level for _, e in self.concerning(engine_id, account_id) if e.scope.kind in whole)
        return max(levels, default=Level.NORMAL)
