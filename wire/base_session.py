"""What both sides of an engine link do alike: numbers, acks, nacks, gaps, the order of sending. No input or output.

The sides differ in who greets, who beats and who grants; see ``engine_session`` and ``platform_session``. A session
is driven by four calls, always with the monotonic time in seconds: ``receive`` what arrived, ``tick`` when ``deadline``
has passed, ``committed`` when a message is durable, ``take`` what is to be written. None of them waits.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import attrs

from wire.closing import CloseCode
from wire.envelope import Envelope, Frame, is_durable_id, read_frame, write_frame
from wire.errors import InvalidField, TooLarge, UnknownType, WireError
from wire.events import Acknowledged, CloseLink, Event, Lost, Received, Refused, Rejected, State
from wire.lanes import LANES, Lane
from wire.messages import Ack, EmergencyStop, Fill, GapFill, Nack, ParameterUpdate, StrategyCommand, TradeLog, Welcome
from wire.numbering import Inbound, Verdict
from wire.outbox import Letter, Outbox
from wire.schema import changed
from wire.tailor import maker
from wire.values import MAX_FRAME_BYTES, GapCause

CONTROL_LIMIT = 256
NOTHING = frozenset[str]()
_received = maker(Received)


def utc_now() -> datetime:
    return datetime.now(UTC)


def fresh_ids() -> Callable[[], str]:
    """A source of ids that no other process and no other run of this one gives out."""
    prefix, numbers = secrets.token_hex(8), count(1)
    return lambda: f"{prefix}-{next(numbers)}"


@attrs.frozen(kw_only=True)
class SessionStatistics:
    """Counters since the object was made; ``unacked`` and ``waiting`` are of this moment."""

    state: State
    session: str
    epoch: int
    received: int
    sent: int
    duplicates: int
    rejected: int
    refused: int
    last_recv: int
    committed: int
    next_seq: int
    unacked: int
    waiting: int
    lost: int
    expired: int
    last_heard: float | None


@attrs.frozen(kw_only=True)
class Control:
    """A control frame that waits. ``make`` is called when it is written, so that what it says is true then."""

    make: Callable[[float], Any]
    id: str | None = None
    re: str | None = None


class BaseSession:
    """Not used itself: see PlatformSession and EngineSession."""

    transitions: Mapping[tuple[State, str], State]
    known: Mapping[str, type]
    lossless: frozenset[str]
    """The types of ``known`` that wait for a commit, as far as a LIVE link may receive them."""

    def __init__(
        self,
        engine_id: str,
        *,
        outbox: Outbox,
        clock: Callable[[], datetime],
        ids: Callable[[], str] | None,
        understood: Iterable[str],
    ) -> None:
        self.engine_id = engine_id
        self.state = State.IDLE
        self.session = ""
        self.epoch = 0
        self.connection = 0
        self.last_heard: float | None = None
        self.outbox = outbox
        self.inbound = Inbound()
        self.offline_after = 15.0
        self._clock = clock
        self._ids = ids or fresh_ids()
        self._understood = frozenset(understood) or NOTHING
        self._control: list[Control] = []
        self._received = self._sent = self._duplicates = self._rejected = self._refused = 0

    # --- receiving ------------------------------------------------------------------------------------------------

    def receive(self, text: str | bytes, now: float) -> list[Event]:
        """What a frame means. Never raises for what a peer sends; a closed session ignores everything."""
        if self.state in (State.CLOSED, State.IDLE):
            return []
        try:
            frame = read_frame(text, self.known, self._understood)
        except TooLarge:
            return self.close(CloseCode.TOO_LARGE)
        except WireError as error:
            return [self._rejection("", None, None, error), *self.close(CloseCode.MALFORMED)]
        self._received += 1
        if frame.envelope is None:
            return self._on_invalid(frame, now)
        if frame.envelope.engine_id != self.engine_id:
            return self.close(CloseCode.FORBIDDEN)
        self.last_heard = now
        return self._on_valid(frame, frame.envelope, now)

    def _on_valid(self, frame: Frame, envelope: Envelope, now: float) -> list[Event]:
        if (
            frame.seq == self.inbound.last + 1
            and self.state is State.LIVE
            and envelope.ack is None
            and frame.type in self.lossless
        ):  # nearly every frame; what follows would say the same of it
            self.inbound.take(frame.seq)
            return [self._event(frame, envelope)]
        following = self.transitions.get((self.state, frame.type))
        if following is None:
            return [*self._stop_out_of_place(frame, envelope), *self.close(CloseCode.MALFORMED)]
        events = self._on_ack(envelope.ack) if envelope.ack is not None and self.state is State.LIVE else []
        if self.state is State.CLOSED:
            return events
        if LANES[type(frame.message)] is not Lane.CONTROL:
            return events + self._on_data(frame, envelope, now)
        if frame.seq is not None:
            return events + self.close(CloseCode.MALFORMED)
        self.state = following
        return events + self._on_control(frame, envelope, now)

    def _on_data(self, frame: Frame, envelope: Envelope, now: float) -> list[Event]:
        if frame.seq is None:
            problem = InvalidField("a message that is not control needs a number", field="seq")
            return [*self._stop_out_of_place(frame, envelope), self._nack(frame, problem)]
        match self.inbound.judge(frame.seq):
            case Verdict.NEXT:
                if LANES[type(frame.message)] is Lane.CONFLATED:
                    self.inbound.count(frame.seq, now)
                else:
                    self.inbound.take(frame.seq)
                return [self._event(frame, envelope)]
            case Verdict.SEEN:
                self._duplicates += 1
                self.inbound.seen_again()
                return []
            case Verdict.GAP:
                return [*self._stop_out_of_place(frame, envelope), *self.close(CloseCode.SEQUENCE_GAP)]

    def _on_control(self, frame: Frame, envelope: Envelope, now: float) -> list[Event]:
        match frame.message:
            case Ack(seq=seq):
                answered = [self._event(frame, envelope)] if envelope.re is not None else []
                return self._on_ack(seq) + answered
            case Nack() as nack:
                self._refused += 1
                return [Refused(nack=nack)]
            case GapFill() as gap:
                return self._on_gap_fill(gap, now)
        return [self._event(frame, envelope)]

    def _on_ack(self, seq: int) -> list[Event]:
        ids = self.outbox.acknowledge(seq)
        if ids is None:
            return self.close(CloseCode.SEQUENCE_GAP)
        return [Acknowledged(ids=ids)] if ids else []

    def _on_resume(self, ids: tuple[str, ...] | None) -> list[Event]:
        return [Acknowledged(ids=ids)] if ids else []

    def _on_gap_fill(self, gap: GapFill, now: float) -> list[Event]:
        if gap.from_seq > self.inbound.last + 1 or gap.to_seq < gap.from_seq:
            return self.close(CloseCode.SEQUENCE_GAP)
        if gap.to_seq <= self.inbound.last:
            self.inbound.seen_again()
            return []
        self.inbound.count(gap.to_seq, now)
        return [Lost(count=gap.lost)] if gap.cause is GapCause.LOST and gap.lost else []

    def _on_invalid(self, frame: Frame, now: float) -> list[Event]:
        """Counted and nacked, so that what nobody can execute is not repeated for ever. Never a close when live."""
        error = frame.error or InvalidField("is not valid")
        if self.state is not State.LIVE and (frame.seq is not None or not isinstance(error, UnknownType)):
            return [self._nack(frame, error), *self.close(CloseCode.MALFORMED)]
        if frame.seq is not None:
            match self.inbound.judge(frame.seq):
                case Verdict.GAP:
                    return self.close(CloseCode.SEQUENCE_GAP)
                case Verdict.SEEN:
                    self._duplicates += 1
                    self.inbound.seen_again()
                    return []
                case Verdict.NEXT:
                    self.inbound.count(frame.seq, now)
        if frame.type == "nack":
            return [self._rejection(frame.type, frame.seq, frame.id, error)]
        rejected = self._nack(frame, error)
        return [rejected] if len(self._control) <= CONTROL_LIMIT else [rejected, *self.close(CloseCode.RATE_LIMITED)]

    def _stop_out_of_place(self, frame: Frame, envelope: Envelope) -> list[Event]:
        """A stop is never refused for where it stands. It is idempotent, so executing it early does no harm."""
        if not isinstance(frame.message, EmergencyStop):
            return []
        return [attrs.evolve(self._event(frame, envelope), seq=None)]

    def _event(self, frame: Frame, envelope: Envelope) -> Received:
        return _received(frame.message, frame.seq, frame.id, envelope.re, envelope.timestamp, self.connection)

    def _rejection(self, kind: str, seq: int | None, id: str | None, error: WireError, payload: Any = None) -> Rejected:
        self._rejected += 1
        return Rejected(type=kind[:64], seq=seq, id=id, error=error, payload=payload)

    def _nack(self, frame: Frame, error: WireError) -> Rejected:
        reason = error.reason if error.field is None else f"{error.field}: {error.reason}"
        nack = Nack(code=error.code, reason=reason[:2000], seq=frame.seq, re=frame.id)
        self._say(lambda _: nack, re=frame.id)
        return self._rejection(frame.type, frame.seq, frame.id, error, frame.payload)

    # --- sending --------------------------------------------------------------------------------------------------

    def send(
        self,
        message: Any,
        *,
        id: str | None = None,
        re: str | None = None,
        expires_at: float | None = None,
        crit: tuple[str, ...] = (),
    ) -> bool:
        """Puts a message on its way; nothing is written before ``take``. False when the outbox was full and it is lost.

        A lossless message waits until it is acknowledged, over any number of connections. A conflated one replaces its
        unsent predecessor. ``expires_at`` (monotonic) is for parameter updates and strategy commands alone. A release
        withdraws its stops.
        """
        if isinstance(message, TradeLog | Fill):
            id = id or message.id
        if id is not None and not is_durable_id(id):
            raise ValueError("a durable id is 1 to 64 visible ASCII characters")
        if LANES[type(message)] is Lane.CONTROL:
            self._say(lambda _: message, id=id, re=re)
            return True
        letter = Letter(
            message=message, id=id or self._ids(), timestamp=self._clock(), re=re, expires_at=expires_at, crit=crit
        )
        return self.outbox.put(letter)

    def stop_frame(self, stop: EmergencyStop, *, id: str) -> str | None:
        """``send`` and ``take`` of a stop in one: its frame, to be written now. None where something goes before it, or
        before the welcome; then nothing was done."""
        if self._control or self.state is not State.LIVE:
            return None
        letter = Letter(message=stop, id=id, timestamp=self._clock())
        seq = self.outbox.number(letter)
        if seq is None:
            return None
        self._sent += 1
        return self._write(stop, seq=seq, id=id, at=letter.timestamp)

    def take(self, now: float, *, limit: int = 16) -> list[str]:
        """At most ``limit`` frames to write now, in this order. Numbers are given here, so call it again after writing:
        a stop that comes meanwhile is then the next frame."""
        frames: list[str] = []
        while len(frames) < limit and (frame := self._next_frame(now)) is not None:
            frames.append(frame)
        self._sent += len(frames)
        return frames

    def committed(self, seq: int, now: float, *, connection: int | None = None) -> None:
        """Everything received up to ``seq`` is durable. With the event's ``connection``, one of an older is ignored."""
        if connection is None or connection == self.connection:
            self.inbound.commit(seq, now)

    def _next_frame(self, now: float) -> str | None:
        if self._control:
            waiting = self._control.pop(0)
            return self._write(waiting.make(now), id=waiting.id, re=waiting.re)
        if self.state is not State.LIVE:
            return None
        if (letter := self._next_letter(now)) is not None:
            return letter
        if self.inbound.is_due(now):
            return self._write(Ack(seq=self.inbound.committed))
        return None

    def _next_letter(self, now: float) -> str | None:
        sending = self.outbox.take(now)
        if sending is None:
            return None
        letter = sending.letter
        if sending.gap is not None:
            return self._fill(sending.from_seq, sending.to_seq, sending.gap, letter.lost)
        message = letter.message
        if isinstance(message, ParameterUpdate | StrategyCommand) and letter.expires_at is not None:
            message = changed(message, expires_ms=int((letter.expires_at - now) * 1000))
        frame = self._write(
            message, seq=sending.from_seq, id=letter.id, re=letter.re, crit=letter.crit, at=letter.timestamp
        )
        if len(frame) * 4 <= MAX_FRAME_BYTES or len(frame.encode()) <= MAX_FRAME_BYTES:
            return frame
        self.outbox.spoil(sending.from_seq)
        return self._fill(sending.from_seq, sending.to_seq, GapCause.LOST, 1)

    def _fill(self, from_seq: int, to_seq: int, cause: GapCause, lost: int) -> str:
        return self._write(GapFill(from_seq=from_seq, to_seq=to_seq, cause=cause, lost=lost or None))

    def _write(
        self,
        message: Any,
        *,
        seq: int | None = None,
        id: str | None = None,
        re: str | None = None,
        crit: tuple[str, ...] = (),
        at: datetime | None = None,
    ) -> str:
        ack = self.inbound.news() if self.state is State.LIVE and not isinstance(message, Welcome) else None
        if ack is not None:
            self.inbound.told(ack)
        at = at or self._clock()
        ack = None if isinstance(message, Ack) else ack
        return write_frame(message, engine_id=self.engine_id, timestamp=at, seq=seq, ack=ack, id=id, re=re, crit=crit)

    def _say(self, make: Callable[[float], Any], *, id: str | None = None, re: str | None = None) -> None:
        if self.state is not State.IDLE:
            self._control.append(Control(make=make, id=id, re=re))

    # --- time -----------------------------------------------------------------------------------------------------

    def deadline(self, *, writable: bool = True) -> float | None:
        """When ``tick`` (and then ``take``) must be called even if nothing happens; None: not at all. Not ``writable``:
        while nothing can be written, what has to be written is no reason."""
        due = self.inbound.due_at if writable and self.state is State.LIVE else None
        return min((t for t in (due, *self._deadlines()) if t is not None), default=None)

    def tick(self, now: float) -> list[Event]:
        """Does what is due. Calling it early or late is harmless."""
        if self.state is State.LIVE and (offline := self._offline_at()) is not None and now >= offline:
            return self.close(CloseCode.TIMEOUT)
        return []

    def _deadlines(self) -> list[float | None]:
        return [self._offline_at()] if self.state is State.LIVE else []

    def _offline_at(self) -> float | None:
        return None if self.last_heard is None else self.last_heard + self.offline_after

    def close(self, code: CloseCode) -> list[Event]:
        """Ends the connection from this side: nothing received after this is looked at."""
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        return [CloseLink(code=code, reason=code.reason)]

    def statistics(self) -> SessionStatistics:
        return SessionStatistics(
            state=self.state,
            session=self.session,
            epoch=self.epoch,
            received=self._received,
            sent=self._sent,
            duplicates=self._duplicates,
            rejected=self._rejected,
            refused=self._refused,
            last_recv=self.inbound.last,
            committed=self.inbound.committed,
            next_seq=self.outbox.next_seq,
            unacked=self.outbox.unacked,
            waiting=self.outbox.waiting,
            lost=self.outbox.lost,
            expired=self.outbox.expired,
            last_heard=self.last_heard,
        )
