"""The corners of a supervisor: giving up, being stopped in the middle of something, waiting for who waits for it."""

# ruff: noqa: PT012 - a system is opened, used and left inside the block that expects its error

from functools import partial

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from supervisor.cell import ActorState
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import ActorDied, AskCycle, StartError, SystemFailed
from supervisor.mailbox import MailboxSpec, Why
from supervisor.message import Request
from supervisor.policy import AutoShutdown
from supervisor.reason import ExitKind
from supervisor.spec import BRUTAL, ChildSpec, Restart
from supervisor.supervision import Strategy, Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import Crash, Do, EventLog, Hold, Ping, Quit, Scripted, buggify, no_leaks, schedule


async def settle():
    await trio.testing.wait_all_tasks_blocked()


def reports(system, *wanted):
    seen = []
    system.telemetry.observe(lambda report: seen.append(report) if report.event in wanted else None)
    return seen


# a supervisor's life


async def test_the_hook_of_a_supervisor_runs_when_its_children_have_started(event_log, autojump_clock):
    class Proud(Supervisor):
        async def started(self) -> None:
            event_log.add("hook")

    inner = ChildSpec(id="inner", factory=lambda: Proud([event_log.child("a")]))
    async with open_system(children=[inner, event_log.child("b")]):
        event_log.expect("+a hook +b")


async def test_a_supervisor_that_gives_up_is_stopping_while_its_children_stop(event_log, autojump_clock):
    def inner():
        return Supervisor([event_log.child("a", stop=2), event_log.child("b")], intensity=0)

    spec = ChildSpec(id="inner", factory=inner, restart=Restart.TEMPORARY)
    async with open_system(children=[spec]) as system:
        seen = reports(system, Event.INTENSITY_EXCEEDED)
        system.ref("inner/b").tell(Crash())
        await trio.sleep(1)
        assert system.ref("inner").info().state is ActorState.STOPPING
        assert [(report.supervisor, report.child) for report in seen] == [("inner", "inner/b")]


async def test_auto_shutdown_is_reported_with_the_child_that_caused_it(event_log, autojump_clock):
    child = event_log.child("s", restart=Restart.TEMPORARY, significant=True)
    inner = ChildSpec(
        id="inner",
        factory=lambda: Supervisor([child], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT),
        restart=Restart.TEMPORARY,
    )
    async with open_system(children=[inner]) as system:
        seen = reports(system, Event.AUTO_SHUTDOWN)
        system.ref("inner/s").tell(Quit())
        await settle()
        assert [report.child for report in seen] == ["inner/s"]


async def test_ignoring_is_reported(event_log, autojump_clock):
    async with open_system() as system:
        seen = reports(system, Event.CHILD_IGNORED)
        await system.root.start_child(event_log.child("a", ignore=True))
        assert [report.child for report in seen] == ["a"]


async def test_a_temporary_sibling_that_crashes_while_its_group_is_stopped_is_simply_gone(event_log, autojump_clock):
    children = [
        event_log.child("a"),
        event_log.child("t", restart=Restart.TEMPORARY),
        event_log.child("c", stop=1),
    ]
    async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL) as system:
        event_log.clear()
        system.ref("a").tell(Crash())
        await trio.sleep(0.5)
        system.ref("t").tell(Crash())
        await trio.sleep(3)
        event_log.expect("-a:crash -t:crash -c +a +c")
        assert system.root.info().state is ActorState.RUNNING


async def test_a_crash_absorbed_by_a_waiting_group_spends_no_second_restart(event_log, autojump_clock):
    slow = Backoff(base=2, max_delay=2, jitter=0)
    children = [event_log.child("a", backoff=slow), event_log.child("b"), event_log.child("c", stop=1)]
    async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL, intensity=1, period=100) as system:
        event_log.clear()
        system.ref("a").tell(Crash())
        await trio.sleep(0.5)
        system.ref("b").tell(Crash())
        await trio.sleep(5)
        event_log.expect("-a:crash -b:crash -c +a +b +c")


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_restarted_after_ctrl_c(seed, event_log):
    """Whoever is first to hear of it: the root that stops everything, or the supervisor whose child it was."""
    made = []

    class Interrupted(Actor):
        async def started(self) -> None:
            made.append(self.context.incarnation)
            self.context.timer(Crash(), after=1)

        @handles(Crash)
        async def on_crash(self, msg: Crash) -> None:
            raise KeyboardInterrupt

    async def main() -> None:
        async with open_system(children=[ChildSpec(id="i", factory=Interrupted), event_log.child("b", stop=1)]):
            await trio.sleep_forever()

    with schedule(seed), pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert made == [1]


