"""The coordinator at work in virtual time: what happens when parts of the world are slow, away or broken."""

from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio

import actors.stops.ledger
from actors.board import Board
from actors.fleet.fleet import FleetBoard
from actors.links.messages import (
    DeliverRelease,
    DeliverStop,
    HoldStrategy,
    LiftHold,
    LinkDown,
    LinkUp,
    LocallyStopped,
    Progressed,
    StopsRead,
)
from actors.platform.degraded import DegradedParts
from actors.requests import ApproveRelease, Principal, Refusal, RequestRelease, ShowRelease, TakeStop
from actors.stops.coordinator import Coordinator
from actors.stops.copies import noted, words_of
from actors.stops.keeping import StopKeeping
from actors.stops.records import NotKept
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.journal_records import StopNoted
from supervisor.actor import Actor, handles
from supervisor.errors import ActorDied
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from tests.actors.links.engine import progress
from wire.codec import decode, encode
from wire.messages import REDUCED_RELEASES, Hello, LocalStop, StopProgress
from wire.parts import Reduced
from wire.rest.access import Role
from wire.rest.releases import ReducedLimits, ReleaseRequest, ReleaseState, Waiver
from wire.rest.stops import StopRequest, StopState
from wire.stops import Level, Register, Scope, StopRecord
from wire.values import Flatness, LatchState, LocalStopCause, StopPhase, TradingMode

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)


class Link(Actor):
    """An engine's link that only remembers what it was told."""

    def __init__(self, inbox):
        self.inbox = inbox

    @handles(DeliverStop)
    async def on_stop(self, msg):
        self.inbox.append((trio.current_time(), msg.message))

    @handles(DeliverRelease)
    async def on_release(self, msg):
        self.inbox.append((trio.current_time(), msg.message))


class BoardOfSynced(FleetBoard):
    """Every engine's books agree with its broker's."""

    def synced(self, engine_id):
        return True

    def versions(self, engine_id):
        return {"ma": 3}


class Records:
    """Journal and database as the coordinator sees them; every part can be away, hang or be slow."""

    def __init__(self):
        self.journal = []
        self.database = {}
        self.saves = []
        self.cases = {}
        self.releases = []
        self.sealed = []
        self.reserved = []
        self.people = ["kim", "lee"]
        self.journal_hangs = trio.Event()
        self.journal_hangs.set()
        self.journal_fails = self.database_fails = self.seal_fails = False
        self.seal_takes = self.note_takes = 0.0
        self.note_fails = False
        self.read_takes = 0.0
        self.before_commit = None

    async def write_journal(self, stops):
        await self.journal_hangs.wait()
        if self.journal_fails:
            raise NotKept("input/output error")
        self.journal += stops

    async def save_stop(self, stop):
        self._ask_database()
        self.database[stop.stop_id] = stop
        self.saves.append(stop.state)

    async def read_stop(self, stop_id):
        await trio.sleep(self.read_takes)
        self._ask_database()
        return self.database.get(stop_id)

    async def risk_users(self):
        self._ask_database()
        return self.people

    async def note_case(self, case):
        self._ask_database()
        await trio.sleep(self.note_takes)
        if case.id in self.cases:
            raise NotKept("conflicts with what is stored")
        self.cases[case.id] = case
        if self.note_fails:
            raise NotKept("committed, but the answer was lost")

    async def settle_case(self, case):
        """Like the database: what is not there is not made."""
        self._ask_database()
        if case.id in self.cases:
            self.cases[case.id] = case

    async def reserve_release(self, note):
        await self.journal_hangs.wait()
        if self.journal_fails:
            raise NotKept("input/output error")
        self.reserved.append(note.plan.epoch)

    async def commit_release(self, note, kept):
        self._ask_database()
        if self.before_commit is not None:
            await self.before_commit()
        assert self.reserved[-1] == note.plan.epoch  # the database never knows more than the journal
        self.releases.append(note)

    async def seal_release(self, note):
        await trio.sleep(self.seal_takes)
        if self.seal_fails:
            raise NotKept("no space left")
        self.sealed.append(note)

    def _ask_database(self):
        if self.database_fails:
            raise NotKept("the database is away")


class Alerts(list):
    """Whoever hears of alerts. The next ``fails`` of them break it."""

    fails = 0

    def append(self, alert):
        super().append(alert)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no ear")


