"""Moving-average cross with a core holding: a small strategy that really trades and always says why.

While the fast average of the last trades is above the slow one it buys lot by lot up to ``maxPositionSize``; while it
is below it sells down to the core. Half of what it holds rests in the book as a take-profit order; a fall below the
stop-loss price sells everything. The size of a lot is bounded by the risk per trade, by cash and by the limit.
"""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from actors.engine.strategy import Decision, Place, Resting, Standing, Tick, Withdraw
from wire.exchange import ticks
from wire.parts import ParameterSpec
from wire.sdk.parameters import Values
from wire.stops import Level
from wire.values import Loosens, Side

IMPATIENCE = 5.0  # seconds after which an unfilled entry or exit is withdrawn


def _integer(low: int, high: int, title: str, unit: str, loosens: Loosens = Loosens.NEVER) -> ParameterSpec:
    return ParameterSpec(
        type="integer", minimum=float(low), maximum=float(high), step=1.0, unit=unit, title=title, loosens=loosens
    )


def _percent(low: float, high: float, step: float, title: str, loosens: Loosens = Loosens.NEVER) -> ParameterSpec:
    return ParameterSpec(type="number", minimum=low, maximum=high, step=step, unit="%", title=title, loosens=loosens)


SCHEMA: Mapping[str, ParameterSpec] = {
    "shortWindow": _integer(2, 100, "Fast average", "trades"),
    "longWindow": _integer(3, 500, "Slow average", "trades"),
    "takeProfitPercent": _percent(0.1, 20.0, 0.1, "Take profit"),
    "stopLossPercent": _percent(0.1, 20.0, 0.1, "Stop loss", Loosens.UP),
    "maxPositionSize": _integer(1, 100_000, "Position limit", "shares", Loosens.UP),
    "riskPerTrade": _percent(0.01, 10.0, 0.01, "Risk per trade", Loosens.UP),
    "corePercent": _percent(0.0, 100.0, 5.0, "Core holding", Loosens.UP),
    "cooldownSeconds": _integer(1, 3600, "Pause between orders", "s"),
}
DEFAULTS: Values = {
    "shortWindow": 5,
    "longWindow": 20,
    "takeProfitPercent": 1.0,
    "stopLossPercent": 2.0,
    "maxPositionSize": 20,
    "riskPerTrade": 0.5,
    "corePercent": 30.0,
    "cooldownSeconds": 4,
}


@attrs.frozen(kw_only=True)
class State:
    """Of one symbol: the last prices, newest last, and when it last decided to trade."""

    prices: tuple[int, ...] = ()
    acted_at: float = float("-inf")


