"""The broker's actor: it alone talks to the broker, and books every answer on the desk.

Orders and cancels run as tasks of their own behind the shared throttle; the gate is asked by the HTTP client right
above the socket. A loop keeps the stream connected (notices before anything may be sent), another reconciles: when the
stream comes up, whenever something does not fit, and from time to time.
"""

import random
from collections.abc import Callable
from datetime import timedelta, timezone

import attrs
import trio

from actors.engine.desk import Desk
from actors.engine.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from actors.engine.kis import KisClient
from actors.engine.market import state_of, trades_continuously
from actors.engine.prices import Quote
from actors.engine.reconcile import BrokerRead, Outcome, Reconciliation
from actors.engine.strategy import Tick
from actors.engine.stream import ApprovalRefused, Listener, listen
from supervisor.actor import Actor, Reply, handles
from supervisor.backoff import Backoff
from supervisor.message import DEFERRED, Request
from wire.errors import WireError
from wire.kis.notices import Notice
from wire.kis.ticker import Trade
from wire.messages import ErrorReport
from wire.sdk.errors import EngineError, GateClosed
from wire.sdk.flattening import SymbolState
from wire.sdk.gate import Purpose
from wire.sdk.stop_run import View
from wire.values import ErrorCategory, LogCategory, Severity

KST = timezone(timedelta(hours=9))
PATIENCE = 1.0  # seconds a difference must last before it is acted upon
SOONER = 1.2
_EARLY_EVERY = 1.0
PERIOD = 30.0
_FAILURES = 3
_STREAM_BACKOFF = Backoff(base=0.5, max_delay=15.0, jitter=0.5)


@attrs.frozen(kw_only=True)
class SendOrder:
    order_id: str


@attrs.frozen(kw_only=True)
class SendCancel:
    order_id: str
    purpose: Purpose


@attrs.frozen(kw_only=True)
class KeysChanged:
    """The client has other keys: the stream must be opened anew with them."""


@attrs.frozen(kw_only=True)
class ReadBroker(Request[View]):
    """A fresh read of the broker, reconciled. Never fails: what cannot be believed says so in ``problem``."""


@attrs.frozen(kw_only=True)
class ReadMarket(Request[SymbolState | None]):
    """How a symbol stands at the exchange now; None when the broker does not say."""

    symbol: str


@attrs.frozen
class _ExpireEarly:
    """Notices do not wait for ever for their order's number."""


