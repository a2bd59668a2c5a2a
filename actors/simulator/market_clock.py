"""Real time drives the market: ten times a second the exchange is told how much of it has passed."""

import attrs
import trio

from actors.simulator.messages import Advance
from supervisor.actor import Actor, handles
from supervisor.ref import Ref

PERIOD = 0.1


@attrs.frozen(kw_only=True)
class Beat:
    """One tick of the clock."""


class MarketClock(Actor):
    """Waits for the exchange, so a slow disk slows the market down instead of filling a mailbox."""

    def __init__(self, floor: str) -> None:
        self._floor_name = floor
        self._floor: Ref | None = None
        self._last = 0.0

    async def started(self) -> None:
        self._floor = self.context.find(self._floor_name)
        self._last = trio.current_time()
        self.context.every(Beat(), period=PERIOD)

    @handles(Beat)
    async def on_beat(self, msg: Beat) -> None:
        now = trio.current_time()
        passed, self._last = now - self._last, now
        if self._floor is not None:
            await self._floor.ask(Advance(real=min(passed, 1.0)), timeout=30.0)
