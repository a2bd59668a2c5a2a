"""An engine's real actors over the exchange's pure machine, in virtual time: no sockets, no threads."""

from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import attrs
import pytest
import trio

from actors.engine.broker import Broker
from actors.engine.desk import Desk
from actors.engine.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from actors.engine.freezing import DeskTrading
from actors.engine.kis import Balance, KisAccount
from actors.engine.lanes import Lanes
from actors.engine.risk.book import RiskBook
from actors.engine.risk.limits import Limits
from actors.engine.risk.plan import RiskPlan
from actors.engine.risk.watch import RiskWatch
from actors.engine.stop_executor import StopExecutor
from actors.engine.strategy import Place
from actors.simulator import feed, replies, views
from actors.simulator.customers import Customer
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.exchange import fees
from wire.exchange.calendar import CLOSE, DAY_END, MarketTime, Pace
from wire.exchange.events import Traded
from wire.exchange.exchange import Exchange
from wire.exchange.market import Market, Symbol
from wire.exchange.orders import Amendment, Kind, Purpose, Refusal, Ticket
from wire.kis.codes import OrderType, Profile
from wire.kis.trading import DailyOrdersQuery, OpenOrdersQuery, OrderAccepted
from wire.messages import EmergencyStop, ErrorReport, LocalStop, Release, StopProgress
from wire.parts import LeaseExpiry
from wire.sdk.halting import Halting
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.settings import Settings
from wire.sdk.trio_clock import TrioClock
from wire.sdk.trio_driver import carry_on
from wire.sdk.watching import Watch
from wire.sdk.work import Work
from wire.stops import Level, Scope
from wire.values import LatchState, Side

MONDAY = date(2026, 1, 5)
TEN = 10 * 3600
CASH = 100_000_000
A, B = "005930", "015760"
SYMBOLS = (Symbol(code=A, name="A", price=71_500), Symbol(code=B, name="B", price=22_450))
CUSTOMER = Customer(account="1234567801", app_key="k", app_secret="s", hts_id="h")
ACCOUNT = KisAccount(profile=Profile.REAL, app_key="k", app_secret="s", account=CUSTOMER.account, hts_id="h")
LATENCY = 0.05
NO_LIMITS = Limits()


class Tokens:
    def state(self):
        return None


@attrs.define
class FloorClient:
    """Answers as the broker's REST API does. ``failing``: calls that get no answer, ``answer``: of an order that was
    taken, ``notice``: what the stream says of it; ``slow``: seconds that others take; ``asked``: when which call began;
    ``sent``: what was written."""

    exchange: Exchange
    flush: object = None
    failing: set = attrs.field(factory=set)
    slow: dict = attrs.field(factory=dict)
    asked: list = attrs.field(factory=list)
    limit_only: bool = False
    lot: int = 1
    sent: list = attrs.field(factory=list)
    tokens: Tokens = attrs.field(factory=Tokens)
    offers_open_orders: bool = True
    account: KisAccount = ACCOUNT

    async def approval_key(self):
        await trio.sleep(LATENCY)
        return "approval"

    async def place(self, *, symbol, side, quantity, price, urgent, before_write):
        await self._call("place")
        before_write()
        self.sent.append((trio.current_time(), side, symbol, quantity, price))
        kind = Kind.LIMIT if price else Kind.MARKET
        label = (OrderType.LIMIT if price else OrderType.MARKET).value
        ticket = Ticket(
            account=CUSTOMER.account,
            symbol=symbol,
            side=fees.Side(side.value),
            quantity=quantity,
            price=price,
            kind=kind,
            label=label,
        )
        if self.limit_only and not price:
            return self._answer(Refusal.KIND)
        return self._answer(Refusal.QUANTITY if quantity % self.lot else self.exchange.place(ticket))

    async def cancel(self, *, number, branch, market, before_write):
        await self._call("cancel")
        before_write()
        amendment = Amendment(account=CUSTOMER.account, original=int(number), purpose=Purpose.CANCEL)
        return self._answer(self.exchange.amend(amendment))

    def _answer(self, placed):
        self.flush()
        if "answer" in self.failing:
            raise OutcomeUnknown("the answer is lost")
        if isinstance(placed, Refusal):
            answer = replies.refused(placed, Profile.REAL).body
            raise BrokerRefused(answer["msg1"], broker_code=answer["msg_cd"])
        return OrderAccepted(branch="91252", order_no=views.order_number(placed.number), time="")

    async def open_orders(self):
        await self._call("open_orders")
        query = OpenOrdersQuery(account="", product="")
        return tuple(r for r in views.open_orders(self.exchange, CUSTOMER, query) if r.open_quantity)

    async def daily_orders(self, first_day, last_day):
        await self._call("daily_orders")
        query = DailyOrdersQuery(account="", product="", first_day=first_day, last_day=last_day)
        return tuple(views.daily_orders(self.exchange, CUSTOMER, self.exchange.orders.values(), query))

    async def balance(self):
        await self._call("balance")
        rows = views.holdings(self.exchange, CUSTOMER.account)
        totals = views.balance_totals(self.exchange, CUSTOMER.account)
        return Balance(holdings=tuple(r for r in rows if r.quantity), totals=totals)

    async def price(self, symbol):
        await self._call("price")
        return attrs.evolve(views.price(self.exchange, symbol), lot=self.lot)

    async def depth(self, symbol):
        await self._call("depth")
        return views.depth(self.exchange, symbol)

    async def _call(self, name):
        self.asked.append((trio.current_time(), name))
        await trio.sleep(self.slow.get(name, LATENCY))
        if name in self.failing:
            raise BrokerUnavailable(f"{name} is not answered")


