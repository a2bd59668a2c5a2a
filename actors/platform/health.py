"""The health of the platform's own process: what it uses, how late its loop runs, what is degraded. Once a second."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import psutil
import trio

from actors.collector import Tidier
from actors.fleet.fleet import FleetBoard
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.requests import GetSystemHealth
from supervisor.actor import Actor, handles
from supervisor.errors import SupervisorError
from supervisor.system import Node, System
from wire.conformance import OwnProcess, aggregate_engine_health
from wire.items import TreeRow
from wire.rest.engines import DrillStatus, SystemHealthMetrics
from wire.ui import Topic

PERIOD = 1.0
PAGE_PERIOD = 5.0
LAG_PERIOD = 0.1
LAG_WINDOW = 50
LAG_DEGRADED_MS = 1000.0
DATABASE = "database"
LOOP = "event loop"


class _Tick:
    pass


class Health(Actor):
    """``page`` finds the emergency page's address; ``usage`` gives CPU (percent of one core) and memory (percent of the
    machine's) of this process."""

    def __init__(
        self,
        board: FleetBoard,
        hub: Hub,
        degraded: DegradedParts,
        system: System,
        *,
        drill: Callable[[], DrillStatus | None] = lambda: None,
        page: Callable[[], Awaitable[str | None]] | None = None,
        usage: Callable[[], tuple[float, float]] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._board = board
        self._hub = hub
        self._degraded = degraded
        self._system = system
        self._drill = drill
        self._page = page
        self._emergency: str | None = None
        self._usage = usage or _own_usage()
        self._wall = wall
        self._lags: deque[float] = deque([0.0], maxlen=LAG_WINDOW)
        self._metrics: SystemHealthMetrics | None = None
        self._tree: dict[str, TreeRow] = {}

    async def started(self) -> None:
        self._tidier = Tidier(trio.current_time())
        self.context.spawn(self._measure_lag, name="loop lag")
        self.context.every(_Tick(), period=PERIOD, after=0.0)
        if self._page is not None:
            self.context.spawn(self._find_page, self._page, name="emergency page")

    @handles(GetSystemHealth)
    async def on_get(self, _msg: GetSystemHealth) -> SystemHealthMetrics:
        return self._metrics or self._measured()

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        lag = max(self._lags)
        if lag > LAG_DEGRADED_MS:
            self._degraded.report(LOOP, f"the event loop ran {lag:.0f} ms late")
        else:
            self._degraded.restored(LOOP)
        self._metrics = self._measured()
        self._hub.publish(Topic.SYSTEM, self._metrics, key="platform")
        self._show_tree()
        self._tidier.tidy(trio.current_time())

    def _show_tree(self) -> None:
        """Only what changed: a tree at rest costs the dashboards nothing."""
        rows = {row.name: row for row in tree_rows(self._system.tree(), self._tree)}
        for name in self._tree.keys() - rows.keys():
            self._hub.retract(Topic.TREE, name)
        for name, row in rows.items():
            if self._tree.get(name) is not row:
                self._hub.publish(Topic.TREE, row, key=name)
        self._tree = rows

    async def _measure_lag(self) -> None:
        """How late a task runs that asked to be woken: what every other task suffers too."""
        while True:
            due = trio.current_time() + LAG_PERIOD
            await trio.sleep_until(due)
            self._lags.append(max(0.0, (trio.current_time() - due) * 1000))

    async def _find_page(self, page: Callable[[], Awaitable[str | None]]) -> None:
        """It may come later than this actor, or not at all."""
        while True:
            try:
                self._emergency = await page()
            except SupervisorError:
                self._emergency = None
            await trio.sleep(PAGE_PERIOD)

    def _measured(self) -> SystemHealthMetrics:
        now = trio.current_time()
        cpu, memory = self._usage()
        own = OwnProcess(
            cpu_usage=cpu,
            memory_usage=memory,
            loop_lag_ms=round(max(self._lags), 1),
            database_up=not self._degraded.is_degraded(DATABASE),
            drill=self._drill(),
            emergency=self._emergency,
        )
        engines = [row.process(now) for row in self._board.rows.values()]
        return aggregate_engine_health(engines, own, self._degraded.parts(), self._wall())


def tree_rows(node: Node, known: Mapping[str, TreeRow]) -> list[TreeRow]:
    """The tree of actors as rows, parents first; the ``known`` row itself where nothing in it has changed."""
    rows: list[TreeRow] = []
    _add_rows(node, known, rows)
    return rows


def _add_rows(node: Node, known: Mapping[str, TreeRow], rows: list[TreeRow]) -> None:
    info, row = node.info, known.get(node.info.name)
    now = (info.kind or "starting", info.state.value, info.restarts, info.incarnation)
    if row is None or (row.kind, row.state, row.restarts, row.incarnation) != now:
        kind, state, restarts, incarnation = now
        row = TreeRow(name=info.name, kind=kind, state=state, restarts=restarts, incarnation=incarnation)
    rows.append(row)
    for child in node.children:
        _add_rows(child, known, rows)


def _own_usage() -> Callable[[], tuple[float, float]]:
    process = psutil.Process()
    process.cpu_percent(None)
    return lambda: (process.cpu_percent(None), process.memory_percent())
