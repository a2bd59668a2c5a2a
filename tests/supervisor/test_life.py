"""One incarnation, from its first step to its last report."""

import math

import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.cell import LOOPS, ActorState
from supervisor.errors import ActorDied, AskTimeout, Ignore, Refused, StartError
from supervisor.life import STUCK_EVERY, await_stack, live
from supervisor.mailbox import Why
from supervisor.reason import ExitKind
from supervisor.spec import BRUTAL, ChildSpec, Restart
from supervisor.supervision import Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import Crash, Do, EventLog, Hold, Ping, Quit, Scripted, explore, no_leaks


async def settle():
    await trio.testing.wait_all_tasks_blocked()


def reports(system, *wanted):
    seen = []
    system.telemetry.observe(lambda report: seen.append(report) if report.event in wanted else None)
    return seen


def ask_later(nursery, ref, request, ended, **options):
    async def ask():
        try:
            answer = await ref.ask(request, **options)
            ended.append((trio.current_time(), answer))
        except Exception as error:
            ended.append((trio.current_time(), type(error)))

    nursery.start_soon(ask)


# a life


async def test_what_is_cancelled_before_it_began_does_not_begin(autojump_clock):
    made = []

    async with open_system() as system:
        await system.root.start_child(ChildSpec(id="a", factory=Actor))
        cell = system.ref("a")._cell
        await system.root.terminate_child("a")
        async with trio.open_nursery() as nursery:
            settled = cell.begin()
            cell.cancel("not any more")
            nursery.start_soon(live, cell, lambda: made.append(1), nursery, 5.0)
            reason = await settled.wait()
        assert reason.kind is ExitKind.CANCELLED
        assert made == []


async def test_an_asker_hears_of_a_crash_before_the_hook_has_cleaned_up(event_log, autojump_clock):
    class Fragile(Actor):
        @handles(Ping)
        async def on_ping(self, msg: Ping) -> str:
            raise ZeroDivisionError

        async def stopped(self, reason) -> None:
            await trio.sleep(3)

    ended = []
    async with open_system(children=[ChildSpec(id="f", factory=Fragile)]) as system, trio.open_nursery() as nursery:
        ask_later(nursery, system.ref("f"), Ping(), ended)
        await trio.sleep(1)
        assert ended == [(0, ActorDied)]
        assert system.ref("f").info().state is ActorState.STOPPING


@pytest.mark.parametrize("message", [Quit(), Crash()])
async def test_a_child_is_stopping_while_its_hook_runs(event_log, autojump_clock, message):
    async with open_system(children=[event_log.child("a", stop=2)]) as system:
        system.ref("a").tell(message)
        await trio.sleep(1)
        assert system.ref("a").info().state is ActorState.STOPPING


