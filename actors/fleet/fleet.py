"""Every known engine on one board: what it said last, how old that is, and which stops hold it.

Links tell this actor what they hear. Every change is published in the handler that learns of it (property 16); what
changes by itself, because time passes, is found twice a second.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import cast

import attrs
import trio

from actors.fleet.commands import ANSWER_SECONDS, command, refuse_command, result
from actors.fleet.preview import preview_of, previewed, unheard
from actors.fleet.row import EngineRow
from actors.links.messages import CloseNow, DeliverCommand, TellConfig
from actors.live.hub import Hub
from actors.requests import (
    COORDINATOR,
    CheckCommand,
    CommandStrategy,
    ConfigurationChanged,
    EngineEnrolled,
    EngineRemoved,
    ListEngines,
    ListHealth,
    Refusal,
)
from actors.stops.effects import RaiseAlert
from actors.stops.parts import Instant
from actors.stops.shelf import StopShelf
from supervisor.actor import Actor, Reply, handles
from supervisor.errors import SupervisorError
from supervisor.message import DEFERRED
from supervisor.ref import Ref
from wire.closing import CloseCode
from wire.messages import (
    Account,
    EngineStatusReport,
    HealthUpdate,
    Heartbeat,
    Hello,
    ParameterResult,
    Positions,
    StrategyCommand,
    StrategyStatusReport,
)
from wire.rest.engines import Connection, EngineHealthDetail, EngineStatus, StrategyStatus
from wire.rest.stops import PreviewAnswer
from wire.rest.strategies import StrategyCommandResult
from wire.skew import WARNING_MS
from wire.stops import Scope
from wire.ui import Topic

TICK_SECONDS = 0.5
SHOWN_AT_ONCE = 25
SHOW_SECONDS = 0.01
"""A change that concerns a whole fleet is shown so many engines at a time: the stop that caused it is on its way."""
PASS_ON_SECONDS = 2.0


# --- what links tell --------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class EngineGreeted:
    engine_id: str
    hello: Hello


@attrs.frozen(kw_only=True)
class EngineLost:
    """``goodbye``: it said that it stops."""

    engine_id: str
    goodbye: bool


@attrs.frozen(kw_only=True)
class EngineBeat:
    """``sent_at`` is the engine's own wall clock; ``lease_ms`` what the answer granted."""

    engine_id: str
    heartbeat: Heartbeat
    sent_at: datetime
    lease_ms: int


Report = EngineStatusReport | StrategyStatusReport | ParameterResult | HealthUpdate | Positions | Account


@attrs.frozen(kw_only=True)
class EngineReported:
    engine_id: str
    report: Report


@attrs.frozen(kw_only=True)
class EngineHeard:
    """Any valid message: the engine is alive."""

    engine_id: str


@attrs.frozen(kw_only=True)
class StopsChanged:
    """The stops that hold these engines are other ones now."""

    engine_ids: frozenset[str]


class _Tick:
    pass


class FleetBoard:
    """The rows, readable by everybody at any moment; only the actor below changes them."""

    def __init__(self, shelf: StopShelf) -> None:
        self.rows: dict[str, EngineRow] = {}
        self._shelf = shelf

    def synced(self, engine_id: str) -> bool | None:
        """Whether the engine's books agree with its broker; None: not connected, or it never said."""
        row = self.rows.get(engine_id)
        return row.synced if row is not None else None

    def versions(self, engine_id: str) -> Mapping[str, int]:
        """Of the parameters in force, by strategy."""
        row = self.rows.get(engine_id)
        return {s.report.id: s.report.version for s in row.strategies.values()} if row is not None else {}

    def add(self, engine_id: str, name: str, account_id: str) -> EngineRow:
        row = self.rows.get(engine_id)
        if row is None:
            row = self.rows[engine_id] = EngineRow(engine_id=engine_id, name=name, account_id=account_id)
        row.name, row.account_id = name, account_id
        return row

    def status(self, row: EngineRow, now: float) -> EngineStatus:
        register = self._shelf.book.register
        stops = self._shelf.book.open_stops_of(row.engine_id)
        level = register.engine_level(row.engine_id, row.account_id)
        return row.status_view(now, level, stops, self.strategies(row))

    def strategies(self, row: EngineRow) -> list[StrategyStatus]:
        return [row.strategy_view(s) for s in row.strategies.values()]


