"""Sentences that only a mutant noticed to be missing: the corners of mailboxes, supervisors, contexts and clocks."""

# ruff: noqa: PT012 - a system is opened, used and left inside the block that expects its error

import logging
import math
import random
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from supervisor.breaker import Breaker, CircuitBreaker
from supervisor.budget import RetryBudget
from supervisor.cell import LOOPS, ActorState
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import ActorDied, AskCycle, AskTimeout, Ignore, LinkBroken, Refused, StartError, SystemFailed
from supervisor.life import STUCK_EVERY, await_stack, live
from supervisor.mailbox import Dropped, Mailbox, MailboxSpec, Overflow, Sent, Why
from supervisor.message import DEFERRED, Request
from supervisor.policy import AutoShutdown, Intensity
from supervisor.reason import ExitKind
from supervisor.ref import Down
from supervisor.slot import Slot
from supervisor.spec import BRUTAL, ChildSpec, Restart
from supervisor.supervision import Strategy, Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import Crash, Do, EventLog, Hold, Ping, Quit, Scripted, buggify, explore, no_leaks
from supervisor.timekeeper import Timekeeper


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


@attrs.frozen
class Quote:
    symbol: str
    price: int


# a conflating mailbox


LATEST = MailboxSpec(capacity=10, overflow=Overflow.CONFLATE, key=lambda quote: quote.symbol)


