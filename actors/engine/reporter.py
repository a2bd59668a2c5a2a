"""Tells the platform, once a second, how the engine and its account are doing; only the newest value ever waits."""

from collections.abc import Iterable

import attrs
import psutil

from actors.engine.desk import Desk
from actors.engine.strategy_actor import StrategyPlan, status_report
from supervisor.actor import Actor, handles
from wire.messages import EngineStatusReport, HealthUpdate, StrategyStatusReport
from wire.sdk.halting import Halting
from wire.sdk.settings import Settings
from wire.values import EngineState, ProcessStatus

_PERIOD = 1.0


@attrs.frozen
class _Report:
    """Time to report."""


@attrs.frozen
class _StatusChanged:
    """What strategies may do may have changed."""


class Reporter(Actor):
    def __init__(self, *, desk: Desk, halting: Halting, plans: Iterable[StrategyPlan], settings: Settings) -> None:
        self._desk = desk
        self._halting = halting
        self._plans = tuple(plans)
        self._settings = settings
        self._process = psutil.Process()
        self._told: dict[str, StrategyStatusReport] = {}
        self._state: EngineState | None = None

    async def started(self) -> None:
        self._process.cpu_percent()
        me = self.context.self_ref
        self._halting.trading_changed = lambda: _tell(me.tell(_StatusChanged()))
        self.context.every(_Report(), period=_PERIOD)
        self._say(EngineState.STARTING)

    @handles(_Report)
    async def on_report(self, _report: _Report) -> None:
        desk = self._desk
        desk.outlet.send(self._health())
        desk.outlet.send(desk.positions_report())
        account = desk.account_report()
        if account is not None:
            desk.outlet.send(account)
        if desk.gate.synced:
            self._say(EngineState.RUNNING)
        self._tell_strategies()

    @handles(_StatusChanged)
    async def on_status_changed(self, _changed: _StatusChanged) -> None:
        self._tell_strategies()

    def _tell_strategies(self) -> None:
        for plan in self._plans:
            report = status_report(plan, self._desk, self._settings)
            if self._told.get(plan.id) != report:
                self._told[plan.id] = report
                self._desk.outlet.send(report)

    def _say(self, state: EngineState) -> None:
        if state is not self._state:
            self._state = state
            self._desk.outlet.send(EngineStatusReport(status=state))

    def _health(self) -> HealthUpdate:
        desk = self._desk
        active = sum(plan.id not in desk.gate.paused for plan in self._plans)
        return HealthUpdate(
            cpu_usage=round(self._process.cpu_percent(), 1),
            memory_usage=round(self._process.memory_percent(), 2),
            process_status=ProcessStatus.RUNNING if desk.gate.synced else ProcessStatus.DEGRADED,
            engine_count=1,
            active_strategies=active,
            last_update=desk.clock.wall(),
        )


def _tell(_outcome: object) -> None:
    """The next report, a second later at most, says the same."""
