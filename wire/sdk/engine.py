"""An engine's whole end, without any input or output of its own: everything that every engine needs, joined.

A driver opens it, moves the frames of its ``conversation`` and carries out its ``work``. Whatever the engine calls
(``check`` before an order, ``trade_log`` after a decision) is synchronous, quick, and must come from the driver's loop.
"""

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import attrs

from wire.errors import InvalidField
from wire.messages import REDUCED_RELEASES, REDUCED_RESUMES, STRATEGY_COMMANDS, EngineStatusReport, Hello
from wire.parts import ParameterSpec, Resume
from wire.sdk.clock import BootClock, Clock
from wire.sdk.configuring import ConfigLane, OnConfig
from wire.sdk.conversation import Conversation, Parts
from wire.sdk.errors import ConfigurationError
from wire.sdk.executor import Executor, Handlers
from wire.sdk.folder import lock
from wire.sdk.gate import Gate
from wire.sdk.halting import Halting, storage_failed
from wire.sdk.identity import Identity
from wire.sdk.keeper import Keeper
from wire.sdk.latch import LatchedStop, load, write_durably
from wire.sdk.latch import encode as encode_latch
from wire.sdk.lease import Lease
from wire.sdk.ordering import Ordering
from wire.sdk.outlet import Outlet, SpoolLane, new_id
from wire.sdk.parameters import Values
from wire.sdk.platform import Credential
from wire.sdk.reporting import Pulse
from wire.sdk.settings import Settings
from wire.sdk.speech import word_of
from wire.sdk.strategies import Apply, Plan, Strategies
from wire.sdk.syncing import Fsync
from wire.sdk.telling import Telling
from wire.sdk.watching import Watch
from wire.sdk.work import Work
from wire.stops import Level, Scope
from wire.values import EngineState, ErrorCategory, LocalStopCause, Severity, TradingMode

log = logging.getLogger("wire.sdk")

CAPABILITIES = [
    "stop.levels",
    "stop.scopes",
    "lease",
    "parameters.live",
    "sentinel",
    STRATEGY_COMMANDS,
    REDUCED_RELEASES,
    REDUCED_RESUMES,
]


@attrs.frozen(kw_only=True)
class Freeze:
    """Why the gate has just closed further: of what, how far."""

    scope: Scope
    level: Level
    reason: str


OnFreeze = Callable[[Freeze], None]


@attrs.frozen(kw_only=True)
class Options:
    """How an engine presents itself and keeps its state. ``read_every``, ``health_every``: seconds; ``health_every``
    None: the engine calls ``health`` by itself. ``spool``: unacknowledged messages kept."""

    name: str
    version: str = "0"
    trading_mode: TradingMode = TradingMode.PAPER
    brokerages: tuple[str, ...] = ()
    fsync: Fsync = Fsync.INTERVAL
    spool: int = 20_000
    read_every: float = 5.0
    health_every: float | None = 1.0


