"""The engine's side of the link: one session over any number of connections.

It keeps every lossless message until the platform has committed it, resumes or renumbers as the welcome says, beats on
a fixed grid, and keeps the books of the lease: how long the engine may open orders without hearing from the platform.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from math import floor
from typing import Any

import attrs

from wire.base_session import BaseSession, utc_now
from wire.closing import CloseCode
from wire.envelope import Envelope, Frame
from wire.events import ENGINE_TRANSITIONS, Event, LeaseGranted, State, lossless_types
from wire.lanes import ENGINE_DOWN
from wire.messages import ErrorReport, Heartbeat, HeartbeatAck, Hello, Welcome
from wire.outbox import Outbox
from wire.parts import Clocks, Resume
from wire.skew import Skew
from wire.stops import Level
from wire.values import ErrorCategory, Severity

OUTBOX_CAPACITY = 10_000
WELCOME_TIMEOUT_S = 15.0
MIN_HEARTBEAT_S = 0.1
TOKEN_REFRESH_AT = 0.6
BEATS_REMEMBERED = 16
OVERFLOW = ErrorReport(
    code="error_outbox_full",
    category=ErrorCategory.LINK,
    reason="there was no room for messages to the platform: some are lost",
    severity=Severity.ERROR,
    degraded=True,
)


@attrs.frozen(kw_only=True)
class Vitals:
    """What the engine says of itself in every heartbeat; asked for at the moment the heartbeat is written."""

    stop_epoch: int
    level: Level
    synced: bool
    clocks: Clocks = attrs.field(factory=Clocks)


class EngineSession(BaseSession):
    """``hello`` makes the hello around the resume part; ``vitals`` what heartbeats say.

    ``lease_clock`` gives seconds that go on while the machine sleeps (CLOCK_BOOTTIME); without it the lease is counted
    in the ``now`` of the calls.
    """

    transitions = ENGINE_TRANSITIONS
    known = ENGINE_DOWN
    lossless = lossless_types(ENGINE_TRANSITIONS, ENGINE_DOWN)

    def __init__(
        self,
        engine_id: str,
        *,
        hello: Callable[[Resume], Hello],
        vitals: Callable[[], Vitals],
        outbox: Outbox | None = None,
        clock: Callable[[], datetime] = utc_now,
        lease_clock: Callable[[], float] | None = None,
        ids: Callable[[], str] | None = None,
        understood: Iterable[str] = (),
    ) -> None:
        outbox = outbox if outbox is not None else Outbox(capacity=OUTBOX_CAPACITY)
        super().__init__(engine_id, outbox=outbox, clock=clock, ids=ids, understood=understood)
        self.resumed = False
        self.lease_expires_at: float | None = None
        self.token_refresh_at: float | None = None
        self._hello = hello
        self._vitals = vitals
        self._lease_clock = lease_clock
        self._welcome_by: float | None = None
        self._hello_sent_at = 0.0
        self._period = 5.0
        self._grid_origin = 0.0
        self._grid_place = 0
        self._next_beat_at: float | None = None
        self._beat_waits = False
        self._beats: dict[int, tuple[float, datetime]] = {}
        self._beat = 0
        self._answered = 0
        self._skew = Skew()
        self._overflowing = False

    # --- connections ----------------------------------------------------------------------------------------------

    def connected(self, now: float) -> None:
        """A socket is open: the hello is the first frame. What was received and not committed is forgotten."""
        if self.state not in (State.IDLE, State.CLOSED):
            raise RuntimeError(f"a connection is open already: this session is {self.state.value}")
        self.state = State.AWAITING
        self.connection += 1
        self.inbound.restart(self.inbound.committed)
        self._control.clear()
        self._welcome_by = now + WELCOME_TIMEOUT_S
        self._say(self._make_hello)

    def disconnected(self) -> None:
        """The socket is gone. The outbox and the lease go on."""
        self.state = State.IDLE
        self._control.clear()
        self._beats.clear()
        self._next_beat_at = None
        self._beat_waits = False

    @property
    def is_resumable(self) -> bool:
        """Whether the next hello can ask to go on with a session; then the first retry may be quick."""
        return bool(self.session)

    @property
    def skew_ms(self) -> int | None:
        """How far this machine's clock is ahead of the platform's; None before the first answered heartbeat."""
        return self._skew.ms

    def send(
        self,
        message: Any,
        *,
        id: str | None = None,
        re: str | None = None,
        expires_at: float | None = None,
        crit: tuple[str, ...] = (),
    ) -> bool:
        """As for every session. When the outbox first overflows, a report of it takes one of the reserved places."""
        lost = self.outbox.lost
        sent = super().send(message, id=id, re=re, expires_at=expires_at, crit=crit)
        overflows = self.outbox.lost > lost
        if overflows and not self._overflowing:
            super().send(OVERFLOW)
        self._overflowing = overflows or (self._overflowing and self.outbox.is_full)
        return sent

    def token_renewed(self, lives_s: float, now: float) -> None:
        """A fresh token was accepted; the next refresh is due after 60 % of its life."""
        self.token_refresh_at = now + lives_s * TOKEN_REFRESH_AT

    def revoke_lease(self) -> None:
        """For an application that does not take the welcome, for instance of another platform."""
        self.lease_expires_at = None

    def _make_hello(self, now: float) -> Hello:
        self._hello_sent_at = self._lease_now(now)
        if not self.session:
            return self._hello(Resume())
        first = self.outbox.acked + 1
        return self._hello(
            Resume(
                session=self.session,
                last_recv=self.inbound.last,
                next_seq=self.outbox.next_seq,
                first_unacked=first,
            )
        )

    # --- the platform's control messages --------------------------------------------------------------------------

    def _on_control(self, frame: Frame, envelope: Envelope, now: float) -> list[Event]:
        match frame.message:
            case Welcome() as welcome:
                events = self._on_welcome(welcome, now)
                if self.state is State.CLOSED:
                    return events
                lease = self._lease(self._hello_sent_at, welcome.lease_ms, welcome.stop.epoch)
                return [*events, self._event(frame, envelope), *lease]
            case HeartbeatAck() as answer:
                if answer.last_seq > self.inbound.last:
                    return self.close(CloseCode.SEQUENCE_GAP)
                return [self._event(frame, envelope), *self._on_answer(answer)]
        return super()._on_control(frame, envelope, now)

    def _on_welcome(self, welcome: Welcome, now: float) -> list[Event]:
        events: list[Event] = []
        if welcome.resumed:
            ids = self.outbox.resume(welcome.last_recv) if welcome.session == self.session else None
            if ids is None:
                # The platform counts otherwise than we do, so nothing can be continued: begin anew.
                self.session = ""
                return self.close(CloseCode.SESSION_UNKNOWN)
            events = self._on_resume(ids)
        else:
            self.outbox.renumber()
            self.inbound.restart(0)
        self.session, self.epoch, self.resumed = welcome.session, welcome.epoch, welcome.resumed
        self._take_limits(welcome, now)
        return events

    def _take_limits(self, welcome: Welcome, now: float) -> None:
        limits = welcome.limits
        self.outbox.window = max(1, limits.window)
        self.inbound.delay = limits.ack_delay_ms / 1000
        self.offline_after = limits.offline_ms / 1000
        self._period = max(MIN_HEARTBEAT_S, limits.heartbeat_ms / 1000)
        self._grid_origin = self._next_beat_at = now
        self._grid_place = 0
        self.token_renewed((welcome.token_expires - welcome.server_time).total_seconds(), now)

    # --- heartbeats and the lease ---------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Event]:
        if self.state is State.AWAITING and self._welcome_by is not None and now >= self._welcome_by:
            return self.close(CloseCode.TIMEOUT)
        events = super().tick(now)
        if self.state is State.LIVE and self._next_beat_at is not None and now >= self._next_beat_at:
            # The next beat stands on the grid of the welcome, however late this one is: the interval does not drift.
            # Always one place further at least, since the division may round to just below the place reached.
            self._grid_place = max(self._grid_place, floor((now - self._grid_origin) / self._period)) + 1
            self._next_beat_at = self._grid_origin + self._grid_place * self._period
            if not self._beat_waits:
                self._beat_waits = True
                self._say(self._make_heartbeat)
        return events

    def _deadlines(self) -> list[float | None]:
        if self.state is State.AWAITING:
            return [self._welcome_by]
        return [*super()._deadlines(), self._next_beat_at if self.state is State.LIVE else None]

    def _make_heartbeat(self, now: float) -> Heartbeat:
        self._beat_waits = False
        self._beat += 1
        self._beats[self._beat] = (self._lease_now(now), self._clock())
        if len(self._beats) > BEATS_REMEMBERED:
            del self._beats[min(self._beats)]
        vitals = self._vitals()
        return Heartbeat(
            n=self._beat,
            sent_ms=int(now * 1000),
            last_seq=self.outbox.written,
            last_recv=self.inbound.committed,
            stop_epoch=vitals.stop_epoch,
            level=vitals.level,
            synced=vitals.synced,
            clocks=vitals.clocks,
        )

    def _on_answer(self, answer: HeartbeatAck) -> list[Event]:
        beat = self._beats.get(answer.n)
        if beat is None or answer.n <= self._answered:
            return []
        asked_at, sent = beat
        self._answered = answer.n
        self._beats = {n: at for n, at in self._beats.items() if n > answer.n}
        self._skew.add(sent, answer.recv_at, answer.reply_at, self._clock())
        return self._lease(asked_at, answer.lease_ms, answer.stop.epoch)

    def _lease(self, sent_at: float, lease_ms: int, stop_epoch: int) -> list[Event]:
        """A lease counts from when we asked. A frame that does not know of our newest stop gives none."""
        if stop_epoch < self._vitals().stop_epoch:
            return []
        self.lease_expires_at = sent_at + lease_ms / 1000
        return [LeaseGranted(expires_at=self.lease_expires_at)]

    def _lease_now(self, now: float) -> float:
        return now if self._lease_clock is None else self._lease_clock()
