"""The trading desk: what the engine's actors share, one consistent state changed only by synchronous calls.

It joins the gate, the orders, the books and the way out, so that every event (a decision, an answer, a notice, a fill)
is booked once, everywhere, before anything else can happen. Nothing here waits; actors bring events and carry out what
the desk hands them through its hooks.
"""

from collections.abc import Callable, Iterable

import attrs

from actors.engine import reports
from actors.engine.books import Books
from actors.engine.inbox import Inbox
from actors.engine.ledger import Ledger
from actors.engine.market import market_is_closed, says_closed
from actors.engine.orders import UNOWNED, Order, OrderBook
from actors.engine.prices import Prices, Quote
from actors.engine.risk.book import RiskBook
from actors.engine.risk.pretrade import RiskRefused
from actors.engine.strategy import Place, Resting, Standing, Withdraw
from wire.conformance import format_trading_reason
from wire.exchange.fees import DEFAULT_FEES, FeeSchedule
from wire.kis.notices import Notice
from wire.messages import Account, Positions
from wire.sdk.clock import Clock
from wire.sdk.errors import GateClosed
from wire.sdk.gate import Gate, Intent, Purpose
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.stop_run import View
from wire.values import LogCategory, OrderStatus, Severity, Side

_DAY_CHANGE = 30.0  # seconds


def _no_order(order_id: str) -> None:
    """Nobody sends yet."""


def _no_cancel(order_id: str, purpose: Purpose) -> None:
    """Nobody cancels yet."""


def _nothing() -> None:
    """Nobody listens yet."""