async def test_what_waited_in_a_conflating_mailbox_at_its_end_does_not_come_back(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a", mailbox=LATEST)]) as system:
        await settle()
        system.ref("a").tell(Hold(1))
        await settle()
        system.ref("a").tell(Quote("A", 1))
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        await settle()
        assert system.dead_letters.counts() == {(Why.STOPPED, "Quote"): 1}


async def test_requests_and_the_runtimes_own_words_are_never_given_to_the_key(event_log, autojump_clock):
    """The key understands quotes and nothing else."""
    asked = []

    def key(quote):
        asked.append(type(quote))
        return quote.symbol

    spec = MailboxSpec(capacity=10, overflow=Overflow.CONFLATE, key=key)
    async with open_system(children=[event_log.child("a", mailbox=spec)]) as system:
        ref = system.ref("a")
        assert await ref.ask(Ping()) == "a#1"
        ref.tell(Quote("A", 1))
        await system.root.terminate_child("a", drain=5)
        assert set(asked) == {Quote}
        event_log.expect("+a -a")
        assert system.dead_letters.counts() == {(Why.UNHANDLED, "Quote"): 1}


@pytest.mark.parametrize("key", [lambda message: message.nonsense, lambda message: [message]])
async def test_a_key_that_fails_costs_the_conflation_and_never_the_sender(event_log, autojump_clock, caplog, key):
    logging.getLogger("supervisor").setLevel(logging.ERROR)
    spec = MailboxSpec(capacity=10, overflow=Overflow.CONFLATE, key=key)
    async with open_system(children=[event_log.child("a", mailbox=spec)]) as system:
        assert all(system.ref("a").tell(Quote("A", price)) for price in range(3))
        await settle()
        assert system.dead_letters.counts() == {(Why.UNHANDLED, "Quote"): 3}
    assert "the key of a conflating mailbox failed for Quote" in caplog.text


async def test_conflate_replaces_in_place_so_that_a_busy_key_does_not_lose_its_turn(event_log, autojump_clock):
    heard = []

    class Screen(Scripted):
        async def unhandled(self, message: object) -> None:
            heard.append(message)

    script = event_log.child("a")
    spec = ChildSpec(id="a", factory=lambda: Screen(script.factory().script), mailbox=LATEST)
    async with open_system(children=[spec]) as system:
        for quote in (Quote("A", 1), Quote("B", 1), Quote("A", 2), Quote("C", 1), Quote("A", 3)):
            assert system.ref("a").tell(quote)
        await settle()
    assert heard == [Quote("A", 3), Quote("B", 1), Quote("C", 1)]


async def test_a_stashed_message_that_was_superseded_is_a_counted_dead_letter(event_log, autojump_clock):
    class Careful(Actor):
        ready = False

        async def unhandled(self, message: object) -> None:
            if message == "go":
                self.ready = True
                self.context.unstash_all()
            elif not self.ready:
                self.context.stash()

    spec = MailboxSpec(capacity=9, overflow=Overflow.CONFLATE, key=lambda item: getattr(item, "symbol", None))
    async with open_system(children=[ChildSpec(id="a", factory=Careful, mailbox=spec)]) as system:
        ref = system.ref("a")
        ref.tell(Quote("A", 1))
        await settle()
        ref.tell("go")
        ref.tell(Quote("A", 2))
        await settle()
        assert system.dead_letters.counts() == {(Why.CONFLATED, "Quote"): 1}


# notes of a supervisor in a mailbox that gives messages up


@pytest.mark.parametrize(
    "mailbox",
    [
        MailboxSpec(capacity=2, overflow=Overflow.DROP_OLDEST),
        MailboxSpec(capacity=2, overflow=Overflow.CONFLATE, key=lambda message: "the same"),
    ],
)
async def test_a_flood_of_messages_cannot_push_out_a_supervisors_note_to_restart_a_child(
    event_log, autojump_clock, mailbox
):
    child = event_log.child("a", start=1, failing_starts=[False, True])
    inner = ChildSpec(id="inner", factory=lambda: Supervisor([child]), mailbox=mailbox)
    async with open_system(children=[inner]) as system, trio.open_nursery() as nursery:
        ref = system.ref("inner")
        system.ref("inner/a").tell(Crash())
        await trio.sleep(0.5)
        nursery.start_soon(ref.start_child, event_log.child("slow", start=5))
        await trio.sleep(1)  # the start of `a` has failed: the note to try again waits behind the slow start
        assert ref.info().current == "StartChild"
        for _ in range(10):
            ref.tell(Quit())
        await trio.sleep(10)
        assert await system.ref("inner/a").ask(Ping()) == "a#3"
        assert {why for why, _ in system.dead_letters.counts()} & {Why.EVICTED, Why.CONFLATED}


def test_only_messages_are_evicted_and_the_runtimes_own_words_keep_their_order():
    class Note:
        __internal__ = True

    dropped = []
    box = Mailbox(MailboxSpec(capacity=3, overflow=Overflow.DROP_OLDEST), lambda item, why: dropped.append((item, why)))
    one, two = Note(), Note()
    for item in (one, two, "old"):
        box.user.append(item)
    assert box.offer("new") == Sent()
    assert dropped == [("old", Why.EVICTED)]
    assert list(box.user) == [one, two, "new"]


# blocked senders and blocked askers


async def test_a_blocked_question_fails_at_the_end_and_a_blocked_message_stays_in_the_queue(event_log, autojump_clock):
    ended = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()
        ref.tell(Hold(0))
        async with trio.open_nursery() as nursery:
            ask_later(nursery, ref, Ping(), ended, timeout=100)
            await settle()
            nursery.start_soon(ref.send, Quit())
            await settle()
            assert ref.info().mailbox.blocked == 2
            ref.tell(Crash(), urgent=True)
        assert ended == [(2, ActorDied)]
        await settle()
        assert ref.info().incarnation == 3  # the message that waited for space was the Quit
        assert system.dead_letters.counts()[Why.STOPPED, "Ping"] == 1


async def test_a_blocked_question_fails_when_the_actor_is_terminated(event_log, autojump_clock):
    ended = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()
        ref.tell(Hold(0))
        async with trio.open_nursery() as nursery:
            ask_later(nursery, ref, Ping(), ended, timeout=100)
            await settle()
            await system.root.terminate_child("a")
        assert ended == [(2, ActorDied)]


async def test_a_blocked_question_is_answered_by_a_drain(event_log, autojump_clock):
    ended = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(2))
        await settle()
        ref.tell(Hold(0))
        async with trio.open_nursery() as nursery:
            ask_later(nursery, ref, Ping(), ended, timeout=100)
            await settle()
            await system.root.terminate_child("a", drain=10)
        assert ended == [(2, "a#1")]


async def test_a_blocked_question_fails_when_its_actor_is_terminated_between_two_lives(event_log, autojump_clock):
    slow = Backoff(base=10, max_delay=10, jitter=0)
    ended = []
    spec = event_log.child("a", backoff=slow, mailbox=MailboxSpec(capacity=1))
    async with open_system(children=[spec], period=30) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Crash())
        await settle()
        ref.tell(Hold(1))
        ask_later(nursery, ref, Ping(), ended, timeout=100)
        await settle()
        assert ref.info().mailbox.blocked == 1
        await system.root.terminate_child("a")
        await settle()
        assert ended == [(0, ActorDied)]


