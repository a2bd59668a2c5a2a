"""What the platform knows of one engine, and how old that knowledge is. Pure: the moment is passed in.

Absence is never normal: an engine that is silent becomes suspect, then offline, keeps its last numbers with their age,
and stays on the screen for as long as it is enrolled.
"""

from collections import deque
from datetime import datetime, timedelta

import attrs

from actors.stops.parts import Instant
from wire.messages import Account, HealthUpdate, Heartbeat, Hello, ParameterResult, Positions, StrategyStatusReport
from wire.parts import StrategyReport
from wire.rest.engines import Connection, EngineHealthDetail, EngineStatus, HealthClocks, OpenStop, StrategyStatus
from wire.schema import changed
from wire.skew import EXCHANGES, WARNING_MS
from wire.stops import Level
from wire.values import BrokerToken, EngineState, LatchState, StrategyState, TradingMode, TradingState
from wire.vocabulary import EngineProcess

SUSPECT_SECONDS = 7.5
OFFLINE_SECONDS = 15.0
LEASE_TOLERANCE = 1.02
"""The engine's clock may run slower than ours: its lease counts as expired only after 2 % more."""
NONE = frozenset[str]()


@attrs.define(kw_only=True)
class StrategyRow:
    report: StrategyReport
    trading_state: TradingState | None = None

    def take(self, status: StrategyStatusReport) -> None:
        self.report = changed(
            self.report,
            name=status.name,
            status=status.status,
            parameters=status.parameters,
            version=status.version,
        )
        self.trading_state = status.trading_state

    def echoed(self, result: ParameterResult) -> None:
        """The parameters that are in force after a change, in the engine's own words."""
        self.report = changed(self.report, parameters=result.parameters, version=result.version)