async def test_the_cause_of_giving_up_in_a_restart_is_the_childs_own_exception(event_log, autojump_clock):
    children = [event_log.child("a", failing_starts=[False, True, True, True, True])]
    with pytest.raises(SystemFailed) as failed:
        async with open_system(children=children) as system:
            system.ref("a").tell(Crash())
            await trio.sleep(10)
    assert isinstance(failed.value.__cause__, RuntimeError)


async def test_terminating_a_member_does_not_shorten_the_backoff_of_its_group(event_log, autojump_clock):
    slow = Backoff(base=10, max_delay=10, jitter=0)
    children = [event_log.child("a", backoff=slow), event_log.child("b"), event_log.child("c")]
    async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL, intensity=3, period=30) as system:
        event_log.clear()
        system.ref("a").tell(Crash())
        await settle()
        await system.root.terminate_child("b")
        await trio.sleep(9)
        event_log.expect("-a:crash -c -b")
        await trio.sleep(2)
        event_log.expect("+a +c")


async def test_terminating_a_child_that_waits_for_its_restart_takes_its_deadline_along(event_log, autojump_clock):
    slow = Backoff(base=10, max_delay=10, jitter=0)
    async with open_system(children=[event_log.child("a", backoff=slow)], period=30) as system:
        system.ref("a").tell(Crash())
        await settle()
        assert system.statistics().alarms == 1
        await system.root.terminate_child("a")
        assert system.statistics().alarms == 0


async def test_a_supervisor_that_gives_up_forgets_the_restarts_that_wait(event_log, autojump_clock):
    slow = Backoff(base=10, max_delay=10, jitter=0)

    def inner():
        return Supervisor([event_log.child("a", backoff=slow), event_log.child("b")], intensity=1, period=20)

    outer = Backoff(base=100, max_delay=100, jitter=0)
    spec = ChildSpec(id="inner", factory=inner, backoff=outer)
    async with open_system(children=[spec], intensity=1, period=200) as system:
        system.ref("inner/a").tell(Crash())
        await settle()
        assert system.ref("inner/a").info().state is ActorState.RESTARTING
        system.ref("inner/b").tell(Crash())
        await settle()
        assert system.ref("inner/a").info().state is ActorState.STOPPED
        assert system.statistics().alarms == 1  # the outer one


async def test_a_stop_in_the_middle_of_a_group_restart_starts_nobody_any_more(event_log, autojump_clock):
    async with trio.open_nursery() as nursery:
        children = [event_log.child("a"), event_log.child("b", stop=2)]
        async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL) as system:
            event_log.clear()
            system.ref("a").tell(Crash())
            await trio.sleep(1)
        event_log.expect("-a:crash -b")
        nursery.cancel_scope.cancel()


async def test_a_start_that_was_too_slow_is_over_when_its_asker_hears_of_it(event_log, autojump_clock):
    class Slow(Actor):
        async def started(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)

    async with open_system() as system:
        with no_leaks():
            with pytest.raises(StartError):
                await system.root.start_child(ChildSpec(id="s", factory=Slow, start_timeout=1))
            assert trio.current_time() == 4


