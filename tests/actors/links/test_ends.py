"""How a connection ends and how soon that is noticed: silence, tokens, going down, engines that are not enrolled."""

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.links.messages import CloseNow, Drain
from supervisor.errors import AskTimeout
from tests.actors.links.engine import Engine, Pipe, log_line, progress
from wire.messages import Auth, Goodbye, Release, Welcome
from wire.rest.engines import Connection
from wire.rest.stops import StopState
from wire.session import CloseCode, State
from wire.stops import Level, Scope
from wire.values import StopPhase


async def test_a_link_that_is_to_be_closed_does_not_wait_for_a_peer_that_takes_nothing(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        link = await world.connect(engine)
        engine.pipe.blocked = trio.Event()
        await world.stop()
        began = trio.current_time()
        await link.ask(CloseNow(code=CloseCode.DEREGISTERED, reason="error_deregistered"), timeout=5, urgent=True)
        assert trio.current_time() - began < 1
        assert engine.pipe.closed_with == 4511


async def test_an_engine_that_was_deregistered_before_its_hello_is_not_welcome(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        world.desk.is_enrolled = lambda _engine_id: False
        engine = Engine("E1")
        await world.connect(engine)
        assert (engine.of(Welcome), engine.pipe.closed_with) == ([], 4511)
        assert world.desk.place("E1").link is None


async def test_an_engine_that_is_deregistered_while_it_is_greeted_is_not_welcome(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        answers = iter([True])
        world.desk.is_enrolled = lambda _engine_id: next(answers, False)
        engine = Engine("E1")
        await world.connect(engine)
        assert (engine.of(Welcome), engine.pipe.closed_with) == ([], 4511)
        assert world.desk.shelf.links == {}


class HearsLate:
    """The coordinator, which hears of a link and answers when nobody waits for the answer any more."""

    def __init__(self, ref):
        self.tell = ref.tell
        self._ref = ref

    async def ask(self, request, *, timeout, urgent):
        with trio.move_on_after(timeout):
            await trio.sleep_forever()
        self._ref.tell(request, urgent=urgent)
        raise AskTimeout("stops", type(request).__name__, timeout, None)


async def test_an_engine_that_nobody_had_time_to_greet_is_not_taken_for_connected(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        coordinator, world.desk.coordinator = world.desk.coordinator, HearsLate(world.desk.coordinator)
        engine = Engine("E1")
        await world.connect(engine)
        await trio.sleep(3)
        assert (engine.of(Welcome), engine.pipe.closed_with) == ([], CloseCode.OVERLOADED)
        assert (world.desk.shelf.links, world.desk.shelf.book.connected) == ({}, set())
        stop = await world.stop()
        assert [r.phase for r in stop.results] == [StopPhase.UNREACHABLE]
        world.desk.coordinator = coordinator
        await world.connect(Engine("E1"))
        assert world.desk.shelf.book.connected == {"E1"}


async def test_silence_is_suspect_then_offline_and_the_link_is_closed(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        await trio.sleep(6)
        assert (await world.status("E1")).connection is Connection.CONNECTED
        engine.silent = True
        await trio.sleep(9)
        assert (await world.status("E1")).connection is Connection.SUSPECT
        await trio.sleep(8)
        status = await world.status("E1")
        assert (status.connection, status.halted_by_lease) == (Connection.OFFLINE, True)
        assert engine.pipe.closed_with == 4008


async def test_a_deregistered_engine_s_link_is_closed_with_4511(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        link = await world.connect(engine)
        await link.ask(CloseNow(code=4511, reason="deregistered"), timeout=1)
        assert engine.pipe.closed_with == 4511


async def test_an_expired_token_closes_no_link_while_the_database_is_away_and_closes_it_afterwards(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        await trio.sleep(15 * 60 + 60)
        assert engine.session.state is State.LIVE
        world.ledger.away = False
        await trio.sleep(6)
        assert engine.pipe.closed_with == 4101


async def test_a_token_is_renewed_on_the_open_link_and_a_bad_one_ends_it(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        for n in range(3):
            await trio.sleep(10 * 60)
            engine.say(Auth(token="good"), id=f"a{n}")
        assert engine.session.state is State.LIVE
        engine.say(Auth(token="bad"), id="a9")
        await trio.sleep(0.1)
        assert engine.pipe.closed_with == 4504


async def test_going_down_writes_what_waits_says_goodbye_and_closes_with_4000(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        link = await world.connect(engine)
        stop = await world.stop()
        link.tell(Drain(), urgent=True)
        await trio.sleep(0.1)
        assert stop.stop_id in engine.latch
        (goodbye,) = engine.of(Goodbye)
        assert goodbye.cause == "drain"
        assert 1000 <= goodbye.reconnect_after_ms <= 3000
        assert engine.pipe.closed_with == 4000
        assert link.closed


async def test_an_engine_that_is_not_welcome_yet_is_told_too_when_the_platform_goes_down(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        engine.silent = True
        link = await world.connect(engine)
        link.tell(Drain(), urgent=True)
        await trio.sleep(0.1)
        assert engine.of(Goodbye)
        assert engine.pipe.closed_with == 4000


async def test_an_expired_token_closes_the_link_but_never_during_a_stop(open_world, autojump_clock):
    async with open_world() as world:
        stopped, free = Engine("E1"), Engine("E2")
        await world.connect(stopped)
        await world.connect(free)
        await world.stop(scope=Scope.parse("engine:E1"))
        await trio.sleep(15 * 60 + 40)
        assert free.pipe.closed_with == 4101
        assert stopped.pipe.closed_with is None
        assert stopped.session.state is State.LIVE


TOKEN = 15 * 60
GRACE = 30
OFFLINE = 15  # after so long every link has looked at its clocks


@pytest.mark.parametrize("taken", [1.0, TOKEN - 0.5, TOKEN + GRACE - 0.5])
async def test_a_token_that_ends_in_the_middle_of_a_stop_ends_the_link_after_its_release_and_not_before(
    open_world, autojump_clock, taken
):
    """Whenever in the token's life the stop comes, and whatever the engine still has to say of it."""
    async with open_world(engines=1) as world:
        engine = Engine("E1", obeys=False)
        await world.connect(engine)
        began = trio.current_time()
        await trio.sleep(taken)
        stop = await world.stop(level=Level.FLATTEN)
        await trio.sleep(began + TOKEN + GRACE + 60 - trio.current_time())
        (order,) = engine.stops()
        for phase in (StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED, StopPhase.VERIFIED):
            engine.say(progress(order, phase))
        await world.state(stop, StopState.VERIFIED)
        await trio.sleep(600)
        assert engine.pipe.closed_with is None
        assert engine.session.state is State.LIVE
        engine.say(log_line(1))
        await trio.sleep(1)
        world.release(stop.stop_id)
        await trio.sleep(OFFLINE)
        assert [r.stop_ids for r in engine.of(Release)] == [[stop.stop_id]]  # said before the link ended
        assert engine.pipe.closed_with == 4101
        assert ("E1", "log-1") in world.ledger.rows
        await world.connect(engine)
        assert engine.of(Welcome)[-1].resumed
        assert engine.latch == {}


async def test_of_two_stops_the_last_to_be_released_lets_the_link_go_and_a_renewed_token_keeps_it(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        first = await world.stop(level=Level.HALT)
        second = await world.stop(level=Level.CANCEL, scope=Scope.parse("engine:E1"))
        await trio.sleep(TOKEN + GRACE + 60)
        world.release(first.stop_id)
        await trio.sleep(60)
        assert engine.session.state is State.LIVE
        engine.say(Auth(token="good"), id="a1")
        await trio.sleep(1)
        world.release(second.stop_id)
        await trio.sleep(TOKEN)
        assert engine.session.state is State.LIVE
        await trio.sleep(GRACE + OFFLINE)
        assert engine.pipe.closed_with == 4101


async def test_a_token_ends_no_link_while_the_database_is_away_although_the_stop_over_it_is_released(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        stop = await world.stop(level=Level.HALT)
        await trio.sleep(TOKEN)
        world.ledger.away = True
        await trio.sleep(GRACE + 60)
        world.release(stop.stop_id)
        await trio.sleep(600)
        assert engine.session.state is State.LIVE
        world.ledger.away = False
        await trio.sleep(OFFLINE)
        assert engine.pipe.closed_with == 4101


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    story=st.lists(
        st.tuples(st.sampled_from(["cut", "half-open", "reset before hello"]), st.floats(0.1, 20)),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_a_link_that_fails_is_noticed_within_fifteen_seconds_and_the_engine_is_taken_back(open_world, story):
    """Feature: trading-platform-backend-integration, Property 21: 연결 상태 관리"""

    async def play():
        async with open_world(engines=1) as world:
            engine = Engine("E1")
            await world.connect(engine)
            sent = 0
            for failure, away in story:
                sent += 1
                engine.say(log_line(sent))
                if failure == "reset before hello":
                    pipe = Pipe()
                    pipe.cut()
                    await world.connect(Engine("E1"), pipe=pipe)
                    assert (await world.status("E1")).connection is Connection.CONNECTED
                    continue
                if failure == "cut":
                    engine.pipe.cut()
                else:
                    engine.silent = True
                await trio.sleep(away)
                shown = (await world.status("E1")).connection
                if failure == "cut" or away > 8:
                    assert shown is not Connection.CONNECTED
                if away > 15.6:
                    assert shown is Connection.OFFLINE
                engine.silent = False
                engine.give_up_connection()
                await trio.sleep(0.01)
                await world.connect(engine)
                assert (await world.status("E1")).connection is Connection.CONNECTED
                assert engine.of(Welcome)[-1].resumed
            await trio.sleep(1)
            assert len(world.ledger.rows) == sent
            assert engine.session.outbox.unacked == 0

    trio.run(play, clock=MockClock(autojump_threshold=0))