@attrs.define
class World:
    system: object
    ref: object
    shelf: StopShelf
    records: Records
    board: Board
    degraded: DegradedParts
    alerts: list
    audits: list
    shown: list
    inboxes: dict

    async def stop(self, user="kim", **fields):
        asked = TakeStop(principal=person(user), request=StopRequest(**fields))
        return await self.ref.ask(asked, timeout=5, urgent=True)

    async def connect(self, engine, stops=(), latch=LatchState.PRESENT, capabilities=(), lane=None):
        inbox = self.inboxes.setdefault(engine, deque())
        name = f"link-{engine}-{len(self.system.names())}"
        link = await self.system.start_child("desk", ChildSpec(id=name, factory=lambda: Link(inbox)))
        hello = Hello(
            protocol="1",
            instance="i",
            name=engine,
            version="1",
            trading_mode=TradingMode.PAPER,
            stops=list(stops),
            latch=latch,
            capabilities=list(capabilities),
            supported_brokerages=[],
            strategies=[],
        )
        await self.ref.ask(LinkUp(engine_id=engine, hello=hello, link=link, lane=lane))
        return link

    async def verify(self, stop, *engines):
        for engine in engines:
            report = StopProgress(
                stop_id=stop.stop_id,
                stop_epoch=self.shelf.book.runs[stop.stop_id].epoch,
                phase=StopPhase.VERIFIED,
                latched=True,
                orders_cancelled=1,
                orders_remaining=0,
                positions_liquidated=1,
                positions_remaining=0,
                flatness=Flatness.FLAT,
                residuals=[],
            )
            self.ref.tell(Progressed(engine_id=engine, report=report))
        return await self.board.wait_for(stop.stop_id, lambda s: s.state is StopState.VERIFIED, timeout=5)

    async def release(self, stop, *, waive=(), asks="kim", approves="lee", **more):
        epoch = self.shelf.book.runs[stop.stop_id].epoch
        asked = ReleaseRequest(reason="looked", epoch=epoch, waive=list(waive), **more)
        first = await self.ref.ask(
            RequestRelease(principal=person(asks), stop_id=stop.stop_id, request=asked), timeout=30
        )
        if isinstance(first, Refusal):
            return first
        return await self.approve(stop, approves)

    async def approve(self, stop, who="lee"):
        epoch = self.shelf.book.runs[stop.stop_id].epoch
        return await self.ref.ask(ApproveRelease(principal=person(who), stop_id=stop.stop_id, epoch=epoch), timeout=30)


def person(name, role=Role.RISK):
    return Principal(user_id=name, username=name, role=role, auth_time=datetime(2026, 1, 5, tzinfo=UTC))


@pytest.fixture
def open_world(kit):
    @asynccontextmanager
    async def opened(engines=2, register=None):
        book = kit.book(register or Register(), engines=[(f"E{i + 1}", f"A{i + 1}") for i in range(engines)])
        shelf = StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r")))
        records, board, degraded = Records(), Board(), DegradedParts()
        alerts, audits, shown = Alerts(), [], []
        keeping = StopKeeping(book, records, board, degraded, shown.append)

        def factory():
            return Coordinator(
                shelf,
                keeping,
                records,
                BoardOfSynced(shelf),
                alert=alerts.append,
                audit=audits.append,
                wall=lambda: MOMENT + timedelta(seconds=trio.current_time()),
            )

        async with open_system(name="desk", children=[ChildSpec(id="stops", factory=factory)]) as system:
            yield World(
                system,
                system.ref("stops"),
                shelf,
                records,
                board,
                degraded,
                alerts,
                audits,
                shown,
                {},
            )

    return opened


def stops_in(inbox):
    return [m.stop_id for _, m in inbox if hasattr(m, "timeout_ms")]


async def test_a_coordinator_that_fails_between_deciding_and_noting_notes_it_when_it_is_back(
    open_world, autojump_clock
):
    async with open_world() as world:
        world.alerts.fails = 1
        held = [
            StopRecord(stop_id=f"old{i}", scope=Scope.of_engine("E1"), level=Level.HALT, stop_epoch=i) for i in (1, 2)
        ]
        with pytest.raises(ActorDied):
            await world.connect("E1", stops=held)
        await trio.sleep(1)
        assert {r.stop_id for r in world.records.journal} == {"old1", "old2"}
        assert all(world.board.get(i).durable for i in ("old1", "old2"))


async def test_a_release_that_only_a_database_has_which_comes_back_late_is_outlived_in_it(open_world, autojump_clock):
    async with open_world() as world:
        await world.connect("E1")
        stop, other = await world.stop(level=Level.HALT, scope=Scope.of_engine("E1")), await world.stop()
        entries = dict(world.shelf.book.register.entries)
        entries[stop.stop_id] = attrs.evolve(entries[stop.stop_id], released_epoch=7)
        read = StopsRead(register=Register(entries=entries), words={}, views=[], requests={}, releases=[])
        await world.ref.ask(read, timeout=5)
        await trio.sleep(2)
        assert world.shelf.book.register.entries[stop.stop_id].is_open
        assert world.records.database[stop.stop_id].epoch > 7
        assert [r.entry.stop_epoch > 7 for r in world.records.journal if r.stop_id == stop.stop_id] == [False, True]
        assert world.records.database[other.stop_id].epoch == other.epoch


