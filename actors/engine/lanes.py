"""The SDK's lanes as an actor: they make files safe and watch the clocks, and never make the engine wait."""

from supervisor.actor import Actor
from wire.sdk.clock import Clock
from wire.sdk.trio_driver import carry_on
from wire.sdk.work import Work


class Lanes(Actor):
    def __init__(self, *, work: Work, clock: Clock) -> None:
        self._work = work
        self._clock = clock

    async def started(self) -> None:
        self.context.spawn(carry_on, self._work, self._clock)
