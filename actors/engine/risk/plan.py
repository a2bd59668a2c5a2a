"""The table ``[risk]`` of an engine's configuration file."""

from collections.abc import Mapping
from typing import Any

import attrs

from actors.engine.risk.limits import DEFAULTS, LEVELS, NAMES, Limits, Trigger
from wire.stops import Level


@attrs.frozen(kw_only=True)
class RiskPlan:
    """What the engine's own file says. ``levels``: what each trigger does; NORMAL is nothing at all."""

    limits: Limits = DEFAULTS
    levels: Mapping[Trigger, Level] = LEVELS


def read_plan(table: Any) -> RiskPlan:
    """Raises ValueError with one clear line. A trigger's level may be "off"."""
    if table is None:
        return RiskPlan()
    if not isinstance(table, dict):
        raise ValueError("must be a table")
    levels = table.get("levels", {})
    if not isinstance(levels, dict):
        raise ValueError("levels must be a table")
    unknown = [*(table.keys() - {*NAMES, "levels"}), *(f"levels.{name}" for name in levels.keys() - {*Trigger})]
    if unknown:
        raise ValueError(f"has an unknown {sorted(unknown)[0]}")
    limits = attrs.evolve(DEFAULTS, **{name: _limit(name, table[name]) for name in NAMES if name in table})
    return RiskPlan(limits=limits, levels={**LEVELS, **{Trigger(n): _level(n, v) for n, v in levels.items()}})


def _limit(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} must be a whole number, at least 0")
    return value


def _level(name: str, value: Any) -> Level:
    if value == "off":
        return Level.NORMAL
    allowed = [level.value for level in Level if level is not Level.NORMAL]
    if value not in allowed:
        raise ValueError(f"levels.{name} must be one of off, {', '.join(allowed)}")
    return Level(value)