class Fleet(Actor):
    def __init__(
        self,
        board: FleetBoard,
        hub: Hub,
        shelf: StopShelf,
        *,
        config_changed: Callable[[], object] = lambda: None,
        alert: Callable[[RaiseAlert], object] = lambda _: None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._board = board
        self._hub = hub
        self._shelf = shelf
        self._config_changed = config_changed
        self._alert = alert
        self._wall = wall
        self._shown: dict[str, tuple[Connection, bool]] = {}
        self._steady: dict[str, float] = {}
        self._stale: dict[str, None] = {}
        self._stale_bell = trio.Event()

    async def started(self) -> None:
        self.context.every(_Tick(), period=TICK_SECONDS)
        self.context.spawn(self._show_stale, name="stops")
        for row in self._board.rows.values():
            self._publish(row)

    # --- who there is ---

    @handles(EngineEnrolled)
    async def on_enrolled(self, msg: EngineEnrolled) -> None:
        """Known everywhere when this is answered: a stop may name it from then on."""
        self._publish(self._board.add(msg.engine_id, msg.name, msg.account_id))
        self.context.spawn(self._pass_on, msg, self.context.defer(), name="enrolled")
        return cast("None", DEFERRED)

    @handles(EngineRemoved)
    async def on_removed(self, msg: EngineRemoved) -> None:
        """Its link is closed (4511) before this is answered."""
        link = self._shelf.links.get(msg.engine_id)
        self._forget(msg)
        self.context.spawn(self._pass_on, msg, self.context.defer(), link, name="removed")
        return cast("None", DEFERRED)

    async def _pass_on(self, msg: EngineEnrolled | EngineRemoved, reply: Reply, link: Ref | None = None) -> None:
        try:
            if link is not None:
                code = CloseCode.DEREGISTERED
                await link.ask(CloseNow(code=code, reason=code.reason), timeout=PASS_ON_SECONDS, urgent=True)
            await self.context.find(COORDINATOR).ask(msg, timeout=PASS_ON_SECONDS)
        except SupervisorError as error:
            self.context.log.warning("%s was not passed on: %s", type(msg).__name__, error)
        reply.send(None)

    @handles(ConfigurationChanged)
    async def on_config(self, msg: ConfigurationChanged) -> None:
        self._config_changed()
        for link in self._shelf.links.values():
            link.tell(TellConfig(config_version=msg.config_version))

    def _forget(self, msg: EngineRemoved) -> None:
        row = self._board.rows.pop(msg.engine_id, None)
        self._steady.pop(msg.engine_id, None)
        if row is None:
            return
        for topic in (Topic.ENGINES, Topic.HEALTH, Topic.ACCOUNTS, Topic.POSITIONS):
            self._hub.retract(topic, msg.engine_id)
        for strategy_id in row.strategies:
            self._hub.retract(Topic.STRATEGIES, f"{msg.engine_id}/{strategy_id}")

    # --- what is heard ---

    @handles(EngineGreeted)
    async def on_greeted(self, msg: EngineGreeted) -> None:
        row = self._board.rows.get(msg.engine_id) or self._board.add(msg.engine_id, msg.hello.name, "unknown")
        row.hello(msg.hello, self._now())
        self._publish(row)

    @handles(EngineLost)
    async def on_lost(self, msg: EngineLost) -> None:
        if (row := self._board.rows.get(msg.engine_id)) is not None:
            row.lost(msg.goodbye)
            self._publish(row)

    @handles(EngineBeat)
    async def on_beat(self, msg: EngineBeat) -> None:
        if (row := self._board.rows.get(msg.engine_id)) is not None:
            row.beaten(msg.heartbeat, msg.sent_at, msg.lease_ms / 1000, self._now())
            if row.skew_noticed():
                self._alert(_clock_skew(msg.engine_id))
            self._publish(row)

    @handles(EngineHeard)
    async def on_heard(self, msg: EngineHeard) -> None:
        if (row := self._board.rows.get(msg.engine_id)) is not None:
            row.heard = self._now()

    @handles(EngineReported)
    async def on_reported(self, msg: EngineReported) -> None:
        row = self._board.rows.get(msg.engine_id)
        if row is None:
            return
        row.heard = self._now()
        match msg.report:
            case EngineStatusReport(status=status):
                row.status = status
            case StrategyStatusReport() as status if status.id in row.strategies:
                row.strategies[status.id].take(status)
            case ParameterResult() as result if result.parameters and result.strategy_id in row.strategies:
                row.strategies[result.strategy_id].echoed(result)
            case HealthUpdate() as health:
                row.health = health
                self._hub.publish(Topic.HEALTH, row.health_view(row.heard.mono), key=row.engine_id)
                return
            case Positions() as positions:
                row.positions, row.positions_at = positions, row.heard
                self._hub.publish_from(Topic.POSITIONS, row.engine_id, positions, key=row.engine_id)
            case Account() as account:
                row.account = account
                self._hub.publish_from(Topic.ACCOUNTS, row.engine_id, account, key=row.engine_id)
        self._publish(row)

    @handles(StopsChanged)
    async def on_stops(self, msg: StopsChanged) -> None:
        self._stale.update(dict.fromkeys(msg.engine_ids))
        self._show_some()
        self._stale_bell.set()

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        """What silence changed: connected → suspect → offline, and a lease that is surely over."""
        now = trio.current_time()
        for engine_id, row in self._board.rows.items():
            if now < self._steady.get(engine_id, now):
                continue
            if self._shown.get(engine_id) != (row.connection(now), row.halted_by_lease(now)):
                self._publish(row)
            else:
                self._steady[engine_id] = row.steady_until(now)

    # --- what is asked ---

    @handles(ListEngines)
    async def on_list(self, _msg: ListEngines) -> list[EngineStatus]:
        now = trio.current_time()
        return [self._board.status(row, now) for row in self._board.rows.values()]

    @handles(ListHealth)
    async def on_health(self, _msg: ListHealth) -> list[EngineHealthDetail]:
        now = trio.current_time()
        return [row.health_view(now) for row in self._board.rows.values()]

    # --- one strategy is paused or resumed ---

    @handles(CheckCommand)
    async def on_check_command(self, msg: CheckCommand) -> Refusal | None:
        return self._refuse(msg)

    @handles(CommandStrategy)
    async def on_command(self, msg: CommandStrategy) -> StrategyCommandResult | Refusal:
        """Checked again, in the step in which it is sent."""
        refusal = self._refuse(msg)
        if refusal is not None:
            return refusal
        link = self._shelf.links[msg.engine_id]
        ready = command(msg, self._shelf.book.register.epoch)
        self.context.spawn(self._command, msg, ready, link, self.context.defer(), name="command")
        return cast("StrategyCommandResult", DEFERRED)

    def _refuse(self, msg: CommandStrategy | CheckCommand) -> Refusal | None:
        row, linked = self._board.rows.get(msg.engine_id), msg.engine_id in self._shelf.links
        return refuse_command(row, msg, linked=linked, stops=self._stops_of(msg.engine_id, msg.strategy_id))

    def _stops_of(self, engine_id: str, strategy_id: str) -> list[str]:
        account = self._shelf.book.roster.account(engine_id)
        open_stops = self._shelf.book.register.open_stops()
        return [i for i, entry in open_stops if entry.scope.covers(engine_id, account, strategy_id, "")]

    async def _command(self, msg: CommandStrategy, ready: StrategyCommand, link: Ref, reply: Reply) -> None:
        deliver = DeliverCommand(command=ready, expires_at=trio.current_time() + ANSWER_SECONDS)
        answer = None
        try:
            answer = await link.ask(deliver, timeout=ANSWER_SECONDS)
        except SupervisorError as error:
            self.context.log.info("no answer to a strategy command from %s: %s", msg.engine_id, type(error).__name__)
        reply.send(result(msg, answer))

    # --- showing ---

    async def _show_stale(self) -> None:
        """Runs for ever: what the handler left, and what changed meanwhile, in slices."""
        while True:
            if not self._stale:
                self._stale_bell = trio.Event()
                await self._stale_bell.wait()
            await trio.sleep(SHOW_SECONDS)
            self._show_some()

    def _show_some(self) -> None:
        for engine_id in list(islice(self._stale, SHOWN_AT_ONCE)):
            del self._stale[engine_id]
            if (row := self._board.rows.get(engine_id)) is not None:
                self._publish(row)

    def _publish(self, row: EngineRow) -> None:
        self._stale.pop(row.engine_id, None)
        now = trio.current_time()
        status = self._board.status(row, now)
        self._shown[row.engine_id] = (status.connection, status.halted_by_lease)
        self._steady[row.engine_id] = row.steady_until(now)
        self._hub.publish(Topic.ENGINES, status, key=row.engine_id)
        self._hub.publish(Topic.HEALTH, row.health_view(now), key=row.engine_id)
        for strategy in status.strategies:
            self._hub.publish(Topic.STRATEGIES, strategy, key=f"{row.engine_id}/{strategy.id}")

    def _now(self) -> Instant:
        return Instant(trio.current_time(), self._wall())


def _clock_skew(engine_id: str) -> RaiseAlert:
    return RaiseAlert(
        code="error_clock_skew",
        severity="warning",
        reason=f"the engine's clock is more than {WARNING_MS} ms off the platform's: its times cannot be trusted",
        engine_id=engine_id,
    )


def preview_stop(board: FleetBoard, shelf: StopShelf, scope: Scope, now: float) -> PreviewAnswer | Refusal:
    """What a stop of this scope would meet: every engine it concerns, known here or not."""
    refusal = shelf.book.roster.refuse_unknown(scope)
    if refusal is not None:
        return refusal
    rows = ((e, board.rows.get(e)) for e in shelf.book.matched(scope))
    return preview_of([previewed(row, scope, now) if row is not None else unheard(e) for e, row in rows])
