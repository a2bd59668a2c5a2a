"""One stop beyond its entry in the register: who wanted it, how far each engine is, what happened when."""

import zlib
from collections.abc import Iterable

import attrs

from actors.stops.effects import RaiseAlert, Words
from actors.stops.parts import MOST_WORDS, Instant, Part, lost, restored_part, state_of
from wire.codec import decode, encode
from wire.errors import WireError
from wire.messages import EmergencyStop
from wire.rest.engines import OpenStop
from wire.rest.stops import EmergencyStopResult, Stop, StopState, TimelineEvent
from wire.stops import Entry, Level, Scope, StopRecord

TIMEOUT_MS = 30_000
TIMELINE_LIMIT, EVENTS_AN_ENGINE = 1000, 12
"""How long the story of a stop may become: for a large fleet every engine has room for its phases, retries included."""
OWN_EVENTS = 100
"""Beyond that, room for what is decided of the stop as a whole: that it was raised, released, by whom."""
PLATFORM = "platform"
CORRUPT_LATCH = "corrupt_latch"
WAIVED = "waived"
"""The cause of a stop that a release left for an engine that was waived."""
TRIGGERED = "trigger:"
"""How the causes begin that no person has: whatever such a stop repeats is not said again by anybody."""


@attrs.define(kw_only=True)
class Run:
    """Everything known of one stop beyond its entry in the register. ``again``: a person asked for it anew at this
    epoch; a platform that was restarted has forgotten that, and the person may say it once more."""

    stop_id: str
    words: Words
    scope: Scope
    level: Level
    epoch: int
    proof: str
    durable: bool = False
    again: bool = False
    released_at: Instant | None = None
    parts: dict[str, Part] = attrs.field(factory=dict)
    timeline: list[TimelineEvent] = attrs.field(factory=list)
    results: dict[str, tuple[Part, EmergencyStopResult]] = attrs.field(factory=dict)
    _record: StopRecord | None = None
    _open_stop: OpenStop | None = None
    _folded: bytes = b""
    ended: tuple[int, int, StopState] | None = None
    """Of one that is packed: how many engines had it, of how many, and its state."""
    is_foldable: bool = True
    is_continued: bool = False
    """What its timeline begins with is in the database only: it had been over for long when it was opened again."""

    @classmethod
    def restored(cls, view: Stop, entry: Entry, proof: str, now: Instant) -> "Run":
        """A stop as it was kept. Engines are not connected now: only what they verified at this epoch still holds."""
        same = (view.scope, view.level, view.epoch) == (entry.scope, entry.level, entry.stop_epoch)
        released = None if entry.is_open else Instant(now.mono, view.released_at or now.wall)
        words = Words(
            request_id=view.request_id,
            user_id=view.user_id,
            reason=view.reason,
            requested_at=view.requested_at,
            cause=view.cause,
            drill=view.drill,
            username=view.username,
        )
        parts = [restored_part(r, entry.stop_epoch, now) for r in view.results] if same or released else []
        return cls(
            stop_id=view.stop_id,
            words=words,
            scope=entry.scope,
            level=entry.level,
            epoch=entry.stop_epoch,
            proof=proof,
            durable=True,
            released_at=released,
            parts={p.engine_id: p if released else lost(p, now) for p in parts},
            timeline=list(view.timeline),
        )

    def record(self) -> StopRecord:
        """Made once: what it says of a run never changes."""
        if self._record is None:
            self._record = StopRecord(
                stop_id=self.stop_id, scope=self.scope, level=self.level, stop_epoch=self.epoch, proof=self.proof
            )
        return self._record

    def open_stop(self) -> OpenStop:
        if self._open_stop is None:
            self._open_stop = OpenStop(stop_id=self.stop_id, scope=self.scope, level=self.level, stop_epoch=self.epoch)
        return self._open_stop

    def message(self) -> EmergencyStop:
        return EmergencyStop(
            stop_id=self.stop_id,
            stop_epoch=self.epoch,
            scope=self.scope,
            level=self.level,
            proof=self.proof,
            timeout_ms=TIMEOUT_MS,
            reason=self.words.reason,
            user_id=self.words.user_id,
            drill=self.words.drill,
            again=self.again,
        )

    def note(
        self,
        now: Instant,
        event: str,
        engine_id: str | None = None,
        detail: str | None = None,
        *,
        level: Level | None = None,
    ) -> None:
        limit = max(TIMELINE_LIMIT, EVENTS_AN_ENGINE * len(self.parts)) + (0 if engine_id else OWN_EVENTS)
        if len(self.timeline) < limit:
            words = detail[:MOST_WORDS] if detail is not None else None
            told = TimelineEvent(at=now.wall, event=event, engine_id=engine_id, detail=words, level=level)
            self.timeline.append(told)

    def note_decided(self, now: Instant, event: str, engine_id: str | None = None, *, detail: str) -> None:
        """Something was decided of the stop as a whole: from here on it has this level."""
        self.note(now, event, engine_id, detail, level=self.level)

    def fold(self) -> bool:
        """A stop that is over: who, why and when stays as it is, how it went with each engine is packed until somebody
        asks. What an engine says of it does not count any more. False: it cannot be packed without loss."""
        view = self.view()
        packed = zlib.compress(encode(view).encode())
        try:
            lossless = _unfolded(packed) == view
        except WireError:
            lossless = False
        self.is_foldable = False  # once is enough, either way
        if lossless:
            self._folded, self.parts, self.timeline, self.results = packed, {}, [], {}
            self.ended = (view.delivered, view.engines, view.state)
        return lossless

    @property
    def is_folded(self) -> bool:
        return bool(self._folded)

    def join(self, earlier: Stop | None) -> None:
        """Puts what the database has told before that which came since."""
        if self.is_continued and earlier is not None:
            self.timeline[:0] = earlier.timeline
        self.is_continued = False

    def story(self) -> list[TimelineEvent]:
        return self.view().timeline if self._folded else self.timeline

    def view(self) -> Stop:
        if self._folded:
            return _unfolded(self._folded)
        return Stop(
            stop_id=self.stop_id,
            request_id=self.words.request_id,
            epoch=self.epoch,
            scope=self.scope,
            level=self.level,
            user_id=self.words.user_id,
            username=self.words.username,
            reason=self.words.reason,
            requested_at=self.words.requested_at,
            delivered=sum(p.acked for p in self.parts.values()),
            engines=len(self.parts),
            durable=self.durable,
            state=state_of(self.parts.values()),
            results=[self._result(p) for p in self.parts.values()],
            drill=self.words.drill,
            cause=self.words.cause,
            released_at=self.released_at.wall if self.released_at else None,
            timeline=list(self.timeline),
        )

    def _result(self, part: Part) -> EmergencyStopResult:
        cached = self.results.get(part.engine_id)
        if cached is None or cached[0] is not part:
            cached = self.results[part.engine_id] = (part, part.result())
        return cached[1]


