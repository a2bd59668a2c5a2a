"""Reconciliation: the broker's own view is compared with the desk, and wins.

A read takes time and notices travel on another connection, so a difference may only mean that a notice is still under
way. A difference is therefore acted upon when it was there in an earlier read already, ``patience`` seconds ago; with
patience 0 (nothing was subscribed before) at once. The result is a ``View`` that a stop may believe, or one that says
why not.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import attrs

from actors.engine.books import Difference, Held
from actors.engine.desk import Desk
from actors.engine.kis import Balance
from actors.engine.orders import UNOWNED, Order, normal
from actors.engine.prices import BalanceSeen
from wire.kis.trading import DailyOrder, OpenOrder
from wire.sdk.gate import Purpose
from wire.sdk.stop_run import Exposure, View, WorkingOrder
from wire.values import LogCategory, OrderStatus, Severity, Side

LOST_AFTER = 8.0  # seconds without a trace at the broker after which an unanswered order never arrived
VANISHED_AFTER = 5.0  # seconds before shares that left without a fill are believed to be gone


@attrs.frozen(kw_only=True)
class BrokerRead:
    """One round of reads: first the open orders, then the day's orders, then the balance, so that an order that leaves
    the first list is already in the last. ``open_orders`` None: not offered. ``daily`` None: not asked for.
    ``notices``: the notice stream has been up all along."""

    began: float
    ended: float
    at: datetime
    open_orders: tuple[OpenOrder, ...] | None
    daily: tuple[DailyOrder, ...] | None
    balance: Balance
    notices: bool


@attrs.frozen(kw_only=True)
class Outcome:
    """``agreed``: desk and broker show the same. ``again``: something has to be looked at once more, soon."""

    view: View
    agreed: bool
    again: bool
    differences: tuple[Difference, ...] = ()


@attrs.frozen
class _Noted:
    fact: object
    at: float


class Reconciliation:
    """Remembers what earlier reads showed. All methods are synchronous."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._noted: dict[str, _Noted] = {}

    def wants_daily(self, open_orders: tuple[OpenOrder, ...] | None) -> bool:
        """Whether the list of the day's orders is needed to explain the desk's own orders."""
        if open_orders is None:
            return any(o.written and not o.is_final for o in self._desk.orders)
        shown = {normal(o.order_no): o.filled_quantity for o in open_orders}
        return any(
            o.status is OrderStatus.UNKNOWN or (o.is_working and shown.get(normal(o.number)) != o.filled)
            for o in self._desk.orders.open_orders()
        )

    def apply(self, read: BrokerRead, *, patience: float) -> Outcome:
        """Brings the desk in line with the read."""
        fresh: dict[str, _Noted] = {}
        rows = {normal(row.order_no): row for row in read.daily or () if self._is_today(row)}
        shown = {normal(o.order_no): o for o in read.open_orders or ()}
        self._find_lost(read, rows, shown, fresh, patience)
        for order in [o for o in self._desk.orders if o.number and not _ended_before(o)]:
            if self._desk.orders.by_number(order.number) is order:
                self._compare(order, rows.get(normal(order.number)), shown, read, fresh, patience)
            elif not order.is_final:
                self._compare(order, None, {}, read, fresh, patience)  # its number is another order's of today
        strangers = self._strangers(read, fresh, patience)
        differences = self._positions(read, fresh, patience)
        again = bool(fresh)
        self._noted = fresh
        view = self._view(read, shown, strangers)
        return Outcome(view=view, agreed=view.problem is None, again=again, differences=differences)

    # --- orders ---

    def _find_lost(
        self,
        read: BrokerRead,
        rows: dict[str, DailyOrder],
        shown: dict[str, OpenOrder],
        fresh: dict[str, _Noted],
        patience: float,
    ) -> None:
        """Orders without a number: found by what they are, or given up when no trace appears."""
        orders = self._desk.orders
        for order in orders.open_orders():
            if order.status is not OrderStatus.UNKNOWN or order.number:
                continue
            listed: dict[str, OpenOrder | DailyOrder] = {**shown, **rows}
            strangers = [r for n, r in listed.items() if orders.by_number(n) is None and _alike(r, order)]
            if strangers and not self._is_awaited(strangers[0]):
                self._desk.accepted(order.order_id, strangers[0].order_no, strangers[0].branch)
            elif strangers or not read.notices or read.daily is None:
                fresh[f"lost/{order.order_id}"] = self._noted.get(f"lost/{order.order_id}", _Noted(None, read.began))
            elif self._persists(f"lost/{order.order_id}", None, read, fresh, max(patience, LOST_AFTER)):
                self._desk.closed(order.order_id, "it never reached the broker")

    def _compare(
        self,
        order: Order,
        row: DailyOrder | None,
        shown: dict[str, OpenOrder],
        read: BrokerRead,
        fresh: dict[str, _Noted],
        patience: float,
    ) -> None:
        working = shown.get(normal(order.number))
        filled = row.filled_quantity if row is not None else working.filled_quantity if working is not None else 0
        if filled > order.filled and self._persists(f"fills/{order.order_id}", filled, read, fresh, patience):
            value = row.filled_value if row is not None else order.value + (filled - order.filled) * order.price
            for quantity, price in split_fill(filled - order.filled, value - order.value):
                self._desk.fill(order.order_id, quantity, price, ahead=patience > 0)
            order = self._desk.orders.get(order.order_id) or order
        if order.is_final or working is not None or filled > order.filled:
            return
        if read.open_orders is None and row is None:
            if not read.daily:
                return  # this service was seen to answer with an empty list whatever happened
            patience = max(patience, LOST_AFTER)
        elif row is not None and row.open_quantity > 0:
            if read.open_orders is None:
                return
            patience = max(patience, LOST_AFTER)  # one of the two lists is not whole, or late
        if self._persists(f"over/{order.order_id}", True, read, fresh, patience):
            self._end(order, row)

    def _end(self, order: Order, row: DailyOrder | None) -> None:
        """It is not working at the broker any more, and no fill is missing."""
        if row is not None and row.rejected_quantity > 0:
            self._desk.settled([self._desk.orders.rejected(order.order_id, "refused by the exchange")])
        else:
            self._desk.settled([self._desk.orders.cancelled(order.order_id, order.reason or "gone at the broker")])

    def _strangers(self, read: BrokerRead, fresh: dict[str, _Noted], patience: float) -> int:
        """Working orders that are not ours; taken into the book so that a stop can cancel them too."""
        unexplained = 0
        for row in read.open_orders or ():
            if self._desk.orders.by_number(row.order_no) is not None:
                continue
            if self._is_awaited(row):
                unexplained += 1
            elif self._persists(f"stranger/{normal(row.order_no)}", row.symbol, read, fresh, patience):
                self._desk.adopt(_stranger(row, self._desk.trading_day))
            else:
                unexplained += 1
        return unexplained

    def _is_awaited(self, row: OpenOrder | DailyOrder) -> bool:
        """Whether it may be one of our own that the broker took and has not answered yet: its answer will name it."""
        asked = (o for o in self._desk.orders.open_orders() if o.written and o.status is OrderStatus.PENDING)
        return any(_alike(row, order) for order in asked)

    # --- positions ---

    def _positions(self, read: BrokerRead, fresh: dict[str, _Noted], patience: float) -> tuple[Difference, ...]:
        books = self._desk.books
        held = {
            h.symbol: Held(quantity=h.quantity, average_price=Decimal(h.average_price)) for h in read.balance.holdings
        }
        if books.agrees_with(held):
            if self._desk.last_fill < read.began:
                books.reconcile(held, read.balance.totals.cash_d2)
            if books.cash_is_known:
                if read.began >= self._desk.day_began_at:
                    self._desk.prices.seen = _seen(read)
            else:
                fresh["cash"] = _Noted(None, read.began)  # a fill came meanwhile: the next read tells
            return ()
        if any(books.total(s) > (held[s].quantity if s in held else 0) for s in (p.symbol for p in books.positions())):
            patience = max(patience, VANISHED_AFTER) if patience > 0 else 0.0
        fact = (self._desk.fills, tuple(sorted((s, h.quantity) for s, h in held.items())))
        if not self._persists("positions", fact, read, fresh, patience):
            return ()
        differences = books.reconcile(held, read.balance.totals.cash_d2)
        for difference in differences:
            words = f"{difference.symbol}: {difference.booked:,} in the books, {difference.held:,} at the broker"
            self._desk.log(LogCategory.SYSTEM, f"RECONCILED {words}", None, severity=Severity.WARNING)
            self._desk.mismatched(words)
        self._desk.ledger.books()  # last: a process that dies before has still to be stopped for what it found
        return tuple(differences)

    def _view(self, read: BrokerRead, shown: dict[str, OpenOrder], strangers: int) -> View:
        """What the broker's list lacks counts as working until that is explained: lists come late, or in part."""
        orders = self._desk.orders
        listed = [o for n in shown if (o := orders.by_number(n)) is not None]
        working = {o.order_id: o for o in (*listed, *orders.working())}.values()
        held = {h.symbol: h.quantity for h in read.balance.holdings}
        return View(
            began=read.began,
            ended=read.ended,
            at=read.at,
            orders=tuple(self._working(o, shown) for o in working),
            positions=tuple(
                Exposure(strategy_id=p.strategy_id, symbol=p.symbol, quantity=p.quantity)
                for p in self._desk.books.positions()
            ),
            problem=self._problem(read, held, strangers),
        )

    def _problem(self, read: BrokerRead, held: dict[str, int], strangers: int) -> str | None:
        booked = {p.symbol: self._desk.books.total(p.symbol) for p in self._desk.books.positions()}
        if booked != held:
            return "books and broker differ: reading again"
        if strangers:
            return "an order of unknown origin is working: reading again"
        if read.open_orders is None and not read.notices:
            return "the broker offers no list of open orders and the notice stream is interrupted"
        return None

    def _working(self, order: Order, shown: dict[str, OpenOrder]) -> WorkingOrder:
        row = shown.get(normal(order.number)) if self._desk.orders.by_number(order.number) is order else None
        return WorkingOrder(
            order_id=order.order_id,
            strategy_id=order.strategy_id,
            symbol=order.symbol,
            side=order.side,
            remaining=row.open_quantity if row is not None else order.remaining,
            closing=order.purpose is Purpose.STOP_ORDER,
            age=self._desk.clock.now() - order.placed_at,
        )

    # --- patience ---

    def _persists(self, key: str, fact: object, read: BrokerRead, fresh: dict[str, _Noted], patience: float) -> bool:
        """True when an earlier read, at least ``patience`` seconds ago, showed the same fact; else it is noted."""
        if patience <= 0:
            return True
        known = self._noted.get(key)
        since = known.at if known is not None and known.fact == fact else read.began
        if read.began - since >= patience:
            return True
        fresh[key] = _Noted(fact, since)
        return False

    def _is_today(self, row: DailyOrder) -> bool:
        return not self._desk.trading_day or row.day == self._desk.trading_day


