"""Stops and releases as this engine takes them, whoever says them: platform, file, lease or its own risk limit.

The order of work is fixed. Synchronously: the gate closes, what is queued is discarded, "frozen" is on its way out.
Then the latch is made safe on disk, and only after that the stop is acknowledged. What a stop asks for beyond a closed
gate is carried out by the stop executor, from ``Stopping``.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

from wire.messages import (
    EmergencyStop,
    ErrorReport,
    LocalStop,
    Release,
    StopProgress,
    StrategyCommand,
    StrategyResult,
    TradeLog,
)
from wire.parts import LeaseExpiry, Reduced
from wire.sdk.clock import Clock
from wire.sdk.gate import Gate, Reduction
from wire.sdk.identity import Identity
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch, LatchedStop
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.settings import KeptReduction, Settings
from wire.sdk.stopping import Asked, Stopping
from wire.stops import Level, Scope, ScopeKind, StopRecord, StopSnapshot
from wire.values import (
    ErrorCategory,
    Flatness,
    LatchState,
    LocalStopCause,
    LogCategory,
    ResultStatus,
    Severity,
    StopPhase,
    StrategyAction,
    StrategyState,
)

_TIMEOUT_MS = 30_000
_LONGEST_REDUCTION = 7200.0
MOST_OWN = 64
"""How many of its own stops an engine holds at once."""


class Trading(Protocol):
    """What stops ask of the engine's own orders. Nothing here waits."""

    def freeze(self, stop: LatchedStop) -> None:
        """The gate has just closed for this stop: what is queued and may not be sent any more is discarded, and
        whatever makes orders by itself ends."""

    def orphaned(self) -> list[str]:
        """Closing orders of stops that no open stop asks for any more."""

    def unresolved(self, scope: Scope) -> int:
        """How many written requests in scope have an unknown fate."""