async def test_a_brutal_end_of_an_idle_child_runs_no_hook(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a", shutdown=BRUTAL)]) as system:
        await settle()
        await system.root.terminate_child("a")
        event_log.expect("+a")
        assert system.ref("a").info().last_end.kind is ExitKind.CANCELLED


async def test_a_supervisor_that_comes_back_with_another_mailbox_for_a_child_gives_it_a_new_place(
    event_log, autojump_clock
):
    sizes = iter([5, 6])

    def inner():
        return Supervisor([event_log.child("a", mailbox=MailboxSpec(capacity=next(sizes)))], intensity=0)

    async with open_system(children=[ChildSpec(id="inner", factory=inner)]) as system:
        old = system.ref("inner/a")
        old.tell(Crash())
        await settle()
        assert old.closed
        assert system.ref("inner/a").info().mailbox.capacity == 6
        assert await system.ref("inner/a").ask(Ping()) == "a#1"


async def test_an_exit_that_nobody_reads_any_more_is_nobodys_dead_letter(event_log, autojump_clock):
    """Two crash in the same moment: the second exit waits when the supervisor gives up because of the first."""
    children = [event_log.child("a"), event_log.child("b")]
    inner = ChildSpec(id="inner", factory=lambda: Supervisor(children, intensity=0), restart=Restart.TEMPORARY)
    async with open_system(children=[inner]) as system:
        system.ref("inner/a").tell(Crash())
        system.ref("inner/b").tell(Crash())
        await settle()
        assert system.dead_letters.counts() == {(Why.FAILED, "Crash"): 2}


async def test_a_dynamic_supervisor_with_one_child_stops_it_softly(event_log, autojump_clock):
    async with open_system(children=[ChildSpec(id="d", factory=DynamicSupervisor)]) as system:
        await system.start_child("d", event_log.child("a", stop=1))
    event_log.expect("+a -a")
    assert trio.current_time() == 1


def test_buggify_reaches_every_point_of_a_life():
    async def scenario():
        log = EventLog()
        async with open_system(children=[log.child("a")]) as system:
            system.ref("a").tell(Crash())
            await trio.sleep(100)
        return True

    with buggify(1, rate=1.0) as active:
        assert trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))
    assert set(active.hits) == {"before factory", "before start", "before restart", "before stop", "before end"}


# rings that a stop closes


@attrs.frozen
class Count(Request[int]):
    """How many children has `inner`?"""


class Friend(Actor):
    def __init__(self, caught):
        self.caught = caught

    @handles(Count)
    async def on_count(self, msg: Count) -> int:
        try:
            return (await self.context.find("inner").count_children(timeout=1000)).specs
        except AskCycle as ring:
            self.caught.append(ring.path)
            return 0


@pytest.mark.parametrize("friend", [False, True])
async def test_a_child_that_waits_for_its_supervisor_does_not_hold_up_its_own_stop(event_log, autojump_clock, friend):
    """Its question waits in the mailbox of the one who waits for its end: neither would get anywhere."""
    caught = []

    async def ask(actor):
        if friend:
            await actor.context.find("friend").ask(Count(), timeout=1000)
        else:
            await Friend.on_count(actor, Count())

    class Curious(Scripted):
        caught = ()

    Curious.caught = caught
    script = event_log.child("a").factory().script
    children = [
        event_log.child("c"),
        ChildSpec(id="a", factory=lambda: Curious(script)),
        event_log.child("b", stop=1),
    ]
    inner = ChildSpec(id="inner", factory=lambda: Supervisor(children, strategy=Strategy.ONE_FOR_ALL))
    async with open_system(children=[ChildSpec(id="friend", factory=lambda: Friend(caught)), inner]) as system:
        event_log.clear()
        system.ref("inner/c").tell(Crash())
        await trio.sleep(0.5)  # `b` is being stopped, then it will be the turn of `a`
        system.ref("inner/a").tell(Do(ask))
        assert (await system.ref("inner").count_children(timeout=1)).active == 3  # who is in no ring is answered
        assert trio.current_time() == 1
        event_log.expect("-c:crash -b -a +c +a +b")
        assert caught == [("inner", "inner/a", *(["friend"] if friend else []), "inner")]


async def test_a_child_may_end_itself_through_its_supervisor_without_waiting_for_its_deadline(
    event_log, autojump_clock
):
    async def end(actor):
        with pytest.raises(AskCycle):
            await system.root.terminate_child("a")

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(end))
        await settle()
        assert trio.current_time() == 0
        event_log.expect("+a -a")
        assert system.ref("a").info().state is ActorState.STOPPED


# ends that nobody waited for


