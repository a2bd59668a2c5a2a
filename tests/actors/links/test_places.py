"""Whose an engine's place is: resumed sessions, twins, dead connections, and the lease that goes with the place."""

import attrs
import trio

from tests.actors.links.engine import Engine, Pipe, log_line
from wire.messages import Goodbye, Welcome
from wire.rest.engines import Connection
from wire.rest.stops import StopState


class Deaf(Pipe):
    """Its peer is gone without a word: a close frame is never answered."""

    async def close(self, code, reason):
        await trio.sleep(30)
        await super().close(code, reason)


async def test_an_engine_that_comes_back_does_not_wait_for_the_end_of_its_dead_connection(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, again = Engine("E1"), Engine("E1")
        await world.connect(first, pipe=Deaf())
        first.give_up_connection()
        began = trio.current_time()
        await world.connect(again)
        assert again.of(Welcome)
        assert trio.current_time() - began < 0.1
        await world.stop()
        await trio.sleep(0.01)
        assert len(again.stops()) == 1


async def test_a_lease_is_granted_with_heartbeats_of_a_synced_engine_and_not_before(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", synced=False)
        await world.connect(engine)
        assert engine.of(Welcome)[0].lease_ms == 0
        await trio.sleep(11)
        assert max(engine.leases) <= trio.current_time()
        engine.synced = True
        await trio.sleep(6)
        assert engine.leases[-1] > trio.current_time() + 8


async def test_no_lease_is_given_while_the_coordinator_does_not_show_that_it_lives(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        await trio.sleep(6)
        assert engine.leases[-1] > trio.current_time()
        before = len(engine.leases)
        world.desk.shelf.pulse = -100.0
        shelf, world.desk.shelf = world.desk.shelf, attrs.evolve(world.desk.shelf, pulse=-100.0)
        await trio.sleep(16)
        assert len(engine.leases) > before
        assert engine.leases[-1] <= trio.current_time()
        world.desk.shelf = shelf


async def test_the_same_instance_takes_its_place_back_and_resumes_its_session(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        first = engine.pipe
        engine.say(log_line(1))
        await trio.sleep(1)
        engine.give_up_connection()
        await trio.sleep(0.1)
        await world.connect(engine)
        await trio.sleep(0.5)
        assert first.closed_with == 4501
        assert engine.of(Welcome)[-1].resumed
        engine.say(log_line(2))
        await trio.sleep(1)
        assert len(world.ledger.rows) == 2


async def test_a_hello_that_a_newer_connection_overtook_takes_nothing_over(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        late, engine = Engine("E1"), Engine("E1")
        late.silent = True
        await world.connect(late)
        await world.connect(engine)
        late.silent = False
        late.bell.set()
        await trio.sleep(0.1)
        assert (late.pipe.closed_with, engine.pipe.closed_with) == (4501, None)
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_of_two_connections_that_say_hello_at_once_one_is_left_and_it_hears_stops(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engines = [Engine("E1") for _ in range(4)]
        async with trio.open_nursery() as nursery:
            for engine in engines:
                nursery.start_soon(world.connect, engine)
        await trio.sleep(0.1)
        open_ones = [engine for engine in engines if engine.pipe.closed_with is None]
        assert len(open_ones) == 1
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED
        assert open_ones[0].stops()


async def test_another_instance_is_turned_away_while_the_first_may_be_alive(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        await world.connect(second)
        await trio.sleep(1)
        assert second.pipe.closed_with == 4023
        assert not second.of(Welcome)
        assert first.pipe.closed_with is None
        assert world.codes() == []  # it may still be one that is dead
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"]
        await trio.sleep(30)
        assert world.codes() == ["error_engine_id_in_use"]
        await world.connect(Engine("E1", instance="i3"))
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"] * 2


async def test_an_engine_that_was_killed_and_comes_back_at_once_is_no_twin(open_world, autojump_clock):
    """It is turned away until the dead one was silent for 7.5 s, as nobody can know that it is dead."""
    async with open_world(engines=1) as world:
        first = Engine("E1")
        await world.connect(first)
        await trio.sleep(6)
        first.pipe.cut()
        await trio.sleep(1)
        early = Engine("E1", instance="i2")
        await world.connect(early)
        assert early.pipe.closed_with == 4023
        await trio.sleep(6)
        again = Engine("E1", instance="i2")
        await world.connect(again)
        assert again.of(Welcome)
        await trio.sleep(30)
        assert world.codes() == []
        # The dead one was not dead: it is the twin now, and the one that holds the place lives.
        await world.connect(Engine("E1"))
        await trio.sleep(5)
        assert world.codes() == ["error_engine_id_in_use"]


async def test_an_instance_that_returns_after_another_one_was_turned_away_has_a_twin(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first = Engine("E1")
        await world.connect(first)
        await trio.sleep(6)
        first.pipe.cut()
        await trio.sleep(1)
        await world.connect(Engine("E1", instance="i2"))
        assert world.codes() == []
        await world.connect(first)
        await trio.sleep(5.1)
        assert world.codes() == ["error_engine_id_in_use"]


async def test_another_instance_gets_no_lease_before_the_first_one_s_is_surely_over(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        last_lease = first.leases[-1]
        first.silent = True
        await trio.sleep(8.7)
        await world.connect(second)
        assert second.of(Welcome)[0].lease_ms == 0
        granted = [x for x in await leases_for(second, 30) if x > 0]
        assert granted
        assert min(granted) - 15 > last_lease + 1.0


async def leases_for(engine, seconds):
    """The ends of the leases that were alive when they were given."""
    alive = []
    for _ in range(seconds * 10):
        before = len(engine.leases)
        await trio.sleep(0.1)
        alive += [x for x in engine.leases[before:] if x > trio.current_time()]
    return alive


async def test_an_engine_that_said_goodbye_may_be_followed_at_once(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        first.say(Goodbye(cause="stopped"))
        await trio.sleep(0.1)
        first.pipe.cut()
        await trio.sleep(0.1)
        assert (await world.status("E1")).connection is Connection.OFFLINE
        await world.connect(second)
        await trio.sleep(1)
        assert second.leases[-1] > trio.current_time()


async def test_the_connection_of_a_silent_instance_is_closed_with_4501_when_another_one_takes_its_place(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        first.silent = True
        await trio.sleep(8)
        await world.connect(second)
        assert first.pipe.closed_with == 4501
        assert second.of(Welcome)


async def test_only_a_goodbye_that_says_stopped_frees_the_place_of_an_engine(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        first, second = Engine("E1"), Engine("E1", instance="i2")
        await world.connect(first)
        await trio.sleep(6)
        first.say(Goodbye(cause="drain"))
        await trio.sleep(0.1)
        first.pipe.cut()
        await trio.sleep(0.1)
        await world.connect(second)
        assert second.pipe.closed_with == 4023
