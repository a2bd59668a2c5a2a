"""One engine's connection as an actor: temporary, supervised, gone with its socket.

Two tasks share one session (``wire.session``), which does no I/O itself. The reader always drains the socket; the
mailbox takes what the other actors have for the engine, and what time brings, and never waits. Whoever has something
for the engine writes it at once, as far as the socket takes it; while the socket takes no more, and only then, a third
task waits for it. One frame is given to the socket at a time, so a stop that arrives is the next one out. Nothing here
waits for the database: messages are handed on at once, and acknowledged when the log writer says that they are
committed.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Protocol, cast

import trio

from actors.fleet.fleet import EngineBeat, EngineHeard, EngineLost
from actors.links.dispatch import hand_on, to_keep
from actors.links.greeting import Greeting
from actors.links.intake import Intake
from actors.links.messages import (
    CloseNow,
    DeliverCommand,
    DeliverRelease,
    DeliverStop,
    DeliverUpdate,
    Drain,
    EpochHeard,
    LinkDown,
    StopAcknowledged,
    StopWritten,
    TellConfig,
    UpdateRefused,
)
from actors.links.places import STOPPED, LinkDesk, Place
from actors.links.stop_letters import StopLetters
from actors.platform.log_writer import Kept, NotStorable, SetAside
from actors.stops.effects import RaiseAlert
from supervisor.actor import Actor, Reply, Timer, handles
from supervisor.message import DEFERRED
from supervisor.reason import ExitReason
from wire.errors import WireError
from wire.lanes import LANES, Lane
from wire.messages import (
    Auth,
    ConfigChanged,
    EmergencyStop,
    Goodbye,
    Heartbeat,
    Hello,
    LocalStop,
    Nack,
    StrategyResult,
    TradeLog,
)
from wire.session import (
    Acknowledged,
    CloseCode,
    CloseLink,
    Event,
    Lost,
    PlatformSession,
    Received,
    Refused,
    Rejected,
    State,
)
from wire.values import ResultStatus

DRAIN = "drain"
COME_BACK_MS = 1000, 3000
"""When a drained engine may come back: between these, each at another moment."""
CLOSE_SECONDS = 2.0
HASTY_SECONDS = 0.5
"""For a peer that does not even take what was written before: a link that is to be closed is closed within 1 s."""
STOPS_UNACKNOWLEDGED = 4096
"""Letters that an engine has not acknowledged while its heartbeats say that it lacks stops: it is cut off (4030), and
gets them all in the welcome."""
COMMANDS_AWAITED = 100
UNCOMMITTED_LIMIT = 8192
"""More unconfirmed messages than any window allows: the engine does not keep to the rules, and is closed (4030)."""


class LinkEnded(Exception):
    """Raised by a socket when the connection is over, whoever ended it."""


class Socket(Protocol):
    """See ``wire.sockets.Link``. All but ``close`` raise when the connection is over."""

    @property
    def is_behind(self) -> bool: ...
    def post(self, text: str) -> None: ...
    async def flush(self) -> None: ...
    async def receive_many(self) -> Sequence[str | bytes]: ...
    async def close(self, code: int, reason: str) -> None: ...


class _Due:
    """A moment has come that the session asked for."""


_DUE = _Due()


class EngineLink(Actor):
    """``ended``: what ``socket`` raises when the connection is over. ``token_expires``: of the token it came with."""

    def __init__(
        self,
        engine_id: str,
        socket: Socket,
        desk: LinkDesk,
        token_expires: datetime,
        *,
        ended: type[Exception] | tuple[type[Exception], ...] = LinkEnded,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.engine_id = engine_id
        self._socket = socket
        self._desk = desk
        self._token_expires = token_expires
        self._ended = ended
        self._wall = wall
        self._place: Place = desk.place(engine_id)
        self._timer: Timer | None = None
        self._wakes_at = inf
        self._pushing = False
        self._intake = Intake(engine_id)
        self._letters = StopLetters(self._place)
        self._closing: CloseLink | None = None
        self._shut: list[Reply] = []
        self._left = False
        self._draining = False
        self._goodbye = ""
        self._commands: dict[str, Reply] = {}

    async def started(self) -> None:
        self._place.connections += 1
        self._session = PlatformSession(
            self.engine_id,
            now=trio.current_time(),
            connection=self._place.connections,
            limits=self._desk.limits,
            clock=self._wall,
        )
        self.context.spawn(self._read, name="reader")
        self._go_on()

    async def stopped(self, reason: ExitReason) -> None:
        self._leave()
        code = CloseCode.BUG if reason.abnormal else CloseCode.DRAINING
        closing = self._closing or CloseLink(code=code, reason=code.reason)
        if closing.code is CloseCode.SUPERSEDED:
            self._answer_closers()  # the newer connection has everything: it need not wait for the peer of this one
        with trio.move_on_after(HASTY_SECONDS if self._socket.is_behind else CLOSE_SECONDS):
            await self._socket.close(closing.code, closing.reason)
        self._answer_closers()

    def _answer_closers(self) -> None:
        shut, self._shut = self._shut, []
        for reply in shut:
            reply.send(None)

    # --- what other actors have for the engine --------------------------------------------------------------------

    @handles(DeliverStop)
    async def on_stop(self, msg: DeliverStop) -> None:
        self.send_now(msg.message)

    def send_now(self, message: EmergencyStop) -> bool:
        """A ``StopLane``: the coordinator sends by it in the step of its decision. What the socket does not take, and
        what comes before the welcome, waits in the session like everything else, first in line."""
        if self._left:
            return False  # that the connection is over is on its way to the coordinator
        letter_id = self._letters.name(message)
        try:
            frame = None if self._socket.is_behind else self._session.stop_frame(message, id=letter_id)
            if frame is not None:
                self._socket.post(frame)
                if not self._socket.is_behind:
                    return True
        except self._ended:
            self.context.stop("the connection is over")
            return False
        self._letters.waits(message)
        if frame is None:
            self._session.send(message, id=letter_id)
        self._go_on()
        return False

    @handles(DeliverRelease)
    async def on_release(self, msg: DeliverRelease) -> None:
        self._session.send(msg.message)
        self._go_on()

    @handles(DeliverUpdate)
    async def on_update(self, msg: DeliverUpdate) -> None:
        self._session.send(msg.message, id=msg.message.request_id, expires_at=msg.expires_at)
        self._go_on()

    @handles(DeliverCommand)
    async def on_command(self, msg: DeliverCommand) -> StrategyResult:
        self._commands[msg.command.request_id] = self.context.defer()
        while len(self._commands) > COMMANDS_AWAITED:
            del self._commands[next(iter(self._commands))]
        self._session.send(msg.command, id=msg.command.request_id, expires_at=msg.expires_at)
        self._go_on()
        return cast("StrategyResult", DEFERRED)

    @handles(TellConfig)
    async def on_config(self, msg: TellConfig) -> None:
        self._session.send(ConfigChanged(config_version=msg.config_version))
        self._go_on()

    @handles(NotStorable)
    async def on_not_storable(self, msg: NotStorable) -> None:
        if msg.connection == self._session.connection:
            nack = Nack(code="error_not_storable", reason=msg.reason, seq=msg.seq, re=msg.id)
            self._session.send(nack, re=msg.id)
            self._go_on()

    @handles(Kept)
    async def on_kept(self, msg: Kept) -> None:
        if msg.connection == self._session.connection:
            self._session.committed(msg.seq, trio.current_time())
            self._go_on()

    @handles(CloseNow)
    async def on_close(self, msg: CloseNow) -> None:
        self._shut.append(self.context.defer())
        self._on_events(self._session.close(CloseCode(msg.code)))
        if self._socket.is_behind:
            self.context.stop(msg.reason)
        self._go_on()
        return cast("None", DEFERRED)

    @handles(Drain)
    async def on_drain(self, _: Drain) -> None:
        self._draining = True
        self._go_on()

    @handles(_Due)
    async def on_due(self, _: _Due) -> None:
        self._wakes_at = inf
        self._session.hold_token = self._holds_token()
        self._on_events(self._session.tick(trio.current_time()))
        self._go_on()

    # --- reading and writing ------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while self._session.state is not State.CLOSED:
                texts = await self._socket.receive_many()
                if self._session.state is State.LIVE:
                    async with self._desk.turn:
                        self._take_in(texts)
                else:
                    for text in texts:
                        await self._take_greeting(text)
                self._go_on()
        except self._ended:
            self.context.stop("the connection is over")

    def _take_in(self, texts: Sequence[str | bytes]) -> None:
        now, receive = trio.current_time(), self._session.receive
        for text in texts:
            for event in receive(text, now):
                if type(event) is Received and event.seq is not None:
                    self._on_data(event, event.seq)
                else:
                    self._on_event(event)
        if self._session.last_heard == now:
            self._place.heard = now
        self._hand_over()

    async def _take_greeting(self, text: str | bytes) -> None:
        for event in self._session.receive(text, trio.current_time()):
            if isinstance(event, Received) and isinstance(event.message, Hello):
                await self._greet(event.message)
            else:
                self._on_event(event)
        self._hand_over()

    async def _greet(self, hello: Hello) -> None:
        greeting = Greeting(
            engine_id=self.engine_id,
            desk=self._desk,
            place=self._place,
            session=self._session,
            link=self.context.self_ref,
            lane=self.send_now,
            token_expires=self._token_expires,
            log=self.context.log,
        )
        events = await greeting.take(hello)
        self._letters.known = {stop.stop_id for stop in hello.stops} or ()
        self._on_events(events)
        self._go_on()

    def _go_on(self) -> None:
        """Writes what the socket takes, and sees to what must wait: for the socket, for a moment, or for the end."""
        try:
            self._post()
            if self._draining and self._closing is None and not self._socket.is_behind:
                self._say_goodbye()
                self._post()
        except self._ended:
            self.context.stop("the connection is over")
            return
        if self._socket.is_behind:
            self._push()
        elif self._closing is not None:
            self.context.stop(self._closing.reason)
        self._wake_in_time()

    def _push(self) -> None:
        if not self._pushing:
            self._pushing = True
            self.context.spawn(self._flush, name="writer")

    async def _flush(self) -> None:
        """Lives while the socket is behind."""
        try:
            while self._socket.is_behind:
                await self._socket.flush()
                self._post()
        except self._ended:
            self.context.stop("the connection is over" if self._closing is None else self._closing.reason)
            return
        finally:
            self._pushing = False
        self._go_on()

    def _wake_in_time(self) -> None:
        """A moment that was moved back needs no new timer: waking early is harmless."""
        deadline = self._session.deadline(writable=not self._socket.is_behind)
        if deadline is None or deadline >= self._wakes_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = deadline
        self._timer = self.context.timer(_DUE, after=max(0.0, deadline - trio.current_time()))

    def _post(self) -> None:
        while not self._socket.is_behind:
            if not (frames := self._session.take(trio.current_time(), limit=1)):
                self._note_written()
                return
            self._socket.post(frames[0])

    def _say_goodbye(self) -> None:
        """Everything that could be written is: a stop that was taken before the drain has left."""
        earliest, latest = COME_BACK_MS
        self._session.send(Goodbye(cause=DRAIN, reconnect_after_ms=earliest + secrets.randbelow(latest - earliest)))
        self._on_events(self._session.close(CloseCode.DRAINING))

    def _note_written(self) -> None:
        """Nothing waits to be written any more, so these stops have left. Of what left in the coordinator's own step
        it needs no note."""
        if self._session.state is State.LIVE:
            for stop_id, epoch in self._letters.written():
                self._desk.coordinator.tell(StopWritten(engine_id=self.engine_id, stop_id=stop_id, epoch=epoch))

    # --- what the session tells -----------------------------------------------------------------------------------

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        match event:
            case Received():
                self._on_received(event)
            case Acknowledged(ids=ids):
                for letter_id in ids:
                    self._on_acknowledged(letter_id)
            case Refused(nack=nack):
                self._on_refused(nack)
            case Rejected(type=kind, error=error):
                self._alert("error_invalid_message", "warning", f"an invalid {kind or 'frame'}: {error.reason}")
                self._quarantine(event)
            case Lost(count=count):
                self._alert("error_messages_lost", "warning", f"the engine had no room for {count} of its messages")
            case CloseLink():
                self._closing = event

    def _on_received(self, event: Received) -> None:
        match event.message:
            case Heartbeat() as beat:
                self._on_heartbeat(beat, event.timestamp)
            case Auth():
                self._on_auth(event)
            case Goodbye(cause=cause):
                self._goodbye = cause

    def _on_heartbeat(self, beat: Heartbeat, sent_at: datetime) -> None:
        """Always answered with the stops as they are now; when the engine lacks one, it is also sent again."""
        shelf, place, register = self._desk.shelf, self._place, self._desk.shelf.book.register
        if beat.stop_epoch > register.epoch:
            self._desk.coordinator.tell(EpochHeard(epoch=beat.stop_epoch))
        place.synced = beat.synced
        if place.has_rival():
            self._alert("error_engine_id_in_use", "critical", "a second process uses this engine's id")
        lease_ms = self._desk.lease_ms(place, beat.synced, trio.current_time())
        snapshot = shelf.snapshot(self.engine_id, self._letters.known)
        self._session.answer_heartbeat(beat, stop=snapshot, lease_ms=lease_ms)
        account = shelf.book.roster.account(self.engine_id)
        if shelf.differs(self.engine_id, account, beat.stop_epoch, beat.level):
            for message in shelf.book.messages_for(self.engine_id):
                if not self._letters.is_waiting(message):
                    self._send_stop(message)
            if self._session.outbox.unacked > STOPS_UNACKNOWLEDGED:
                self._on_events(self._session.close(CloseCode.RATE_LIMITED))
        self._desk.fleet.tell(EngineBeat(engine_id=self.engine_id, heartbeat=beat, sent_at=sent_at, lease_ms=lease_ms))

    def _on_auth(self, event: Received) -> None:
        auth = cast("Auth", event.message)
        try:
            expires = self._desk.verify(self.engine_id, auth.token)
        except WireError as error:
            self._on_events(self._session.refuse_token(event, error))
            return
        self._token_expires = expires
        self._session.accept_token(event, expires, trio.current_time())

    def _on_data(self, event: Received, seq: int) -> None:
        message = event.message
        if type(message) is not TradeLog:  # which is what nearly all are, and which is only kept
            self._hand_on(message)
            if LANES[type(message)] is Lane.CONFLATED:
                return
        self._intake.keep(to_keep(self.engine_id, event, self._session.session), seq)

    def _hand_on(self, message: object) -> None:
        if isinstance(message, LocalStop):
            self._letters.learnt(message.id)
        elif isinstance(message, StrategyResult):
            self._answer_command(message)
        hand_on(self._desk, self.engine_id, message)

    def _answer_command(self, result: StrategyResult) -> None:
        reply = self._commands.pop(result.request_id, None)
        if reply is not None:
            reply.send(result)

    # --- numbers: what is handed on, and what is confirmed --------------------------------------------------------

    def _hand_over(self) -> None:
        """What was read at once goes to the log writer at once."""
        keep = self._intake.take(self.context.self_ref, self._session)
        if keep is None:
            return
        self._desk.fleet.tell(EngineHeard(engine_id=self.engine_id))
        if not self._desk.log_writer.tell(keep):
            self._on_events(self._session.close(CloseCode.OVERLOADED))
        elif self._session.inbound.uncommitted > UNCOMMITTED_LIMIT:
            self._on_events(self._session.close(CloseCode.RATE_LIMITED))

    def _quarantine(self, event: Rejected) -> None:
        letter = self._intake.set_aside(event, session=self._session.session, at=self._wall())
        if letter is not None:
            self._desk.log_writer.tell(SetAside(letter=letter))

    def _send_stop(self, message: EmergencyStop) -> None:
        """Idempotent for the engine."""
        self._session.send(message, id=self._letters.name(message))
        self._letters.waits(message)

    def _on_acknowledged(self, letter_id: str) -> None:
        known = self._place.stop_letters.pop(letter_id, None)
        if known is not None:
            stop_id, epoch = known
            self._desk.coordinator.tell(StopAcknowledged(engine_id=self.engine_id, stop_id=stop_id, epoch=epoch))

    def _on_refused(self, nack: Nack) -> None:
        if nack.re is not None and nack.re in self._place.stop_letters:
            self._alert("error_stop_refused", "critical", f"the engine could not read a stop: {nack.reason}")
        elif nack.re is not None and (reply := self._commands.pop(nack.re, None)) is not None:
            reply.send(
                StrategyResult(
                    request_id=nack.re,
                    strategy_id="unknown",
                    status=ResultStatus.FAILED,
                    strategy_status=None,
                    error=nack.code,
                    reason=nack.reason,
                )
            )
        elif nack.re is not None:
            self._desk.parameters.tell(UpdateRefused(engine_id=self.engine_id, request_id=nack.re, nack=nack))

    # --- the end --------------------------------------------------------------------------------------------------

    def _holds_token(self) -> bool:
        """An expired token never cuts the link while a stop holds the engine, or while no new token can be had."""
        return self._desk.database_is_away() or self._desk.shelf.holds(self.engine_id)

    def _leave(self) -> None:
        """What outlives the connection goes back to the engine's place; the others are told. Once."""
        if self._left:
            return
        self._left = True
        heard = self._session.last_heard
        detached = self._session.detach()
        gone = LinkDown(engine_id=self.engine_id, link=self.context.self_ref)
        if self._place.link != self.context.self_ref:
            if self._session.hello is not None:  # the coordinator may have heard of it too late to be waited for
                self._desk.coordinator.tell(gone, urgent=True)
            return
        place = self._place
        place.link = None
        place.heard = heard if heard is not None else place.heard
        if detached is not None:
            place.detached = detached
        if self._goodbye == STOPPED:
            place.said_goodbye()
        self._desk.coordinator.tell(gone, urgent=True)
        self._desk.fleet.tell(EngineLost(engine_id=self.engine_id, goodbye=self._goodbye == STOPPED))

    def _alert(self, code: str, severity: str, reason: str) -> None:
        self._desk.alerts.tell(RaiseAlert(code=code, severity=severity, reason=reason, engine_id=self.engine_id))