class MovingAverageCross:
    schema = SCHEMA
    defaults = DEFAULTS

    def begin(self) -> State:
        return State()

    def on_tick(
        self, state: State, tick: Tick, standing: Standing, values: Values
    ) -> tuple[State, tuple[Decision, ...]]:
        keep = max(int(values["longWindow"]), int(values["shortWindow"]))
        state = attrs.evolve(state, prices=(*state.prices, tick.price)[-keep:])
        decision = self._decide(state, tick, standing, values)
        if decision is None:
            return state, ()
        if isinstance(decision, Place) and not decision.patient:
            state = attrs.evolve(state, acted_at=tick.at)
        return state, (decision,)

    def _decide(self, state: State, tick: Tick, standing: Standing, values: Values) -> Decision | None:
        """One decision per tick at most, the most urgent first."""
        stale = _stale(standing)
        if stale is not None:
            return stale
        if any(not o.working or o.cancelling for o in standing.orders):
            return None  # an answer is due: the standing is about to change
        resting = next((o for o in standing.orders if o.patient), None)
        loss = self._stop_loss(tick, standing, resting, values)
        if loss is not None:
            return loss
        if any(o is not resting for o in standing.orders):
            return None
        if tick.at - state.acted_at >= values["cooldownSeconds"]:
            trade = self._trade(state, tick, standing, resting, values)
            if trade is not None:
                return trade
        return self._take_profit(standing, resting, values)

    def _stop_loss(self, tick: Tick, standing: Standing, resting: Resting | None, values: Values) -> Decision | None:
        floor = standing.average_price * (1 - Decimal(str(values["stopLossPercent"])) / 100)
        if standing.quantity == 0 or tick.price >= floor or standing.level >= Level.HALT:
            return None
        reason = f"{tick.price:,} is more than {values['stopLossPercent']:g}% below the average {_won(standing)}"
        if resting is not None:
            return Withdraw(order_id=resting.order_id, reason=reason)
        if standing.orders:
            return None
        return Place(side=Side.SELL, quantity=standing.quantity, price=_to_sell(tick), reason=f"stop loss: {reason}")

    def _trade(
        self, state: State, tick: Tick, standing: Standing, resting: Resting | None, values: Values
    ) -> Decision | None:
        fast, slow = int(values["shortWindow"]), int(values["longWindow"])
        if fast >= slow or len(state.prices) < slow or standing.level >= Level.HALT:
            return None
        short, long = sum(state.prices[-fast:]) / fast, sum(state.prices[-slow:]) / slow
        limit = int(values["maxPositionSize"])
        lot = max(1, limit // 4)
        if short > long and standing.level is Level.NORMAL:
            size = min(lot, limit - standing.quantity, _affordable(tick, standing, values))
            words = f"average of {fast} trades {short:,.0f} above that of {slow} {long:,.0f}"
            return Place(side=Side.BUY, quantity=size, price=_to_buy(tick), reason=words) if size >= 1 else None
        if short < long:
            free = standing.quantity - (resting.remaining if resting is not None else 0)
            size = min(lot, free, standing.quantity - int(limit * values["corePercent"] / 100))
            words = f"average of {fast} trades {short:,.0f} below that of {slow} {long:,.0f}"
            return Place(side=Side.SELL, quantity=size, price=_to_sell(tick), reason=words) if size >= 1 else None
        return None

    def _take_profit(self, standing: Standing, resting: Resting | None, values: Values) -> Decision | None:
        if standing.level >= Level.HALT or standing.quantity == 0:
            return None
        target = standing.average_price * (1 + Decimal(str(values["takeProfitPercent"])) / 100)
        price = ticks.round_up(int(target) + 1)
        if resting is not None:
            if abs(resting.price - price) <= 2 * ticks.tick_size(price):
                return None
            return Withdraw(order_id=resting.order_id, reason=f"the take-profit price is now {price:,}")
        size = (standing.quantity + 1) // 2
        words = f"take profit at {values['takeProfitPercent']:g}% over the average {_won(standing)}"
        return Place(side=Side.SELL, quantity=size, price=price, reason=words, patient=True)


def _stale(standing: Standing) -> Withdraw | None:
    """An entry that did not fill, or one that a stop no longer allows to wait in the book."""
    for order in standing.orders:
        if not order.working or order.cancelling or standing.level >= Level.HALT:
            continue
        if order.side is Side.BUY and standing.level >= Level.REDUCE_ONLY:
            return Withdraw(order_id=order.order_id, reason="only reducing orders are allowed")
        if order.age > IMPATIENCE and not order.patient:
            return Withdraw(order_id=order.order_id, reason=f"not filled within {IMPATIENCE:g} s")
    return None


def _affordable(tick: Tick, standing: Standing, values: Values) -> int:
    """Shares whose loss at the stop-loss price stays within the risk per trade, and that cash pays for."""
    price = max(1, tick.ask or tick.price)
    loss_per_share = price * values["stopLossPercent"] / 100
    by_risk = int(standing.equity * values["riskPerTrade"] / 100 / loss_per_share)
    return min(by_risk, int(standing.cash * 0.95) // price)


def _to_buy(tick: Tick) -> int:
    """One tick over the best ask: it trades at once unless the price runs away."""
    return ticks.step(ticks.round_up(tick.ask or tick.price), 1)


def _to_sell(tick: Tick) -> int:
    return max(1, ticks.step(ticks.round_down(tick.bid or tick.price), -1))


def _won(standing: Standing) -> str:
    return f"{standing.average_price:,.0f}"
