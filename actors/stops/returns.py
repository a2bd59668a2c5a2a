"""Engines come and go. What one brings in its latch is merged first; then it is sent what it has not verified."""

from collections.abc import Iterable

from actors.stops.effects import Effect, SendStop, StopChanged
from actors.stops.ledger import StopLedger
from actors.stops.parts import Instant, begun, lost
from actors.stops.reopening import Learned, Reopened, learn
from actors.stops.run import CORRUPT_LATCH, Run, alert, damage_words, reopened_words
from wire.stops import Entry, Level, Scope, StopRecord
from wire.values import LatchState, TradingMode


class Returns(StopLedger):
    """The part of the book that is about links. Each method is a decision, complete when it returns."""

    def engine_known(self, engine_id: str, account_id: str) -> None:
        self.roster.add(engine_id, account_id)

    def engine_removed(self, engine_id: str, now: Instant) -> list[Effect]:
        self.roster.remove(engine_id)
        return self.link_down(engine_id, now)

    def fill_in(self, now: Instant) -> list[Effect]:
        """The roster was read late: open stops get a part for every engine they concern."""
        effects: list[Effect] = []
        for run in self._open_runs():
            missing = [e for e in self.roster.concerned(run.scope) if e not in run.parts]
            run.parts.update({e: begun(e, run.epoch, e in self.connected, now) for e in missing})
            effects += [StopChanged(stop_id=run.stop_id)] if missing else []
        return effects

    def link_up(
        self,
        engine_id: str,
        stops: Iterable[StopRecord],
        latch: LatchState,
        now: Instant,
        *,
        mode: TradingMode | None = None,
        strategies: Iterable[str] | None = None,
        capabilities: Iterable[str] = (),
    ) -> list[Effect]:
        """The engine is back. Its latch is merged first; then it is sent every stop it has not verified."""
        held = {r.stop_id: r for r in stops}
        self.roster.heard(engine_id, mode, strategies, capabilities)
        self.connected.add(engine_id)
        learned = learn(self.register, engine_id, held.values(), self._is_ours)
        self._names[engine_id] = learned.names
        effects = self._reopen(engine_id, learned, now, damaged=latch is LatchState.CORRUPT)
        if latch is LatchState.CORRUPT:
            effects += self._corrupt_latch(engine_id, now)
        for run in self._open_runs_of(engine_id):
            effects += self._catch_up(run, engine_id, held.get(run.stop_id), now)
        return list(dict.fromkeys(effects))

    def link_down(self, engine_id: str, now: Instant) -> list[Effect]:
        self.connected.discard(engine_id)
        return self._each_part(engine_id, lambda part, _run: lost(part, now), now)

    def _reopen(self, engine_id: str, learned: Learned, now: Instant, *, damaged: bool) -> list[Effect]:
        before, self.register = self.register, learned.register
        reopened = {r.stop_id: r for r in learned.reopened}
        effects: list[Effect] = []
        for stop_id in dict.fromkeys(learned.names.values()):
            entry = self.register.entries[stop_id]
            if entry.is_open and entry != before.entries.get(stop_id):
                effects += self._reopen_one(engine_id, stop_id, entry, reopened.get(stop_id), now, damaged=damaged)
        return effects

    def _reopen_one(
        self, engine_id: str, stop_id: str, entry: Entry, reopened: Reopened | None, now: Instant, *, damaged: bool
    ) -> list[Effect]:
        """``damaged``: the engine cannot read its latch. The halt that it then brings is the one for that reason."""
        old = self.words_of(stop_id)
        halt = damaged and entry.scope == Scope.of_engine(engine_id) and entry.level >= Level.HALT
        made = damage_words if halt else reopened_words
        words = old or made(stop_id, engine_id, now)
        run = self._run(stop_id, entry, words, now)
        run.note_decided(now, "reopened" if reopened else "raised", engine_id, detail="found in the engine's latch")
        effects = [*self._send(run), *self._decided(run, "stop.reopened", engine_id, now)]
        if words.cause == CORRUPT_LATCH and old is None:
            effects.append(alert("error_latch_corrupt", "critical", words.reason, engine_id, stop_id))
        elif reopened:
            reason = f"{engine_id} holds a stop this platform did not know as open (with the platform's proof)"
            if not reopened.proven:
                reason = f"{engine_id} holds a stop this platform did not know as open (without proof, so for it alone)"
            effects.append(alert("error_unknown_stop_reopened", "critical", reason, engine_id, stop_id))
        return effects

    def _corrupt_latch(self, engine_id: str, now: Instant) -> list[Effect]:
        """What the engine forgot is not known, so it is halted; once, whoever of both was the first to say so."""
        scope, told = Scope.of_engine(engine_id), set(self._names[engine_id].values())
        for known_id in (*(run.stop_id for run in self._open_runs()), *told):
            words, entry = self.words_of(known_id), self.register.entries.get(known_id)
            if words is not None and words.cause == CORRUPT_LATCH and entry is not None and entry.scope == scope:
                return []
        stop_id = self._new_id()
        words = damage_words(stop_id, engine_id, now)
        effects = self._open(stop_id, scope, Level.HALT, words, now)
        return [*effects, alert("error_latch_corrupt", "critical", words.reason, engine_id, stop_id)]

    def _catch_up(self, run: Run, engine_id: str, held: StopRecord | None, now: Instant) -> list[Effect]:
        """A returned engine is sent the stop again, unless it verified it and still holds it."""
        part = run.parts.get(engine_id)
        if part is not None and part.is_verified and held is not None and held.stop_epoch >= run.epoch:
            return []
        run.parts[engine_id] = begun(engine_id, run.epoch, True, now)
        run.note(now, "connected", engine_id)
        return [SendStop(engine_id=engine_id, message=run.message()), StopChanged(stop_id=run.stop_id)]
