"""The engine as a process: reads its files, takes up what an earlier process left, and runs its tree of actors."""

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import trio

from actors.engine.broker import Broker, KeysChanged
from actors.engine.config import EngineConfig, read_config
from actors.engine.configuring import Configuring, PlatformSettings
from actors.engine.desk import Desk
from actors.engine.freezing import DeskTrading
from actors.engine.kis import KisAccount, KisClient
from actors.engine.lanes import Lanes
from actors.engine.link import Link, LinkParts
from actors.engine.reporter import Reporter
from actors.engine.risk.book import RiskBook
from actors.engine.risk.watch import RiskWatch
from actors.engine.stop_executor import StopExecutor
from actors.engine.strategy import Tick
from actors.engine.strategy_actor import StrategyActor, StrategyPlan, TickSeen, hello_report
from actors.engine.throttle import RateWindow, Throttle
from actors.engine.tokens import TokenCache
from actors.errors import OK, REFUSED, Refused
from actors.logs import set_up_logging
from supervisor.backoff import Backoff
from supervisor.mailbox import MailboxSpec, Overflow
from supervisor.spec import ChildSpec
from supervisor.supervision import Supervisor
from supervisor.system import System, open_system
from wire.http import HttpClient
from wire.kis.codes import SERVICES
from wire.messages import Hello
from wire.parts import Clocks, Resume
from wire.sdk.calls import fetch_config, fetch_token
from wire.sdk.clock import BootClock
from wire.sdk.engine import CAPABILITIES
from wire.sdk.errors import ConfigurationError, PlatformAway, Unwelcome
from wire.sdk.folder import lock
from wire.sdk.halting import Halting, storage_failed
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.keeper import Keeper
from wire.sdk.latch import encode as encode_latch
from wire.sdk.latch import load as load_latch
from wire.sdk.latch import write_durably
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, SpoolLane, new_id
from wire.sdk.platform import Credential, PlatformConfig, keys_in, needs_private_key, read_credential
from wire.sdk.settings import Settings
from wire.sdk.watching import Watch
from wire.sdk.work import Work
from wire.stops import Level
from wire.values import LogCategory

log = logging.getLogger(__name__)

_CONNECTIONS = 12
_TICKS_WAITING = 2_000
_BACKOFF = Backoff(base=0.2, max_delay=10.0)
_KEYS_PAUSE = 5.0
_NEVER_GIVE_UP = math.inf  # whatever fails again and again, the part that takes stops must stay


