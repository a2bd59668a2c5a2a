"""What an order may not exceed, judged before it leaves. A sale only ever reduces, so no limit forbids it."""

from collections.abc import Mapping

import attrs

from actors.engine.risk.limits import Limits
from wire.sdk.errors import GateClosed
from wire.values import Side

SAY_AGAIN_AFTER = 60.0  # seconds before the same refusal is told again


class RiskRefused(GateClosed):
    """A limit forbids the order. ``code`` names the limit."""

    code = "error_risk_limit"


@attrs.frozen(kw_only=True)
class Wanted:
    """An order to judge. ``price``: its own, or what it would trade at now; 0 when nobody knows."""

    symbol: str
    side: Side
    quantity: int
    price: int


def check(wanted: Wanted, limits: Limits, *, held: Mapping[str, int], buying: Mapping[str, int]) -> None:
    """Raises RiskRefused. ``held`` and ``buying``: shares by symbol, held and in other orders that may still buy."""
    if wanted.side is Side.SELL:
        return
    _check_size(wanted, limits.max_position_size, held, buying)
    busy = {s for s, q in held.items() if q} | {s for s, q in buying.items() if q} | {wanted.symbol}
    most = limits.max_concurrent_positions
    if most is not None and len(busy) > most:
        raise RiskRefused(f"{len(busy)} positions would be more than {most}", code="error_risk_concurrent_positions")


def _check_size(wanted: Wanted, limit: int | None, held: Mapping[str, int], buying: Mapping[str, int]) -> None:
    if limit is None:
        return
    if not wanted.price:
        raise RiskRefused("without a price its size cannot be judged", code="error_risk_no_price")
    shares = held.get(wanted.symbol, 0) + buying.get(wanted.symbol, 0) + wanted.quantity
    if shares * wanted.price > limit:
        size = f"{shares:,} shares at {wanted.price:,} would be {shares * wanted.price:,} won, the limit is {limit:,}"
        raise RiskRefused(size, code="error_risk_position_size")


class Refusals:
    """Which refusals were told lately: a strategy that tries with every tick is told of once a minute."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}

    def is_news(self, code: str, symbol: str, now: float) -> bool:
        last = self._told.get((code, symbol))
        if last is not None and now - last < SAY_AGAIN_AFTER:
            return False
        self._told[code, symbol] = now
        return True
