"""The watch over a fleet in virtual time: who vanished is stopped, once, also when the platform restarts meanwhile."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio

from actors.alarms.conditions import Exposure, MachineFacts
from actors.alarms.last_words import LastWord, read, write
from actors.alarms.triggers import TriggerRules
from actors.alarms.watch import Watch, exposure_of
from actors.fleet.fleet import FleetBoard
from actors.fleet.row import EngineRow
from actors.platform.degraded import DegradedParts
from actors.requests import COORDINATOR, TakeStop
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from actors.web.refusals import NAMES, Refusals
from supervisor.actor import Actor, handles
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.codec import structure
from wire.messages import Positions
from wire.rest.stops import StopRequest
from wire.stops import Level, Register

START = datetime(2026, 1, 5, tzinfo=UTC)


def positions(count, synced=True):
    item = {
        "symbol": "005930",
        "quantity": 10,
        "average_price": "100",
        "current_price": 100,
        "unrealized_pnl": 0,
    }
    return structure(
        {"items": [item] * count, "open_orders": [], "synced": synced, "as_of": START.isoformat()}, Positions
    )


class Coordinator(Actor):
    """Takes stops; the first ``failing`` askers find it dead."""

    def __init__(self, taken, failing):
        self.taken = taken
        self.failing = failing

    @handles(TakeStop)
    async def on_take(self, msg):
        if self.failing:
            self.failing.pop()
            raise RuntimeError("broken for once")
        self.taken.append(msg)


@attrs.define
class World:
    board: FleetBoard
    shelf: StopShelf
    alerts: list
    taken: list
    refusals: Refusals
    degraded: DegradedParts
    file: object
    failing: list

    @property
    def codes(self):
        return [a.code for a in self.alerts]

    def hear(self, engine_id="E1", count=1):
        """As often as an engine beats."""
        row = self.board.rows[engine_id]
        row.linked, row.heard = True, Instant(trio.current_time(), wall())
        row.positions = positions(count)
        return row


def wall():
    return START + timedelta(seconds=trio.current_time())


@pytest.fixture
def open_world(kit, tmp_path):
    @asynccontextmanager
    async def world(board=None, failing=()):
        shelf = StopShelf(book=kit.book(Register()), desk=ReleaseDesk(lambda: "r"))
        if board is None:
            board = FleetBoard(shelf)
            board.add("E1", "E1", "A1")
        file = tmp_path / "last_words.json"
        made = World(board, shelf, [], [], Refusals(), DegradedParts(), file, list(failing))

        def watch():
            return Watch(
                board,
                shelf,
                made.degraded,
                made.refusals,
                TriggerRules(),
                file,
                alert=made.alerts.append,
                machine=MachineFacts,
                wall=wall,
            )

        children = [
            ChildSpec(id=COORDINATOR, factory=lambda: Coordinator(made.taken, made.failing)),
            ChildSpec(id="watch", factory=watch),
        ]
        async with open_system(name="w", children=children, intensity=100):
            yield made

    return world


@pytest.fixture
def threadless(monkeypatch):
    """Virtual time and threads do not go together: what would run on a thread runs at once."""

    async def run_sync(function, *args, **_options):
        await trio.lowlevel.checkpoint()
        return function(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


pytestmark = pytest.mark.usefixtures("threadless")


async def test_an_engine_that_vanishes_with_positions_is_alarmed_and_then_stopped_once(open_world, autojump_clock):
    async with open_world() as world:
        world.hear()
        await trio.sleep(10)
        assert world.alerts == []
        await trio.sleep(10)
        assert world.codes == ["error_engine_lost"]
        await trio.sleep(60)
        (asked,) = world.taken
        assert (str(asked.request.scope), asked.request.level, asked.cause) == (
            "engine:E1",
            Level.HALT,
            "trigger:engine_lost",
        )
        await trio.sleep(600)
        assert len(world.taken) == 1


async def test_an_engine_that_cannot_be_judged_is_warned_of_then_may_only_reduce_and_hides_no_other(
    open_world, autojump_clock, monkeypatch
):
    async with open_world() as world:
        world.board.add("E2", "E2", "A2")
        world.hear()
        world.hear("E2")
        facts = Watch._facts

        def broken(self, row, *rest):
            if row.engine_id == "E1":
                raise OverflowError
            return facts(self, row, *rest)

        monkeypatch.setattr(Watch, "_facts", broken)
        await trio.sleep(20)
        assert world.codes == ["error_triggers_not_judged", "error_engine_lost"]
        assert [(a.engine_id, a.severity) for a in world.alerts] == [("E1", "warning"), ("E2", "critical")]
        assert world.taken == []
        await trio.sleep(50)
        taken = {str(asked.request.scope): (asked.request.level, asked.cause) for asked in world.taken}
        assert taken == {
            "engine:E1": (Level.REDUCE_ONLY, "trigger:not_judged"),
            "engine:E2": (Level.HALT, "trigger:engine_lost"),
        }
        await trio.sleep(600)
        assert len(world.taken) == 2


async def test_an_engine_that_comes_back_in_time_is_left_alone(open_world, autojump_clock):
    async with open_world() as world:
        for _ in range(10):
            world.hear()
            await trio.sleep(50)
        assert world.taken == []


async def test_a_stop_is_asked_for_until_it_is_taken(open_world, autojump_clock):
    async with open_world(failing=[1, 2, 3]) as world:
        world.hear()
        await trio.sleep(90)
        assert len(world.taken) == 1


async def test_who_was_missing_when_the_platform_ended_is_still_missing_after_its_restart(open_world, autojump_clock):
    async with open_world() as world:
        world.hear(count=2)
        await trio.sleep(30)
    words = read(world.file)
    assert words["E1"] == LastWord(heard_at=START, exposure=Exposure(positions=2, orders=0))
    fresh = FleetBoard(None)
    fresh.add("E1", "E1", "A1").seen_before = True
    async with open_world(board=fresh) as again:
        await trio.sleep(50)
        assert again.taken == []  # it has the time to come back that any engine has
        await trio.sleep(15)
        assert len(again.taken) == 1
        assert "2 positions" in again.taken[0].request.reason


def stop_everything(world):
    world.shelf.book.take(StopRequest(), "kim", Instant(trio.current_time(), wall()))


async def test_a_restarted_platform_gives_engines_the_time_to_return_before_a_stop_that_misses_them_is_an_alert(
    open_world, autojump_clock
):
    async with open_world() as world:
        stop_everything(world)
        await trio.sleep(14.5)
        assert world.codes == []
        await trio.sleep(2)
        assert world.codes == ["error_unreachable_exposed"]


async def test_a_stop_that_misses_an_engine_that_was_here_is_an_alert_at_once(open_world, autojump_clock):
    async with open_world() as world:
        world.hear()
        await trio.sleep(1.5)
        stop_everything(world)
        await trio.sleep(1.1)
        assert world.codes == ["error_unreachable_exposed"]


async def test_a_platform_that_forgot_what_was_at_stake_says_so(open_world, autojump_clock, tmp_path):
    (tmp_path / "last_words.json").write_text('{"E1": {"heard_at": "2026-01-05T00:00:00", "goodbye": false}}')
    board = FleetBoard(None)
    board.add("E1", "E1", "A1").seen_before = True
    async with open_world(board=board) as world:
        await trio.sleep(120)
        assert world.codes == ["error_last_words_lost"]
        assert world.taken == []


async def test_five_wrong_secrets_in_five_minutes_are_said(open_world, autojump_clock):
    async with open_world() as world:
        world.hear()
        for _ in range(5):
            world.refusals.note("E1", trio.current_time())
        await trio.sleep(2)
        assert world.codes == ["error_engine_auth"]


async def test_a_part_that_does_not_work_is_said_within_five_seconds(open_world, autojump_clock):
    async with open_world() as world:
        world.degraded.report("database", "it does not answer")
        await trio.sleep(5)
        assert world.codes == ["error_degraded_database"]


async def test_a_file_that_cannot_be_written_is_a_degraded_part_and_nothing_more(open_world, autojump_clock):
    async with open_world() as world:
        world.file.with_suffix(".new").mkdir()
        world.hear()
        await trio.sleep(3)
        assert [p.part for p in world.degraded.parts()] == ["last words"]
        world.file.with_suffix(".new").rmdir()
        await trio.sleep(3)
        assert world.degraded.parts() == []


def test_books_that_were_not_reconciled_say_nothing():
    row = EngineRow(engine_id="E1", name="E1", account_id="A1")
    assert not exposure_of(row).is_known
    row.positions = positions(2, synced=False)
    assert not exposure_of(row).is_known
    row.positions = positions(2)
    assert exposure_of(row) == Exposure(positions=2, orders=0)


def test_what_was_written_is_read_again_and_anything_else_is_nothing(tmp_path):
    file = tmp_path / "words.json"
    assert read(file) is None
    words = {"E1": LastWord(heard_at=START, exposure=Exposure(positions=None, orders=3), goodbye=True)}
    write(file, words)
    assert read(file) == words
    assert file.stat().st_mode & 0o777 == 0o600
    for broken in ("", "[]", '{"E1": 3}', '{"E1": {"heard_at": "x", "positions": 1, "orders": 1, "goodbye": true}}'):
        file.write_text(broken)
        assert not read(file)


def test_refusals_are_counted_for_five_minutes_and_bounded():
    refusals = Refusals()
    for i in range(100):
        refusals.note("E1", float(i))
    assert (refusals.count("E1", 100.0), refusals.count("E1", 397.0), refusals.count("E2", 0.0)) == (50, 2, 0)
    for i in range(NAMES + 1):
        refusals.note(f"X{i}", 0.0)
    assert refusals.count("E1", 100.0) == 0
