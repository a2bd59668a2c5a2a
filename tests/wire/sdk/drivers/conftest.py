"""The same engine over each of the three drivers, each in a thread of its own, driven by synchronous tests."""

import asyncio
import queue
import threading

import attrs
import pytest
import trio

import wire.sdk
import wire.sdk.aio
import wire.sdk.threads
from wire.parts import ParameterSpec
from wire.sdk import Position, Reading, WorkingAtBroker
from wire.sdk.testing import PracticePlatform

SCHEMA = {
    "size": ParameterSpec(type="integer", minimum=1, maximum=100, step=1),
    "edge": ParameterSpec(type="number", minimum=0.0, maximum=5.0, step=0.1),
}


PATIENCE = 60.0
"""Seconds for what must happen: many times what it takes, on a machine that does much else."""


class Account:
    """An account at a broker that keeps what it is told and fills a closing order at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.positions = {}
        self.orders = {}
        self.broken = False
        self.reads = 0
        self.link = None
        self.frozen = []

    def read(self):
        with self.lock:
            self.reads += 1
            if self.broken:
                raise ConnectionError("secret-in-an-exception")
            return Reading(
                positions=[
                    Position(symbol=s, quantity=q, average_price=1000, strategy_id="ma")
                    for s, q in self.positions.items()
                    if q
                ],
                orders=[
                    WorkingAtBroker(order_id=i, symbol=s, side="buy", remaining=q, price=900, strategy_id="ma")
                    for i, (s, q) in self.orders.items()
                ],
                equity=1_000_000,
                cash=500_000,
            )

    def cancel_all(self, orders):
        for order in orders:
            with self.link.cancelling(order.order_id, symbol=order.symbol, strategy_id=order.strategy_id), self.lock:
                self.orders.pop(order.order_id, None)

    def flatten(self, closings):
        for n, close in enumerate(closings):
            order = {"symbol": close.symbol, "side": "sell", "quantity": close.quantity, "strategy_id": "ma"}
            with self.link.sending(f"close-{self.reads}-{n}", **order, closing=True), self.lock:
                self.positions[close.symbol] -= close.quantity
            self.link.fill(f"close-{self.reads}-{n}", **order, price=990)


class Engine:
    """An engine in a thread: ``do`` calls the link the way code of that engine would."""

    def __init__(self, make, account, folder, set_up):
        self.account = account
        self.values = []
        self.folder = folder
        self._make = make
        self._set_up = set_up
        self._ready = queue.Queue()
        self._failure = None

    def build(self, link):
        account = self.account
        account.link = self.link = link
        link.strategy("ma", name="Averages", schema=SCHEMA, parameters={"size": 10, "edge": 1.0}, apply=self.apply)
        link.broker(read_account=account.read, cancel_all=account.cancel_all, flatten=account.flatten)
        link.on_freeze(account.frozen.append)
        self._set_up(link, self)
        return link

    def apply(self, values):
        if values["size"] == 66:
            raise ValueError("secret-in-an-exception")
        self.values.append(values)
        return {**values, "size": min(values["size"], 50)}

    def put_stop_file(self, words):
        """Whole at once: a file that is read while it is still empty asks for the strictest level."""
        draft = self.folder / "a draft"
        draft.write_text(words)
        draft.replace(self.folder / "STOP")

    def _guarded(self):
        try:
            self.live()
        except BaseException as error:
            self._failure = error
            self._ready.put(error)

    def start(self):
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()
        if (error := self._ready.get(timeout=PATIENCE)) is not None:
            raise error
        return self

    def end(self):
        self.leave()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure


class TrioEngine(Engine):
    def live(self):
        trio.run(self._main)

    async def _main(self):
        self._token, self._leave = trio.lowlevel.current_trio_token(), trio.Event()
        async with self.build(self._make(wire.sdk.EngineLink)):
            self._ready.put(None)
            await self._leave.wait()

    def do(self, act):
        return trio.from_thread.run_sync(act, self.link, trio_token=self._token)

    def wait_open(self, timeout=PATIENCE):
        async def waiting():
            with trio.fail_after(timeout):
                await self.link.wait_open()

        trio.from_thread.run(waiting, trio_token=self._token)

    def leave(self):
        trio.from_thread.run_sync(self._leave.set, trio_token=self._token)


class AioEngine(Engine):
    def live(self):
        asyncio.run(self._main())

    async def _main(self):
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        async with self.build(self._make(wire.sdk.aio.EngineLink)):
            self._ready.put(None)
            await self._leave.wait()

    def do(self, act):
        async def acting():
            return act(self.link)

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(PATIENCE)

    def wait_open(self, timeout=PATIENCE):
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(self.link.wait_open(), timeout), self._loop).result()

    def leave(self):
        self._loop.call_soon_threadsafe(self._leave.set)


class ThreadedEngine(Engine):
    def start(self):
        self.build(self._make(wire.sdk.threads.EngineLink)).__enter__()
        return self

    def do(self, act):
        return act(self.link)

    def wait_open(self, timeout=PATIENCE):
        self.link.wait_open(timeout=timeout)

    def end(self):
        self.link.__exit__(None, None, None)


ENGINES = {"trio": TrioEngine, "asyncio": AioEngine, "threads": ThreadedEngine}


@pytest.fixture
def platform():
    with PracticePlatform() as platform:
        yield platform


@pytest.fixture
def account():
    return Account()


@pytest.fixture(params=ENGINES)
def driver(request):
    return request.param


@pytest.fixture
def engine(driver, platform, account, tmp_path):
    """``engine(...)`` starts one; the same folder unless told otherwise. All are ended."""
    running = []
    credential = platform.credential(tmp_path / "engine.json")

    def start(*, folder="state", set_up=lambda link, engine: None, credential=credential, **options):
        options = {"name": "Alpha", "read_every": 0.1, "health_every": None, **options}

        def make(cls):
            return cls(credential, tmp_path / folder, **options)

        made = ENGINES[driver](make, account, tmp_path / folder, set_up)
        made.start()
        running.append(made)
        return made

    start.stop = lambda engine: (running.remove(engine), engine.end())
    yield start
    for engine in running:
        engine.end()


@attrs.frozen
class Order:
    symbol: str = "005930"
    side: str = "buy"
    quantity: int = 1
    strategy_id: str = "ma"

    def __call__(self, order_id):
        return lambda link: link.check(order_id, **attrs.asdict(self))


@pytest.fixture
def order():
    return Order
