"""Carries out what stops ask for beyond a closed gate: cancels, closing orders, and the reads that prove them done.

It loops only while there is work: read the broker, let the stages advance, send what is due, wait a moment. Each
decision is made by ``Stopping``; this actor only moves messages between it and the broker's actor.
"""

import trio

from actors.engine.broker import ReadBroker, ReadMarket
from actors.engine.desk import Desk
from actors.engine.market import market_is_closed
from actors.engine.orders import Order
from supervisor.actor import Actor
from supervisor.errors import Failure, UnknownActor
from wire.messages import ErrorReport, StopProgress
from wire.parts import Residual
from wire.sdk.flattening import terms
from wire.sdk.gate import Purpose
from wire.sdk.halting import Halting
from wire.sdk.stop_run import UNCONFIRMED, View
from wire.sdk.stopping import Action, CancelWorking, CloseOut, Look
from wire.values import ErrorCategory, LogCategory, OrderStatus, Severity, StopPhase

READ_TIMEOUT = 15.0
LOOK_TIMEOUT = 8.0


class StopExecutor(Actor):
    """``broker`` is the name of the broker's actor."""

    def __init__(self, *, desk: Desk, halting: Halting, broker: str) -> None:
        self._desk = desk
        self._halting = halting
        self._broker = broker
        self._woken = trio.Event()
        self._alerted: dict[str, list[Residual]] = {}

    async def started(self) -> None:
        self._halting.wake = self._wake
        self._desk.over = self._order_over
        self._desk.filled = self._filled
        self._desk.turned_down = self._turned_down
        self._desk.cancel_refused = self._cancel_refused
        self._desk.viewed = self._viewed
        self._desk.traded = self._traded
        self._desk.day_began = self._day_began
        self._desk.blocked = self._halting.stopping.blocked_reason
        self._day_began(self._desk.trading_day)
        self.context.spawn(self._work)

    def _wake(self) -> None:
        self._woken.set()

    async def _work(self) -> None:
        stopping = self._halting.stopping
        while True:
            self._woken = trio.Event()
            if stopping.has_work:
                await self._round()
                with trio.move_on_after(stopping.pace):
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
        except (Failure, UnknownActor) as error:  # at the start, and after a crash, it may not be there yet
            now = self._desk.clock.now()
            words = f"the broker was not read: {type(error).__name__}"
            view = View(began=now, ended=now, at=self._desk.clock.wall(), problem=words)
            self._viewed(view)
            return view

    def _viewed(self, view: View) -> None:
        """Every read of the broker, whoever asked for it, is evidence."""
        if view.orders and view.problem is None:
            self._desk.lease.at_stake(self._desk.clock.now())
        for report in self._halting.stopping.observe(view):
            self._tell(report)

    def _carry_out(self, action: Action) -> None:
        match action:
            case CancelWorking(order=order):
                self._desk.cancel(order.order_id, Purpose.UNWIND if order.closing else Purpose.STOP_CANCEL)
            case CloseOut() as close:
                self._close(close)
            case Look(symbol=symbol):
                self.context.spawn(self._look, symbol, name="look")

    def _close(self, close: CloseOut) -> None:
        quote = self._desk.prices.quotes.get(close.symbol)
        last = (quote.bid or quote.price) if quote is not None else 0
        sale = terms(close.state, close.quantity, bid=last, attempt=close.attempt)
        if sale.quantity:
            self._desk.close_out(
                close.strategy_id, close.symbol, sale.quantity, sale.price, "a stop closes the position"
            )

    async def _look(self, symbol: str) -> None:
        """How the symbol stands at the exchange; without an answer the stop goes on as if it had not been asked."""
        try:
            state = await self.context.find(self._broker).ask(ReadMarket(symbol=symbol), timeout=LOOK_TIMEOUT)
        except (Failure, UnknownActor):
            state = None
        self._halting.stopping.saw(symbol, state, self._desk.clock.now())
        self._wake()

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
        stopping, now = self._halting.stopping, self._desk.clock.now()
        if market_is_closed(broker_code, order.reason):
            stopping.closed(order.strategy_id, order.symbol, now)
        else:
            stopping.refused(order.strategy_id, order.symbol, now, order.reason)

    def _cancel_refused(self, order: Order, broker_code: str, words: str) -> None:
        if market_is_closed(broker_code, words) and self._halting.stopping.has_work:
            self._halting.stopping.closed(order.strategy_id, order.symbol, self._desk.clock.now())

    # --- what becomes of the market ---

    def _traded(self, symbol: str) -> None:
        if self._halting.stopping.traded(symbol, self._desk.clock.now()):
            self._wake()

    def _day_began(self, day: str) -> None:
        if day:
            for report in self._halting.stopping.begin_session(day):
                self._tell(report)
            self._wake()

    def _tell(self, report: StopProgress) -> None:
        self._desk.outlet.send(report)
        words = f"{report.phase.value} ({report.flatness.value})"
        self._desk.log(LogCategory.SYSTEM, f"STOP {report.stop_id}: {words}", report.reason)
        if report.phase is StopPhase.FAILED:
            self._alert(report)

    def _alert(self, report: StopProgress) -> None:
        """Once for what is left and why; a person is told again only when that changes."""
        if self._alerted.get(report.stop_id) == report.residuals:
            return
        self._alerted[report.stop_id] = report.residuals
        left = ", ".join(f"{r.symbol} {r.quantity:,} ({r.reason})" for r in report.residuals)
        held = report.error == UNCONFIRMED
        words = f"stop {report.stop_id} waits for a person" if held else f"stop {report.stop_id} left: {left}"
        self._desk.outlet.send(
            ErrorReport(
                code=report.error or "error_positions_blocked",
                category=ErrorCategory.RISK,
                reason=words[:2000],
                severity=Severity.CRITICAL,
                degraded=True,
            )
        )
