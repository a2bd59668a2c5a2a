"""Carries out what stops ask for beyond a closed gate: cancels, closing orders, and the reads that prove them done.

It loops only while there is work: read the broker, let the stages advance, send what is due, wait a moment. Each
decision is made by ``Stopping``; this actor only moves messages between it and the broker's actor.
"""

from datetime import UTC, datetime, time, timedelta, timezone

import trio

from actors.engine.broker import ReadBroker
from actors.engine.desk import Desk
from actors.engine.orders import Order
from supervisor.actor import Actor
from supervisor.errors import Failure
from wire.exchange import ticks
from wire.messages import ErrorCategory, ErrorReport, LogCategory, OrderStatus, Severity, StopPhase, StopProgress
from wire.sdk.gate import Purpose
from wire.sdk.halting import Halting
from wire.sdk.stopping import Action, Blocked, CancelWorking, CloseOut, View

READ_TIMEOUT = 15.0
PACE = 0.25
STUCK_PACE = 10.0
_GIVE_WAY = 5  # ticks under the bid for a closing limit order
_KST = timezone(timedelta(hours=9))
_OPENING = time(9, 0)
_CLOSED_CODES = frozenset({"APBK0918", "APBK0919"})
_CLOSED_WORDS = ("장운영", "장 운영", "장종료", "장 종료", "장개시", "장 개시", "장시작", "장 시작")


class StopExecutor(Actor):
    """``broker`` is the name of the broker's actor."""

    def __init__(self, *, desk: Desk, halting: Halting, broker: str) -> None:
        self._desk = desk
        self._halting = halting
        self._broker = broker
        self._woken = trio.Event()

    async def started(self) -> None:
        self._halting.wake = self._wake
        self._desk.over = self._order_over
        self._desk.filled = self._filled
        self._desk.turned_down = self._turned_down
        self._desk.cancel_refused = self._cancel_refused
        self._desk.viewed = self._viewed
        self.context.spawn(self._work)

    def _wake(self) -> None:
        self._woken.set()

    async def _work(self) -> None:
        stopping = self._halting.stopping
        while True:
            self._woken = trio.Event()
            if stopping.has_work:
                await self._round()
                with trio.move_on_after(STUCK_PACE if stopping.is_stuck else PACE):
                    await self._woken.wait()
            else:
                await self._woken.wait()

    async def _round(self) -> None:
        view = await self._read()
        for action in self._halting.stopping.plan(view, self._desk.clock.now()):
            self._carry_out(action)

    async def _read(self) -> View:
        try:
            return await self.context.find(self._broker).ask(ReadBroker(), timeout=READ_TIMEOUT)
        except Failure as error:
            now = self._desk.clock.now()
            words = f"the broker was not read: {type(error).__name__}"
            view = View(began=now, ended=now, at=self._desk.clock.wall(), problem=words)
            self._viewed(view)
            return view

    def _viewed(self, view: View) -> None:
        """Every read of the broker, whoever asked for it, is evidence."""
        for report in self._halting.stopping.observe(view):
            self._tell(report)

    def _carry_out(self, action: Action) -> None:
        match action:
            case CancelWorking(order=order):
                self._desk.cancel(order.order_id, Purpose.UNWIND if order.closing else Purpose.STOP_CANCEL)
            case CloseOut() as close:
                price = self._closing_price(close)
                self._desk.close_out(
                    close.strategy_id, close.symbol, close.quantity, price, "a stop closes the position"
                )

    def _closing_price(self, close: CloseOut) -> int:
        """At market first; where that was not filled or not taken, a limit that gives way, on a valid tick."""
        quote = self._desk.quotes.get(close.symbol)
        if close.attempt % 2 == 0 or quote is None:
            return 0
        return max(1, ticks.step(ticks.round_down(quote.bid or quote.price), -_GIVE_WAY))

    # --- what becomes of orders ---

    def _order_over(self, order: Order) -> None:
        self._halting.stopping.order_over(order.order_id, by_cancel=order.status is OrderStatus.CANCELLED)
        if self._halting.stopping.has_work:
            self._wake()

    def _filled(self) -> None:
        self._halting.stopping.fill(self._desk.clock.now())

    def _turned_down(self, order: Order, broker_code: str) -> None:
        if order.purpose is not Purpose.STOP_ORDER:
            return
        if market_is_closed(broker_code, order.reason):
            self._block(order)
        else:
            self._halting.stopping.refused(order.strategy_id, order.symbol, self._desk.clock.now())

    def _cancel_refused(self, order: Order, broker_code: str, words: str) -> None:
        if market_is_closed(broker_code, words) and self._halting.stopping.has_work:
            self._block(order)

    def _block(self, order: Order) -> None:
        until = next_opening(self._desk.trading_day)
        self._halting.stopping.block(
            order.strategy_id, order.symbol, Blocked(reason="the market is closed", until=until)
        )

    def _tell(self, report: StopProgress) -> None:
        self._desk.outlet.send(report)
        words = f"{report.phase.value} ({report.flatness.value})"
        self._desk.log(LogCategory.SYSTEM, f"STOP {report.stop_id}: {words}", report.reason)
        if report.phase is StopPhase.FAILED:
            self._alert(report)

    def _alert(self, report: StopProgress) -> None:
        left = ", ".join(f"{r.symbol} {r.quantity:,} ({r.reason})" for r in report.residuals)
        self._desk.outlet.send(
            ErrorReport(
                code="error_positions_blocked",
                category=ErrorCategory.RISK,
                reason=f"stop {report.stop_id} left: {left}"[:2000],
                severity=Severity.CRITICAL,
                degraded=True,
            )
        )


def market_is_closed(broker_code: str, text: str) -> bool:
    """The broker uses these codes for other refusals too: its words decide."""
    return broker_code in _CLOSED_CODES and any(words in text for words in _CLOSED_WORDS)


def next_opening(trading_day: str) -> datetime | None:
    """When the exchange opens next after this day (YYYYMMDD), holidays not known; None without a day."""
    if len(trading_day) != 8:
        return None
    day = datetime.strptime(trading_day, "%Y%m%d").date() + timedelta(days=1)  # the exchange's date
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return datetime.combine(day, _OPENING, _KST).astimezone(UTC)
