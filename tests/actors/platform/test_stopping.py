"""What the stop coordinator decides, sentence by sentence."""

from datetime import UTC, datetime

import attrs
import pytest

import actors.stops.ledger as ledger_module
import actors.stops.run as run_module
from actors.incidents.report import window
from actors.requests import Refusal
from actors.stops.book import EARLIEST
from actors.stops.effects import AuditStop, RaiseAlert, RecordStop, SendRelease, SendStop, StopChanged, Words
from actors.stops.ledger import UNFOLDED
from actors.stops.parts import begun, contradicting, state_of
from actors.stops.reopening import OWN_STOPS
from actors.stops.run import PLATFORM
from wire.codec import decode, encode
from wire.messages import LocalStop, StopProgress
from wire.parts import Residual
from wire.rest.stops import Stop, StopRequest, StopState, TimelineEvent
from wire.stops import Entry, Level, Register, Scope, StopRecord
from wire.values import Flatness, LatchState, LocalStopCause, StopPhase, TradingMode

START = datetime(2026, 1, 5, tzinfo=UTC)
NOTHING_HELD = ([], LatchState.PRESENT)


def of(effects, kind):
    return [e for e in effects if isinstance(e, kind)]


def report(stop_id, epoch, phase, **fields):
    base = {
        "orders_cancelled": 0,
        "orders_remaining": 0,
        "positions_liquidated": 0,
        "positions_remaining": 0,
        "flatness": Flatness.FLAT,
        "residuals": [],
    }
    return StopProgress(stop_id=stop_id, stop_epoch=epoch, phase=phase, **{**base, **fields})


def phases(book, stop_id):
    return {r.engine_id: r.phase for r in book.view(stop_id).results}


@pytest.fixture
def book(kit):
    made = kit.book()
    made.link_up("E1", *NOTHING_HELD, kit.at(0), mode=TradingMode.PAPER)
    made.link_up("E3", *NOTHING_HELD, kit.at(0), mode=TradingMode.LIVE)
    return made


def take(book, kit, now=1.0, user="kim", **fields):
    return book.take(StopRequest(**fields), user, kit.at(now))


def test_an_empty_request_stops_everything_flattens_and_is_sent_to_every_connected_engine(book, kit):
    taken = take(book, kit)
    sends = of(taken.effects, SendStop)
    assert [s.engine_id for s in sends] == ["E1", "E3"]
    assert {(str(s.message.scope), s.message.level, s.message.stop_epoch) for s in sends} == {("all", Level.FLATTEN, 1)}
    assert sends[0].message.proof == kit.prove(sends[0].message.record())
    assert phases(book, taken.stop_id) == {
        "E1": StopPhase.PENDING,
        "E2": StopPhase.UNREACHABLE,
        "E3": StopPhase.PENDING,
    }


def test_the_sends_come_before_everything_else_that_is_to_be_done(book, kit):
    kinds = [type(e) for e in take(book, kit).effects]
    assert kinds.index(SendStop) < kinds.index(RecordStop) < kinds.index(AuditStop)


def test_the_same_request_again_is_the_same_stop_and_decides_nothing(book, kit):
    first = take(book, kit, request_id="r1", level=Level.HALT)
    again = take(book, kit, now=2, request_id="r1", level=Level.HALT)
    assert (again.stop_id, again.decided, again.effects) == (first.stop_id, False, [])


def test_the_same_request_with_a_higher_level_raises_its_stop(book, kit):
    first = take(book, kit, request_id="r1", level=Level.HALT)
    again = take(book, kit, now=2, request_id="r1", level=Level.FLATTEN)
    assert again.stop_id == first.stop_id
    assert book.view(first.stop_id).level is Level.FLATTEN
    assert book.view(first.stop_id).epoch == 2


def test_the_same_request_with_a_lower_level_lowers_nothing(book, kit):
    first = take(book, kit, request_id="r1", level=Level.FLATTEN)
    take(book, kit, request_id="r1", level=Level.HALT)
    assert book.view(first.stop_id).level is Level.FLATTEN


def test_the_same_scope_by_another_request_raises_the_open_stop_to_a_new_epoch(book, kit):
    first = take(book, kit, request_id="r1", level=Level.FLATTEN)
    other = take(book, kit, request_id="r2", user="lee", level=Level.HALT)
    assert other.stop_id == first.stop_id
    view = book.view(first.stop_id)
    assert (view.level, view.epoch, view.request_id) == (Level.FLATTEN, 2, "r2")
    assert [s.message.stop_epoch for s in of(other.effects, SendStop)] == [2, 2]


def test_a_stop_that_goes_on_is_sent_again_as_a_persons_word_and_changes_nothing_else(book, kit):
    stop = take(book, kit, level=Level.CANCEL)
    assert not any(s.message.again for s in of(stop.effects, SendStop))
    before = book.view(stop.stop_id)
    effects = book.go_on(stop.stop_id, "park", kit.at(5)).effects
    sent = of(effects, SendStop)
    assert {s.engine_id for s in sent} == {"E1", "E3"}
    assert all(s.message.again and s.message.stop_epoch > before.epoch for s in sent)
    after = book.view(stop.stop_id)
    assert (after.level, after.user_id, after.reason) == (before.level, before.user_id, before.reason)
    assert (after.timeline[-1].event, after.timeline[-1].detail) == ("continued", "park")
    assert [a.action for a in of(effects, AuditStop)] == ["stop.continued"]
    assert [r.entry.stop_epoch for r in of(effects, RecordStop)] == [after.epoch]


def test_a_repeated_stop_is_a_persons_word_and_one_of_the_platform_is_not(book, kit):
    take(book, kit, request_id="one")
    assert all(s.message.again for s in of(take(book, kit, now=2, request_id="two").effects, SendStop))
    request = StopRequest(level=Level.FLATTEN)
    for who, cause in ((PLATFORM, "operator"), ("trigger:clock_skew", "trigger:clock_skew")):
        by_itself = book.take_unchecked(request, who, kit.at(3), cause=cause)
        assert of(by_itself.effects, SendStop)
        assert not any(s.message.again for s in of(by_itself.effects, SendStop))


def test_a_drill_is_nobody_s_word_about_the_real_stop_of_its_scope(book, kit):
    take(book, kit, request_id="real")
    drilled = take(book, kit, now=2, request_id="drill", level=Level.HALT, drill=True)
    assert [(s.message.drill, s.message.again) for s in of(drilled.effects, SendStop)] == [(False, False)] * 2


@pytest.mark.parametrize("level", [Level.REDUCE_ONLY, Level.HALT])
def test_a_hold_of_the_platform_that_a_person_wants_too_is_not_the_platform_s_to_end(book, kit, level):
    book.hold("E1", "ma", "parameters differ", kit.at(1))
    held = book.held("E1", "ma").stop_id
    taken = take(book, kit, now=2, scope=Scope.parse("strategy:E1/ma"), level=level, reason="mine")
    assert taken.stop_id == held
    assert book.held("E1", "ma") is None
    view = book.view(held)
    assert (view.cause, view.user_id, view.reason) == ("operator", "kim", "mine")


