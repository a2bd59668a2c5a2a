"""The life of an order, from the decision to its last fill, as this engine may know it.

An order whose answer was lost is UNKNOWN until reconciliation tells; it is never sent again. Fills are counted even
when they arrive after the order was thought to be over, since a cancel and a fill can cross. The broker's numbers are
unique per trading day only, so they are forgotten with the day.
"""

from collections.abc import Iterator
from typing import Any

import attrs

from wire.sdk.gate import Purpose
from wire.values import OrderStatus, Side

UNOWNED = "unowned"
"""The owner of what no strategy of this engine bought: found at the broker."""

S = OrderStatus
FINAL = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED})
_OPEN = frozenset({S.PENDING, S.ACCEPTED, S.PARTIALLY_FILLED, S.UNKNOWN})

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.PENDING: frozenset({S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED, S.EXPIRED, S.UNKNOWN}),
    S.UNKNOWN: frozenset({S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED, S.EXPIRED}),
    S.ACCEPTED: frozenset({S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED, S.EXPIRED}),
    S.PARTIALLY_FILLED: frozenset({S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED}),
    S.FILLED: frozenset(),
    S.CANCELLED: frozenset({S.FILLED}),
    S.EXPIRED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
}
"""What may follow what. A late fill turns an order that seemed over into FILLED once it is whole."""


@attrs.frozen(kw_only=True)
class Order:
    """``price`` 0: at market. ``written``: bytes of it may have reached the broker. ``value``: won filled so far.
    ``carried``: it had its number before the present day began, so that another order may get the same."""

    order_id: str
    strategy_id: str
    symbol: str
    side: Side
    quantity: int
    price: int
    purpose: Purpose = Purpose.ORDER
    status: OrderStatus = OrderStatus.PENDING
    number: str = ""
    branch: str = ""
    filled: int = 0
    value: int = 0
    written: bool = False
    cancelling: bool = False
    placed_at: float = 0.0
    reason: str = ""
    patient: bool = False
    carried: bool = False

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_working(self) -> bool:
        """Accepted by the broker, as far as is known, and not over."""
        return self.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)

    @property
    def takes(self) -> int:
        """Shares it may still take from a position: none before it is written, none once it is over."""
        return self.remaining if self.written and self.status in _OPEN else 0


def normal(number: str) -> str:
    """The broker's order numbers come with and without leading zeros."""
    return number.strip().lstrip("0")


class OrderBook:
    """All orders of the current day, by our id and by the broker's number. Every change returns the new order, or None
    when it changes nothing (a repeated or late message)."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._by_number: dict[str, str] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(tuple(self._orders.values()))

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def by_number(self, number: str) -> Order | None:
        order_id = self._by_number.get(normal(number))
        return self._orders[order_id] if order_id is not None else None

    def open_orders(self) -> list[Order]:
        return [o for o in self if not o.is_final]

    def working(self) -> list[Order]:
        return [o for o in self if o.is_working]

    def taking(self, strategy_id: str, symbol: str, side: Side, *, but: str = "") -> int:
        """Shares that written orders of this owner, symbol and side may still take, but for the order ``but``."""
        return sum(
            o.takes
            for o in self._orders.values()
            if o.symbol == symbol and o.side is side and o.strategy_id == strategy_id and o.order_id != but
        )

    # --- the steps of an order's life ---

    def place(self, order: Order) -> Order:
        self._put(order)
        return order

    def written(self, order_id: str) -> Order | None:
        """Called by the gate's check: from now on the broker may know of it."""
        return self._change(order_id, written=True)

    def unwritten(self, order_id: str) -> Order | None:
        """About to be sent, for the first time or again: what it takes from a position does not count yet."""
        order = self._orders.get(order_id)
        return order if order is None or order.is_final else self._change(order_id, written=False)

    def accepted(self, order_id: str, number: str, branch: str) -> Order | None:
        order = self._orders.get(order_id)
        if order is None or order.number:
            return None
        named = attrs.evolve(order, number=number, branch=branch, written=True)
        self._put(named)
        return self._move(named, OrderStatus.ACCEPTED) or named

    def rejected(self, order_id: str, reason: str) -> Order | None:
        return self._move(self._orders.get(order_id), OrderStatus.REJECTED, reason=reason)

    def discarded(self, order_id: str, reason: str) -> Order | None:
        """Never written: the gate closed, or it could not be sent."""
        order = self._orders.get(order_id)
        if order is None or order.written:
            return None
        return self._move(order, OrderStatus.CANCELLED, reason=reason)

    def lost(self, order_id: str, reason: str) -> Order | None:
        """The answer did not come; only reconciliation can tell."""
        return self._move(self._orders.get(order_id), OrderStatus.UNKNOWN, reason=reason)

    def fill(self, order_id: str, quantity: int, price: int) -> Order | None:
        """Books one execution; more than the order's remainder is not believed and changes nothing."""
        order = self._orders.get(order_id)
        if order is None or quantity < 1 or quantity > order.remaining:
            return None
        grown = attrs.evolve(order, filled=order.filled + quantity, value=order.value + quantity * price, written=True)
        self._put(grown)
        status = OrderStatus.FILLED if grown.remaining == 0 else OrderStatus.PARTIALLY_FILLED
        return self._move(grown, status) or grown

    def cancelling(self, order_id: str, *, on: bool = True) -> Order | None:
        return self._change(order_id, cancelling=on)

    def cancelled(self, order_id: str, reason: str) -> Order | None:
        return self._move(self._orders.get(order_id), OrderStatus.CANCELLED, reason=reason)

    def expired(self, order_id: str) -> Order | None:
        return self._move(self._orders.get(order_id), OrderStatus.EXPIRED, reason="the trading day ended")

    def forget_day(self) -> None:
        """Drops what is over and every number of the day that ended. What was sent around the change keeps its number
        as long as it is open: it may be of either day."""
        self._orders = {k: attrs.evolve(o, carried=bool(o.number)) for k, o in self._orders.items() if not o.is_final}
        self._by_number = {normal(o.number): k for k, o in self._orders.items() if o.number}

    def restore(self, order: Order) -> None:
        """Puts back what the ledger remembers."""
        self._put(order)

    def _move(self, order: Order | None, status: OrderStatus, **changes: Any) -> Order | None:
        if order is None or status not in TRANSITIONS[order.status]:
            return None
        return self._put(attrs.evolve(order, status=status, **changes))

    def _change(self, order_id: str, **changes: Any) -> Order | None:
        order = self._orders.get(order_id)
        return self._put(attrs.evolve(order, **changes)) if order is not None else None

    def _put(self, order: Order) -> Order:
        self._orders[order.order_id] = order
        number = normal(order.number)
        if number and not (order.carried and self._by_number.get(number, order.order_id) != order.order_id):
            self._by_number[number] = order.order_id
        if order.carried and order.is_final and self._by_number.get(number) == order.order_id:
            del self._by_number[number]
        return order


def to_plain(order: Order) -> dict[str, Any]:
    """For the ledger; times are of a clock that ends with the machine, so they are left out."""
    plain = attrs.asdict(order)
    plain.update(side=order.side.value, purpose=order.purpose.value, status=order.status.value)
    del plain["placed_at"]
    return plain


def from_plain(plain: dict[str, Any]) -> Order:
    known = {k: plain[k] for k in plain if k not in ("side", "purpose", "status")}
    return Order(
        **known,
        side=Side(plain["side"]),
        purpose=Purpose(plain["purpose"]),
        status=OrderStatus(plain["status"]),
    )
