"""Live parameters in virtual time: versions, roles, the engine's echo, what comes late, and what a hello reveals."""

from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio

from actors.board import Board
from actors.fleet.fleet import FleetBoard
from actors.links.messages import DeliverUpdate, EngineAdmitted, HoldStrategy, LiftHold, UpdateAnswered
from actors.live.hub import Hub
from actors.parameters.parameters import ParameterDesk
from actors.requests import ChangeParameters, GetParameters, Principal, Refusal, RollBackParameters
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.errors import StaleVersion, Unavailable
from store.parameters import VersionRow
from supervisor.actor import Actor, handles
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.messages import Hello, ParameterResult
from wire.parts import ParameterSpec, StrategyReport
from wire.rest.access import Role
from wire.rest.stops import StopRequest
from wire.rest.strategies import ParameterChange, RollbackRequest, UpdateStatus
from wire.stops import Level, Scope
from wire.values import LatchState, Loosens, ResultStatus, StrategyState, TradingMode

START = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = {
    "takeProfit": ParameterSpec(type="number", minimum=0.5, maximum=10, step=0.5),
    "maxSize": ParameterSpec(type="integer", minimum=1, maximum=100, step=1, loosens=Loosens.UP),
}


def wall():
    return START + timedelta(seconds=trio.current_time())


class Store:
    """The repository of parameters, in memory."""

    def __init__(self):
        self.rows = []
        self.head_of = {}
        self.noted = {}
        self.away = False

    def ask(self):
        if self.away:
            raise Unavailable("away")

    async def heads(self, engine_id):
        self.ask()
        return [r for key in self.head_of if key[0] == engine_id and (r := self.row(key)) is not None]

    async def head(self, engine_id, strategy_id):
        self.ask()
        return self.row((engine_id, strategy_id))

    def row(self, key):
        head = self.head_of.get(key)
        return next((r for r in self.rows if (r.engine_id, r.strategy_id, r.version) == (*key, head)), None)

    async def propose(self, wanted):
        self.ask()
        key = (wanted.engine_id, wanted.strategy_id)
        known = next((r for r in self.rows if r.request_id == wanted.request_id), None)
        if known is not None:
            return known
        head = self.head_of.get(key, 0)
        if wanted.expected_version not in (None, head):
            raise StaleVersion(head)
        version = 1 + max((r.version for r in self.rows if (r.engine_id, r.strategy_id) == key), default=0)
        applied = wanted.status is UpdateStatus.APPLIED
        row = VersionRow(
            engine_id=wanted.engine_id,
            strategy_id=wanted.strategy_id,
            version=version,
            base_version=head,
            request_id=wanted.request_id,
            parameters=wanted.parameters,
            status=wanted.status,
            user_id=wanted.user_id,
            at=wanted.at,
            applied_at=wanted.at if applied else None,
            effective=wanted.parameters if applied else None,
            error=None,
            reason=None,
        )
        self.rows.append(row)
        self.head_of[key] = version
        return row

    async def settle(self, outcome):
        self.ask()
        for i, row in enumerate(self.rows):
            if row.request_id == outcome.request_id:
                self.rows[i] = self.settled(row, outcome)
                return self.rows[i]
        return None

    def settled(self, row, outcome):
        status = outcome.status
        if row.status in (UpdateStatus.FAILED, UpdateStatus.EXPIRED) and status is UpdateStatus.APPLIED:
            status = UpdateStatus.APPLIED_LATE
        elif row.status is not UpdateStatus.PENDING:
            return row
        applied = status in (UpdateStatus.APPLIED, UpdateStatus.APPLIED_LATE)
        if not applied:
            self.head_of[(row.engine_id, row.strategy_id)] = row.base_version
        return attrs.evolve(
            row,
            status=status,
            effective=outcome.effective,
            applied_at=outcome.at if applied else None,
            error=outcome.error,
            reason=outcome.reason,
        )

    async def version(self, engine_id, strategy_id, number):
        self.ask()
        return next(
            (r for r in self.rows if (r.engine_id, r.strategy_id, r.version) == (engine_id, strategy_id, number)), None
        )

    async def effective(self, engine_id, strategy_id):
        self.ask()
        return self.noted.get((engine_id, strategy_id))

    async def note_effective(self, row):
        self.ask()
        self.noted[(row.engine_id, row.strategy_id)] = row

    async def pending(self):
        self.ask()
        return [r for r in self.rows if r.status is UpdateStatus.PENDING]


