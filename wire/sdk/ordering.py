"""What an engine asks before its orders leave, and tells of them: the gate in an engine's own words."""

from collections.abc import Callable

from wire.errors import InvalidField
from wire.parts import OpenOrder
from wire.sdk.clock import Clock
from wire.sdk.executor import Executor
from wire.sdk.gate import Gate, Intent, Purpose
from wire.sdk.speech import checked
from wire.stops import Level
from wire.values import Side


class Ordering:
    """Nothing here waits. ``orphaned``: the closing orders that no stop asks for any more."""

    def __init__(self, *, gate: Gate, executor: Executor, clock: Clock, orphaned: Callable[[], list[str]]) -> None:
        self._gate = gate
        self._executor = executor
        self._clock = clock
        self._orphaned = orphaned
        self.answered_at: float | None = None

    def check(
        self,
        order_id: str,
        *,
        symbol: str,
        side: Side | str,
        quantity: int,
        strategy_id: str | None = None,
        closing: bool = False,
        price: int | None = None,
    ) -> None:
        """The last synchronous step before an order's bytes leave: returns and counts it as in flight, or raises
        GateClosed. ``closing``: it was asked for by ``flatten``."""
        purpose = Purpose.STOP_ORDER if closing else Purpose.ORDER
        self._pass(_intent(order_id, purpose, strategy_id, symbol, side, quantity, price))

    def check_cancel(self, order_id: str, *, symbol: str, strategy_id: str | None = None) -> None:
        """The same for a cancel, whoever wants it: under HALT nothing leaves, under CANCEL cancels must."""
        level = self._gate.level_for(strategy_id, symbol)
        purpose = Purpose.STOP_CANCEL if level >= Level.CANCEL else Purpose.CANCEL
        if order_id in self._orphaned():
            purpose = Purpose.UNWIND
        self._pass(_intent(f"{order_id}/cancel", purpose, strategy_id, symbol, Side.SELL, 1))

    def _pass(self, intent: Intent) -> None:
        now = self._clock.now()
        self._gate.check(intent, now)
        self._executor.holdings.passed(intent, now)

    def settle(self, order_id: str) -> None:
        """The broker's answer to a request is known, whatever it is."""
        self.answered_at = self._clock.now()
        self._gate.settle(order_id)
        self._executor.holdings.settled(order_id, self.answered_at)

    def lost(self, order_id: str) -> None:
        """The answer did not come: a later read of the account tells what became of it. Never send it again."""
        self._executor.lost(order_id)

    @property
    def doubts(self) -> int:
        """How often the books have been doubted so far."""
        return self._gate.doubts

    def reconciled(self, doubts: int | None = None) -> None:
        """For engines without ``read_account``: the books agree with the broker. To be said again after every expiry of
        the lease. ``doubts``: as they were when the comparison began; one that is older than a doubt changes nothing.
        """
        self._executor.reconciled(doubts)

    def out_of_sync(self) -> None:
        """The books may be wrong: no order leaves before they were compared again."""
        self._executor.out_of_sync()

    def why_closed(self, strategy_id: str | None = None, symbol: str | None = None) -> str | None:
        """Why an order of this strategy in this symbol could not leave now; None when it could."""
        level = self._gate.level_for(strategy_id, symbol)
        if level >= Level.HALT:
            return f"stopped at {level.value}"
        if strategy_id in self._gate.paused:
            return "the strategy is paused"
        return self._gate.shut_reason(self._clock.now())

    def level(self, strategy_id: str | None = None, symbol: str | None = None) -> Level:
        return self._gate.level_for(strategy_id, symbol)


def _intent(
    order_id: str,
    purpose: Purpose,
    strategy_id: str | None,
    symbol: str,
    side: Side | str,
    quantity: int,
    price: int | None = None,
) -> Intent:
    """Raises InvalidField: an order that cannot be understood is not let through."""
    plain = checked(OpenOrder, order_id=order_id, symbol=symbol, side=side, remaining=quantity, price=price or 0)
    if quantity < 1:
        raise InvalidField("must be at least 1 share", field="quantity")
    return Intent(
        order_id=order_id,
        purpose=purpose,
        strategy_id=strategy_id,
        symbol=symbol,
        side=plain.side,
        quantity=quantity,
        price=price or None,
    )