def _unfolded(packed: bytes) -> Stop:
    text = zlib.decompress(packed)
    return decode(text, Stop, max_bytes=len(text))


def unknown_words(stop_id: str, now: Instant) -> Words:
    return Words(request_id=stop_id, user_id=PLATFORM, reason="open at start", requested_at=now.wall, cause="recovered")


def reopened_words(stop_id: str, engine_id: str, now: Instant) -> Words:
    return Words(
        request_id=stop_id,
        user_id=engine_id,
        reason=f"found in the latch of {engine_id}",
        requested_at=now.wall,
        cause="reopened",
    )


def damage_words(stop_id: str, engine_id: str, now: Instant) -> Words:
    reason = f"the stop latch of {engine_id} cannot be read"
    return Words(request_id=stop_id, user_id=PLATFORM, reason=reason, requested_at=now.wall, cause=CORRUPT_LATCH)


def alert(code: str, severity: str, reason: str, engine_id: str | None, stop_id: str | None) -> RaiseAlert:
    return RaiseAlert(code=code, severity=severity, reason=reason, engine_id=engine_id, stop_id=stop_id)


def detail(words: Words, level: Level) -> str:
    return f"{words.who}: {level.value} {words.reason}".strip()


def named(engine_ids: Iterable[str], most: int = 10) -> str:
    names = list(engine_ids)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
