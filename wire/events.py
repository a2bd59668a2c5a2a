"""What a session tells its application, and the table of what may be received in which state."""

from datetime import datetime
from enum import Enum
from typing import Any

import attrs

from wire.closing import CloseCode
from wire.errors import WireError
from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, Lane
from wire.messages import Nack


@attrs.frozen(kw_only=True)
class Received:
    """A valid message in its place. One with a ``seq`` is confirmed by ``session.committed(seq)`` once it is durable.

    ``connection`` counts the connections of the session, so that a late commit cannot confirm another message.
    """

    message: object
    seq: int | None
    id: str | None
    re: str | None
    timestamp: datetime
    connection: int = 0


@attrs.frozen(kw_only=True)
class Acknowledged:
    """The durable ids of our lossless messages that the peer has committed: forget them."""

    ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Refused:
    """The peer could not execute one of our messages. It is counted all the same, and never sent again."""

    nack: Nack


@attrs.frozen(kw_only=True)
class Rejected:
    """A message of the peer that was not valid: it was nacked and counted, and is not executed.

    An application may take an unreadable stop for a reason to halt. ``payload``: what came, of any shape.
    """

    type: str
    seq: int | None
    id: str | None
    error: WireError
    payload: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Lost:
    """The peer had no room for ``count`` of its messages: they will never come, and it says so."""

    count: int


@attrs.frozen(kw_only=True)
class LeaseGranted:
    """The engine's lease runs until ``expires_at`` (lease clock); it follows the frame's own event: apply that."""

    expires_at: float


@attrs.frozen(kw_only=True)
class CloseLink:
    """The session has ended. Write what ``take`` still gives, then close the socket with this code and reason."""

    code: CloseCode
    reason: str


Event = Received | Acknowledged | Refused | Rejected | Lost | LeaseGranted | CloseLink


class State(Enum):
    """IDLE: no connection (engine). AWAITING: hello or welcome is due. GREETED: the platform prepares its welcome."""

    IDLE = "idle"
    AWAITING = "awaiting"
    GREETED = "greeted"
    LIVE = "live"
    CLOSED = "closed"


def _in(state: State, *types: str) -> dict[tuple[State, str], State]:
    return {(state, name): state for name in types}


def _data(table: dict[str, type]) -> list[str]:
    return [name for name, cls in table.items() if LANES[cls] is not Lane.CONTROL]


PLATFORM_TRANSITIONS: dict[tuple[State, str], State] = {
    (State.AWAITING, "hello"): State.GREETED,
    **_in(State.AWAITING, "goodbye"),
    **_in(State.GREETED, "goodbye"),
    **_in(State.LIVE, "auth", "ack", "nack", "heartbeat", "gap_fill", "goodbye", *_data(ENGINE_UP)),
}
"""What the platform may receive in a state, and the state that follows."""

ENGINE_TRANSITIONS: dict[tuple[State, str], State] = {
    (State.AWAITING, "welcome"): State.LIVE,
    **_in(State.AWAITING, "nack", "goodbye"),
    **_in(State.LIVE, "ack", "nack", "heartbeat_ack", "gap_fill", "goodbye", *_data(ENGINE_DOWN)),
}
"""What an engine may receive."""


def lossless_types(transitions: dict[tuple[State, str], State], table: dict[str, type]) -> frozenset[str]:
    """Those that wait for a commit among the types that may be received when LIVE."""
    return frozenset(x for x, cls in table.items() if LANES[cls] is Lane.LOSSLESS and (State.LIVE, x) in transitions)


PLATFORM_MOVES: tuple[tuple[State, str, State], ...] = (
    (State.GREETED, "welcome sent", State.LIVE),
    (State.AWAITING, "closed", State.CLOSED),
    (State.GREETED, "closed", State.CLOSED),
    (State.LIVE, "closed", State.CLOSED),
)
"""What moves the platform's side besides messages. It begins AWAITING, with the connection."""

ENGINE_MOVES: tuple[tuple[State, str, State], ...] = (
    (State.IDLE, "connected, hello sent", State.AWAITING),
    (State.AWAITING, "disconnected", State.IDLE),
    (State.LIVE, "disconnected", State.IDLE),
    (State.AWAITING, "closed", State.CLOSED),
    (State.LIVE, "closed", State.CLOSED),
    (State.CLOSED, "disconnected", State.IDLE),
)
"""What moves the engine's side besides messages. It begins IDLE and outlives its connections."""
