"""What may be asked of a strategy's parameters: the envelope, what loosens, and what an engine's answer means. Pure."""

from collections.abc import Mapping
from datetime import datetime
from math import isclose, isfinite

from actors.requests import Refusal
from store.parameters import Outcome, VersionRow
from wire.messages import ParameterResult
from wire.parts import ParameterSpec
from wire.rest.strategies import UpdateResult, UpdateStatus
from wire.schema import plain_number
from wire.values import Loosens, Parameters, ResultStatus

MISMATCH = "error_effective_mismatch"
NO_REASON = "the engine did not say why"


def refuse_outside(change: Mapping[str, int | float], schema: Mapping[str, ParameterSpec]) -> Refusal | None:
    """422 for a key the strategy does not have, or a value outside its range or off its steps."""
    for key, value in change.items():
        field = f"parameters.{key}"
        spec = schema.get(key)
        if spec is None:
            known = ", ".join(sorted(schema)) or "none"
            return _outside(field, f"the strategy has no such parameter; it has: {known}")
        if (words := _fault(value, spec)) is not None:
            return _outside(field, words)
    return None


def loosens(
    change: Mapping[str, int | float], current: Mapping[str, int | float], schema: Mapping[str, ParameterSpec]
) -> list[str]:
    """The keys whose change takes more risk. A value that was not known before counts as loosened."""
    found = []
    for key, value in change.items():
        spec, old = schema.get(key), current.get(key)
        if spec is None or spec.loosens is Loosens.NEVER or value == old:
            continue
        if old is None or (value > old if spec.loosens is Loosens.UP else value < old):
            found.append(key)
    return found


def outcome_of(result: ParameterResult, wanted: Parameters) -> tuple[UpdateStatus, str | None, str | None]:
    """Status, error and reason. "Applied" is believed only when the engine echoes what was asked (property 12)."""
    if result.status is ResultStatus.FAILED:
        return UpdateStatus.FAILED, result.error or "error_parameter_refused", result.reason or NO_REASON
    different = [k for k, v in wanted.items() if not _same(result.parameters.get(k), v)]
    if different:
        return UpdateStatus.FAILED, MISMATCH, f"the engine runs other values of {', '.join(sorted(different))}"
    return UpdateStatus.APPLIED, None, None


def same(one: Mapping[str, int | float], other: Mapping[str, int | float]) -> bool:
    return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)


def _same(one: int | float | None, other: int | float | None) -> bool:
    return one is not None and other is not None and isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)


def _fault(value: int | float, spec: ParameterSpec) -> str | None:
    if not isfinite(value):
        return "must be a finite number"
    if spec.type == "integer" and not isinstance(value, int):
        return "must be an integer"
    if not spec.minimum <= value <= spec.maximum:
        return f"must be between {plain_number(spec.minimum)} and {plain_number(spec.maximum)}"
    steps = (value - spec.minimum) / spec.step
    return (
        None
        if isclose(steps, round(steps), abs_tol=1e-6)
        else f"must be a multiple of {plain_number(spec.step)} from the minimum"
    )


def result_of(row: VersionRow) -> UpdateResult:
    """What a person is told of a change as it is noted."""
    return _told(row, row.status, row.effective, row.applied_at, row.error, row.reason)


def result_unnoted(row: VersionRow, outcome: Outcome) -> UpdateResult:
    """The same while the database has not taken the outcome yet."""
    applied_at = outcome.at if outcome.status is UpdateStatus.APPLIED else None
    return _told(row, outcome.status, outcome.effective, applied_at, outcome.error, outcome.reason)


def _told(
    row: VersionRow,
    status: UpdateStatus,
    effective: Parameters | None,
    applied_at: datetime | None,
    error: str | None,
    reason: str | None,
) -> UpdateResult:
    return UpdateResult(
        request_id=row.request_id,
        engine_id=row.engine_id,
        strategy_id=row.strategy_id,
        status=status,
        parameters=effective if effective is not None else row.parameters,
        version=row.version,
        applied_at=applied_at,
        error=error,
        reason=reason,
    )


def _outside(field: str, words: str) -> Refusal:
    return Refusal(status=422, error="error_outside_envelope", reason=words, field=field)