class Desk:
    """Hooks: ``send`` and ``withdraw`` hand an order or a cancel to the broker's actor, ``discard`` ends the task of an
    order not yet written, ``changed`` says that orders or positions moved, ``check`` asks for reconciliation soon,
    ``over``, ``filled``, ``turned_down``, ``cancel_refused``, ``viewed``, ``traded`` (a symbol trades continuously) and
    ``day_began`` tell the stop executor what became of orders, of reads and of the market."""

    def __init__(
        self,
        *,
        identity: Identity,
        clock: Clock,
        lease: Lease,
        outlet: Outlet,
        ledger: Journal,
        fees: FeeSchedule = DEFAULT_FEES,
        risk: RiskBook | None = None,
    ) -> None:
        self.identity = identity
        self.clock = clock
        self.lease = lease
        self.outlet = outlet
        self.orders = OrderBook()
        self.books = Books(fees)
        self.risk = risk or RiskBook()
        self.prices = Prices()
        self.was_in_step = False
        self.trading_day = ""
        self.day_began_at = float("-inf")
        self.fills = 0
        self.last_fill = float("-inf")
        self.last_order_answer: float | None = None
        self.gate = Gate(
            engine_id=identity.engine_id, account_id=identity.account_id, lease=lease, reducible=self.reducible
        )
        self.send: Callable[[str], None] = _no_order
        self.withdraw: Callable[[str, Purpose], None] = _no_cancel
        self.discard: Callable[[str], None] = _no_order
        self.changed: Callable[[], None] = _nothing
        self.check: Callable[[], None] = _nothing
        self.over: Callable[[Order], None] = lambda _order: None
        self.turned_down: Callable[[Order, str], None] = lambda _order, _code: None
        self.cancel_refused: Callable[[Order, str, str], None] = lambda _order, _code, _words: None
        self.filled: Callable[[], None] = _nothing
        self.viewed: Callable[[View], None] = lambda _view: None
        self.traded: Callable[[str], None] = lambda _symbol: None
        self.day_began: Callable[[str], None] = lambda _day: None
        self.blocked: Callable[[str, str], str | None] = lambda _strategy, _symbol: None
        self.ledger = Ledger(ledger, self.orders, self.books)
        self._inbox = Inbox(
            self.orders,
            accepted=self.accepted,
            filled=self.fill,
            refused=self.refused,
            cancelled=self._cancelled,
            cancel_refused=lambda order_id: self.cancel_answered(order_id, accepted=False),
            check=lambda: self.check(),
        )

    # --- memory ---

    def restore(self) -> None:
        """Takes up what an earlier process left. Orders that were under way are unknown until reconciled."""
        self.ledger.restore()
        self._recount()
        if self.ledger.limits is not None:
            self.risk.take(self.ledger.limits)
        for order in self.orders:
            if order.status is OrderStatus.PENDING:
                self._lost_with_the_process(order)
        self.ledger.rewrite()

    def _recount(self) -> None:
        """What an earlier process sent within the last minute counts in this one. Times are of one clock, unless the
        machine was restarted: those that are still to come are another machine's life."""
        now, ledger = self.clock.now(), self.ledger
        sent = [o for o in self.orders if o.purpose is Purpose.ORDER and o.written and o.strategy_id != UNOWNED]
        sent = [o for o in sent if o.placed_at <= now]
        refused = [o for o in sent if o.status is OrderStatus.REJECTED and not says_closed(o.reason)]
        self.risk.triggers.restore(
            ledger.risk,
            mismatches=ledger.mismatches,
            ordered=(o.placed_at for o in sent),
            rejected=(o.placed_at for o in refused),
        )

    def _lost_with_the_process(self, order: Order) -> None:
        if order.written:
            self.orders.lost(order.order_id, "the engine ended before the answer")
        else:
            self.orders.discarded(order.order_id, "the engine ended before it was sent")

    def connection_lost(self) -> None:
        """The broker's actor starts anew: whatever it had under way is unknown."""
        for order in self.orders.open_orders():
            if order.status is OrderStatus.PENDING and order.written:
                self.lost(order.order_id, "the connector was restarted before the answer")
            elif order.status is OrderStatus.PENDING:
                self.closed(order.order_id, "the connector was restarted")
            elif order.cancelling:
                self._note(self.orders.cancelling(order.order_id, on=False))
        for order in self.orders:
            self.gate.settle(f"{order.order_id}/cancel")  # nobody will hear its answer: the next read tells
        self.check()

    # --- decisions ---

    def reducible(self, strategy_id: str | None, symbol: str, side: Side) -> int:
        """Shares an order of this owner may take and still only reduce. Nothing is ever sold short."""
        if side is Side.BUY or strategy_id is None:
            return 0
        held = self.books.position(strategy_id, symbol).quantity
        return held - self.orders.taking(strategy_id, symbol, side)

    def place(self, strategy_id: str, symbol: str, decision: Place) -> Order | None:
        """Takes a strategy's decision; None when the gate would refuse it anyway."""
        order = Order(
            order_id=new_id(),
            strategy_id=strategy_id,
            symbol=symbol,
            side=decision.side,
            quantity=decision.quantity,
            price=decision.price,
            placed_at=self.clock.now(),
            reason=decision.reason,
            patient=decision.patient,
        )
        if self.ledger.is_behind or self._would_refuse(order) or self._exceeds(order):
            return None
        return self._start(order)

    def _exceeds(self, order: Order) -> bool:
        """Whether a risk limit forbids a decision; a person hears of it, but not with every tick."""
        try:
            self._check_limits(order)
        except RiskRefused as refusal:
            if self.risk.is_news(refusal, order.symbol, self.clock.now()):
                words = f"REFUSED {order.symbol}: {order.side.value} {order.quantity:,}: {refusal.reason}"
                reason = f"{refusal.code}: {refusal.reason}"
                self.log(LogCategory.STRATEGY, words, reason, order, Severity.WARNING)
            return True
        return False

    def _check_limits(self, order: Order) -> None:
        price = max(order.price, self.prices.of(order.symbol))
        self.risk.check(order, price, books=self.books, orders=self.orders)

    def close_out(self, strategy_id: str, symbol: str, quantity: int, price: int, stop_reason: str) -> Order:
        """A stop's own reduce-only sale; ``price`` 0 at market."""
        order = Order(
            order_id=new_id(),
            strategy_id=strategy_id,
            symbol=symbol,
            side=Side.SELL,
            quantity=quantity,
            price=price,
            purpose=Purpose.STOP_ORDER,
            placed_at=self.clock.now(),
            reason=stop_reason,
        )
        return self._start(order)

    def _start(self, order: Order) -> Order:
        self._note(self.orders.place(order))
        self.send(order.order_id)
        return order

    def take_back(self, strategy_id: str, symbol: str, decision: Withdraw) -> None:
        """A strategy withdraws its own order."""
        order = self.orders.get(decision.order_id)
        if order is None or not order.is_working or order.cancelling or order.strategy_id != strategy_id:
            return
        said = format_trading_reason(decision.reason, "WITHDRAW", symbol)
        self.log(LogCategory.STRATEGY, said, decision.reason, order)
        self.cancel(order.order_id, Purpose.CANCEL)

    def cancel(self, order_id: str, purpose: Purpose) -> None:
        if self.orders.cancelling(order_id) is not None:
            self.withdraw(order_id, purpose)

    def _would_refuse(self, order: Order) -> bool:
        return self.gate.would_refuse(self._intent(order), self.clock.now())

    def _intent(self, order: Order) -> Intent:
        """An order is worth its limit or the last price, whichever is more."""
        return Intent(
            order_id=order.order_id,
            purpose=order.purpose,
            strategy_id=order.strategy_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=max(order.price, self.prices.of(order.symbol)) or None,
        )

    # --- the last synchronous step ---

    def before_write(self, order_id: str) -> None:
        """Raises GateClosed, or lets the order's bytes go. Called right above the socket; once more where the broker
        certainly did not take it the first time."""
        order = self.orders.unwritten(order_id)
        if order is None or order.is_final:
            raise GateClosed("the order is over")
        if order.purpose is Purpose.ORDER:
            self._check_limits(order)
        self.gate.check(self._intent(order), self.clock.now())
        if order.purpose is Purpose.ORDER:
            self.risk.triggers.ordered(self.clock.now())
        self._note(self.orders.written(order_id), quiet=True)
        if order.purpose is Purpose.ORDER and self.ledger.is_behind:
            raise GateClosed("the ledger cannot be written")  # after kill -9 nobody would know whose it was

    def before_cancel(self, order_id: str, purpose: Purpose) -> None:
        order = self.orders.get(order_id)
        if order is None or order.is_final:
            raise GateClosed("the order is over")
        intent = attrs.evolve(self._intent(order), order_id=f"{order_id}/cancel", purpose=purpose)
        self.gate.check(intent, self.clock.now())

    # --- answers ---

    def accepted(self, order_id: str, number: str, branch: str) -> None:
        """The broker gave it a number. Notices that came first are booked now."""
        order = self.orders.accepted(order_id, number, branch)
        self._answered(order_id, order)
        if order is not None:
            self._announce(order)
            self._inbox.named(order)

    def refused(self, order_id: str, reason: str, broker_code: str = "") -> None:
        """The broker said no to the order itself."""
        order = self.orders.rejected(order_id, reason)
        self._answered(order_id, order)
        if order is not None:
            self.turned_down(order, broker_code)
            if order.purpose is Purpose.ORDER and not market_is_closed(broker_code, reason):
                self.risk.triggers.rejected(self.clock.now())
            self.log(LogCategory.SYSTEM, f"REJECTED {order.symbol}: {reason}", reason, order, Severity.WARNING)

    def closed(self, order_id: str, reason: str) -> None:
        """Not sent: the gate was closed, or nothing could be written."""
        order = self.orders.discarded(order_id, reason) or self.orders.rejected(order_id, reason)
        self._answered(order_id, order)

    def lost(self, order_id: str, reason: str) -> None:
        """Its fate is unknown. It stays in flight for the stops until reconciliation tells."""
        order = self.orders.lost(order_id, reason)
        self._answered(order_id, order)
        if order is not None:
            self.log(LogCategory.SYSTEM, f"UNKNOWN {order.symbol}: {reason}", reason, order, Severity.WARNING)
        self.check()

    def cancel_answered(self, order_id: str, *, accepted: bool) -> None:
        """An accepted cancel is confirmed by its notice; anything else must be looked at."""
        self.gate.settle(f"{order_id}/cancel")
        self.last_order_answer = self.clock.now()
        if not accepted:
            self._note(self.orders.cancelling(order_id, on=False), quiet=True)
            self.check()

    def _answered(self, order_id: str, order: Order | None) -> None:
        self.gate.settle(order_id)
        self.last_order_answer = self.clock.now()
        self._note(order)

    # --- notices ---

    def notice(self, notice: Notice) -> None:
        """One notice of the broker's stream."""
        self.last_order_answer = self.clock.now()
        self._inbox.take(notice, self.clock.now())

    def expire_early(self) -> None:
        """To be called every second or so: notices do not wait for ever for their order's number."""
        self._inbox.expire(self.clock.now())

    def _cancelled(self, order_id: str) -> None:
        order = self.orders.get(order_id)
        self._note(self.orders.cancelled(order_id, (order.reason if order else "") or "cancelled"))

    # --- fills ---

    def fill(self, order_id: str, quantity: int, price: int, *, ahead: bool = False) -> None:
        """Books one execution everywhere. ``ahead``: seen in a read, so its notice is still to come or lost."""
        order = self.orders.fill(order_id, quantity, price)
        if order is None:
            self.check()
            return
        if ahead:
            self._inbox.booked_ahead(order_id, quantity)
        execution = self.books.apply(order.strategy_id, order.symbol, order.side, quantity, price)
        self.fills += 1
        self.last_fill = self.clock.now()
        self.ledger.books()
        self.filled()
        self._note(order)
        self.outlet.send(reports.fill(new_id(), order, execution, self.clock.wall()))
        words = f"filled {quantity:,} at {price:,} ({order.filled:,} of {order.quantity:,})"
        said = format_trading_reason(words, order.side.value.upper(), order.symbol)
        self.log(LogCategory.TRADE, said, order.reason or words, order)

    # --- the lease ---

    def lease_expired(self, _words: str) -> None:
        """No order leaves before the books were compared with the broker anew."""
        self.gate.doubt()
        self.check()

    # --- the market ---

    def quote(self, symbol: str, quote: Quote) -> None:
        self.prices.quotes[symbol] = quote

    def begin_day(self, day: str) -> bool:
        """A new trading day by the exchange's own date: day orders are over and order numbers start again."""
        if day == self.trading_day:
            return False
        previous = self.trading_day or self.books.day
        if self.trading_day or self.prices.seen is not None:
            self.prices.seen = None  # its figures may belong to the day that ended, and so do those of a read under way
            self.day_began_at = self.clock.now()
            self.check()
        self.trading_day = day
        self.day_began(day)
        if self.books.begin_day(day):
            self.ledger.books()
        if previous in ("", day):
            return True
        for order in self.orders.open_orders():
            if self._belongs_to_the_past(order):
                self._note(self.orders.expired(order.order_id))
        self.orders.forget_day()
        self._inbox.forget_day()
        self.log(LogCategory.SYSTEM, f"trading day {day} began", None)
        self.check()
        return True

    def _belongs_to_the_past(self, order: Order) -> bool:
        """An order sent around the change of day may have reached either day: reconciliation will tell."""
        return order.is_working and self.clock.now() - order.placed_at > _DAY_CHANGE

    # --- views ---

    def standing(self, strategy_id: str, symbol: str) -> Standing:
        """What a strategy has in a symbol, for its next decision."""
        position = self.books.position(strategy_id, symbol)
        now = self.clock.now()
        mine = (o for o in self.orders.open_orders() if o.strategy_id == strategy_id and o.symbol == symbol)
        return Standing(
            quantity=position.quantity,
            average_price=position.average_price,
            orders=tuple(_resting(o, now) for o in mine),
            cash=self.books.cash - self._reserved(),
            equity=self.equity(),
            level=self.gate.allowed_level(strategy_id, symbol),
        )

    def equity(self) -> int:
        return self.prices.equity(self.books)

    def positions_report(self) -> Positions:
        prices = {s: q.price for s, q in self.prices.quotes.items()}
        held, working = self.books.positions(), [o for o in self.orders.open_orders() if o.written]
        blocked = {(p.strategy_id, p.symbol): self.blocked(p.strategy_id, p.symbol) for p in held}
        return reports.positions(held, working, prices, blocked=blocked, synced=self.gate.synced, at=self.clock.wall())

    def account_report(self) -> Account | None:
        """None before the exchange's date and the account's cash are known."""
        if len(self.trading_day) != 8 or not self.books.cash_is_known:
            return None
        return reports.account(
            equity=self.equity(),
            cash=self.books.cash,
            realized=self.books.realized,
            day=self.trading_day,
            at=self.clock.wall(),
        )

    def _reserved(self) -> int:
        """Cash that working buys may still take."""
        buys = (o for o in self.orders.open_orders() if o.side is Side.BUY)
        return sum(o.remaining * (o.price or self.prices.of(o.symbol)) for o in buys)

    # --- words ---

    def log(
        self,
        category: LogCategory,
        message: str,
        reason: str | None,
        order: Order | None = None,
        severity: Severity | None = None,
    ) -> None:
        """One line of the engine's story."""
        at = self.clock.wall()
        self.outlet.send(
            reports.trade_log(new_id(), category, message, at=at, reason=reason, order=order, severity=severity)
        )

    def _announce(self, order: Order) -> None:
        verb = "CLOSE" if order.purpose is Purpose.STOP_ORDER else order.side.value.upper()
        category = LogCategory.TRADE if order.reason else LogCategory.SYSTEM
        words = f"{order.quantity:,} at {f'{order.price:,}' if order.price else 'market'}"
        self.log(category, format_trading_reason(words, verb, order.symbol), order.reason or None, order)

    def adopt(self, order: Order) -> None:
        """An order found at the broker that is not one of ours."""
        self._note(self.orders.place(order))
        self.log(LogCategory.SYSTEM, f"FOUND {order.symbol}: an order of somebody else", None, order, Severity.WARNING)

    def mismatched(self, words: str) -> None:
        """Books and broker differed. What an engine finds when it starts is not a mistake of its own."""
        if self.was_in_step:
            self.risk.triggers.mismatched(words)
            self.ledger.keep_mismatches(self.risk.triggers.mismatches)

    def settled(self, changes: Iterable[Order | None]) -> None:
        """Changes that reconciliation made."""
        for order in changes:
            self._note(order)

    def _note(self, order: Order | None, *, quiet: bool = False) -> None:
        """Everything that follows from a changed order: ledger, report, listeners."""
        if order is None:
            return
        self.ledger.order(order)
        if quiet:
            return
        self.outlet.send(reports.order_update(order))
        if order.is_final:
            self.gate.settle(order.order_id)
            self.over(order)
        self.changed()


def _resting(order: Order, now: float) -> Resting:
    return Resting(
        order_id=order.order_id,
        side=order.side,
        remaining=order.remaining,
        price=order.price,
        age=now - order.placed_at,
        patient=order.patient,
        cancelling=order.cancelling,
        working=order.is_working,
    )