def test_a_key_is_one_person_s_for_a_day_and_then_it_means_another_stop(book, kit):
    everything = Scope.everything()

    def spent(user, now):
        return book.is_spent("k", everything, user, kit.at(now))

    stop = take(book, kit, now=1, user="kim", request_id="k").stop_id
    assert not spent("kim", 2)
    assert not spent("lee", 2)  # it is open: whoever asks is answered with it
    take(book, kit, now=3, user="lee", request_id="k2")
    book.apply_release(book.plan_release(stop, [], resume=False, user_id="l", reason="", now=kit.at(4)), kit.at(4))
    assert not spent("kim", 5)  # a repeat restarts nothing
    assert spent("lee", 5)
    assert not spent("kim", 86_400)
    assert spent("kim", 86_402)


def test_a_released_or_unknown_stop_does_not_go_on(book, kit):
    stop = take(book, kit).stop_id
    book.apply_release(book.plan_release(stop, [], resume=False, user_id="l", reason="", now=kit.at(2)), kit.at(3))
    assert (book.go_on(stop, "park", kit.at(4)).status, book.go_on("nothing", "park", kit.at(4)).status) == (409, 404)


def test_one_request_id_with_another_scope_is_another_stop_and_never_a_narrower_one(book, kit):
    narrow = take(book, kit, request_id="r1", scope=Scope.parse("engine:E1"))
    wide = take(book, kit, request_id="r1")
    assert wide.stop_id != narrow.stop_id
    assert [s.engine_id for s in of(wide.effects, SendStop)] == ["E1", "E3"]


@pytest.mark.parametrize(
    ("scope", "code"), [("engine:nope", "error_unknown_engine"), ("account:nope", "error_unknown_account")]
)
def test_an_unknown_engine_or_account_is_refused_and_nothing_is_stopped(book, kit, scope, code):
    refusal = take(book, kit, scope=Scope.parse(scope))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.error) == (404, code)
    assert not list(book.register.open_stops())


def test_while_the_roster_cannot_be_read_an_unknown_engine_is_stopped_rather_than_refused(book, kit):
    book.roster.is_complete = False
    taken = take(book, kit, scope=Scope.parse("engine:later"))
    assert book.view(taken.stop_id).state is StopState.EMPTY
    sends = of(book.link_up("later", *NOTHING_HELD, kit.at(3)), SendStop)
    assert [s.message.stop_id for s in sends] == [taken.stop_id]


def test_an_account_stop_reaches_the_engines_of_that_account_only(book, kit):
    book.link_up("E2", *NOTHING_HELD, kit.at(0))
    taken = take(book, kit, scope=Scope.parse("account:A1"))
    assert set(phases(book, taken.stop_id)) == {"E1", "E2"}


def test_a_drill_that_would_trade_real_money_is_refused(book, kit):
    refusal = take(book, kit, drill=True)
    assert isinstance(refusal, Refusal)
    assert refusal.error == "error_drill_level"


def test_a_drill_flattens_where_every_engine_is_paper_and_halts_everywhere(book, kit):
    assert not isinstance(take(book, kit, drill=True, scope=Scope.of_engine("E1")), Refusal)
    assert not isinstance(take(book, kit, drill=True, level=Level.HALT), Refusal)


def test_a_real_request_on_a_drill_takes_its_label_away(book, kit):
    drill = take(book, kit, drill=True, level=Level.HALT)
    take(book, kit, level=Level.HALT, request_id="real")
    assert not book.view(drill.stop_id).drill


def test_sent_received_frozen_and_verified_never_stand_for_each_other(book, kit):
    stop = take(book, kit, scope=Scope.of_engine("E1")).stop_id
    seen = [phases(book, stop)["E1"]]
    book.frame_written("E1", stop, 1, kit.at(1.1))
    seen.append(phases(book, stop)["E1"])
    book.acknowledged("E1", stop, 1, kit.at(1.2))
    seen.append(phases(book, stop)["E1"])
    for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
        book.progress("E1", report(stop, 1, phase), kit.at(1.5))
        seen.append(phases(book, stop)["E1"])
    assert [p.value for p in seen] == [
        "pending",
        "sent",
        "received",
        "frozen",
        "cancelled",
        "flattened",
        "verified",
    ]
    result = book.view(stop).results[0]
    assert (result.success, result.ms_to_frozen) == (True, 500)


def test_a_halt_is_done_when_frozen_and_latched(book, kit):
    stop = take(book, kit, scope=Scope.of_engine("E1"), level=Level.HALT).stop_id
    book.progress("E1", report(stop, 1, StopPhase.FROZEN, latched=False, flatness=Flatness.UNKNOWN), kit.at(1.1))
    assert phases(book, stop)["E1"] is StopPhase.FROZEN
    book.acknowledged("E1", stop, 1, kit.at(1.2))
    assert book.view(stop).state is StopState.VERIFIED


@pytest.mark.parametrize("level", [Level.REDUCE_ONLY, Level.HALT])
def test_that_a_halt_is_verified_counts_only_with_its_latch(book, kit, level):
    stop = take(book, kit, scope=Scope.of_engine("E1"), level=level).stop_id
    book.progress("E1", report(stop, 1, StopPhase.VERIFIED, flatness=Flatness.UNKNOWN), kit.at(1.1))
    assert (phases(book, stop)["E1"], book.view(stop).results[0].success) == (StopPhase.FROZEN, False)
    book.acknowledged("E1", stop, 1, kit.at(1.2))
    book.progress("E1", report(stop, 1, StopPhase.VERIFIED, flatness=Flatness.UNKNOWN), kit.at(1.3))
    assert (phases(book, stop)["E1"], book.view(stop).results[0].success) == (StopPhase.VERIFIED, True)


def test_the_timeline_says_of_every_closed_gate_when_it_closed_and_what_had_left_before(book, kit):
    stop = take(book, kit, level=Level.HALT).stop_id
    book.progress("E1", report(stop, 1, StopPhase.FROZEN, latched=False, in_flight=2), kit.at(1.1))
    book.acknowledged("E3", stop, 1, kit.at(1.2))  # latched first, so its frozen is verified too
    book.progress("E3", report(stop, 1, StopPhase.FROZEN, latched=True, in_flight=1), kit.at(1.3))
    timeline = [(e.event, e.engine_id, e.detail) for e in book.view(stop).timeline]
    assert [e for e in timeline if e[0] in ("frozen", "verified")] == [
        ("frozen", "E1", "2 requests in flight: written before the gate closed"),
        ("frozen", "E3", "1 request in flight: written before the gate closed"),
        ("verified", "E3", None),
    ]
    book.progress("E1", report(stop, 1, StopPhase.FROZEN, latched=True, in_flight=0), kit.at(1.4))
    assert [e.event for e in book.view(stop).timeline].count("frozen") == 2


