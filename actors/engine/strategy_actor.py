"""One strategy as an actor: it sees every trade of its symbols, decides, and takes new parameters between two them."""

from typing import Any

import attrs

from actors.engine.desk import Desk
from actors.engine.strategy import Place, Strategy, Tick
from supervisor.actor import Actor, handles
from supervisor.message import Request
from wire.errors import InvalidField
from wire.messages import ErrorReport, ParameterResult, ParameterUpdate, StrategyStatusReport
from wire.parts import StrategyReport
from wire.sdk.errors import InvalidParameters
from wire.sdk.parameters import decided, differences
from wire.sdk.settings import Settings, Tuned
from wire.stops import Level
from wire.values import ErrorCategory, LogCategory, ResultStatus, Severity, StrategyState, TradingState


@attrs.frozen(kw_only=True)
class TickSeen:
    tick: Tick


@attrs.frozen(kw_only=True)
class ApplyParameters(Request[ParameterResult]):
    update: ParameterUpdate


@attrs.frozen(kw_only=True)
class StrategyPlan:
    """One strategy of the configuration."""

    id: str
    name: str
    strategy: Strategy[Any]
    symbols: tuple[str, ...]
    parameters: dict[str, int | float]


class StrategyActor(Actor):
    """``settings`` holds the parameters in force, so that a restarted actor goes on with them."""

    def __init__(self, *, plan: StrategyPlan, desk: Desk, settings: Settings) -> None:
        self._plan = plan
        self._desk = desk
        self._settings = settings
        self._states: dict[str, Any] = {symbol: plan.strategy.begin() for symbol in plan.symbols}

    async def started(self) -> None:
        if self.context.incarnation > 1:
            self._desk.outlet.send(
                ErrorReport(
                    code="error_strategy_crashed",
                    category=ErrorCategory.STRATEGY,
                    reason=f"strategy {self._plan.id} was restarted after a failure",
                    severity=Severity.ERROR,
                    degraded=True,
                )
            )

    @handles(TickSeen)
    async def on_tick(self, message: TickSeen) -> None:
        tick, plan, desk = message.tick, self._plan, self._desk
        standing = desk.standing(plan.id, tick.symbol)
        values = tuned(plan, self._settings).parameters
        state, decisions = plan.strategy.on_tick(self._states[tick.symbol], tick, standing, values)
        self._states[tick.symbol] = state
        for decision in decisions:
            if isinstance(decision, Place):
                desk.place(plan.id, tick.symbol, decision)
            else:
                desk.take_back(plan.id, tick.symbol, decision)

    @handles(ApplyParameters)
    async def on_parameters(self, message: ApplyParameters) -> ParameterResult:
        """All or nothing, between two ticks. The answer carries what is in force from now on, whatever happened."""
        update, plan = message.update, self._plan
        known = self._settings.answered(update.request_id)
        if known is not None:
            return known
        try:
            self._apply(update)
        except (InvalidParameters, InvalidField) as error:
            result = self._result(update, error.code, error.reason)
        else:
            result = self._result(update, None, None)
        self._settings.remember(result, self._desk.clock.wall())
        self._desk.outlet.send(result)
        self._desk.outlet.send(status_report(plan, self._desk, self._settings))
        return result

    def _apply(self, update: ParameterUpdate) -> None:
        plan, desk = self._plan, self._desk
        now = tuned(plan, self._settings)
        values = decided(update, now, plan.strategy.schema, desk.gate.register.epoch)
        self._settings.tuned[plan.id] = Tuned(parameters=values, version=update.version)
        words = differences(now.parameters, values)
        desk.log(LogCategory.STRATEGY, f"PARAMETERS {plan.id}: {words} (version {update.version})", None)

    def _result(self, update: ParameterUpdate, error: str | None, reason: str | None) -> ParameterResult:
        now = tuned(self._plan, self._settings)
        return ParameterResult(
            request_id=update.request_id,
            strategy_id=update.strategy_id,
            status=ResultStatus.APPLIED if error is None else ResultStatus.FAILED,
            parameters=dict(now.parameters),
            version=now.version,
            error=error,
            reason=reason,
        )


def tuned(plan: StrategyPlan, settings: Settings) -> Tuned:
    """The parameters in force: a person's, over the configuration's, over the strategy's own."""
    base = {**plan.strategy.defaults, **plan.parameters}
    known = settings.tuned.get(plan.id)
    if known is None:
        return Tuned(parameters=base, version=0)
    return Tuned(parameters={k: known.parameters.get(k, v) for k, v in base.items()}, version=known.version)


def trading_state(plan: StrategyPlan, desk: Desk) -> TradingState:
    """What the stops and the lease let this strategy do."""
    level = max((desk.gate.allowed_level(plan.id, symbol) for symbol in plan.symbols), default=Level.NORMAL)
    if level >= Level.HALT or desk.gate.shut_reason(desk.clock.now()) is not None:
        return TradingState.HALTED
    return TradingState.REDUCE_ONLY if level is Level.REDUCE_ONLY else TradingState.NORMAL


def strategy_state(plan: StrategyPlan, desk: Desk) -> StrategyState:
    return StrategyState.PAUSED if plan.id in desk.gate.paused else StrategyState.ACTIVE


def status_report(plan: StrategyPlan, desk: Desk, settings: Settings) -> StrategyStatusReport:
    now = tuned(plan, settings)
    return StrategyStatusReport(
        id=plan.id,
        name=plan.name,
        status=strategy_state(plan, desk),
        parameters=dict(now.parameters),
        version=now.version,
        trading_state=trading_state(plan, desk),
    )


def hello_report(plan: StrategyPlan, desk: Desk, settings: Settings) -> StrategyReport:
    now = tuned(plan, settings)
    return StrategyReport(
        id=plan.id,
        name=plan.name,
        status=strategy_state(plan, desk),
        parameters=dict(now.parameters),
        parameter_schema=dict(plan.strategy.schema),
        version=now.version,
    )
