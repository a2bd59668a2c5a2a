"""The one promise: once "frozen" is said, no order leaves but those that reduce. Every interleaving, virtual time.

The real broker actor, throttle and HTTP client run over streams in memory; strategies decide at random moments, answers
take random times, and the stop comes at any of them: while an order waits for its turn, for a connection, for the
socket, or for its answer.
"""

import json
from datetime import UTC, datetime

import attrs
import h11
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.engine.broker import Broker
from actors.engine.desk import Desk
from actors.engine.freezing import DeskTrading
from actors.engine.kis import KisAccount, KisClient
from actors.engine.strategy import Place
from actors.engine.throttle import RateWindow, Throttle
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.http import HttpClient
from wire.kis.codes import Profile
from wire.messages import EmergencyStop, StopProgress
from wire.sdk.gate import Purpose
from wire.sdk.halting import Halting
from wire.sdk.identity import Identity
from wire.sdk.journal import Journal
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch
from wire.sdk.lease import Lease
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.settings import Settings
from wire.sdk.trio_clock import TrioClock
from wire.stops import Level, Scope
from wire.values import LatchState, LocalStopCause, Side, StopPhase

HELD = 20
ACCOUNT = KisAccount(
    profile=Profile.REAL, app_key="k", app_secret="s", account="1234567801", rest_url="http://broker.test"
)


class QuietBroker(Broker):
    """Without the stream and the reconciling loop: only orders matter here."""

    async def _keep_stream(self):
        await trio.sleep_forever()

    async def _keep_reconciled(self):
        await trio.sleep_forever()


class SlowThrottle(Throttle):
    """The turn has come, and still something takes time before the bytes leave."""

    def __init__(self, window, lags):
        super().__init__(window)
        self._lags, self._turns = lags, 0

    async def acquire(self, *, urgent=False):
        await super().acquire(urgent=urgent)
        self._turns += 1
        await trio.sleep(self._lags[self._turns % len(self._lags)])


class OnceAsked(KisClient):
    """A mistake: whoever waits for its turn when the gate closes has been let through already."""

    async def place(self, *, before_write, **order):
        return await super().place(**order, before_write=lambda: None)


class Tokens:
    async def get(self, _issue):
        await trio.lowlevel.checkpoint()
        return "token"


