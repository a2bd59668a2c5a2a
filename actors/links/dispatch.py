"""Who gets which message of an engine. Handing on never waits; what is to be stored is stored by the log writer."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from actors.fleet.fleet import EngineReported, Report
from actors.links.messages import EngineReportedError, LocallyStopped, Progressed, UpdateAnswered
from actors.links.places import LinkDesk
from actors.platform.log_writer import KeepAccount
from store.letters import DeadLetter
from store.logs import Received as ToKeep
from wire.errorcodes import meant_code
from wire.lanes import ENGINE_UP, LANES, TYPE_OF, Lane
from wire.messages import (
    Account,
    EngineStatusReport,
    ErrorReport,
    Fill,
    HealthUpdate,
    LocalStop,
    OrderUpdate,
    ParameterResult,
    Positions,
    StopProgress,
    StrategyStatusReport,
    TradeLog,
)
from wire.quarantine import quarantined
from wire.session import Received, Rejected
from wire.tailor import maker
from wire.values import Severity


def hand_on(desk: LinkDesk, engine_id: str, message: object) -> None:
    """To whoever wants to know it at once."""
    hand = _HANDS.get(type(message))
    if hand is not None:
        hand(desk, engine_id, message)


def _to_coordinator(desk: LinkDesk, engine_id: str, report: StopProgress) -> None:
    desk.coordinator.tell(Progressed(engine_id=engine_id, report=report))


def _stop_of_the_engine(desk: LinkDesk, engine_id: str, stop: LocalStop) -> None:
    """Not urgent: the engine has stopped already, and a person's stop waits behind no flood of these."""
    desk.coordinator.tell(LocallyStopped(engine_id=engine_id, stop=stop))


def _to_fleet(desk: LinkDesk, engine_id: str, report: Report) -> None:
    desk.fleet.tell(EngineReported(engine_id=engine_id, report=report))


def _to_fleet_and_parameters(desk: LinkDesk, engine_id: str, result: ParameterResult) -> None:
    _to_fleet(desk, engine_id, result)
    desk.parameters.tell(UpdateAnswered(engine_id=engine_id, result=result))


def _to_fleet_and_books(desk: LinkDesk, engine_id: str, account: Account) -> None:
    _to_fleet(desk, engine_id, account)
    desk.log_writer.tell(KeepAccount(engine_id=engine_id, account=account))


def _alarm(desk: LinkDesk, engine_id: str, error: ErrorReport) -> None:
    if error.severity is Severity.CRITICAL:
        desk.alerts.tell(EngineReportedError(engine_id=engine_id, code=error.code, reason=error.reason))


_HANDS: dict[type, Callable[[LinkDesk, str, Any], None]] = {
    StopProgress: _to_coordinator,
    LocalStop: _stop_of_the_engine,
    ParameterResult: _to_fleet_and_parameters,
    **dict.fromkeys((EngineStatusReport, StrategyStatusReport, HealthUpdate, Positions), _to_fleet),
    ErrorReport: _alarm,
    Account: _to_fleet_and_books,
}
_row = maker(ToKeep)
_ROWS = frozenset({TradeLog, OrderUpdate, Fill, ErrorReport})


def to_keep(engine_id: str, event: Received, session: str) -> ToKeep | None:
    """The row a message becomes, by its number in the ``session`` where it has no id; None for one that is kept
    elsewhere."""
    message: Any = event.message
    if type(message) not in _ROWS:
        return None
    return _row(engine_id, event.id or f"{session}.{event.seq}", event.timestamp, message)


def is_lossless(kind: str) -> bool:
    """Whether messages of this type come once, so that a malformed one would leave no trace."""
    cls = ENGINE_UP.get(kind)
    return cls is not None and LANES[cls] is Lane.LOSSLESS


def to_quarantine(engine_id: str, event: Rejected, *, session: str, at: datetime) -> ToKeep | DeadLetter:
    """What a malformed message becomes: a log line a row among the logs, everything else a dead letter."""
    if event.type == TYPE_OF[TradeLog]:
        row = quarantined(event.payload, event.error, id=f"q.{session}.{event.seq}"[:64], at=at)
        return ToKeep(engine_id=engine_id, id=row.id, at=at, message=row)
    error = event.error
    reason = f"{error.field}: {error.reason}" if error.field else error.reason
    if (meant := meant_code(event.type, event.payload)) is not None:
        reason += f" (it means {meant})"
    return DeadLetter(
        id=str(uuid.uuid4()), engine_id=engine_id, kind=event.type, payload="{}", reason=f"not valid: {reason}", at=at
    )