async def test_a_stop_is_answered_and_at_every_link_before_the_journal_has_it(open_world, autojump_clock):
    async with open_world() as world:
        await world.connect("E1")
        await world.connect("E2")
        world.records.journal_hangs = trio.Event()
        began = trio.current_time()
        stop = await world.stop()
        assert trio.current_time() == began
        await trio.testing.wait_all_tasks_blocked()
        assert {e: stops_in(i) for e, i in world.inboxes.items()} == {"E1": [stop.stop_id], "E2": [stop.stop_id]}
        assert world.records.journal == []


async def test_a_stop_leaves_by_the_links_lanes_in_the_step_of_its_decision(open_world, autojump_clock):
    async with open_world() as world:
        seen = []

        def lane(message):
            entry = world.shelf.book.register.entries[message.stop_id]
            seen.append((entry.is_open, list(world.records.journal), list(world.shown), list(world.audits)))
            return True

        await world.connect("E1", lane=lane)
        await world.connect("E2", lane=lambda _message: False)
        stop = await world.stop()
        assert seen == [(True, [], [], [])]
        assert {r.engine_id: r.phase.value for r in stop.results} == {"E1": "sent", "E2": "pending"}
        assert [e.event for e in stop.timeline if e.engine_id == "E1"] == ["sent"]
        await trio.testing.wait_all_tasks_blocked()
        assert {e: stops_in(i) for e, i in world.inboxes.items()} == {"E1": [], "E2": []}


async def test_a_lane_that_fails_is_no_other_s_matter_and_its_link_is_told(open_world, autojump_clock, caplog):
    async with open_world(engines=3) as world:
        sent = []

        def broken(_message):
            raise OSError("the socket is gone")

        await world.connect("E1", lane=broken)
        await world.connect("E2", lane=lambda message: sent.append(message.stop_id) or True)
        await world.connect("E3")
        stop = await world.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert sent == [stop.stop_id]
        assert {e: stops_in(i) for e, i in world.inboxes.items()} == {
            "E1": [stop.stop_id],
            "E2": [],
            "E3": [stop.stop_id],
        }
        assert world.ref.info().restarts == 0
        assert "the lane of E1 failed" in caplog.text