@attrs.define
class Exchange:
    """Takes orders after ``dial`` seconds of connecting and answers after ``answer`` seconds."""

    nursery: trio.Nursery
    dial: list
    answer: list
    received: list = attrs.field(factory=list)

    async def connect(self, host, port):
        await trio.sleep(self.dial[len(self.received) % len(self.dial)])
        mine, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        return mine

    async def serve(self, stream):
        while (body := await self._request(stream)) is not None:
            order = json.loads(body)
            self.received.append((trio.current_time(), order))
            await trio.sleep(self.answer[len(self.received) % len(self.answer)])
            await stream.send_all(self._accept(len(self.received)))

    async def _request(self, stream):
        parser, body = h11.Connection(h11.SERVER), b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some()
                if not data:
                    return None
                parser.receive_data(data)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body

    def _accept(self, number):
        output = {"KRX_FWDG_ORD_ORGNO": "91252", "ODNO": f"{number:010}", "ORD_TMD": "093000"}
        body = json.dumps({"rt_cd": "0", "msg_cd": "APBK0013", "msg1": "ok", "output": output}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


moments = st.integers(0, 40).map(lambda n: n * 0.05)
decisions = st.lists(
    st.tuples(moments, st.sampled_from(list(Side)), st.integers(1, 30), st.sampled_from(["A00001", "B00001"])),
    min_size=1,
    max_size=14,
)
scopes = st.sampled_from(["all", "engine:E1", "account:A1", "strategy:E1/s1"])
levels = st.sampled_from([Level.REDUCE_ONLY, Level.HALT, Level.CANCEL, Level.FLATTEN])


@settings(deadline=None, max_examples=150)
@given(
    decisions=decisions,
    stop_at=moments,
    scope=scopes,
    level=levels,
    rate=st.integers(1, 8),
    dial=st.lists(st.sampled_from([0.0, 0.01, 0.2]), min_size=1, max_size=3),
    answer=st.lists(st.sampled_from([0.0, 0.05, 0.4]), min_size=1, max_size=3),
    connections=st.integers(1, 4),
    lag=st.lists(st.sampled_from([0.0, 0.02, 0.5]), min_size=1, max_size=3),
    raised_after=st.one_of(st.none(), st.sampled_from([0.0, 0.05, 0.7])),
)
def test_after_frozen_no_order_leaves_but_those_that_reduce(tmp_path_factory, **case):
    """In flight is exactly what may still arrive; everything later reduces and fits into what is held."""
    run(tmp_path_factory.mktemp("engine"), case)


def run(folder, case, client=KisClient):
    return trio.run(run_case, folder, case, client, clock=trio.testing.MockClock(autojump_threshold=0))


QUEUED = {
    "decisions": [(0.0, Side.BUY, 1, "A00001")] * 3,
    "stop_at": 0.5,
    "scope": "all",
    "level": Level.HALT,
    "rate": 1,
    "dial": [0.0],
    "answer": [0.0],
    "connections": 1,
    "lag": [0.0],
    "raised_after": None,
}
"""Three orders at a broker that takes one in a second."""


def test_orders_that_wait_for_their_turn_are_discarded_in_the_step_in_which_the_gate_closes(tmp_path):
    frozen = run(tmp_path, QUEUED)
    assert (frozen.passed, frozen.waited, frozen.still_waiting) == (1, 2, 0)


def test_an_engine_whose_orders_leave_behind_the_gate_is_found_out(tmp_path):
    run(tmp_path, QUEUED)
    (tmp_path / "again").mkdir()
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run(tmp_path / "again", QUEUED, OnceAsked)


async def run_case(folder, case, make_client):
    outlet = Outlet(folder / "outbox", new_id=new_id)
    outlet.open()
    lease = Lease()
    desk = Desk(
        identity=Identity(engine_id="E1", account_id="A1", name="E1"),
        clock=TrioClock(datetime(2026, 11, 20, tzinfo=UTC)),
        lease=lease,
        outlet=outlet,
        ledger=Journal(folder / "ledger"),
    )
    desk.restore()
    passed = []
    watch(desk, passed)
    async with trio.open_nursery() as nursery:
        exchange = Exchange(nursery, case["dial"], case["answer"])
        http = HttpClient(connect=exchange.connect, max_connections=case["connections"])
        throttle = SlowThrottle(RateWindow(case["rate"]), case["lag"])
        client = make_client(ACCOUNT, http=http, tokens=Tokens(), throttle=throttle)
        broker = ChildSpec(
            id="broker", factory=lambda: QuietBroker(desk=desk, client=client, symbols=(), publish=lambda _t: None)
        )
        async with open_system(name="engine", children=[broker]):
            lease.renew(desk.clock.now() + 1000, desk.clock.now())
            desk.gate.agreed(desk.gate.doubts)
            for symbol in ("A00001", "B00001"):
                desk.books.apply("s1", symbol, Side.BUY, HELD, 1000)
            for decision in case["decisions"]:
                nursery.start_soon(decide, desk, *decision)
            await trio.sleep(case["stop_at"])
            stops = halting(desk, folder)
            waited = unwritten(desk)
            in_flight = stop(desk, stops, case)
            frozen = Frozen(desk.clock.now(), in_flight, len(passed), waited, unwritten(desk))
            if case["raised_after"] is not None:
                await trio.sleep(case["raised_after"])
                stops.stop_here(Level.FLATTEN, LocalStopCause.RISK, "raised meanwhile")
            await trio.sleep(30)
        nursery.cancel_scope.cancel()
    outlet.close()
    desk.ledger.close()
    judge(exchange, passed, frozen, case["level"])
    return frozen


async def decide(desk, at, side, quantity, symbol):
    await trio.sleep(at)
    desk.place("s1", symbol, Place(side=side, quantity=quantity, price=1000, reason="chance"))


def halting(desk, folder):
    keeper = Keeper(encode=lambda: b"", write=lambda _d: None, failed=lambda _e: None)
    return Halting(
        identity=desk.identity,
        clock=desk.clock,
        gate=desk.gate,
        outlet=desk.outlet,
        trading=DeskTrading(desk),
        latch=Latch(),
        state=LatchState.ABSENT,
        keeper=keeper,
        settings=Settings(folder / "settings"),
        settings_keeper=keeper,
        strategies=["s1"],
    )


def stop(desk, halting, case):
    """Returns how many orders were in flight when frozen was said."""
    halting.stop(
        EmergencyStop(
            stop_id="x",
            stop_epoch=1,
            scope=Scope.parse(case["scope"]),
            level=case["level"],
            proof="",
            timeout_ms=30_000,
            reason="test",
            user_id="u",
        )
    )
    (report,) = (s.message for s in desk.outlet.waiting() if isinstance(s.message, StopProgress))
    assert report.phase is StopPhase.FROZEN
    return report.in_flight


def unwritten(desk):
    """Decided orders of strategies that wait for their turn."""
    return sum(o.purpose is Purpose.ORDER and not o.written for o in desk.orders.open_orders())


def watch(desk, passed):
    """Notes every order that the gate lets through to the socket."""
    check = desk.before_write

    def before_write(order_id):
        check(order_id)
        passed.append(desk.orders.get(order_id))

    desk.before_write = before_write


def judge(exchange, passed, frozen, level):
    assert len(exchange.received) == len(passed)
    assert sum(at > frozen.at for at, _ in exchange.received) <= frozen.in_flight + len(passed) - frozen.passed
    later = passed[frozen.passed :]
    if level is not Level.REDUCE_ONLY:
        assert later == []
        assert frozen.still_waiting == 0
    assert all(order.side is Side.SELL for order in later)
    for symbol in ("A00001", "B00001"):
        before = sum(o.quantity for o in passed[: frozen.passed] if (o.symbol, o.side) == (symbol, Side.SELL))
        after = sum(o.quantity for o in later if o.symbol == symbol)
        assert after <= max(0, HELD - before)


@attrs.frozen
class Frozen:
    at: float
    in_flight: int
    passed: int
    waited: int
    still_waiting: int
