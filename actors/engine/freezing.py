"""What a stop does to the desk's own orders, at the moment the gate closes. Nothing here waits."""

from actors.engine.desk import Desk
from wire.sdk.gate import Purpose
from wire.sdk.latch import LatchedStop
from wire.stops import Level, Scope


class DeskTrading:
    """The desk as stops see it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def freeze(self, stop: LatchedStop) -> None:
        """Orders that have not been written are discarded; their tasks end without waiting for their turn."""
        desk = self._desk
        for order in desk.orders.open_orders():
            level = desk.gate.level_for(order.strategy_id, order.symbol)
            if order.purpose is Purpose.ORDER and not order.written and level >= Level.HALT:
                desk.discard(order.order_id)
                desk.closed(order.order_id, f"stopped at {level.value}")

    def orphaned(self) -> list[str]:
        """Closing orders that no open stop asks for any more."""
        desk = self._desk
        return [
            o.order_id
            for o in desk.orders.open_orders()
            if o.purpose is Purpose.STOP_ORDER and desk.gate.level_for(o.strategy_id, o.symbol) < Level.FLATTEN
        ]

    def unresolved(self, scope: Scope) -> int:
        """Written requests whose answer is still to come, or was lost and is not reconciled."""
        identity = self._desk.identity
        return sum(
            o.written
            and not o.is_final
            and not o.is_working
            and scope.covers(identity.engine_id, identity.account_id, o.strategy_id, o.symbol)
            for o in self._desk.orders.open_orders()
        )