class Link(Actor):
    def __init__(self, inbox):
        self.inbox = inbox

    @handles(DeliverUpdate)
    async def on_update(self, msg):
        self.inbox.append(msg.message)


@attrs.define
class World:
    ref: object
    link: object
    store: Store
    board: Board
    shelf: StopShelf
    fleet: FleetBoard
    sent: deque
    alerts: list
    holds: list

    async def hello(self, parameters, version=0):
        report = StrategyReport(
            id="ma",
            name="ma",
            status=StrategyState.ACTIVE,
            parameters=parameters,
            parameter_schema=SCHEMA,
            version=version,
        )
        hello = Hello(
            protocol="1",
            instance="i",
            name="E1",
            version="1",
            trading_mode=TradingMode.PAPER,
            stops=[],
            latch=LatchState.PRESENT,
            capabilities=[],
            supported_brokerages=[],
            strategies=[report],
        )
        self.fleet.rows["E1"].hello(hello, Instant(trio.current_time(), wall()))
        self.ref.tell(EngineAdmitted(engine_id="E1", hello=hello, link=self.link))
        await trio.sleep(0.1)

    async def change(self, parameters, *, version, role=Role.RISK, request_id=None):
        asked = ChangeParameters(
            principal=person(role),
            engine_id="E1",
            expected_version=version,
            change=ParameterChange(strategy_id="ma", parameters=parameters, request_id=request_id),
        )
        return await self.ref.ask(asked, timeout=20)

    async def answer(self, message, *, effective=None, **fields):
        result = ParameterResult(
            request_id=message.request_id,
            strategy_id="ma",
            status=fields.pop("status", ResultStatus.APPLIED),
            parameters=message.parameters if effective is None else effective,
            version=message.version,
            **fields,
        )
        self.ref.tell(UpdateAnswered(engine_id="E1", result=result))
        await trio.sleep(0.1)


def person(role):
    return Principal(user_id="kim", username="kim", role=role, auth_time=START)


@pytest.fixture
def open_world(kit):
    @asynccontextmanager
    async def opened():
        book = kit.book(engines=(("E1", "A1"),))
        shelf = StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r")))
        fleet = FleetBoard(shelf)
        fleet.add("E1", "E1", "A1")
        store, board, sent, alerts, holds = Store(), Board(), deque(), [], []

        def factory():
            return ParameterDesk(store, board, fleet, shelf, Hub(), alert=alerts.append, hold=holds.append, wall=wall)

        children = [
            ChildSpec(id="link", factory=lambda: Link(sent)),
            ChildSpec(id="parameters", factory=factory),
        ]
        async with open_system(name="desk", children=children) as system:
            shelf.links["E1"] = system.ref("link")
            world = World(system.ref("parameters"), system.ref("link"), store, board, shelf, fleet, sent, alerts, holds)
            await world.hello({"takeProfit": 1.0, "maxSize": 10})
            yield world

    return opened


def refused(answer, status, code):
    assert isinstance(answer, Refusal), answer
    assert (answer.status, answer.error) == (status, code)


async def test_what_an_engine_reports_first_is_version_one(open_world, autojump_clock):
    async with open_world() as world:
        found = await world.ref.ask(GetParameters(engine_id="E1", strategy_id="ma"))
        assert (found.version, found.desired, found.effective) == (
            1,
            found.effective,
            {"takeProfit": 1.0, "maxSize": 10},
        )


