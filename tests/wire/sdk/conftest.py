"""The stops of one engine over a register, with a clock, a market and a session that only the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from wire.sdk.flattening import MarketPhase, SymbolState
from wire.sdk.latch import LatchedStop
from wire.sdk.stop_run import Exposure, View, WorkingOrder
from wire.sdk.stopping import Stopping
from wire.stops import Entry, Level, Register, Scope, StopRecord
from wire.values import Side

AT = datetime(2026, 11, 20, 0, 30, tzinfo=UTC)


class StopDesk:
    def __init__(self, session="20261120"):
        self.register = Register()
        self.now = 100.0
        self.asked = {}
        self.stopping = Stopping(
            covers=lambda scope, s, c: scope.covers("E1", "A1", s, c),
            level_for=lambda s, c: self.register.level_for("E1", "A1", s, c),
            unresolved=lambda _scope: 0,
        )
        self.stopping.keep = lambda asked: self.asked.__setitem__(asked.stop_id, asked)
        self.stopping.begin_session(session)

    def stop(self, stop_id="x", *, level=Level.FLATTEN, epoch=1, scope="all"):
        record = StopRecord(stop_id=stop_id, scope=Scope.parse(scope), level=level, stop_epoch=epoch)
        self.register = self.register.with_stop(stop_id, Entry(record.scope, level, epoch))
        latched = LatchedStop(record=record, reason="r", user_id="u", at=AT)
        self.stopping.begin(latched, self.now, 0)
        self.stopping.noted(stop_id)
        return latched

    def see(self, *, orders=(), positions=(), problem=None, after=1.0):
        """One read, and what the stops ask for then."""
        self.now += after
        view = View(
            began=self.now,
            ended=self.now,
            at=AT + timedelta(seconds=self.now),
            orders=tuple(orders),
            positions=tuple(positions),
            problem=problem,
        )
        self.stopping.observe(view)
        return self.stopping.plan(view, self.now)

    def refuse(self, words="no", *, symbol="005930"):
        self.stopping.refused("s1", symbol, self.now, words)

    def saw(self, *, symbol="005930", **facts):
        self.stopping.saw(symbol, state(symbol=symbol, **facts), self.now)

    def report(self, stop_id="x"):
        return next(r for r in self.stopping.runs if r.stop_id == stop_id).report()


def state(
    *, symbol="005930", phase=MarketPhase.CONTINUOUS, price=70_000, bid=69_900, lower_limit=50_000, lot=1, **more
):
    return SymbolState(symbol=symbol, phase=phase, price=price, bid=bid, lower_limit=lower_limit, lot=lot, **more)


def working(order_id="c1", *, symbol="005930", remaining=10, closing=True, age=1.0):
    return WorkingOrder(
        order_id=order_id,
        strategy_id="s1",
        symbol=symbol,
        side=Side.SELL,
        remaining=remaining,
        closing=closing,
        age=age,
    )


def held(quantity=10, *, symbol="005930", strategy="s1"):
    return Exposure(strategy_id=strategy, symbol=symbol, quantity=quantity)


@pytest.fixture
def make_stop_desk():
    return StopDesk


@pytest.fixture
def stop_desk():
    return StopDesk()


@pytest.fixture
def a():
    """Makers: ``a.state(…)``, ``a.working(…)``, ``a.held(…)``."""

    class Makers:
        pass

    Makers.state, Makers.working, Makers.held = staticmethod(state), staticmethod(working), staticmethod(held)
    return Makers
