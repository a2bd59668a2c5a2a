"""What the engine links and the other actors of the platform say to each other."""

import attrs

from actors.stops.effects import Words
from actors.stops.past import Over
from actors.stops.shelf import StopLane
from store.releases import ReleaseRow
from supervisor.message import Request
from supervisor.ref import Ref
from wire.messages import (
    EmergencyStop,
    Hello,
    LocalStop,
    Nack,
    ParameterResult,
    ParameterUpdate,
    Release,
    StopProgress,
    StrategyCommand,
    StrategyResult,
)
from wire.rest.stops import Stop
from wire.stops import Register

# --- a link to the stop coordinator -----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class LinkUp(Request[None]):
    """The engine said hello. When this is answered the link is in the fan-out; then it reads its welcome snapshot."""

    engine_id: str
    hello: Hello
    link: Ref
    lane: StopLane | None = None


@attrs.frozen(kw_only=True)
class LinkDown:
    engine_id: str
    link: Ref


@attrs.frozen(kw_only=True)
class StopWritten:
    """The frame left through the engine's socket."""

    engine_id: str
    stop_id: str
    epoch: int


@attrs.frozen(kw_only=True)
class StopAcknowledged:
    """The engine has the stop in its latch."""

    engine_id: str
    stop_id: str
    epoch: int


@attrs.frozen(kw_only=True)
class Progressed:
    engine_id: str
    report: StopProgress


@attrs.frozen(kw_only=True)
class LocallyStopped:
    engine_id: str
    stop: LocalStop


@attrs.frozen(kw_only=True)
class EpochHeard:
    """An engine's heartbeat named an epoch above the register's."""

    epoch: int


# --- the parameters to the stop coordinator ---------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class HoldStrategy:
    """Its engine runs other parameters than wanted: REDUCE_ONLY for the strategy until that is settled."""

    engine_id: str
    strategy_id: str
    reason: str


@attrs.frozen(kw_only=True)
class LiftHold:
    """The wanted parameters are in force: such a hold, and nothing else, ends by itself."""

    engine_id: str
    strategy_id: str


# --- the database's keeper to the stop coordinator --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class StopsRead(Request[None]):
    """What the database knows of stops, read after a start without it. ``views``: of those that may be open, and of
    the newest; ``past``: of the others, without their stories."""

    register: Register
    words: dict[str, Words]
    views: list[Stop]
    requests: dict[str, str]
    releases: list[ReleaseRow]
    past: list[Over] = attrs.field(factory=list)


# --- a link to the parameters -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class EngineAdmitted:
    """The engine is welcomed; its hello says which parameters it runs."""

    engine_id: str
    hello: Hello
    link: Ref


@attrs.frozen(kw_only=True)
class UpdateAnswered:
    engine_id: str
    result: ParameterResult


@attrs.frozen(kw_only=True)
class UpdateRefused:
    """The engine could not take the command at all."""

    engine_id: str
    request_id: str
    nack: Nack


# --- to a link --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class DeliverStop:
    """Tell it urgent: it goes before everything that waits."""

    message: EmergencyStop


@attrs.frozen(kw_only=True)
class DeliverRelease:
    message: Release


@attrs.frozen(kw_only=True)
class DeliverUpdate:
    """``expires_at`` on the monotonic clock; after it the command is never sent."""

    message: ParameterUpdate
    expires_at: float


@attrs.frozen(kw_only=True)
class DeliverCommand(Request[StrategyResult]):
    """Answered with the engine's own answer. ``expires_at`` as above."""

    command: StrategyCommand
    expires_at: float


@attrs.frozen(kw_only=True)
class TellConfig:
    config_version: int


@attrs.frozen
class Drain:
    """The platform is going down: what waits is written, then goodbye, then 4000."""


@attrs.frozen(kw_only=True)
class CloseNow(Request[None]):
    """Ends the connection with this code (contract, section 4); answered when the socket is shut."""

    code: int
    reason: str


@attrs.frozen(kw_only=True)
class EngineReportedError:
    """An engine said that something critical happened to it."""

    engine_id: str
    code: str
    reason: str
