"""Releases of stops: asked for, looked through, approved."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import attrs

from wire.parts import Reduced
from wire.schema import C, message
from wire.stops import Epoch, Identifier
from wire.values import Name, Text


class ReleaseState(Enum):
    REQUESTED = "requested"
    APPROVED = "approved"
    RELEASED = "released"
    VOID = "void"


@message
class Waiver:
    engine_id: Identifier
    reason: Annotated[str, C(min_length=1, max_length=500)]


@message
class ReducedLimits:
    """For the first minutes after a release: an order that does not reduce a position is worth at most so many won."""

    minutes: Annotated[int, C(unit="min", ge=1, le=120)]
    max_order_value: Annotated[int, C(unit="won", ge=1, le=10**12)]

    def told(self) -> Reduced:
        """As an engine is told it."""
        return Reduced(for_ms=self.minutes * 60_000, max_order_value=self.max_order_value)


@message
class ReleaseRequest:
    """``resume``: strategies trade again; without it they come back paused. ``reduced``: carefully at first."""

    reason: Annotated[str, C(min_length=1, max_length=500)]
    epoch: Epoch
    waive: Annotated[list[Waiver], C(max_length=1000)] = attrs.field(factory=list)
    resume: bool = False
    reduced: ReducedLimits | None = None


@message
class ApproveRequest:
    """``release_id``: the request that was looked at; when another one has taken its place, nothing is approved."""

    epoch: Epoch
    release_id: Identifier | None = None


@message
class ChecklistItem:
    name: Name
    ok: bool
    detail: Text


@message
class ReleaseStep:
    """A state that a request for a release came to. ``by``: the person, null when it followed by itself; ``by_name``:
    what that person was called, null when it is not known."""

    at: datetime
    state: ReleaseState
    by: Annotated[str, C(max_length=64)] | None
    detail: Text | None
    by_name: Annotated[str, C(max_length=64)] | None = None


@message
class ReleaseView:
    """A request for a release. ``checklist``: as it is now while the request waits, else as it was decided on. The
    names are those of ``requested_by`` and ``approved_by``, null when they are not known."""

    id: Identifier
    stop_id: Identifier
    state: ReleaseState
    checklist: list[ChecklistItem]
    requested_by: Annotated[str, C(max_length=64)]
    requested_at: datetime
    not_before: datetime | None
    epoch: Epoch
    reason: Text
    waive: list[Waiver]
    resume: bool
    reduced: ReducedLimits | None
    approved_by: Annotated[str, C(max_length=64)] | None
    history: list[ReleaseStep]
    requested_by_name: Annotated[str, C(max_length=64)] | None = None
    approved_by_name: Annotated[str, C(max_length=64)] | None = None