class Engine:
    """``folder`` holds what must outlive the process: latch, settings, outbox; one process at a time."""

    def __init__(self, credential: Credential, folder: Path, options: Options, *, clock: Clock | None = None) -> None:
        self.credential = credential
        self.options = options
        self.clock: Clock = clock or BootClock()
        self.lease = Lease()
        self.handlers = Handlers()
        self._folder = folder
        self._locked = -1
        self._instance = new_id()
        self._freezers: list[OnFreeze] = []
        self.identity = Identity(engine_id=credential.engine_id, account_id=credential.account_id, name=options.name)
        self.outlet = Outlet(folder / "outbox.log", new_id=new_id, capacity=options.spool, fsync=options.fsync)
        self.settings = Settings(folder / "settings.json")
        self.gate = Gate(
            engine_id=credential.engine_id,
            account_id=credential.account_id,
            lease=self.lease,
            reducible=lambda strategy_id, symbol, side: self.executor.holdings.reducible(strategy_id, symbol, side),
        )
        failed = storage_failed(self.outlet)
        self.outlet.failed = failed
        self._latch_keeper = Keeper(
            encode=lambda: encode_latch(self.halting.latch),
            write=partial(write_durably, folder / "latch.json"),
            failed=failed,
        )
        self._settings_keeper = Keeper(encode=self.settings.encode, write=self.settings.write, failed=failed)
        self.strategies = Strategies(
            gate=self.gate, outlet=self.outlet, clock=self.clock, settings=self.settings, keeper=self._settings_keeper
        )
        self.config = ConfigLane()

    @property
    def is_open(self) -> bool:
        return self._locked >= 0

    # --- opening and closing; blocking ---

    def open(self) -> None:
        """Takes up what an earlier process left. From here on the gate is closed for every stop it knew.

        Raises ConfigurationError when another process has the folder.
        """
        self._locked = lock(self._folder)
        try:
            self._take_up()
        except BaseException:
            os.close(self._locked)
            self._locked = -1
            raise

    def _take_up(self) -> None:
        whole = self.outlet.open()
        intact = self.settings.load()
        self._join()
        if not whole:
            self.telling.warn("the outbox ended in the middle of a line: that line is lost")
        if not intact:
            self.telling.warn(
                "the settings file was damaged: the engine's own values count, and every strategy stays paused until a "
                "person resumes it"
            )
        if (policy := self.halting.on_lease_expiry) is not None:
            self.lease.adopt(policy)
        self.halting.resume(knows_paused=intact)
        self.halting.prove()
        if self.handlers.read_account is None:  # else the first read tells the exchange's own date
            self.executor.begin_day(None)
        self._told = EngineState.STARTING
        self.outlet.send(EngineStatusReport(status=EngineState.STARTING))

    def close(self) -> None:
        """Everything to disk, at the end."""
        for step in (self._write_latch, self._write_settings, self.outlet.make_whole, self.outlet.close):
            try:
                step()
            except OSError as error:
                log.error("the state of this engine was not written whole: %s", error.strerror)
        if self._locked >= 0:
            os.close(self._locked)
            self._locked = -1

    def _write_latch(self) -> None:
        if not self._latch_keeper.is_safe:
            write_durably(self._folder / "latch.json", encode_latch(self.halting.latch))

    def _write_settings(self) -> None:
        if not self._settings_keeper.is_safe:
            self.settings.write(self.settings.encode())

    def _join(self) -> None:
        state, latch = load(self._folder / "latch.json")
        self.halting = Halting(
            identity=self.identity,
            clock=self.clock,
            gate=self.gate,
            outlet=self.outlet,
            trading=self,
            latch=latch,
            state=state,
            keeper=self._latch_keeper,
            settings=self.settings,
            settings_keeper=self._settings_keeper,
            strategies=self.strategies.ids,
        )
        self.executor = Executor(
            self.handlers,
            stopping=self.halting.stopping,
            gate=self.gate,
            lease=self.lease,
            outlet=self.outlet,
            clock=self.clock,
            period=self.options.read_every,
        )
        self.orders = Ordering(gate=self.gate, executor=self.executor, clock=self.clock, orphaned=self.orphaned)
        self.telling = Telling(
            outlet=self.outlet,
            clock=self.clock,
            gate=self.gate,
            strategies=self.strategies,
            filled=self.halting.stopping.fill,
        )
        self.halting.wake = self.executor.hurry
        self.halting.trading_changed = self.strategies.report
        self.executor.synced_changed = self._synced_changed
        watch = Watch(
            lease=self.lease,
            halting=self.halting,
            outlet=self.outlet,
            clock=self.clock,
            folder=self._folder,
            expired=self._expired,
        )
        spool = SpoolLane(self.outlet, failed=storage_failed(self.outlet))
        pulse = Pulse(self.telling.health, every=self.options.health_every)
        keepers = (self._latch_keeper, self._settings_keeper)
        self.work = Work([*keepers, watch, self.executor, self.strategies, self.config, spool, pulse])
        self.conversation = Conversation(self._parts())

    def _parts(self) -> Parts:
        return Parts(
            credential=self.credential,
            clock=self.clock,
            outlet=self.outlet,
            gate=self.gate,
            lease=self.lease,
            halting=self.halting,
            latch_keeper=self._latch_keeper,
            settings_keeper=self._settings_keeper,
            hello=self._hello,
            clocks=lambda: self.telling.clocks(self.orders.answered_at),
            parameters=self.strategies.update,
            config_changed=self.config.changed,
            log=log,
        )

    def _hello(self, resume: Resume) -> Hello:
        options = self.options
        return Hello(
            protocol="1",
            instance=self._instance,
            name=options.name,
            version=options.version,
            trading_mode=options.trading_mode,
            stops=[s.record for s in self.halting.latch.open_stops()],
            latch=self.halting.latch_state,
            capabilities=CAPABILITIES,
            supported_brokerages=list(options.brokerages),
            strategies=self.strategies.for_hello(),
            resume=resume,
        )

    # --- what stops ask of the engine (wire.sdk.halting.Trading) ---

    def freeze(self, stop: LatchedStop) -> None:
        record = stop.record
        if record.level >= Level.HALT:
            self._freeze(Freeze(scope=record.scope, level=record.level, reason=stop.reason))

    def orphaned(self) -> list[str]:
        view = self.executor.holdings.view
        orders = view.orders if view is not None else ()
        return [
            o.order_id for o in orders if o.closing and self.gate.level_for(o.strategy_id, o.symbol) < Level.FLATTEN
        ]

    def unresolved(self, scope: Scope) -> int:
        return self.gate.in_flight(scope)

    def _expired(self, words: str) -> None:
        self.executor.out_of_sync()
        self._freeze(Freeze(scope=Scope.of_engine(self.identity.engine_id), level=Level.HALT, reason=words))

    def _freeze(self, freeze: Freeze) -> None:
        """A callback that fails stops nothing."""
        for freezer in self._freezers:
            try:
                freezer(freeze)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a cancelled asyncio task says so by one that is no Exception
                log.exception("a callback of on_freeze failed")
                self.telling.error(
                    code="error_freeze_callback",
                    category=ErrorCategory.STRATEGY,
                    reason=f"a callback of on_freeze failed: {type(error).__name__}",
                    severity=Severity.CRITICAL,
                    degraded=True,
                )

    def _synced_changed(self) -> None:
        self.strategies.report()
        if self.gate.synced and self._told is not EngineState.RUNNING:
            self._told = EngineState.RUNNING
            self.outlet.send(EngineStatusReport(status=EngineState.RUNNING))

    # --- setting up ---

    def add_strategy(
        self,
        strategy_id: str,
        *,
        name: str,
        schema: Mapping[str, ParameterSpec],
        parameters: Values,
        symbols: tuple[str, ...] = (),
        apply: Apply | None = None,
    ) -> None:
        """Before the link is opened."""
        if self._locked >= 0:
            raise ConfigurationError("strategies are added before the link is opened: its hello tells of them")
        self.strategies.add(
            Plan(id=strategy_id, name=name, schema=schema, parameters=parameters, symbols=symbols, apply=apply)
        )

    def parameters(self, strategy_id: str) -> dict[str, int | float]:
        """What is in force for a strategy now. KeyError for one that was not added."""
        return dict(self.strategies.in_force(strategy_id).parameters)

    def on_freeze(self, callback: OnFreeze) -> None:
        self._freezers.append(callback)

    def on_config(self, handler: OnConfig) -> None:
        self.config.handler = handler

    def stop(self, level: Level | str, reason: str, *, cause: LocalStopCause | str = LocalStopCause.RISK) -> str:
        """The engine stops itself; its id. Only a person's release ends it."""
        wanted, why = word_of(Level, level, field="level"), word_of(LocalStopCause, cause, field="cause")
        if wanted is Level.NORMAL:
            raise InvalidField("a stop has a level above NORMAL", field="level")
        if not reason.strip():
            raise InvalidField("must say why", field="reason")
        return self.halting.stop_here(wanted, why, reason[:2000])
