"""Property 10, at the coordinator: whatever engines do, everyone connected is told, and its report is what is shown."""

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from actors.stops.book import StopBook
from actors.stops.effects import RecordStop, SendRelease, SendStop
from actors.stops.parts import FINAL, Instant
from wire.messages import StopProgress
from wire.rest.stops import StopRequest, StopState
from wire.stops import Level, Register, Scope
from wire.values import Flatness, LatchState, StopPhase

ENGINES = {"E1": "A1", "E2": "A1", "E3": "A2"}
SCOPES = ["all", "account:A1", "account:A2", "engine:E1", "engine:E2", "engine:E3", "symbol:005930"]
START = datetime(2026, 1, 5, tzinfo=UTC)


def at(seconds):
    return Instant(seconds, START + timedelta(seconds=seconds))


def prove(record):
    text = f"{record.stop_id}|{record.scope}|{record.level.value}|{record.stop_epoch}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def open_book(register=None, prefix="s"):
    numbers = iter(range(10**6))
    book = StopBook(
        register or Register(),
        prove=prove,
        is_ours=lambda r: r.proof == prove(r),
        new_id=lambda: f"{prefix}{next(numbers)}",
    )
    for engine_id, account_id in ENGINES.items():
        book.engine_known(engine_id, account_id)
    book.roster.is_complete = True
    return book


def report(message, phase, **fields):
    flat = phase is StopPhase.VERIFIED
    base = {
        "orders_cancelled": 0,
        "orders_remaining": 0,
        "positions_liquidated": 0,
        "positions_remaining": 0,
        "flatness": Flatness.FLAT if flat else Flatness.UNKNOWN,
        "residuals": [],
    }
    return StopProgress(stop_id=message.stop_id, stop_epoch=message.stop_epoch, phase=phase, **{**base, **fields})


@settings(max_examples=150, deadline=None)
@given(
    away=st.sets(st.sampled_from(sorted(ENGINES))),
    scope=st.sampled_from(SCOPES),
    level=st.sampled_from([Level.CANCEL, Level.FLATTEN]),
    steps=st.dictionaries(
        st.sampled_from(sorted(ENGINES)), st.tuples(st.integers(0, 20), st.integers(0, 20), st.floats(0.01, 29.0))
    ),
)
def test_every_connected_engine_is_told_cancels_closes_and_reports_within_the_time(away, scope, level, steps):
    """Feature: trading-platform-backend-integration, Property 10: 긴급 정지 완전 흐름"""
    book = open_book()
    connected = set(ENGINES) - away
    for engine in connected:
        book.link_up(engine, [], LatchState.ABSENT, at(0))
    taken = book.take(StopRequest(scope=Scope.parse(scope), level=level), "kim", at(1))
    told = {e.engine_id: e.message for e in taken.effects if isinstance(e, SendStop)}
    concerned = {e for e, account in ENGINES.items() if Scope.parse(scope).concerns(e, account)}
    assert set(told) == connected & concerned
    for engine, message in told.items():
        cancelled, closed, after = steps.get(engine, (0, 0, 1.0))
        counts = {"orders_cancelled": cancelled, "positions_liquidated": closed}
        for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
            book.progress(engine, report(message, phase, **counts), at(1 + after))
    book.tick(at(31.5))
    view = book.view(taken.stop_id)
    for result in view.results:
        if result.engine_id in told:
            cancelled, closed, _ = steps.get(result.engine_id, (0, 0, 1.0))
            assert result.success
            assert (result.orders_cancelled, result.positions_liquidated) == (cancelled, closed)
            assert result.completed_at is not None
        else:
            assert (result.phase, result.success) == (StopPhase.UNREACHABLE, False)
    everyone = not (away & concerned)
    assert view.state is (StopState.VERIFIED if everyone else StopState.PARTIAL)


