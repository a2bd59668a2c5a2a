"""What remains of a stop when it is over: who, why, when, what there was before and what is left. Pure.

A report is made from the stop's own timeline, a picture of the engines taken when the stop was first seen, and the
lines that engines logged around it. What is not known is null, never zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import attrs

from wire.parts import Residual
from wire.rest.engines import Connection
from wire.rest.records import LogRow
from wire.rest.stops import EmergencyStopResult, Stop, StopState, TimelineEvent
from wire.schema import C, message
from wire.stops import Identifier, Level
from wire.values import Flatness, Millis, Name, ParameterKey, StopPhase, Text

LOG_BEFORE = timedelta(seconds=60)
LOG_AFTER = timedelta(seconds=60)
LINES_BEFORE = 100
LINES_AFTER = 400
STAGES = (
    StopPhase.SENT,
    StopPhase.RECEIVED,
    StopPhase.FROZEN,
    StopPhase.CANCELLED,
    StopPhase.FLATTENED,
    StopPhase.VERIFIED,
)


REOPENED = "reopened"
_ASKED = ("requested", "raised", REOPENED)
_LEVELS = frozenset(level.value for level in Level)


@message
class RunningStrategy:
    """A strategy with the parameters it ran when the stop came."""

    strategy_id: Identifier
    status: Name
    version: Annotated[int, C(ge=0)]
    parameters: dict[ParameterKey, int | float]


@message
class Before:
    """An engine as it was last heard when the stop was taken: counts, won, and the moment the counts are from."""

    engine_id: Identifier
    connection: Connection
    orders: Annotated[int, C(ge=0)] | None
    positions: Annotated[int, C(ge=0)] | None
    value: Annotated[int, C(unit="won")] | None
    as_of: datetime | None
    strategies: list[RunningStrategy]


@message
class Stage:
    """When an engine reached a phase, and how long after the request."""

    phase: StopPhase
    at: datetime
    ms: Millis


@message
class EngineIncident:
    """``before`` null: the platform was not there to look (it started with the stop open). ``flatness_reason``: why
    flatness is UNKNOWN."""

    engine_id: Identifier
    before: Before | None
    phase: StopPhase
    stages: list[Stage]
    orders_cancelled: Annotated[int, C(ge=0)]
    orders_remaining: Annotated[int, C(ge=0)] | None
    positions_liquidated: Annotated[int, C(ge=0)]
    positions_remaining: Annotated[int, C(ge=0)] | None
    flatness: Flatness
    flatness_as_of: datetime | None
    residuals: list[Residual]
    error: Text | None
    flatness_reason: Text | None = None


@message
class IncidentReport:
    """``complete``: every engine has a final phase, or the stop is released. ``log`` null: it could not be read.
    ``people``: what the users are called whose ids are in it, as far as that could be read."""

    stop: Stop
    made_at: datetime
    complete: bool
    engines: list[EngineIncident]
    log: list[LogRow] | None
    log_is_cut: bool = False
    people: dict[Identifier, Text] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Window:
    """Between which moments, and of which engines, the log belongs to a stop; ``at``: when it was asked for."""

    engines: list[str]
    since: datetime
    at: datetime
    until: datetime


@attrs.frozen(kw_only=True)
class Slice:
    """The lines nearest to the request, oldest first: at most ``LINES_BEFORE`` before it and ``LINES_AFTER`` after."""

    before: Sequence[LogRow]
    after: Sequence[LogRow]
    is_cut: bool


def is_complete(stop: Stop) -> bool:
    return stop.released_at is not None or stop.state is not StopState.RUNNING


def mentioned(stop: Stop) -> list[str]:
    """What may be ids of users in the stop: who wanted it, and who did something to it later."""
    said = (event.detail.partition(":")[0] for event in stop.timeline if event.detail and event.engine_id is None)
    return sorted({stop.user_id, *said})


def compose(
    stop: Stop, before: Iterable[Before], log: Slice | None, now: datetime, *, people: Mapping[str, str] | None = None
) -> IncidentReport:
    pictures = {picture.engine_id: picture for picture in before}
    reached = _reached(stop)
    return IncidentReport(
        stop=stop,
        made_at=now,
        complete=is_complete(stop),
        engines=[
            _engine(stop, result, pictures.get(result.engine_id), reached.get(result.engine_id, {}))
            for result in stop.results
        ],
        log=None if log is None else [*log.before, *log.after],
        log_is_cut=log is not None and log.is_cut,
        people=dict(people or {}),
    )


def window(stop: Stop) -> Window:
    """From a minute before the request to a minute after the last event, at most a day: a stop may stay open long."""
    ends = [event.at for event in stop.timeline if event.engine_id is not None] or [stop.requested_at]
    last = min(max(ends), stop.requested_at + timedelta(days=1))
    engines = [result.engine_id for result in stop.results]
    at = stop.requested_at
    return Window(engines=engines, since=at - LOG_BEFORE, at=at, until=last + LOG_AFTER)


def pictures(report: IncidentReport) -> list[Before]:
    return [engine.before for engine in report.engines if engine.before is not None]


def _engine(
    stop: Stop, result: EmergencyStopResult, before: Before | None, reached: Mapping[str, datetime]
) -> EngineIncident:
    return EngineIncident(
        engine_id=result.engine_id,
        before=before,
        phase=result.phase,
        stages=_stages(stop, reached),
        orders_cancelled=result.orders_cancelled,
        orders_remaining=result.orders_remaining,
        positions_liquidated=result.positions_liquidated,
        positions_remaining=result.positions_remaining,
        flatness=result.flatness,
        flatness_as_of=result.flatness_as_of,
        residuals=list(result.residuals),
        error=result.error,
        flatness_reason=result.flatness_reason,
    )


def _reached(stop: Stop) -> dict[str, dict[str, datetime]]:
    """When each engine first said what. What was verified of a lower level says nothing of the one that followed."""
    first: dict[str, dict[str, datetime]] = {}
    highest: Level | None = None
    for event in stop.timeline:
        if event.level is not None or event.event in _ASKED:
            level = event.level or _level_in_words(event)
            if highest is None or level is None or level > highest or event.event == REOPENED:
                highest = level
                for reached in first.values():
                    reached.pop(StopPhase.VERIFIED.value, None)
        if event.engine_id is not None:
            first.setdefault(event.engine_id, {}).setdefault(event.event, event.at)
    return first


def _level_in_words(event: TimelineEvent) -> Level | None:
    """Of an event that was written before it had its level as a field: the one in ``<who>: <level> <reason>``."""
    word = (event.detail or "").partition(": ")[2].partition(" ")[0]
    return Level(word) if word in _LEVELS else None


def _stages(stop: Stop, reached: Mapping[str, datetime]) -> list[Stage]:
    """The first time each phase was reached, in the order of phases."""
    return [
        Stage(phase=phase, at=at, ms=max(0, round((at - stop.requested_at).total_seconds() * 1000)))
        for phase in STAGES
        if (at := reached.get(phase.value)) is not None
    ]
