"""The engine's risk limits at work: asked before every order, told of what happens, judged once a moment.

The limits in force are the tighter of the engine's own file and the platform's. What the platform said last is kept in
the ledger; while nothing is known of it, only reducing orders leave.
"""

import attrs

from actors.engine.books import Books
from actors.engine.orders import Order, OrderBook
from actors.engine.risk.limits import Limits
from actors.engine.risk.plan import RiskPlan
from actors.engine.risk.pretrade import Refusals, RiskRefused, Wanted, check
from actors.engine.risk.triggers import Facts, Triggers, Trip, Verdict
from wire.values import Side

UNKNOWN = "the platform's risk limits are not known yet"


class RiskBook:
    """Synchronous; the desk and the risk watch share it. ``platform`` None: not known yet."""

    def __init__(self, plan: RiskPlan | None = None) -> None:
        self._plan = plan or RiskPlan()
        self._platform: Limits | None = None
        self._refusals = Refusals()
        self.triggers = Triggers(limits=self._plan.limits, levels=self._plan.levels)
        self.stopping: dict[str, Trip] = {}  # by stop, until it is latched; a watch that is restarted goes on with it

    @property
    def limits(self) -> Limits:
        return self.triggers.limits

    @property
    def is_known(self) -> bool:
        """Whether the platform has said which limits it holds, or that it holds none."""
        return self._platform is not None

    def take(self, platform: Limits) -> bool:
        """The platform's limits. True when other limits are in force now."""
        before, self._platform = self.limits, platform
        self.triggers.limits = self._plan.limits.tighter(platform)
        return before != self.limits

    def check(self, order: Order, price: int, *, books: Books, orders: OrderBook) -> None:
        """Raises RiskRefused when a limit forbids the order. ``price``: won a share, 0 when nobody knows."""
        held = {p.symbol: books.total(p.symbol) for p in books.positions()}
        buying: dict[str, int] = {}
        for other in orders.open_orders():
            if other.side is Side.BUY and other.order_id != order.order_id:
                buying[other.symbol] = buying.get(other.symbol, 0) + other.remaining
        wanted = Wanted(symbol=order.symbol, side=order.side, quantity=order.quantity, price=price)
        check(wanted, self.limits, held=held, buying=buying)

    def is_news(self, refusal: RiskRefused, symbol: str, now: float) -> bool:
        """Whether a person should hear of this refusal, or has just heard of one like it."""
        return self._refusals.is_news(refusal.code, symbol, now)

    def judge(self, facts: Facts) -> Verdict:
        verdict = self.triggers.judge(facts)
        if self.is_known:
            return verdict
        return attrs.evolve(verdict, caution=verdict.caution or UNKNOWN)
