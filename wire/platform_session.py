"""The platform's side of one connection of an engine.

A connection begins AWAITING a hello. The application answers it with ``welcome``, after the work of the engine's older
connection is committed or dropped: the welcome is a barrier. What outlives a connection leaves it by ``detach`` and
enters the next one by ``welcome(detached=…)``, which decides whether the session is resumed or numbered afresh.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import attrs

from wire.base_session import BaseSession, Control, utc_now
from wire.closing import CloseCode
from wire.envelope import Envelope, Frame
from wire.errors import WireError
from wire.events import PLATFORM_TRANSITIONS, Event, Received, State, lossless_types
from wire.lanes import ENGINE_UP
from wire.messages import PROTOCOL, Ack, Auth, EmergencyStop, Heartbeat, HeartbeatAck, Hello, Nack, Release, Welcome
from wire.outbox import Outbox
from wire.parts import LeaseExpiry, Limits
from wire.schema import changed
from wire.stops import StopSnapshot

WINDOW = 64
OUTBOX_CAPACITY = 1000
HELLO_TIMEOUT_S = 5.0
TOKEN_GRACE_S = 30.0
SUSPECT_AFTER_S = 7.5


@attrs.frozen(kw_only=True)
class Offer:
    """What a welcome says besides numbers. ``session`` and ``epoch`` are for a session that is not resumed."""

    session: str
    epoch: int
    platform_id: str
    term: int
    stop: StopSnapshot
    lease_ms: int
    token_expires: datetime
    config_version: int
    on_lease_expiry: LeaseExpiry = attrs.field(factory=LeaseExpiry)


@attrs.frozen(kw_only=True)
class Detached:
    """A session without a connection: what the next connection of the engine needs to resume it.

    ``last_recv`` is what was committed. Give it to one ``welcome`` only, since its outbox moves there.
    """

    session: str
    epoch: int
    instance: str
    last_recv: int
    outbox: Outbox
    last_heard: float | None


class PlatformSession(BaseSession):
    """``now`` is the moment of the connection; the hello is due 5 s later. ``connection`` tells it from the engine's
    other ones: a commit that comes late, from an older connection, then confirms nothing on this one."""

    transitions = PLATFORM_TRANSITIONS
    known = ENGINE_UP
    lossless = lossless_types(PLATFORM_TRANSITIONS, ENGINE_UP)

    def __init__(
        self,
        engine_id: str,
        *,
        now: float,
        connection: int = 0,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        clock: Callable[[], datetime] = utc_now,
        ids: Callable[[], str] | None = None,
        understood: Iterable[str] = (),
    ) -> None:
        outbox = Outbox(capacity=OUTBOX_CAPACITY, window=WINDOW)
        super().__init__(engine_id, outbox=outbox, clock=clock, ids=ids, understood=understood)
        self.state = State.AWAITING
        self.connection = connection
        self.limits = limits
        self.hello: Hello | None = None
        self.resumed = False
        self.hold_token = False
        """While true (a stop runs, or the database is away) an expired token does not close the link."""
        self.offline_after = limits.offline_ms / 1000
        self.inbound.delay = limits.ack_delay_ms / 1000
        self._hello_by = now + HELLO_TIMEOUT_S
        self._token_ends_at: float | None = None
        self._beat_at: datetime | None = None
        self._beat_answer: Control | None = None
        self._kept: Detached | None = None

    # --- greeting -------------------------------------------------------------------------------------------------

    def resumable(self, detached: Detached | None) -> bool:
        """Whether the hello continues this session: both sides still hold everything the other has not committed."""
        if self.hello is None or detached is None:
            return False
        wish = self.hello.resume
        return (
            wish.session == detached.session
            and wish.first_unacked <= detached.last_recv + 1 <= wish.next_seq
            and detached.outbox.acked <= wish.last_recv < detached.outbox.next_seq
        )

    def welcome(self, offer: Offer, now: float, *, detached: Detached | None = None) -> list[Event]:
        """Answers the hello; from now on messages flow. ``self.resumed`` tells what became of ``detached``.

        Call it with a stop snapshot read in the same step, so that no stop falls between snapshot and link. What waits
        of an older connection is revised by that snapshot: a stop that was released meanwhile is not sent again.
        """
        if self.state is State.CLOSED:
            # Closed while the application prepared the welcome: the old session stays as it is, for the next one.
            self._kept = detached
            return []
        if self.state is not State.GREETED or self.hello is None:
            raise RuntimeError(f"a welcome answers a hello; this session is {self.state.value}")
        events: list[Event] = []
        self.resumed = self.resumable(detached)
        self.session, self.epoch = offer.session, offer.epoch
        if detached is not None:
            before, self.outbox = self.outbox, detached.outbox
            self.outbox.revise(lambda message: _as_it_holds(message, offer.stop))
            if self.resumed:
                self.session, self.epoch = detached.session, detached.epoch
                events = self._on_resume(self.outbox.resume(self.hello.resume.last_recv))
            else:
                self.outbox.renumber()
            self.outbox.absorb(before)
        self.inbound.restart(detached.last_recv if self.resumed and detached is not None else 0)
        self._token_ends_at = now + (offer.token_expires - self._clock()).total_seconds()
        self.last_heard = now
        answer = self._welcome(offer)
        self._say(lambda _: answer)
        self.state = State.LIVE
        return events

    def detach(self) -> Detached | None:
        """Ends this connection and hands over what outlives it; None when nothing does, as without a welcome.

        What was received and is not committed by now is forgotten here: the engine still has it and sends it again.
        """
        welcomed = bool(self.session)
        self.state = State.CLOSED
        if not welcomed or self.hello is None:
            return self._kept
        return Detached(
            session=self.session,
            epoch=self.epoch,
            instance=self.hello.instance,
            last_recv=self.inbound.committed,
            outbox=self.outbox,
            last_heard=self.last_heard,
        )

    def _welcome(self, offer: Offer) -> Welcome:
        return Welcome(
            session=self.session,
            epoch=self.epoch,
            resumed=self.resumed,
            last_recv=self.inbound.last,
            platform_id=offer.platform_id,
            term=offer.term,
            stop=offer.stop,
            lease_ms=offer.lease_ms,
            on_lease_expiry=offer.on_lease_expiry,
            limits=self.limits,
            server_time=self._clock(),
            token_expires=offer.token_expires,
            config_version=offer.config_version,
        )

    # --- the engine's control messages ----------------------------------------------------------------------------

    def _on_control(self, frame: Frame, envelope: Envelope, now: float) -> list[Event]:
        match frame.message:
            case Hello() as hello:
                if hello.protocol != PROTOCOL:
                    return self.close(CloseCode.VERSION)
                self.hello = hello
            case Heartbeat(last_seq=last_seq):
                if last_seq > self.inbound.last:
                    return self.close(CloseCode.SEQUENCE_GAP)
                self._beat_at = self._clock()
        return super()._on_control(frame, envelope, now)

    def _on_invalid(self, frame: Frame, now: float) -> list[Event]:
        if self.state is State.AWAITING and frame.type == "hello" and _speaks_another_version(frame.payload):
            return self.close(CloseCode.VERSION)
        return super()._on_invalid(frame, now)

    def answer_heartbeat(self, heartbeat: Heartbeat, *, stop: StopSnapshot, lease_ms: int) -> None:
        """Acknowledges a heartbeat. ``stop`` is the register as it is now, ``lease_ms`` 0 grants nothing.

        An older answer that is not written yet gives way: the newest says all that counts.
        """
        recv_at = self._beat_at or self._clock()
        self._control = [waiting for waiting in self._control if waiting is not self._beat_answer]
        self._say(
            lambda _: HeartbeatAck(
                n=heartbeat.n,
                sent_ms=heartbeat.sent_ms,
                recv_at=recv_at,
                reply_at=self._clock(),
                last_seq=self.outbox.written,
                last_recv=self.inbound.committed,
                stop=stop,
                lease_ms=lease_ms,
            )
        )
        self._beat_answer = self._control[-1] if self._control else None

    def accept_token(self, auth: Received, expires: datetime, now: float) -> None:
        """The token of an ``auth`` message is valid until ``expires``: acknowledge it."""
        _require_auth(auth)
        self._token_ends_at = now + (expires - self._clock()).total_seconds()
        self._say(lambda _: Ack(seq=self.inbound.committed), re=auth.id)

    def refuse_token(self, auth: Received, error: WireError) -> list[Event]:
        """The token of an ``auth`` message is not valid: nack, then 4504."""
        _require_auth(auth)
        self._say(lambda _: Nack(code=error.code, reason=error.reason, re=auth.id), re=auth.id)
        return self.close(CloseCode.AUTH_INVALID)

    # --- time -----------------------------------------------------------------------------------------------------

    def is_suspect(self, now: float) -> bool:
        """No valid message for 7.5 s."""
        return self.last_heard is not None and now - self.last_heard >= SUSPECT_AFTER_S

    def tick(self, now: float) -> list[Event]:
        if self.state is State.AWAITING and now >= self._hello_by:
            return self.close(CloseCode.TIMEOUT)
        if self.state is State.LIVE and (closes := self._token_closes_at()) is not None and now >= closes:
            return self.close(CloseCode.TOKEN_EXPIRED)
        return super().tick(now)

    def _deadlines(self) -> list[float | None]:
        if self.state is State.AWAITING:
            return [self._hello_by]
        return [*super()._deadlines(), self._token_closes_at() if self.state is State.LIVE else None]

    def _token_closes_at(self) -> float | None:
        if self.hold_token or self._token_ends_at is None:
            return None
        return self._token_ends_at + TOKEN_GRACE_S


def _as_it_holds(message: EmergencyStop | Release, stop: StopSnapshot) -> EmergencyStop | Release | None:
    """A stop only while it is open at that epoch; a release with the stops that are open now."""
    if isinstance(message, Release):
        return changed(message, effective=stop.effective)
    is_open = any((r.stop_id, r.stop_epoch) == (message.stop_id, message.stop_epoch) for r in stop.effective)
    return message if is_open else None


def _speaks_another_version(payload: object) -> bool:
    return isinstance(payload, dict) and isinstance(v := payload.get("protocol"), str) and v != PROTOCOL


def _require_auth(received: Received) -> None:
    if not isinstance(received.message, Auth):
        raise TypeError("only an auth message is answered this way")
