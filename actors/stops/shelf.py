"""The stops as everybody may read them at any moment without asking: the book, the links, and a pulse.

Only the coordinator changes what is here, and only without a checkpoint in between; links read it synchronously. The
pulse says when the coordinator last showed that it is alive: a lease is granted only while that was at most 2 s ago.
The shelf outlives the coordinator's restarts, so a crash there loses no stop and no link.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs

from actors.stops.book import StopBook
from actors.stops.releasing import ReleaseDesk
from store.journal_records import StopNoted
from supervisor.ref import Ref
from wire.messages import EmergencyStop
from wire.stops import Entry, Level, StopRecord, StopSnapshot

FRESH_SECONDS = 2.0

StopLane = Callable[[EmergencyStop], bool]
"""A link's own way out for stops: numbers and writes the frame in the calling step, as far as the socket takes it, and
never waits. True: the frame has left. It may raise; then the link is told like any actor."""


@attrs.define(kw_only=True, eq=False)
class StopShelf:
    book: StopBook
    desk: ReleaseDesk
    links: dict[str, Ref] = attrs.field(factory=dict)
    lanes: dict[str, StopLane] = attrs.field(factory=dict)
    pulse: float = -math.inf
    decided_elsewhere: deque[StopNoted] = attrs.field(factory=deque)
    """Stops that the emergency thread wrote down while the main loop did not answer."""
    entries_shown: Mapping[str, Entry] | None = None

    def link_up(self, engine_id: str, link: Ref, lane: StopLane | None) -> None:
        self.link_down(engine_id)
        self.links[engine_id] = link
        if lane is not None:
            self.lanes[engine_id] = lane

    def link_down(self, engine_id: str) -> None:
        self.links.pop(engine_id, None)
        self.lanes.pop(engine_id, None)

    def is_fresh(self, now: float) -> bool:
        """Whether the coordinator lives: ``now`` in monotonic seconds."""
        return now - self.pulse <= FRESH_SECONDS

    def snapshot(self, engine_id: str, held: Iterable[str]) -> StopSnapshot:
        return self.book.snapshot(engine_id, held)

    def effective(self, engine_id: str) -> list[StopRecord]:
        return self.book.effective(engine_id)

    def holds(self, engine_id: str) -> bool:
        """Whether any open stop gives this engine something to do."""
        return self.book.holds(engine_id)

    def level(self, engine_id: str, account_id: str | None) -> Level:
        return self.book.register.engine_level(engine_id, account_id)

    def differs(self, engine_id: str, account_id: str | None, epoch: int, level: Level) -> bool:
        """Whether an engine that reports this highest epoch and level lacks a stop that is open for it."""
        newest = max((r.stop_epoch for r in self.effective(engine_id)), default=0)
        return epoch < newest or level < self.level(engine_id, account_id)