def test_the_timeline_says_at_which_level_a_stop_is_after_every_decision_about_it_and_only_then(book, kit):
    stop = take(book, kit, level=Level.HALT, reason="CANCEL: it").stop_id
    book.acknowledged("E1", stop, 1, kit.at(1.5))
    take(book, kit, now=2, level=Level.CANCEL)
    take(book, kit, now=3, level=Level.HALT)
    book.go_on(stop, "park", kit.at(4))
    book.reassert(stop, "it was not written", kit.at(5))
    plan = book.plan_release(stop, [], resume=False, user_id="lee", reason="FLATTEN", now=kit.at(6))
    book.apply_release(plan, kit.at(6))
    record = StopRecord(stop_id=stop, scope=Scope.everything(), level=Level.FLATTEN, stop_epoch=50)
    book.link_up("E1", [attrs.evolve(record, proof=kit.prove(record))], LatchState.PRESENT, kit.at(7))
    told = [(e.event, e.level) for e in book.view(stop).timeline if e.level or e.engine_id is None]
    assert told == [
        ("requested", Level.HALT),
        ("raised", Level.CANCEL),
        ("raised", Level.CANCEL),
        ("continued", Level.CANCEL),
        ("kept", Level.CANCEL),
        ("released", None),
        ("reopened", Level.FLATTEN),
    ]
    found = book.merge(Register(entries={"new": Entry(Scope.everything(), Level.HALT, 60)}), {}, kit.at(8))
    assert found
    assert [(e.event, e.level) for e in book.view("new").timeline if e.level] == [("recovered", Level.HALT)]


def test_the_timeline_of_a_large_fleet_has_the_end_of_every_engine(kit):
    names = [f"E{n}" for n in range(300)]
    book = kit.book(engines=[(name, f"A-{name}") for name in names])
    for name in names:
        book.link_up(name, *NOTHING_HELD, kit.at(0))
    stop = take(book, kit, level=Level.HALT).stop_id
    for event in ("frame_written", "acknowledged"):
        for name in names:
            getattr(book, event)(name, stop, 1, kit.at(1))
    for name in names:
        book.progress(name, report(stop, 1, StopPhase.FROZEN, latched=True, in_flight=0), kit.at(2))
    timeline = book.view(stop).timeline
    assert {e.engine_id for e in timeline if e.event == "verified"} == set(names)


def test_an_engine_that_never_ends_its_story_leaves_room_for_what_people_decide(book, kit):
    stop = take(book, kit).stop_id
    run = book.runs[stop]
    for _ in range(5000):
        run.note(kit.at(1), "failed", engine_id="E1")
    length = len(run.timeline)
    for _ in range(5000):
        run.note(kit.at(2), "released", detail="lee: out")
    assert run.timeline[length].event == "released"
    assert length < len(run.timeline) < 5000


@pytest.mark.parametrize(
    "lie",
    [
        {"positions_remaining": 3},
        {"flatness": Flatness.UNKNOWN},
        {"flatness": Flatness.NOT_FLAT},
        {"orders_remaining": 1},
        {"latched": False},
    ],
)
def test_verified_with_evidence_against_it_is_a_failure_with_an_alert(book, kit, lie):
    stop = take(book, kit, scope=Scope.of_engine("E1")).stop_id
    said = report(stop, 1, StopPhase.VERIFIED, **lie)
    assert contradicting(said, Level.FLATTEN)
    effects = book.progress("E1", said, kit.at(2))
    view = book.view(stop)
    assert (view.state, view.results[0].success) == (StopState.FAILED, False)
    assert of(effects, RaiseAlert)[0].code == "error_stop_failed"


def test_thirty_seconds_without_the_end_are_a_timeout_with_one_alert_and_the_engine_may_still_verify(book, kit):
    stop = take(book, kit).stop_id
    assert book.tick(kit.at(30.9)) == []
    alerts = of(book.tick(kit.at(31)), RaiseAlert)
    assert [a.code for a in alerts] == ["error_stop_timeout"]
    assert "E1, E3" in alerts[0].reason
    assert book.view(stop).state is StopState.TIMED_OUT
    for engine in ("E1", "E3"):
        book.progress(engine, report(stop, 1, StopPhase.VERIFIED), kit.at(40))
    assert phases(book, stop)["E1"] is StopPhase.VERIFIED
    assert book.view(stop).state is StopState.PARTIAL  # E2 is still away


def test_an_engine_that_was_away_gets_the_stop_the_moment_it_returns(book, kit):
    stop = take(book, kit).stop_id
    sends = of(book.link_up("E2", *NOTHING_HELD, kit.at(100)), SendStop)
    assert [(s.engine_id, s.message.stop_id) for s in sends] == [("E2", stop)]
    assert phases(book, stop)["E2"] is StopPhase.PENDING
    assert book.snapshot("E2", []).effective == [sends[0].message.record()]


def test_an_engine_lost_on_the_way_is_unreachable_and_what_it_verified_stays_verified(book, kit):
    stop = take(book, kit).stop_id
    book.progress("E3", report(stop, 1, StopPhase.VERIFIED), kit.at(2))
    book.link_down("E1", kit.at(3))
    book.link_down("E3", kit.at(3))
    assert phases(book, stop) == {
        "E1": StopPhase.UNREACHABLE,
        "E2": StopPhase.UNREACHABLE,
        "E3": StopPhase.VERIFIED,
    }


def test_a_verified_engine_that_returns_with_its_latch_is_not_asked_again(book, kit):
    taken = take(book, kit, scope=Scope.of_engine("E1"))
    book.progress("E1", report(taken.stop_id, 1, StopPhase.VERIFIED), kit.at(2))
    held = [book.runs[taken.stop_id].record()]
    book.link_down("E1", kit.at(3))
    assert not of(book.link_up("E1", held, LatchState.PRESENT, kit.at(4)), SendStop)


def test_a_verified_engine_that_returns_without_its_latch_is_stopped_again(book, kit):
    taken = take(book, kit, scope=Scope.of_engine("E1"))
    book.progress("E1", report(taken.stop_id, 1, StopPhase.VERIFIED), kit.at(2))
    assert of(book.link_up("E1", [], LatchState.ABSENT, kit.at(4)), SendStop)
    assert book.view(taken.stop_id).state is StopState.RUNNING


def test_a_report_about_an_earlier_decision_says_nothing_about_this_one(book, kit):
    stop = take(book, kit, scope=Scope.of_engine("E1"), level=Level.HALT).stop_id
    take(book, kit, scope=Scope.of_engine("E1"), level=Level.FLATTEN, request_id="r2")
    book.progress("E1", report(stop, 1, StopPhase.VERIFIED), kit.at(2))
    assert phases(book, stop)["E1"] is StopPhase.PENDING


def test_an_unknown_stop_with_our_proof_is_opened_again_with_its_whole_scope(kit):
    book = kit.book()
    record = StopRecord(stop_id="old", scope=Scope.everything(), level=Level.CANCEL, stop_epoch=7)
    record = StopRecord(stop_id="old", scope=record.scope, level=record.level, stop_epoch=7, proof=kit.prove(record))
    book.link_up("E3", *NOTHING_HELD, kit.at(0))
    effects = book.link_up("E1", [record], LatchState.PRESENT, kit.at(1))
    assert {s.engine_id for s in of(effects, SendStop)} == {"E1", "E3"}
    assert book.register.entries["old"] == Entry(Scope.everything(), Level.CANCEL, 7)
    assert "error_unknown_stop_reopened" in [a.code for a in of(effects, RaiseAlert)]


