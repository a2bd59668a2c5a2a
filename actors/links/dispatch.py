"""Who gets which message of an engine. Handing on never waits; what is to be stored is stored by the log writer."""

import uuid
from datetime import datetime

from actors.fleet.fleet import EngineReported
from actors.links.messages import EngineReportedError, LocallyStopped, Progressed, UpdateAnswered
from actors.links.places import LinkDesk
from actors.platform.log_writer import KeepAccount
from store.letters import DeadLetter
from store.logs import Received as ToKeep
from wire.errorcodes import meant_code
from wire.messages import (
    ENGINE_UP,
    LANES,
    TYPE_OF,
    Account,
    EngineStatusReport,
    ErrorReport,
    Fill,
    HealthUpdate,
    Lane,
    LocalStop,
    OrderUpdate,
    ParameterResult,
    Positions,
    Severity,
    StopProgress,
    StrategyStatusReport,
    TradeLog,
)
from wire.quarantine import quarantined
from wire.session import Received, Rejected


def hand_on(desk: LinkDesk, engine_id: str, message: object) -> None:
    match message:
        case StopProgress():
            desk.coordinator.tell(Progressed(engine_id=engine_id, report=message))
        case LocalStop():
            desk.coordinator.tell(LocallyStopped(engine_id=engine_id, stop=message), urgent=True)
        case ParameterResult():
            desk.fleet.tell(EngineReported(engine_id=engine_id, report=message))
            desk.parameters.tell(UpdateAnswered(engine_id=engine_id, result=message))
        case EngineStatusReport() | StrategyStatusReport() | HealthUpdate() | Positions():
            desk.fleet.tell(EngineReported(engine_id=engine_id, report=message))
        case ErrorReport(severity=Severity.CRITICAL):
            desk.alerts.tell(EngineReportedError(engine_id=engine_id, code=message.code, reason=message.reason))
        case Account():
            desk.fleet.tell(EngineReported(engine_id=engine_id, report=message))
            desk.log_writer.tell(KeepAccount(engine_id=engine_id, account=message))


def to_keep(engine_id: str, event: Received, *, fallback: str) -> ToKeep | None:
    """The row a message becomes; None for one that is kept elsewhere. ``fallback``: its id where it has none."""
    message = event.message
    if not isinstance(message, TradeLog | OrderUpdate | Fill | ErrorReport):
        return None
    return ToKeep(engine_id=engine_id, id=event.id or fallback, at=event.timestamp, message=message)


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
