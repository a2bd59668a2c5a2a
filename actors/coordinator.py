"""The stop coordinator: decides in memory, sends at once, and only then lets the slower world know.

The order of work of a stop: the decision (one synchronous step) → every link's system lane and the journal at the same
time → database, audit, dashboards. Nothing is awaited before the links are told, and nothing that hangs afterwards
delays an answer. A release goes the other way round: everything durable first, then memory, then the links.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import cast

import attrs
import trio

from actors.link_messages import (
    DeliverRelease,
    DeliverStop,
    EpochHeard,
    LinkDown,
    LinkUp,
    LocallyStopped,
    Progressed,
    StopAcknowledged,
    StopWritten,
)
from actors.releasing import Case, Synced
from actors.requests import ApproveRelease, EngineEnrolled, EngineRemoved, Refusal, RequestRelease, TakeStop
from actors.stop_effects import AuditStop, Effect, RaiseAlert, RecordStop, SendRelease, SendStop, StopChanged
from actors.stop_keeping import StopKeeping
from actors.stop_parts import Instant
from actors.stop_records import NotKept, ReleaseNote, StopRecords
from actors.stop_shelf import StopShelf
from supervisor.actor import Actor, Reply, handles
from supervisor.message import DEFERRED
from wire.rest import ReleaseState, ReleaseView, Stop

TICK_SECONDS = 0.5
RELEASE_SECONDS = 15.0
"""How long a release may take to become durable before it is given up: 503, and still stopped."""


class _Tick:
    pass


class Coordinator(Actor):
    """``alert`` and ``audit`` pass on what others keep; ``changed`` hears which engines' stops look different now."""

    def __init__(
        self,
        shelf: StopShelf,
        keeping: StopKeeping,
        records: StopRecords,
        *,
        alert: Callable[[RaiseAlert], object],
        audit: Callable[[AuditStop], object],
        synced: Synced,
        changed: Callable[[Iterable[str]], object] = lambda _engines: None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._shelf = shelf
        self._records = records
        self._keeping = keeping
        self._alert = alert
        self._audit = audit
        self._synced = synced
        self._changed = changed
        self._wall = wall
        self._releasing: set[str] = set()
        self._written: dict[str, Case] = {}

    async def started(self) -> None:
        self._pulse()
        self.context.every(_Tick(), period=TICK_SECONDS)
        self.context.spawn(self._keeping.keep_journal, name="journal")
        self.context.spawn(self._keeping.keep_database, name="database")
        self.context.spawn(self._keeping.keep_shown, name="dashboards")
        for stop_id in self._shelf.book.runs:
            self._keeping.changed(stop_id)

    # --- stops ---

    @handles(TakeStop)
    async def on_take(self, msg: TakeStop) -> Stop | Refusal:
        now = self._now()
        taken = self._shelf.book.take(msg.request, msg.principal.user_id, now, cause=msg.cause)
        if isinstance(taken, Refusal):
            return taken
        self._carry_out(_marked(taken.effects) if msg.principal.degraded else taken.effects)
        if taken.decided:
            self._void(taken.stop_id)
        return self._keeping.put(taken.stop_id)

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        self._carry_out(self._shelf.book.tick(self._now()))
        self._keeping.watch(trio.current_time())

    # --- links ---

    @handles(LinkUp)
    async def on_link_up(self, msg: LinkUp) -> None:
        """From the return of this handler on the link gets every decision, and its snapshot has all before it."""
        self._shelf.links[msg.engine_id] = msg.link
        hello = msg.hello
        before = set(self._shelf.book.runs)
        effects = self._shelf.book.link_up(
            msg.engine_id,
            hello.stops,
            hello.latch,
            self._now(),
            mode=hello.trading_mode,
            strategies=[s.id for s in hello.strategies],
        )
        self._carry_out(effects)
        for stop_id in set(self._shelf.book.runs) - before:
            self._void(stop_id)

    @handles(LinkDown)
    async def on_link_down(self, msg: LinkDown) -> None:
        """Of a connection that was replaced by a newer one nothing is heard any more."""
        if self._shelf.links.get(msg.engine_id) == msg.link:
            del self._shelf.links[msg.engine_id]
            self._carry_out(self._shelf.book.link_down(msg.engine_id, self._now()))

    @handles(StopWritten)
    async def on_written(self, msg: StopWritten) -> None:
        self._carry_out(self._shelf.book.frame_written(msg.engine_id, msg.stop_id, msg.epoch, self._now()))

    @handles(StopAcknowledged)
    async def on_acknowledged(self, msg: StopAcknowledged) -> None:
        self._carry_out(self._shelf.book.acknowledged(msg.engine_id, msg.stop_id, msg.epoch, self._now()))

    @handles(Progressed)
    async def on_progressed(self, msg: Progressed) -> None:
        self._carry_out(self._shelf.book.progress(msg.engine_id, msg.report, self._now()))

    @handles(LocallyStopped)
    async def on_local_stop(self, msg: LocallyStopped) -> None:
        before = self._shelf.book.register.entries
        self._carry_out(self._shelf.book.local_stop(msg.engine_id, msg.stop, self._now()))
        for stop_id in self._shelf.book.register.entries.keys() - before.keys():
            self._void(stop_id)

    @handles(EpochHeard)
    async def on_epoch_heard(self, msg: EpochHeard) -> None:
        self._shelf.book.epoch_seen(msg.epoch)

    @handles(EngineEnrolled)
    async def on_enrolled(self, msg: EngineEnrolled) -> None:
        self._shelf.book.engine_known(msg.engine_id, msg.account_id)

    @handles(EngineRemoved)
    async def on_removed(self, msg: EngineRemoved) -> None:
        self._shelf.links.pop(msg.engine_id, None)
        self._carry_out(self._shelf.book.engine_removed(msg.engine_id, self._now()))

    # --- releases: slow and careful, beside the handlers, so that a stop never waits behind one ---

    @handles(RequestRelease)
    async def on_request_release(self, msg: RequestRelease) -> ReleaseView | Refusal:
        self.context.spawn(self._request, msg, self.context.defer(), name="release request")
        return cast("ReleaseView | Refusal", DEFERRED)

    @handles(ApproveRelease)
    async def on_approve_release(self, msg: ApproveRelease) -> ReleaseView | Refusal:
        self.context.spawn(self._approve, msg, self.context.defer(), name="release")
        return cast("ReleaseView | Refusal", DEFERRED)

    async def _request(self, msg: RequestRelease, reply: Reply) -> None:
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
        case = self._shelf.desk.request(
            book.runs.get(stop_id),
            book.register.entries.get(stop_id),
            msg.request,
            msg.principal,
            people,
            self._synced,
            self._now(),
        )
        if isinstance(case, Refusal):
            return case
        try:
            await self._records.note_case(case)
        except NotKept:
            self._shelf.desk.done(stop_id)
            raise
        self._note(stop_id, "release_requested", f"{msg.principal.username}: {case.reason}")
        return case.view()

    async def _approve(self, msg: ApproveRelease, reply: Reply) -> None:
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
        """Checks → database and audit → journal (the commit point) → memory → links."""
        people = await self._records.risk_users()
        book, stop_id = self._shelf.book, msg.stop_id
        entry = book.register.entries.get(stop_id)
        now = self._now()
        case = self._shelf.desk.approve(
            book.runs.get(stop_id), entry, msg.epoch, msg.principal, people, self._synced, now
        )
        if isinstance(case, Refusal):
            return case
        plan = book.plan_release(
            stop_id, case.waived, resume=case.resume, user_id=msg.principal.user_id, reason=case.reason, now=now
        )
        note = ReleaseNote(plan=plan, case=case, approved_by=msg.principal, at=now.wall)
        self._written[stop_id] = case
        await self._records.commit_release(note, book.kept_views(plan, now))
        if not self._still_valid(case):
            return _voided()
        await self._records.seal_release(note)
        del self._written[stop_id]
        self._shelf.desk.done(stop_id)
        self._carry_out(book.apply_release(plan, self._now()))
        if book.register.entries[stop_id].is_open:
            return _voided()
        released = attrs.evolve(case, state=ReleaseState.RELEASED, epoch=plan.epoch)
        self._keeping.settled(released)
        return released.view()

    def _take_back(self, stop_id: str) -> None:
        """A release that was begun and not finished may be on some disk: the stop gets an epoch that outlives it."""
        case = self._written.pop(stop_id, None)
        if case is not None:
            self._shelf.desk.done(stop_id)
            self._keeping.settled(attrs.evolve(case, state=ReleaseState.VOID))
            self._carry_out(self._shelf.book.reassert(stop_id, "a release did not become durable", self._now()))

    def _still_valid(self, case: Case) -> bool:
        waiting = self._shelf.desk.waiting(case.stop_id)
        return waiting is not None and waiting.id == case.id

    def _void(self, stop_id: str) -> None:
        """A decision was taken: whatever was asked before it about the same engines is worth nothing."""
        runs = self._shelf.book.runs
        for case in self._shelf.desk.void_touched(runs[stop_id], runs.get):
            self._note(case.stop_id, "release_void", f"{stop_id} was taken or raised")
            self._keeping.settled(attrs.evolve(case, state=ReleaseState.VOID))

    # --- carrying out ---

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        """Links first, in order; then everything that may be slow is put where other tasks find it."""
        rest: list[Effect] = []
        self._pulse()
        before = self._shelf.entries_shown
        for effect in effects:
            match effect:
                case SendStop():
                    self._tell(effect.engine_id, DeliverStop(message=effect.message))
                case SendRelease():
                    self._tell(effect.engine_id, DeliverRelease(message=effect.message))
                case _:
                    rest.append(effect)
        for effect in rest:
            self._hand_on(effect)
        # What engines report about a stop changes no level; only a decision does, and that is a new register.
        if before is not self._shelf.book.register.entries:
            self._shelf.entries_shown = self._shelf.book.register.entries
            self._changed(
                {e for s in rest if isinstance(s, StopChanged) for e in self._shelf.book.runs[s.stop_id].parts}
            )

    def _hand_on(self, effect: Effect) -> None:
        match effect:
            case RecordStop():
                self._keeping.record(effect)
            case StopChanged():
                self._keeping.changed(effect.stop_id)
            case RaiseAlert():
                self._alert(effect)
            case AuditStop():
                self._audit(effect)

    def _tell(self, engine_id: str, message: object) -> None:
        link = self._shelf.links.get(engine_id)
        if link is not None:
            link.tell(message, urgent=True)

    def _note(self, stop_id: str, event: str, detail: str) -> None:
        run = self._shelf.book.runs.get(stop_id)
        if run is not None:
            run.note(self._now(), event, detail=detail)
            self._keeping.changed(stop_id)

    def _pulse(self) -> None:
        self._shelf.pulse = trio.current_time()

    def _now(self) -> Instant:
        return Instant(trio.current_time(), self._wall())


def _marked(effects: Iterable[Effect]) -> list[Effect]:
    return [attrs.evolve(e, degraded=True) if isinstance(e, AuditStop) else e for e in effects]


def _not_now(reason: str) -> Refusal:
    return Refusal(status=503, error="error_not_durable", reason=f"still stopped: {reason}")


def _voided() -> Refusal:
    reason = "the stop was raised, or another one came, while this release was being written: still stopped"
    return Refusal(status=409, error="error_release_void", reason=reason)