def test_an_unknown_stop_without_our_proof_is_opened_again_for_that_engine_alone(kit):
    book = kit.book()
    book.link_up("E3", *NOTHING_HELD, kit.at(0))
    record = StopRecord(stop_id="old", scope=Scope.everything(), level=Level.CANCEL, stop_epoch=7, proof="forged")
    effects = book.link_up("E1", [record], LatchState.PRESENT, kit.at(1))
    assert {s.engine_id for s in of(effects, SendStop)} == {"E1"}
    assert str(book.register.entries["old"].scope) == "engine:E1"


def test_an_engine_cannot_widen_or_revive_another_scope_s_stop_under_its_id(book, kit):
    stop = take(book, kit, scope=Scope.parse("account:A2")).stop_id
    claim = StopRecord(stop_id=stop, scope=Scope.everything(), level=Level.FLATTEN, stop_epoch=99, proof="forged")
    book.link_up("E1", [claim], LatchState.PRESENT, kit.at(2))
    assert book.register.entries[stop].scope == Scope.parse("account:A2")
    others = {str(e.scope) for i, e in book.register.open_stops() if i != stop}
    assert others == {"engine:E1"}


def test_every_new_epoch_is_above_everything_found_in_any_hello(book, kit):
    record = StopRecord(stop_id="x", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=41)
    book.link_up("E1", [record], LatchState.PRESENT, kit.at(2))
    assert book.view(take(book, kit, now=3).stop_id).epoch > 41


def test_a_corrupt_latch_halts_its_engine_once(book, kit):
    effects = book.link_up("E1", [], LatchState.CORRUPT, kit.at(2))
    assert [a.code for a in of(effects, RaiseAlert)] == ["error_latch_corrupt"]
    assert book.register.engine_level("E1", "A1") is Level.HALT
    book.link_up("E1", [], LatchState.CORRUPT, kit.at(3))
    assert len(list(book.register.open_stops())) == 1


def test_a_local_stop_becomes_a_stop_of_that_engine_under_its_own_id_and_stays_released_once_released(book, kit):
    local = LocalStop(id="mine", level=Level.CANCEL, cause=LocalStopCause.RISK, reason="loss", at=kit.at(1).wall)
    book.local_stop("E1", local, kit.at(1))
    view = book.view("mine")
    assert (str(view.scope), view.cause, view.level) == ("engine:E1", "risk", Level.CANCEL)
    plan = book.plan_release("mine", [], resume=False, user_id="lee", reason="ok", now=kit.at(2))
    book.apply_release(plan, kit.at(2))
    book.local_stop("E1", local, kit.at(3))
    assert not list(book.register.open_stops())


def test_two_engines_with_the_same_local_id_do_not_become_one_stop_of_everything(book, kit):
    local = LocalStop(id="mine", level=Level.HALT, cause=LocalStopCause.SENTINEL, reason="", at=kit.at(1).wall)
    book.local_stop("E1", local, kit.at(1))
    book.local_stop("E3", local, kit.at(1))
    assert sorted(str(e.scope) for _, e in book.register.open_stops()) == ["engine:E1", "engine:E3"]
    (theirs,) = [i for i, e in book.register.open_stops() if str(e.scope) == "engine:E3"]
    plan = book.plan_release(theirs, [], resume=False, user_id="lee", reason="ok", now=kit.at(2))
    (release,) = of(book.apply_release(plan, kit.at(2)), SendRelease)
    assert set(release.message.stop_ids) == {theirs, "mine"}


def test_a_release_reaches_the_links_and_a_waived_engine_keeps_a_stop_of_its_own(book, kit):
    stop = take(book, kit).stop_id
    plan = book.plan_release(stop, ["E2"], resume=True, user_id="lee", reason="ok", now=kit.at(2))
    effects = book.apply_release(plan, kit.at(3))
    assert {r.engine_id for r in of(effects, SendRelease)} == {"E1", "E3"}
    assert {r.message.resume for r in of(effects, SendRelease)} == {True}
    ((kept, entry),) = book.register.open_stops()
    assert (str(entry.scope), entry.level) == ("engine:E2", Level.FLATTEN)
    assert book.view(stop).released_at == kit.at(3).wall
    assert {e.stop_id for e in of(effects, StopChanged)} == {stop, kept}  # every dashboard hears of both
    assert [(e.event, e.detail) for e in book.view(kept).timeline] == [
        ("requested", f"lee: FLATTEN waived at the release of {stop}")
    ]


def waive(book, kit, now, *engines, level=Level.FLATTEN, **more):
    stop = take(book, kit, now=now, level=level).stop_id
    return book.plan_release(stop, engines, resume=True, user_id="lee", reason="ok", now=kit.at(now), **more)


def test_an_engine_that_is_waived_again_and_again_has_one_stop_of_its_own_at_the_highest_level(book, kit):
    for now, level in enumerate((Level.HALT, Level.FLATTEN, Level.CANCEL), 1):
        book.apply_release(waive(book, kit, now, "E2", level=level), kit.at(now))
    ((kept, entry),) = book.register.open_stops()
    view = book.view(kept)
    assert (str(entry.scope), view.level, view.epoch) == ("engine:E2", Level.FLATTEN, entry.stop_epoch)
    halted, flattened, cancelled = (i for i in book.register.entries if i != kept)
    assert (view.cause, view.reason) == ("waived", f"waived at the release of {flattened}")
    assert [(e.event, e.detail) for e in view.timeline] == [
        ("requested", f"lee: HALT waived at the release of {halted}"),
        ("raised", f"lee: FLATTEN waived at the release of {flattened}"),
        ("raised", f"lee: FLATTEN waived at the release of {cancelled}"),
    ]


def test_what_an_engine_verified_of_the_stop_it_was_left_with_is_no_evidence_for_a_later_one(book, kit):
    book.apply_release(waive(book, kit, 1, "E1"), kit.at(1))
    ((kept, entry),) = book.register.open_stops()
    book.progress("E1", report(kept, entry.stop_epoch, StopPhase.VERIFIED), kit.at(2))
    assert phases(book, kept) == {"E1": StopPhase.VERIFIED}
    effects = book.apply_release(waive(book, kit, 3, "E1"), kit.at(3))
    assert phases(book, kept) == {"E1": StopPhase.PENDING}
    (sent,) = [s.message for s in of(effects, SendStop) if s.engine_id == "E1"]
    later = book.register.entries[kept].stop_epoch
    assert (sent.stop_id, sent.stop_epoch, sent.again) == (kept, later, True)  # in the session of now, like a new one
    assert later > entry.stop_epoch
    assert book.view(kept).durable


def test_a_person_s_own_stop_of_an_engine_is_not_what_a_release_leaves(book, kit):
    own = take(book, kit, scope=Scope.of_engine("E2"), level=Level.HALT, reason="a bad strategy").stop_id
    book.apply_release(waive(book, kit, 2, "E2"), kit.at(2))
    assert {i: e.level for i, e in book.register.open_stops()}.pop(own) is Level.HALT
    assert len(list(book.register.open_stops())) == 2