async def test_a_busy_child_that_was_asked_to_stop_is_stopping_since_then(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:
        system.ref("a").tell(Hold(3))
        await trio.sleep(1)
        nursery.start_soon(system.root.terminate_child, "a")
        await trio.sleep(1)
        assert system.ref("a").info().state is ActorState.STOPPING
        assert system.ref("a").info().since == 1
        await trio.sleep(1)
        system.root._cell.enter(ActorState.RUNNING)
        assert system.root.info().since == 0


async def test_a_crash_of_a_side_task_during_the_hook_is_the_reason(event_log, autojump_clock):
    class Fragile(Actor):
        async def started(self) -> None:
            self.context.spawn(self.side)

        async def side(self) -> None:
            await trio.sleep(1)
            raise KeyError("side")

        async def stopped(self, reason) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    async with open_system(children=[ChildSpec(id="f", factory=Fragile)]) as system:
        await system.root.terminate_child("f")
        assert isinstance(system.ref("f").info().last_end.error, KeyError)


async def test_a_message_in_hand_at_an_end_that_is_no_failure_counts_as_stopped(autojump_clock):
    class Unwilling(Actor):
        @handles(Ping)
        async def on_ping(self, msg: Ping) -> str:
            raise Ignore

    async with open_system(children=[ChildSpec(id="u", factory=Unwilling, restart=Restart.TEMPORARY)]) as system:
        system.ref("u").tell(Ping())
        await settle()
        assert system.dead_letters.counts() == {(Why.STOPPED, "Ping"): 1}


async def test_a_stuck_side_task_is_reported_once_per_period_by_its_supervisor_and_counted(event_log, autojump_clock):
    inner = ChildSpec(id="inner", factory=lambda: Supervisor([event_log.child("a", shield=12)]))
    async with open_system(children=[inner]) as system:
        seen = reports(system, Event.STUCK_CHILD)
        await system.ref("inner").terminate_child("a")
        side = [report for report in seen if "shielded" in report.detail]
        assert [(report.at, report.supervisor, report.child) for report in side] == [
            (5, "inner", "inner/a"),
            (10, "inner", "inner/a"),
        ]
        assert dict(system.statistics().events)["stuck_child"] == len(seen)


async def test_a_stuck_side_task_of_the_root_is_reported_by_the_root(autojump_clock):
    seen = []
    async with open_system(shutdown_deadline=1000) as system:
        system.telemetry.observe(lambda report: seen.append(report) if report.event is Event.STUCK_CHILD else None)

        async def shielded():
            with trio.CancelScope(shield=True):
                await trio.sleep(7)

        system._root_actor.context.spawn(shielded)
        assert system._root_actor.context.parent is None
        await settle()
    assert [(report.supervisor, report.child) for report in seen] == [("system", "system")]


def test_a_side_task_that_ends_in_the_moment_of_the_report_does_not_hang_the_end():
    async def scenario():
        log = EventLog()
        with trio.fail_after(1000):
            async with open_system(children=[log.child("a", shield=STUCK_EVERY)]):
                pass
        return trio.current_time()

    assert set(explore(scenario, seeds=range(20), delays=False)) == {STUCK_EVERY}


async def test_side_tasks_outlive_a_cancelled_supervisor_until_it_is_the_turn_of_their_actor(event_log, autojump_clock):
    class WithSide(Scripted):
        async def started(self) -> None:
            await super().started()
            self.context.spawn(self.side)

        async def side(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                event_log.add(f"side of {self.script.id} at {trio.current_time():g}")

    def child(id, **options):
        script = event_log.child(id, **options).factory().script
        return ChildSpec(id=id, factory=lambda: WithSide(script))

    inner = ChildSpec(
        id="inner", factory=lambda: Supervisor([child("a"), event_log.child("b", shield=2)]), shutdown=BRUTAL
    )
    async with open_system(children=[inner]) as system:
        event_log.clear()
        await system.root.terminate_child("inner")
        assert trio.current_time() == 2
        event_log.expect("side of a at 2")


async def test_where_a_task_that_does_not_run_waits_is_nowhere(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        await system.root.terminate_child("a")
        assert await_stack(system.ref("a")._cell) == ""


async def test_an_actor_that_swallows_the_cancellation_of_its_start_is_stopped_all_the_same(autojump_clock):
    class Stubborn(Actor):
        async def started(self) -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                return

    inner = ChildSpec(
        id="inner",
        factory=lambda: Supervisor([ChildSpec(id="s", factory=Stubborn, start_timeout=math.inf)]),
        start_timeout=3,
        shutdown=BRUTAL,
    )
    with no_leaks():
        async with open_system() as system:
            with pytest.raises(StartError):
                await system.root.start_child(inner)
            assert trio.current_time() == 3
    assert not LOOPS


async def test_a_start_that_swallows_the_cancellation_under_a_cancelled_supervisor_ends_as_cancelled(autojump_clock):
    class Stubborn(Actor):
        async def started(self) -> None:
            with pytest.raises(trio.Cancelled):
                await trio.sleep_forever()

    stubborn = ChildSpec(id="s", factory=Stubborn, start_timeout=math.inf)
    inner = ChildSpec(id="inner", factory=lambda: Supervisor([stubborn]), restart=Restart.TEMPORARY)
    async with open_system() as system, trio.open_nursery() as nursery:

        async def start():
            with pytest.raises(StartError):
                await system.root.start_child(inner)

        nursery.start_soon(start)
        await settle()
        child = system.ref("inner/s")
        system.ref("inner")._cell.cancel("enough")
        assert (await child.wait_ended()).kind is ExitKind.CANCELLED


# counters, timeouts, waiting for an end


async def test_handled_counts_every_message_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        assert ref.info().handled == 0
        for _ in range(200):
            ref.tell(Hold(0))
        await settle()
        assert ref.info().handled == 200


async def test_a_timeout_names_the_actor_that_asked(event_log, autojump_clock):
    caught = []

    async def ask(actor):
        with pytest.raises(AskTimeout) as late:
            await actor.context.find("b").ask(Ping(seconds=9), timeout=1)
        caught.append(late.value.sender)

    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(Do(ask))
        await trio.sleep(2)
    assert caught == ["a"]


async def test_everybody_who_waits_for_an_end_learns_of_it(event_log, autojump_clock):
    heard = []

    async def wait(ref):
        heard.append((await ref.wait_ended()).kind)

    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait, system.ref("a"))
        await settle()
        system.ref("a").tell(Crash())
    assert heard == [ExitKind.CRASH] * 3


async def test_a_refusal_that_comes_too_late_is_counted_like_a_late_answer(autojump_clock):
    class No(Refused):
        pass

    class Slow(Actor):
        @handles(Ping)
        async def on_ping(self, msg: Ping) -> str:
            await trio.sleep(msg.seconds)
            raise No

    async with open_system(children=[ChildSpec(id="s", factory=Slow)]) as system:
        with pytest.raises(No):
            await system.ref("s").ask(Ping(seconds=1))
        assert system.dead_letters.total() == 0
        with pytest.raises(AskTimeout):
            await system.ref("s").ask(Ping(seconds=3), timeout=1)
        await trio.sleep(3)
        assert system.dead_letters.counts() == {(Why.LATE_REPLY, "Ping"): 1}


async def test_a_told_message_that_is_refused_is_a_dead_letter_with_the_refusal(autojump_clock):
    class No(Refused):
        pass

    class Picky(Actor):
        @handles(Hold)
        async def on_hold(self, msg: Hold) -> None:
            raise No("not today")

    async with open_system(children=[ChildSpec(id="p", factory=Picky)]) as system:
        system.ref("p").tell(Hold(1))
        await settle()
        (letter,) = system.dead_letters.latest()
        assert (letter.why, type(letter.error)) == (Why.REFUSED, No)
        assert system.ref("p").info().incarnation == 1


async def test_handled_counts_what_was_done_before_a_crash_and_not_what_caused_it(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        for _ in range(5):
            ref.tell(Hold(0))
        ref.tell(Crash())
        ref.tell(Hold(0))
        await trio.sleep(1)
        assert (ref.info().incarnation, ref.info().handled) == (2, 6)
        ref.tell(Quit())
        await trio.sleep(1)
        assert (ref.info().incarnation, ref.info().handled) == (3, 7)
