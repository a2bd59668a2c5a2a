"""The register of stops and the runs of its stops, and the moves every decision about them is made of.

``actors.stops.book`` decides; what is here keeps the book while it does: a fresh epoch above everything ever found, a
fresh part for every engine a stop concerns, and the effects that follow from opening a stop or from a step of a part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from actors.stops.effects import AuditStop, Effect, RecordStop, SendStop, StopChanged, Words
from actors.stops.parts import Instant, Part, begun
from actors.stops.past import Over, Past
from actors.stops.reopening import Check
from actors.stops.roster import Roster
from actors.stops.run import Run, alert, detail, named
from wire.messages import EmergencyStop
from wire.rest.engines import OpenStop
from wire.rest.stops import Stop
from wire.stops import Entry, Level, Register, Scope, StopRecord, StopSnapshot
from wire.values import StopPhase

Prove = Callable[[StopRecord], str]
UNFOLDED = 20
"""How many released stops are kept as they were; what came before them is packed."""
FOLDED = 200
"""How many are kept packed; of what came before them nothing is kept that the database has."""


class StopLedger:
    """All stops of the platform. ``prove``/``is_ours`` make and check its MAC; ``new_id`` gives a fresh stop id."""

    def __init__(self, register: Register, *, prove: Prove, is_ours: Check, new_id: Callable[[], str]) -> None:
        self.register = register
        self.runs: dict[str, Run] = {}
        self.past = Past()
        self.roster = Roster()
        self.connected: set[str] = set()
        self._prove = prove
        self._is_ours = is_ours
        self._new_id = new_id
        self._requests: dict[tuple[str, Scope], str] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._askers: dict[tuple[str, Scope], str] = {}
        self._denials: dict[tuple[str, str], int] = {}
        self._open_for: Mapping[str, Entry] | None = None
        self._open_ids: list[str] = []

    # --- what others read ---

    def effective(self, engine_id: str) -> list[StopRecord]:
        """The open stops for which this engine has something to do, with their proofs."""
        return [run.record() for run in self._open_runs_of(engine_id)]

    def snapshot(self, engine_id: str, held: Iterable[str]) -> StopSnapshot:
        """``held``: the engine's ids of the stops it has been holding; of these the released ones are named."""
        names = self._names.get(engine_id, {})
        released = [i for i in held if not self._is_open(names.get(i, i)) and names.get(i, i) in self.register.entries]
        return StopSnapshot(epoch=self.register.epoch, effective=self.effective(engine_id), released=released)

    def open_stops_of(self, engine_id: str) -> list[OpenStop]:
        """The same as they are shown."""
        return [run.open_stop() for run in self._open_runs_of(engine_id)]

    def holds(self, engine_id: str) -> bool:
        account = self.roster.account(engine_id)
        return any(run.scope.concerns(engine_id, account) for run in self._open_runs())

    def message(self, stop_id: str) -> EmergencyStop | None:
        run = self.runs.get(stop_id)
        return run.message() if run is not None and self._is_open(stop_id) else None

    def messages_for(self, engine_id: str) -> list[EmergencyStop]:
        return [run.message() for run in self._open_runs_of(engine_id)]

    def view(self, stop_id: str) -> Stop:
        return self.runs[stop_id].view()

    def is_running(self, stop_id: str) -> bool:
        """Whether some engine is still to finish its part."""
        return any(not part.is_final for part in self.runs[stop_id].parts.values())

    def matched(self, scope: Scope) -> list[str]:
        return self.roster.concerned(scope)

    def fold_one(self, may: Callable[[str], bool]) -> str | None:
        """Folds the run of one released stop, but none of the newest ``UNFOLDED``, nor one it may not. Returns its id.

        One at a time: that of five hundred engines takes 20 ms, in which no stop is decided.
        """
        over = [r for r in self.runs.values() if r.released_at is not None and r.durable and r.is_foldable]
        over.sort(key=lambda run: run.epoch, reverse=True)
        run = next((run for run in over[UNFOLDED:] if may(run.stop_id)), None)
        return run.stop_id if run is not None and run.fold() else None

    def put_away_one(self, may: Callable[[str], bool]) -> str | None:
        """Of one packed stop only what a decision may need is kept, but of none of the newest ``FOLDED``. ``may``: the
        database has all of it. Returns its id."""
        packed = [r for r in self.runs.values() if r.is_folded and not self._is_open(r.stop_id)]
        if len(packed) <= FOLDED:
            return None
        packed.sort(key=lambda run: run.epoch)
        run = next((run for run in packed[: len(packed) - FOLDED] if may(run.stop_id)), None)
        if run is None:
            return None
        self.past.add(Over.of(run))
        del self.runs[run.stop_id]
        return run.stop_id

    def drills_of(self) -> Iterator[Run | Over]:
        """Every stop that may be the last drill."""
        yield from self.runs.values()
        yield from self.past.last_drill()

    def words_of(self, stop_id: str) -> Words | None:
        known = self.runs.get(stop_id) or self.past.get(stop_id)
        return known.words if known is not None else None

    # --- the moves ---

    def _open(self, stop_id: str, scope: Scope, level: Level, words: Words, now: Instant) -> list[Effect]:
        entry = Entry(scope, level, self._next_epoch())
        self.register = self.register.with_stop(stop_id, entry)
        run = self._run(stop_id, self.register.entries[stop_id], words, now)
        run.note_decided(now, "requested", detail=detail(words, level))
        return [*self._send(run), *self._decided(run, "stop.taken", words.user_id, now)]

    def _run(self, stop_id: str, entry: Entry, words: Words, now: Instant) -> Run:
        """(Re)starts the run of a stop at its entry's epoch, with a fresh part for every engine it concerns."""
        run = self.runs[stop_id] = self._made(stop_id, entry, words, now)
        self.past.opened_again(stop_id)
        self._requests[(words.request_id, entry.scope)] = stop_id
        return run

    def _made(self, stop_id: str, entry: Entry, words: Words, now: Instant) -> Run:
        record = StopRecord(stop_id=stop_id, scope=entry.scope, level=entry.level, stop_epoch=entry.stop_epoch)
        engines = self.roster.concerned(entry.scope)
        old = self.runs.get(stop_id)
        return Run(
            stop_id=stop_id,
            words=words,
            scope=entry.scope,
            level=entry.level,
            epoch=entry.stop_epoch,
            proof=self._prove(record),
            parts={e: begun(e, entry.stop_epoch, e in self.connected, now) for e in engines},
            timeline=old.story() if old else [],
            is_continued=old.is_continued if old else stop_id in self.past,
        )

    def _send(self, run: Run) -> list[Effect]:
        message = run.message()
        return [SendStop(engine_id=e, message=message) for e in run.parts if e in self.connected]

    def _decided(self, run: Run, action: str, actor: str, now: Instant) -> list[Effect]:
        audit = AuditStop(
            action=action,
            stop_id=run.stop_id,
            epoch=run.epoch,
            actor=actor,
            at=now.wall,
            detail=f"{run.scope} {run.level.value} {run.words.reason}".strip(),
            drill=run.words.drill,
        )
        effects: list[Effect] = [
            RecordStop(stop_id=run.stop_id, entry=self.register.entries[run.stop_id], words=run.words),
            audit,
            StopChanged(stop_id=run.stop_id),
        ]
        away = [p.engine_id for p in run.parts.values() if p.phase is StopPhase.UNREACHABLE]
        if away:
            reason = f"not connected, latched for their return: {named(away)}"
            effects.append(alert("error_stop_unreachable", "warning", reason, None, run.stop_id))
        return effects

    def _one_part(
        self, engine_id: str, stop_id: str, epoch: int, step: Callable[[Part, Run], Part], now: Instant
    ) -> list[Effect]:
        run = self.runs.get(stop_id)
        part = run.parts.get(engine_id) if run is not None else None
        if run is None or part is None or epoch < part.epoch:
            return []
        return self._stepped(run, part, step(part, run), now)

    def _each_part(self, engine_id: str, step: Callable[[Part, Run], Part], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for run in self.runs.values():
            if run.released_at is None and (part := run.parts.get(engine_id)) is not None:
                effects += self._stepped(run, part, step(part, run), now)
        return effects

    def _stepped(self, run: Run, before: Part, after: Part, now: Instant) -> list[Effect]:
        if after == before:
            return []
        run.parts[after.engine_id] = after
        effects: list[Effect] = [StopChanged(stop_id=run.stop_id)]
        if after.frozen and not before.frozen and after.phase is not StopPhase.FROZEN:
            run.note(now, StopPhase.FROZEN.value, after.engine_id, after.in_flight_words)
        if after.phase is not before.phase:
            run.note(now, after.phase.value, after.engine_id, after.remark)
            if after.phase is StopPhase.FAILED:
                reason = f"{after.engine_id} could not finish the stop: {after.error}"
                effects.append(alert("error_stop_failed", "critical", reason, after.engine_id, run.stop_id))
        return effects

    def _next_epoch(self) -> int:
        epoch = self.register.epoch + 1
        self.register = self.register.at_least(epoch)
        return epoch

    def _is_open(self, stop_id: str) -> bool:
        entry = self.register.entries.get(stop_id)
        return entry is not None and entry.is_open

    def _open_runs(self) -> list[Run]:
        """The runs of all open stops; counted anew only when the register changed."""
        entries = self.register.entries
        if self._open_for is not entries:
            self._open_for = entries
            self._open_ids = [stop_id for stop_id, _entry in self.register.open_stops()]
        return [self.runs[i] for i in self._open_ids if i in self.runs]

    def _open_run_of(self, scope: Scope) -> Run | None:
        return next((run for run in self._open_runs() if run.scope == scope), None)

    def _open_runs_of(self, engine_id: str) -> list[Run]:
        account = self.roster.account(engine_id)
        return [run for run in self._open_runs() if run.scope.concerns(engine_id, account)]

    def _is_news(self, stop_id: str) -> bool:
        run = self.runs.get(stop_id)
        return run is None or run.words.cause == "recovered"