def test_a_stop_that_is_left_and_whose_own_release_is_being_written_is_left_alone(book, kit):
    book.apply_release(waive(book, kit, 1, "E2"), kit.at(1))
    ((kept, _),) = book.register.open_stops()
    plan = waive(book, kit, 2, "E2", busy={kept})
    assert plan.kept[0].stop_id != kept
    own = book.plan_release(kept, ["E2"], resume=True, user_id="lee", reason="ok", now=kit.at(3))
    assert own.kept[0].stop_id != kept


@pytest.mark.parametrize("level", [Level.CANCEL, Level.FLATTEN])
def test_a_stop_that_is_left_again_and_was_raised_meanwhile_keeps_the_later_decision(book, kit, level):
    book.apply_release(waive(book, kit, 1, "E2", level=Level.HALT), kit.at(1))
    ((kept, _),) = book.register.open_stops()
    plan = waive(book, kit, 2, "E2", level=Level.CANCEL)
    take(book, kit, now=3, user="park", scope=Scope.of_engine("E2"), level=level, reason="now")
    raised = book.register.entries[kept]
    effects = book.apply_release(plan, kit.at(4))
    assert book.register.entries[kept] == raised
    assert (book.view(kept).user_id, book.view(kept).reason) == ("park", "now")
    assert kept not in {e.stop_id for e in of(effects, StopChanged)}


def test_a_stop_that_is_left_again_above_what_was_decided_meanwhile_takes_an_epoch_above_that_and_is_recorded(
    book, kit
):
    book.apply_release(waive(book, kit, 1, "E2", level=Level.HALT), kit.at(1))
    ((kept, _),) = book.register.open_stops()
    plan = waive(book, kit, 2, "E2", level=Level.FLATTEN)
    take(book, kit, now=3, user="park", scope=Scope.of_engine("E2"), level=Level.CANCEL)
    raised = book.register.entries[kept]
    effects = book.apply_release(plan, kit.at(4))
    now_held = book.register.entries[kept]
    assert now_held.level is Level.FLATTEN
    assert now_held.stop_epoch > raised.stop_epoch
    assert [r.entry for r in of(effects, RecordStop)] == [now_held]
    assert not book.view(kept).durable


def test_a_stop_that_was_left_and_came_back_from_a_restart_is_raised_too(book, kit):
    book.apply_release(waive(book, kit, 1, "E2"), kit.at(1))
    ((kept, _),) = book.register.open_stops()
    views = [book.view(i) for i in book.register.entries]
    again = kit.book(book.register)
    again.remember(views, {}, kit.at(2))
    again.recover({}, kit.at(2))
    again.apply_release(waive(again, kit, 3, "E2"), kit.at(3))
    assert [i for i, _ in again.register.open_stops()] == [kept]


def test_a_stop_raised_while_its_release_is_being_written_stays(book, kit):
    stop = take(book, kit, level=Level.HALT).stop_id
    plan = book.plan_release(stop, [], resume=False, user_id="lee", reason="ok", now=kit.at(2))
    take(book, kit, now=2.5, request_id="again")
    effects = book.apply_release(plan, kit.at(3))
    assert not of(effects, SendRelease)
    assert book.view(stop).released_at is None
    assert book.register.engine_level("E1", "A1") is Level.FLATTEN


def test_a_request_repeated_after_its_release_comes_back_released_and_restarts_nothing(book, kit):
    stop = take(book, kit, request_id="r1").stop_id
    plan = book.plan_release(stop, [], resume=False, user_id="lee", reason="ok", now=kit.at(2))
    book.apply_release(plan, kit.at(3))
    again = take(book, kit, now=4, request_id="r1")
    assert (again.stop_id, again.effects) == (stop, [])
    assert book.view(stop).released_at is not None


def test_an_engine_that_was_away_at_the_release_is_answered_released(book, kit):
    stop = take(book, kit).stop_id
    held = book.runs[stop].record()
    book.link_down("E1", kit.at(2))
    plan = book.plan_release(stop, [], resume=False, user_id="lee", reason="ok", now=kit.at(3))
    book.apply_release(plan, kit.at(3))
    effects = book.link_up("E1", [held], LatchState.PRESENT, kit.at(4))
    assert not of(effects, SendStop)
    assert book.snapshot("E1", [stop]).released == [stop]


def test_after_a_restart_every_open_stop_waits_for_its_engines(kit):
    register = Register().with_stop("s9", Entry(Scope.everything(), Level.FLATTEN, 4))
    book = kit.book(register)
    book.recover({}, kit.at(0))
    assert set(phases(book, "s9").values()) == {StopPhase.UNREACHABLE}
    assert of(book.link_up("E1", *NOTHING_HELD, kit.at(1)), SendStop)
    assert book.view(take(book, kit, scope=Scope.of_engine("E1")).stop_id).epoch == 5


def test_the_halt_that_an_engine_with_a_corrupt_latch_brings_is_the_one_stop_for_it(book, kit):
    own = StopRecord(stop_id="local-1", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=1)
    effects = book.link_up("E1", [own], LatchState.CORRUPT, kit.at(2))
    book.local_stop(
        "E1",
        LocalStop(id="local-1", level=Level.HALT, cause=LocalStopCause.RISK, reason="r", at=kit.at(2).wall),
        kit.at(2),
    )
    assert [i for i, _ in book.register.open_stops()] == ["local-1"]
    assert book.view("local-1").cause == "corrupt_latch"
    assert [a.code for a in of(effects, RaiseAlert)] == ["error_latch_corrupt"]
    book.link_down("E1", kit.at(3))
    assert not of(book.link_up("E1", [own], LatchState.CORRUPT, kit.at(4)), RaiseAlert)
    # Waived at the release of that stop, it comes back with the one it keeps, and with no third.
    plan = book.plan_release("local-1", ["E1"], resume=False, user_id="lee", reason="ok", now=kit.at(5))
    book.link_down("E1", kit.at(5))
    book.apply_release(plan, kit.at(5))
    book.link_up("E1", [own], LatchState.CORRUPT, kit.at(6))
    assert [i for i, _ in book.register.open_stops()] == [plan.kept[0].stop_id]


def test_a_weaker_stop_in_a_corrupt_latch_s_hello_does_not_stand_for_the_halt(book, kit):
    own = StopRecord(stop_id="mine", scope=Scope.of_engine("E1"), level=Level.REDUCE_ONLY, stop_epoch=1)
    effects = book.link_up("E1", [own], LatchState.CORRUPT, kit.at(2))
    assert book.register.engine_level("E1", "A1") is Level.HALT
    assert {a.code for a in of(effects, RaiseAlert)} == {"error_unknown_stop_reopened", "error_latch_corrupt"}


@pytest.mark.parametrize("cause", LocalStopCause)
def test_a_stop_of_the_engine_s_own_becomes_one_of_that_engine_with_its_id_whatever_its_cause(book, kit, cause):
    local = LocalStop(id="mine", level=Level.HALT, cause=cause, reason="why", at=kit.at(1).wall)
    effects = book.local_stop("E1", local, kit.at(1))
    view = book.view("mine")
    assert (view.stop_id, str(view.scope), view.cause, view.user_id) == ("mine", "engine:E1", cause.value, "E1")
    assert [a.code for a in of(effects, RaiseAlert)] == ["error_local_stop"]
    assert [s.message.stop_id for s in of(effects, SendStop)] == ["mine"]


