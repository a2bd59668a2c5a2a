"""One request to release one stop: what was asked, by whom, and how it went on. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from actors.requests import Principal
from actors.stops.parts import Instant
from store.releases import ReleaseRow
from wire.rest.releases import ChecklistItem, ReducedLimits, ReleaseState, ReleaseStep, ReleaseView, Waiver


@attrs.frozen(kw_only=True)
class Case:
    """``epoch`` is what it clears, ``seen_epoch`` the highest one of the register when it was asked for: whatever was
    decided since has a higher one. ``history`` has a step for each state, oldest first."""

    id: str
    stop_id: str
    state: ReleaseState
    epoch: int
    seen_epoch: int
    requested_by: str
    requested_at: Instant
    not_before: datetime | None
    reason: str
    resume: bool
    waive: list[Waiver]
    checklist: list[ChecklistItem]
    reduced: ReducedLimits | None = None
    history: list[ReleaseStep] = attrs.field(factory=list)

    def stepped(
        self, state: ReleaseState, at: datetime, by: Principal | None = None, detail: str | None = None
    ) -> "Case":
        who, name = (by.user_id, by.username) if by is not None else (None, None)
        step = ReleaseStep(at=at, state=state, by=who, by_name=name, detail=detail)
        return attrs.evolve(self, state=state, history=[*self.history, step])

    def ended(self, now: Instant, why: str) -> "Case":
        """Worth nothing any more."""
        return self.stepped(ReleaseState.VOID, now.wall, detail=why)

    def asks_the_same_as(self, other: "Case") -> bool:
        fields = ("stop_id", "epoch", "requested_by", "reason", "resume", "waive", "reduced")
        return all(getattr(self, f) == getattr(other, f) for f in fields)

    def view(self) -> ReleaseView:
        return view_of(row_of(self))

    @property
    def waived(self) -> list[str]:
        return [w.engine_id for w in self.waive]


def row_of(case: Case) -> ReleaseRow:
    """The case as the database keeps it."""
    approved = _last(case.history, ReleaseState.APPROVED)
    final = case.history[-1] if case.history and case.history[-1].state is not ReleaseState.REQUESTED else None
    return ReleaseRow(
        id=case.id,
        stop_id=case.stop_id,
        state=case.state,
        epoch=case.epoch,
        seen_epoch=case.seen_epoch,
        requested_by=case.requested_by,
        reason=case.reason,
        resume=case.resume,
        reduced=case.reduced,
        waive=case.waive,
        checklist=case.checklist,
        requested_at=case.requested_at.wall,
        not_before=case.not_before,
        approved_by=approved.by if approved else None,
        decided_at=final.at if final else None,
        history=case.history,
    )


def case_of(row: ReleaseRow, now: Instant) -> Case:
    """A case that an earlier platform kept. Its age is taken from the wall clock, and is never below zero: a clock
    that was set back makes the wait longer, not shorter."""
    age = max(timedelta(0), now.wall - row.requested_at)
    return Case(
        id=row.id,
        stop_id=row.stop_id,
        state=row.state,
        epoch=row.epoch,
        seen_epoch=row.seen_epoch,
        requested_by=row.requested_by,
        requested_at=Instant(now.mono - age.total_seconds(), row.requested_at),
        not_before=row.not_before,
        reason=row.reason,
        resume=row.resume,
        reduced=row.reduced,
        waive=row.waive,
        checklist=row.checklist,
        history=row.history,
    )


def view_of(row: ReleaseRow) -> ReleaseView:
    return ReleaseView(
        id=row.id,
        stop_id=row.stop_id,
        state=row.state,
        checklist=row.checklist,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        not_before=row.not_before,
        epoch=row.epoch,
        reason=row.reason,
        waive=row.waive,
        resume=row.resume,
        reduced=row.reduced,
        approved_by=row.approved_by,
        history=row.history,
        requested_by_name=_name(row.history, ReleaseState.REQUESTED),
        approved_by_name=_name(row.history, ReleaseState.APPROVED),
    )


def _name(history: Iterable[ReleaseStep], state: ReleaseState) -> str | None:
    step = _last(history, state)
    return step.by_name if step is not None else None


def _last(history: Iterable[ReleaseStep], state: ReleaseState) -> ReleaseStep | None:
    return next((step for step in reversed(list(history)) if step.state is state), None)
