"""The guarded direction: who may end a stop, when, and what must be true before."""

from datetime import timedelta

import attrs
import pytest

from actors.requests import Principal, Refusal
from actors.stops.cases import row_of
from actors.stops.parts import Instant
from actors.stops.recalling import recall
from actors.stops.releasing import ReleaseDesk, checklist, touches
from wire.messages import StopProgress
from wire.rest.access import Role
from wire.rest.releases import ReleaseRequest, ReleaseState, Waiver
from wire.rest.stops import StopRequest
from wire.stops import Level, Scope
from wire.values import Flatness, LatchState, StopPhase


def person(kit, name, role=Role.RISK):
    return Principal(user_id=name, username=name, role=role, auth_time=kit.at(0).wall)


@pytest.fixture
def scene(kit):
    class Scene:
        def __init__(self):
            self.book = kit.book(engines=(("E1", "A1"), ("E2", "A2")))
            for engine in ("E1", "E2"):
                self.book.link_up(engine, [], LatchState.PRESENT, kit.at(0))
            self.desk = ReleaseDesk(kit.Ids("r"))
            self.people = {"kim", "lee"}
            self.synced = {"E1": True, "E2": True}
            self.stop_id = self.book.take(StopRequest(level=Level.HALT), "kim", kit.at(0)).stop_id

        @property
        def run(self):
            return self.book.runs[self.stop_id]

        def verify(self, *engines):
            for engine in engines:
                said = StopProgress(
                    stop_id=self.stop_id,
                    stop_epoch=self.run.epoch,
                    phase=StopPhase.VERIFIED,
                    latched=True,
                    orders_cancelled=0,
                    orders_remaining=0,
                    positions_liquidated=0,
                    positions_remaining=0,
                    flatness=Flatness.FLAT,
                    residuals=[],
                )
                self.book.progress(engine, said, kit.at(1))

        def request(self, who="kim", now=10, role=Role.RISK, **fields):
            base = {"reason": "looked at it", "epoch": self.run.epoch}
            asked = ReleaseRequest(**{**base, **fields})
            entry = self.book.register.entries[self.stop_id]
            who = person(kit, who, role)
            seen = self.book.register.epoch
            people, synced = self.people, self.synced.get
            return self.desk.request(self.run, entry, asked, who, people, synced, kit.at(now), seen_epoch=seen)

        def approve(self, who="lee", now=20, epoch=None, **named):
            entry = self.book.register.entries[self.stop_id]
            who = person(kit, who)
            epoch = self.run.epoch if epoch is None else epoch
            now = kit.at(now) if isinstance(now, int | float) else now
            return self.desk.approve(self.run, entry, epoch, who, self.people, self.synced.get, now, **named)

        def restart(self, row, now):
            """Another platform over the same book: what it makes of a request that was left waiting."""
            self.desk = ReleaseDesk(kit.Ids("q"))
            return recall(self.desk, self.book, [row], now)

    return Scene()


def refused(answer, status, code):
    assert isinstance(answer, Refusal), answer
    assert (answer.status, answer.error) == (status, code)


def test_one_asks_and_another_approves(scene):
    scene.verify("E1", "E2")
    asked = scene.request()
    assert (asked.state, asked.not_before) == (ReleaseState.REQUESTED, None)
    assert scene.approve().state is ReleaseState.APPROVED


def test_nobody_approves_himself_while_somebody_else_could(scene):
    scene.verify("E1", "E2")
    scene.request()
    refused(scene.approve("kim", now=1000), 403, "error_second_person_required")


def test_a_desk_of_one_approves_itself_after_sixty_seconds_and_not_before(scene, kit):
    scene.people = {"kim"}
    scene.verify("E1", "E2")
    asked = scene.request(now=10)
    assert asked.not_before == kit.at(70).wall
    refused(scene.approve("kim", now=69.9), 409, "error_too_early")
    assert scene.approve("kim", now=70).state is ReleaseState.APPROVED


def test_asking_again_for_the_same_does_not_start_the_wait_anew(scene):
    scene.people = {"kim"}
    scene.verify("E1", "E2")
    first = scene.request(now=10)
    assert scene.request(now=60) is first


def test_an_engine_that_is_not_verified_has_to_be_waived_by_name(scene):
    scene.verify("E1")
    refused(scene.request(), 409, "error_checklist")
    waived = scene.request(waive=[Waiver(engine_id="E2", reason="unplugged")])
    assert waived.waived == ["E2"]
    assert all(item.ok for item in waived.checklist)


def test_books_that_are_not_reconciled_hold_the_release(scene):
    scene.verify("E1", "E2")
    scene.synced["E2"] = None
    refused(scene.request(), 409, "error_checklist")


def test_the_checklist_names_the_parameters_with_which_trading_would_go_on(scene):
    scene.verify("E1")
    running = {"E1": {"ma": 3, "vwap": 1}, "E2": {"ma": 2}}
    waived = [Waiver(engine_id="E2", reason="unplugged")]

    def shown(versions):
        items = checklist(scene.run, waived, "looked", scene.synced.get, versions)
        return next((item.ok, item.detail) for item in items if item.name == "parameters")

    assert shown(running.__getitem__) == (True, "E1/ma v3, E1/vwap v1")
    assert shown(lambda _engine: {}) == (True, "–")


