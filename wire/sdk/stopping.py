"""The staged stop: frozen → cancelled → flattened → verified, each stage with counts, from the broker's own view.

One ``StopRun`` per stop says how far that stop is; ``Stopping`` holds all of them and says what to do next for all of
them at once, so that two stops over the same position never close it twice. Both are pure: reads of the broker, fills
and time come in, progress reports and actions go out.

A stage is reached by evidence only. "Cancelled" needs a broker read without a working order in scope and no request
whose fate is open; "verified" needs two such reads in agreement, both begun after the last fill. A read that failed or
cannot be believed proves nothing: flatness is then UNKNOWN, never FLAT.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import attrs

from wire.messages import Flatness, Residual, Side, StopPhase, StopProgress
from wire.schema import changed
from wire.sdk.latch import LatchedStop
from wire.stops import Level, Scope, ScopeKind

CANCEL_AGAIN_AFTER = 2.0  # seconds before a cancel without visible effect is sent again
REPRICE_AFTER = 4.0  # seconds after which an unfilled closing order is withdrawn and sent anew
_RETRY = (0.5, 1.0, 2.0, 4.0, 8.0)

Covers = Callable[[Scope, str, str], bool]
"""(scope, strategy id, symbol) → whether the scope covers it on this engine and account."""
LevelFor = Callable[[str, str], Level]
Unresolved = Callable[[Scope], int]
"""How many written requests in scope have an unknown fate: unanswered, or lost and not yet reconciled."""


@attrs.frozen(kw_only=True)
class WorkingOrder:
    """A working order as the broker shows it. ``closing``: it is a stop's own reduce-only order. ``age``: seconds."""

    order_id: str
    strategy_id: str
    symbol: str
    side: Side
    remaining: int
    closing: bool = False
    age: float = 0.0


@attrs.frozen(kw_only=True)
class Exposure:
    """Shares the broker shows, split by the strategy whose fills opened them."""

    strategy_id: str
    symbol: str
    quantity: int


@attrs.frozen(kw_only=True)
class View:
    """One read of the broker: between ``began`` and ``ended`` (engine seconds), ``at`` for people. ``problem`` says why
    it proves nothing."""

    began: float
    ended: float
    at: datetime
    orders: tuple[WorkingOrder, ...] = ()
    positions: tuple[Exposure, ...] = ()
    problem: str | None = None


@attrs.frozen(kw_only=True)
class CancelWorking:
    order: WorkingOrder


@attrs.frozen(kw_only=True)
class CloseOut:
    """Sell ``quantity`` of what the strategy holds; ``attempt`` counts from 0."""

    strategy_id: str
    symbol: str
    quantity: int
    attempt: int


Action = CancelWorking | CloseOut


@attrs.frozen(kw_only=True)
class Blocked:
    """Why a position cannot be closed now. Nothing is tried again before a person asks anew."""

    reason: str
    until: datetime | None = None


BlockedFor = Callable[[str, str], Blocked | None]


