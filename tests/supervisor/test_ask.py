"""Asking is tied to the life of the one who is asked."""

import math

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.errors import ActorDied, AskCycle, AskSelf, AskTimeout, MailboxFull
from supervisor.mailbox import MailboxSpec, Overflow, Why
from supervisor.message import Request
from supervisor.reason import ExitKind
from supervisor.ref import Ref
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from supervisor.testing import Crash, Hold, Ping, Quit


async def settle():
    await trio.testing.wait_all_tasks_blocked()


@attrs.frozen
class Forward(Request[str]):
    to: tuple[Ref, ...]


class Forwarder(Actor):
    @handles(Forward)
    async def on_forward(self, msg: Forward) -> str:
        if not msg.to:
            return self.context.name
        return await msg.to[0].ask(Forward(msg.to[1:]), timeout=1000)


def forwarders(names):
    return [ChildSpec(id=name, factory=Forwarder) for name in names]


async def test_the_answer_comes_back_typed_and_in_no_time(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        assert await system.ref("a").ask(Ping()) == "a#1"
        assert trio.current_time() == 0


async def test_no_answer_in_time_names_target_message_and_asker(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        with pytest.raises(AskTimeout) as late:
            await system.ref("a").ask(Ping(seconds=9), timeout=2)
        assert (late.value.target, late.value.message, late.value.timeout, late.value.sender) == ("a", "Ping", 2, None)
        assert trio.current_time() == 2


async def test_o20_a_late_reply_is_dropped_and_counted(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        with pytest.raises(AskTimeout):
            await system.ref("a").ask(Ping(seconds=3), timeout=1)
        await trio.sleep(5)
        assert system.dead_letters.total(Why.LATE_REPLY) == 1
        assert system.ref("a").info().pending == 0


async def test_a_cancelled_ask_leaves_the_work_to_be_done_and_its_reply_goes_nowhere(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        with trio.move_on_after(1):
            await system.ref("a").ask(Ping(seconds=3))
        await trio.sleep(5)
        assert system.ref("a").info().handled >= 1
        assert system.dead_letters.total(Why.LATE_REPLY) == 1


async def test_o19_when_the_callee_dies_in_the_call_the_asker_knows_at_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(ActorDied) as died:
                await system.ref("a").ask(Ping(seconds=100), timeout=1000)
            assert died.value.reason.kind is ExitKind.CANCELLED

        nursery.start_soon(ask)
        await trio.sleep(1)
        await system.root.terminate_child("a")
        assert trio.current_time() == 6  # the five seconds of the soft stop


async def test_o30_callers_that_still_wait_in_the_queue_know_at_once(event_log, autojump_clock):
    failed = []
    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Hold(1))
        ref.tell(Crash())

        async def ask():
            with pytest.raises(ActorDied):
                await ref.ask(Ping(), timeout=1000)
            failed.append(trio.current_time())

        for _ in range(5):
            nursery.start_soon(ask)
        await trio.sleep(2)
        assert failed == [1] * 5
        assert ref.info().mailbox.user == 0
        assert await ref.ask(Ping()) == "a#2"


async def test_asking_somebody_who_is_gone_fails_at_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        with pytest.raises(ActorDied):
            await ref.ask(Ping(), timeout=1000)
        assert trio.current_time() == 0
    with pytest.raises(ActorDied):
        await ref.ask(Ping(), timeout=1000)


async def test_the_crash_that_a_request_caused_is_the_reason_the_asker_sees(event_log, autojump_clock):
    @attrs.frozen
    class Boom(Request[int]):
        pass

    class Bomb(Actor):
        @handles(Boom)
        async def on_boom(self, msg: Boom) -> int:
            raise ZeroDivisionError

    async with open_system(children=[ChildSpec(id="b", factory=Bomb)]) as system:
        with pytest.raises(ActorDied) as died:
            await system.ref("b").ask(Boom())
        assert isinstance(died.value.reason.error, ZeroDivisionError)


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
async def test_a_timeout_that_is_not_above_zero_is_refused(event_log, autojump_clock, timeout):
    async with open_system(children=[event_log.child("a")]) as system:
        with pytest.raises(ValueError, match="must be seconds above 0"):
            await system.ref("a").ask(Ping(), timeout=timeout)


async def test_an_urgent_question_overtakes_the_queue(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        for _ in range(10):
            ref.tell(Hold(1))
        await settle()
        await ref.ask(Ping(), urgent=True)
        assert trio.current_time() == 1


# rings


async def test_asking_oneself_is_refused_before_it_hangs(autojump_clock):
    async with open_system(children=forwarders("a")) as system:
        a = system.ref("a")
        with pytest.raises(ActorDied) as died:
            await a.ask(Forward((a,)))
        assert isinstance(died.value.reason.error, AskSelf)
        assert trio.current_time() == 0


async def test_a_ring_of_asks_is_refused_and_shows_the_ring(autojump_clock):
    async with open_system(children=forwarders("abc")) as system:
        a, b, c = (system.ref(name) for name in "abc")
        with pytest.raises(ActorDied) as died:
            await a.ask(Forward((b, c, a)))
        error = died.value.reason.error
        while isinstance(error, ActorDied):
            error = error.reason.error
        assert isinstance(error, AskCycle)
        assert error.path == ("c", "a", "b", "c")
        assert trio.current_time() == 0


async def test_two_actors_that_ask_each_other_at_the_same_moment_are_a_ring_too(autojump_clock):
    outcomes = []
    async with open_system(children=forwarders("ab")) as system, trio.open_nursery() as nursery:
        a, b = system.ref("a"), system.ref("b")

        async def ask(one, two):
            try:
                await one.ask(Forward((two, one)), timeout=1000)
            except ActorDied:
                outcomes.append("died")

        nursery.start_soon(ask, a, b)
        nursery.start_soon(ask, b, a)
        await trio.sleep(2)
        assert "died" in outcomes
        assert len(outcomes) == 2


async def test_a_chain_without_a_ring_is_answered_by_its_end(autojump_clock):
    async with open_system(children=forwarders("abc")) as system:
        a, b, c = (system.ref(name) for name in "abc")
        assert await a.ask(Forward((b, c))) == "c"


async def test_a_side_task_may_ask_its_own_actor(event_log, autojump_clock):
    answers = []

    async def spawn(actor):
        async def ask():
            answers.append(await actor.context.self_ref.ask(Ping()))

        actor.context.spawn(ask)

    from supervisor.testing import Do

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(spawn))
        await settle()
    assert answers == ["a#1"]


# full mailboxes


def full(event_log, overflow, **more):
    return event_log.child("a", mailbox=MailboxSpec(capacity=1, overflow=overflow, **more))


async def test_under_block_a_question_waits_for_space_within_its_time(event_log, autojump_clock):
    async with open_system(children=[full(event_log, Overflow.BLOCK)]) as system:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()
        ref.tell(Hold(2))
        with pytest.raises(AskTimeout):
            await ref.ask(Ping(), timeout=1)
        assert ref.info().mailbox.blocked == 0
        assert await ref.ask(Ping(), timeout=10) == "a#1"
        assert trio.current_time() == 4


@pytest.mark.parametrize("overflow", [Overflow.FAIL, Overflow.DROP_NEWEST])
async def test_other_policies_refuse_a_question_at_once(event_log, autojump_clock, overflow):
    async with open_system(children=[full(event_log, overflow)]) as system:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()
        ref.tell(Hold(2))
        with pytest.raises(MailboxFull):
            await ref.ask(Ping(), timeout=1000)
        assert trio.current_time() == 0
        assert system.dead_letters.total(Why.FULL) == 1


async def test_the_asker_of_an_evicted_question_learns_of_it(event_log, autojump_clock):
    async with open_system(children=[full(event_log, Overflow.DROP_OLDEST)]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()

        async def ask():
            with pytest.raises(MailboxFull):
                await ref.ask(Ping(), timeout=1000)

        nursery.start_soon(ask)
        await settle()
        ref.tell(Quit())
        await settle()
        assert trio.current_time() == 0
        assert system.dead_letters.total(Why.EVICTED) == 1


async def test_one_deadline_heap_serves_all_asks(event_log, autojump_clock):
    children = [event_log.child(str(n)) for n in range(20)]
    late = []
    async with open_system(children=children) as system, trio.open_nursery() as nursery:

        async def ask(n):
            try:
                await system.ref(str(n)).ask(Ping(seconds=n), timeout=9.5)
            except AskTimeout:
                late.append((n, trio.current_time()))

        for n in range(20):
            nursery.start_soon(ask, n)
        await trio.sleep(30)
        assert sorted(late) == [(n, 9.5) for n in range(10, 20)]
        assert len(system._timekeeper) == 0


async def test_a_crash_takes_the_waiting_questions_along_and_leaves_the_waiting_messages(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Hold(1))
        ref.tell(Crash())

        async def ask():
            with pytest.raises(ActorDied):
                await ref.ask(Ping(), timeout=1000)

        nursery.start_soon(ask)
        await settle()
        ref.tell(Quit())
        await trio.sleep(2)
        event_log.expect("+a -a:crash +a -a +a")
        assert system.dead_letters.counts() == {(Why.FAILED, "Crash"): 1, (Why.STOPPED, "Ping"): 1}


async def test_waiting_for_the_end_of_somebody_who_has_ended_returns_its_reason_at_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        assert (await ref.wait_ended()).kind is ExitKind.SHUTDOWN