def test_what_stopped_being_true_between_request_and_approval_holds_it_too(scene):
    scene.verify("E1", "E2")
    scene.request()
    scene.synced["E1"] = False
    refused(scene.approve(), 409, "error_checklist")


@pytest.mark.parametrize("nothing", ["   ", "\u3000\n", "\u200b\u2060"])
def test_a_reason_has_something_to_be_read_in_it(scene, nothing):
    scene.verify("E1", "E2")
    refused(scene.request(reason=nothing), 409, "error_checklist")
    waived = [Waiver(engine_id="E1", reason="unplugged"), Waiver(engine_id="E2", reason=nothing)]
    answer = scene.request(waive=waived)
    refused(answer, 422, "error_invalid_field")
    assert answer.field == "waive[1].reason"
    assert scene.desk.waiting(scene.stop_id) is None


def test_an_engine_is_waived_once(scene):
    scene.verify("E1")
    twice = [Waiver(engine_id="E2", reason="unplugged"), Waiver(engine_id="E2", reason="in the cellar")]
    answer = scene.request(waive=twice)
    refused(answer, 422, "error_invalid_field")
    assert answer.field == "waive"


def test_a_waiver_for_an_engine_the_stop_does_not_concern_is_refused(scene):
    scene.verify("E1", "E2")
    refused(scene.request(waive=[Waiver(engine_id="E9", reason="?")]), 422, "error_unknown_engine")


def test_the_epoch_must_be_the_one_that_is_open(scene):
    scene.verify("E1", "E2")
    refused(scene.request(epoch=99), 412, "error_epoch")
    scene.request()
    refused(scene.approve(epoch=0), 412, "error_epoch")


def test_a_raise_voids_what_was_asked(scene, kit):
    scene.verify("E1", "E2")
    scene.request()
    scene.book.take(StopRequest(level=Level.FLATTEN), "park", kit.at(15))
    (void,) = scene.desk.void_touched(scene.run, scene.book.runs.get, kit.at(15))
    assert void.state is ReleaseState.VOID
    refused(scene.approve(), 409, "error_no_release_requested")


@pytest.mark.parametrize(
    ("one", "other", "touched"),
    [
        ("all", "engine:E1", True),
        ("account:A1", "engine:E1", True),
        ("account:A2", "engine:E1", False),
        ("engine:E1", "engine:E2", False),
        ("strategy:E1/ma", "engine:E1", True),
        ("symbol:005930", "engine:E2", True),
    ],
)
def test_a_new_stop_voids_the_requests_of_stops_that_could_hold_the_same_engine(kit, one, other, touched):
    book = kit.book(engines=(("E1", "A1"), ("E2", "A2")))
    runs = []
    for scope in (one, other):
        taken = book.take(StopRequest(scope=Scope.parse(scope)), "kim", kit.at(0))
        runs.append(book.runs[taken.stop_id])
    assert touches(*runs) is touched
    assert touches(*reversed(runs)) is touched


def test_an_operator_may_not_release(scene):
    scene.verify("E1", "E2")
    refused(scene.request(role=Role.OPERATOR), 403, "error_forbidden")


def test_a_released_or_unknown_stop_cannot_be_released(scene, kit):
    scene.verify("E1", "E2")
    plan = scene.book.plan_release(scene.stop_id, [], resume=False, user_id="kim", reason="ok", now=kit.at(2))
    scene.book.apply_release(plan, kit.at(3))
    refused(scene.request(), 409, "error_already_released")
    asked = ReleaseRequest(reason="x", epoch=1)
    nobody = scene.desk.request(None, None, asked, person(kit, "kim"), {"kim"}, scene.synced.get, kit.at(4))
    refused(nobody, 404, "error_unknown_stop")


def test_a_person_approves_what_was_looked_at_and_nothing_that_took_its_place(scene):
    scene.verify("E1", "E2")
    seen = scene.request()
    changed = scene.request(resume=True)
    refused(scene.approve(release_id=seen.id), 412, "error_release_changed")
    assert scene.approve(release_id=changed.id).resume


def test_a_request_carries_its_history_with_who_and_why(scene):
    scene.verify("E1", "E2")
    scene.request()
    approved = scene.approve()
    assert [(s.state, s.by) for s in approved.history] == [
        (ReleaseState.REQUESTED, "kim"),
        (ReleaseState.APPROVED, "lee"),
    ]
    assert (approved.view().approved_by, approved.view().reason) == ("lee", "looked at it")


# --- across a restart ---------------------------------------------------------------------------------------------


def later(kit, *, mono, wall):
    """A moment of another process: its monotonic clock began somewhere else."""
    return Instant(mono, kit.at(wall).wall)


