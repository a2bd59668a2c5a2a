"""Requests for a release that an earlier platform left waiting: which of them still wait. Pure.

A restart forgets nothing in either direction. A request comes back as it was asked, with its earliest moment; what
would have voided it while a platform ran (a raise, a new stop that could hold the same engine) voids it across a
restart too.
"""

from collections.abc import Iterable

from actors.stops.book import StopBook
from actors.stops.cases import Case, case_of
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk, touches
from store.releases import ReleaseRow
from wire.rest.releases import ReleaseState


def recall(desk: ReleaseDesk, book: StopBook, rows: Iterable[ReleaseRow], now: Instant) -> list[Case]:
    """Puts what still holds back on the desk. Returns the others as they ended, to be written down."""
    ended: list[Case] = []
    for row in rows:
        case = case_of(row, now)
        done = _end_of(case, desk, book, now)
        if done is None:
            desk.put_back(case)
            continue
        if (run := book.runs.get(case.stop_id)) is not None and done.state is ReleaseState.VOID:
            run.note(now, "release_void", detail=done.history[-1].detail)
        ended.append(done)
    return ended


def _end_of(case: Case, desk: ReleaseDesk, book: StopBook, now: Instant) -> Case | None:
    entry, run = book.register.entries.get(case.stop_id), book.runs.get(case.stop_id)
    if entry is not None and not entry.is_open:
        if case.state is ReleaseState.APPROVED:
            return case.stepped(ReleaseState.RELEASED, now.wall)
        return case.ended(now, "its stop is not open any more")
    if entry is None or run is None:
        return case.ended(now, "its stop is not known")
    if case.state is not ReleaseState.REQUESTED:
        return case.ended(now, "the platform was restarted before it was durable")
    if entry.stop_epoch != case.epoch:
        return case.ended(now, "its stop was raised")
    newer = [r.stop_id for r in book.runs.values() if r.epoch > case.seen_epoch and touches(run, r)]
    if newer:
        return case.ended(now, f"{newer[0]} was taken or raised")
    if desk.waiting(case.stop_id) is not None:
        return case.ended(now, "it was asked for anew")
    return None
