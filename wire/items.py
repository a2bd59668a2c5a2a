"""What the topics of the UI link carry: one item class for each, and whether it is an engine's own message.

An engine's message is shown with the engine's id beside its own fields.
"""

from collections.abc import Mapping

import attrs

from wire.messages import Account, ErrorReport, Fill, OrderUpdate, Positions, TradeLog
from wire.quarantine import QuarantinedLog
from wire.rest.engines import EngineHealthDetail, EngineStatus, StrategyStatus, SystemHealthMetrics
from wire.rest.records import Alert
from wire.rest.stops import Stop
from wire.rest.strategies import UpdateResult
from wire.schema import message
from wire.ui import Topic
from wire.values import Count, Name


@message
class TreeRow:
    """One actor, as the topic of the tree shows it; its parent's name is its own up to the last slash."""

    name: Name
    kind: Name
    state: Name
    restarts: Count
    incarnation: Count


@attrs.frozen
class Item:
    """``of_engine``: the item also has ``engine_id``. ``key``: the fields that name the slot it replaces, if any.
    ``or_else``: what may stand in its place."""

    cls: type
    key: tuple[str, ...] = ()
    of_engine: bool = False
    or_else: type | None = None


ITEMS: Mapping[Topic, Item] = {
    Topic.ENGINES: Item(EngineStatus, ("engine_id",)),
    Topic.STRATEGIES: Item(StrategyStatus, ("engine_id", "id")),
    Topic.HEALTH: Item(EngineHealthDetail, ("engine_id",)),
    Topic.STOPS: Item(Stop, ("stop_id",)),
    Topic.ALERTS: Item(Alert, ("id",)),
    Topic.ERRORS: Item(ErrorReport, of_engine=True),
    Topic.PARAMETERS: Item(UpdateResult, ("request_id",)),
    Topic.TRADES: Item(TradeLog, of_engine=True, or_else=QuarantinedLog),
    Topic.ORDERS: Item(OrderUpdate, of_engine=True),
    Topic.FILLS: Item(Fill, of_engine=True),
    Topic.ACCOUNTS: Item(Account, ("engine_id",), of_engine=True),
    Topic.POSITIONS: Item(Positions, ("engine_id",), of_engine=True),
    Topic.TREE: Item(TreeRow, ("name",)),
    Topic.SYSTEM: Item(SystemHealthMetrics),
}