def test_every_new_epoch_is_above_every_copy_and_every_word_of_an_engine(kit):
    book = kit.book(Register(floor=90).with_stop("old", Entry(Scope.of_engine("E2"), Level.HALT, 40, 70)))
    assert book.view(take(book, kit, scope=Scope.of_engine("E1")).stop_id).epoch == 91
    book.epoch_seen(400)  # a heartbeat
    assert book.view(take(book, kit, scope=Scope.of_engine("E2")).stop_id).epoch == 401
    book.merge(Register(floor=900), {}, kit.at(2))  # the database, read late
    assert book.view(take(book, kit, scope=Scope.parse("symbol:005930")).stop_id).epoch == 901


def test_whoever_is_not_reached_has_an_unknown_flatness_that_says_why(book, kit):
    stop = take(book, kit).stop_id
    there, away, _ = book.view(stop).results
    assert (away.phase, away.flatness, away.flatness_reason) == (
        StopPhase.UNREACHABLE,
        Flatness.UNKNOWN,
        "error_engine_unreachable",
    )
    assert (there.flatness, there.flatness_reason) == (Flatness.UNKNOWN, "error_no_read_yet")
    seen = report(stop, 1, StopPhase.CANCELLED, flatness=Flatness.NOT_FLAT, positions_remaining=2, flatness_as_of=START)
    book.progress("E1", seen, kit.at(2))
    assert book.view(stop).results[0].flatness_reason is None
    book.link_down("E1", kit.at(3))
    lost = book.view(stop).results[0]
    assert (lost.flatness, lost.flatness_reason) == (Flatness.UNKNOWN, "error_engine_unreachable")
    assert (lost.positions_remaining, lost.flatness_as_of) == (2, START)  # what was last seen, and when


def test_what_was_verified_keeps_its_flatness_when_the_engine_goes(book, kit):
    stop = take(book, kit).stop_id
    book.progress("E1", report(stop, 1, StopPhase.VERIFIED, latched=True), kit.at(2))
    book.link_down("E1", kit.at(3))
    kept = book.view(stop).results[0]
    assert (kept.phase, kept.flatness, kept.flatness_reason) == (StopPhase.VERIFIED, Flatness.FLAT, None)


def test_what_cannot_be_closed_now_is_shown_with_its_end_and_alarmed(book, kit):
    stop = take(book, kit).stop_id
    left = Residual(symbol="005930", quantity=10, reason="the market is closed", until=START)
    blocked = report(
        stop,
        1,
        StopPhase.FAILED,
        positions_remaining=1,
        flatness=Flatness.NOT_FLAT,
        residuals=[left],
        error="error_positions_blocked",
    )
    alerts = of(book.progress("E1", blocked, kit.at(2)), RaiseAlert)
    assert [(a.code, a.severity) for a in alerts] == [("error_stop_failed", "critical")]
    shown = book.view(stop).results[0]
    assert (shown.phase, shown.success, shown.residuals) == (StopPhase.FAILED, False, [left])
    told = [e.detail for e in book.view(stop).timeline if e.event == "failed"]
    assert told == ["error_positions_blocked: 005930 10 (the market is closed)"]  # and stays in the story
    book.progress("E1", report(stop, 1, StopPhase.VERIFIED, latched=True), kit.at(3))
    assert book.view(stop).results[0].success


def test_an_engine_that_answers_superseded_or_released_is_through(book, kit):
    stop = take(book, kit).stop_id
    book.apply_release(book.plan_release(stop, [], resume=False, user_id="l", reason="", now=kit.at(2)), kit.at(2))
    book.progress("E1", report(stop, 1, StopPhase.SUPERSEDED, flatness=Flatness.UNKNOWN), kit.at(2))
    book.progress("E3", report(stop, 1, StopPhase.RELEASED, flatness=Flatness.UNKNOWN), kit.at(2))
    assert phases(book, stop) == {
        "E1": StopPhase.SUPERSEDED,
        "E2": StopPhase.UNREACHABLE,
        "E3": StopPhase.RELEASED,
    }
    assert book.view(stop).state is StopState.PARTIAL
    book.link_down("E1", kit.at(3))
    assert not any(e for e in book.tick(kit.at(100)) if isinstance(e, RaiseAlert))
    assert phases(book, stop)["E1"] is StopPhase.SUPERSEDED
    assert book.effective("E1") == []


P = StopPhase


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ([], StopState.EMPTY),
        ([P.VERIFIED], StopState.VERIFIED),
        ([P.VERIFIED, P.UNREACHABLE], StopState.PARTIAL),
        ([P.VERIFIED, P.RELEASED, P.SUPERSEDED], StopState.PARTIAL),
        ([P.VERIFIED, P.TIMED_OUT, P.UNREACHABLE], StopState.TIMED_OUT),
        ([P.FAILED, P.TIMED_OUT, P.VERIFIED], StopState.FAILED),
        *[([P.FAILED, P.TIMED_OUT, running], StopState.RUNNING) for running in (P.PENDING, P.SENT, P.RECEIVED)],
        *[([P.VERIFIED, running], StopState.RUNNING) for running in (P.FROZEN, P.CANCELLED, P.FLATTENED)],
    ],
)
def test_a_stop_is_running_while_anyone_is_not_through_and_else_as_good_as_its_worst(found, state, kit):
    parts = [attrs.evolve(begun(f"E{n}", 1, True, kit.at(0)), phase=phase) for n, phase in enumerate(found)]
    assert state_of(parts) is state


def long_over(book, kit):
    """One stop that was released, with a story, and enough released ones after it."""
    first = take(book, kit, request_id="r0", level=Level.HALT).stop_id
    book.acknowledged("E1", first, 1, kit.at(1.25))
    release(book, kit, first)
    for number in range(UNFOLDED):
        release(book, kit, take(book, kit, request_id=f"later-{number}", level=Level.HALT).stop_id)
    for run in book.runs.values():
        book.became_durable(run.stop_id, run.epoch)
    return first


def release(book, kit, stop_id):
    plan = book.plan_release(stop_id, [], resume=True, user_id="lee", reason="over", now=kit.at(2))
    book.apply_release(plan, kit.at(3))


def test_what_is_long_over_is_packed_and_looks_as_before(book, kit):
    first = long_over(book, kit)
    before = book.view(first)
    assert book.fold_one(lambda _id: False) is None
    assert book.fold_one(lambda _id: True) == first
    assert book.fold_one(lambda _id: True) is None
    assert book.runs[first].is_folded
    assert (book.view(first), len(before.timeline) > 2, len(before.results)) == (before, True, 3)


def test_a_packed_stop_answers_its_request_and_starts_nothing(book, kit):
    first = long_over(book, kit)
    book.fold_one(lambda _id: True)
    again = take(book, kit, now=9, request_id="r0", level=Level.FLATTEN)
    assert (again.stop_id, again.decided, again.effects) == (first, False, [])
    assert book.progress("E1", report(first, 1, StopPhase.FROZEN), kit.at(9)) == []