class FloorBroker(Broker):
    """The broker's actor whose stream is the exchange itself, advanced by the engine's own clock."""

    def __init__(self, world, **parts):
        super().__init__(**parts)
        self._world = world

    async def _listen(self, approval):
        self._world.client.flush = self.flush
        self._up()
        while True:
            await trio.sleep(0.5)
            self._world.advance(0.5)
            self.flush()

    def flush(self):
        exchange = self._world.exchange
        for event in exchange.drain():
            if isinstance(event, Traded):
                self._trades([feed.trade(event, exchange.now)])
            elif "notice" in self._world.client.failing:
                continue
            elif isinstance(event, feed.OrderEvent) and (notice := feed.notice(event, CUSTOMER)) is not None:
                self._notice(notice)


@attrs.define
class World:
    """One engine and its exchange. ``speed``: market seconds in one of the engine's."""

    exchange: Exchange
    client: FloorClient
    desk: Desk
    halting: Halting
    speed: float = 1.0
    epoch: int = 0

    def advance(self, seconds):
        pace = Pace(speed=self.speed, auction=1e9, closed=(DAY_END - CLOSE) / self.speed)
        self.exchange.move_to(pace.advance(self.exchange.now, seconds, self.exchange.market.calendar))

    def move_to(self, second):
        """To another moment of the same day."""
        self.exchange.move_to(MarketTime(self.exchange.now.day, second))

    def next_day(self):
        day = self.exchange.market.calendar.next_open(self.exchange.now.day)
        self.exchange.move_to(MarketTime(day, TEN))

    async def until(self, holds, *, within=60.0):
        with trio.fail_after(within):
            while not holds():  # noqa: ASYNC110 - virtual time, and conditions nobody could signal
                await trio.sleep(0.25)

    async def hold(self, symbol=A, quantity=10):
        """The strategy buys at market and waits for its shares."""
        await self.until(lambda: self.desk.gate.synced and self.desk.gate.caution is None)
        assert self.buy(symbol, quantity) is not None
        await self.until(lambda: self.desk.books.position("s1", symbol).quantity == quantity)

    def buy(self, symbol=A, quantity=1, price=0):
        return self.desk.place("s1", symbol, Place(side=Side.BUY, quantity=quantity, price=price, reason="test"))

    def held(self):
        """By the broker's own books."""
        positions = self.exchange.accounts[CUSTOMER.account].positions.values()
        return {p.symbol: p.quantity for p in positions if p.quantity}

    def working(self):
        return len(self.exchange.open_orders(CUSTOMER.account))

    def stop(self, stop_id="x", *, level=Level.FLATTEN, scope="all", again=False):
        self.epoch += 1
        self.halting.stop(
            EmergencyStop(
                stop_id=stop_id,
                stop_epoch=self.epoch,
                scope=Scope.parse(scope),
                level=level,
                proof="",
                timeout_ms=30_000,
                reason="test",
                user_id="kim",
                again=again,
            )
        )

    def release(self, *stop_ids):
        self.epoch = max(self.epoch, self.desk.gate.register.epoch) + 1
        self.halting.release(Release(stop_ids=list(stop_ids), epoch=self.epoch, effective=[], resume=True))

    def said(self, kind):
        return [s.message for s in self.desk.outlet.waiting() if isinstance(s.message, kind)]

    def reports(self, stop_id="x"):
        return [m for m in self.said(StopProgress) if m.stop_id == stop_id]

    def report(self, stop_id="x"):
        return self.reports(stop_id)[-1]

    def phases(self, stop_id="x"):
        found = [m.phase for m in self.reports(stop_id)]
        return [p for n, p in enumerate(found) if n == 0 or found[n - 1] is not p]

    def local_stops(self):
        return self.said(LocalStop)

    def errors(self):
        return [m.code for m in self.said(ErrorReport)]

    async def phase(self, phase, stop_id="x", *, within=90.0):
        await self.until(lambda: self.reports(stop_id) and self.report(stop_id).phase is phase, within=within)
        return self.report(stop_id)

    def lend(self, seconds):
        """The platform renews the lease."""
        now = self.desk.clock.now()
        self.desk.lease.renew(now + seconds, now)