async def test_a_connection_that_is_over_has_no_lane(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        sent = []
        link = await world.connect("E1", lane=sent.append)
        world.ref.tell(LinkDown(engine_id="E1", link=link), urgent=True)
        stop = await world.stop()
        assert (sent, stop.results[0].phase.value) == ([], "unreachable")
        await world.connect("E1")
        await world.stop(scope=Scope.of_engine("E1"))
        assert sent == []


async def test_a_stop_is_durable_as_soon_as_the_database_has_it_while_the_journal_hangs(open_world, autojump_clock):
    async with open_world() as world:
        world.records.journal_hangs = trio.Event()
        stop = await world.stop()
        assert not stop.durable
        kept = await world.board.wait_for(stop.stop_id, lambda s: s.durable, timeout=2)
        assert kept.durable
        await trio.sleep(3)
        assert [d.part for d in world.degraded.parts()] == ["journal"]
        world.records.journal_hangs.set()
        await trio.sleep(1)
        assert world.degraded.parts() == []


async def test_a_stop_that_the_journal_refused_is_in_the_database_without_a_wait(open_world, autojump_clock):
    async with open_world() as world:
        world.records.journal_fails = True
        stop = await world.stop()
        kept = await world.board.wait_for(stop.stop_id, lambda s: s.durable, timeout=0.2)
        assert kept.durable
        assert world.records.journal == []
        raised = await world.stop(level=Level.FLATTEN, scope=Scope.of_engine("E1"))
        kept = await world.board.wait_for(raised.stop_id, lambda s: s.durable, timeout=0.3)
        assert kept.durable
        world.records.journal_fails = False
        await trio.sleep(6)
        assert {n.stop_id for n in world.records.journal} == {stop.stop_id, raised.stop_id}


async def test_of_a_stop_that_the_journal_has_the_database_gets_the_end_and_not_every_step(open_world, autojump_clock):
    async with open_world() as world:
        for engine in ("E1", "E2"):
            await world.connect(engine)
        stop = await world.stop()
        await trio.sleep(0.1)
        assert (world.records.saves, [n.stop_id for n in world.records.journal]) == ([], [stop.stop_id])
        with trio.move_on_after(0.2):
            await world.verify(stop, "E1")
        assert world.records.saves == [StopState.RUNNING]  # a stop that goes on is copied all the same
        await world.verify(stop, "E2")
        await trio.sleep(1)
        assert world.records.saves[-1] is StopState.VERIFIED
        assert len(world.records.saves) <= 3


async def test_a_stop_is_durable_as_soon_as_the_journal_has_it_while_the_database_is_away(open_world, autojump_clock):
    async with open_world() as world:
        world.records.database_fails = True
        stop = await world.stop()
        kept = await world.board.wait_for(stop.stop_id, lambda s: s.durable, timeout=1)
        assert kept.durable
        assert [n.stop_id for n in world.records.journal] == [stop.stop_id]
        world.records.database_fails = False
        await trio.sleep(10)
        assert world.records.database[stop.stop_id].level is Level.FLATTEN


async def test_with_journal_and_database_gone_every_engine_is_stopped_and_durable_stays_false(
    open_world, autojump_clock
):
    async with open_world() as world:
        await world.connect("E1")
        world.records.journal_fails = world.records.database_fails = True
        stop = await world.stop()
        await trio.sleep(5)
        assert stops_in(world.inboxes["E1"]) == [stop.stop_id]
        assert not world.board.get(stop.stop_id).durable
        assert {d.part for d in world.degraded.parts()} == {"journal", "database"}


async def test_every_operator_sees_a_stop_and_each_step_of_it_within_a_second_while_nothing_can_be_written(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        world.records.journal_hangs = trio.Event()
        world.records.database_fails = True
        stop = await world.stop()
        await trio.sleep(1.0)
        assert world.shown[-1].stop_id == stop.stop_id
        for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
            world.ref.tell(Progressed(engine_id="E1", report=progress(world.shelf.book.message(stop.stop_id), phase)))
            await trio.sleep(1.0)
            assert world.shown[-1].results[0].phase is phase


async def test_a_crash_of_the_coordinator_loses_neither_stops_nor_links(open_world, autojump_clock):
    async with open_world() as world:
        await world.connect("E1")
        stop = await world.stop()
        world.ref.tell(LocallyStopped(engine_id="E1", stop=None))
        await trio.sleep(1)
        assert world.ref.info().restarts == 1
        again = await world.stop(user="lee", request_id="second")
        assert again.stop_id == stop.stop_id
        await trio.sleep(0.1)
        assert stops_in(world.inboxes["E1"]) == [stop.stop_id, stop.stop_id]


async def test_of_a_connection_that_was_replaced_nothing_is_heard_any_more(open_world, autojump_clock):
    async with open_world() as world:
        old = await world.connect("E1")
        await world.connect("E1")
        world.ref.tell(LinkDown(engine_id="E1", link=old))
        stop = await world.stop()
        assert {r.engine_id: r.phase.value for r in stop.results} == {"E1": "pending", "E2": "unreachable"}


async def test_a_thousand_engines_have_the_stop_in_one_step_and_all_results_arrive(open_world, autojump_clock):
    async with open_world(engines=1000) as world:
        for i in range(1000):
            await world.connect(f"E{i + 1}")
        stop = await world.stop()
        assert stop.engines == 1000
        await trio.testing.wait_all_tasks_blocked()
        assert all(stops_in(inbox) == [stop.stop_id] for inbox in world.inboxes.values())
        done = await world.verify(stop, *world.inboxes)
        assert (done.state, len(done.results)) == (StopState.VERIFIED, 1000)
        assert len(world.shown) < 50


async def test_thirty_seconds_without_an_end_raise_an_alert(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.stop()
        late = await world.board.wait_for(stop.stop_id, lambda s: s.state is StopState.TIMED_OUT, timeout=31)
        assert late.state is StopState.TIMED_OUT
        assert [a.code for a in world.alerts] == ["error_stop_timeout"]


# --- releases -------------------------------------------------------------------------------------------------------


async def test_the_same_release_asked_for_again_waits_on(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        asked = ReleaseRequest(reason="looked", epoch=stop.epoch)
        message = RequestRelease(principal=person("kim"), stop_id=stop.stop_id, request=asked)
        first, again = [await world.ref.ask(message, timeout=30) for _ in range(2)]
        assert (again.id, again.state) == (first.id, ReleaseState.REQUESTED)


async def test_the_second_person_sees_what_waits_and_everybody_how_it_ended(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        show = ShowRelease(stop_id=stop.stop_id)
        assert await world.ref.ask(show) is None
        asked = ReleaseRequest(reason="looked", epoch=stop.epoch, resume=True)
        await world.ref.ask(RequestRelease(principal=person("kim"), stop_id=stop.stop_id, request=asked), timeout=30)
        seen = await world.ref.ask(show)
        assert (seen.state, seen.requested_by, seen.reason, seen.resume) == (
            ReleaseState.REQUESTED,
            "kim",
            "looked",
            True,
        )
        assert [(i.name, i.detail) for i in seen.checklist][-1] == ("parameters", "E1/ma v3")
        await world.approve(stop)
        done = await world.ref.ask(show)
        assert [step.state for step in done.history] == [
            ReleaseState.REQUESTED,
            ReleaseState.APPROVED,
            ReleaseState.RELEASED,
        ]
        await trio.sleep(1)
        assert world.records.cases[done.id].state is ReleaseState.RELEASED


async def test_a_request_that_could_not_be_written_down_waits_nowhere(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        world.records.note_fails = True
        assert (await world.release(stop)).status == 503
        assert (await world.approve(stop)).error == "error_no_release_requested"
        world.records.note_fails = False
        await trio.sleep(1)
        assert [c.state for c in world.records.cases.values()] == [ReleaseState.VOID]


async def test_a_stop_taken_while_a_request_is_written_down_voids_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        world.records.note_takes = 2.0
        async with trio.open_nursery() as nursery:
            answers = []

            async def ask():
                answers.append(await world.release(stop))

            nursery.start_soon(ask)
            await trio.sleep(1)
            await world.stop(user="park", scope=scope("symbol:005930"))
        assert (answers[0].status, answers[0].error) == (409, "error_release_void")
        await trio.sleep(1)
        assert [c.state for c in world.records.cases.values()] == [ReleaseState.VOID]


async def test_a_release_is_written_everywhere_before_any_engine_hears_of_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        world.records.seal_takes = 2.0
        began = trio.current_time()
        view = await world.release(stop)
        assert view.state is ReleaseState.RELEASED
        await trio.testing.wait_all_tasks_blocked()
        told, release = world.inboxes["E1"][-1]
        assert release.stop_ids == [stop.stop_id]
        assert told >= began + 2.0
        assert len(world.records.releases) == len(world.records.sealed) == 1
        assert not list(world.shelf.book.register.open_stops())


async def test_what_the_journal_could_not_reserve_never_reaches_the_database(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        world.records.journal_fails = True
        answer = await world.release(stop)
        assert (answer.status, answer.error) == (503, "error_not_durable")
        assert world.records.releases == world.records.sealed == []
        assert world.shelf.book.register.entries[stop.stop_id].is_open
        world.records.journal_fails = False
        again = await world.verify(stop, "E1")
        assert (await world.release(again)).state is ReleaseState.RELEASED


@pytest.mark.parametrize("broken", ["database_fails", "seal_fails"])
async def test_a_release_that_cannot_be_written_is_503_and_everything_stays_stopped(open_world, autojump_clock, broken):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        setattr(world.records, broken, True)
        answer = await world.release(stop)
        assert (answer.status, answer.error) == (503, "error_not_durable")
        await trio.sleep(1)
        assert not [m for _, m in world.inboxes["E1"] if hasattr(m, "stop_ids")]
        assert world.shelf.book.register.entries[stop.stop_id].is_open


async def test_a_release_whose_writing_hangs_is_outlived_by_the_stop_even_if_the_disk_gets_it_later(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        world.records.seal_takes = 60.0
        answer = await world.release(stop)
        assert answer.status == 503
        plan = world.records.releases[0].plan
        late = world.shelf.book.register.with_release([stop.stop_id], plan.epoch)
        assert late.entries[stop.stop_id].is_open
        await trio.sleep(1)
        assert world.records.journal[-1].entry.stop_epoch > plan.epoch


async def test_a_stop_taken_while_a_release_is_written_voids_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")

        async def meanwhile():
            await world.stop(user="park", request_id="new")

        world.records.before_commit = meanwhile
        answer = await world.release(stop)
        assert (answer.status, answer.error) == (409, "error_release_void")
        assert world.shelf.book.register.engine_level("E1", "A1") is Level.FLATTEN


async def test_a_stop_is_taken_at_once_while_a_release_hangs(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        await world.connect("E1")
        stop = await world.verify(await world.stop(scope=scope("engine:E1")), "E1")
        world.records.seal_takes = 10.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.release, stop)
            await trio.sleep(0.5)
            began = trio.current_time()
            await world.stop(scope=scope("engine:E2"))
            assert trio.current_time() == began


async def test_an_engine_that_cannot_be_reached_is_waived_and_keeps_a_stop_of_its_own(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        await world.connect("E1")
        stop = await world.stop()
        await world.verify(stop, "E1")
        refused = await world.release(stop)
        assert refused.error == "error_checklist"
        view = await world.release(stop, waive=[Waiver(engine_id="E2", reason="unplugged")])
        assert view.state is ReleaseState.RELEASED
        await world.connect("E2")
        await trio.testing.wait_all_tasks_blocked()
        assert [str(m.scope) for _, m in world.inboxes["E2"]] == ["engine:E2"]


@pytest.mark.parametrize("database", ["answers", "hangs"])
async def test_an_old_request_is_answered_with_its_stop_and_nobody_s_stop_waits_for_that(
    open_world, autojump_clock, monkeypatch, database
):
    monkeypatch.setattr(actors.stops.ledger, "UNFOLDED", 0)
    monkeypatch.setattr(actors.stops.ledger, "FOLDED", 0)
    async with open_world(engines=1) as world:
        await world.connect("E1")
        stop = await world.stop(request_id="r0", level=Level.HALT, reason="fire")
        await world.verify(stop, "E1")
        assert (await world.release(stop)).state is ReleaseState.RELEASED
        await trio.sleep(5)
        assert stop.stop_id in world.shelf.book.past
        assert world.board.get(stop.stop_id) is None
        world.records.read_takes = 0.01 if database == "answers" else 60.0
        answers = []

        async def ask_again():
            answers.append(await world.stop(request_id="r0"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_again)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            await world.stop(request_id="new", level=Level.HALT)
            assert (trio.current_time(), answers) == (began, [])
        [answer] = answers
        assert (answer.stop_id, answer.level, answer.reason) == (stop.stop_id, Level.HALT, "fire")
        assert answer.released_at is not None
        assert len(answer.results) == (1 if database == "answers" else 0)
        assert world.board.get(stop.stop_id) == answer  # for whoever waits there


UNPLUGGED = [Waiver(engine_id="E2", reason="unplugged")]


async def left(world):
    """A stop that a release left for E2, which is away."""
    await world.connect("E1")
    stop = await world.stop()
    await world.verify(stop, "E1")
    assert (await world.release(stop, waive=UNPLUGGED)).state is ReleaseState.RELEASED
    [kept] = [i for i, _ in world.shelf.book.register.open_stops()]
    return world.shelf.book.view(kept)


async def test_an_engine_that_stays_away_collects_no_stops(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        first = await left(world)
        for _ in range(3):
            stop = await world.stop()
            await world.verify(stop, "E1")
            assert (await world.release(stop, waive=UNPLUGGED)).state is ReleaseState.RELEASED
        assert [i for i, _ in world.shelf.book.register.open_stops()] == [first.stop_id]
        sealed = [note.plan.kept[0] for note in world.records.sealed]
        assert {kept.stop_id for kept in sealed} == {first.stop_id}
        assert sorted({kept.entry.stop_epoch for kept in sealed}) == [kept.entry.stop_epoch for kept in sealed]
        await world.connect("E2")
        await trio.testing.wait_all_tasks_blocked()
        assert {m.stop_id for _, m in world.inboxes["E2"]} == {first.stop_id}


async def test_a_stop_that_an_engine_is_being_left_with_again_cannot_be_released_meanwhile(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        kept = await left(world)
        await world.connect("E2")
        await world.verify(kept, "E2")
        asked = ReleaseRequest(reason="back", epoch=kept.epoch)
        told = RequestRelease(principal=person("kim"), stop_id=kept.stop_id, request=asked)
        assert (await world.ref.ask(told, timeout=5)).state is ReleaseState.REQUESTED
        stop = await world.stop()  # voids that, so it is asked for once more
        assert (await world.ref.ask(told, timeout=5)).state is ReleaseState.REQUESTED
        await world.verify(stop, "E1")
        answers = []

        async def meanwhile():
            answers.append(await world.approve(kept))

        world.records.before_commit = meanwhile
        assert (await world.release(stop, waive=UNPLUGGED)).state is ReleaseState.RELEASED
        assert [a.error for a in answers] == ["error_release_running"]
        assert [i for i, _ in world.shelf.book.register.open_stops()] == [kept.stop_id]
        # Whoever asked had seen an earlier epoch of it.
        shown = await world.ref.ask(ShowRelease(stop_id=kept.stop_id), timeout=5)
        assert (shown.state, shown.history[-1].detail) == (ReleaseState.VOID, "its stop was raised")
        refused = await world.approve(kept)
        assert refused.error == "error_no_release_requested"
        world.records.before_commit = None
        await world.verify(kept, "E2")
        assert (await world.release(kept)).state is ReleaseState.RELEASED
        assert list(world.shelf.book.register.open_stops()) == []


async def test_a_stop_that_is_being_released_is_not_what_an_engine_is_left_with(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        kept = await left(world)
        await world.connect("E2")
        stop = await world.stop()
        await world.verify(stop, "E1")
        await world.verify(kept, "E2")
        world.records.seal_takes = 2.0
        answers = {}

        async def release(name, one, **more):
            answers[name] = await world.release(one, **more)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: release("kept", kept))
            await trio.sleep(1)
            nursery.start_soon(lambda: release("all", stop, waive=UNPLUGGED))
        assert {name: answer.state for name, answer in answers.items()} == {
            "kept": ReleaseState.RELEASED,
            "all": ReleaseState.RELEASED,
        }
        [(held, entry)] = world.shelf.book.register.open_stops()
        assert held != kept.stop_id
        assert (str(entry.scope), entry.level) == ("engine:E2", Level.FLATTEN)


@pytest.mark.parametrize("how", ["it fails", "it hangs"])
async def test_when_the_journal_does_not_seal_a_release_the_waived_engines_stop_is_as_open_here_as_in_the_database(
    open_world, autojump_clock, how
):
    async with open_world(engines=2) as world:
        await world.connect("E1")
        stop = await world.stop()
        await world.verify(stop, "E1")
        world.records.seal_fails, world.records.seal_takes = how == "it fails", 0.0 if how == "it fails" else 60.0
        unplugged = [Waiver(engine_id="E2", reason="unplugged")]
        answer = await world.release(stop, waive=unplugged)
        assert answer.error == "error_not_durable"
        [written] = world.records.releases[0].plan.kept
        entries = world.shelf.book.register.entries
        assert entries[written.stop_id].is_open
        assert entries[stop.stop_id].is_open
        await trio.sleep(1)
        assert written.stop_id in {note.stop_id for note in world.records.journal}
        assert world.board.get(written.stop_id).durable

        world.records.seal_fails, world.records.seal_takes = False, 0.0
        await world.verify(stop, "E1")
        view = await world.release(stop, waive=unplugged)
        assert view.state is ReleaseState.RELEASED
        assert [stop_id for stop_id, _ in world.shelf.book.register.open_stops()] == [written.stop_id]


async def test_who_did_something_is_told_by_name_in_every_view_and_copy(open_world, autojump_clock):
    kim, lee = (attrs.evolve(person(f"u-{n}"), username=n) for n in ("kim", "lee"))
    async with open_world(engines=2) as world:
        world.records.people = [kim.user_id, lee.user_id]
        await world.connect("E1")
        stop = await world.ref.ask(TakeStop(principal=kim, request=StopRequest(reason="fire")), timeout=5, urgent=True)
        assert (stop.user_id, stop.username) == ("u-kim", "kim")
        assert stop.timeline[0].detail == "kim: FLATTEN fire"
        await world.verify(stop, "E1")
        asked = ReleaseRequest(reason="out", epoch=stop.epoch, waive=[Waiver(engine_id="E2", reason="away")])
        first = await world.ref.ask(RequestRelease(principal=kim, stop_id=stop.stop_id, request=asked), timeout=5)
        assert (first.requested_by, first.requested_by_name, first.approved_by_name) == ("u-kim", "kim", None)
        done = await world.ref.ask(ApproveRelease(principal=lee, stop_id=stop.stop_id, epoch=stop.epoch), timeout=5)
        assert (done.approved_by, done.approved_by_name) == ("u-lee", "lee")
        await trio.sleep(1)
        assert world.records.database[stop.stop_id].timeline[-1].detail == "lee: out"
        [kept] = world.records.releases[0].plan.kept
        assert world.board.get(kept.stop_id).username == "lee"
        written = noted(kept.stop_id, kept.entry, kept.words)
        assert words_of(decode(encode(written), StopNoted)).username == "lee"


async def test_a_stop_that_no_person_took_has_no_name(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        told = LocalStop(id="own", level=Level.HALT, cause=LocalStopCause.LEASE_EXPIRED, reason="silence", at=MOMENT)
        world.ref.tell(LocallyStopped(engine_id="E1", stop=told))
        shown = await world.board.wait_for("own", lambda s: True, timeout=5)
        assert (shown.user_id, shown.username) == ("E1", None)


CAREFUL = ReducedLimits(minutes=15, max_order_value=1_000_000)


async def test_reduced_limits_go_to_the_engines_with_the_release(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1", capabilities=[REDUCED_RELEASES])
        stop = await world.verify(await world.stop(), "E1")
        view = await world.release(stop, resume=True, reduced=CAREFUL)
        assert (view.state, view.reduced) == (ReleaseState.RELEASED, CAREFUL)
        await trio.testing.wait_all_tasks_blocked()
        _, release = world.inboxes["E1"][-1]
        assert (release.resume, release.reduced) == (True, Reduced(for_ms=900_000, max_order_value=1_000_000))


async def test_reduced_limits_that_an_engine_would_not_keep_to_are_refused_unless_it_is_waived(
    open_world, autojump_clock
):
    async with open_world(engines=2) as world:
        await world.connect("E1", capabilities=[REDUCED_RELEASES])
        await world.connect("E2")
        stop = await world.verify(await world.stop(), "E1", "E2")
        refused = await world.release(stop, reduced=CAREFUL)
        assert (refused.status, refused.error, refused.field) == (409, "error_unsupported", "reduced")
        assert "E2" in refused.reason
        view = await world.release(stop, reduced=CAREFUL, waive=[Waiver(engine_id="E2", reason="old")])
        assert view.state is ReleaseState.RELEASED


async def test_an_engine_that_came_back_older_since_it_was_asked_comes_back_paused(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1", capabilities=[REDUCED_RELEASES])
        stop = await world.verify(await world.stop(level=Level.HALT), "E1")
        epoch = world.shelf.book.runs[stop.stop_id].epoch
        asked = ReleaseRequest(reason="looked", epoch=epoch, resume=True, reduced=CAREFUL)
        await world.ref.ask(RequestRelease(principal=person("kim"), stop_id=stop.stop_id, request=asked), timeout=30)
        held = world.shelf.book.runs[stop.stop_id].record()
        await world.connect("E1", stops=[held])
        assert (await world.approve(stop)).state is ReleaseState.RELEASED
        await trio.testing.wait_all_tasks_blocked()
        _, release = world.inboxes["E1"][-1]
        assert release.resume is False


def scope(text):
    return Scope.parse(text)


async def test_a_stop_taken_with_a_token_past_its_end_is_audited_as_degraded(open_world, autojump_clock):
    async with open_world() as world:
        late = attrs.evolve(person("kim", Role.OPERATOR), degraded=True)
        await world.ref.ask(TakeStop(principal=late, request=StopRequest(request_id="r1")), urgent=True)
        await world.stop(user="lee", request_id="r2")
        assert [(a.action, a.degraded) for a in world.audits] == [("stop.taken", True), ("stop.raised", False)]


async def test_a_key_that_another_person_used_up_stops_all_the_same(open_world, autojump_clock):
    def by_key(user):
        return TakeStop(principal=person(user), request=StopRequest(request_id="1"), by_key=True)

    async with open_world(engines=1) as world:
        await world.connect("E1")
        first = await world.ref.ask(by_key("kim"), timeout=5, urgent=True)
        await world.verify(first, "E1")
        assert (await world.release(first)).state is ReleaseState.RELEASED
        again = await world.ref.ask(by_key("kim"), timeout=5, urgent=True)
        assert (again.stop_id, again.released_at is None) == (first.stop_id, False)
        other = await world.ref.ask(by_key("lee"), timeout=5, urgent=True)
        assert (other.stop_id == first.stop_id, other.released_at) == (False, None)
        assert world.shelf.book.register.engine_level("E1", "A1") is Level.FLATTEN


async def test_a_hold_that_a_person_wants_too_outlives_its_reason(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        await world.connect("E1")
        world.shelf.book.roster.heard("E1", TradingMode.PAPER, ["ma", "rsi"])
        for strategy, wanted in (("ma", False), ("rsi", True)):
            world.ref.tell(HoldStrategy(engine_id="E1", strategy_id=strategy, reason="they differ"))
            await trio.sleep(1)
            held = world.shelf.book.held("E1", strategy).stop_id
            world.ref.tell(LiftHold(engine_id="E1", strategy_id=strategy))
            if wanted:  # in the same moment
                stop = await world.stop(scope=scope(f"strategy:E1/{strategy}"), level=Level.REDUCE_ONLY)
                assert stop.stop_id == held
            await trio.sleep(5)
            assert world.shelf.book.register.entries[held].is_open is wanted


async def test_nothing_releases_a_stop_but_two_words_of_people(open_world, autojump_clock):
    """Not its age, nor that all is verified, nor a request that nobody approves, nor engines that come and go."""
    async with open_world(engines=1) as world:
        world.records.people = ["kim"]
        await world.connect("E1")
        stop = await world.verify(await world.stop(), "E1")
        asked = ReleaseRequest(reason="looked", epoch=stop.epoch)
        await world.ref.ask(RequestRelease(principal=person("kim"), stop_id=stop.stop_id, request=asked), timeout=30)
        await world.connect("E1", stops=[world.shelf.book.runs[stop.stop_id].record()])
        await trio.sleep(2 * 3600)
        assert world.shelf.book.register.entries[stop.stop_id].is_open
        assert (await world.approve(stop, "kim")).state is ReleaseState.RELEASED
