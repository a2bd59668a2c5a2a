"""How far two wall clocks are apart, measured over the link itself.

Each exchange gives an offset that is wrong by at most half of what the way took, so of the last eight the one with the
shortest way counts (the clock filter of NTP, RFC 5905, 10).
"""

from collections import deque
from datetime import datetime

import attrs

EXCHANGES = 8
WARNING_MS = 500
"""Beyond this a person is warned: times of the two machines can no longer be put in order."""


@attrs.define
class Skew:
    """Of our clock against the peer's: positive when ours is ahead."""

    _exchanges: deque[tuple[float, float]] = attrs.field(factory=lambda: deque(maxlen=EXCHANGES))

    def add(self, sent: datetime, received: datetime, replied: datetime, returned: datetime) -> None:
        """``sent`` and ``returned`` by our clock, ``received`` and ``replied`` by the peer's. One during which a clock
        was set tells nothing."""
        way = (returned - sent).total_seconds() - (replied - received).total_seconds()
        ahead = ((sent - received).total_seconds() + (returned - replied).total_seconds()) / 2
        if way >= 0:
            self._exchanges.append((way, ahead))

    @property
    def ms(self) -> int | None:
        """None before the first exchange."""
        return round(min(self._exchanges)[1] * 1000) if self._exchanges else None