class Broker(Actor):
    """``publish`` gets every trade of the market; ``symbols`` are subscribed."""

    def __init__(
        self, *, desk: Desk, client: KisClient, symbols: tuple[str, ...], publish: Callable[[Tick], None]
    ) -> None:
        self._desk = desk
        self._client = client
        self._symbols = symbols
        self._publish = publish
        self._reconciliation = Reconciliation(desk)
        self._reading = trio.Lock()
        self._sending: dict[str, trio.CancelScope] = {}
        self._check = trio.Event()
        self._day_known = trio.Event()
        self._stream_up = False
        self._ups = 0
        self._garbled = 0
        self._approval = ""
        self._listening = trio.CancelScope()

    async def started(self) -> None:
        self._desk.send = self._send_soon
        self._desk.withdraw = self._withdraw_soon
        self._desk.discard = self._discard
        self._desk.check = self._look_again
        self._desk.gate.doubt()
        self._desk.connection_lost()
        self.context.every(_ExpireEarly(), period=_EARLY_EVERY)
        self.context.spawn(self._keep_stream)
        self.context.spawn(self._keep_reconciled)

    # --- orders ---

    def _send_soon(self, order_id: str) -> None:
        if not self.context.self_ref.tell(SendOrder(order_id=order_id)):
            self._desk.closed(order_id, "too many orders are waiting")

    def _withdraw_soon(self, order_id: str, purpose: Purpose) -> None:
        self.context.self_ref.tell(SendCancel(order_id=order_id, purpose=purpose), urgent=True)

    @handles(SendOrder)
    async def on_send(self, message: SendOrder) -> None:
        self.context.spawn(self._place, message.order_id, name="order")

    @handles(SendCancel)
    async def on_cancel(self, message: SendCancel) -> None:
        self.context.spawn(self._cancel, message.order_id, message.purpose, name="cancel")

    @handles(KeysChanged)
    async def on_keys_changed(self, _message: KeysChanged) -> None:
        self._approval = ""
        self._listening.cancel()

    def _discard(self, order_id: str) -> None:
        """Ends the task of an order that waits for its turn."""
        scope = self._sending.get(order_id)
        if scope is not None:
            scope.cancel()

    async def _place(self, order_id: str) -> None:
        desk, order = self._desk, self._desk.orders.get(order_id)
        if order is None or order.is_final or order.written:
            return
        with trio.CancelScope() as scope:
            self._sending[order_id] = scope
            try:
                answer = await self._client.place(
                    symbol=order.symbol,
                    side=order.side,
                    quantity=order.quantity,
                    price=order.price,
                    urgent=order.purpose is Purpose.STOP_ORDER,
                    before_write=lambda: desk.before_write(order_id),
                )
                desk.accepted(order_id, answer.order_no, answer.branch)
            except (GateClosed, BrokerUnavailable) as error:
                desk.closed(order_id, error.reason)
            except BrokerRefused as error:
                desk.refused(order_id, error.reason, error.broker_code)
            except OutcomeUnknown as error:
                desk.lost(order_id, error.reason)
            finally:
                del self._sending[order_id]

    async def _cancel(self, order_id: str, purpose: Purpose) -> None:
        desk, order = self._desk, self._desk.orders.get(order_id)
        if order is None or not order.is_working:
            desk.cancel_answered(order_id, accepted=False)
            return
        accepted = False
        try:
            await self._client.cancel(
                number=order.number,
                branch=order.branch,
                market=order.price == 0,
                before_write=lambda: desk.before_cancel(order_id, purpose),
            )
            accepted = True
        except EngineError as error:
            self.context.log.info("a cancel was not accepted: %s", error.code)
            if isinstance(error, BrokerRefused):
                desk.cancel_refused(order, error.broker_code, error.reason)
        desk.cancel_answered(order_id, accepted=accepted)
        if accepted:
            self._look_again()

    @handles(_ExpireEarly)
    async def on_expire_early(self, _message: _ExpireEarly) -> None:
        self._desk.expire_early()

    # --- reading ---

    @handles(ReadBroker)
    async def on_read(self, _message: ReadBroker) -> View:
        self.context.spawn(self._answer_read, self.context.defer(), name="read")
        return DEFERRED  # type: ignore[no-any-return]

    async def _answer_read(self, reply: Reply) -> None:
        outcome = await self._reconcile(PATIENCE)
        reply.send(outcome.view)

    @handles(ReadMarket)
    async def on_read_market(self, message: ReadMarket) -> SymbolState | None:
        self.context.spawn(self._answer_look, message.symbol, self.context.defer(), name="look")
        return DEFERRED  # type: ignore[no-any-return]

    async def _answer_look(self, symbol: str, reply: Reply) -> None:
        try:
            reply.send(state_of(await self._client.price(symbol), await self._client.depth(symbol)))
        except EngineError as error:
            self.context.log.info("a look at %s was not answered: %s", symbol, error.code)
            reply.send(None)

    def _look_again(self) -> None:
        self._check.set()

    async def _keep_reconciled(self) -> None:
        failures, patience = 0, 0.0
        while True:
            self._check = trio.Event()
            if self._stream_up:
                with trio.move_on_after(3.0):
                    await self._day_known.wait()
                doubts = self._desk.gate.doubts
                outcome = await self._reconcile(patience)
                failures = 0 if outcome.view.problem is None else failures + 1
                self._judge(outcome, doubts, failures)
                patience = PATIENCE if outcome.agreed else patience
                with trio.move_on_after(SOONER if outcome.again or not outcome.agreed else PERIOD):
                    await self._check.wait()
                await trio.sleep(0.2)
            else:
                patience = 0.0
                await self._check.wait()

    def _judge(self, outcome: Outcome, doubts: int, failures: int) -> None:
        """Synced is what two sides agree on while the notices flow: a stream that ended is a doubt of its own. Some
        failed reads do not end it, many do."""
        gate = self._desk.gate
        was = gate.synced
        if outcome.agreed:
            gate.agreed(doubts)
        elif was and failures >= _FAILURES:
            gate.doubt()
            self._report("error_not_reconciled", outcome.view.problem or "", Severity.ERROR)
        self._desk.was_in_step |= gate.synced
        if gate.synced and not was:
            self._desk.log(LogCategory.SYSTEM, "books and broker agree: in step", None)

    async def _reconcile(self, patience: float) -> Outcome:
        async with self._reading:
            try:
                read = await self._read()
            except EngineError as error:
                outcome = self._unread(error)
            else:
                outcome = self._reconciliation.apply(read, patience=patience)
            self._desk.viewed(outcome.view)
            return outcome

    async def _read(self) -> BrokerRead:
        client, clock = self._client, self._desk.clock
        began, ups, up = clock.now(), self._ups, self._stream_up
        open_orders = await client.open_orders() if client.offers_open_orders else None
        daily = None
        if self._reconciliation.wants_daily(open_orders):
            day = self._desk.trading_day or clock.wall().astimezone(KST).strftime("%Y%m%d")
            daily = await client.daily_orders(day, day)
        balance = await client.balance()
        return BrokerRead(
            began=began,
            ended=clock.now(),
            at=clock.wall(),
            open_orders=open_orders,
            daily=daily,
            balance=balance,
            notices=up and self._stream_up and ups == self._ups,
        )

    def _unread(self, error: EngineError) -> Outcome:
        now = self._desk.clock.now()
        view = View(
            began=now, ended=now, at=self._desk.clock.wall(), problem=f"the broker was not read: {error.reason}"
        )
        return Outcome(view=view, agreed=False, again=True)

    # --- the stream ---

    async def _keep_stream(self) -> None:
        attempt = 0
        while True:
            ups = self._ups
            try:
                with trio.CancelScope() as self._listening:
                    self._approval = self._approval or await self._client.approval_key()
                    await self._listen(self._approval)
                if self._listening.cancelled_caught:
                    self._down(BrokerUnavailable("the broker's keys were changed"))
            except ApprovalRefused as error:
                self._approval = ""
                self._down(error)
            except EngineError as error:
                self._down(error)
            attempt = 0 if self._ups > ups else attempt + 1
            await trio.sleep(_STREAM_BACKOFF.delay(attempt, random.Random()))

    async def _listen(self, approval: str) -> None:
        account = self._client.account
        listener = Listener(up=self._up, trades=self._trades, notice=self._notice, garbled=self._unreadable)
        await listen(
            account.stream,
            approval_key=approval,
            profile=account.profile,
            hts_id=account.hts_id,
            symbols=self._symbols,
            listener=listener,
        )

    def _up(self) -> None:
        self._stream_up = True
        self._ups += 1
        self._look_again()

    def _down(self, error: EngineError) -> None:
        was, self._stream_up = self._stream_up, False
        self._desk.gate.doubt()
        self._look_again()
        if was or isinstance(error, BrokerRefused):
            self._report(error.code, error.reason, Severity.ERROR)
        self.context.log.warning("broker stream: %s", error.reason)

    def _trades(self, trades: list[Trade]) -> None:
        desk = self._desk
        for trade in trades:
            if trade.day and desk.begin_day(trade.day):
                self._day_known.set()
            now = desk.clock.now()
            desk.quote(trade.symbol, Quote(price=trade.price, bid=trade.bid, ask=trade.ask, at=now))
            if trades_continuously(trade.market_code, trade.halted):
                desk.traded(trade.symbol)
            self._publish(Tick(symbol=trade.symbol, price=trade.price, bid=trade.bid, ask=trade.ask, at=now))

    def _notice(self, notice: Notice) -> None:
        if notice.account == self._client.account.account:
            self._desk.notice(notice)

    def _unreadable(self, error: WireError) -> None:
        self._garbled += 1
        if self._garbled in (1, 10, 100) or self._garbled % 1000 == 0:
            self._report("error_broker_message", f"{self._garbled} messages of the broker unreadable: {error.reason}")
        self._look_again()

    def _report(self, code: str, reason: str, severity: Severity = Severity.WARNING) -> None:
        self._desk.outlet.send(
            ErrorReport(code=code, category=ErrorCategory.BROKER, reason=reason, severity=severity, degraded=True)
        )