def test_what_is_taken_out_waits_for_space_no_more():
    box = Mailbox(MailboxSpec(capacity=1), lambda item, why: None)
    box.offer(0)
    for n in (1, 2, 3):
        box.queue_for_space(n, None)
    assert box.take_out(lambda item: item in (1, 3)) == [1, 3]
    assert box.statistics().blocked == 1
    assert (box.pop(), box.pop()) == (0, 2)


async def test_two_questions_in_a_conflating_mailbox_are_both_answered(event_log, autojump_clock):
    ended = []
    async with (
        open_system(children=[event_log.child("a", mailbox=LATEST)]) as system,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            ask_later(nursery, system.ref("a"), Ping(seconds=1), ended)
        await trio.sleep(4)
        assert ended == [(1, "a#1"), (2, "a#1"), (3, "a#1")]


def test_leaving_a_queue_nobody_waits_in_is_nothing():
    box = Mailbox(MailboxSpec(), lambda item, why: None)
    box.leave_queue(1, Slot())
    assert box.statistics().blocked == 0


def test_an_empty_conflating_mailbox_is_empty_like_any_other():
    box = Mailbox(LATEST, lambda item, why: None)
    with pytest.raises(IndexError):
        box.pop()


async def test_an_actor_that_stops_itself_ends_before_anything_urgent_that_waits(event_log, autojump_clock):
    async def stop(actor):
        actor.context.self_ref.tell(Crash(), urgent=True)
        actor.context.stop()

    async with open_system(children=[event_log.child("a", restart=Restart.TEMPORARY)]) as system:
        system.ref("a").tell(Do(stop))
        await settle()
        event_log.expect("+a -a")


async def test_a_side_task_can_stop_its_idle_actor(event_log, autojump_clock):
    async def later(actor):
        actor.context.spawn(stop, actor)

    async def stop(actor):
        await trio.sleep(1)
        actor.context.stop("enough")

    async with open_system(children=[event_log.child("a", restart=Restart.TRANSIENT)]) as system:
        system.ref("a").tell(Do(later))
        await trio.sleep(2)
        assert system.ref("a").info().last_end.detail == "enough"


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


async def test_nobody_is_restarted_after_ctrl_c(event_log, autojump_clock):
    made = []

    class Interrupted(Actor):
        async def started(self) -> None:
            made.append(self.context.incarnation)
            self.context.timer(Crash(), after=1)

        @handles(Crash)
        async def on_crash(self, msg: Crash) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with open_system(children=[ChildSpec(id="i", factory=Interrupted), event_log.child("b", stop=1)]):
            await trio.sleep_forever()
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


# the context


class Keeper(Actor):
    """Keeps a reply for later."""

    def __init__(self):
        self.reply = None

    @handles(Ping)
    async def on_ping(self, msg: Ping) -> str:
        self.reply = self.context.defer()
        return DEFERRED


async def test_a_reply_knows_whether_it_is_still_wanted(autojump_clock):
    keeper, ended = Keeper(), []
    async with open_system(children=[ChildSpec(id="k", factory=lambda: keeper)]) as system:
        async with trio.open_nursery() as nursery:
            ask_later(nursery, system.ref("k"), Ping(), ended, timeout=2)
            await trio.sleep(1)
            assert keeper.reply.wanted is True
            assert keeper.reply.send("yes")
            assert system.dead_letters.total() == 0
        assert ended == [(1, "yes")]
        async with trio.open_nursery() as nursery:
            ask_later(nursery, system.ref("k"), Ping(), ended, timeout=2)
        assert keeper.reply.wanted is False
        assert not keeper.reply.send("too late")
        assert system.dead_letters.counts() == {(Why.LATE_REPLY, "Ping"): 1}


async def test_a_reply_to_a_told_request_is_wanted_by_nobody(autojump_clock):
    keeper = Keeper()
    async with open_system(children=[ChildSpec(id="k", factory=lambda: keeper)]) as system:
        system.ref("k").tell(Ping())
        await settle()
        assert keeper.reply.wanted is False
        assert keeper.reply.send("anybody?") is False
        assert keeper.reply.refuse(ValueError()) is False


async def test_the_log_of_an_incarnation_is_one_object_named_after_the_class(event_log, autojump_clock):
    logs = []

    async def look(actor):
        logs.append((actor.context.log, actor.context.log))

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(look))
        await settle()
    ((one, two),) = logs
    assert one is two
    assert one.logger.name == "supervisor.testing.Scripted"


