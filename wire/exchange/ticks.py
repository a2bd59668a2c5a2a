"""The price grid of Korean stocks: tick sizes and daily price limits. Prices are whole won.

Source: the single KOSPI/KOSDAQ/KONEX table in force since 2023-01-25, and the ±30 % limits since 2015-06-15.
"""

import attrs

# Prices below the first number have the second number as their tick.
TICK_TABLE = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))
TICK_ABOVE = 1_000
LIMIT_PERCENT = 30


@attrs.frozen(kw_only=True)
class PriceLimits:
    """The lowest and the highest price (won, both on the grid, both allowed) of one trading day."""

    lower: int
    upper: int

    def allow(self, price: int) -> bool:
        return self.lower <= price <= self.upper


def tick_size(price: int) -> int:
    """The tick (won) of a stock at ``price`` (won, at least 1). ValueError for a price below 1."""
    if price < 1:
        raise ValueError("a price is at least 1 won")
    for below, tick in TICK_TABLE:
        if price < below:
            return tick
    return TICK_ABOVE


def on_grid(price: int) -> bool:
    """Whether an order may carry this price."""
    return price >= 1 and price % tick_size(price) == 0


def round_down(price: int) -> int:
    """The highest valid price that is not above ``price``."""
    return price - price % tick_size(price)


def round_up(price: int) -> int:
    """The lowest valid price that is not below ``price``."""
    return price + -price % tick_size(price)


def round_nearest(price: int) -> int:
    """The closest valid price; the lower one when two are equally close."""
    below, above = round_down(price), round_up(price)
    return below if price - below <= above - price else above


def step(price: int, ticks: int) -> int:
    """The valid price ``ticks`` above (or below, when negative) a valid price; never under 1 won.

    Band edges are respected: one tick below 50,000 is 49,950, one above is 50,100.
    """
    for _ in range(abs(ticks)):
        if ticks > 0:
            price += tick_size(price)
        elif price > 1:
            price -= tick_size(price - 1)
    return price


def price_limits(reference: int, percent: int = LIMIT_PERCENT) -> PriceLimits:
    """The limits around a reference price (normally the previous close).

    The width is cut to the reference's own tick (121,700 → 85,200 and 158,200, as in the broker's example); where the
    limit then lies in another tick band it is rounded inward, since no source gives the exact rule.
    """
    width = reference * percent // 100
    width -= width % tick_size(reference)
    return PriceLimits(lower=round_up(max(1, reference - width)), upper=round_down(reference + width))
