"""The stop coordinator: decides in memory, sends at once, and only then lets the slower world know.

The order of work of a stop: the decision (one synchronous step) → every link's system lane and the journal at the same
time → database, audit, dashboards. Nothing is awaited before the links are told, and nothing that hangs afterwards
delays an answer. A release goes the other way round: everything durable first, then memory, then the links.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import attrs
import trio

from actors.fleet.fleet import FleetBoard, preview_stop
from actors.links.messages import (
    DeliverRelease,
    DeliverStop,
    EpochHeard,
    HoldStrategy,
    LiftHold,
    LinkDown,
    LinkUp,
    LocallyStopped,
    Progressed,
    StopAcknowledged,
    StopsRead,
    StopWritten,
)
from actors.requests import (
    ApproveRelease,
    ContinueStop,
    EngineEnrolled,
    EngineRemoved,
    PreviewStop,
    Refusal,
    RequestRelease,
    ShowRelease,
    TakeStop,
)
from actors.stops.copies import words_of
from actors.stops.effects import AuditStop, Effect, RaiseAlert, RecordStop, SendRelease, SendStop, StopChanged
from actors.stops.keeping import StopKeeping
from actors.stops.parts import Instant
from actors.stops.recalling import recall
from actors.stops.records import StopRecords
from actors.stops.release_work import Releases
from actors.stops.shelf import StopShelf
from supervisor.actor import Actor, Reply, handles
from supervisor.message import DEFERRED
from supervisor.reason import ExitReason
from wire.messages import EmergencyStop
from wire.rest.releases import ReleaseView
from wire.rest.stops import PreviewAnswer, Stop
from wire.stops import Entry, Register

TICK_SECONDS = 0.5
FLUSH_SECONDS = 2.0


class _Tick:
    pass


class Coordinator(Actor):
    """``alert`` and ``audit`` pass on what others keep; ``changed`` hears which engines' stops look different now."""

    def __init__(
        self,
        shelf: StopShelf,
        keeping: StopKeeping,
        records: StopRecords,
        board: FleetBoard,
        *,
        alert: Callable[[RaiseAlert], object],
        audit: Callable[[AuditStop], object],
        changed: Callable[[Iterable[str]], object] = lambda _engines: None,
        first: list[Effect] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._shelf = shelf
        self._board = board
        self._keeping = keeping
        self._alert = alert
        self._audit = audit
        self._changed = changed
        self._wall = wall
        self._lifting: set[tuple[str, str]] = set()
        self._first = first if first is not None else []
        self._releases = Releases(
            shelf, keeping, records, board.synced, self._carry_out, self._now, versions=board.versions
        )

    async def started(self) -> None:
        self._pulse()
        self.context.every(_Tick(), period=TICK_SECONDS)
        self.context.spawn(self._keeping.keep_journal, name="journal")
        self.context.spawn(self._keeping.keep_database, name="database")
        self.context.spawn(self._keeping.keep_shown, name="dashboards")
        for stop_id, entry in self._shelf.book.register.open_stops():
            if (run := self._shelf.book.runs.get(stop_id)) is None:
                continue
            self._keeping.changed(stop_id)
            if not run.durable:  # an earlier incarnation may have ended between the decision and its note
                self._keeping.record(RecordStop(stop_id=stop_id, entry=entry, words=run.words))
        first, self._first[:] = list(self._first), []
        self._carry_out(first)

    async def stopped(self, reason: ExitReason) -> None:
        """What was decided reaches the journal, and the database if it can, before the end."""
        with trio.move_on_after(FLUSH_SECONDS):
            await self._keeping.flush()

    # --- stops ---

    @handles(TakeStop)
    async def on_take(self, msg: TakeStop) -> Stop | Refusal:
        self._adopt()
        now = self._now()
        who, book, request = msg.principal, self._shelf.book, msg.request
        key = request.request_id if msg.by_key else None
        if key is not None and book.is_spent(key, request.scope, who.user_id, now):
            request = attrs.evolve(cast("Any", request), request_id=None)
        taken = book.take(request, who.user_id, now, cause=msg.cause, username=who.username)
        if isinstance(taken, Refusal):
            return taken
        self._carry_out(_marked(taken.effects) if who.degraded else taken.effects)
        if taken.decided:
            self._void(taken.stop_id)
        elif taken.stop_id in book.past:
            self.context.spawn(self._tell_earlier, taken.stop_id, self.context.defer(), name="an earlier stop")
            return cast("Stop | Refusal", DEFERRED)
        return self._keeping.put(taken.stop_id)

    async def _tell_earlier(self, stop_id: str, reply: Reply) -> None:
        """Nothing was to be decided and nothing is sent: whoever repeats an old request may wait for the database."""
        reply.send(await self._keeping.put_earlier(stop_id))

    @handles(ContinueStop)
    async def on_continue(self, msg: ContinueStop) -> Stop | Refusal:
        self._adopt()
        who = msg.principal
        taken = self._shelf.book.go_on(msg.stop_id, who.user_id, self._now(), username=who.username)
        if isinstance(taken, Refusal):
            return taken
        self._carry_out(_marked(taken.effects) if who.degraded else taken.effects)
        self._void(taken.stop_id)
        return self._keeping.put(taken.stop_id)

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        self._adopt()
        self._carry_out(self._shelf.book.tick(self._now()))
        self._keeping.watch(trio.current_time())
        self._keeping.fold()
        self._lift_some()

    def _adopt(self) -> None:
        """What the emergency thread decided while this loop did not answer: it is open, and now it is also sent."""
        while self._shelf.decided_elsewhere:
            stop = self._shelf.decided_elsewhere.popleft()
            found = Register(entries={stop.stop_id: stop.entry()})
            merged = self._shelf.book.merge(found, {stop.stop_id: words_of(stop)}, self._now(), decided=True)
            self._carry_out(merged)
            self._void(stop.stop_id)

    # --- links ---

    @handles(LinkUp)
    async def on_link_up(self, msg: LinkUp) -> None:
        """From the return of this handler on the link gets every decision, and its snapshot has all before it."""
        self._shelf.link_up(msg.engine_id, msg.link, msg.lane)
        hello = msg.hello
        before = self._shelf.book.register.entries
        effects = self._shelf.book.link_up(
            msg.engine_id,
            hello.stops,
            hello.latch,
            self._now(),
            mode=hello.trading_mode,
            strategies=[s.id for s in hello.strategies],
            capabilities=hello.capabilities,
        )
        self._carry_out(effects)
        self._void_since(before)

    @handles(LinkDown)
    async def on_link_down(self, msg: LinkDown) -> None:
        """Of a connection that was replaced by a newer one nothing is heard any more."""
        if self._shelf.links.get(msg.engine_id) == msg.link:
            self._shelf.link_down(msg.engine_id)
            self._carry_out(self._shelf.book.link_down(msg.engine_id, self._now()))

    @handles(StopWritten)
    async def on_written(self, msg: StopWritten) -> None:
        self._carry_out(self._shelf.book.frame_written(msg.engine_id, msg.stop_id, msg.epoch, self._now()))

    @handles(StopAcknowledged)
    async def on_acknowledged(self, msg: StopAcknowledged) -> None:
        self._carry_out(self._shelf.book.acknowledged(msg.engine_id, msg.stop_id, msg.epoch, self._now()))

    @handles(Progressed)
    async def on_progressed(self, msg: Progressed) -> None:
        before = self._shelf.book.register.entries
        self._carry_out(self._shelf.book.progress(msg.engine_id, msg.report, self._now()))
        if self._shelf.book.register.entries is not before:
            self._void_since(before)

    @handles(LocallyStopped)
    async def on_local_stop(self, msg: LocallyStopped) -> None:
        before = self._shelf.book.register.entries
        self._carry_out(self._shelf.book.local_stop(msg.engine_id, msg.stop, self._now()))
        self._void_since(before)

    @handles(EpochHeard)
    async def on_epoch_heard(self, msg: EpochHeard) -> None:
        self._shelf.book.epoch_seen(msg.epoch)

    @handles(EngineEnrolled)
    async def on_enrolled(self, msg: EngineEnrolled) -> None:
        self._shelf.book.engine_known(msg.engine_id, msg.account_id)
        self._shelf.book.roster.is_complete = True

    @handles(PreviewStop)
    async def on_preview(self, msg: PreviewStop) -> PreviewAnswer | Refusal:
        return preview_stop(self._board, self._shelf, msg.scope, trio.current_time())

    @handles(StopsRead)
    async def on_stops_read(self, msg: StopsRead) -> None:
        """The database is back after a start without it."""
        book, now = self._shelf.book, self._now()
        unsealed = book.register.denied_by(msg.register)
        effects = book.merge(msg.register, msg.words, now)
        book.remember(msg.views, msg.requests, now, past=msg.past)
        # A release that reached the database and not the journal did not happen; as at a start that has both.
        why = "a release of it was written, but not committed"
        effects += [e for stop_id in unsealed for e in book.reassert(stop_id, why, now)]
        self._carry_out([*effects, *book.fill_in(now)])
        for case in recall(self._shelf.desk, book, msg.releases, now):
            self._keeping.settled(case)
        for stop_id, _entry in book.register.open_stops():
            self._keeping.changed(stop_id)

    @handles(EngineRemoved)
    async def on_removed(self, msg: EngineRemoved) -> None:
        self._shelf.link_down(msg.engine_id)
        self._carry_out(self._shelf.book.engine_removed(msg.engine_id, self._now()))

    # --- releases: slow and careful, beside the handlers, so that a stop never waits behind one ---

    @handles(RequestRelease)
    async def on_request_release(self, msg: RequestRelease) -> ReleaseView | Refusal:
        self.context.spawn(self._releases.request, msg, self.context.defer(), name="release request")
        return cast("ReleaseView | Refusal", DEFERRED)

    @handles(ApproveRelease)
    async def on_approve_release(self, msg: ApproveRelease) -> ReleaseView | Refusal:
        self.context.spawn(self._releases.approve, msg, self.context.defer(), name="release")
        return cast("ReleaseView | Refusal", DEFERRED)

    @handles(ShowRelease)
    async def on_show_release(self, msg: ShowRelease) -> ReleaseView | None:
        return self._releases.shown(msg.stop_id)

    @handles(HoldStrategy)
    async def on_hold(self, msg: HoldStrategy) -> None:
        self._lifting.discard((msg.engine_id, msg.strategy_id))
        self._carry_out(self._shelf.book.hold(msg.engine_id, msg.strategy_id, msg.reason, self._now()))

    @handles(LiftHold)
    async def on_lift(self, msg: LiftHold) -> None:
        self._lifting.add((msg.engine_id, msg.strategy_id))
        self._lift_some()

    def _lift_some(self) -> None:
        """A hold that cannot be ended now, because the database is away, is tried again at the next tick."""
        self._lifting = {key for key in self._lifting if self._shelf.book.held(*key) is not None}
        for key in self._lifting:
            run = self._shelf.book.held(*key)
            if run is not None:
                self.context.spawn(self._releases.lift, run.stop_id, name="lift")

    def _void(self, stop_id: str) -> None:
        """A decision was taken: whatever was asked before it about the same engines is worth nothing."""
        runs = self._shelf.book.runs
        now = self._now()
        for case in self._shelf.desk.void_touched(runs[stop_id], runs.get, now):
            runs[case.stop_id].note(now, "release_void", detail=case.history[-1].detail)
            self._keeping.settled(case)

    def _void_since(self, before: Mapping[str, Entry]) -> None:
        for stop_id, entry in self._shelf.book.register.open_stops():
            if entry != before.get(stop_id):
                self._void(stop_id)

    # --- carrying out ---

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        """Links first, in order; then everything that may be slow is put where other tasks find it."""
        rest: list[Effect] = []
        left: list[SendStop] = []
        self._pulse()
        before = self._shelf.entries_shown
        for effect in effects:
            match effect:
                case SendStop():
                    if self._send(effect.engine_id, effect.message):
                        left.append(effect)
                case SendRelease():
                    self._tell(effect.engine_id, DeliverRelease(message=effect.message))
                case _:
                    rest.append(effect)
        if left:
            rest += self._shelf.book.frames_written(left, self._now())
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

    def _send(self, engine_id: str, message: EmergencyStop) -> bool:
        """Down the link's lane, in this step. What goes wrong in one lane is no other's matter; its link is told."""
        lane = self._shelf.lanes.get(engine_id)
        if lane is not None:
            try:
                return lane(message)
            except Exception:
                self.context.log.exception("the lane of %s failed: its link is told", engine_id)
        self._tell(engine_id, DeliverStop(message=message))
        return False

    def _tell(self, engine_id: str, message: object) -> None:
        link = self._shelf.links.get(engine_id)
        if link is not None:
            link.tell(message, urgent=True)

    def _pulse(self) -> None:
        self._shelf.pulse = trio.current_time()

    def _now(self) -> Instant:
        return Instant(trio.current_time(), self._wall())


def _marked(effects: Iterable[Effect]) -> list[Effect]:
    return [attrs.evolve(e, degraded=True) if isinstance(e, AuditStop) else e for e in effects]
