"""The stop coordinator's decisions: a state machine without clocks, queues or sockets.

It holds the platform's copy of the register, what is known of every stop beyond it (who, why, how far each engine is),
and which engines are connected. Every method takes the moment as ``now`` and returns what is to be done about it, as
values of ``actors.stops.effects``; nothing here waits, so a decision is complete when the method returns.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import attrs

from actors.requests import Refusal
from actors.stops.effects import Effect, SendRelease, SendStop, StopChanged, Words
from actors.stops.parts import Instant, contradicted, overdue, progressed, received, sent, timed_out
from actors.stops.past import Over
from actors.stops.plans import Kept, ReleasePlan, Taken
from actors.stops.reopening import MAX_EPOCH, alias, one_of_many
from actors.stops.returns import Returns
from actors.stops.run import PLATFORM, TRIGGERED, WAIVED, Run, alert, detail, named, unknown_words
from wire.messages import REDUCED_RELEASES, LocalStop, Release, StopProgress
from wire.parts import Reduced
from wire.rest.stops import Stop, StopRequest
from wire.stops import Entry, Level, Register, Scope, ScopeKind, StopRecord
from wire.values import StopPhase

KEY_LIFETIME = timedelta(hours=24)

EARLIEST = timedelta(days=366)
"""How long ago an engine may say that it stopped itself: its clock may be wrong, and what it says may be old."""

INSISTING = (0, 1_000, 1_000_000, 1_000_000_000)
"""How far an open stop is lifted above every known epoch each time an engine takes it for released."""

HOLD = "parameters_differ"
"""The cause of the one kind of stop that the platform opens and ends by itself."""


class StopBook(Returns):
    """Every decision about stops. Each method is one of them, complete when it returns."""

    # --- the start ---

    def recover(self, words: Mapping[str, Words], now: Instant) -> list[Effect]:
        """After a restart: every open stop of the merged register runs again, and waits for its engines."""
        effects: list[Effect] = []
        for stop_id, entry in self.register.open_stops():
            if stop_id not in self.runs:
                run = self._run(stop_id, entry, words.get(stop_id) or unknown_words(stop_id, now), now)
                run.durable = True
                run.note_decided(now, "recovered", detail="open when the platform started")
                effects.append(StopChanged(stop_id=stop_id))
        return effects

    def remember(
        self, views: Iterable[Stop], requests: Mapping[str, str], now: Instant, *, past: Iterable[Over] = ()
    ) -> None:
        """What the database keeps of earlier stops, so that a repeated request finds its stop, released or not. Of the
        ``past`` ones only what is released stays there; of another the database has more than it is given here."""
        for view in views:
            entry = self.register.entries.get(view.stop_id)
            if entry is not None and self._is_news(view.stop_id):
                record = StopRecord(
                    stop_id=view.stop_id, scope=entry.scope, level=entry.level, stop_epoch=entry.stop_epoch
                )
                self.runs[view.stop_id] = Run.restored(view, entry, self._prove(record), now)
        for over in past:
            entry, run = self.register.entries.get(over.stop_id), self.runs.get(over.stop_id)
            if run is not None:
                run.is_continued = True
            elif entry is not None and not entry.is_open:
                self.past.add(over)
        for request_id, stop_id in requests.items():
            known = self.runs.get(stop_id) or self.past.get(stop_id)
            if known is not None:
                said = known.words.request_id
                key = (said if said == request_id else request_id, self.register.entries[stop_id].scope)
                self._requests.setdefault(key, known.stop_id)

    def merge(
        self, other: Register, words: Mapping[str, Words], now: Instant, *, decided: bool = False
    ) -> list[Effect]:
        """A copy that could not be read before. A release in it counts only for a stop that is unknown here.
        ``decided``: it is no copy, the emergency thread has decided these stops in this platform's place."""
        effects: list[Effect] = []
        news = {i: e for i, e in other.entries.items() if not e.is_open and i not in self.register.entries}
        self.register = self.register.merge(Register(entries=news))
        for stop_id, theirs in other.entries.items():
            if stop_id in news:
                continue
            ours = self.register.entries.get(stop_id)
            entry = theirs if ours is None else attrs.evolve(theirs, released_epoch=None)
            self.register = self.register.with_stop(stop_id, entry)
            merged = self.register.entries[stop_id]
            if merged.is_open and merged != ours:
                said = self._still_said(stop_id, merged, words.get(stop_id) or unknown_words(stop_id, now))
                run = self._run(stop_id, merged, said, now)
                if decided:
                    run.again = ours is not None  # a person at an emergency door wants it, as at any other
                    wanted = words[stop_id]
                    at = attrs.evolve(now, wall=min(wanted.requested_at, now.wall))
                    run.note_decided(at, "raised" if ours else "requested", detail=detail(wanted, merged.level))
                else:
                    run.note_decided(now, "recovered", detail="found in the database")
                effects += [*self._send(run), *self._decided(run, "stop.recovered", PLATFORM, now)]
        self.epoch_seen(other.epoch)
        return effects

    def _still_said(self, stop_id: str, entry: Entry, news: Words) -> Words:
        """A copy that only repeats a stop does not write over who stopped and why."""
        run = self.runs.get(stop_id)
        if run is None or self._is_news(stop_id) or entry.level > run.level or run.words.drill is not news.drill:
            return news
        return run.words

    def epoch_seen(self, epoch: int) -> None:
        """Some copy holds this epoch: the next one given will be above it."""
        self.register = self.register.at_least(min(epoch, MAX_EPOCH))

    # --- a stop is wanted ---

    def take(
        self, request: StopRequest, user_id: str, now: Instant, *, cause: str = "operator", username: str | None = None
    ) -> Taken | Refusal:
        """Decides a stop. Refused is only what names nothing that exists, or a drill that would really trade."""
        refusal = self.roster.refuse_unknown(request.scope) or self.roster.refuse_drill(request)
        return refusal or self.take_unchecked(request, user_id, now, cause=cause, username=username)

    def take_unchecked(
        self,
        request: StopRequest,
        user_id: str,
        now: Instant,
        *,
        cause: str,
        username: str | None = None,
        asked_at: datetime | None = None,
    ) -> Taken:
        """A stop that was already promised to somebody, at ``asked_at``: it is opened even if nothing matches it."""
        words = Words(
            request_id=request.request_id or "",
            user_id=user_id,
            reason=request.reason,
            requested_at=now.wall if asked_at is None else min(asked_at, now.wall),
            cause=cause,
            drill=request.drill,
            username=username,
        )
        if request.request_id is not None:
            self._askers.setdefault((request.request_id, request.scope), user_id)
            known = self._requests.get((request.request_id, request.scope))
            if known is not None and (run := self.runs.get(known)) is not None:
                return self._again(run, request, words, now)
            if known is not None and known in self.past:
                return Taken(stop_id=known, effects=[], decided=False)
        if (run := self._open_run_of(request.scope)) is not None:
            if request.request_id is not None:
                self._requests[(request.request_id, request.scope)] = run.stop_id
            return self._raise(run, request, words, now)
        stop_id = self._new_id()
        words = attrs.evolve(words, request_id=request.request_id or stop_id)
        effects = self._open(stop_id, request.scope, request.level, words, now)
        return Taken(stop_id=stop_id, effects=effects, decided=True)

    def is_spent(self, key: str, scope: Scope, user_id: str, now: Instant) -> bool:
        """Whether an Idempotency-Key that led to a stop means a new one now: that stop has been released, and somebody
        else had used the key, or a day ago. A key is one person's, for 24 hours; a request_id is everybody's, for ever.
        """
        stop_id = self._requests.get((key, scope), "")
        words = self.words_of(stop_id)
        if words is None or self._is_open(stop_id):
            return False
        asker = self._askers.get((key, scope), words.user_id)
        return asker != user_id or now.wall - words.requested_at > KEY_LIFETIME

    def local_stop(self, engine_id: str, stop: LocalStop, now: Instant) -> list[Effect]:
        """An engine stopped itself: that becomes a stop of its own, under the engine's id for it."""
        scope = Scope.of_engine(engine_id)
        known = self.register.entries.get(stop.id)
        stop_id = stop.id if known is None or known.scope == scope else alias(engine_id, stop.id)
        if known is None and one_of_many(self.register, engine_id, stop.level) is not None:
            return []  # were it kept by name, there would be no end of names; its next hello brings it
        self._names.setdefault(engine_id, {})[stop.id] = stop_id
        if (stop_id in self.runs or stop_id in self.past) and not self._is_open(stop_id):
            return []  # told again after its release
        if stop_id in self.runs and self.runs[stop_id].level >= stop.level:
            return []
        at = max(now.wall - EARLIEST, min(stop.at, now.wall))
        words = Words(
            request_id=stop_id, user_id=engine_id, reason=stop.reason, requested_at=at, cause=stop.cause.value
        )
        effects = self._open(stop_id, scope, stop.level, words, now)
        reason = f"{engine_id} stopped itself at {stop.level.value}: {stop.cause.value}"
        return [*effects, alert("error_local_stop", "critical", reason, engine_id, stop_id)]

    def hold(self, engine_id: str, strategy_id: str, reason: str, now: Instant) -> list[Effect]:
        """The platform itself holds a strategy at REDUCE_ONLY. Once, however often it finds the reason."""
        if self.held(engine_id, strategy_id) is not None:
            return []
        scope = Scope(ScopeKind.STRATEGY, strategy_id, engine_id)
        stop_id = self._new_id()
        words = Words(request_id=stop_id, user_id=PLATFORM, reason=reason, requested_at=now.wall, cause=HOLD)
        effects = self._open(stop_id, scope, Level.REDUCE_ONLY, words, now)
        return [*effects, alert("error_parameters_differ", "warning", reason, engine_id, stop_id)]

    def held(self, engine_id: str, strategy_id: str) -> Run | None:
        """The platform's own hold of the strategy. One that a person raised is a stop like any other."""
        scope = Scope(ScopeKind.STRATEGY, strategy_id, engine_id)
        return next((r for r in self._open_runs() if r.scope == scope and r.words.cause == HOLD), None)

    # --- how far it is ---

    def frame_written(self, engine_id: str, stop_id: str, epoch: int, now: Instant) -> list[Effect]:
        return self._one_part(engine_id, stop_id, epoch, lambda part, _run: sent(part), now)

    def frames_written(self, sends: Iterable[SendStop], now: Instant) -> list[Effect]:
        """The same for all that left in one step."""
        effects: list[Effect] = []
        for send in sends:
            effects += self.frame_written(send.engine_id, send.message.stop_id, send.message.stop_epoch, now)
        return list(dict.fromkeys(effects))

    def acknowledged(self, engine_id: str, stop_id: str, epoch: int, now: Instant) -> list[Effect]:
        """The engine has it in its latch."""
        return self._one_part(engine_id, stop_id, epoch, lambda part, run: received(part, run.level, now), now)

    def progress(self, engine_id: str, report: StopProgress, now: Instant) -> list[Effect]:
        stop_id = self._names.get(engine_id, {}).get(report.stop_id, report.stop_id)
        if self._is_denied(engine_id, stop_id, report):
            return self._insist(engine_id, stop_id, now)
        return self._one_part(
            engine_id, stop_id, report.stop_epoch, lambda part, run: progressed(part, report, run.level, now), now
        )

    def _is_denied(self, engine_id: str, stop_id: str, report: StopProgress) -> bool:
        """Whether the engine takes a stop for released that is open here: it knows of a release that this memory has
        lost, which happens when a platform is set back to an earlier state."""
        run = self.runs.get(stop_id)
        return (
            report.phase in (StopPhase.SUPERSEDED, StopPhase.RELEASED)
            and run is not None
            and engine_id in run.parts
            and report.stop_epoch == run.epoch
            and self._is_open(stop_id)
        )

    def _insist(self, engine_id: str, stop_id: str, now: Instant) -> list[Effect]:
        """The stop is wanted again, above the epoch of that release. The engine does not say how high it is, so each
        step goes further; who denies the highest too is not obeying, and a person hears it."""
        run = self.runs[stop_id]
        tried = self._denials.get((engine_id, stop_id), 0)
        if tried == len(INSISTING):
            part = run.parts[engine_id]
            return self._stepped(run, part, contradicted(part, "takes an open stop for released", now), now)
        self._denials[engine_id, stop_id] = tried + 1
        self.epoch_seen(self.register.epoch + INSISTING[tried])
        effects = self.reassert(stop_id, f"{engine_id} took it for released", now)
        if tried:
            return effects
        words = f"{engine_id} knows of a release of this stop that the platform has lost: it is in force again"
        return [*effects, alert("error_release_unknown", "critical", words, engine_id, stop_id)]

    def tick(self, now: Instant) -> list[Effect]:
        """Marks what took longer than 30 s, and says so in one alert a stop."""
        effects: list[Effect] = []
        for run in self.runs.values():
            late = [p for p in run.parts.values() if overdue(p, now)] if run.released_at is None else []
            for part in late:
                run.parts[part.engine_id] = timed_out(part, now, "not verified within 30 s; the engine keeps trying")
                run.note(now, StopPhase.TIMED_OUT.value, part.engine_id)
            if late:
                names = named(p.engine_id for p in late)
                reason = f"not verified within 30 s: {names}"
                effects += [
                    StopChanged(stop_id=run.stop_id),
                    alert("error_stop_timeout", "critical", reason, late[0].engine_id, run.stop_id),
                ]
        return effects

    def became_durable(self, stop_id: str, epoch: int) -> list[Effect]:
        """Journal or database has it on stable storage."""
        run = self.runs.get(stop_id)
        if run is None or run.durable or epoch < run.epoch:
            return []
        run.durable = True
        return [StopChanged(stop_id=stop_id)]

    # --- release ---

    def plan_release(
        self,
        stop_id: str,
        waived: Iterable[str],
        *,
        resume: bool,
        user_id: str,
        reason: str,
        now: Instant,
        reduced: Reduced | None = None,
        username: str | None = None,
        busy: Collection[str] = (),
    ) -> ReleasePlan:
        """Reserves the epochs. Nothing is released, and no stop that is wanted from now on can be. ``busy``: stops
        whose own release is being written; nothing is left to them."""
        run = self.runs[stop_id]
        kept = []
        for engine_id in waived:
            said = Words(
                request_id=f"waived:{stop_id}:{engine_id}"[:64],
                user_id=user_id,
                reason=f"waived at the release of {stop_id}",
                requested_at=now.wall,
                cause=WAIVED,
                username=username,
            )
            kept.append(self._left_with(engine_id, run.level, said, {stop_id, *busy}))
        return ReleasePlan(
            stop_id=stop_id,
            stop_epoch=run.epoch,
            epoch=self._next_epoch(),
            kept=kept,
            resume=resume,
            user_id=user_id,
            reason=reason,
            reduced=reduced,
            username=username,
        )

    def _left_with(self, engine_id: str, level: Level, said: Words, but: Collection[str]) -> Kept:
        """An engine that stays away has one such stop, however often it is waived: each release raises it to an epoch
        of its own, so what it says of an earlier one is no evidence for this one."""
        scope = Scope.of_engine(engine_id)
        left = [r for r in self._open_runs() if r.scope == scope and r.words.cause == WAIVED and r.stop_id not in but]
        if not left:
            entry = Entry(scope, level, self._next_epoch())
            return Kept(stop_id=self._new_id(), engine_id=engine_id, entry=entry, words=said, said=said)
        run = max(left, key=lambda r: r.epoch)
        words = said if level > run.level else attrs.evolve(run.words, request_id=said.request_id)
        entry = Entry(scope, max(level, run.level), self._next_epoch())
        return Kept(stop_id=run.stop_id, engine_id=engine_id, entry=entry, words=words, said=said)

    def kept_views(self, plan: ReleasePlan, now: Instant) -> list[Stop]:
        """How the stops of the waived engines will look; nothing is opened by looking."""
        return [self._made(k.stop_id, k.entry, k.words, now).view() for k in plan.kept]

    def reassert(self, stop_id: str, why: str, now: Instant, *, kept: Iterable[Kept] = ()) -> list[Effect]:
        """A release of this stop may have been written somewhere and does not count: a higher epoch outlives it. What
        was ``kept`` by it may be in some copy too, so it is open here as well: memory never has less than a disk."""
        effects: list[Effect] = []
        for one in kept:
            if (left := self._keep(one, now)) is not None:
                effects += [*self._send(left), *self._decided(left, "stop.kept", PLATFORM, now)]
        run = self.runs[stop_id]
        entry = Entry(run.scope, run.level, self._next_epoch())
        self.register = self.register.with_stop(stop_id, entry)
        run = self._run(stop_id, self.register.entries[stop_id], run.words, now)
        run.note_decided(now, "kept", detail=why)
        return [*effects, *self._send(run), *self._decided(run, "stop.kept", PLATFORM, now)]

    def apply_release(self, plan: ReleasePlan, now: Instant) -> list[Effect]:
        """The release is durable everywhere: memory follows, then the links. Raised meanwhile, it stays stopped."""
        effects: list[Effect] = []
        for kept in plan.kept:
            if (left := self._keep(kept, now)) is None:
                continue
            effects += self._send(left)
            if left.epoch == kept.entry.stop_epoch:  # as the release was written
                left.durable = True
                effects.append(StopChanged(stop_id=kept.stop_id))
            else:
                effects += self._decided(left, "stop.kept", plan.user_id, now)
        self.register = self.register.with_release([plan.stop_id], plan.epoch)
        run = self.runs[plan.stop_id]
        if not self._is_open(plan.stop_id):
            run.released_at = now
            run.note(now, "released", detail=f"{plan.username or plan.user_id}: {plan.reason}")
            effects += [self._release_for(e, run, plan) for e in sorted(self.connected & {*run.parts})]
        return [*effects, StopChanged(stop_id=plan.stop_id)]

    # --- inside ---

    def _keep(self, kept: Kept, now: Instant) -> Run | None:
        """The run of the waived engine's stop. None: what was decided of that stop since the plan was made holds the
        engine already. Where it does not, it takes an epoch above it."""
        entry, known = kept.entry, self.register.entries.get(kept.stop_id)
        if known is not None and max(known.stop_epoch, known.released_epoch or 0) >= entry.stop_epoch:
            if known.is_open and known.level >= entry.level:
                return None
            entry = attrs.evolve(entry, stop_epoch=self._next_epoch())
        self.register = self.register.with_stop(kept.stop_id, entry)
        run = self._run(kept.stop_id, self.register.entries[kept.stop_id], kept.words, now)
        run.again = known is not None  # a new one would be carried out in the session in which the engine hears of it
        run.note_decided(now, "raised" if known is not None else "requested", detail=detail(kept.said, run.level))
        return run

    def _again(self, run: Run, request: StopRequest, said: Words, now: Instant) -> Taken:
        """The same request: the same stop. Only a higher level is something new, and only while it is open."""
        if not self._is_open(run.stop_id) or request.level <= run.level:
            return Taken(stop_id=run.stop_id, effects=[], decided=False)
        return self._raise(run, request, said, now)

    def _raise(self, run: Run, request: StopRequest, said: Words, now: Instant) -> Taken:
        """A new epoch, so every engine does its part again. Who stopped and why changes only with the level, or when a
        real stop takes the place of a drill, or a person's of the platform's own hold: a repeat must not write over the
        record of the stop it repeats; it is in the timeline."""
        entry = Entry(run.scope, max(run.level, request.level), self._next_epoch())
        self.register = self.register.with_stop(run.stop_id, entry)
        words = attrs.evolve(
            run.words,
            request_id=request.request_id or run.words.request_id,
            drill=run.words.drill and request.drill,
        )
        # What a person wants too, the platform does not end by itself: a hold is then a stop like any other.
        if request.level > run.level or words.drill is not run.words.drill or words.cause == HOLD:
            words = attrs.evolve(
                words,
                user_id=said.user_id,
                username=said.username,
                reason=said.reason or words.reason,
                cause=said.cause,
            )
        run = self._run(run.stop_id, self.register.entries[run.stop_id], words, now)
        rehearsed = said.drill and not words.drill  # a drill is nobody's word about a real stop
        run.again = said.user_id != PLATFORM and not said.cause.startswith(TRIGGERED) and not rehearsed
        run.note_decided(now, "raised", detail=detail(said, run.level))
        effects = [*self._send(run), *self._decided(run, "stop.raised", said.user_id, now)]
        return Taken(stop_id=run.stop_id, effects=effects, decided=True)

    def go_on(self, stop_id: str, user_id: str, now: Instant, *, username: str | None = None) -> Taken | Refusal:
        """A person wants what is left of an open stop done now, also in another trading session."""
        run = self.runs.get(stop_id)
        if run is None and stop_id not in self.past:
            return Refusal(status=404, error="error_not_found", reason="there is no such stop")
        if run is None or not self._is_open(stop_id):
            return Refusal(status=409, error="error_stop_released", reason="the stop has been released")
        entry = Entry(run.scope, run.level, self._next_epoch())
        self.register = self.register.with_stop(stop_id, entry)
        run = self._run(stop_id, self.register.entries[stop_id], run.words, now)
        run.again = True
        run.note_decided(now, "continued", detail=username or user_id)
        effects = [*self._send(run), *self._decided(run, "stop.continued", user_id, now)]
        return Taken(stop_id=stop_id, effects=effects, decided=True)

    def _release_for(self, engine_id: str, run: Run, plan: ReleasePlan) -> SendRelease:
        """An engine that came since it was asked for, and cannot keep to reduced limits, comes back paused."""
        names = self._names.get(engine_id, {})
        own = [theirs for theirs, ours in names.items() if ours == run.stop_id and theirs != ours]
        unable = plan.reduced is not None and self.roster.incapable(REDUCED_RELEASES, [engine_id])
        message = Release(
            stop_ids=[run.stop_id, *own],
            epoch=plan.epoch,
            effective=self.effective(engine_id),
            resume=plan.resume and not unable,
            reduced=plan.reduced,
        )
        return SendRelease(engine_id=engine_id, message=message)