def test_a_packed_stop_that_an_engine_still_holds_above_its_release_goes_on_with_its_story(book, kit):
    first = long_over(book, kit)
    story = book.view(first).timeline
    book.fold_one(lambda _id: True)
    record = StopRecord(stop_id=first, scope=Scope.everything(), level=Level.HALT, stop_epoch=book.register.epoch + 1)
    held = attrs.evolve(record, proof=kit.prove(record))
    book.link_up("E1", [held], LatchState.PRESENT, kit.at(9))
    assert book.register.entries[first].is_open
    assert book.view(first).timeline[: len(story)] == story


def test_stops_are_packed_one_at_a_time_and_one_that_cannot_be_is_tried_once(book, kit, monkeypatch):
    first = long_over(book, kit)
    second = take(book, kit, request_id="one-more").stop_id
    book.became_durable(second, book.runs[second].epoch)
    release(book, kit, second)
    monkeypatch.setattr(run_module, "encode", lambda _view: "{}")
    assert book.fold_one(lambda _id: True) is None
    monkeypatch.undo()
    assert book.fold_one(lambda _id: True) == first
    assert book.fold_one(lambda _id: True) is None
    assert [run.stop_id for run in book.runs.values() if run.is_folded] == [first]


@pytest.fixture
def put_away(book, kit, monkeypatch):
    """One stop that was over long before the newest ones, and of which memory has no story any more."""

    def make(**fields):
        monkeypatch.setattr(ledger_module, "FOLDED", 0)
        first = take(book, kit, request_id="r0", **{"level": Level.HALT, **fields}).stop_id
        book.acknowledged("E1", first, book.runs[first].epoch, kit.at(1.25))
        release(book, kit, first)
        for number in range(UNFOLDED):
            release(book, kit, take(book, kit, request_id=f"later-{number}", level=Level.HALT).stop_id)
        for run in book.runs.values():
            book.became_durable(run.stop_id, run.epoch)
        assert book.put_away_one(lambda _id: True) is None
        assert book.fold_one(lambda _id: True) == first
        assert book.put_away_one(lambda _id: False) is None
        assert book.put_away_one(lambda _id: True) == first
        assert first not in book.runs
        return first

    return make


def latched(book, kit, stop_id, **changes):
    fields = {"scope": Scope.everything(), "level": Level.HALT, "stop_epoch": book.register.epoch + 1, **changes}
    record = StopRecord(stop_id=stop_id, **fields)
    return attrs.evolve(record, proof=kit.prove(record))


def test_of_the_packed_stops_only_the_oldest_are_put_away_and_one_at_a_time(book, kit, monkeypatch):
    monkeypatch.setattr(ledger_module, "FOLDED", 2)
    first = long_over(book, kit)
    for number in range(3):
        second = take(book, kit, request_id=f"more-{number}", level=Level.HALT).stop_id
        release(book, kit, second)
        book.became_durable(second, book.runs[second].epoch)
    while book.fold_one(lambda _id: True) is not None:
        pass
    away = [book.put_away_one(lambda _id: True) for _ in range(3)]
    assert (away[0], away[2]) == (first, None)
    assert sum(run.is_folded for run in book.runs.values()) == 2


def test_a_stop_that_was_put_away_answers_its_request_and_its_key_as_before(book, kit, put_away):
    first = put_away()
    again = take(book, kit, now=9, request_id="r0", level=Level.FLATTEN)
    assert (again.stop_id, again.decided, again.effects) == (first, False, [])
    said = book.past.get(first).view(book.register.entries[first])
    assert (said.stop_id, said.request_id, said.user_id, said.level) == (first, "r0", "kim", Level.HALT)
    assert (said.released_at, said.engines, said.delivered, said.state) == (kit.at(3).wall, 3, 1, StopState.RUNNING)
    assert not book.is_spent("r0", Scope.everything(), "kim", kit.at(9))
    assert book.is_spent("r0", Scope.everything(), "lee", kit.at(9))
    assert book.is_spent("r0", Scope.everything(), "kim", kit.at(90_000))


def test_a_stop_that_was_put_away_is_released_for_everybody(book, kit, put_away):
    first = put_away()
    assert book.snapshot("E1", [first]).released == [first]
    assert not of(
        book.link_up("E1", [latched(book, kit, first, stop_epoch=1)], LatchState.PRESENT, kit.at(9)), SendStop
    )
    assert book.progress("E1", report(first, 1, StopPhase.FROZEN), kit.at(9)) == []
    assert book.go_on(first, "park", kit.at(9)).error == "error_stop_released"
    local = LocalStop(id=first, level=Level.HALT, cause=LocalStopCause.RISK, reason="r", at=kit.at(1).wall)
    alias_of_another_scope = book.local_stop("E1", local, kit.at(9))
    assert first not in {e.stop_id for e in of(alias_of_another_scope, RecordStop)}


def test_an_engine_s_own_stop_that_was_put_away_is_told_again_in_vain(book, kit, put_away):
    local = LocalStop(id="own", level=Level.HALT, cause=LocalStopCause.RISK, reason="r", at=kit.at(1).wall)
    book.local_stop("E1", local, kit.at(1))
    book.became_durable("own", book.runs["own"].epoch)
    release(book, kit, "own")
    put_away()
    while book.fold_one(lambda _id: True) or book.put_away_one(lambda _id: True):
        pass
    assert "own" in book.past
    assert book.local_stop("E1", local, kit.at(9)) == []
    assert not book.register.entries["own"].is_open


def test_a_stop_that_was_put_away_and_that_an_engine_still_holds_above_its_release_is_open_again_in_its_words(
    book, kit, put_away
):
    first = put_away(reason="fire", drill=True)
    told = book.link_up("E1", [latched(book, kit, first)], LatchState.PRESENT, kit.at(9))
    assert book.register.entries[first].is_open
    assert first not in book.past
    run = book.runs[first]
    assert (run.words.user_id, run.words.reason, run.words.drill, run.is_continued) == ("kim", "fire", True, True)
    assert run.timeline[0].event == "reopened"
    assert "error_unknown_stop_reopened" in {a.code for a in of(told, RaiseAlert)}
    take(book, kit, now=10)
    assert book.runs[first].is_continued  # a raise does not forget that there is more to be told
    since = list(book.runs[first].timeline)
    earlier = attrs.evolve(book.view(first), timeline=[TimelineEvent(at=kit.at(1).wall, event="requested")])
    for _ in range(2):
        book.runs[first].join(earlier)
        assert book.view(first).timeline == [*earlier.timeline, *since]


def test_a_corrupt_latch_s_halt_that_was_put_away_is_still_the_one_for_it(book, kit, put_away):
    own = StopRecord(stop_id="local-1", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=1)
    book.link_up("E1", [own], LatchState.CORRUPT, kit.at(2))
    book.became_durable("local-1", book.runs["local-1"].epoch)
    release(book, kit, "local-1")
    put_away()
    while book.fold_one(lambda _id: True) or book.put_away_one(lambda _id: True):
        pass
    assert "local-1" in book.past
    book.link_up("E1", [own], LatchState.CORRUPT, kit.at(9))
    assert list(book.register.open_stops()) == []


