"""Stops and releases as this engine takes them, whoever says them: platform, file, lease or its own risk limit.

The order of work is fixed. Synchronously: the gate closes, what is queued is discarded, "frozen" is on its way out.
Then the latch is made safe on disk, and only after that the stop is acknowledged. What a stop asks for beyond a closed
gate is carried out by the stop executor, from ``Stopping``.
"""

from collections.abc import Callable, Iterable

from actors.engine.desk import Desk
from actors.engine.gate import Purpose
from actors.engine.keeper import Keeper
from actors.engine.latch import Latch, LatchedStop
from actors.engine.outlet import new_id
from actors.engine.settings import Settings
from actors.engine.stopping import Stopping
from wire.messages import (
    EmergencyStop,
    ErrorCategory,
    ErrorReport,
    Flatness,
    LatchState,
    LocalStop,
    LocalStopCause,
    LogCategory,
    Release,
    Severity,
    StopPhase,
    StopProgress,
)
from wire.stops import Level, Scope, ScopeKind, StopRecord, StopSnapshot

_TIMEOUT_MS = 30_000


class Halting:
    """``wake`` calls the stop executor; ``trading_changed`` says that the state of strategies may have changed."""

    def __init__(
        self,
        desk: Desk,
        *,
        latch: Latch,
        state: LatchState,
        keeper: Keeper,
        settings: Settings,
        settings_keeper: Keeper,
        strategies: Iterable[str],
    ) -> None:
        self._desk = desk
        self.latch = latch
        self.latch_state = state
        self.keeper = keeper
        self._settings = settings
        self._settings_keeper = settings_keeper
        self._strategies = tuple(strategies)
        self.wake: Callable[[], None] = lambda: None
        self.trading_changed: Callable[[], None] = lambda: None
        self.stopping = Stopping(covers=self._covers, level_for=desk.gate.level_for, unresolved=self._unresolved)

    # --- at the start ---

    def resume(self) -> None:
        """Closes the gate for everything the latch holds and goes on where an earlier process was interrupted. A
        corrupt latch halts the engine: what it held is not known."""
        desk = self._desk
        desk.gate.register = self.latch.register()
        desk.gate.paused = set(self._settings.paused)
        for stop in self.latch.open_stops():
            desk.outlet.send(self.stopping.begin(stop, desk.clock.now(), 0))
            self._latched(stop.record.stop_id)
        if self.latch_state is LatchState.CORRUPT:
            self.stop_here(Level.HALT, LocalStopCause.RISK, "the file that remembers this engine's stops is damaged")

    # --- stops ---

    def stop(self, message: EmergencyStop) -> str | None:
        """The platform's word. Returns the id to make safe and then acknowledge; None when there is nothing new to
        make safe: the stop was released before it came."""
        known = self.latch.find(message.stop_id)
        if known is not None and not known.is_open and (known.released_epoch or 0) >= message.stop_epoch:
            self._desk.outlet.send(_superseded(message))
            return None
        self._take(
            LatchedStop(
                record=message.record(),
                reason=message.reason,
                user_id=message.user_id,
                at=self._desk.clock.wall(),
                timeout_ms=message.timeout_ms or _TIMEOUT_MS,
                drill=message.drill,
            )
        )
        return message.stop_id

    def stop_here(self, level: Level, cause: LocalStopCause, reason: str) -> str:
        """The engine's own stop; it becomes the platform's under this id and needs a release like any other."""
        desk = self._desk
        stop_id = f"local-{new_id()[:20]}"
        record = StopRecord(
            stop_id=stop_id,
            scope=Scope.of_engine(desk.identity.engine_id),
            level=level,
            stop_epoch=desk.gate.register.epoch + 1,
        )
        at = desk.clock.wall()
        self._take(LatchedStop(record=record, reason=reason, user_id="engine", at=at, cause=cause))
        desk.outlet.send(LocalStop(id=stop_id, level=level, cause=cause, reason=reason, at=at))
        return stop_id

    def adopt(self, snapshot: StopSnapshot, *, trusted: bool) -> bool:
        """The platform's register as a frame carries it. True when there was anything new. ``trusted``: it is this
        engine's own platform, whose releases count."""
        fresh = [r for r in snapshot.effective if self._is_news(r)]
        at = self._desk.clock.wall()
        for record in fresh:
            self._take(LatchedStop(record=record, reason="in force at the platform", user_id="platform", at=at))
        if not trusted:
            return bool(fresh)
        over = [s.record.stop_id for s in self.latch.open_stops() if s.record.stop_id in set(snapshot.released)]
        over = [i for i in over if self._epoch_of(i) <= snapshot.epoch]
        if over:
            self._let_go(over, snapshot.epoch, resume=False)
        if snapshot.epoch > self._desk.gate.register.epoch:
            self._desk.gate.register = self._desk.gate.register.at_least(snapshot.epoch)
            self.latch = self.latch.at_least(snapshot.epoch)
            self.keeper.changed()
        return bool(fresh or over)

    def _take(self, stop: LatchedStop) -> None:
        """From here to the closed gate nothing waits."""
        desk, record = self._desk, stop.record
        before = self.latch.find(record.stop_id)
        self.latch = self.latch.with_stop(stop)
        merged = self.latch.find(record.stop_id) or stop
        desk.gate.close(record.stop_id, merged.entry)
        in_flight = desk.gate.in_flight(merged.record.scope)
        self._discard_queued()
        desk.outlet.send(self.stopping.begin(merged, desk.clock.now(), in_flight))
        if merged != before:
            self.keeper.changed()
        words = f"{record.level.value} of {record.scope}: {stop.reason}"
        desk.log(LogCategory.SYSTEM, f"STOP {words}", stop.reason or None, severity=Severity.CRITICAL)
        self.wake()
        self.trading_changed()

    def _discard_queued(self) -> None:
        """Orders that have not been written are discarded; their tasks end without waiting for their turn."""
        desk = self._desk
        for order in desk.orders.open_orders():
            level = desk.gate.level_for(order.strategy_id, order.symbol)
            if order.purpose is Purpose.ORDER and not order.written and level >= Level.HALT:
                desk.discard(order.order_id)
                desk.closed(order.order_id, f"stopped at {level.value}")

    async def make_safe(self, stop_id: str) -> None:
        """Waits until the stop is on stable storage, then reports it."""
        await self.keeper.persist()
        self._latched(stop_id)

    def _latched(self, stop_id: str) -> None:
        report = self.stopping.noted(stop_id)
        if report is not None:
            self._desk.outlet.send(report)
        self.wake()

    # --- releases ---

    def release(self, message: Release) -> None:
        """Ends exactly what is named. Without ``resume`` the strategies it held come back paused."""
        for record in message.effective:
            if self._is_news(record):
                at = self._desk.clock.wall()
                self._take(LatchedStop(record=record, reason="in force at the platform", user_id="platform", at=at))
        self._let_go(message.stop_ids, message.epoch, resume=message.resume)

    def _let_go(self, stop_ids: Iterable[str], epoch: int, *, resume: bool) -> None:
        desk = self._desk
        named = [s for i in stop_ids if (s := self.latch.find(i)) is not None]
        ended = [s for s in named if s.record.stop_epoch <= epoch]
        ids = [s.record.stop_id for s in ended]
        was_open = [s for s in ended if s.is_open]
        self.latch = self.latch.with_release(ids, epoch)
        desk.gate.open(ids, epoch)
        desk.gate.register = desk.gate.register.at_least(epoch)
        self.keeper.changed()
        self._pause(ended if resume else was_open, paused=not resume)
        for report in self.stopping.release(ids, self._orphaned_closings()):
            desk.outlet.send(report)
        if was_open:
            desk.log(LogCategory.SYSTEM, f"RELEASED {', '.join(ids)}", None)
        self.wake()
        self.trading_changed()

    def _orphaned_closings(self) -> list[str]:
        """Closing orders that no open stop asks for any more."""
        desk = self._desk
        return [
            o.order_id
            for o in desk.orders.open_orders()
            if o.purpose is Purpose.STOP_ORDER and desk.gate.level_for(o.strategy_id, o.symbol) < Level.FLATTEN
        ]

    def _pause(self, stops: Iterable[LatchedStop], *, paused: bool) -> None:
        held = {s for s in self._strategies for stop in stops if self._holds(stop, s)}
        if paused:
            self._desk.gate.paused |= held
        else:
            self._desk.gate.paused -= held
        if self._settings.paused != self._desk.gate.paused:
            self._settings.paused = set(self._desk.gate.paused)
            self._settings_keeper.changed()

    # --- questions ---

    def _holds(self, stop: LatchedStop, strategy_id: str) -> bool:
        scope = stop.record.scope
        if stop.record.level < Level.HALT or scope.kind is ScopeKind.SYMBOL:
            return False
        identity = self._desk.identity
        return scope.covers(identity.engine_id, identity.account_id, strategy_id, None)

    def _covers(self, scope: Scope, strategy_id: str, symbol: str) -> bool:
        identity = self._desk.identity
        return scope.covers(identity.engine_id, identity.account_id, strategy_id, symbol)

    def _unresolved(self, scope: Scope) -> int:
        return sum(
            o.written and not o.is_final and not o.is_working and self._covers(scope, o.strategy_id, o.symbol)
            for o in self._desk.orders.open_orders()
        )

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


def storage_failed(desk: Desk) -> Callable[[OSError], None]:
    """What a keeper calls when a file cannot be made safe."""

    def tell(error: OSError) -> None:
        desk.outlet.send(
            ErrorReport(
                code="error_storage",
                category=ErrorCategory.SYSTEM,
                reason=f"a file of this engine's state cannot be made safe: {error.strerror}",
                severity=Severity.CRITICAL,
                degraded=True,
            )
        )

    return tell
