"""The broker's notices, which come without an id, sometimes before the answer that names their order, and may be lost.

A notice for a number nobody knows waits five seconds. A fill that looks like an earlier one, or that a read of the
broker has already shown, is not booked again; in the rare case of two that were really alike, the reconciliation that
is asked for at the same moment repairs it.
"""

from collections import deque
from collections.abc import Callable

from actors.engine.orders import Order, OrderBook, normal
from wire.kis.notices import Acceptance, Notice, Revision
from wire.values import OrderStatus, Side

PATIENCE = 5.0  # seconds a notice may wait for the answer that names its order
_BUFFERED = 1_000
_REMEMBERED = 5_000

Key = tuple[str, str, int, int]


class Inbox:
    """Sorts notices; ``accepted``, ``filled``, ``refused``, ``cancelled``, ``cancel_refused`` book them on the desk and
    ``check`` asks for a reconciliation soon."""

    def __init__(
        self,
        orders: OrderBook,
        *,
        accepted: Callable[[str, str, str], None],
        filled: Callable[[str, int, int], None],
        refused: Callable[[str, str], None],
        cancelled: Callable[[str], None],
        cancel_refused: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._orders = orders
        self._accepted = accepted
        self._filled = filled
        self._refused = refused
        self._cancelled = cancelled
        self._cancel_refused = cancel_refused
        self._check = check
        self._early: deque[tuple[float, Notice]] = deque()
        self._seen: dict[Key, None] = {}
        self._ahead: dict[str, int] = {}

    def take(self, notice: Notice, now: float) -> None:
        """One notice: known order or not, first time or again."""
        order = self._orders.by_number(notice.subject)
        if order is not None:
            self._apply(order, notice)
        elif len(self._early) < _BUFFERED:
            self._early.append((now + PATIENCE, notice))
        else:
            self._check()

    def named(self, order: Order) -> None:
        """An order got its number: what came early about it is booked now."""
        mine = [n for _, n in self._early if normal(n.subject) == normal(order.number)]
        self._early = deque((at, n) for at, n in self._early if normal(n.subject) != normal(order.number))
        for notice in mine:
            self._apply(self._orders.get(order.order_id) or order, notice)

    def expire(self, now: float) -> None:
        """What waited in vain belongs to an order whose answer was lost, or to somebody else's."""
        late = [n for at, n in self._early if at <= now]
        if not late:
            return
        self._early = deque((at, n) for at, n in self._early if at > now)
        for notice in late:
            order = self._orders.by_number(notice.subject)
            if order is None and (order := self._lost_like(notice)) is not None:
                self._accepted(order.order_id, notice.order_no, notice.branch)
            if order is not None:
                self._apply(self._orders.get(order.order_id) or order, notice)
        self._check()

    def booked_ahead(self, order_id: str, quantity: int) -> None:
        """A read showed this fill first: its notice is still to come, or lost."""
        self._ahead[order_id] = self._ahead.get(order_id, 0) + quantity

    def forget_day(self) -> None:
        self._seen.clear()
        self._ahead.clear()
        self._early.clear()

    def _lost_like(self, notice: Notice) -> Order | None:
        what = (notice.symbol, Side(notice.side.side.value), notice.order_quantity)
        lost = (o for o in self._orders.open_orders() if o.status is OrderStatus.UNKNOWN and not o.number)
        return next((o for o in lost if (o.symbol, o.side, o.quantity) == what), None)

    def _apply(self, order: Order, notice: Notice) -> None:
        if notice.is_fill:
            self._fill(order, notice)
        elif notice.rejected and notice.revision is Revision.NEW:
            self._refused(order.order_id, "refused by the exchange")
        elif notice.rejected:
            self._cancel_refused(order.order_id)
        elif notice.acceptance is Acceptance.CANCELLED or _confirms_cancel(notice):
            self._cancelled(order.order_id)

    def _fill(self, order: Order, notice: Notice) -> None:
        key = (normal(notice.order_no), notice.time, notice.quantity, notice.price)
        ahead = self._ahead.get(order.order_id, 0)
        if key in self._seen or ahead:
            self._ahead[order.order_id] = max(0, ahead - notice.quantity)
            self._check()
            return
        self._seen[key] = None
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._filled(order.order_id, notice.quantity, notice.price)


def _confirms_cancel(notice: Notice) -> bool:
    return notice.revision is Revision.CANCEL and notice.acceptance is Acceptance.CONFIRMED
