"""How far one stop is on this engine: frozen → cancelled → flattened → verified, with counts and what is left over.

A stage is reached by evidence only. "Cancelled" needs a broker read without a working order in scope and no request
whose fate is open; "verified" needs two such reads in agreement, both begun after the last fill. A read that failed or
cannot be believed proves nothing: flatness is then UNKNOWN, never FLAT; and one read alone never says FLAT.
"""

from collections.abc import Callable
from datetime import datetime

import attrs

from wire.messages import StopProgress
from wire.parts import Residual
from wire.schema import changed
from wire.sdk.flattening import Blocked
from wire.sdk.latch import LatchedStop
from wire.stops import Level, Scope
from wire.values import Flatness, Side, StopPhase

CLOSING = "being closed"
BLOCKED = "error_positions_blocked"
UNCONFIRMED = "error_confirmation_needed"
NO_DATE = "the exchange's date is not known yet"
UNABLE = "error_not_supported"

Covers = Callable[[Scope, str, str], bool]
"""(scope, strategy id, symbol) → whether the scope covers it on this engine and account."""


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


BlockedFor = Callable[[str, str], Blocked | None]


class StopRun:
    """One stop on this engine. Counts are totals over its processes; a raise of the same stop continues it.

    ``session``: the trading day in which a person asked for it, at ``asked_epoch``; None while that is not known.
    ``unable``: what the engine lacks to carry it out, so that only a person's hand and a read of the broker can end it.
    """

    def __init__(self, stop: LatchedStop, now: float, in_flight: int) -> None:
        self.stop = stop
        self.phase = StopPhase.FROZEN
        self.in_flight = in_flight
        self.latched = False
        self.timed_out = False
        self.session: str | None = None
        self.asked_epoch = 0
        self.held: str | None = None
        self.unable: str | None = None
        self._deadline = now + stop.timeout_ms / 1000
        self._seen_orders: set[str] = set()
        self._cancelled: set[str] = set()
        self._seen_positions: set[tuple[str, str]] = set()
        self._orders_left = 0
        self._orders_to_cancel = 0
        self._open: dict[tuple[str, str], int] = {}
        self._view: View | None = None
        self._empty: View | None = None
        self._clean: View | None = None
        self._is_flat = False
        self._read = False
        self._counts = False  # what was seen was seen since the stop
        self._before = stop.cancelled, stop.liquidated  # by earlier processes
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
    def is_stuck(self) -> bool:
        """Everything that is left waits for the market or for a person."""
        if self.unable is not None and not self.is_over:
            return True
        left = bool(self._residuals) and all(r.reason != CLOSING for r in self._residuals)
        return not self.is_over and (left or self.waits_for_person)

    @property
    def waits_for_person(self) -> bool:
        """Held, and not merely until the broker has told the date."""
        return self.held is not None and self.held != NO_DATE

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

    def order_cancelled(self, order_id: str) -> bool:
        """An order is over by cancellation. True when it is one more of the scope's."""
        if order_id not in self._seen_orders or order_id in self._cancelled:
            return False
        self._cancelled.add(order_id)
        return True

    def recall(self, view: View, covers: Covers, blocked: BlockedFor) -> None:
        """Counts of the last read before the stop: better than none, and dated. They advance nothing, and what is gone
        since then was not this stop's doing."""
        self._view = view
        if view.problem is None:
            self._measure(view, covers, blocked)

    def observe(self, view: View, *, unresolved: int, last_fill: float, covers: Covers, blocked: BlockedFor) -> bool:
        """Takes one read into account. True when the report changed. What was verified keeps the evidence it was
        verified by; under a mere HALT the counts go on being told."""
        if self.is_over and self.level >= Level.CANCEL:
            return False
        before = changed(self.report(), flatness_as_of=None)
        self._view, self._read = view, True
        if view.problem is None:
            if not self._counts:
                self._counts = True
                self._seen_orders.clear()
                self._seen_positions.clear()
            self._measure(view, covers, blocked)
            self._compare(view, last_fill)
            self._advance(view, unresolved, last_fill)
        else:
            self._clean = self._empty = None
            self._is_flat = False
        return changed(self.report(), flatness_as_of=None) != before

    def tick(self, now: float) -> bool:
        """True when the time is over: reported once, while the work goes on."""
        if self.deadline is None or now < self.deadline:
            return False
        self.timed_out = True
        return True

    @property
    def gone(self) -> tuple[int, int]:
        """Orders that were cancelled and positions that were closed so far."""
        cancelled, liquidated = self._before
        return cancelled + len(self._cancelled), liquidated + len(self._seen_positions) - len(self._open)

    def report(self) -> StopProgress:
        flatness, why = self._flatness()
        cancelled, liquidated = self.gone
        late, stuck = self.timed_out and not self.is_over, self.is_stuck
        phase = StopPhase.FAILED if stuck else StopPhase.TIMED_OUT if late else self.phase
        blocked = UNABLE if self.unable is not None else UNCONFIRMED if self.waits_for_person else BLOCKED
        return StopProgress(
            stop_id=self.stop_id,
            stop_epoch=self.stop.record.stop_epoch,
            phase=phase,
            in_flight=self.in_flight,
            latched=self.latched,
            orders_cancelled=cancelled,
            orders_remaining=self._orders_left,
            positions_liquidated=liquidated,
            positions_remaining=len(self._open),
            flatness=flatness,
            flatness_as_of=self._view.at if self._view is not None else None,
            flatness_reason=why,
            residuals=self._left_over(),
            error=blocked if stuck else "error_stop_timeout" if late else None,
            reason=(self.unable or self.held) if stuck else (self.held or "still trying") if late else None,
        )

    def _left_over(self) -> list[Residual]:
        if self.held is None:
            return list(self._residuals)
        return [changed(r, reason=self.held, until=None) for r in self._residuals]

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

    def _compare(self, view: View, last_fill: float) -> None:
        """Flat is what two reads agree on that do not overlap and are newer than the last fill."""
        if self._open or self._orders_left or view.began <= last_fill:
            self._empty, self._is_flat = None, False
        elif self._empty is None or self._empty.began <= last_fill:
            self._empty, self._is_flat = view, False
        else:
            self._is_flat = view.began >= self._empty.ended

    def _advance(self, view: View, unresolved: int, last_fill: float) -> None:
        if self.is_over or self.level < Level.CANCEL:
            return
        if unresolved or self._orders_to_cancel:
            self._clean = None
            return
        if self.phase is StopPhase.FROZEN:
            self.phase = StopPhase.CANCELLED
        if self._orders_left or (self.level is Level.FLATTEN and self._open):  # an order that closes is one that works
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
        if self._view is not None and self._view.problem is not None:
            return Flatness.UNKNOWN, self._view.problem
        if self._open or self._orders_left:
            return Flatness.NOT_FLAT, None
        if not self._read:
            return Flatness.UNKNOWN, "the broker has not been read since the stop"
        return (Flatness.FLAT, None) if self._is_flat else (Flatness.UNKNOWN, "only one read so far shows it flat")


def _residual(exposure: Exposure, blocked: BlockedFor) -> Residual:
    block = blocked(exposure.strategy_id, exposure.symbol)
    if block is None:
        return Residual(symbol=exposure.symbol, quantity=exposure.quantity, reason=CLOSING)
    return Residual(symbol=exposure.symbol, quantity=exposure.quantity, reason=block.reason, until=block.until)