class StopRun:
    """One stop on this engine. Counts are totals of the run; a raise of the same stop continues it."""

    def __init__(self, stop: LatchedStop, now: float, in_flight: int) -> None:
        self.stop = stop
        self.phase = StopPhase.FROZEN
        self.in_flight = in_flight
        self.latched = False
        self.timed_out = False
        self._deadline = now + stop.timeout_ms / 1000
        self._seen_orders: set[str] = set()
        self._cancelled: set[str] = set()
        self._seen_positions: set[tuple[str, str]] = set()
        self._orders_left = 0
        self._orders_to_cancel = 0
        self._open: dict[tuple[str, str], int] = {}
        self._view: View | None = None
        self._clean: View | None = None
        self._residuals: tuple[Residual, ...] = ()

    @property
    def stop_id(self) -> str:
        return self.stop.record.stop_id

    @property
    def level(self) -> Level:
        return self.stop.record.level

    @property
    def scope(self) -> Scope:
        return self.stop.record.scope

    @property
    def is_over(self) -> bool:
        return self.phase in (StopPhase.VERIFIED, StopPhase.RELEASED)

    @property
    def deadline(self) -> float | None:
        """When it will have timed out; None when it cannot any more."""
        return None if self.is_over or self.timed_out else self._deadline

    def raise_to(self, stop: LatchedStop, now: float, in_flight: int) -> bool:
        """Takes the stop in a stricter or newer form. False when nothing is new."""
        old, new = self.stop.record, stop.record
        if (new.level, new.scope, new.stop_epoch) == (old.level, old.scope, old.stop_epoch) and not self._released():
            return False
        self.stop, self.phase, self.in_flight = stop, StopPhase.FROZEN, in_flight
        self.latched = self.timed_out = False
        self._deadline, self._clean = now + stop.timeout_ms / 1000, None
        return True

    def noted(self) -> None:
        """The latch is on stable storage."""
        self.latched = True
        if self.level in (Level.REDUCE_ONLY, Level.HALT) and self.phase is StopPhase.FROZEN:
            self.phase = StopPhase.VERIFIED

    def order_cancelled(self, order_id: str) -> None:
        """An order of the scope is over by cancellation."""
        if order_id in self._seen_orders:
            self._cancelled.add(order_id)

    def recall(self, view: View, covers: Covers, blocked: BlockedFor) -> None:
        """Counts of the last read before the stop: better than none, and dated. They advance nothing."""
        self._view = view
        if view.problem is None:
            self._measure(view, covers, blocked)

    def observe(self, view: View, *, unresolved: int, last_fill: float, covers: Covers, blocked: BlockedFor) -> bool:
        """Takes one read into account. True when the report changed."""
        before = changed(self.report(), flatness_as_of=None)
        self._view = view
        if view.problem is None:
            self._measure(view, covers, blocked)
            self._advance(view, unresolved, last_fill)
        else:
            self._clean = None
        return changed(self.report(), flatness_as_of=None) != before

    def tick(self, now: float) -> bool:
        """True when the time is over: reported once, while the work goes on."""
        if self.deadline is None or now < self.deadline:
            return False
        self.timed_out = True
        return True

    def report(self) -> StopProgress:
        flatness, why = self._flatness()
        late = self.timed_out and not self.is_over
        stuck = bool(self._residuals) and all(r.reason != _CLOSING for r in self._residuals)
        phase = StopPhase.FAILED if stuck and not self.is_over else StopPhase.TIMED_OUT if late else self.phase
        return StopProgress(
            stop_id=self.stop_id,
            stop_epoch=self.stop.record.stop_epoch,
            phase=phase,
            in_flight=self.in_flight,
            latched=self.latched,
            orders_cancelled=len(self._cancelled),
            orders_remaining=self._orders_left,
            positions_liquidated=len(self._seen_positions) - len(self._open),
            positions_remaining=len(self._open),
            flatness=flatness,
            flatness_as_of=self._view.at if self._view is not None else None,
            flatness_reason=why,
            residuals=list(self._residuals),
            error="error_positions_blocked" if stuck and not self.is_over else "error_stop_timeout" if late else None,
            reason="still trying" if late and not stuck else None,
        )

    def end_released(self) -> None:
        self.phase = StopPhase.RELEASED

    def _released(self) -> bool:
        return self.phase is StopPhase.RELEASED

    def _measure(self, view: View, covers: Covers, blocked: BlockedFor) -> None:
        orders = [o for o in view.orders if covers(self.scope, o.strategy_id, o.symbol)]
        held = [p for p in view.positions if p.quantity and covers(self.scope, p.strategy_id, p.symbol)]
        self._seen_orders |= {o.order_id for o in orders if not o.closing}
        self._orders_left = len(orders)
        self._open = {(p.strategy_id, p.symbol): p.quantity for p in held}
        self._seen_positions |= set(self._open)
        self._residuals = tuple(_residual(p, blocked) for p in held) if self.level is Level.FLATTEN else ()
        self._orders_to_cancel = sum(not o.closing for o in orders)

    def _advance(self, view: View, unresolved: int, last_fill: float) -> None:
        if self.is_over or self.level < Level.CANCEL:
            return
        if unresolved or self._orders_to_cancel:
            self._clean = None
            return
        if self.phase is StopPhase.FROZEN:
            self.phase = StopPhase.CANCELLED
        if self.level is Level.FLATTEN and (self._open or self._orders_left):
            self._clean = None
            return
        if self.level is Level.FLATTEN:
            self.phase = StopPhase.FLATTENED
        self._confirm(view, last_fill)

    def _confirm(self, view: View, last_fill: float) -> None:
        """The second of two clean reads that are newer than the last fill, and do not overlap, verifies."""
        if view.began <= last_fill:
            self._clean = None
        elif self._clean is None or self._clean.began <= last_fill:
            self._clean = view
        elif view.began >= self._clean.ended and self.latched:
            self.phase = StopPhase.VERIFIED

    def _flatness(self) -> tuple[Flatness, str | None]:
        if self._view is None:
            return Flatness.UNKNOWN, "the broker has not been read since the stop"
        if self._view.problem is not None:
            return Flatness.UNKNOWN, self._view.problem
        return (Flatness.NOT_FLAT if self._open or self._orders_left else Flatness.FLAT), None


