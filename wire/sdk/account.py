"""What an engine tells of its broker account in one read, and what that says of a reducing order.

A read is evidence: it must come from the broker's own view, all of it, or raise. Half an answer is no answer.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import attrs

from wire.messages import Account, Positions
from wire.parts import OpenOrder, PositionItem
from wire.schema import changed
from wire.sdk.gate import Intent, Purpose
from wire.sdk.speech import checked
from wire.sdk.stop_run import Exposure, View, WorkingOrder
from wire.values import Side

UNOWNED = "unowned"
_REMEMBERED = 10_000


@attrs.frozen(kw_only=True)
class Position:
    """Shares held. ``average_price``, ``current_price``: won. Without a strategy it is nobody's in particular, and no
    stop of a single strategy closes it."""

    symbol: str
    quantity: int
    average_price: Decimal | int = 0
    current_price: int | None = None
    strategy_id: str | None = None


@attrs.frozen(kw_only=True)
class WorkingAtBroker:
    """An order that may still fill. ``order_id``: the one it had at the gate; ``price`` 0: at market."""

    order_id: str
    symbol: str
    side: Side | str
    remaining: int
    price: int = 0
    strategy_id: str | None = None


@attrs.frozen(kw_only=True)
class Reading:
    """One whole read of the account. Money: won. ``trading_day``: the exchange's date, when the broker tells it.

    Where it takes several requests, the orders are read before the positions: what fills in between is then never
    missing from both."""

    positions: Sequence[Position] = ()
    orders: Sequence[WorkingAtBroker] = ()
    equity: int | None = None
    cash: int | None = None
    realized_pnl: int = 0
    trading_day: date | None = None


@attrs.define(kw_only=True)
class _Passed:
    """An order that passed the gate, when, and when its answer was known."""

    intent: Intent
    at: float
    settled_at: float = float("inf")


class Holdings:
    """The last good read, and what passed the gate. Nothing is ever sold short."""

    def __init__(self) -> None:
        self._passed: dict[str, _Passed] = {}
        self.view: View | None = None

    def passed(self, intent: Intent, now: float) -> None:
        """An order went through the gate: its owner and purpose are remembered under its id."""
        if intent.purpose in (Purpose.ORDER, Purpose.STOP_ORDER):
            self._passed[intent.order_id] = _Passed(intent=intent, at=now)
            while len(self._passed) > _REMEMBERED:
                del self._passed[next(iter(self._passed))]

    def reducible(self, strategy_id: str | None, symbol: str, side: Side) -> int:
        """Shares that an order may take and still only reduce: held at the last read, less what works, and less what
        passed the gate and may not be in that read."""
        view = self.view
        if side is Side.BUY or view is None:
            return 0
        owner = strategy_id or UNOWNED
        held = sum(p.quantity for p in view.positions if (p.strategy_id, p.symbol) == (owner, symbol))
        working = {o.order_id: o for o in view.orders}
        taking = sum(
            o.remaining for o in working.values() if (o.strategy_id, o.symbol, o.side) == (owner, symbol, Side.SELL)
        )
        since = sum(
            p.intent.quantity
            for p in self._passed.values()
            if p.settled_at >= view.began
            and p.intent.order_id not in working
            and ((p.intent.strategy_id or UNOWNED), p.intent.symbol, p.intent.side) == (owner, symbol, Side.SELL)
        )
        return held - taking - since

    def settled(self, order_id: str, now: float) -> None:
        """Its answer is known: a read that begins from now on shows what became of it."""
        passed = self._passed.get(order_id)
        if passed is not None and passed.settled_at > now:
            passed.settled_at = now

    # --- reads ---

    def view_of(self, reading: Reading, *, began: float, ended: float, at: datetime) -> View:
        """Raises InvalidField, naming the field, for what is not a read of an account."""
        return View(
            began=began,
            ended=ended,
            at=at,
            orders=tuple(self._working(o, ended) for o in reading.orders),
            positions=tuple(_exposure(p) for p in reading.positions),
        )

    def _working(self, order: WorkingAtBroker, now: float) -> WorkingOrder:
        plain = _open_order(order)
        passed = self._passed.get(order.order_id)
        owner = order.strategy_id or (passed.intent.strategy_id if passed is not None else None) or UNOWNED
        return WorkingOrder(
            order_id=plain.order_id,
            strategy_id=owner,
            symbol=plain.symbol,
            side=plain.side,
            remaining=plain.remaining,
            closing=passed is not None and passed.intent.purpose is Purpose.STOP_ORDER,
            age=now - passed.at if passed is not None else 0.0,
        )


def positions_of(reading: Reading, *, synced: bool, at: datetime, blocked: Mapping[str, str]) -> Positions:
    """The same for the platform's screens."""
    items = [_item(p) for p in reading.positions]
    items = [changed(i, blocked=blocked[i.symbol]) if i.symbol in blocked else i for i in items]
    return Positions(items=items, open_orders=[_open_order(o) for o in reading.orders], synced=synced, as_of=at)


def account_of(reading: Reading, *, at: datetime, today: date) -> Account | None:
    """None when the read tells no money."""
    if reading.equity is None or reading.cash is None:
        return None
    return checked(
        Account,
        equity=reading.equity,
        cash=reading.cash,
        realized_pnl=reading.realized_pnl,
        trading_day=reading.trading_day or today,
        as_of=at,
    )


def _exposure(position: Position) -> Exposure:
    item = _item(position)
    return Exposure(strategy_id=position.strategy_id or UNOWNED, symbol=item.symbol, quantity=item.quantity)


def _item(position: Position) -> PositionItem:
    price = position.average_price
    return checked(
        PositionItem,
        symbol=position.symbol,
        quantity=position.quantity,
        average_price=Decimal(price) if isinstance(price, int) else price,
        current_price=position.current_price,
        strategy_id=position.strategy_id,
    )


def _open_order(order: WorkingAtBroker) -> OpenOrder:
    return checked(
        OpenOrder,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        remaining=order.remaining,
        price=order.price,
    )
