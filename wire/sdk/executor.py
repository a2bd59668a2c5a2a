"""Carries stops out through an engine's own handlers: reads of the account, cancels, closing orders.

The handlers only act; what they achieved is told by the next reads. A handler that is not there, fails or does not
answer in time leaves the stop unfinished and says so: flatness is then UNKNOWN, and success is never reported.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs

from wire.errors import WireError
from wire.messages import ErrorReport, StopProgress
from wire.sdk.account import Holdings, Reading, account_of, positions_of
from wire.sdk.clock import Clock
from wire.sdk.errors import EngineError
from wire.sdk.flattening import SymbolState
from wire.sdk.gate import Gate
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet
from wire.sdk.stop_run import StopRun, View
from wire.sdk.stopping import CancelWorking, CloseOut, Look, Stopping
from wire.sdk.work import Job, Lane, Outcome
from wire.stops import Level
from wire.values import ErrorCategory, Flatness, Severity, StopPhase

HANDLER_TIMEOUT = 15.0
_RETRY_READ = 1.0
_BELIEVED = 15.0  # seconds a good read lasts when the next ones fail
_SETTLING = 1.0  # seconds a broker may need to show a request that it took
_KST = timezone(timedelta(hours=9))

NO_READING = "this engine offers no reading of its account"
NO_CANCELS = "this engine cannot cancel orders by itself"
NO_CLOSING = "this engine cannot close positions by itself"

Handler = Callable[..., Any]


@attrs.define(kw_only=True)
class Handlers:
    """The engine's own code; any may be missing. ``read_account() -> Reading`` · ``cancel_all(orders)`` ·
    ``flatten(closings)`` · ``look(symbol) -> SymbolState | None`` · ``reconcile()``."""

    read_account: Handler | None = None
    cancel_all: Handler | None = None
    flatten: Handler | None = None
    look: Handler | None = None
    reconcile: Handler | None = None


class Executor(Lane):
    """One handler at a time. ``period``: seconds between two reads while nothing is to be done."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        stopping: Stopping,
        gate: Gate,
        lease: Lease,
        outlet: Outlet,
        clock: Clock,
        period: float,
    ) -> None:
        super().__init__()
        self._handlers = handlers
        self._stopping = stopping
        self._gate = gate
        self._lease = lease
        self._outlet = outlet
        self._clock = clock
        self._period = period
        self._cancels: tuple[CancelWorking, ...] = ()
        self._closings: tuple[CloseOut, ...] = ()
        self._looks: tuple[Look, ...] = ()
        self._asked: set[str] = set()
        self._lost: dict[str, float] = {}
        self._due = 0.0
        self._read_at: float | None = None
        self._said_synced = False
        self._complained: set[str] = set()
        self.synced_changed: Callable[[], None] = lambda: None
        self.holdings = Holdings()

    def hurry(self) -> None:
        """A stop or a release came, or the books may be wrong: read now."""
        self._due = 0.0
        self.wake()

    def lost(self, order_id: str) -> None:
        """The fate of a request is unknown: a read that begins from now on tells it."""
        self._lost[order_id] = self._clock.now()
        self.hurry()

    def out_of_sync(self) -> None:
        """No order leaves before the books were compared with the broker again, from now on: what is being compared at
        this moment began too early."""
        self._gate.doubt()
        self._say_synced()
        self.hurry()

    def reconciled(self, doubts: int | None = None) -> None:
        """The engine says that its books agree with the broker; ``doubts``: the count when it began to compare them."""
        self._agreed(self._gate.doubts if doubts is None else doubts)

    def begin_day(self, day: date | None) -> None:
        """The exchange's date where it is told, else the date in Seoul."""
        today = day or self._clock.wall().astimezone(_KST).date()
        for report in self._stopping.begin_session(today.strftime("%Y%m%d")):
            self._tell(report)

    # --- what is next ---

    def next(self, now: float) -> Job | None:
        handlers = self._handlers
        for report in self._stopping.lacking(self._lacks):
            self._tell(report)
        if self._cancels and handlers.cancel_all is not None:
            orders, self._cancels = [c.order for c in self._cancels], ()
            self._asked |= {o.order_id for o in orders}
            return self._job(handlers.cancel_all, orders, then=partial(self._acted, "cancel"))
        if self._looks:
            symbol, self._looks = self._looks[0].symbol, self._looks[1:]
            look = handlers.look or _no_look
            return self._job(look, symbol, then=partial(self._looked, symbol))
        if self._closings and handlers.flatten is not None:
            closings, self._closings = list(self._closings), ()
            return self._job(handlers.flatten, closings, then=partial(self._closed, closings))
        if now < self._due:
            return None
        if handlers.read_account is not None:
            return self._job(handlers.read_account, then=partial(self._was_read, now, self._gate.doubts))
        if handlers.reconcile is not None and not self._gate.synced:
            return self._job(handlers.reconcile, then=partial(self._compared, self._gate.doubts))
        return None

    def deadline(self) -> float | None:
        handlers = self._handlers
        compares = handlers.reconcile is not None and not self._gate.synced
        return self._due if not self.busy and (handlers.read_account is not None or compares) else None

    def _job(self, handler: Handler, *args: Any, then: Callable[[Outcome, float], None]) -> Job:
        return Job(work=partial(handler, *args), then=then, timeout=HANDLER_TIMEOUT, handler=True)

    def _lacks(self, run: StopRun) -> str | None:
        """What stands between this stop and its evidence."""
        handlers, report = self._handlers, run.report()
        if handlers.read_account is None:
            return NO_READING
        if report.orders_remaining and handlers.cancel_all is None:
            return NO_CANCELS
        if run.level is Level.FLATTEN and report.positions_remaining and handlers.flatten is None:
            return NO_CLOSING
        return None

    # --- what became of it ---

    def _was_read(self, began: float, doubts: int, outcome: Outcome, now: float) -> None:
        at = self._clock.wall()
        view, reading = self._view(outcome, began=began, ended=now, at=at)
        if reading is None:
            self._complain("read", "the account was not read", outcome.error)
            if self._read_at is None or now - self._read_at > _BELIEVED:
                self._gate.doubt()
                self._say_synced()
        else:
            self._good(view, reading, now, at, doubts)
        for report in self._stopping.observe(view):
            self._tell(report)
        self._plan(view, now)

    def _view(self, outcome: Outcome, *, began: float, ended: float, at: datetime) -> tuple[View, Reading | None]:
        words = _words("the account was not read", outcome.error)
        if outcome.error is None and isinstance(outcome.value, Reading):
            try:
                return self.holdings.view_of(outcome.value, began=began, ended=ended, at=at), outcome.value
            except WireError as error:
                words = f"the reading of the account is not one: {error.field} {error.reason}"
        elif outcome.error is None:
            words = "read_account returned no Reading"
        return View(began=began, ended=ended, at=at, problem=words), None

    def _good(self, view: View, reading: Reading, now: float, at: datetime, doubts: int) -> None:
        self._complained.discard("read")
        self._read_at = now
        self.holdings.view = view
        if view.orders:
            self._lease.at_stake(now)
        self.begin_day(reading.trading_day)
        for order_id in [i for i, since in self._lost.items() if view.began > since + _SETTLING]:
            del self._lost[order_id]
            self._gate.settle(order_id)
            self.holdings.settled(order_id, view.began)
        there = {o.order_id for o in view.orders}
        for order_id in self._asked - there:
            self._stopping.order_over(order_id, by_cancel=True)
        self._asked &= there
        if self._handlers.reconcile is None:
            self._agreed(doubts)
        blocked = {r.symbol: r.reason for run in self._stopping.runs for r in run.report().residuals}
        self._outlet.send(positions_of(reading, synced=self._gate.synced, at=at, blocked=blocked))
        account = account_of(reading, at=at, today=at.astimezone(_KST).date())
        if account is not None:
            self._outlet.send(account)

    def _plan(self, view: View, now: float) -> None:
        actions = self._stopping.plan(view, now)
        self._cancels = tuple(a for a in actions if isinstance(a, CancelWorking))
        self._closings = tuple(a for a in actions if isinstance(a, CloseOut))
        self._looks = tuple(a for a in actions if isinstance(a, Look))
        if self._stopping.has_work:
            self._due = now + min(self._stopping.pace, self._period)
        elif view.problem is not None or not self._gate.synced:
            self._due = now + _RETRY_READ
        else:
            self._due = now + self._period

    def _acted(self, what: str, outcome: Outcome, now: float) -> None:
        if outcome.error is None:
            self._complained.discard(what)
        else:
            self._complain(what, f"the engine's {what} failed", outcome.error)

    def _closed(self, closings: Sequence[CloseOut], outcome: Outcome, now: float) -> None:
        self._acted("flatten", outcome, now)
        if outcome.error is not None:
            for closing in closings:
                words = _words("closing failed", outcome.error)
                self._stopping.refused(closing.strategy_id, closing.symbol, now, words)

    def _looked(self, symbol: str, outcome: Outcome, now: float) -> None:
        state = outcome.value if isinstance(outcome.value, SymbolState) else None
        self._stopping.saw(symbol, state, now)

    def _compared(self, doubts: int, outcome: Outcome, now: float) -> None:
        self._due = now + _RETRY_READ
        if outcome.error is None:
            self._complained.discard("reconcile")
            self._agreed(doubts)
        else:
            self._complain("reconcile", "the books were not compared with the broker", outcome.error)

    # --- words ---

    def _agreed(self, doubts: int) -> None:
        self._gate.agreed(doubts)
        self._say_synced()

    def _say_synced(self) -> None:
        if self._gate.synced != self._said_synced:
            self._said_synced = self._gate.synced
            self.synced_changed()

    def _tell(self, report: StopProgress) -> None:
        self._outlet.send(report)
        if report.phase is StopPhase.FAILED:
            self._alert(report)

    def _alert(self, report: StopProgress) -> None:
        left = ", ".join(f"{r.symbol} {r.quantity:,} ({r.reason})" for r in report.residuals)
        words = report.reason or left or "unfinished"
        state = "" if report.flatness is Flatness.FLAT else f" ({report.flatness.value})"
        self._outlet.send(
            ErrorReport(
                code=report.error or "error_stop_unfinished",
                category=ErrorCategory.RISK,
                reason=f"stop {report.stop_id}: {words}{state}"[:2000],
                severity=Severity.CRITICAL,
                degraded=True,
            )
        )

    def _complain(self, what: str, words: str, error: Exception | None) -> None:
        """Once until it works again."""
        if what in self._complained:
            return
        self._complained.add(what)
        self._outlet.send(
            ErrorReport(
                code=f"error_{what}_failed",
                category=ErrorCategory.BROKER,
                reason=_words(words, error)[:2000],
                severity=Severity.ERROR,
                degraded=True,
            )
        )


def _words(words: str, error: Exception | None) -> str:
    """What an engine's own exceptions say may hold secrets; only those made for the wire are quoted."""
    if error is None:
        return words
    told = error.reason if isinstance(error, EngineError | WireError) else type(error).__name__
    return f"{words}: {told}"


def _no_look(_symbol: str) -> None:
    """This engine cannot tell how a symbol stands."""


__all__ = ["NO_CANCELS", "NO_CLOSING", "NO_READING", "Executor", "Handlers"]
