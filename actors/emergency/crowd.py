"""Who is kept at an emergency door when too many come: pure, a guest's place is its own to end.

A guest whose request has not come whole is only speaking; one whose request has, and who may ask for it, is served.
When one more than ``limit`` comes, the address with the most speaking guests loses the oldest of them, so that a crowd
from one place puts out nobody from another. Where nobody speaks, the longest served one is answered with what is known.
"""

from collections import Counter

import attrs
import trio

CROWD = 64
REQUEST_SECONDS = 5.0
"""From the first byte to the last of a request, TLS included; and again for its answer to be read."""


@attrs.define(eq=False)
class Guest:
    """``place`` ends the connection, ``waiting`` only its wait for the engines."""

    address: str
    place: trio.CancelScope
    waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define
class Crowd:
    """The guests of one door, the oldest first."""

    limit: int = CROWD
    speaking: dict[Guest, None] = attrs.field(factory=dict)
    served: dict[Guest, None] = attrs.field(factory=dict)

    def enter(self, guest: Guest) -> None:
        if len(self.speaking) + len(self.served) >= self.limit:
            self._make_room()
        self.speaking[guest] = None

    def serve(self, guest: Guest) -> None:
        """Its request is whole, and it may ask for what it asks for."""
        self.speaking.pop(guest, None)
        self.served[guest] = None

    def leave(self, guest: Guest) -> None:
        self.speaking.pop(guest, None)
        self.served.pop(guest, None)

    def _make_room(self) -> None:
        if self.speaking:
            counted = Counter(guest.address for guest in self.speaking)
            most = max(counted.values())
            oldest = next(guest for guest in self.speaking if counted[guest.address] == most)
            del self.speaking[oldest]
            oldest.place.cancel()
        else:
            oldest = next(iter(self.served))
            del self.served[oldest]
            oldest.waiting.cancel()
