"""Who gets which message of an engine. Handing on never waits; what is to be stored is stored by the log writer."""

from actors.fleet.fleet import EngineHeard, EngineReported
from actors.links.messages import LocallyStopped, Progressed, UpdateAnswered
from actors.links.places import LinkDesk
from actors.platform.log_writer import KeepAccount
from store.logs import Received as ToKeep
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
from wire.session import Received


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
        case Account():
            desk.fleet.tell(EngineReported(engine_id=engine_id, report=message))
            desk.log_writer.tell(KeepAccount(engine_id=engine_id, account=message))
        case TradeLog() | OrderUpdate() | Fill() | ErrorReport():
            desk.fleet.tell(EngineHeard(engine_id=engine_id))


def to_keep(engine_id: str, event: Received, *, fallback: str) -> ToKeep | None:
    """The row a message becomes; None for one that is kept elsewhere. ``fallback``: its id where it has none."""
    message = event.message
    if not isinstance(message, TradeLog | OrderUpdate | Fill | ErrorReport):
        return None
    return ToKeep(engine_id=engine_id, id=event.id or fallback, at=event.timestamp, message=message)
