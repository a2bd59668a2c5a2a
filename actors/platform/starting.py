"""The stops at the start: what the copies say together, and what a local operator left for this moment."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from actors.fleet.enrolled import EnrolledEngines
from actors.platform.opening import Opened
from actors.stops.book import StopBook
from actors.stops.cases import Case
from actors.stops.copies import StopCopies, noted, words_of
from actors.stops.effects import AuditStop, Effect, RaiseAlert, RecordStop, StopChanged
from actors.stops.ledger import Prove
from actors.stops.parts import Instant
from actors.stops.past import Over, over_of
from actors.stops.recalling import recall
from actors.stops.records import NotKept
from actors.stops.reopening import Check
from actors.stops.shelf import StopShelf
from store.left_stops import collect, forget
from wire.rest.stops import StopRequest

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Begun:
    """The book, and what the coordinator has to carry out first."""

    book: StopBook
    first: list[Effect]


def begin(
    opened: Opened,
    enrolled: EnrolledEngines,
    copies: StopCopies,
    home: Path,
    *,
    prove: Prove,
    is_ours: Check,
    new_id: Callable[[], str],
) -> Begun:
    """Blocking: what a local operator left is in the journal when this returns, before anybody is listened to."""
    book = StopBook(opened.start.register, prove=prove, is_ours=is_ours, new_id=new_id)
    for engine in enrolled.everyone():
        book.engine_known(engine.engine_id, engine.account_id)
    book.roster.is_complete = enrolled.is_complete
    now = Instant(trio.current_time(), datetime.now(UTC))
    if opened.kept is not None:
        book.remember(opened.kept.views, opened.kept.requests, now, past=_past(opened))
        _newest_words(book, opened)
    first = book.recover({stop_id: words_of(s) for stop_id, s in opened.start.stops.items()}, now)
    first += book.fill_in(now)
    first += opened.untold
    first += _unsealed_releases(book, opened, now)
    first += _lost_journal(opened, now)
    first += _left_stops(home, book, copies, now)
    return Begun(book=book, first=first)


def _past(opened: Opened) -> Iterator[Over]:
    """In the words of the newest copy."""
    for brief in opened.kept.past if opened.kept is not None else ():
        stop_id = brief.noted.stop_id
        newer = opened.start.register.entries[stop_id].stop_epoch > brief.entry.stop_epoch
        yield over_of(brief, words_of(opened.start.stops[stop_id] if newer else brief.noted))


def _newest_words(book: StopBook, opened: Opened) -> None:
    """Where only the journal has the last raise, it says who stopped, why, and whether it is a drill."""
    for view in opened.kept.views if opened.kept is not None else ():
        run, noted_stop = book.runs.get(view.stop_id), opened.start.stops.get(view.stop_id)
        if run is not None and noted_stop is not None and view.epoch < run.epoch:
            run.words = words_of(noted_stop)


def _unsealed_releases(book: StopBook, opened: Opened, now: Instant) -> list[Effect]:
    """A release that reached the database and not the journal did not happen. The stop gets an epoch above it in both:
    a start that has only the database would believe it."""
    views = opened.kept.views if opened.kept is not None else ()
    unsealed = [v.stop_id for v in views if v.released_at is not None and book.register.entries[v.stop_id].is_open]
    return [e for i in unsealed for e in book.reassert(i, "a release of it was written, but not committed", now)]


def recall_releases(opened: Opened, shelf: StopShelf) -> list[Case]:
    """The requests for a release that an earlier platform left: what still holds waits on, the rest is returned."""
    if opened.kept is None:
        return []
    now = Instant(trio.current_time(), datetime.now(UTC))
    return recall(shelf.desk, shelf.book, opened.kept.releases, now)


def _lost_journal(opened: Opened, now: Instant) -> list[Effect]:
    """The journal was begun anew with this stop in it; the database and people get it now. Where everything was halted
    already there is no such stop, and people hear of the damage all the same."""
    lost, findings = opened.start.lost_journal, opened.start.findings
    if lost is None:
        reason = "; ".join(findings)
        return [RaiseAlert(code="error_lost_journal", severity="critical", reason=reason)] if findings else []
    audit = AuditStop(
        action="stop.taken",
        stop_id=lost.stop_id,
        epoch=lost.stop_epoch,
        actor=lost.user_id,
        at=now.wall,
        detail=f"{lost.scope} {lost.level.value} {lost.reason}",
    )
    alert = RaiseAlert(code="error_lost_journal", severity="critical", reason=lost.reason, stop_id=lost.stop_id)
    return [StopChanged(stop_id=lost.stop_id), audit, alert]


def _left_stops(home: Path, book: StopBook, copies: StopCopies, now: Instant) -> list[Effect]:
    effects: list[Effect] = []
    for path, stop in collect(home, now.wall):
        request = StopRequest(
            request_id=stop.request_id, scope=stop.scope, level=stop.level, reason=stop.reason, drill=stop.drill
        )
        taken = book.take_unchecked(
            request, stop.user_id, now, cause=stop.cause, username=stop.username, asked_at=stop.at
        )
        effects += taken.effects
        try:
            copies.append([noted(e.stop_id, e.entry, e.words) for e in taken.effects if isinstance(e, RecordStop)])
        except NotKept as error:
            log.warning("a stop that was left is open, but stays left too: %s", error)
        else:
            try:
                forget(path)
            except OSError as error:
                log.warning("a stop that was left is open, and its file stays: %s", error)
    return effects
