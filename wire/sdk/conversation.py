"""The engine's end of the link: one session over any number of connections, and what the platform's words do here.

It decides and never waits. The order inside a batch is the order of safety: every stop of a batch closes the gate
before anything else is looked at, a lease counts only after the stops of its frame, and a message is confirmed only
when what it changed is on stable storage. A driver dials, moves frames and asks ``Work`` what else is to be done.
"""

import random
from collections import deque
from collections.abc import Callable
from functools import partial

import attrs

from wire.dialing import LinkClosed, may_reconnect
from wire.messages import (
    Auth,
    ConfigChanged,
    EmergencyStop,
    ErrorReport,
    Goodbye,
    HeartbeatAck,
    Hello,
    ParameterResult,
    ParameterUpdate,
    Release,
    StrategyCommand,
    TradeLog,
    Welcome,
)
from wire.parts import Clocks, Resume
from wire.sdk.clock import Clock
from wire.sdk.dialling import Dialling, Logger
from wire.sdk.gate import Gate
from wire.sdk.halting import Halting, refused_command
from wire.sdk.keeper import Keeper
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
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
    SessionStatistics,
    State,
    Vitals,
)
from wire.stops import Level, StopSnapshot
from wire.values import ErrorCategory, LocalStopCause, LogCategory, ResultStatus, Severity

_FED = 1_000  # messages handed to the session at a time; the rest waits in the spool
_TOKEN_PAUSE = 15.0

Done = Callable[[], None]


@attrs.frozen(kw_only=True)
class Parts:
    """What a conversation is about. ``hello`` makes the hello, ``clocks`` what a heartbeat says of the engine's
    sources. ``parameters`` gets every update and a function to call once it is answered; ``config_changed`` the
    version of the platform's settings, at every welcome and whenever they change."""

    credential: Credential
    clock: Clock
    outlet: Outlet
    gate: Gate
    lease: Lease
    halting: Halting
    latch_keeper: Keeper
    settings_keeper: Keeper
    hello: Callable[[Resume], Hello]
    clocks: Callable[[], Clocks]
    parameters: Callable[[ParameterUpdate, Done], None]
    config_changed: Callable[[int], None]
    log: Logger


@attrs.define(kw_only=True)
class _Commit:
    """A message to be confirmed once these versions of the files are safe; None: it is still being answered."""

    seq: int
    connection: int
    latch: int | None = None
    settings: int | None = None

    def is_safe(self, latch: int, settings: int) -> bool:
        if self.latch is None or self.settings is None:
            return False
        return self.latch <= latch and self.settings <= settings


