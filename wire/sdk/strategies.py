"""The strategies of an engine: their parameters in force, and the platform's wish to change them while they trade."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from wire.codec import unstructure
from wire.errors import WireError
from wire.messages import ParameterResult, ParameterUpdate, StrategyStatusReport, TradeLog
from wire.parts import ParameterSpec, StrategyReport
from wire.sdk.clock import Clock
from wire.sdk.conversation import Done, refusal
from wire.sdk.errors import ConfigurationError, EngineError, InvalidParameters
from wire.sdk.gate import Gate
from wire.sdk.keeper import Keeper
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.parameters import Values, decided, differences, validated
from wire.sdk.settings import Settings, Tuned
from wire.sdk.speech import checked
from wire.sdk.work import Job, Lane, Outcome
from wire.stops import Level
from wire.values import LogCategory, ResultStatus, StrategyState, TradingState

APPLY_TIMEOUT = 5.0

Apply = Callable[[dict[str, int | float]], Any]
"""Takes the whole set of new values; returns what is in force now (None: exactly these), or raises and nothing
changed."""


@attrs.frozen(kw_only=True)
class Plan:
    """One strategy. ``symbols`` empty: not told, then a stop of a single symbol does not show on it."""

    id: str
    name: str
    schema: Mapping[str, ParameterSpec]
    parameters: Values
    symbols: tuple[str, ...] = ()
    apply: Apply | None = None


class Strategies(Lane):
    """Updates are applied one after another, each answered exactly once, also over a restart."""

    def __init__(self, *, gate: Gate, outlet: Outlet, clock: Clock, settings: Settings, keeper: Keeper) -> None:
        super().__init__()
        self._gate = gate
        self._outlet = outlet
        self._clock = clock
        self._settings = settings
        self._keeper = keeper
        self._plans: dict[str, Plan] = {}
        self._waiting: deque[tuple[ParameterUpdate, Done]] = deque()
        self._told: dict[str, StrategyStatusReport] = {}

    def add(self, plan: Plan) -> None:
        """Raises InvalidField or InvalidParameters for a plan that the platform could not read, ConfigurationError for
        an id that is taken."""
        checked(
            StrategyReport,
            id=plan.id,
            name=plan.name,
            status=StrategyState.ACTIVE,
            parameters=dict(plan.parameters),
            parameter_schema={k: unstructure(s) for k, s in plan.schema.items()},
            version=0,
        )
        if set(plan.schema) != set(plan.parameters):
            raise InvalidParameters(f"strategy {plan.id}: every parameter needs a value and a schema")
        validated(plan.schema, plan.parameters, plan.parameters)
        if plan.id in self._plans:
            raise ConfigurationError(f"strategy {plan.id} is there already")
        self._plans[plan.id] = plan

    @property
    def ids(self) -> list[str]:
        return list(self._plans)

    @property
    def active(self) -> int:
        return sum(i not in self._gate.paused for i in self._plans)

    def in_force(self, strategy_id: str) -> Tuned:
        """A person's values over the engine's own. KeyError for a strategy that is not there."""
        plan, known = self._plans[strategy_id], self._settings.tuned.get(strategy_id)
        if known is None:
            return Tuned(parameters=dict(plan.parameters), version=0)
        values = {k: known.parameters.get(k, v) for k, v in plan.parameters.items()}
        return Tuned(parameters=values, version=known.version)

    # --- what the platform wants ---

    def update(self, update: ParameterUpdate, done: Done) -> None:
        self._waiting.append((update, done))
        self.wake()

    def next(self, now: float) -> Job | None:
        while self._waiting:
            update, done = self._waiting.popleft()
            job = self._begin(update, done)
            if job is not None:
                return job
            done()
        return None

    def _begin(self, update: ParameterUpdate, done: Done) -> Job | None:
        """None when the update is answered already."""
        plan = self._plans.get(update.strategy_id)
        if plan is None:
            self._outlet.send(refusal(update, "error_unknown_strategy", "this engine has no such strategy"))
            return None
        if self._settings.answered(update.request_id) is not None:
            return None
        try:
            values = decided(update, self.in_force(plan.id), plan.schema, self._gate.register.epoch)
        except EngineError as error:
            self._answer(update, error.code, error.reason)
            return None
        if plan.apply is None:
            self._take(plan, update, values)
            return None
        return Job(
            work=partial(plan.apply, dict(values)),
            then=partial(self._applied, plan, update, values, done),
            timeout=APPLY_TIMEOUT,
            handler=True,
        )

    def _applied(
        self,
        plan: Plan,
        update: ParameterUpdate,
        values: dict[str, int | float],
        done: Done,
        outcome: Outcome,
        _: float,
    ) -> None:
        error = outcome.error
        try:
            if isinstance(error, EngineError | WireError):
                self._answer(update, error.code, error.reason)
            elif isinstance(error, TimeoutError):
                self._answer(update, "error_strategy_busy", "the strategy did not answer in time")
            elif error is not None:
                self._answer(update, "error_strategy_refused", f"the strategy refused: {type(error).__name__}")
            else:
                effective = values if outcome.value is None else dict(outcome.value)
                self._take(plan, update, validated(plan.schema, effective, effective))
        except (EngineError, TypeError, ValueError, KeyError):
            self._answer(update, "error_invalid_parameters", "the strategy did not return its parameters")
        done()

    def _take(self, plan: Plan, update: ParameterUpdate, values: dict[str, int | float]) -> None:
        before = self.in_force(plan.id).parameters
        self._settings.tuned[plan.id] = Tuned(parameters=values, version=update.version)
        words = f"PARAMETERS {plan.id}: {differences(before, values)} (version {update.version})"
        self._outlet.send(
            TradeLog(
                id=new_id(), category=LogCategory.STRATEGY, message=words[:2000], timestamp=self._clock.wall(),
                strategy_id=plan.id,
            )
        )  # fmt: skip
        self._answer(update, None, None)

    def _answer(self, update: ParameterUpdate, code: str | None, reason: str | None) -> None:
        """The answer carries what is in force from now on, whatever happened."""
        now = self.in_force(update.strategy_id)
        result = ParameterResult(
            request_id=update.request_id,
            strategy_id=update.strategy_id,
            status=ResultStatus.APPLIED if code is None else ResultStatus.FAILED,
            parameters=dict(now.parameters),
            version=now.version,
            error=code,
            reason=reason if reason is None else reason[:2000],
        )
        self._settings.remember(result, self._clock.wall())
        self._keeper.changed()
        self._outlet.send(result)
        self.report()

    # --- what the platform is told ---

    def report(self) -> None:
        """Every strategy whose state is not as it was last told."""
        for plan in self._plans.values():
            status = self._status(plan)
            if self._told.get(plan.id) != status:
                self._told[plan.id] = status
                self._outlet.send(status)

    def for_hello(self) -> list[StrategyReport]:
        return [self._hello(p) for p in self._plans.values()]

    def _hello(self, plan: Plan) -> StrategyReport:
        now = self.in_force(plan.id)
        return StrategyReport(
            id=plan.id,
            name=plan.name,
            status=self._state(plan),
            parameters=dict(now.parameters),
            parameter_schema=dict(plan.schema),
            version=now.version,
        )

    def _status(self, plan: Plan) -> StrategyStatusReport:
        now = self.in_force(plan.id)
        return StrategyStatusReport(
            id=plan.id,
            name=plan.name,
            status=self._state(plan),
            parameters=dict(now.parameters),
            version=now.version,
            trading_state=self._trading(plan),
        )

    def _state(self, plan: Plan) -> StrategyState:
        return StrategyState.PAUSED if plan.id in self._gate.paused else StrategyState.ACTIVE

    def _trading(self, plan: Plan) -> TradingState:
        level = max((self._gate.level_for(plan.id, s) for s in plan.symbols or ("",)), default=Level.NORMAL)
        if level >= Level.HALT or self._gate.shut_reason(self._clock.now()) is not None:
            return TradingState.HALTED
        return TradingState.REDUCE_ONLY if level is Level.REDUCE_ONLY else TradingState.NORMAL