class Engine:
    """Everything of one engine that outlives its actors."""

    def __init__(self, config: EngineConfig, credential: Credential, account: KisAccount, http: HttpClient) -> None:
        self.config = config
        self.credential = credential
        self.instance = new_id()
        self.http = http
        self.clock = BootClock()
        self.lease = Lease()
        folder = config.state_folder
        self.settings = Settings(folder / "settings.json")
        identity = Identity(engine_id=credential.engine_id, account_id=credential.account_id, name=credential.engine_id)
        self.outlet = Outlet(folder / "outbox.log", new_id=new_id)
        self.desk = Desk(
            identity=identity,
            clock=self.clock,
            lease=self.lease,
            outlet=self.outlet,
            ledger=Journal(folder / "ledger.log"),
            fees=config.fees,
            risk=RiskBook(config.risk),
        )
        self.late = _Late()
        self.platform_settings = PlatformSettings(self.desk, keys=self._take_keys)
        self.client = _client(config, account, http)
        self.latch_keeper, self.settings_keeper, self.halting = self._halting(folder)
        self.scribbling, self.watching = self._scribbling(), self._watching()

    def _halting(self, folder: Path) -> tuple[Keeper, Keeper, Halting]:
        path = folder / "latch.json"
        state, latch = load_latch(path)
        failed = storage_failed(self.outlet)
        latch_keeper = Keeper(
            encode=lambda: encode_latch(self.halting.latch), write=partial(write_durably, path), failed=failed
        )
        settings_keeper = Keeper(encode=self.settings.encode, write=self.settings.write, failed=failed)
        halting = Halting(
            identity=self.desk.identity,
            clock=self.clock,
            gate=self.desk.gate,
            outlet=self.outlet,
            trading=DeskTrading(self.desk),
            latch=latch,
            state=state,
            keeper=latch_keeper,
            settings=self.settings,
            settings_keeper=settings_keeper,
            strategies=[plan.id for plan in self.config.strategies],
        )
        return latch_keeper, settings_keeper, halting

    def _scribbling(self) -> Work:
        failed = storage_failed(self.outlet)
        self.outlet.failed = self.desk.ledger.failed = failed
        spool, ledger = SpoolLane(self.outlet, failed=failed), SpoolLane(self.desk.ledger, failed=failed)
        return Work([self.latch_keeper, self.settings_keeper, spool, ledger])

    def _watching(self) -> Work:
        desk = self.desk
        watch = Watch(
            lease=self.lease,
            halting=self.halting,
            outlet=self.outlet,
            clock=self.clock,
            folder=self.config.state_folder,
            expired=desk.lease_expired,
        )
        return Work([watch])

    def take_up(self) -> None:
        """What an earlier process left: words unsaid, orders, positions, stops. Blocking, before anything runs."""
        whole = self.outlet.open()
        self.desk.restore()
        intact = self.settings.load()
        if not intact:
            words = "the settings file was damaged: the configuration's values count, and every strategy stays paused"
            self.desk.log(LogCategory.SYSTEM, words, None)
        if not whole:
            self.desk.log(LogCategory.SYSTEM, "the outbox ended in the middle of a line: that line is lost", None)
        if (policy := self.halting.on_lease_expiry) is not None:
            self.lease.adopt(policy)
        self.halting.resume(knows_paused=intact)
        self.halting.prove()

    def put_away(self) -> None:
        """Everything to disk, at the end. Blocking."""
        with suppress(OSError):  # the disk was reported when it failed
            self.outlet.make_whole()
        with suppress(OSError):
            self.desk.ledger.make_whole()
        self.outlet.close()
        self.desk.ledger.close()

    def hello(self, resume: Resume) -> Hello:
        config, latch = self.config, self.halting.latch
        return Hello(
            protocol="1",
            instance=self.instance,
            name=self.desk.identity.name,
            version=_version(),
            trading_mode=config.trading_mode,
            stops=[s.record for s in latch.open_stops()],
            latch=self.halting.latch_state,
            capabilities=CAPABILITIES,
            supported_brokerages=["kis"],
            strategies=[hello_report(plan, self.desk, self.settings) for plan in config.strategies],
            resume=resume,
        )

    def clocks(self) -> Clocks:
        now, desk = self.clock.now(), self.desk
        last = max((q.at for q in desk.prices.quotes.values()), default=None)
        return Clocks(
            market_data_age_ms=None if last is None else max(0, int((now - last) * 1000)),
            order_channel_age_ms=_age_ms(now, desk.last_order_answer),
            broker_token=self.client.tokens.state(),
        )

    def _take_keys(self, secrets: Mapping[str, str]) -> None:
        """The platform's keys, where the file has none: new ones are used at once."""
        if all(self.config.keys.values()):
            return
        try:
            account = self.config.account({**self.config.keys, **secrets})
        except Refused as error:
            self.desk.log(LogCategory.SYSTEM, f"the broker keys stay as they were: {error.message}", None)
            return
        if account == self.client.account:
            return
        self.client.use(account, _tokens(self.config, account))
        self.desk.log(LogCategory.SYSTEM, "the broker keys were changed by the platform", None)
        if self.late.system is not None:
            self.late.system.ref("broker").tell(KeysChanged(), urgent=True)

    # --- the tree ---

    def children(self) -> list[ChildSpec]:
        """In the order of starting: what stops must be there before what trades."""
        parts = LinkParts(
            credential=self.credential,
            http=self.http,
            latch_keeper=self.latch_keeper,
            hello=self.hello,
            clocks=self.clocks,
            settings_keeper=self.settings_keeper,
            config_changed=self.platform_settings.changed,
        )
        desk, halting, config = self.desk, self.halting, self.config
        plans = config.strategies
        publish = self.late.publisher(plans)
        return [
            _child("scribe", lambda: Lanes(work=self.scribbling, clock=self.clock)),
            _child("stops", lambda: StopExecutor(desk=desk, halting=halting, broker="broker")),
            _child("watch", lambda: Lanes(work=self.watching, clock=self.clock)),
            _child("risk", lambda: RiskWatch(desk=desk, halting=halting)),
            _child("configuration", self._configuring),
            _child("link", lambda: Link(parts=parts, desk=desk, halting=halting)),
            _child("reporter", lambda: Reporter(desk=desk, halting=halting, plans=plans, settings=self.settings)),
            ChildSpec(id="strategies", factory=self._strategies),
            _child(
                "broker",
                lambda: Broker(desk=desk, client=self.client, symbols=config.symbols, publish=publish),
            ),
        ]

    def _configuring(self) -> Configuring:
        return Configuring(desk=self.desk, settings=self.platform_settings, credential=self.credential, http=self.http)

    def _strategies(self) -> Supervisor:
        return Supervisor([self._strategy(p) for p in self.config.strategies], intensity=_NEVER_GIVE_UP)

    def _strategy(self, plan: StrategyPlan) -> ChildSpec:
        return ChildSpec(
            id=plan.id,
            factory=lambda: StrategyActor(plan=plan, desk=self.desk, settings=self.settings),
            backoff=_BACKOFF,
            mailbox=MailboxSpec(capacity=_TICKS_WAITING, overflow=Overflow.DROP_OLDEST),
        )


