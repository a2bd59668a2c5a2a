"""Stops that are long over, as memory keeps them: who, why and when, and how they ended. Pure.

A desk collects stops for years. Of these nothing is kept in memory but what a decision may need: that they are
released (the register), by which request they were asked for, and whose they were. How it went with each engine is in
the database, and is read there when somebody asks.
"""

from collections.abc import Iterator
from datetime import datetime

import attrs

from actors.stops.effects import Words
from actors.stops.run import Run
from store.stops import Brief
from wire.rest.stops import Stop, StopState
from wire.stops import Entry


@attrs.frozen(kw_only=True)
class Over:
    """One of them. Its scope, level and epochs are those of the register."""

    stop_id: str
    words: Words
    released_at: datetime | None
    delivered: int
    engines: int
    state: StopState

    @classmethod
    def of(cls, run: Run) -> "Over":
        """Of one that is packed."""
        assert run.ended is not None
        delivered, engines, state = run.ended
        return cls(
            stop_id=run.stop_id,
            words=run.words,
            released_at=run.released_at.wall if run.released_at is not None else None,
            delivered=delivered,
            engines=engines,
            state=state,
        )

    def view(self, entry: Entry) -> Stop:
        """What can be said of it without the database: nothing of its engines but how many they were."""
        words = self.words
        return Stop(
            stop_id=self.stop_id,
            request_id=words.request_id,
            epoch=entry.stop_epoch,
            scope=entry.scope,
            level=entry.level,
            user_id=words.user_id,
            username=words.username,
            reason=words.reason,
            requested_at=words.requested_at,
            delivered=self.delivered,
            engines=self.engines,
            durable=True,
            state=self.state,
            results=[],
            drill=words.drill,
            cause=words.cause,
            released_at=self.released_at,
        )


def over_of(brief: Brief, words: Words) -> Over:
    return Over(
        stop_id=brief.noted.stop_id,
        words=words,
        released_at=brief.released_at,
        delivered=brief.delivered,
        engines=brief.engines,
        state=brief.state,
    )


class Past:
    """All of them, by their ids."""

    def __init__(self) -> None:
        self._over: dict[str, Over] = {}
        self._last_drill: Over | None = None

    def __contains__(self, stop_id: str) -> bool:
        return stop_id in self._over

    def __len__(self) -> int:
        return len(self._over)

    def get(self, stop_id: str) -> Over | None:
        return self._over.get(stop_id)

    def add(self, over: Over) -> None:
        self._over[over.stop_id] = over
        last, words = self._last_drill, over.words
        if words.drill and (last is None or words.requested_at > last.words.requested_at):
            self._last_drill = over

    def opened_again(self, stop_id: str) -> bool:
        """It is no more of the past. Whether it was."""
        return self._over.pop(stop_id, None) is not None

    def last_drill(self) -> Iterator[Over]:
        if self._last_drill is not None:
            yield self._last_drill