async def test_a_stop_does_not_wait_for_a_drain(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        async with trio.open_nursery() as nursery:
            system.ref("b").tell(Hold(1000))
            await settle()
            nursery.start_soon(partial(system.root.terminate_child, "b", drain=500, timeout=600))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        system.stop()
    assert trio.current_time() == 6  # the grace of b, not its drain
    event_log.expect("+a +b -a")


async def test_a_stop_that_was_asked_for_before_the_drain_began_does_not_wait_for_it_either(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b", stop=1)]) as system:
        system.ref("a").tell(Hold(1000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(system.root.terminate_child, "b")
            await settle()
            nursery.start_soon(partial(system.root.terminate_child, "a", drain=500, timeout=600))
            await settle()
            nursery.cancel_scope.cancel()
        system.stop()
    assert trio.current_time() == 6


async def test_how_a_drained_child_ended_is_reported_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        seen = []
        system.telemetry.observe(lambda report: seen.append((report.event, report.child)))
        system.ref("a").tell(Hold(1))
        await system.root.terminate_child("a", drain=10)
        system.ref("b").tell(Hold(1))
        system.ref("b").tell(Crash())
        await system.root.terminate_child("b", drain=10)
        await trio.sleep(1)
        assert trio.current_time() == 3
        assert seen == [(Event.CHILD_STOPPED, "a"), (Event.SHUTDOWN_ERROR, "b")]


async def test_a_crash_while_a_later_sibling_is_stopped_for_good_is_reported(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b", stop=3)]) as system:
        seen = reports(system, Event.CHILD_CRASHED)
        system.ref("a").tell(Hold(1))
        system.ref("a").tell(Crash())
        await settle()
    assert [(report.child, report.incarnation, report.detail) for report in seen] == [
        ("a", 1, "absorbed by a stop of its supervisor")
    ]


async def test_a_crash_absorbed_by_its_group_is_told_of_the_incarnation_that_crashed(event_log, autojump_clock):
    children = [event_log.child("a"), event_log.child("b"), event_log.child("c", stop=3)]
    async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL) as system:
        seen = reports(system, Event.CHILD_CRASHED)
        system.ref("a").tell(Crash())
        system.ref("b").tell(Hold(1))
        system.ref("b").tell(Crash())
        await trio.sleep(5)
        assert system.ref("b").info().incarnation == 2
        assert [(report.child, report.incarnation) for report in seen] == [("a", 1), ("b", 1)]


async def test_a_child_whose_manual_restart_failed_drops_what_it_is_told(event_log, autojump_clock):
    child = event_log.child("a", failing_starts=[False, True])
    children = [child, event_log.child("b")]
    async with open_system(children=children, strategy=Strategy.ONE_FOR_ALL) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        with pytest.raises(StartError):
            await system.root.restart_child("a")
        assert not ref.tell(Ping())
        with pytest.raises(ActorDied):
            await ref.ask(Ping(), timeout=5)
        assert trio.current_time() == 0
        event_log.expect("+a +b -a !a")
        system.ref("b").tell(Crash())  # a group restart leaves it stopped, as before
        await trio.sleep(1)
        event_log.expect("-b:crash +b")
        await system.root.restart_child("a")
        assert await ref.ask(Ping()) == "a#3"


async def test_the_cause_of_giving_up_is_the_latest_crash_also_when_the_last_end_was_none(event_log, autojump_clock):
    with pytest.raises(SystemFailed) as failed:
        async with open_system(children=[event_log.child("a")], intensity=1) as system:
            system.ref("a").tell(Crash("the cause"))
            await trio.sleep(1)
            system.ref("a").tell(Quit())
            await trio.sleep(1)
    assert str(failed.value.__cause__) == "the cause"


async def test_a_note_to_restart_that_was_overtaken_does_not_cut_the_next_backoff_short(event_log, autojump_clock):
    class Fragile(Scripted):
        async def started(self) -> None:
            await super().started()
            if self.context.incarnation == 2:
                self.context.self_ref.tell(Crash())

    scripted = event_log.child("a", backoff=Backoff(base=1.0, max_delay=9.0, jitter=0.0))
    child = attrs.evolve(scripted, factory=lambda: Fragile(scripted.factory().script))
    async with open_system(children=[child, event_log.child("b", stop=4)], intensity=9, period=99.0) as system:
        async with trio.open_nursery() as nursery:
            system.ref("a").tell(Crash())
            await settle()
            nursery.start_soon(system.root.terminate_child, "b")  # busy for 4 s, in which the note of a comes due
            await settle()
            nursery.start_soon(system.root.terminate_child, "a")
            await settle()
            nursery.start_soon(system.root.restart_child, "a")
        assert (trio.current_time(), system.ref("a").info().incarnation) == (4, 2)
        await trio.sleep(1.5)
        assert system.ref("a").info().incarnation == 2
        await trio.sleep(1)
        assert system.ref("a").info().incarnation == 3