class _Late:
    """The running system, known to the actors only after it has been opened."""

    def __init__(self) -> None:
        self.system: System | None = None

    def publisher(self, plans: tuple[StrategyPlan, ...]) -> Any:
        """Gives every trade to the strategies that trade its symbol."""
        readers: dict[str, list[str]] = {}
        for plan in plans:
            for symbol in plan.symbols:
                readers.setdefault(symbol, []).append(f"strategies/{plan.id}")

        def publish(tick: Tick) -> None:
            if self.system is None:
                return
            for name in readers.get(tick.symbol, ()):
                self.system.ref(name).tell(TickSeen(tick=tick))

        return publish


def _child(name: str, factory: Any) -> ChildSpec:
    return ChildSpec(id=name, factory=factory, backoff=_BACKOFF)


def _client(config: EngineConfig, account: KisAccount, http: HttpClient) -> KisClient:
    rate = SERVICES[account.profile].calls_per_second
    throttle = Throttle(RateWindow(rate, reserve=rate // 5))
    return KisClient(account, http=http, tokens=_tokens(config, account), throttle=throttle)


def _tokens(config: EngineConfig, account: KisAccount) -> TokenCache:
    return TokenCache(config.token_folder, host=account.rest, app_key=account.app_key, wall=time.time)


def _age_ms(now: float, at: float | None) -> int | None:
    return None if at is None else max(0, int((now - at) * 1000))


def _version() -> str:
    try:
        return version("watchkeeper")
    except PackageNotFoundError:
        return "0"


async def run_engine(
    config: EngineConfig, credential: Credential, *, task_status: trio.TaskStatus[System] = trio.TASK_STATUS_IGNORED
) -> None:
    """One engine until it is cancelled or gets a SIGTERM.

    Raises Refused or ConfigurationError for what a person must set right first.
    """
    async with HttpClient(max_connections=_CONNECTIONS) as http:
        found = await _platform_config(config, credential, http)
        account = config.account({**config.keys, **(keys_in(found) if found is not None else {})})
        engine = Engine(config, credential, account, http)
        await trio.to_thread.run_sync(engine.take_up)
        if found is not None:
            engine.platform_settings.take(found)
        try:
            async with open_system(
                name="engine", children=engine.children(), intensity=_NEVER_GIVE_UP, shutdown_deadline=8.0
            ) as system:
                engine.late.system = system
                log.info("engine %s: %s, waiting for the platform", credential.engine_id, _standing(engine))
                task_status.started(system)
                await trio.sleep_forever()
        finally:
            engine.put_away()


def _standing(engine: Engine) -> str:
    level = engine.desk.gate.engine_level()
    stops = len(engine.halting.latch.open_stops())
    return f"stopped at {level.value} by {stops} stops" if level > Level.NORMAL else "halted until it has a lease"


async def _platform_config(config: EngineConfig, credential: Credential, http: HttpClient) -> PlatformConfig | None:
    """What the platform keeps, where the file has no keys and it must be waited for; else None for now."""
    if all(config.keys.values()):
        return None
    needs_private_key(credential)
    told = False
    while True:
        try:
            return await fetch_config(http, credential, await fetch_token(http, credential))
        except Unwelcome as error:
            raise Refused(error.reason) from error
        except PlatformAway as error:
            if not told:
                log.warning("%s: the broker keys come from there, trying again", error.reason)
            told = True
            await trio.sleep(_KEYS_PAUSE)


async def _main(config: EngineConfig, credential: Credential) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            nursery.start_soon(run_engine, config, credential)
            async for _ in signals:
                log.info("engine %s ends; its stops stay latched", credential.engine_id)
                nursery.cancel_scope.cancel()
                return


def home() -> Path:
    return Path(os.environ.get("WATCHKEEPER_HOME") or "~/.watchkeeper").expanduser()


def run(path: Path) -> int:
    """The command ``engine --config FILE``: until SIGINT or SIGTERM. Returns the exit code."""
    set_up_logging()
    held, code = -1, OK
    try:
        config = read_config(path, home())
        credential = read_credential(config.credential_file)
        held = lock(config.state_folder)
        trio.run(_main, config, credential)
    except* (Refused, ConfigurationError) as refusals:
        print(_first(refusals), file=sys.stderr)
        code = REFUSED
    finally:
        if held >= 0:
            os.close(held)
    return code


def _first(group: BaseExceptionGroup[Refused | ConfigurationError]) -> str:
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first(first)
    return first.message if isinstance(first, Refused) else first.reason