async def test_all_side_tasks_end_with_their_actor(event_log, autojump_clock):
    ended = []

    async def start(actor):
        for n in range(3):
            actor.context.spawn(side, n)

    async def side(n):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(n)

    async with open_system(children=[event_log.child("a")]) as system:
        with no_leaks():
            await system.root.terminate_child("a")
            await system.root.restart_child("a")
            system.ref("a").tell(Do(start))
            await settle()
            system.ref("a").tell(Crash())
            await settle()
        assert sorted(ended) == [0, 1, 2]


async def test_all_timers_end_with_their_actor(event_log, autojump_clock):
    async def start(actor):
        for n in range(3):
            actor.context.timer(Quit(), after=n + 1)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(start))
        await settle()
        assert system.statistics().alarms == 3
        system.ref("a").tell(Crash())
        await settle()
        assert system.statistics().alarms == 0


async def test_a_timer_may_be_due_at_once_or_in_half_a_second_and_never_in_the_past(event_log, autojump_clock):
    at = []

    async def note(actor):
        at.append(trio.current_time())

    async def start(actor):
        actor.context.timer(Do(note), after=0)
        actor.context.timer(Do(note), after=0.5)
        for wrong in (-1, math.nan):
            with pytest.raises(ValueError, match="must be seconds of at least 0"):
                actor.context.timer(Do(note), after=wrong)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(start))
        await trio.sleep(2)
        assert system.ref("a").info().incarnation == 1
    assert at == [0, 0.5]


async def test_a_repeating_timer_may_begin_at_another_time_than_its_period(event_log, autojump_clock):
    at = []

    async def note(actor):
        at.append(trio.current_time())

    async def start(actor):
        actor.context.every(Do(note), period=2, after=0.5)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(start))
        await trio.sleep(5)
    assert at == [0.5, 2.5, 4.5]


async def test_timers_that_are_over_are_not_remembered(event_log, autojump_clock):
    kept = []

    async def start(actor):
        for _ in range(1000):
            actor.context.timer(Quit(), after=1).cancel()
        kept.append(len(actor.context._timers))

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(start))
        await settle()
    assert kept[0] < 20


class Watcher(Actor):
    """Watches and unwatches on request; keeps the downs."""

    def __init__(self, downs):
        self.downs = downs

    @handles(Do)
    async def on_do(self, msg: Do) -> None:
        await msg.action(self)

    @handles(Down)
    async def on_down(self, msg: Down) -> None:
        self.downs.append((msg.ref.name, msg.incarnation, msg.reason.kind))


def watching(event_log, downs, *watchers):
    children = [event_log.child("a"), event_log.child("b")]
    return children + [ChildSpec(id=id, factory=lambda: Watcher(downs)) for id in watchers]


def on_all(verb, *names):
    async def action(actor):
        for name in names:
            getattr(actor.context, verb)(actor.context.find(name))

    return Do(action)


async def test_two_watchers_of_one_actor_both_learn_of_its_end(event_log, autojump_clock):
    downs = []
    async with open_system(children=watching(event_log, downs, "v", "w")) as system:
        for id in "vw":
            system.ref(id).tell(on_all("watch", "a"))
        await settle()
        system.ref("a").tell(Crash())
        await settle()
    assert downs == [("a", 1, ExitKind.CRASH)] * 2


async def test_who_watches_two_learns_of_both(event_log, autojump_clock):
    downs = []
    async with open_system(children=watching(event_log, downs, "w")) as system:
        system.ref("w").tell(on_all("watch", "a", "b"))
        await settle()
        system.ref("b").tell(Quit())
        system.ref("a").tell(Crash())
        await settle()
        assert sorted(downs) == sorted([("a", 1, ExitKind.CRASH), ("b", 1, ExitKind.NORMAL)], key=str)


async def test_an_incarnation_that_ended_watches_nobody_any_more(event_log, autojump_clock):
    downs = []
    async with open_system(children=watching(event_log, downs, "w")) as system:
        system.ref("w").tell(on_all("watch", "a", "b"))
        await settle()
        system.root._cell.below["w"].fail(ValueError())
        await settle()
        assert not system.ref("a")._cell.watchers
        assert not system.ref("b")._cell.watchers
        system.ref("a").tell(Crash())
        await settle()
    assert downs == []


async def test_after_unwatch_no_down_comes(event_log, autojump_clock):
    downs = []
    async with open_system(children=watching(event_log, downs, "w")) as system:
        system.ref("w").tell(on_all("watch", "a", "b"))
        system.ref("w").tell(on_all("unwatch", "a"))
        await settle()
        system.ref("a").tell(Crash())
        system.ref("b").tell(Crash())
        await settle()
    assert downs == [("b", 1, ExitKind.CRASH)]


