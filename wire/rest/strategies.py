"""Strategies: pausing and resuming one, and its parameters with their versions."""

from datetime import datetime
from enum import Enum
from typing import Annotated

from wire.parts import ParameterSpec
from wire.rest.releases import ReducedLimits
from wire.schema import C, message
from wire.stops import Identifier
from wire.values import (
    DurableId,
    ErrorCode,
    ParameterKey,
    Parameters,
    ResultStatus,
    Sequence,
    StrategyAction,
    StrategyState,
    Text,
)


@message
class StrategyCommandRequest:
    """Why; a resume has to say it. ``reduced``: with a resume, carefully at first."""

    reason: Annotated[str, C(max_length=500)] = ""
    reduced: ReducedLimits | None = None


class CommandStatus(Enum):
    """EXPIRED: the engine did not answer in time; what the strategy is then is in its own status."""

    APPLIED = "applied"
    FAILED = "failed"
    EXPIRED = "expired"


@message
class StrategyCommandResult:
    """What became of pausing or resuming a strategy. ``strategy_status``: what the engine says it is now."""

    request_id: DurableId
    engine_id: Identifier
    strategy_id: Identifier
    action: StrategyAction
    status: CommandStatus
    strategy_status: StrategyState | None
    error: ErrorCode | None
    reason: Text | None


class UpdateStatus(Enum):
    PENDING = "pending"
    APPLIED = "applied"
    FAILED = "failed"
    EXPIRED = "expired"
    APPLIED_LATE = "applied_late"

    @classmethod
    def of(cls, result: ResultStatus) -> "UpdateStatus":
        return cls(result.value)


@message
class ParameterChange:
    strategy_id: Identifier
    parameters: Annotated[Parameters, C(min_length=1)]
    request_id: DurableId | None = None


@message
class RollbackRequest:
    strategy_id: Identifier
    version: Sequence


@message
class UpdateResult:
    """The answer to a change of parameters; ``parameters`` are the values in effect after it."""

    request_id: DurableId
    engine_id: Identifier
    strategy_id: Identifier
    status: UpdateStatus
    parameters: Parameters
    version: Sequence
    applied_at: datetime | None
    error: ErrorCode | None
    reason: Text | None


@message
class StrategyParameters:
    """Desired and effective parameters of one strategy; they differ while a change is under way or was refused."""

    engine_id: Identifier
    strategy_id: Identifier
    version: Sequence
    desired: Parameters
    effective: Parameters | None
    effective_version: Sequence | None
    parameter_schema: dict[ParameterKey, ParameterSpec]
    updated_at: datetime | None


@message
class ParameterVersion:
    version: Sequence
    parameters: Parameters
    status: UpdateStatus
    user_id: Annotated[str, C(max_length=64)]
    at: datetime
    request_id: DurableId
    error: ErrorCode | None
    reason: Text | None
    username: Annotated[str, C(max_length=64)] | None = None
