"""What the web endpoints and the actors of the platform say to each other.

A request that can be refused answers with a ``Refusal`` value: an exception would crash the actor that is asked. Ids of
the actors in the tree are the constants at the end.
"""

from datetime import datetime

import attrs

from supervisor.message import Request
from wire.rest.access import Role
from wire.rest.engines import EngineHealthDetail, EngineStatus, SystemHealthMetrics
from wire.rest.releases import ReducedLimits, ReleaseRequest, ReleaseView
from wire.rest.stops import PreviewAnswer, Stop, StopRequest
from wire.rest.strategies import (
    ParameterChange,
    RollbackRequest,
    StrategyCommandResult,
    StrategyParameters,
    UpdateResult,
)
from wire.stops import Level, Scope
from wire.values import StrategyAction


@attrs.frozen(kw_only=True)
class Principal:
    """Who asks. ``degraded``: the token was good but expired, accepted for a stop because the database is away."""

    user_id: str
    username: str
    role: Role
    auth_time: datetime
    origin: str = ""
    degraded: bool = False


@attrs.frozen(kw_only=True)
class Refusal:
    """Why a request was not done: the HTTP status, the code, words, and the field when there is one."""

    status: int
    error: str
    reason: str
    field: str | None = None


# --- stops --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class TakeStop(Request[Stop | Refusal]):
    """Decided in memory and sent before it is answered. Send it urgent. ``by_key``: its request_id is the caller's
    Idempotency-Key."""

    principal: Principal
    request: StopRequest
    cause: str = "operator"
    by_key: bool = False


@attrs.frozen(kw_only=True)
class ContinueStop(Request[Stop | Refusal]):
    """A person wants what is left of an open stop done now, also in another trading session."""

    principal: Principal
    stop_id: str


@attrs.frozen(kw_only=True)
class RequestRelease(Request[ReleaseView | Refusal]):
    principal: Principal
    stop_id: str
    request: ReleaseRequest


@attrs.frozen(kw_only=True)
class ApproveRelease(Request[ReleaseView | Refusal]):
    principal: Principal
    stop_id: str
    epoch: int
    release_id: str | None = None


@attrs.frozen(kw_only=True)
class ShowRelease(Request[ReleaseView | None]):
    """The request that waits for this stop, or the last one; None: memory knows of none."""

    stop_id: str


@attrs.frozen(kw_only=True)
class PreviewStop(Request[PreviewAnswer | Refusal]):
    scope: Scope
    level: Level


# --- engines ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ListEngines(Request[list[EngineStatus]]):
    """Every known engine, connected or not."""


@attrs.frozen(kw_only=True)
class ListHealth(Request[list[EngineHealthDetail]]):
    pass


@attrs.frozen(kw_only=True)
class GetSystemHealth(Request[SystemHealthMetrics]):
    pass


@attrs.frozen(kw_only=True)
class EngineEnrolled(Request[None]):
    """The database holds a new engine; from now on it is known everywhere."""

    engine_id: str
    name: str
    account_id: str


@attrs.frozen(kw_only=True)
class EngineRemoved(Request[None]):
    """The engine is deregistered: its link is closed (4511) before this is answered."""

    engine_id: str


@attrs.frozen(kw_only=True)
class ConfigurationChanged:
    """A user's settings were saved under a new version: every engine is told."""

    config_version: int


# --- strategies ---------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class CommandStrategy(Request[StrategyCommandResult | Refusal]):
    """Pauses or resumes one strategy at its engine; answered with the engine's word, at most 10 s later."""

    engine_id: str
    strategy_id: str
    action: StrategyAction
    request_id: str
    reduced: ReducedLimits | None = None


@attrs.frozen(kw_only=True)
class CheckCommand(Request[Refusal | None]):
    """Whether the same would be refused now."""

    engine_id: str
    strategy_id: str
    action: StrategyAction
    reduced: ReducedLimits | None = None


# --- parameters ---------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ChangeParameters(Request[UpdateResult | Refusal]):
    """Answered while pending; the engine's answer appears on the board of updates under its request_id."""

    principal: Principal
    engine_id: str
    expected_version: int
    change: ParameterChange


@attrs.frozen(kw_only=True)
class RollBackParameters(Request[UpdateResult | Refusal]):
    principal: Principal
    engine_id: str
    expected_version: int
    request: RollbackRequest
    request_id: str


@attrs.frozen(kw_only=True)
class GetParameters(Request[StrategyParameters | Refusal]):
    engine_id: str
    strategy_id: str


ALERTS = "alerts"
WEBHOOK = "webhook"
WATCH = "watch"
INCIDENTS = "incidents"
COORDINATOR = "stops"
FLEET = "fleet"
PARAMETERS = "parameters"
HEALTH = "health"
LOG_WRITER = "log-writer"
AUDITOR = "auditor"
LINKS = "links"
ENGINE_LISTENER = "engine-listener"
UI_CLIENTS = "ui-clients"
WEB = "web"
EMERGENCY = "emergency"