def test_after_a_restart_old_stops_are_known_without_their_stories(book, kit, put_away):
    first = put_away()
    over = book.past.get(first)
    again = kit.book(book.register)
    again.remember([], {"r0": first, "another": first, "unknown": "none"}, kit.at(20), past=[over])
    assert (again.runs, first in again.past) == ({}, True)
    for request_id in ("r0", "another"):
        assert again.take(StopRequest(request_id=request_id), "kim", kit.at(21)).stop_id == first
    assert again.take(StopRequest(request_id="unknown"), "kim", kit.at(22)).decided


def test_what_is_open_is_not_of_the_past_whatever_a_copy_says(book, kit, put_away):
    first = put_away()
    over = book.past.get(first)
    again = kit.book(Register().with_stop(first, Entry(Scope.everything(), Level.HALT, 1)))
    again.recover({}, kit.at(20))
    again.remember([], {"r0": first}, kit.at(20), past=[over])
    assert first not in again.past
    assert again.runs[first].is_continued
    assert again.view(first).released_at is None


def test_an_open_stop_is_never_packed(book, kit):
    first = take(book, kit, request_id="r0", scope=Scope.of_engine("E2")).stop_id
    book.became_durable(first, 1)
    long_over(book, kit)
    book.fold_one(lambda _id: True)
    assert not book.runs[first].is_folded


def test_what_the_emergency_thread_decided_is_told_as_asked_for_by_whom_and_when(book, kit):
    said = Words(
        request_id="r-hand",
        user_id="local",
        reason="wedged",
        requested_at=kit.at(1).wall,
        cause="local",
        username="local",
    )
    found = Register(entries={"by-hand": Entry(Scope.everything(), Level.HALT, 2000)})
    book.merge(found, {"by-hand": said}, kit.at(4), decided=True)
    found = Register(entries={"by-hand": Entry(Scope.everything(), Level.FLATTEN, 3000)})
    book.merge(
        found, {"by-hand": attrs.evolve(said, requested_at=kit.at(6).wall, reason="all")}, kit.at(9), decided=True
    )
    told = [(e.at, e.event, e.detail) for e in book.view("by-hand").timeline if e.engine_id is None]
    assert told == [
        (kit.at(1).wall, "requested", "local: HALT wedged"),
        (kit.at(6).wall, "raised", "local: FLATTEN all"),
    ]


def test_what_a_person_repeats_at_an_emergency_door_is_a_persons_word_as_at_any_other(book, kit):
    first = take(book, kit, level=Level.FLATTEN)
    said = Words(request_id="r2", user_id="local", reason="", requested_at=kit.at(2).wall, cause="local")
    found = Register(entries={first.stop_id: Entry(Scope.everything(), Level.FLATTEN, 2000)})
    sent = of(book.merge(found, {first.stop_id: said}, kit.at(3), decided=True), SendStop)
    assert [(s.engine_id, s.message.again) for s in sent] == [("E1", True), ("E3", True)]
    found = Register(entries={first.stop_id: Entry(Scope.everything(), Level.FLATTEN, 3000)})
    assert not any(s.message.again for s in of(book.merge(found, {first.stop_id: said}, kit.at(4)), SendStop))


# --- engines that say too much, or live in another time ---


@pytest.mark.parametrize("phase", [StopPhase.FAILED, StopPhase.TIMED_OUT])
def test_an_engine_that_says_as_much_as_it_may_of_its_failure_leaves_a_stop_that_can_be_shown(book, kit, phase):
    stop = take(book, kit, level=Level.CANCEL)
    error = "error_broker" if phase is StopPhase.FAILED else None
    effects = book.progress("E1", report(stop.stop_id, 1, phase, error=error, reason="x" * 2000), kit.at(2))
    assert [r.phase for r in book.view(stop.stop_id).results if r.engine_id == "E1"] == [phase]
    assert book.view(stop.stop_id).timeline[-1].detail.endswith("xxx")
    assert decode(encode(book.view(stop.stop_id)), Stop) == book.view(stop.stop_id)
    assert of(effects, StopChanged)


def test_an_engine_that_stops_itself_for_as_many_words_as_it_may_is_written_down_like_any_other(book, kit):
    local = LocalStop(id="l1", level=Level.HALT, cause=LocalStopCause.RISK, reason="x" * 2000, at=START)
    effects = book.local_stop("E1", local, kit.at(1))
    assert [r.stop_id for r in of(effects, RecordStop)] == ["l1"]
    assert [a.code for a in of(effects, RaiseAlert)] == ["error_local_stop"]
    assert decode(encode(book.view("l1")), Stop) == book.view("l1")


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_when_an_engine_stopped_itself_is_believed_within_reason(book, kit, at):
    book.local_stop("E1", LocalStop(id="l1", level=Level.HALT, cause=LocalStopCause.RISK, reason="", at=at), kit.at(1))
    said = window(book.view("l1"))
    assert said.since < said.at <= kit.at(1).wall
    assert kit.at(1).wall - said.at <= EARLIEST


def test_an_engine_that_stops_itself_without_end_fills_neither_the_register_nor_its_own_frames(book, kit):
    def local(number, level=Level.HALT):
        stop = LocalStop(id=f"l{number}", level=level, cause=LocalStopCause.RISK, reason="loss", at=START)
        return book.local_stop("E1", stop, kit.at(1))

    told = [bool(of(local(number), RaiseAlert)) for number in range(OWN_STOPS + 10)]
    assert (sum(told), len(book.effective("E1"))) == (OWN_STOPS, OWN_STOPS)
    assert of(local("stricter", Level.CANCEL), RecordStop)
    held = [
        StopRecord(stop_id=f"l{n}", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=n)
        for n in range(OWN_STOPS + 10)
    ]
    book.link_down("E1", kit.at(2))
    effects = book.link_up("E1", held, LatchState.PRESENT, kit.at(3))
    assert (len(book.effective("E1")), of(effects, RaiseAlert)) == (OWN_STOPS + 1, [])
    assert "error_local_stop" in {
        a.code
        for a in of(
            book.local_stop(
                "E3", LocalStop(id="other", level=Level.HALT, cause=LocalStopCause.RISK, reason="", at=START), kit.at(4)
            ),
            RaiseAlert,
        )
    }


def test_what_is_one_stop_by_many_names_ends_by_all_of_them(book, kit):
    for number in range(OWN_STOPS):
        stop = LocalStop(id=f"l{number}", level=Level.HALT, cause=LocalStopCause.RISK, reason="loss", at=START)
        book.local_stop("E1", stop, kit.at(1))
    newest = f"l{OWN_STOPS - 1}"
    more = StopRecord(stop_id="more", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=1)
    book.link_up("E1", [more], LatchState.PRESENT, kit.at(2))
    plan = book.plan_release(newest, [], resume=False, user_id="kim", reason="r", now=kit.at(3))
    (sent,) = of(book.apply_release(plan, kit.at(3)), SendRelease)
    assert sent.message.stop_ids == [newest, "more"]
    assert book.snapshot("E1", ["more"]).released == ["more"]
