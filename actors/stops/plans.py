"""What a decision about a stop comes to: the answer to a request, and the plan of a release."""

import attrs

from actors.stops.effects import Effect, Words
from wire.parts import Reduced
from wire.stops import Entry


@attrs.frozen(kw_only=True)
class Taken:
    """``stop_id`` is the stop that now covers the request, new or not."""

    stop_id: str
    effects: list[Effect]
    decided: bool
    """False: the same request again, nothing was to be decided."""


@attrs.frozen(kw_only=True)
class Kept:
    """A stop that stays, for one waived engine, when the wider one goes: a new one, or the one that an earlier release
    left for this engine, raised. ``said``: the words of this release; ``words``: those that the stop then has."""

    stop_id: str
    engine_id: str
    entry: Entry
    words: Words
    said: Words


@attrs.frozen(kw_only=True)
class ReleasePlan:
    """A release with its epoch reserved: whatever is decided after it has a higher one and survives it."""

    stop_id: str
    stop_epoch: int
    epoch: int
    kept: list[Kept]
    resume: bool
    user_id: str
    reason: str
    reduced: Reduced | None = None
    username: str | None = None
