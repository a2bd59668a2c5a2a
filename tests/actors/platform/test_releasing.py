"""The guarded direction: who may end a stop, when, and what must be true before."""

import pytest

from actors.requests import Principal, Refusal
from actors.stops.releasing import ReleaseDesk, touches
from wire.messages import Flatness, LatchState, StopPhase, StopProgress
from wire.rest import ReleaseRequest, ReleaseState, Role, StopRequest, Waiver
from wire.stops import Level, Scope


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
            return self.desk.request(self.run, entry, asked, who, self.people, self.synced.get, kit.at(now))

        def approve(self, who="lee", now=20, epoch=None):
            entry = self.book.register.entries[self.stop_id]
            who = person(kit, who)
            epoch = self.run.epoch if epoch is None else epoch
            return self.desk.approve(self.run, entry, epoch, who, self.people, self.synced.get, kit.at(now))

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


def test_what_stopped_being_true_between_request_and_approval_holds_it_too(scene):
    scene.verify("E1", "E2")
    scene.request()
    scene.synced["E1"] = False
    refused(scene.approve(), 409, "error_checklist")


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
    (void,) = scene.desk.void_touched(scene.run, scene.book.runs.get)
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
