"""Strategy parameters: validated against the strategy's own schema, and replaced as a whole or not at all."""

from collections.abc import Mapping

from wire.messages import ParameterSpec
from wire.sdk.errors import InvalidParameters

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
            raise InvalidParameters(f"{name} must be between {spec.minimum:g} and {spec.maximum:g}")
    return effective