def test_a_request_waits_on_after_a_restart_as_it_was_asked(scene, kit):
    scene.verify("E1")
    row = row_of(scene.request(waive=[Waiver(engine_id="E2", reason="unplugged")], resume=True))
    assert scene.restart(row, later(kit, mono=9000, wall=15)) == []
    waiting = scene.desk.waiting(scene.stop_id)
    assert row_of(waiting) == row
    assert scene.approve(now=later(kit, mono=9001, wall=16)).state is ReleaseState.APPROVED


@pytest.mark.parametrize(
    ("wall_at_start", "then", "may"),
    [
        (30, (20, 50), False),  # 30 s passed before, 20 s since
        (30, (40, 70), True),
        (-3600, (10, -3590), False),  # the clock was set back an hour: the wait begins anew, and its floor stays
        (-3600, (61, -3539), False),
        (-3600, (3700, 100), True),
    ],
)
def test_a_desk_of_one_never_waits_less_because_of_a_restart(scene, kit, wall_at_start, then, may):
    scene.people = {"kim"}
    scene.verify("E1", "E2")
    row = row_of(scene.request(now=0))
    scene.restart(row, later(kit, mono=500, wall=wall_at_start))
    assert scene.desk.waiting(scene.stop_id).not_before == row.not_before == kit.at(60).wall
    seconds, wall = then
    answer = scene.approve("kim", now=later(kit, mono=500 + seconds, wall=wall))
    if may:
        assert answer.state is ReleaseState.APPROVED
    else:
        refused(answer, 409, "error_too_early")


def test_a_clock_set_back_while_the_platform_runs_keeps_the_floor(scene, kit):
    scene.people = {"kim"}
    scene.verify("E1", "E2")
    scene.request(now=0)
    refused(scene.approve("kim", now=Instant(61.0, kit.at(59).wall)), 409, "error_too_early")


@pytest.mark.parametrize("scope", ["all", "engine:E1", "symbol:005930"])
def test_a_raise_or_a_new_matching_stop_voids_it_across_a_restart_too(scene, kit, scope):
    """Even when the end of the request never reached the database."""
    scene.verify("E1", "E2")
    row = row_of(scene.request())
    scene.book.take(StopRequest(scope=Scope.parse(scope), level=Level.CANCEL), "park", kit.at(15))
    (void,) = scene.restart(row, kit.at(20))
    assert (void.id, void.state) == (row.id, ReleaseState.VOID)
    assert scene.desk.waiting(scene.stop_id) is None


def test_a_matching_stop_from_before_the_request_does_not_void_it(scene, kit):
    scene.book.take(StopRequest(scope=Scope.parse("engine:E1"), level=Level.CANCEL), "park", kit.at(1))
    scene.verify("E1", "E2")
    assert scene.restart(row_of(scene.request()), kit.at(20)) == []


def test_a_stop_that_was_taken_and_released_meanwhile_still_voids_it(scene, kit):
    scene.verify("E1", "E2")
    row = row_of(scene.request())
    other = scene.book.take(StopRequest(scope=Scope.parse("engine:E1")), "park", kit.at(15)).stop_id
    plan = scene.book.plan_release(other, [], resume=False, user_id="kim", reason="ok", now=kit.at(16))
    scene.book.apply_release(plan, kit.at(17))
    (void,) = scene.restart(row, kit.at(20))
    assert void.state is ReleaseState.VOID


def test_an_approved_release_that_did_not_become_durable_is_void_and_its_stop_open(scene, kit):
    scene.verify("E1", "E2")
    scene.request()
    (void,) = scene.restart(row_of(scene.approve()), kit.at(30))
    assert void.state is ReleaseState.VOID
    assert scene.book.register.entries[scene.stop_id].is_open


def test_an_approved_release_that_the_journal_has_is_released(scene, kit):
    scene.verify("E1", "E2")
    scene.request()
    row = row_of(scene.approve())
    plan = scene.book.plan_release(scene.stop_id, [], resume=False, user_id="kim", reason="ok", now=kit.at(2))
    scene.book.apply_release(plan, kit.at(3))
    (done,) = scene.restart(row, kit.at(30))
    assert done.state is ReleaseState.RELEASED


def test_an_approved_release_that_the_journal_has_is_released_though_only_the_register_knows_its_stop(scene, kit):
    scene.verify("E1", "E2")
    scene.request()
    row = row_of(scene.approve())
    plan = scene.book.plan_release(scene.stop_id, [], resume=False, user_id="kim", reason="ok", now=kit.at(2))
    scene.book.apply_release(plan, kit.at(3))
    del scene.book.runs[scene.stop_id]
    (done,) = scene.restart(row, kit.at(30))
    assert done.state is ReleaseState.RELEASED


def test_a_request_for_a_stop_that_nobody_knows_is_void(scene, kit):
    scene.verify("E1", "E2")
    row = attrs.evolve(row_of(scene.request()), stop_id="gone", requested_at=kit.at(0).wall - timedelta(days=9))
    (void,) = scene.restart(row, kit.at(30))
    assert void.state is ReleaseState.VOID
