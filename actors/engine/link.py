"""The engine's end of the link to the platform.

It dials, keeps the session alive and drains the way out; what the platform says is handed to where it belongs. The
order inside a batch is the order of safety: every stop of a batch closes the gate before anything waits, a lease
counts only after the stops of its frame, and an acknowledgement goes out only when the matter is on stable storage.
"""

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable

import attrs
import trio

from actors.engine.desk import Desk
from actors.engine.strategy_actor import ApplyParameters
from supervisor.actor import Actor
from supervisor.errors import Failure, UnknownActor
from wire.client import DialFailed, DialRefused, dial, reconnect_delay
from wire.http import HttpClient
from wire.messages import (
    Ack,
    Auth,
    Clocks,
    ConfigChanged,
    EmergencyStop,
    ErrorCategory,
    ErrorReport,
    Goodbye,
    HeartbeatAck,
    Hello,
    LocalStopCause,
    LogCategory,
    ParameterResult,
    ParameterUpdate,
    Release,
    ResultStatus,
    Resume,
    Severity,
    Welcome,
)
from wire.sdk.calls import fetch_token
from wire.sdk.errors import PlatformAway, Unwelcome
from wire.sdk.halting import Halting
from wire.sdk.keeper import Keeper
from wire.sdk.outlet import new_id
from wire.sdk.platform import Credential, Token
from wire.session import (
    Acknowledged,
    CloseLink,
    EngineSession,
    Event,
    LeaseGranted,
    Received,
    Refused,
    Rejected,
    Vitals,
    may_reconnect,
)
from wire.sockets import LinkClosed, Socket, background
from wire.stops import Level, StopSnapshot

_FED = 1_000  # messages handed to the session at a time; the rest waits in the spool
_FINAL = (403, 404, 426)  # a person must look; 401 is answered with a new token
_DIAL_TIMEOUT = 10.0
_PARAMETER_TIMEOUT = 5.0


@attrs.frozen(kw_only=True)
class _Commit:
    """What must be safe before ``seq`` may be confirmed."""

    seq: int
    connection: int
    safe: Callable[[], Awaitable[None]]


@attrs.frozen(kw_only=True)
class LinkParts:
    """What the link works with. ``hello`` makes the hello, ``clocks`` what a heartbeat says of the engine's sources;
    ``config_changed`` is called when the platform's settings changed."""

    credential: Credential
    http: HttpClient
    hello: Callable[[Resume], Hello]
    clocks: Callable[[], Clocks]
    latch_keeper: Keeper
    settings_keeper: Keeper
    config_changed: Callable[[], Awaitable[None]]