async def test_a_change_is_sent_whole_and_applied_when_the_engine_echoes_it(open_world, autojump_clock):
    async with open_world() as world:
        pending = await world.change({"takeProfit": 2.0}, version=1, request_id="r1")
        assert pending.status is UpdateStatus.PENDING
        await trio.sleep(0.1)
        (message,) = world.sent
        assert message.parameters == {"takeProfit": 2.0, "maxSize": 10}
        assert (message.version, message.base_version, message.request_id) == (2, 1, "r1")
        await world.answer(message)
        done = world.board.get("r1")
        assert (done.status, done.parameters["takeProfit"], done.version) == (UpdateStatus.APPLIED, 2.0, 2)


async def test_an_engine_that_echoes_other_values_has_failed_to_apply_them(open_world, autojump_clock):
    async with open_world() as world:
        await world.change({"takeProfit": 2.0}, version=1, request_id="r1")
        await trio.sleep(0.1)
        await world.answer(world.sent[0], effective={"takeProfit": 1.0, "maxSize": 10})
        done = world.board.get("r1")
        assert (done.status, done.error) == (UpdateStatus.FAILED, "error_effective_mismatch")
        assert "takeProfit" in done.reason


async def test_without_an_answer_it_expires_after_ten_seconds_and_a_late_one_raises_an_alert(
    open_world, autojump_clock
):
    async with open_world() as world:
        await world.change({"takeProfit": 2.0}, version=1, request_id="r1")
        await trio.sleep(10.5)
        assert world.board.get("r1").status is UpdateStatus.EXPIRED
        await world.answer(world.sent[0])
        assert world.board.get("r1").status is UpdateStatus.APPLIED_LATE
        assert [a.code for a in world.alerts] == ["error_applied_late"]


async def test_the_version_has_to_be_the_one_that_is_wanted_now(open_world, autojump_clock):
    async with open_world() as world:
        refused(await world.change({"takeProfit": 2.0}, version=7), 412, "error_version_conflict")
        assert not world.sent


@pytest.mark.parametrize(
    "change", [{"takeProfit": 11.0}, {"takeProfit": 0.7}, {"maxSize": 1.5}, {"unknown": 1}, {"maxSize": 0}]
)
async def test_a_value_outside_the_envelope_is_refused_before_anything_is_noted(open_world, autojump_clock, change):
    async with open_world() as world:
        refused(await world.change(change, version=1), 422, "error_outside_envelope")
        assert len(world.store.rows) == 1


async def test_loosening_needs_the_risk_role_and_tightening_does_not(open_world, autojump_clock):
    async with open_world() as world:
        looser = await world.change({"maxSize": 20}, version=1, role=Role.OPERATOR)
        refused(looser, 403, "error_risk_role_required")
        tighter = await world.change({"maxSize": 5}, version=1, role=Role.OPERATOR)
        assert tighter.status is UpdateStatus.PENDING


async def test_any_change_while_stopped_needs_the_risk_role(open_world, autojump_clock):
    async with open_world() as world:
        world.shelf.book.take(StopRequest(scope=Scope.of_engine("E1"), level=Level.HALT), "kim", Instant(0, wall()))
        refused(await world.change({"maxSize": 5}, version=1, role=Role.OPERATOR), 403, "error_risk_role_required")
        behind_the_gate = await world.change({"maxSize": 5}, version=1)
        assert behind_the_gate.status is UpdateStatus.PENDING
        await trio.sleep(0.1)
        assert world.sent[0].stop_epoch == 1


async def test_the_same_request_again_is_the_same_change(open_world, autojump_clock):
    async with open_world() as world:
        first = await world.change({"maxSize": 5}, version=1, request_id="r1")
        again = await world.change({"maxSize": 5}, version=1, request_id="r1")
        assert (first.version, again.version) == (2, 2)
        await trio.sleep(0.1)
        assert len(world.sent) == 1