async def _inline(work):
    await trio.lowlevel.checkpoint()
    return work()


class InlineLanes(Lanes):
    """Without threads, which virtual time does not wait for."""

    async def started(self):
        self.context.spawn(lambda: carry_on(self._work, self._clock, on_thread=_inline))


@pytest.fixture
def make_exchange():
    def make(*, seed=1, at=TEN, cash=CASH):
        exchange = Exchange(Market(seed, first_day=MONDAY, symbols=SYMBOLS, trades_per_day=6_000))
        exchange.open_account(CUSTOMER.account, cash)
        exchange.move_to(MarketTime(MONDAY, at))
        exchange.drain()
        return exchange

    return make


@pytest.fixture
def open_world(tmp_path, make_exchange):
    """Starts an engine over an exchange; a second one over the same folder is the same engine after kill -9."""

    @asynccontextmanager
    async def run(exchange=None, *, latch=None, policy=None, lease=1e6, folder=tmp_path, platform=NO_LIMITS, **limits):
        exchange = exchange or make_exchange()
        outlet = Outlet(folder / "outbox", new_id=new_id)
        outlet.open()
        desk = Desk(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=TrioClock(datetime(2026, 1, 5, 1, tzinfo=UTC)),
            lease=Lease(),
            outlet=outlet,
            ledger=Journal(folder / "ledger"),
            risk=RiskBook(RiskPlan(limits=Limits(**limits))),
        )
        desk.restore()
        if platform is not None:
            desk.risk.take(platform)
        keeper = Keeper(encode=lambda: b"", write=lambda _d: None, failed=lambda _e: None)
        settings_keeper = Keeper(encode=lambda: b"", write=lambda _d: None, failed=lambda _e: None)
        halting = Halting(
            identity=desk.identity,
            clock=desk.clock,
            gate=desk.gate,
            outlet=outlet,
            trading=DeskTrading(desk),
            latch=latch or Latch(),
            state=LatchState.PRESENT,
            keeper=keeper,
            settings=Settings(folder / "settings"),
            settings_keeper=settings_keeper,
            strategies=["s1"],
        )
        halting.resume()
        desk.lease.adopt(policy or LeaseExpiry())
        world = World(exchange=exchange, client=FloorClient(exchange), desk=desk, halting=halting)
        world.epoch = desk.gate.register.epoch
        world.lend(lease)
        watch = Watch(
            lease=desk.lease,
            halting=halting,
            outlet=outlet,
            clock=desk.clock,
            folder=folder,
            expired=desk.lease_expired,
        )
        children = [
            ChildSpec(id="scribe", factory=lambda: InlineLanes(work=Work([keeper, settings_keeper]), clock=desk.clock)),
            ChildSpec(id="stops", factory=lambda: StopExecutor(desk=desk, halting=halting, broker="broker")),
            ChildSpec(id="watch", factory=lambda: InlineLanes(work=Work([watch]), clock=desk.clock)),
            ChildSpec(id="risk", factory=lambda: RiskWatch(desk=desk, halting=halting)),
            ChildSpec(
                id="broker",
                factory=lambda: FloorBroker(
                    world, desk=desk, client=world.client, symbols=(A, B), publish=lambda _tick: None
                ),
            ),
        ]
        try:
            async with open_system(name="engine", children=children):
                yield world
        finally:
            outlet.close()
            desk.ledger.close()

    return run


@pytest.fixture
async def world(open_world):
    """To be asked for together with ``autojump_clock``, which counts only where a test names it itself."""
    async with open_world() as world:
        yield world