class Halting:
    """``wake`` calls whoever carries stops out; ``trading_changed`` says that what strategies may do changed."""

    def __init__(
        self,
        *,
        identity: Identity,
        clock: Clock,
        gate: Gate,
        outlet: Outlet,
        trading: Trading,
        latch: Latch,
        state: LatchState,
        keeper: Keeper,
        settings: Settings,
        settings_keeper: Keeper,
        strategies: Iterable[str],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._gate = gate
        self._outlet = outlet
        self._trading = trading
        self.latch = latch
        self.latch_state = state
        self.keeper = keeper
        self._settings = settings
        self._settings_keeper = settings_keeper
        self._strategies = tuple(strategies)
        self._unsafe: dict[str, int] = {}
        self._unproven: int | None = None  # the version of the latch that no disk has taken yet
        self._damage: str | None = None  # the stop that says that the latch could not be read
        keeper.listeners["stops"] = self._saved
        self.wake: Callable[[], None] = lambda: None
        self.trading_changed: Callable[[], None] = lambda: None
        self.stopping = Stopping(covers=self._covers, level_for=gate.level_for, unresolved=trading.unresolved)
        self.stopping.keep, self.stopping.count = self._keep_session, self._keep_counts

    # --- at the start ---

    def resume(self, *, knows_paused: bool = True) -> None:
        """Closes the gate for everything the latch holds and goes on where an earlier process was interrupted. A
        corrupt latch halts the engine: what it held is not known. Where it is not known who was paused, all are."""
        if not knows_paused:
            self._settings.pause_by_hand(self._strategies)
            self._settings_keeper.changed()
        self._gate.register = self.latch.register()
        self._gate.paused = set(self._settings.paused)
        self._gate.reduced = {k: self._reduction(r) for k, r in self._settings.reduced.items()}
        left = self.latch.open_stops()
        sessions = [Asked(stop_id=s.record.stop_id, epoch=s.session_epoch, session=s.session or "") for s in left]
        self.stopping.recalling(sessions)
        for stop in left:
            self._outlet.send(self.stopping.begin(stop, self._clock.now(), 0))
            self._noted(stop.record.stop_id)
        self.stopping.recalled()
        if self.latch_state is LatchState.CORRUPT:
            words = "the file that remembers this engine's stops is damaged"
            self._damage = self.stop_here(Level.HALT, LocalStopCause.RISK, words)

    def prove(self) -> None:
        """Blocking, at the start, when everything is resumed: the latch is written once. Where the disk refuses, the
        engine is there, halted: it obeys stops, and nothing opens before its latch can be written."""
        try:
            self.keeper.write_now()
        except OSError as error:
            self._unproven, self._gate.unlatched = self.keeper.version, "the latch cannot be written"
            why = error.strerror or type(error).__name__
            words = f"the latch cannot be written, and no order leaves before it can: {why}"
            self._outlet.send(_storage_report(words))
            self._log(f"HALTED: {words}", words, severity=Severity.CRITICAL)

    def _proven(self) -> None:
        self._unproven, self._gate.unlatched = None, None
        self._log("the latch is written: orders may leave again", None)
        self.trading_changed()

    @property
    def on_lease_expiry(self) -> LeaseExpiry | None:
        """What follows while the platform stays away, as an earlier process heard it; None: it never heard any."""
        kept = self._settings.on_lease_expiry
        return LeaseExpiry() if kept is None and self.latch.platform_id is not None else kept

    def keep(self, policy: LeaseExpiry) -> None:
        """What the platform wants done while it stays away, also by a later process of this engine."""
        if policy != (self._settings.on_lease_expiry or LeaseExpiry()):
            self._settings.on_lease_expiry = policy
            self._settings_keeper.changed()

    def _keep_session(self, asked: Asked) -> None:
        self.latch = self.latch.with_session(asked.stop_id, asked.epoch, asked.session)
        self.keeper.changed()

    def _keep_counts(self, stop_id: str, cancelled: int, liquidated: int) -> None:
        self.latch = self.latch.with_counts(stop_id, cancelled=cancelled, liquidated=liquidated)
        self.keeper.changed()

    # --- stops ---

    def stop(self, message: EmergencyStop) -> None:
        """The platform's word: the gate is closed when this returns. A stop released before it came is answered only.

        It may be acknowledged when ``keeper`` has made its present version safe.
        """
        known = self.latch.find(message.stop_id)
        if known is not None and not known.is_open and (known.released_epoch or 0) >= message.stop_epoch:
            self._outlet.send(_superseded(message))
            return
        self._take(
            LatchedStop(
                record=message.record(),
                reason=message.reason,
                user_id=message.user_id,
                at=self._clock.wall(),
                timeout_ms=message.timeout_ms or _TIMEOUT_MS,
                drill=message.drill,
            ),
            again=message.again,
        )
        if message.again:
            for report in self.stopping.ask_again(message.stop_id, message.stop_epoch):
                self._outlet.send(report)
            self.wake()

    def stop_here(self, level: Level, cause: LocalStopCause, reason: str) -> str:
        """The engine's own stop; it becomes the platform's under this id and needs a release like any other.

        Where ``MOST_OWN`` of them, at least as strict, are open already it is the newest of these: the others hold the
        engine whatever becomes of that one, and an engine that stops itself for ever can still say hello.
        """
        own = [s for s in self.latch.open_stops() if s.cause is not None and s.record.level >= level]
        if len(own) >= MOST_OWN:
            return own[-1].record.stop_id
        stop_id = f"local-{new_id()[:20]}"
        record = StopRecord(
            stop_id=stop_id,
            scope=Scope.of_engine(self._identity.engine_id),
            level=level,
            stop_epoch=self._gate.register.epoch + 1,
        )
        at = self._clock.wall()
        self._take(LatchedStop(record=record, reason=reason, user_id="engine", at=at, cause=cause))
        self._outlet.send(LocalStop(id=stop_id, level=level, cause=cause, reason=reason, at=at))
        return stop_id

    def adopt(self, snapshot: StopSnapshot, *, trusted: bool) -> bool:
        """The platform's register as a frame carries it. True when there was anything new. ``trusted``: it is this
        engine's own platform, whose releases count."""
        fresh = [r for r in snapshot.effective if self._is_news(r)]
        at = self._clock.wall()
        for record in fresh:
            self._take(LatchedStop(record=record, reason="in force at the platform", user_id="platform", at=at))
        if not trusted:
            return bool(fresh)
        over = [s.record.stop_id for s in self.latch.open_stops() if s.record.stop_id in set(snapshot.released)]
        over = [i for i in over if self._epoch_of(i) <= snapshot.epoch]
        if over:
            self._let_go(over, snapshot.epoch, resume=False)
        if snapshot.epoch > self._gate.register.epoch:
            self._gate.register = self._gate.register.at_least(snapshot.epoch)
            self.latch = self.latch.at_least(snapshot.epoch)
            self.keeper.changed()
        return bool(fresh or over)

    def _take(self, stop: LatchedStop, *, again: bool = False) -> None:
        """From here to the closed gate nothing waits. ``again``: a person has asked for it anew."""
        record = stop.record
        before = self.latch.find(record.stop_id)
        self.latch = self.latch.with_stop(stop)
        merged = self.latch.find(record.stop_id) or stop
        self._gate.close(record.stop_id, merged.entry)
        in_flight = self._gate.in_flight(merged.record.scope)
        if merged != before:
            self.keeper.changed()
        self._unsafe[record.stop_id] = self.keeper.version
        self._trading.freeze(merged)
        self._outlet.send(self.stopping.begin(merged, self._clock.now(), in_flight, again=again))
        words = f"{record.level.value} of {record.scope}: {stop.reason}"
        self._log(f"STOP {words}", stop.reason or None, severity=Severity.CRITICAL)
        self._saved()
        self.wake()
        self.trading_changed()

    def _saved(self) -> None:
        """The latch is on stable storage up to a version: the stops in it are reported as latched."""
        if self._unproven is not None and self._unproven <= self.keeper.safe:
            self._proven()
        for stop_id in [i for i, version in self._unsafe.items() if version <= self.keeper.safe]:
            del self._unsafe[stop_id]
            self._noted(stop_id)

    def is_safe(self, stop_id: str) -> bool:
        """Whether what is known of this stop is on stable storage."""
        return stop_id not in self._unsafe

    def _noted(self, stop_id: str) -> None:
        report = self.stopping.noted(stop_id)
        if report is not None:
            self._outlet.send(report)
        self.wake()

    # --- releases ---

    def release(self, message: Release) -> None:
        """Ends exactly what is named. Without ``resume`` the strategies it held come back paused."""
        for record in message.effective:
            if self._is_news(record):
                at = self._clock.wall()
                self._take(LatchedStop(record=record, reason="in force at the platform", user_id="platform", at=at))
        self._let_go(message.stop_ids, message.epoch, resume=message.resume, reduced=message.reduced)

    def _let_go(self, stop_ids: Iterable[str], epoch: int, *, resume: bool, reduced: Reduced | None = None) -> None:
        named = [s for i in stop_ids if (s := self.latch.find(i)) is not None]
        ended = [s for s in named if s.record.stop_epoch <= epoch]
        ids = [s.record.stop_id for s in ended]
        was_open = [s for s in ended if s.is_open]
        if reduced is not None:  # before the gate opens
            self._reduce(ended, reduced)
        self.latch = self.latch.with_release(ids, epoch)
        self._gate.open(ids, epoch)
        self._gate.register = self._gate.register.at_least(epoch)
        if self._damage in ids:
            self._damage, self.latch_state = None, LatchState.PRESENT
        self.keeper.changed()
        self._pause(ended if resume else was_open, paused=not resume)
        for report in self.stopping.release(ids, self._trading.orphaned()):
            self._outlet.send(report)
        if was_open:
            self._log(f"RELEASED {', '.join(ids)}", None)
        self.wake()
        self.trading_changed()

    def _reduce(self, stops: Iterable[LatchedStop], reduced: Reduced) -> None:
        scopes = [s.record.scope for s in stops]
        covered = [s for s in self._strategies if any(self._scope_holds(scope, s) for scope in scopes)]
        self._reduce_those(covered, reduced)

    def _reduce_those(self, covered: list[str], reduced: Reduced) -> None:
        """What still holds from an earlier release is not loosened: the later end and the smaller value count."""
        until = self._clock.wall() + timedelta(milliseconds=reduced.for_ms)
        for strategy_id in covered:
            kept = KeptReduction(until=until, max_order_value=reduced.max_order_value)
            known = self._settings.reduced.get(strategy_id)
            if known is not None and known.until > self._clock.wall():
                value = min(known.max_order_value, kept.max_order_value)
                kept = KeptReduction(until=max(known.until, until), max_order_value=value)
            self._settings.reduced[strategy_id] = kept
            self._gate.reduced[strategy_id] = self._reduction(kept)
        if covered:
            self._settings_keeper.changed()
            minutes = reduced.for_ms / 60_000
            words = f"REDUCED for {minutes:g} min: orders of at most {reduced.max_order_value:,} won"
            self._log(f"{words} ({', '.join(covered)})", None)

    def _reduction(self, kept: KeptReduction) -> Reduction:
        """On the engine's own clock. A wall clock that was set back cannot make it longer than it ever is."""
        left = min((kept.until - self._clock.wall()).total_seconds(), _LONGEST_REDUCTION)
        return Reduction(until=self._clock.now() + left, max_order_value=kept.max_order_value)

    def _scope_holds(self, scope: Scope, strategy_id: str) -> bool:
        identity = self._identity
        return scope.covers(identity.engine_id, identity.account_id, strategy_id, None)

    def _pause(self, stops: Iterable[LatchedStop], *, paused: bool) -> None:
        """A release lets those go on that stops have paused, and not those that a person has."""
        held = {s for s in self._strategies for stop in stops if self._holds(stop, s)}
        self._keep_paused(held if paused else held - self._settings.paused_by_hand, paused=paused)

    def _keep_paused(self, strategies: set[str], *, paused: bool) -> None:
        if paused:
            self._gate.paused |= strategies
        else:
            self._gate.paused -= strategies
        if self._settings.paused != self._gate.paused:
            self._settings.paused = set(self._gate.paused)
            self._settings_keeper.changed()

    # --- single strategies ---

    def command(self, command: StrategyCommand) -> StrategyResult:
        """A person pauses or resumes one strategy; such a pause ends by such a resume alone.

        A resume that was decided before a stop this engine has heard of, or that a stop forbids, is refused: what a
        stop has paused goes on by a later word only.
        """
        strategy_id, pause = command.strategy_id, command.action is StrategyAction.PAUSE
        if strategy_id not in self._strategies:
            return refused_command(command, "error_unknown_strategy", "this engine has no such strategy")
        was = StrategyState.PAUSED if strategy_id in self._gate.paused else StrategyState.ACTIVE
        if not pause and command.stop_epoch < self._gate.register.epoch:
            return refused_command(command, "error_stale_epoch", "a stop came after this was decided", was)
        if not pause and (level := self._gate.level_for(strategy_id, "")) > Level.NORMAL:
            return refused_command(command, "error_stopped", f"a stop holds it at {level.value}", was)
        if not pause and command.reduced is not None:  # before it may send anything
            self._reduce_those([strategy_id], command.reduced)
        by_hand = self._settings.paused_by_hand
        self._settings.paused_by_hand = by_hand | {strategy_id} if pause else by_hand - {strategy_id}
        self._keep_paused({strategy_id}, paused=pause)
        self._settings_keeper.changed()
        self._log(f"{'PAUSED' if pause else 'RESUMED'} {strategy_id}", None)
        self.wake()
        self.trading_changed()
        return StrategyResult(
            request_id=command.request_id,
            strategy_id=strategy_id,
            status=ResultStatus.APPLIED,
            strategy_status=StrategyState.PAUSED if pause else StrategyState.ACTIVE,
        )

    # --- questions ---

    def _log(self, words: str, reason: str | None, *, severity: Severity | None = None) -> None:
        at = self._clock.wall()
        log = TradeLog(
            id=new_id(),
            category=LogCategory.SYSTEM,
            message=words[:2000],
            timestamp=at,
            reason=reason,
            severity=severity,
        )
        self._outlet.send(log)

    def _holds(self, stop: LatchedStop, strategy_id: str) -> bool:
        scope = stop.record.scope
        if stop.record.level < Level.HALT or scope.kind is ScopeKind.SYMBOL:
            return False
        return self._scope_holds(scope, strategy_id)

    def _covers(self, scope: Scope, strategy_id: str, symbol: str) -> bool:
        identity = self._identity
        return scope.covers(identity.engine_id, identity.account_id, strategy_id, symbol)

    def _is_news(self, record: StopRecord) -> bool:
        known = self.latch.find(record.stop_id)
        if known is None:
            return True
        if not known.is_open:
            return record.stop_epoch > (known.released_epoch or 0)
        return (record.stop_epoch, record.level.rank) > (known.record.stop_epoch, known.record.level.rank)

    def _epoch_of(self, stop_id: str) -> int:
        known = self.latch.find(stop_id)
        return known.record.stop_epoch if known is not None else 0


def refused_command(
    command: StrategyCommand, code: str, reason: str, was: StrategyState | None = None
) -> StrategyResult:
    """The answer to a command that changes nothing; ``was``: what the strategy is."""
    return StrategyResult(
        request_id=command.request_id,
        strategy_id=command.strategy_id,
        status=ResultStatus.FAILED,
        strategy_status=was,
        error=code,
        reason=reason,
    )


def _superseded(message: EmergencyStop) -> StopProgress:
    return StopProgress(
        stop_id=message.stop_id,
        stop_epoch=message.stop_epoch,
        phase=StopPhase.SUPERSEDED,
        orders_cancelled=0,
        orders_remaining=0,
        positions_liquidated=0,
        positions_remaining=0,
        flatness=Flatness.UNKNOWN,
        flatness_reason="released before it arrived",
        residuals=[],
    )


def storage_failed(outlet: Outlet) -> Callable[[Exception], None]:
    """What a keeper calls when a file cannot be made safe."""

    def tell(error: Exception) -> None:
        what = getattr(error, "strerror", None) or type(error).__name__
        outlet.send(_storage_report(f"a file of this engine's state cannot be made safe: {what}"))

    return tell


def _storage_report(words: str) -> ErrorReport:
    return ErrorReport(
        code="error_storage",
        category=ErrorCategory.SYSTEM,
        reason=words,
        severity=Severity.CRITICAL,
        degraded=True,
    )
