"""What a number in a specification must be. Values come from configuration, so their declared type proves nothing."""

import math

__all__ = ["is_count", "is_finite", "is_number", "is_text"]


def is_number(value: object) -> bool:
    """An int or float that is not NaN and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and is_number(value) and math.isfinite(value)


def is_count(value: object, *, least: int) -> bool:
    """A whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