@attrs.define(kw_only=True)
class EngineRow:
    """``seen_before``: it connected to an earlier platform. ``linked``: a connection is open. ``granted``: when the
    last lease was given, and for how long (seconds)."""

    engine_id: str
    name: str
    account_id: str
    seen_before: bool = False
    linked: bool = False
    said_goodbye: bool = False
    heard: Instant | None = None
    beat: Instant | None = None
    instance: str | None = None
    version: str | None = None
    mode: TradingMode | None = None
    capabilities: frozenset[str] = NONE
    status: EngineState | None = None
    synced: bool | None = None
    granted: tuple[Instant, float] | None = None
    heartbeat: Heartbeat | None = None
    health: HealthUpdate | None = None
    positions: Positions | None = None
    positions_at: Instant | None = None
    account: Account | None = None
    strategies: dict[str, StrategyRow] = attrs.field(factory=dict)
    latch: LatchState | None = None
    skews: deque[float] = attrs.field(factory=lambda: deque(maxlen=EXCHANGES))
    skewed: bool = False

    # --- what is heard ---

    def hello(self, hello: Hello, now: Instant) -> None:
        self.linked, self.said_goodbye, self.heard = True, False, now
        if self.instance != hello.instance:
            self.skews.clear()
        self.instance, self.version, self.mode, self.latch = (
            hello.instance,
            hello.version,
            hello.trading_mode,
            hello.latch,
        )
        self.capabilities = frozenset(hello.capabilities) or NONE
        self.synced = None
        known = self.strategies
        self.strategies = {
            s.id: StrategyRow(
                report=s, trading_state=known[s.id].trading_state if s.id in known else TradingState.HALTED
            )
            for s in hello.strategies
        }
        if self.status in (None, EngineState.STOPPED):
            self.status = EngineState.STARTING

    def skew_noticed(self) -> bool:
        """Whether the clocks have just gone apart: true once, until they are together again. A single slow frame is
        no reason: the whole window must have been heard."""
        before, apart = self.skewed, abs(self.skew_ms or 0) > WARNING_MS
        self.skewed = apart and (before or len(self.skews) == EXCHANGES)
        return self.skewed and not before

    def lost(self, goodbye: bool) -> None:
        self.linked, self.said_goodbye, self.synced = False, goodbye, None

    def beaten(self, heartbeat: Heartbeat, sent_at: datetime, lease_seconds: float, now: Instant) -> None:
        """``sent_at``: the engine's own wall clock when it sent."""
        self.heard = self.beat = now
        self.heartbeat, self.synced = heartbeat, heartbeat.synced
        if lease_seconds > 0:
            self.granted = (now, lease_seconds)
        self.skews.append((sent_at - now.wall).total_seconds() * 1000)

    # --- what follows ---

    def connection(self, now: float) -> Connection:
        """``now`` in monotonic seconds."""
        if self.heard is None:
            return Connection.OFFLINE if self.seen_before else Connection.NEVER
        age = now - self.heard.mono
        if age >= OFFLINE_SECONDS or (self.said_goodbye and not self.linked):
            return Connection.OFFLINE
        return Connection.SUSPECT if age >= SUSPECT_SECONDS or not self.linked else Connection.CONNECTED

    def lease_left(self, now: float) -> float | None:
        """Seconds; None: no lease was ever given."""
        if self.granted is None:
            return None
        at, seconds = self.granted
        return max(0.0, at.mono + seconds - now)

    def halted_by_lease(self, now: float) -> bool:
        """Whether the engine has surely frozen by itself: its last lease is over even on a slow clock."""
        if self.granted is None:
            return False
        at, seconds = self.granted
        return now > at.mono + seconds * LEASE_TOLERANCE

    def steady_until(self, now: float) -> float:
        """Before this moment silence alone changes neither ``connection`` nor ``halted_by_lease``. ``now``: it may at
        any moment, or what changes them need not be told (an engine that is heard again)."""
        if self.heard is None or self.connection(now) is not Connection.CONNECTED:
            return now
        suspect = self.heard.mono + SUSPECT_SECONDS
        if self.granted is None or self.halted_by_lease(now):
            return suspect
        at, seconds = self.granted
        return min(suspect, at.mono + seconds * LEASE_TOLERANCE)

    @property
    def skew_ms(self) -> int | None:
        """How far the engine's wall clock is ahead; of the last eight beats the one that was fastest on its way."""
        return round(max(self.skews)) if self.skews else None

    def status_view(
        self, now: float, level: Level, stops: list[OpenStop], strategies: list[StrategyStatus]
    ) -> EngineStatus:
        granted, positions = self.granted, self.positions
        return EngineStatus(
            engine_id=self.engine_id,
            name=self.name,
            status=self.status,
            connection=self.connection(now),
            trading_mode=self.mode,
            level=level,
            stops=stops,
            halted_by_lease=self.halted_by_lease(now),
            lease_expires_at=granted[0].wall + timedelta(seconds=granted[1]) if granted else None,
            last_heartbeat=self.beat.wall if self.beat else None,
            age_ms=round((now - self.heard.mono) * 1000) if self.heard else None,
            version=self.version,
            account_id=self.account_id,
            strategies=strategies,
            positions=sum(1 for p in positions.items if p.quantity) if positions else None,
            open_orders=len(positions.open_orders) if positions else None,
            synced=self.synced,
            equity=self.account.equity if self.account else None,
            realized_pnl=self.account.realized_pnl if self.account else None,
        )

    def strategy_view(self, row: StrategyRow) -> StrategyStatus:
        """The state is the engine's own word: what a stop only wants is not shown as if it were so."""
        report = row.report
        # An engine boots halted; until it speaks of the strategy itself, its heartbeat's level is its word.
        state = row.trading_state or (_state_of(self.heartbeat.level) if self.heartbeat else TradingState.HALTED)
        return StrategyStatus(
            id=report.id,
            name=report.name,
            status=report.status,
            trading_state=state,
            parameters=report.parameters,
            parameter_schema=report.parameter_schema,
            version=report.version,
            engine_id=self.engine_id,
        )

    def health_view(self, now: float) -> EngineHealthDetail:
        health, beat = self.health, self.heartbeat
        left = self.lease_left(now)
        behind = round((now - self.beat.mono) * 1000) if self.beat else 0
        return EngineHealthDetail(
            engine_id=self.engine_id,
            connection=self.connection(now),
            cpu_usage=health.cpu_usage if health else None,
            memory_usage=health.memory_usage if health else None,
            process_status=health.process_status if health else None,
            clocks=HealthClocks(
                process_age_ms=round((now - self.heard.mono) * 1000) if self.heard else None,
                market_data_age_ms=_older(beat.clocks.market_data_age_ms, behind) if beat else None,
                order_channel_age_ms=_older(beat.clocks.order_channel_age_ms, behind) if beat else None,
                broker_token=beat.clocks.broker_token if beat else BrokerToken.NONE,
            ),
            lease_ms_left=None if left is None else round(left * 1000),
            skew_ms=self.skew_ms,
            instance=self.instance,
            version=self.version,
            last_update=health.last_update if health else None,
        )

    def process(self, now: float) -> EngineProcess:
        """What the sum over all engines needs."""
        return EngineProcess(
            engine_id=self.engine_id,
            connection=self.connection(now),
            health=self.health,
            active_strategies=self.active_strategies(),
        )

    def active_strategies(self) -> int:
        return sum(1 for s in self.strategies.values() if s.report.status is StrategyState.ACTIVE)


def _state_of(level: Level) -> TradingState:
    if level >= Level.HALT:
        return TradingState.HALTED
    return TradingState.REDUCE_ONLY if level is Level.REDUCE_ONLY else TradingState.NORMAL


def _older(age_ms: int | None, behind_ms: int) -> int | None:
    """What was that old at the heartbeat is older by now."""
    return None if age_ms is None else age_ms + behind_ms