async def test_a_request_id_that_stands_for_another_change_is_a_conflict(open_world, autojump_clock):
    async with open_world() as world:
        await world.change({"maxSize": 5}, version=1, request_id="r1")
        other = await world.change({"maxSize": 6}, version=1, request_id="r1")
        assert (other.status, other.error) == (422, "error_idempotency_conflict")
        await trio.sleep(0.1)
        assert len(world.sent) == 1


async def test_rolling_back_is_a_new_version_with_the_old_values(open_world, autojump_clock):
    async with open_world() as world:
        await world.change({"maxSize": 5}, version=1, request_id="r1")
        await trio.sleep(0.1)
        await world.answer(world.sent[0])
        asked = RollBackParameters(
            principal=person(Role.RISK),
            engine_id="E1",
            expected_version=2,
            request=RollbackRequest(strategy_id="ma", version=1),
            request_id="back",
        )
        result = await world.ref.ask(asked, timeout=20)
        assert (result.version, result.status) == (3, UpdateStatus.PENDING)
        await trio.sleep(0.1)
        assert world.sent[1].parameters["maxSize"] == 10


async def test_a_change_overtaken_by_a_released_stop_is_sent_once_more(open_world, autojump_clock):
    async with open_world() as world:
        await world.change({"maxSize": 5}, version=1, request_id="r1")
        await trio.sleep(0.1)
        stale = {"status": ResultStatus.FAILED, "error": "error_stale_epoch", "reason": "a stop came"}
        await world.answer(world.sent[0], **stale)
        assert len(world.sent) == 2
        assert world.board.get("r1").status is UpdateStatus.PENDING
        await world.answer(world.sent[1])
        assert world.board.get("r1").status is UpdateStatus.APPLIED


async def test_with_the_database_away_a_change_is_503_and_an_answer_is_noted_when_it_is_back(
    open_world, autojump_clock
):
    async with open_world() as world:
        await world.change({"maxSize": 5}, version=1, request_id="r1")
        await trio.sleep(0.1)
        world.store.away = True
        refused(await world.change({"maxSize": 6}, version=2), 503, "error_database_unavailable")
        await world.answer(world.sent[0])
        assert world.board.get("r1").status is UpdateStatus.APPLIED
        world.store.away = False
        await trio.sleep(5)
        assert world.store.rows[-1].status is UpdateStatus.APPLIED


async def test_an_engine_with_other_values_is_held_until_the_wanted_ones_are_in_force_again(open_world, autojump_clock):
    async with open_world() as world:
        world.holds.clear()
        await world.hello({"takeProfit": 9.0, "maxSize": 10})
        assert [type(h) for h in world.holds] == [HoldStrategy]
        again = world.sent[-1]
        assert again.parameters == {"takeProfit": 1.0, "maxSize": 10}
        await world.answer(again)
        assert [type(h) for h in world.holds] == [HoldStrategy, LiftHold]
        assert len(world.store.rows) == 1


async def test_a_person_adopts_the_engine_s_values_by_asking_for_them(open_world, autojump_clock):
    async with open_world() as world:
        await world.hello({"takeProfit": 9.0, "maxSize": 10})
        world.holds.clear()
        await world.change({"takeProfit": 9.0}, version=1, request_id="adopt")
        await trio.sleep(0.1)
        await world.answer(world.sent[-1])
        assert [type(h) for h in world.holds] == [LiftHold]
        found = await world.ref.ask(GetParameters(engine_id="E1", strategy_id="ma"))
        assert found.desired == {"takeProfit": 9.0, "maxSize": 10}


async def test_an_unknown_engine_or_strategy_is_not_found(open_world, autojump_clock):
    async with open_world() as world:
        refused(await world.ref.ask(GetParameters(engine_id="E9", strategy_id="ma")), 404, "error_unknown_engine")
        refused(await world.ref.ask(GetParameters(engine_id="E1", strategy_id="x")), 404, "error_unknown_strategy")
