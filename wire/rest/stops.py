"""Stops: the request, the answer with what every engine did, and a preview of what one would meet."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import attrs

from wire.errors import InvalidField
from wire.parts import Residual
from wire.rest.engines import Connection
from wire.schema import C, message
from wire.stops import Epoch, Identifier, Level, Scope
from wire.values import DurableId, Flatness, Millis, Name, StopPhase, Symbol, Text, Won


class StopState(Enum):
    RUNNING = "running"
    VERIFIED = "verified"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PARTIAL = "partial"
    EMPTY = "empty"


@message
class StopRequest:
    """A request for a stop. Everything is optional: an empty body stops everything and flattens.

    ``drill``: the same stop with a label, of level HALT where the body names none; above HALT only where every engine
    it concerns trades on paper.
    """

    request_id: DurableId | None = None
    scope: Scope = Scope.everything()
    level: Level = Level.FLATTEN
    reason: Annotated[str, C(max_length=500)] = ""
    drill: bool = False

    def __attrs_post_init__(self) -> None:
        if self.level is Level.NORMAL:
            raise InvalidField("NORMAL stops nothing: take REDUCE_ONLY, HALT, CANCEL or FLATTEN", field="level")


@message
class EmergencyStopResult:
    """One engine's part of a stop. ``success`` only when the level's work is verified."""

    engine_id: Identifier
    success: bool
    phase: StopPhase
    positions_liquidated: Annotated[int, C(ge=0)]
    orders_cancelled: Annotated[int, C(ge=0)]
    orders_remaining: Annotated[int, C(ge=0)] | None
    positions_remaining: Annotated[int, C(ge=0)] | None
    flatness: Flatness
    flatness_as_of: datetime | None
    flatness_reason: Text | None
    residuals: list[Residual]
    ms_to_frozen: Millis | None
    completed_at: datetime | None
    error: Text | None


@message
class TimelineEvent:
    """``level``: that of the stop from here on, where something was decided of the stop as a whole (``requested``,
    ``raised``, ``continued``, ``kept``, ``reopened``, ``recovered``); null for what an engine did, and in what was
    written before there was this field. ``detail``: words for people; nothing is to be read from them."""

    at: datetime
    event: Name
    engine_id: Identifier | None = None
    detail: Text | None = None
    level: Level | None = None


@message
class Stop:
    """EmergencyStopResponse, and the Stop of GET /api/stops. ``durable``: journal or database on stable storage.

    ``username``: what the person of ``user_id`` was called when the stop was taken; null when it is not known, or was
    no person (an engine, the platform)."""

    stop_id: Identifier
    request_id: DurableId
    epoch: Epoch
    scope: Scope
    level: Level
    user_id: Annotated[str, C(max_length=64)]
    reason: Text
    requested_at: datetime
    delivered: Annotated[int, C(ge=0)]
    engines: Annotated[int, C(ge=0)]
    durable: bool
    state: StopState
    results: list[EmergencyStopResult]
    drill: bool = False
    cause: Annotated[str, C(max_length=64)] = "operator"
    released_at: datetime | None = None
    timeline: list[TimelineEvent] = attrs.field(factory=list)
    username: Annotated[str, C(max_length=64)] | None = None


@message
class PreviewRequest:
    scope: Scope = Scope.everything()
    level: Level = Level.FLATTEN


@message
class BlockedPosition:
    symbol: Symbol
    reason: Text


@message
class EnginePreview:
    """What a stop would meet at one engine; null where it is not known. ``value`` in won at the last prices seen.

    ``as_of`` is the engine's own time of these numbers, ``age_ms`` how long ago they arrived; ``synced``: whether its
    books agree with its broker.
    """

    engine_id: Identifier
    orders: Annotated[int, C(ge=0)] | None
    positions: Annotated[int, C(ge=0)] | None
    value: Won | None
    blocked: list[BlockedPosition]
    as_of: datetime | None
    age_ms: Millis | None
    synced: bool | None
    connection: Connection


@message
class PreviewTotal:
    """Sums over the ``engines`` whose numbers are known; ``unknown`` of them are not, or not wholly, in the sums."""

    orders: Annotated[int, C(ge=0)] | None
    positions: Annotated[int, C(ge=0)] | None
    value: Won | None
    engines: Annotated[int, C(ge=0)]
    unknown: Annotated[int, C(ge=0)]
    oldest_ms: Millis | None


@message
class PreviewAnswer:
    engines: list[EnginePreview]
    total: PreviewTotal