class Conversation:
    """``wake`` is called when there may be something to write. A new object begins a new session."""

    def __init__(self, parts: Parts, *, rng: random.Random | None = None) -> None:
        self._parts = parts
        self._session = EngineSession(
            parts.credential.engine_id, hello=parts.hello, vitals=self._vitals, lease_clock=parts.clock.now
        )
        self._commits: deque[_Commit] = deque()
        self._closing: CloseLink | None = None
        self._lost: LinkClosed | None = None
        self._foreign = False
        self._token_not_before = 0.0
        self.dialling = Dialling(parts.gate, parts.log, rng or random.Random())
        self.wake: Callable[[], None] = lambda: None
        parts.outlet.rewind()
        parts.outlet.wake = self._wake
        for keeper in (parts.latch_keeper, parts.settings_keeper):
            keeper.listeners["link"] = self._confirm

    @property
    def credential(self) -> Credential:
        return self._parts.credential

    @property
    def is_over(self) -> bool:
        """Whether this connection has ended, from whichever side."""
        return self._closing is not None or self._lost is not None

    @property
    def closing(self) -> CloseLink | None:
        """How the session itself ended the connection."""
        return self._closing

    @property
    def is_linked(self) -> bool:
        """Whether the platform has said welcome on a connection that stands."""
        return self._session.state is State.LIVE

    def statistics(self) -> SessionStatistics:
        return self._session.statistics()

    def _wake(self) -> None:
        self.wake()

    def _now(self) -> float:
        return self._parts.clock.now()

    # --- one connection ---

    def connected(self) -> None:
        self._closing, self._lost = None, None
        self._session.connected(self._now())

    def lost(self, why: LinkClosed) -> None:
        """The socket has ended; the frames that were taken from it before still count."""
        self._lost = self._lost or why
        self._wake()

    def disconnected(self) -> None:
        """The connection is over; whether another one is wanted is then told by ``dialling.gave_up``."""
        self._session.disconnected()
        code = int(self._closing.code) if self._closing is not None else self._lost.code if self._lost else 1006
        if not may_reconnect(code):
            self.dialling.give_up(f"the platform closed the link with {code}")

    def receive(self, text: str) -> None:
        self._take(self._session.receive(text, self._now()))

    def frames(self) -> list[str]:
        """What is to be written now. When it is empty and the connection ``is_over``, nothing will follow."""
        now = self._now()
        self._take(self._session.tick(now))
        self._feed()
        return self._session.take(now) if self._lost is None else []

    def deadline(self) -> float | None:
        """When ``frames`` must be asked although nobody woke the driver."""
        return self._session.deadline()

    def goodbye(self) -> None:
        """The engine ends: the platform need not wait for its lease."""
        if self.is_linked:
            self._session.send(Goodbye(cause="stopped"))
        self._wake()

    def _feed(self) -> None:
        outlet, session = self._parts.outlet, self._session
        for message in outlet.take_latest():
            session.send(message)
        held = session.outbox.waiting + session.outbox.unacked
        for spooled in outlet.take_fresh(max(0, _FED - held)):
            session.send(spooled.message, id=spooled.id)

    # --- the token ---

    def token_due_at(self) -> float | None:
        """When the driver should fetch a fresh token for the connection that stands."""
        due = self._session.token_refresh_at
        return None if due is None else max(due, self._token_not_before)

    def token_fetched(self, token: Token | None) -> None:
        """A fresh token, or None: it could not be had and is asked for again."""
        now = self._now()
        self._token_not_before = now + _TOKEN_PAUSE
        if token is not None:
            self._session.send(Auth(token=token.value), id=new_id())
            self._session.token_renewed(token.lives, now)
            self._wake()

    # --- what the platform says ---

    def _take(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Received():
                    self._received(event)
                case Acknowledged(ids=ids):
                    self._parts.outlet.acknowledged(ids)
                case LeaseGranted(expires_at=expires_at):
                    self._leased(expires_at)
                case Refused(nack=nack):
                    self._parts.log.warning("the platform refused a message: %s %s", nack.code, nack.reason)
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
                self._parts.halting.stop(message)
                self._confirm_when_safe(event)
            case Release():
                self._released(message)
                self._confirm_when_safe(event)
            case ParameterUpdate():
                self._update(message, event)
            case StrategyCommand():
                self._command(message)
                self._confirm_when_safe(event)
            case ConfigChanged(config_version=version):
                self._config_changed(version)
                self._confirm_when_safe(event)
            case Goodbye(cause=cause, reconnect_after_ms=pause):
                self._parts.log.info("the platform says goodbye: %s", cause)
                self.dialling.asked_to_wait(pause)

    def _welcomed(self, welcome: Welcome) -> None:
        parts, halting = self._parts, self._parts.halting
        own = halting.latch.platform_id or parts.credential.platform_id
        self._foreign = own is not None and own != welcome.platform_id
        self.dialling.welcomed(resumable=True)
        self._adopt(welcome.stop)
        if self._foreign:
            self._session.revoke_lease()
            parts.gate.fenced = "this is not the engine's own platform"
            parts.log.error("the platform is another one than this engine belongs to: staying halted")
        else:
            parts.gate.fenced = None
            parts.lease.adopt(welcome.on_lease_expiry)
            halting.keep(welcome.on_lease_expiry)
            if halting.latch.platform_id is None:
                halting.latch = attrs.evolve(halting.latch, platform_id=welcome.platform_id)
                parts.latch_keeper.changed()
            parts.config_changed(welcome.config_version)
        parts.log.info("linked with the platform, session %s", "resumed" if welcome.resumed else "new")

    def _adopt(self, snapshot: StopSnapshot) -> None:
        self._parts.halting.adopt(snapshot, trusted=not self._foreign)

    def _leased(self, expires_at: float) -> None:
        if not self._foreign:
            self._parts.lease.renew(expires_at, self._now())

    def _released(self, message: Release) -> None:
        if not self._foreign:
            self._parts.halting.release(message)

    def _command(self, command: StrategyCommand) -> None:
        if self._foreign:
            words = "this is not the engine's own platform"
            self._parts.outlet.send(refused_command(command, "error_foreign_platform", words))
        else:
            self._parts.outlet.send(self._parts.halting.command(command))

    def _config_changed(self, version: int) -> None:
        if self._foreign:
            return
        words = f"the platform's settings changed (version {version})"
        at = self._parts.clock.wall()
        self._parts.outlet.send(TradeLog(id=new_id(), category=LogCategory.SYSTEM, message=words, timestamp=at))
        self._parts.config_changed(version)

    def _update(self, update: ParameterUpdate, event: Received) -> None:
        """Confirmed when its answer is spooled and what it changed is safe."""
        if self._foreign:
            self._parts.outlet.send(refusal(update, "error_foreign_platform", "this is not the engine's own platform"))
            self._confirm_when_safe(event)
        elif event.seq is None:
            self._parts.parameters(update, lambda: None)
        else:
            commit = _Commit(seq=event.seq, connection=event.connection)
            self._commits.append(commit)
            self._parts.parameters(update, partial(self._answered, commit))

    def _answered(self, commit: _Commit) -> None:
        commit.latch, commit.settings = 0, self._parts.settings_keeper.version
        self._confirm()

    def _unreadable(self, rejected: Rejected) -> None:
        """A stop that cannot be read is a reason to halt; anything else was nacked and is the platform's matter."""
        if rejected.type == "emergency_stop":
            words = "a stop of the platform could not be read"
            self._parts.halting.stop_here(Level.HALT, LocalStopCause.RISK, words)
            return
        self._parts.outlet.send(
            ErrorReport(
                code=rejected.error.code,
                category=ErrorCategory.LINK,
                reason=f"a message of the platform ({rejected.type}) was not valid",
                severity=Severity.WARNING,
                degraded=False,
            )
        )

    # --- confirming ---

    def _confirm_when_safe(self, event: Received) -> None:
        if event.seq is None:
            return
        latch, settings = self._parts.latch_keeper.version, self._parts.settings_keeper.version
        self._commits.append(_Commit(seq=event.seq, connection=event.connection, latch=latch, settings=settings))
        self._confirm()

    def _confirm(self) -> None:
        """In order: an acknowledgement says that everything before it is safe too."""
        latch, settings = self._parts.latch_keeper.safe, self._parts.settings_keeper.safe
        while self._commits and self._commits[0].is_safe(latch, settings):
            commit = self._commits.popleft()
            self._session.committed(commit.seq, self._now(), connection=commit.connection)
            self._wake()

    def _vitals(self) -> Vitals:
        gate = self._parts.gate
        return Vitals(
            stop_epoch=gate.register.epoch,
            level=gate.engine_level(),
            synced=gate.synced,
            clocks=self._parts.clocks(),
        )


def refusal(update: ParameterUpdate, code: str, reason: str) -> ParameterResult:
    """The answer to an update that nobody here can take."""
    return ParameterResult(
        request_id=update.request_id,
        strategy_id=update.strategy_id,
        status=ResultStatus.FAILED,
        parameters={},
        version=0,
        error=code,
        reason=reason[:2000],
    )