async def test_unwatch_takes_back_the_down_of_that_actor_only(event_log, autojump_clock):
    downs = []

    async def wait_and_unwatch(actor):
        await trio.sleep(1)
        actor.context.unwatch(actor.context.find("a"))

    async with open_system(children=watching(event_log, downs, "w")) as system:
        system.ref("w").tell(on_all("watch", "a", "b"))
        system.ref("w").tell(Do(wait_and_unwatch))
        await settle()
        system.ref("a").tell(Crash())
        system.ref("b").tell(Crash())
        await trio.sleep(2)
    assert downs == [("b", 1, ExitKind.CRASH)]


async def test_the_down_of_somebody_who_is_gone_gives_the_reason_of_its_end(event_log, autojump_clock):
    downs = []
    children = [event_log.child("a", restart=Restart.TRANSIENT), ChildSpec(id="w", factory=lambda: Watcher(downs))]
    async with open_system(children=children, intensity=math.inf) as system:
        await system.root.terminate_child("a")
        system.ref("w").tell(on_all("watch", "a"))
        await settle()
    assert downs == [("a", 1, ExitKind.SHUTDOWN)]


async def test_an_actor_may_be_linked_with_several(event_log, autojump_clock):
    downs = []
    async with open_system(children=watching(event_log, downs, "w"), intensity=10) as system:
        for first in "ab":
            system.ref("w").tell(on_all("link", "a", "b"))
            await settle()
            before = system.ref("w").info().incarnation
            system.ref(first).tell(Crash())
            await settle()
            assert system.ref("w").info().incarnation == before + 1
            assert isinstance(system.ref("w").info().last_end.error, LinkBroken)


async def test_the_end_of_an_actor_linked_with_several_reaches_all_of_them(event_log, autojump_clock):
    async with open_system(children=watching(event_log, [], "w"), intensity=10) as system:
        system.ref("w").tell(on_all("link", "a", "b"))
        await settle()
        system.root._cell.below["w"].fail(ValueError())
        await settle()
        for id in "ab":
            assert isinstance(system.ref(id).info().last_end.error, LinkBroken)


async def test_undoing_a_link_that_does_not_exist_is_nothing(event_log, autojump_clock):
    async with open_system(children=watching(event_log, [], "w")) as system:
        system.ref("w").tell(on_all("unlink", "a"))
        await settle()
        assert system.ref("w").info().incarnation == 1


async def test_linking_with_somebody_who_ended_normally_is_no_crash(event_log, autojump_clock):
    async with open_system(children=watching(event_log, [], "w")) as system:
        await system.root.terminate_child("a")
        system.ref("w").tell(on_all("link", "a"))
        await settle()
        assert system.ref("w").info().incarnation == 1


# clocks and slots


def test_alarms_keep_their_order_through_any_number_of_cancellations():
    chosen = random.Random(7)
    for _ in range(5):
        keeper, ran = Timekeeper(lambda: 0.0), []
        times = [chosen.random() * 100 for _ in range(3000)]
        alarms = [keeper.at(when, partial(ran.append, when)) for when in times]
        gone = set(chosen.sample(range(3000), 2400))
        for n in gone:
            alarms[n].cancel()
        keeper.run_due(200)
        assert ran == sorted(when for n, when in enumerate(times) if n not in gone)


def test_the_heap_is_rebuilt_when_more_than_half_of_it_and_more_than_512_are_dead():
    def left(total, cancelled):
        keeper = Timekeeper(lambda: 0.0)
        alarms = [keeper.at(n, lambda: None) for n in range(total)]
        for alarm in alarms[:cancelled]:
            alarm.cancel()
        assert len(keeper) == total - cancelled
        return len(keeper._heap)

    assert left(600, 512) == 600
    assert left(600, 513) == 87
    assert left(1100, 550) == 1100
    assert left(1100, 551) == 549


def test_an_alarm_set_again_runs_once_at_its_new_time_and_leaves_no_trail():
    keeper, ran = Timekeeper(lambda: 0.0), []
    alarm = None
    for n in range(100):
        alarm = keeper.again(alarm, 30.0 + n, lambda n=n: ran.append(n))
        if n < 99:
            alarm.cancel()
    assert (len(keeper), len(keeper._heap)) == (1, 1)
    keeper.run_due(30.0)
    keeper.run_due(128.9)
    assert ran == []
    assert len(keeper) == 1
    keeper.run_due(129.0)
    assert ran == [99]
    assert len(keeper) == 0
    assert keeper._heap == []