def _seen(read: BrokerRead) -> BalanceSeen:
    balance = read.balance
    return BalanceSeen(
        at=read.ended,
        prices={h.symbol: h.price for h in balance.holdings},
        assets_yesterday=balance.totals.assets_yesterday,
    )


def split_fill(quantity: int, value: int) -> Iterator[tuple[int, int]]:
    """Fills at whole-won prices that add up to ``quantity`` shares and ``value`` won: a read tells only the sums."""
    price, odd = divmod(value, quantity)
    if odd < quantity:
        yield quantity - odd, price
    if odd:
        yield odd, price + 1


def _ended_before(order: Order) -> bool:
    """Orders that are over and complete cannot have missed anything."""
    return order.is_final and order.remaining == 0


def _alike(row: OpenOrder | DailyOrder, order: Order) -> bool:
    what = (row.symbol, Side(row.side.side.value), row.quantity, row.price)
    return what == (order.symbol, order.side, order.quantity, order.price)


def _stranger(row: OpenOrder, day: str) -> Order:
    return Order(
        order_id=f"found-{day or 'day'}-{normal(row.order_no)}",
        strategy_id=UNOWNED,
        symbol=row.symbol,
        side=Side(row.side.side.value),
        quantity=row.quantity,
        price=row.price,
        status=OrderStatus.PARTIALLY_FILLED if row.filled_quantity else OrderStatus.ACCEPTED,
        number=row.order_no,
        branch=row.branch,
        filled=row.filled_quantity,
        value=row.filled_value,
        written=True,
    )