class StopsSurvive(RuleBasedStateMachine):
    """People, engines and restarts in any order. The journal of the model keeps what was recorded, nothing else."""

    stops = Bundle("stops")

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.lives = 0
        self.journal = Register()
        self.latches = {engine: {} for engine in ENGINES}
        self.delivered = set()
        self.wanted = {}
        self.last_epoch = 0

    @initialize()
    def open_the_platform(self):
        self.book = open_book()

    # --- the world carries out what was decided ---

    def obey(self, effects):
        for effect in effects:
            match effect:
                case SendStop():
                    message = effect.message
                    self.delivered.add((effect.engine_id, message.stop_id, message.stop_epoch))
                    self.latches[effect.engine_id][message.stop_id] = message.record()
                case SendRelease():
                    for stop_id in effect.message.stop_ids:
                        held = self.latches[effect.engine_id].get(stop_id)
                        if held and held.stop_epoch <= effect.message.epoch:
                            del self.latches[effect.engine_id][stop_id]
                case RecordStop():
                    self.journal = self.journal.with_stop(effect.stop_id, effect.entry)

    def moment(self):
        self.now += 0.25
        return at(self.now)

    # --- what may happen ---

    @rule(
        target=stops,
        scope=st.sampled_from(SCOPES),
        level=st.sampled_from([Level.REDUCE_ONLY, Level.HALT, Level.CANCEL, Level.FLATTEN]),
        request=st.none() | st.sampled_from(["r1", "r2", "r3"]),
    )
    def somebody_stops(self, scope, level, request):
        before = self.book.register.epoch
        taken = self.book.take(
            StopRequest(scope=Scope.parse(scope), level=level, request_id=request), "kim", self.moment()
        )
        self.obey(taken.effects)
        if taken.decided:
            assert self.book.runs[taken.stop_id].epoch > before
        if self.book.register.entries[taken.stop_id].is_open:
            known = self.wanted.get(taken.stop_id)
            self.wanted[taken.stop_id] = (Scope.parse(scope), max(level, known[1] if known else level))
        return taken.stop_id

    @rule(engine=st.sampled_from(sorted(ENGINES)))
    def an_engine_connects(self, engine):
        held = list(self.latches[engine].values())
        self.obey(self.book.link_up(engine, held, LatchState.PRESENT, self.moment()))
        snapshot = self.book.snapshot(engine, [r.stop_id for r in held])
        for stop_id in snapshot.released:
            self.latches[engine].pop(stop_id, None)
        for record in snapshot.effective:
            self.latches[engine][record.stop_id] = record

    @rule(engine=st.sampled_from(sorted(ENGINES)))
    def an_engine_is_lost(self, engine):
        self.obey(self.book.link_down(engine, self.moment()))

    @rule(engine=st.sampled_from(sorted(ENGINES)), stop_id=stops, phase=st.sampled_from(list(StopPhase)))
    def an_engine_reports(self, engine, stop_id, phase):
        held = self.latches[engine].get(stop_id)
        if held is not None and engine in self.book.connected:
            self.obey(self.book.progress(engine, report(held, phase), self.moment()))

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds):
        self.now += seconds
        self.obey(self.book.tick(at(self.now)))

    @rule(stop_id=consumes(stops), waive=st.sets(st.sampled_from(sorted(ENGINES))), raised=st.booleans())
    def somebody_releases(self, stop_id, waive, raised):
        if not self.book.register.entries[stop_id].is_open:
            return
        run = self.book.runs[stop_id]
        plan = self.book.plan_release(
            stop_id, waive & set(run.parts), resume=False, user_id="lee", reason="ok", now=self.moment()
        )
        if raised:
            self.obey(self.book.take(StopRequest(scope=run.scope, level=Level.HALT), "kim", self.moment()).effects)
        for kept in plan.kept:
            self.journal = self.journal.with_stop(kept.stop_id, kept.entry)
            self.wanted[kept.stop_id] = (kept.entry.scope, kept.entry.level)
        self.journal = self.journal.with_release([stop_id], plan.epoch)
        self.obey(self.book.apply_release(plan, self.moment()))
        if raised:
            assert self.book.register.entries[stop_id].is_open
        else:
            self.wanted.pop(stop_id, None)

    @rule()
    def the_platform_is_killed_and_starts_again(self):
        """Memory is gone. What was sent to a link at that moment counts as delivered, what was recorded as written."""
        self.lives += 1
        self.book = open_book(self.journal, prefix=f"s{self.lives}-")
        self.obey(self.book.recover({}, self.moment()))

    @rule()
    def the_platform_loses_its_journal_but_not_the_engines(self):
        """Every stop that reached an engine is found again in that engine's latch."""
        held = {stop_id: r for latch in self.latches.values() for stop_id, r in latch.items()}
        lost = open_book(prefix="lost-")
        for engine, latch in self.latches.items():
            lost.link_up(engine, list(latch.values()), LatchState.PRESENT, self.moment())
        for stop_id, (scope, _) in self.wanted.items():
            if stop_id in held:
                entry = lost.register.entries[stop_id]
                assert (entry.is_open, entry.scope, entry.level >= held[stop_id].level) == (True, scope, True)

    # --- what always holds ---

    @invariant()
    def nothing_but_a_release_ends_a_stop(self):
        for stop_id, (scope, level) in self.wanted.items():
            entry = self.book.register.entries[stop_id]
            assert entry.is_open
            assert entry.level >= level
            assert entry.scope == scope

    @invariant()
    def epochs_only_rise(self):
        assert self.book.register.epoch >= self.last_epoch or self.lives
        self.last_epoch = self.book.register.epoch

    @invariant()
    def every_connected_engine_was_sent_every_stop_that_concerns_it_in_its_newest_form(self):
        for engine in self.book.connected:
            for record in self.book.effective(engine):
                held = self.latches[engine].get(record.stop_id)
                assert held is not None
                assert held.stop_epoch >= record.stop_epoch

    @invariant()
    def success_is_shown_for_verified_work_only_and_running_only_for_a_connected_engine(self):
        for run in self.book.runs.values():
            view = run.view()
            for result in view.results:
                assert result.success == (result.phase is StopPhase.VERIFIED)
                assert (result.completed_at is not None) == (result.phase in FINAL)
                if result.phase not in FINAL and run.released_at is None:
                    assert result.engine_id in self.book.connected


TestStopsSurvive = StopsSurvive.TestCase
TestStopsSurvive.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
