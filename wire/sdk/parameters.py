"""Strategy parameters: validated against the strategy's own schema, and replaced as a whole or not at all."""

from collections.abc import Mapping

from wire.messages import ParameterUpdate
from wire.parts import ParameterSpec
from wire.schema import plain_number
from wire.sdk.errors import InvalidParameters
from wire.sdk.settings import Tuned

Values = Mapping[str, int | float]


def validated(schema: Mapping[str, ParameterSpec], current: Values, changes: Values) -> dict[str, int | float]:
    """``current`` with ``changes``, complete and in range. Raises InvalidParameters naming the parameter."""
    effective = {**current, **changes}
    for name in changes:
        if name not in schema:
            raise InvalidParameters(f"{name} is not a parameter of this strategy", code="error_unknown_parameter")
    for name, spec in schema.items():
        value = effective[name]
        if isinstance(value, bool) or (spec.type == "integer" and not isinstance(value, int)):
            raise InvalidParameters(f"{name} must be a whole number")
        if not spec.minimum <= value <= spec.maximum:
            raise InvalidParameters(
                f"{name} must be between {plain_number(spec.minimum)} and {plain_number(spec.maximum)}"
            )
    return effective


def decided(
    update: ParameterUpdate, now: Tuned, schema: Mapping[str, ParameterSpec], epoch: int
) -> dict[str, int | float]:
    """What an update makes of the parameters in force. ``epoch``: the engine's newest stop or release.

    Raises InvalidParameters for what is decided without knowing of a stop, replaced already, or out of range.
    """
    if update.stop_epoch < epoch:
        raise InvalidParameters("a stop came after this change was decided", code="error_stale_epoch")
    if update.base_version != now.version and update.version <= now.version:
        raise InvalidParameters(f"version {now.version} is in force already", code="error_stale_version")
    return validated(schema, now.parameters, update.parameters)


def differences(before: Values, after: Values) -> str:
    """What changed, in words for the story."""
    changes = {k: v for k, v in after.items() if before.get(k) != v}
    return ", ".join(f"{k} {before.get(k)} -> {v}" for k, v in changes.items()) or "nothing changed"