def test_an_alarm_that_has_run_or_was_swept_away_or_is_set_earlier_gets_a_new_entry():
    keeper, ran = Timekeeper(lambda: 0.0), []
    first = keeper.at(1.0, lambda: ran.append("first"))
    assert keeper.again(first, 2.0, lambda: ran.append("other")) is not first  # still wanted
    keeper.run_due(3.0)
    assert keeper.again(first, 5.0, lambda: ran.append("again")) is not first  # has run
    late = keeper.at(50.0, lambda: ran.append("late"))
    late.cancel()
    early = keeper.again(late, 4.0, lambda: ran.append("early"))
    assert early is not late
    keeper.run_due(10.0)
    assert ran == ["first", "other", "early", "again"]
    swept = keeper.at(60.0, lambda: ran.append("swept"))
    swept.cancel()
    for _ in range(600):
        keeper.at(70.0, lambda: None).cancel()
    assert keeper.again(swept, 80.0, lambda: ran.append("anew")) is not swept
    keeper.run_due(90.0)
    assert ran[4:] == ["anew"]
    assert len(keeper) == 0


async def test_a_start_deadline_holds_for_a_child_started_long_after_the_one_before(event_log, autojump_clock):
    async with open_system() as system:
        for n in range(3):
            await trio.sleep(20)
            began = trio.current_time()
            with pytest.raises(StartError):
                await system.root.start_child(event_log.child(f"a{n}", start=99, start_timeout=7 - n))
            assert trio.current_time() == began + 7 - n
            await system.root.start_child(event_log.child(f"b{n}", start=6, start_timeout=7))


async def test_a_slot_that_failed_first_says_so():
    slot = Slot()
    assert slot.fail(KeyError()) is True
    assert slot.fail(ValueError()) is False
    assert slot.resolve(1) is False
    with pytest.raises(KeyError):
        await slot.wait()


# pure policies


def test_a_new_breaker_has_counted_nothing():
    statistics = CircuitBreaker(threshold=2, reset_after=5).statistics(0)
    assert (statistics.state, statistics.failures, statistics.opened, statistics.refused, statistics.remaining) == (
        Breaker.CLOSED,
        0,
        0,
        0,
        0,
    )


def test_the_threshold_counts_from_the_first_failure_on():
    breaker = CircuitBreaker(threshold=2, reset_after=5)
    breaker.failed(breaker.allow(0), 0)
    assert breaker.state is Breaker.CLOSED
    breaker.failed(breaker.allow(0), 0)
    assert breaker.state is Breaker.OPEN
    assert breaker.remaining(1) == 4
    assert breaker.allow(5).probe
    assert breaker.remaining(5) == 0


def test_a_breaker_may_reset_in_less_than_a_second():
    breaker = CircuitBreaker(threshold=1, reset_after=0.5)
    breaker.failed(breaker.allow(0), 0)
    assert breaker.remaining(0.25) == 0.25


def test_one_success_does_not_take_the_vote_from_calls_that_run_beside_it():
    breaker = CircuitBreaker(threshold=1, reset_after=5)
    one, two = breaker.allow(0), breaker.allow(0)
    breaker.succeeded(one, 1)
    breaker.failed(two, 2)
    assert breaker.state is Breaker.OPEN


def test_a_deposit_is_added_to_what_time_has_refilled():
    budget = RetryBudget(ratio=0.5, per_second=1.0, window=10)
    for _ in range(10):
        assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)
    budget.deposit(2.0)
    assert budget.statistics().balance == pytest.approx(2.5)
    assert budget.withdraw(3.0)
    assert budget.statistics().balance == pytest.approx(2.5)


def test_what_counts_in_a_window_can_be_looked_at_without_counting():
    window = Intensity(2, 5.0)
    assert window.restart(0.0)
    assert window.restart(4.0)
    assert (window.spent(4.0), window.spent(5.0), window.spent(5.1), window.spent(9.1)) == (2, 2, 1, 0)


def test_a_drop_is_false_and_says_why():
    assert not Dropped(Why.FULL)
    assert Sent()


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
        await trio.sleep(1)
        event_log.expect("-c:crash -b -a +c +a +b")
        assert caught == [("inner", "inner/a", *(["friend"] if friend else []), "inner")]
        assert await system.ref("inner").count_children() is not None


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
