"""The work of a release: checks → database and audit → journal (the commit point) → memory → links.

It waits for disks, so it runs beside the coordinator's handlers. Whatever fails on the way leaves everything stopped,
and a release that may have reached some disk half-way is outlived by a new epoch of its stop.
"""

from collections.abc import Callable, Iterable

import attrs
import trio

from actors.requests import ApproveRelease, Principal, Refusal, RequestRelease
from actors.stops.book import HOLD
from actors.stops.cases import Case
from actors.stops.effects import Effect
from actors.stops.keeping import StopKeeping
from actors.stops.parts import Instant
from actors.stops.plans import ReleasePlan
from actors.stops.records import NotKept, ReleaseNote, StopRecords
from actors.stops.releasing import Synced, Versions, checklist, no_versions
from actors.stops.run import PLATFORM
from actors.stops.shelf import StopShelf
from supervisor.actor import Reply
from wire.messages import REDUCED_RELEASES
from wire.parts import Reduced
from wire.rest.access import Role
from wire.rest.releases import ReleaseState, ReleaseView

JOURNAL_SECONDS = 1.0
RELEASE_SECONDS = 15.0
"""How long a release may take to become durable before it is given up: 503, and still stopped."""


class Releases:
    """``carry_out`` does what a decision asks for, ``now`` is the present moment."""

    def __init__(
        self,
        shelf: StopShelf,
        keeping: StopKeeping,
        records: StopRecords,
        synced: Synced,
        carry_out: Callable[[Iterable[Effect]], object],
        now: Callable[[], Instant],
        *,
        versions: Versions = no_versions,
    ) -> None:
        self._shelf = shelf
        self._keeping = keeping
        self._records = records
        self._synced = synced
        self._versions = versions
        self._carry_out = carry_out
        self._now = now
        self._releasing: set[str] = set()
        """Stops that a release which is being written ends, or leaves: no other one may touch them meanwhile."""
        self._written: dict[str, ReleaseNote] = {}

    async def request(self, msg: RequestRelease, reply: Reply) -> None:
        with trio.move_on_after(RELEASE_SECONDS):
            try:
                reply.send(await self._requested(msg))
            except NotKept as error:
                reply.send(_not_now(error.reason))
            return
        reply.send(_not_now("the database does not answer"))

    async def _requested(self, msg: RequestRelease) -> ReleaseView | Refusal:
        people = await self._records.risk_users()
        book, stop_id = self._shelf.book, msg.stop_id
        await self._stop_is_kept(stop_id)
        waiting = self._shelf.desk.waiting(stop_id)
        case = self._shelf.desk.request(
            book.runs.get(stop_id),
            book.register.entries.get(stop_id),
            msg.request,
            msg.principal,
            people,
            self._synced,
            self._now(),
            seen_epoch=book.register.epoch,
            unreduced=book.roster.incapable(REDUCED_RELEASES, book.connected),
            versions=self._versions,
        )
        if isinstance(case, Refusal):
            return case
        if case is waiting:
            return case.view()  # asked again with the same words: it waits on, and is written down already
        if waiting is not None:
            self._keeping.settled(waiting.ended(self._now(), f"{msg.principal.username} asked anew"))
        try:
            await self._records.note_case(case)
        except NotKept:
            self._forget(case, "it could not be written down")
            raise
        except trio.Cancelled:
            self._forget(case, "it was not written down in time")
            raise
        if not self._still_valid(case):
            self._keeping.settled(self._shelf.desk.ended(stop_id) or case.ended(self._now(), "it was asked for anew"))
            return _voided()
        self._note(stop_id, "release_requested", f"{msg.principal.username}: {case.reason}")
        return case.view()

    async def _stop_is_kept(self, stop_id: str) -> None:
        """A request is about a stop that the database has; one asked for at once may be ahead of it. The journal goes
        first, as ever."""
        if stop_id not in self._shelf.book.runs:
            return
        await self._keeping.journal_first(JOURNAL_SECONDS)
        await self._keeping.save(stop_id)

    def _forget(self, case: Case, why: str) -> None:
        """Nobody was told that it waits; what of it may have reached the database must not wait there either."""
        void = case.ended(self._now(), why)
        self._shelf.desk.done(void)
        self._keeping.settled(void)

    def shown(self, stop_id: str) -> ReleaseView | None:
        """The request that waits, with its checklist as it is now; else how the last one ended, while that is known."""
        case, run = self._shelf.desk.waiting(stop_id), self._shelf.book.runs.get(stop_id)
        if case is not None and run is not None:
            items = checklist(run, case.waive, case.reason, self._synced, self._versions)
            return attrs.evolve(case, checklist=items).view()
        ended = self._shelf.desk.ended(stop_id)
        return ended.view() if ended is not None else None

    async def approve(self, msg: ApproveRelease, reply: Reply) -> None:
        if msg.stop_id in self._releasing:
            reply.send(Refusal(status=409, error="error_release_running", reason="this release is being written"))
            return
        self._releasing.add(msg.stop_id)
        answer: ReleaseView | Refusal = _not_now("it did not become durable in time")
        try:
            with trio.move_on_after(RELEASE_SECONDS):
                answer = await self._approved(msg)
        except NotKept as error:
            answer = _not_now(error.reason)
        finally:
            self._releasing.discard(msg.stop_id)
            self._take_back(msg.stop_id)
        reply.send(answer)

    async def _approved(self, msg: ApproveRelease) -> ReleaseView | Refusal:
        """Checks → stop and epoch in the journal → database and audit → journal (the commit point) → memory → links."""
        people = await self._records.risk_users()
        book, stop_id = self._shelf.book, msg.stop_id
        entry = book.register.entries.get(stop_id)
        now = self._now()
        case = self._shelf.desk.approve(
            book.runs.get(stop_id),
            entry,
            msg.epoch,
            msg.principal,
            people,
            self._synced,
            now,
            release_id=msg.release_id,
            versions=self._versions,
        )
        if isinstance(case, Refusal):
            return case
        return await self._carried_out(case, msg.principal, still_valid=lambda: self._still_valid(case))

    async def _carried_out(
        self, case: Case, who: Principal, *, still_valid: Callable[[], bool]
    ) -> ReleaseView | Refusal:
        book, stop_id, now = self._shelf.book, case.stop_id, self._now()
        plan = book.plan_release(
            stop_id,
            case.waived,
            resume=case.resume,
            user_id=who.user_id,
            username=who.username,
            reason=case.reason,
            now=now,
            reduced=_reduced(case),
            busy=self._releasing,
        )
        left = {kept.stop_id for kept in plan.kept}
        self._releasing |= left
        try:
            return await self._written_down(case, plan, who, still_valid=still_valid)
        finally:
            self._releasing -= left

    async def _written_down(
        self, case: Case, plan: ReleasePlan, who: Principal, *, still_valid: Callable[[], bool]
    ) -> ReleaseView | Refusal:
        book, stop_id, now = self._shelf.book, case.stop_id, self._now()
        entry, words = book.register.entries[stop_id], book.runs[stop_id].words
        note = ReleaseNote(plan=plan, entry=entry, words=words, case=case, approved_by=who, at=now.wall)
        self._written[stop_id] = note
        await self._records.reserve_release(note)
        await self._records.commit_release(note, book.kept_views(plan, now))
        if not still_valid():
            return _voided()
        await self._records.seal_release(note)
        del self._written[stop_id]
        self._carry_out(book.apply_release(plan, self._now()))
        self._void_raised(plan)
        if book.register.entries[stop_id].is_open:
            self._forget(case, "the stop was raised meanwhile")
            return _voided()
        released = case.stepped(ReleaseState.RELEASED, self._now().wall)
        self._shelf.desk.done(released)
        self._keeping.settled(released)
        return released.view()

    def _take_back(self, stop_id: str) -> None:
        """A release that was begun and not finished may be on some disk: the stop gets an epoch that outlives it, and
        the stops of the waived engines, which are on the same disk then, are open from now on."""
        note = self._written.pop(stop_id, None)
        if note is not None:
            self._forget(note.case, "the release did not become durable")
            why, kept = "a release did not become durable", note.plan.kept
            self._carry_out(self._shelf.book.reassert(stop_id, why, self._now(), kept=kept))
            self._void_raised(note.plan)

    def _void_raised(self, plan: ReleasePlan) -> None:
        """Who asked for the release of a stop that an engine is now left with again has not looked at this one."""
        for kept in plan.kept:
            waiting = self._shelf.desk.waiting(kept.stop_id)
            if waiting is not None and waiting.epoch != self._shelf.book.runs[kept.stop_id].epoch:
                why = "its stop was raised"
                self._forget(waiting, why)
                self._note(kept.stop_id, "release_void", why)

    def _still_valid(self, case: Case) -> bool:
        waiting = self._shelf.desk.waiting(case.stop_id)
        return waiting is not None and waiting.id == case.id

    async def lift(self, stop_id: str) -> None:
        """Ends a hold of the platform's own. Not written now: it stays, and is tried again."""
        run, now = self._shelf.book.runs[stop_id], self._now()
        if stop_id in self._releasing or run.words.cause != HOLD:  # in the meantime a person wants it too
            return
        case = Case(
            id=f"lift-{stop_id}"[-64:],
            stop_id=stop_id,
            state=ReleaseState.APPROVED,
            epoch=run.epoch,
            seen_epoch=self._shelf.book.register.epoch,
            requested_by=PLATFORM,
            requested_at=now,
            not_before=None,
            reason="the wanted parameters are in force",
            resume=True,
            waive=[],
            checklist=[],
        )
        who = Principal(user_id=PLATFORM, username=PLATFORM, role=Role.RISK, auth_time=now.wall)
        self._releasing.add(stop_id)
        try:
            with trio.move_on_after(RELEASE_SECONDS):
                await self._carried_out(case, who, still_valid=lambda: True)
        except NotKept:
            return
        finally:
            self._releasing.discard(stop_id)
            self._take_back(stop_id)

    def _note(self, stop_id: str, event: str, detail: str) -> None:
        run = self._shelf.book.runs.get(stop_id)
        if run is not None:
            run.note(self._now(), event, detail=detail)
            self._keeping.changed(stop_id)


def _reduced(case: Case) -> Reduced | None:
    return case.reduced.told() if case.reduced is not None else None


def _not_now(reason: str) -> Refusal:
    return Refusal(status=503, error="error_not_durable", reason=f"still stopped: {reason}")


def _voided() -> Refusal:
    reason = "the stop was raised, or another one came, while this release was being written: still stopped"
    return Refusal(status=409, error="error_release_void", reason=reason)
