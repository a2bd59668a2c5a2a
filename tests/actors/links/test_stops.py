"""A stop and an engine: on its way there, acknowledged, repeated, and whatever else fills the link."""

import json

import attrs
import pytest
import trio

from actors.links import engine_link
from tests.actors.links.engine import Engine, Pipe, Quick, log_line, wall
from wire.messages import HeartbeatAck, LocalStop, Welcome
from wire.rest.engines import Connection
from wire.rest.stops import StopState
from wire.session import PlatformSession
from wire.stops import Level, Scope, StopRecord
from wire.values import LocalStopCause, StopPhase


async def test_an_engine_says_hello_and_is_welcome_with_its_stops_and_seen_as_connected(open_world, autojump_clock):
    async with open_world() as world:
        stop = await world.stop()
        engine = Engine("E1")
        await world.connect(engine)
        (welcome,) = engine.of(Welcome)
        assert [r.stop_id for r in welcome.stop.effective] == [stop.stop_id]
        assert welcome.platform_id == "p1"
        status = await world.status("E1")
        assert (status.connection, status.level) == (Connection.CONNECTED, Level.FLATTEN)


async def test_a_stop_reaches_every_connected_engine_and_comes_back_verified(open_world, autojump_clock):
    async with open_world() as world:
        engines = [Engine("E1"), Engine("E2")]
        for engine in engines:
            await world.connect(engine)
        stop = await world.stop()
        done = await world.state(stop, StopState.VERIFIED)
        assert {r.engine_id: (r.orders_cancelled, r.positions_liquidated) for r in done.results} == {
            "E1": (2, 1),
            "E2": (2, 1),
        }
        assert done.delivered == 2


