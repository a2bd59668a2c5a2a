"""What of the stops and of the engines' stories goes to the dashboards, and on which topic."""

from actors.live.hub import Hub
from store.logs import Received
from wire.messages import ErrorReport, Fill, OrderUpdate, TradeLog
from wire.quarantine import QuarantinedLog
from wire.rest.stops import Stop
from wire.ui import Topic

_TOPICS: dict[type, Topic] = {
    TradeLog: Topic.TRADES,
    QuarantinedLog: Topic.TRADES,
    OrderUpdate: Topic.ORDERS,
    Fill: Topic.FILLS,
    ErrorReport: Topic.ERRORS,
}


def show_stop(hub: Hub, stop: Stop) -> None:
    hub.publish(Topic.STOPS, stop, key=stop.stop_id)


def show_told(hub: Hub, received: Received) -> None:
    """A line that was committed: each of them once, in the order of commits."""
    hub.publish_from(_TOPICS[type(received.message)], received.engine_id, received.message)
