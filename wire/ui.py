"""The messages of the UI link (contract, section 5). The envelope is that of the engine link without seq."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import attrs

from wire.schema import C, message
from wire.values import GapCause, Secret, Sequence, Text

PROTOCOL = "1"
SUBPROTOCOL = "watchkeeper-ui.v1"
MAX_FRAME_BYTES = 16 * 1024
BOOKMARK_MS = 2000
OFFLINE_MS = 10000


class Topic(Enum):
    """What a dashboard may follow, and the items it then gets."""

    ENGINES = "engines"
    STRATEGIES = "strategies"
    HEALTH = "health"
    STOPS = "stops"
    ALERTS = "alerts"
    ERRORS = "errors"
    PARAMETERS = "parameters"
    TRADES = "trades"
    ORDERS = "orders"
    FILLS = "fills"
    ACCOUNTS = "accounts"
    POSITIONS = "positions"
    TREE = "tree"
    SYSTEM = "system"


class Delivery(Enum):
    """LOSSLESS: nothing is dropped, the client is. RING: lossless up to the ring, then an explicit gap. LATEST: one
    slot per key."""

    LOSSLESS = "lossless"
    RING = "ring"
    LATEST = "latest"


DELIVERY: dict[Topic, Delivery] = {
    Topic.STOPS: Delivery.LOSSLESS,
    Topic.ALERTS: Delivery.LOSSLESS,
    Topic.TRADES: Delivery.RING,
    Topic.ORDERS: Delivery.RING,
    Topic.FILLS: Delivery.RING,
    Topic.ERRORS: Delivery.RING,
    Topic.PARAMETERS: Delivery.RING,
    Topic.ENGINES: Delivery.LATEST,
    Topic.STRATEGIES: Delivery.LATEST,
    Topic.HEALTH: Delivery.LATEST,
    Topic.ACCOUNTS: Delivery.LATEST,
    Topic.POSITIONS: Delivery.LATEST,
    Topic.TREE: Delivery.LATEST,
    Topic.SYSTEM: Delivery.LATEST,
}

StreamEpoch = Annotated[str, C(max_length=64)]


@message
class UiEnvelope:
    """What every frame of a browser looks like. The timestamp is the browser's and is not trusted for anything."""

    type: Annotated[str, C(max_length=64)]
    payload: dict[str, Any]
    id: Annotated[str, C(max_length=64)] | None = None
    crit: Annotated[list[str], C(max_length=16)] = attrs.field(factory=list)


# --- browser to platform --------------------------------------------------------------------------------------------


@message
class Subscription:
    topic: Topic
    epoch: StreamEpoch | None = None
    offset: Sequence | None = None


@message
class UiHello:
    token: Secret
    protocol: Annotated[str, C(max_length=16)]
    topics: Annotated[list[Subscription], C(max_length=32)]
    client: Annotated[str, C(max_length=200)] = ""


@message
class UiAuth:
    token: Secret


@message
class BookmarkAck:
    """The client's acknowledgement: the offsets it has, by the name of the topic."""

    n: Sequence
    offsets: Annotated[dict[Annotated[str, C(max_length=32)], Sequence], C(max_length=64)]


# --- platform to browser --------------------------------------------------------------------------------------------


@message
class TopicState:
    topic: Topic
    epoch: StreamEpoch
    offset: Sequence
    recovered: bool


@message
class UiWelcome:
    session: Annotated[str, C(max_length=64)]
    topics: list[TopicState]
    bookmark_ms: int
    offline_ms: int
    server_time: datetime
    token_expires: datetime


@message
class Snapshot:
    topic: Topic
    epoch: StreamEpoch
    offset: Sequence
    items: list[Any]


@message
class Delta:
    topic: Topic
    offset: Sequence
    items: list[Any]
    conflated: Annotated[int, C(ge=0)] | None = None


@message
class Gap:
    topic: Topic
    from_offset: Sequence
    to_offset: Sequence
    cause: GapCause


@message
class Bookmark:
    n: Sequence
    server_time: datetime
    offsets: dict[Topic, Sequence]


@message
class UiNack:
    code: Annotated[str, C(pattern=r"error_[a-z0-9_]+")]
    reason: Text


@message
class UiAck:
    re: Annotated[str, C(max_length=64)]


UI_UP: dict[str, type] = {"hello": UiHello, "auth": UiAuth, "bookmark_ack": BookmarkAck}
UI_DOWN: dict[str, type] = {
    "welcome": UiWelcome,
    "snapshot": Snapshot,
    "delta": Delta,
    "gap": Gap,
    "bookmark": Bookmark,
    "ack": UiAck,
    "nack": UiNack,
}