_CLOSING = "being closed"


def _residual(exposure: Exposure, blocked: BlockedFor) -> Residual:
    block = blocked(exposure.strategy_id, exposure.symbol)
    if block is None:
        return Residual(symbol=exposure.symbol, quantity=exposure.quantity, reason=_CLOSING)
    return Residual(symbol=exposure.symbol, quantity=exposure.quantity, reason=block.reason, until=block.until)


@attrs.define
class _Attempts:
    count: int = 0
    not_before: float = 0.0


class Stopping:
    """All stops of this engine and the work they ask for. Nothing here waits."""

    def __init__(self, *, covers: Covers, level_for: LevelFor, unresolved: Unresolved) -> None:
        self._covers = covers
        self._level_for = level_for
        self._unresolved = unresolved
        self._runs: dict[str, StopRun] = {}
        self._cancels: dict[str, _Attempts] = {}
        self._closes: dict[tuple[str, str], _Attempts] = {}
        self._blocked: dict[tuple[str, str], Blocked] = {}
        self._unwinding: set[str] = set()
        self._last: View | None = None
        self.last_fill = float("-inf")

    @property
    def runs(self) -> list[StopRun]:
        return list(self._runs.values())

    @property
    def has_work(self) -> bool:
        """Whether the broker must be read: some stop asks for more than a closed gate, or a release for an unwind."""
        return bool(self._unwinding) or any(not r.is_over and r.level >= Level.CANCEL for r in self.runs)

    @property
    def is_stuck(self) -> bool:
        """Everything left is blocked: reading may go on slowly, sending may not."""
        active = [r for r in self.runs if not r.is_over and r.level >= Level.CANCEL]
        return bool(active) and all(r.report().phase is StopPhase.FAILED for r in active)

    # --- what happens ---

    def begin(self, stop: LatchedStop, now: float, in_flight: int) -> StopProgress:
        """A stop that is already closed at the gate. A repeated one reports where it stands; a new or raised one is a
        person's word, so what was blocked is tried again."""
        run = self._runs.get(stop.record.stop_id)
        if run is None:
            run = self._runs[stop.record.stop_id] = StopRun(stop, now, in_flight)
            self._blocked.clear()
            if self._last is not None:
                run.recall(self._last, self._covers, self._blocked_for)
        elif run.raise_to(stop, now, in_flight):
            self._blocked.clear()
        return run.report()

    def noted(self, stop_id: str) -> StopProgress | None:
        run = self._runs.get(stop_id)
        if run is None or run.latched:
            return None
        run.noted()
        return run.report()

    def release(self, stop_ids: Iterable[str], closing_orders: Iterable[str]) -> list[StopProgress]:
        """The named stops are over. Closing orders that no open stop asks for any more are withdrawn."""
        reports = []
        for stop_id in stop_ids:
            run = self._runs.pop(stop_id, None)
            if run is not None and not run.is_over:
                run.end_released()
                reports.append(run.report())
        self._unwinding |= set(closing_orders)
        return reports

    def fill(self, now: float) -> None:
        self.last_fill = max(self.last_fill, now)

    def order_over(self, order_id: str, *, by_cancel: bool) -> None:
        self._cancels.pop(order_id, None)
        self._unwinding.discard(order_id)
        for run in self.runs:
            if by_cancel:
                run.order_cancelled(order_id)

    def refused(self, strategy_id: str, symbol: str, now: float) -> None:
        """A closing order failed in a way that may pass: it is tried again after a growing pause."""
        attempts = self._closes.setdefault((strategy_id, symbol), _Attempts())
        attempts.not_before = now + _RETRY[min(attempts.count, len(_RETRY)) - 1]

    def block(self, strategy_id: str, symbol: str, blocked: Blocked) -> None:
        """It cannot be closed in this session."""
        self._blocked[strategy_id, symbol] = blocked

    def observe(self, view: View) -> list[StopProgress]:
        """Takes a read into account and returns the reports that changed by it."""
        reports = []
        self._last = view
        for run in self.runs:
            unresolved = self._unresolved(run.scope)
            if run.observe(
                view,
                unresolved=unresolved,
                last_fill=self.last_fill,
                covers=self._covers,
                blocked=self._blocked_for,
            ):
                reports.append(run.report())
        return reports

    def tick(self, now: float) -> list[StopProgress]:
        return [run.report() for run in self.runs if run.tick(now)]

    def deadline(self) -> float | None:
        return min((d for run in self.runs if (d := run.deadline) is not None), default=None)

    # --- what to do ---

    def plan(self, view: View, now: float) -> list[Action]:
        """What to send now. Cancels come first; a position is closed once nothing else of its owner works in it."""
        if view.problem is not None:
            return []
        actions: list[Action] = [CancelWorking(order=o) for o in view.orders if self._wants_cancel(o, now)]
        for exposure in view.positions:
            close = self._close_out(exposure, view, now)
            if close is not None:
                actions.append(close)
        return actions

    def _wants_cancel(self, order: WorkingOrder, now: float) -> bool:
        level = self._level_for(order.strategy_id, order.symbol)
        if (order.strategy_id, order.symbol) in self._blocked:
            return False
        unwinding = order.order_id in self._unwinding
        if order.closing and not unwinding:
            wanted = level < Level.FLATTEN or order.age >= REPRICE_AFTER
        else:
            wanted = unwinding or level >= Level.CANCEL
        attempts = self._cancels.setdefault(order.order_id, _Attempts())
        return wanted and _is_due(attempts, now, CANCEL_AGAIN_AFTER)

    def _close_out(self, exposure: Exposure, view: View, now: float) -> CloseOut | None:
        owner = (exposure.strategy_id, exposure.symbol)
        if exposure.quantity <= 0 or self._level_for(*owner) is not Level.FLATTEN or owner in self._blocked:
            return None
        if any((o.strategy_id, o.symbol) == owner for o in view.orders):
            return None
        if self._unresolved(Scope(ScopeKind.SYMBOL, exposure.symbol)) or not self._asked_for(owner):
            return None  # closing while a request's fate is open could close twice
        attempts = self._closes.setdefault(owner, _Attempts())
        attempt = attempts.count
        if not _is_due(attempts, now, _RETRY[min(attempt, len(_RETRY) - 1)]):
            return None
        return CloseOut(
            strategy_id=exposure.strategy_id, symbol=exposure.symbol, quantity=exposure.quantity, attempt=attempt
        )

    def _asked_for(self, owner: tuple[str, str]) -> bool:
        """A stop that is verified sends nothing more: what appears afterwards is a person's business."""
        return any(not r.is_over and r.level is Level.FLATTEN and self._covers(r.scope, *owner) for r in self.runs)

    def _blocked_for(self, strategy_id: str, symbol: str) -> Blocked | None:
        return self._blocked.get((strategy_id, symbol))


def _is_due(attempts: _Attempts, now: float, pause: float) -> bool:
    if now < attempts.not_before:
        return False
    attempts.count += 1
    attempts.not_before = now + pause
    return True
