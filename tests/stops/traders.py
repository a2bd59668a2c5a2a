"""Engines of the simulation that have orders and positions at a broker, and carry out what a stop asks for."""

import trio

from tests.stops.ground import START
from tests.stops.runner import Runner
from wire.sdk.stop_run import Exposure, View, WorkingOrder
from wire.sdk.stopping import CancelWorking, CloseOut
from wire.values import Side


class Trader(Runner):
    """``pace``: seconds of one read of the broker, whose orders and positions are those in the two dictionaries."""

    def holds(self, orders, positions, pace):
        self.orders = {f"o{n}": f"{n:06d}" for n in range(orders)}
        self.positions = {f"{n:06d}": 10 for n in range(100, 100 + positions)}
        self.pace = pace

    async def live(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(super().live)
            nursery.start_soon(self._obey)

    async def _obey(self):
        while True:
            stopping = self.halting.stopping
            self._say(stopping.tick(self.world.now))
            if not stopping.has_work:
                await trio.sleep(0.1)
                continue
            view = await self._look()
            self._say(stopping.observe(view))
            for action in stopping.plan(view, self.world.now):
                match action:
                    case CancelWorking(order=order):
                        del self.orders[order.order_id]
                        stopping.order_over(order.order_id, by_cancel=True)
                    case CloseOut(symbol=symbol):
                        del self.positions[symbol]
                        stopping.fill(self.world.now)

    async def _look(self):
        """A read takes its time; for a stop that times out meanwhile that is said when it does."""
        began, end = self.world.now, self.world.now + self.pace
        orders = tuple(
            WorkingOrder(order_id=o, strategy_id="s", symbol=symbol, side=Side.BUY, remaining=1)
            for o, symbol in self.orders.items()
        )
        positions = tuple(Exposure(strategy_id="s", symbol=s, quantity=n) for s, n in self.positions.items())
        while self.world.now < end:
            await trio.sleep(min(0.5, end - self.world.now))
            self._say(self.halting.stopping.tick(self.world.now))
        return View(began=began, ended=self.world.now, at=START, orders=orders, positions=positions)

    def _say(self, reports):
        for report in reports:
            self.halting._outlet.send(report)
