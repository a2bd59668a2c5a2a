"""How much risk this engine may take: its own file's limits and the platform's, the tighter of the two.

All money is whole won. None is no limit; 0 is the strictest limit there is, not "off".

    max_daily_loss            loss of the trading day: the worse of what was realised and the fall of equity since the
                              previous close; beyond it the engine halts
    emergency_stop_loss       the same loss, at which it also closes its positions
    max_drawdown              fall of equity from its highest value of the day
    max_position_size         market value of one symbol, all strategies together, with what is being bought
    max_concurrent_positions  symbols held or being bought
    max_orders_per_minute     new orders written within 60 s
    max_rejects_per_minute    orders the broker refused within 60 s, those because the market was closed not counted
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from wire.sdk.errors import ConfigurationError
from wire.stops import Level

PLATFORM = ("max_daily_loss", "max_position_size", "max_concurrent_positions", "emergency_stop_loss")
"""The limits that a user's settings hold; the others are the engine's own."""


@attrs.frozen(kw_only=True)
class Limits:
    max_daily_loss: int | None = None
    emergency_stop_loss: int | None = None
    max_drawdown: int | None = None
    max_position_size: int | None = None
    max_concurrent_positions: int | None = None
    max_orders_per_minute: int | None = None
    max_rejects_per_minute: int | None = None

    def tighter(self, other: "Limits") -> "Limits":
        """Of each limit the smaller one."""
        mine, theirs = attrs.asdict(self), attrs.asdict(other)
        both = {name: [v for v in (mine[name], theirs[name]) if v is not None] for name in mine}
        return Limits(**{name: min(values) if values else None for name, values in both.items()})

    def words(self) -> str:
        """For a person."""
        set_ones = {name: value for name, value in attrs.asdict(self).items() if value is not None}
        return ", ".join(f"{name} {value:,}" for name, value in set_ones.items()) or "none"


NAMES = tuple(field.name for field in attrs.fields(Limits))
DEFAULTS = Limits(max_orders_per_minute=600, max_rejects_per_minute=20)


def from_platform(plain: Mapping[str, Any]) -> Limits:
    """The limits of an engine's configuration as the platform gives them.

    Raises ConfigurationError naming the limit that is not a whole number of at least 0: what cannot be understood must
    not count as no limit.
    """
    for name in PLATFORM:
        value = plain.get(name)
        if type(value) is not int or value < 0:
            raise ConfigurationError(f"the platform's risk limit {name} must be a whole number, at least 0")
    return Limits(**{name: plain[name] for name in PLATFORM})


class Trigger(StrEnum):
    """What makes the engine stop itself."""

    DAILY_LOSS = "daily_loss"
    EMERGENCY_LOSS = "emergency_loss"
    DRAWDOWN = "drawdown"
    ORDER_RATE = "order_rate"
    REJECT_STORM = "reject_storm"
    POSITION_MISMATCH = "position_mismatch"


LEVELS: Mapping[Trigger, Level] = {
    Trigger.DAILY_LOSS: Level.HALT,
    Trigger.EMERGENCY_LOSS: Level.FLATTEN,
    Trigger.DRAWDOWN: Level.HALT,
    Trigger.ORDER_RATE: Level.HALT,
    Trigger.REJECT_STORM: Level.HALT,
    Trigger.POSITION_MISMATCH: Level.HALT,
}
"""What each trigger does unless the engine's file says otherwise. HALT keeps positions: closing them is a person's
decision, but for the loss that was named an emergency in advance."""