class Link(Actor):
    """One session over any number of connections; a new incarnation of the actor begins a new session."""

    def __init__(self, *, parts: LinkParts, desk: Desk, halting: Halting) -> None:
        self._parts = parts
        self._desk = desk
        self._halting = halting
        self._session = EngineSession(
            parts.credential.engine_id, hello=parts.hello, vitals=self._vitals, lease_clock=desk.clock.now
        )
        self._woken = trio.Event()
        self._commits: deque[_Commit] = deque()
        self._commit_waits = trio.Event()
        self._closing: CloseLink | None = None
        self._ended: LinkClosed | None = None
        self._conversations = 0
        self._foreign = False
        self._pause_asked: float | None = None
        self._told_away = False

    async def started(self) -> None:
        self._desk.outlet.rewind()
        self._desk.outlet.wake = self._wake
        self.context.spawn(self._commit)
        self.context.spawn(self._keep_connected)

    def _wake(self) -> None:
        self._woken.set()

    # --- connecting ---

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            ups = self._conversations
            try:
                code = await self._connect()
            except Unwelcome as error:
                self._give_up(error.reason)
                return
            if not may_reconnect(code):
                self._give_up(f"the platform closed the link with {code}")
                return
            attempt = 0 if self._conversations > ups else attempt + 1
            await trio.sleep(self._pause(attempt))

    async def _connect(self) -> int:
        """One connection from dialling to its end; the code it ended with, 1006 when there was none."""
        credential = self._parts.credential
        try:
            token = await fetch_token(self._parts.http, credential)
            async with dial(credential.link_url, token.value, timeout=_DIAL_TIMEOUT) as socket:
                return await self._converse(socket)
        except DialRefused as error:
            if error.status in _FINAL:
                raise Unwelcome(f"the platform refuses this engine's link ({error.status})") from error
            self._say_away(f"the platform refused the link for now ({error.status})")
        except DialFailed as error:
            self._say_away(str(error))
        except PlatformAway as error:
            self._say_away(error.reason)
        return 1006

    def _pause(self, attempt: int) -> float:
        """Full jitter, unless the platform asked for a time of its own."""
        asked, self._pause_asked = self._pause_asked, None
        if asked is not None:
            return asked
        return reconnect_delay(attempt, resumable=self._session.is_resumable, rng=random.Random())

    def _say_away(self, reason: str) -> None:
        """One clear line when it begins; the repetitions are details."""
        level = logging.INFO if self._told_away else logging.WARNING
        self.context.log.log(level, "%s: trying again; when the lease runs out no order leaves", reason)
        self._told_away = True

    def _give_up(self, reason: str) -> None:
        self.context.log.error("%s. This engine stays halted; restart it after that.", reason)
        self._desk.gate.fenced = "the platform does not want this engine"

    # --- one connection ---

    async def _converse(self, socket: Socket) -> int:
        """Until the connection ends; the code it ended with."""
        session = self._session
        self._closing, self._ended = None, None
        session.connected(self._desk.clock.now())
        try:
            async with background() as nursery:
                nursery.start_soon(self._read, socket)
                nursery.start_soon(self._renew_token)
                await self._write(socket)
        except LinkClosed as error:
            self._ended = error
        finally:
            session.disconnected()
        return await self._farewell(socket)

    async def _farewell(self, socket: Socket) -> int:
        """Closes with the session's own code if it ended the link; the code that counts."""
        if self._closing is not None:
            await socket.close(int(self._closing.code), self._closing.reason)
            return int(self._closing.code)
        return self._ended.code if self._ended is not None else 1006

    async def _read(self, socket: Socket) -> None:
        """Every frame that arrives, as long as the session looks at them."""
        try:
            while not self._is_over():
                self._take(self._session.receive(await socket.receive(), self._desk.clock.now()))
        except LinkClosed as error:
            self._ended = error
            self._wake()

    def _is_over(self) -> bool:
        return self._closing is not None or self._ended is not None

    async def _write(self, socket: Socket) -> None:
        """Everything that is to be written, as long as the session lives, and then what its end still says."""
        session, clock = self._session, self._desk.clock
        while True:
            self._woken = trio.Event()
            self._take(session.tick(clock.now()))
            self._feed()
            frames = session.take(clock.now()) if self._ended is None else []
            for frame in frames:
                await socket.send(frame)
            if frames:
                continue
            if self._is_over():
                return
            deadline = session.deadline()
            with trio.move_on_after(max(0.0, deadline - clock.now()) if deadline is not None else 60.0):
                await self._woken.wait()

    def _feed(self) -> None:
        outlet, session = self._desk.outlet, self._session
        for message in outlet.take_latest():
            session.send(message)
        held = session.outbox.waiting + session.outbox.unacked
        for spooled in outlet.take_fresh(max(0, _FED - held)):
            session.send(spooled.message, id=spooled.id)

    async def _renew_token(self) -> None:
        session, clock = self._session, self._desk.clock
        while True:
            due = session.token_refresh_at
            await trio.sleep(30.0 if due is None else max(1.0, due - clock.now()))
            if due is None or clock.now() < due:
                continue
            try:
                token: Token = await fetch_token(self._parts.http, self._parts.credential)
            except (PlatformAway, Unwelcome):
                continue
            session.send(Auth(token=token.value), id=new_id())
            session.token_renewed(token.lives, clock.now())
            self._wake()

    # --- what the platform says ---

    def _take(self, events: list[Event]) -> None:
        """All of a batch without waiting; what must be made safe first is queued for the committer."""
        for event in events:
            match event:
                case Received():
                    self._received(event)
                case Acknowledged(ids=ids):
                    self._desk.outlet.acknowledged(ids)
                case LeaseGranted(expires_at=expires_at):
                    self._leased(expires_at)
                case Refused(nack=nack):
                    self.context.log.warning("the platform refused a message: %s %s", nack.code, nack.reason)
                case Rejected() as rejected:
                    self._unreadable(rejected)
                case CloseLink():
                    self._closing = event
        if events:
            self._wake()

    def _received(self, event: Received) -> None:
        message = event.message
        match message:
            case Welcome():
                self._welcomed(message)
            case HeartbeatAck(stop=stop):
                self._adopt(stop)
            case EmergencyStop():
                self._stopped(message, event)
            case Release():
                self._released(message, event)
            case ParameterUpdate():
                self._confirm_after(event, lambda: self._apply(message))
            case ConfigChanged(config_version=version):
                self._desk.log(LogCategory.SYSTEM, f"the platform's settings changed (version {version})", None)
                self._confirm_after(event, self._parts.config_changed)
            case Goodbye(cause=cause, reconnect_after_ms=pause):
                self.context.log.info("the platform says goodbye: %s", cause)
                self._pause_asked = None if pause is None else pause / 1000
            case Ack():
                self.context.log.debug("the platform took the new token")

    def _welcomed(self, welcome: Welcome) -> None:
        own = self._halting.latch.platform_id or self._parts.credential.platform_id
        self._foreign = own is not None and own != welcome.platform_id
        self._told_away = False
        self._conversations += 1
        if self._foreign:
            self._session.revoke_lease()
            self._desk.gate.fenced = "this is not the engine's own platform"
            self.context.log.error("the platform is another one than this engine belongs to: staying halted")
        else:
            self._desk.gate.fenced = None
            self._desk.lease.adopt(welcome.on_lease_expiry)
            if self._halting.latch.platform_id is None:
                self._halting.latch = attrs.evolve(self._halting.latch, platform_id=welcome.platform_id)
                self._halting.keeper.changed()
        self._adopt(welcome.stop)
        self.context.log.info("linked with the platform, session %s", "resumed" if welcome.resumed else "new")

    def _adopt(self, snapshot: StopSnapshot) -> None:
        if self._halting.adopt(snapshot, trusted=not self._foreign):
            stops = [s.record.stop_id for s in self._halting.latch.open_stops()]
            self.context.spawn(self._make_safe, stops, name="latch")

    async def _make_safe(self, stop_ids: list[str]) -> None:
        await self._parts.latch_keeper.persist()
        for stop_id in stop_ids:
            self._halting.noted(stop_id)

    def _leased(self, expires_at: float) -> None:
        if self._foreign:
            return
        self._desk.lease.renew(expires_at, self._desk.clock.now())

    def _stopped(self, message: EmergencyStop, event: Received) -> None:
        """Closed before this returns; confirmed after the latch is safe."""
        stop_id = self._halting.stop(message)
        if stop_id is None:
            self._confirm_after(event, trio.lowlevel.checkpoint)
        else:
            self._confirm_after(event, lambda: self._make_safe([stop_id]))

    def _released(self, message: Release, event: Received) -> None:
        if not self._foreign:
            self._halting.release(message)
        self._confirm_after(event, self._release_safe)

    async def _release_safe(self) -> None:
        await self._parts.latch_keeper.persist()
        await self._parts.settings_keeper.persist()

    async def _apply(self, update: ParameterUpdate) -> None:
        """The strategy takes it between two ticks; the answer is safe before the update is confirmed."""
        try:
            strategy = self.context.find(f"strategies/{update.strategy_id}")
            await strategy.ask(ApplyParameters(update=update), timeout=_PARAMETER_TIMEOUT)
        except UnknownActor:
            self._refuse(update, "error_unknown_strategy", "this engine has no such strategy")
        except Failure as error:
            self._refuse(update, "error_strategy_busy", f"the strategy did not answer: {type(error).__name__}")
        self._parts.settings_keeper.changed()
        await self._parts.settings_keeper.persist()

    def _refuse(self, update: ParameterUpdate, code: str, reason: str) -> None:
        self._desk.outlet.send(
            ParameterResult(
                request_id=update.request_id,
                strategy_id=update.strategy_id,
                status=ResultStatus.FAILED,
                parameters={},
                version=0,
                error=code,
                reason=reason,
            )
        )

    def _unreadable(self, rejected: Rejected) -> None:
        """A stop that cannot be read is a reason to halt; anything else was nacked and is the platform's matter."""
        if rejected.type == "emergency_stop":
            self._halting.stop_here(Level.HALT, LocalStopCause.RISK, "a stop of the platform could not be read")
            return
        self._desk.outlet.send(
            ErrorReport(
                code=rejected.error.code,
                category=ErrorCategory.LINK,
                reason=f"a message of the platform ({rejected.type}) was not valid",
                severity=Severity.WARNING,
                degraded=False,
            )
        )

    # --- confirming ---

    def _confirm_after(self, event: Received, safe: Callable[[], Awaitable[None]]) -> None:
        if event.seq is None:
            self.context.spawn(safe, name="unnumbered")
            return
        self._commits.append(_Commit(seq=event.seq, connection=event.connection, safe=safe))
        self._commit_waits.set()

    async def _commit(self) -> None:
        """In order: an acknowledgement says that everything before it is safe too."""
        while True:
            while self._commits:
                commit = self._commits.popleft()
                await commit.safe()
                self._session.committed(commit.seq, self._desk.clock.now(), connection=commit.connection)
                self._wake()
            self._commit_waits = trio.Event()
            await self._commit_waits.wait()

    def _vitals(self) -> Vitals:
        gate = self._desk.gate
        return Vitals(
            stop_epoch=gate.register.epoch,
            level=gate.engine_level(),
            synced=gate.synced,
            clocks=self._parts.clocks(),
        )