async def test_phases_say_sent_when_the_frame_has_left_and_received_when_the_engine_acknowledged(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        stop = await world.stop()
        await trio.sleep(1)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.PENDING
        engine.silent = True
        engine.pipe.blocked.set()
        await trio.sleep(0.2)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.SENT
        engine.silent = False
        engine.bell.set()
        await trio.sleep(1)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.RECEIVED


async def test_an_engine_that_was_away_gets_the_stop_when_it_returns_and_verifies_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        stop = await world.stop()
        assert stop.state is StopState.PARTIAL
        engine = Engine("E1")
        await world.connect(engine)
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_cable_pulled_during_a_stop_is_unreachable_and_the_returning_engine_finishes(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        stop = await world.stop()
        await trio.sleep(0.1)
        engine.pipe.cut()
        await trio.sleep(0.5)
        assert world.board.get(stop.stop_id).results[0].phase is StopPhase.UNREACHABLE
        engine.obeys = True
        await world.connect(engine)
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_stop_is_sent_to_everybody_before_its_request_is_answered(open_world, autojump_clock):
    async with open_world(engines=3) as world:
        quick, slow, gone = Engine("E1"), Engine("E2"), Engine("E3")
        for engine, pipe in ((quick, Quick()), (slow, Pipe()), (gone, Quick())):
            await world.connect(engine, pipe=pipe)
        slow.pipe.blocked = trio.Event()
        gone.silent = True
        gone.pipe.engine_gets.close()
        stop = await world.stop()
        assert {r.engine_id: r.phase.value for r in stop.results} == {"E1": "sent", "E2": "pending", "E3": "pending"}
        assert json.loads(slow.pipe.posted[0])["type"] == "emergency_stop"
        await trio.sleep(1)
        assert {r.engine_id: r.phase.value for r in world.board.get(stop.stop_id).results} == {
            "E1": "verified",
            "E2": "pending",
            "E3": "unreachable",
        }


async def test_a_stop_that_left_at_once_is_numbered_and_repeated_like_every_message(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine, pipe=Quick())
        engine.silent = True
        first, second = await world.stop(scope=Scope.of_engine("E1")), await world.stop(level=Level.HALT)
        assert [r.phase for s in (first, second) for r in s.results] == [StopPhase.SENT] * 2
        engine.pipe.cut()
        engine.silent = False
        await trio.sleep(0.1)
        await world.connect(engine, pipe=Quick())
        for stop in (first, second):
            assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED
        assert {s.stop_id for s in engine.stops()} == {first.stop_id, second.stop_id}


async def test_one_slow_engine_delays_nobody_else_s_stop(open_world, autojump_clock):
    async with open_world() as world:
        slow, quick = Engine("E1"), Engine("E2")
        await world.connect(slow)
        await world.connect(quick)
        slow.pipe.blocked = trio.Event()
        began = trio.current_time()
        await world.stop()
        await trio.sleep(0.01)
        assert len(quick.stops()) == 1
        assert trio.current_time() - began < 0.02


async def test_an_engine_that_takes_nothing_makes_no_work(open_world, autojump_clock, monkeypatch):
    """An acknowledgement is due and cannot be written: that is no reason to look again and again."""
    looks = []
    tick = PlatformSession.tick

    def counted(session, now):
        looks.append(now)
        if len(looks) > 500:
            raise AssertionError("it looks without end")
        return tick(session, now)

    monkeypatch.setattr(PlatformSession, "tick", counted)
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        await world.stop()
        engine.say(log_line(1))
        await trio.sleep(60)
        assert world.ledger.rows
        assert len(looks) < 60


async def test_what_waits_for_an_engine_that_takes_nothing_does_not_pile_up(open_world, autojump_clock):
    """However often it says that it lacks a stop: one answer and one letter wait for it."""
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        stop = await world.stop()
        await trio.sleep(14)  # two heartbeats
        before = len(engine.of(HeartbeatAck))
        engine.pipe.blocked.set()
        await trio.sleep(0.1)
        assert [s.stop_id for s in engine.stops()].count(stop.stop_id) == 1
        assert len(engine.of(HeartbeatAck)) - before == 1
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_an_engine_that_reads_stops_and_never_acknowledges_them_is_cut_off(
    open_world, autojump_clock, monkeypatch
):
    monkeypatch.setattr(engine_link, "STOPS_UNACKNOWLEDGED", 20)
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        engine.obey = lambda _stop: None
        engine.session.committed = lambda *_args, **_kw: None
        await world.connect(engine)
        await world.stop()
        await trio.sleep(5 * 30)
        assert engine.pipe.closed_with == 4030
        assert 15 < len(engine.stops()) < 25


async def test_a_flood_of_logs_does_not_hold_up_a_stop(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        for i in range(3000):
            engine.say(log_line(i))
        stop = await world.stop()
        await trio.sleep(0.01)
        assert len(engine.stops()) == 1
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_heartbeat_that_lacks_a_stop_is_answered_with_the_stop_again(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        await world.stop()
        await trio.sleep(0.1)
        engine.latch.clear()
        before = len(engine.stops())
        await trio.sleep(5.1)
        assert len(engine.stops()) == before + 1


async def test_a_stop_taken_while_an_engine_is_being_welcomed_is_never_lost(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.connect, engine)
            stop = await world.stop()
        await trio.sleep(0.1)
        assert stop.stop_id in engine.latch
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_a_local_stop_is_opened_under_the_engine_s_id_and_confirmed_to_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        engine.latch["mine"] = StopRecord(
            stop_id="mine", scope=Scope.parse("engine:E1"), level=Level.HALT, stop_epoch=9
        )
        local = LocalStop(id="mine", level=Level.HALT, cause=LocalStopCause.SENTINEL, reason="file", at=wall())
        engine.say(local)
        await trio.sleep(1)
        assert world.board.get("mine").cause == "sentinel"
        assert engine.stops()[0].stop_id == "mine"
        await trio.sleep(6)
        later = await world.stop()
        assert later.epoch > 9


@pytest.mark.parametrize(("proof", "widely"), [(True, "all"), (False, "engine:E1")])
async def test_a_stop_nobody_here_knows_is_open_again_before_its_engine_is_welcome(
    open_world, autojump_clock, kit, proof, widely
):
    async with open_world() as world:
        held = StopRecord(stop_id="older", scope=Scope.parse("all"), level=Level.CANCEL, stop_epoch=70)
        engine, other = Engine("E1"), Engine("E2")
        await world.connect(other)
        engine.latch["older"] = attrs.evolve(held, proof=kit.prove(held)) if proof else held
        await world.connect(engine)
        (welcome,) = engine.of(Welcome)
        assert [(r.stop_id, str(r.scope), r.level) for r in welcome.stop.effective] == [("older", widely, Level.CANCEL)]
        assert welcome.stop.epoch >= 70
        assert [a.code for a in world.alerts] == ["error_unknown_stop_reopened"]
        assert len(other.stops()) == proof  # a proof that holds stops everybody whom the platform once meant
