"""The corners of what stands around the actors: refs, names, topics, dead letters, reports, retries."""

import logging
import math
import random

import pytest
import trio
import trio.testing

from supervisor.actor import Actor
from supervisor.breaker import Breaker, CircuitBreaker
from supervisor.budget import RetryBudget
from supervisor.bulkhead import Bulkhead, guarded, retrying
from supervisor.deadletter import LOGGED_PER_WINDOW, WINDOW, DeadLetters
from supervisor.errors import ActorDied, SpecError
from supervisor.mailbox import MailboxSpec, Overflow, Why
from supervisor.pubsub import EncodeOnce, Published, Topic
from supervisor.reason import SHUTDOWN, crash
from supervisor.recovery import ErrorRecoveryStrategy
from supervisor.registry import Registry
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from supervisor.telemetry import Event, Report, Telemetry
from supervisor.testing import Do, Hold, Ping, Quit

# names


def test_a_name_is_taken_once_and_freed_only_by_who_has_it():
    registry = Registry()
    registry.register("a", 1)
    with pytest.raises(SpecError) as taken:
        registry.register("a", 2)
    assert (taken.value.field, taken.value.value) == ("name", "a")
    registry.release("a", 2)
    assert registry.look_up("a") == 1
    registry.release("a", 1)
    registry.release("a", 1)
    assert registry.names() == ()


async def test_forgetting_a_place_again_does_not_touch_the_one_that_has_its_name_now(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        root, old = system.root._cell, system.ref("a")._cell
        await system.root.terminate_child("a")
        await system.root.delete_child("a")
        new = await system.root.start_child(event_log.child("a"))
        root.forget(old)
        assert system.ref("a") == new
        assert root.below == {"a": new._cell}
        assert await new.ask(Ping()) == "a#1"


# refs


async def test_who_has_been_answered_waits_for_nobody_and_may_be_asked(event_log, autojump_clock):
    answers = []

    async def ask_b(actor):
        answers.append(await actor.context.find("b").ask(Ping()))

    async def ask_a(actor):
        answers.append(await actor.context.find("a").ask(Ping()))

    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(Do(ask_b))
        await trio.sleep(1)
        assert system.ref("a").info().waiting_on is None
        system.ref("b").tell(Do(ask_a))
        await trio.sleep(1)
    assert answers == ["b#1", "a#1"]


async def test_a_ref_shows_whom_its_actor_waits_for_and_reads_like_its_name(event_log, autojump_clock):
    async def ask_b(actor):
        await actor.context.find("b").ask(Ping(seconds=2))

    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        ref = system.ref("a")
        ref.tell(Do(ask_b))
        await trio.sleep(1)
        assert ref.info().waiting_on == "b"
        assert repr(ref) == "<Ref 'a' running>"
        await trio.sleep(5)


@pytest.mark.parametrize("way", ["tell", "send", "ask", "urgent"])
async def test_whichever_way_it_was_sent_what_comes_too_late_is_one_dead_letter(way, event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        if way == "ask":
            with pytest.raises(ActorDied):
                await ref.ask(Ping())
        elif way == "send":
            assert (await ref.send(Ping())).why is Why.STOPPED
        else:
            assert ref.tell(Ping(), urgent=way == "urgent").why is Why.STOPPED
        assert system.dead_letters.counts() == {(Why.STOPPED, "Ping"): 1}


@pytest.mark.parametrize("overflow", [Overflow.FAIL, Overflow.DROP_NEWEST])
async def test_a_question_that_found_the_mailbox_full_is_one_dead_letter(overflow, event_log, autojump_clock):
    from supervisor.errors import MailboxFull

    spec = event_log.child("a", mailbox=MailboxSpec(capacity=1, overflow=overflow))
    async with open_system(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Hold(1))
        with pytest.raises(MailboxFull):
            await ref.ask(Ping())
        assert system.dead_letters.counts() == {(Why.FULL, "Ping"): 1}


async def test_a_sender_that_waited_for_space_in_vain_finds_its_message_among_the_dead_letters(
    event_log, autojump_clock
):
    results = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Quit())

        async def send():
            results.append(await ref.send(Ping()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await system.root.terminate_child("a")
        assert [result.why for result in results] == [Why.STOPPED]
        assert system.dead_letters.counts() == {(Why.STOPPED, "Quit"): 1, (Why.STOPPED, "Ping"): 1}


async def test_a_trace_may_be_one_entry_long(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        ref.trace(1)
        await ref.ask(Ping())
        await ref.ask(Ping())
        await ref.ask(Ping())
        assert [entry.kind for entry in ref.trace(1)] == ["Ping"]


async def test_who_unwatches_keeps_no_trace_of_whom_it_watched(event_log, autojump_clock):
    sizes = []

    async def watch_and_unwatch(actor):
        other = actor.context.find("b")
        for _ in range(3):
            actor.context.watch(other)
            actor.context.unwatch(other)
        sizes.append((len(actor.context._watched), len(other._cell.watchers)))

    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(Do(watch_and_unwatch))
        await trio.sleep(1)
    assert sizes == [(0, 0)]


async def test_a_message_that_its_handler_has_stashed_is_still_the_one_in_hand(event_log, autojump_clock):
    async def stash_and_wait(actor):
        actor.context.stash()
        await trio.sleep(2)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(stash_and_wait))
        await trio.sleep(1)
        assert system.ref("a").info().current == "Do"


# the price of a life, counted in passes of the scheduler


class Passes(trio.abc.Instrument):
    def __init__(self):
        self.count = 0

    def after_io_wait(self, timeout):
        self.count += 1


async def test_a_restart_costs_two_passes_of_the_scheduler(autojump_clock):
    """One for the supervisor to decide, one for the new incarnation to start: nobody waits for a turn in vain."""

    class Fragile(Actor):
        async def started(self):
            if self.context.incarnation <= 100:
                self.context.self_ref.tell(None)
            else:
                done.set()

        async def unhandled(self, message):
            raise ValueError

    done, passes = trio.Event(), Passes()
    trio.lowlevel.add_instrument(passes)
    async with open_system(children=[ChildSpec(id="a", factory=Fragile)], intensity=math.inf) as system:
        await done.wait()
        assert system.ref("a").info().incarnation == 101
    trio.lowlevel.remove_instrument(passes)
    assert 200 <= passes.count < 220


# topics


async def test_a_dispatcher_counts_who_took_it_and_who_did_not(event_log, autojump_clock):
    full = MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)
    async with open_system(children=[event_log.child(id, mailbox=full) for id in "abc"]) as system:
        topic = Topic("news", EncodeOnce(lambda message, format: Quit()))
        for id in "abc":
            topic.subscribe(system.ref(id), format=id)
        system.ref("a").tell(Hold(1))
        assert topic.publish("x") == Published(sent=2, dropped=1)
        assert {subscription.format for subscription in topic.subscriptions.values()} == {"a", "b", "c"}
        assert list(topic.subscriptions) == [system.ref(id) for id in "abc"]
        await trio.sleep(2)


async def test_a_subscriber_that_came_back_and_went_again_is_forgotten_again(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        topic, ref = Topic("news"), system.ref("a")
        for _ in range(3):
            assert topic.subscribe(ref)
            await system.root.terminate_child("a")
            assert len(topic) == 0
            await system.root.restart_child("a")


# dead letters


async def test_the_log_of_dead_letters_opens_a_new_window_exactly_at_the_end_of_the_old_one(autojump_clock, caplog):
    caplog.set_level("WARNING", logger="supervisor.deadletter")
    now = 0.0
    letters = DeadLetters(now=lambda: now)
    for _ in range(LOGGED_PER_WINDOW + 3):
        letters.add("a", 1, Why.FULL)
    assert len(caplog.records) == LOGGED_PER_WINDOW
    now = math.nextafter(WINDOW, 0)
    letters.add("a", 1, Why.FULL)
    assert len(caplog.records) == LOGGED_PER_WINDOW
    now = WINDOW
    for _ in range(LOGGED_PER_WINDOW + 1):
        letters.add("a", 1, Why.FULL)
    assert caplog.records[LOGGED_PER_WINDOW].getMessage() == "4 more dead letters in the last 10 s"
    assert len(caplog.records) == 2 * LOGGED_PER_WINDOW + 1


def test_an_observer_of_dead_letters_that_fails_is_removed_and_named_in_the_log(caplog):
    caplog.set_level("ERROR", logger="supervisor.deadletter")
    seen = []

    def bad(letter):
        seen.append(letter)
        raise RuntimeError

    letters = DeadLetters(now=lambda: 0.0)
    stop = letters.observe(bad)
    letters.add("a", 1, Why.FULL)
    letters.add("a", 2, Why.FULL)
    assert [letter.message for letter in seen] == [1]
    assert [record.getMessage() for record in caplog.records] == [f"observer {bad!r} failed and was removed"]
    stop()
    stop()


def test_an_observer_that_fails_inside_of_its_own_call_and_again_outside_is_removed_once():
    letters, telemetry, depth = DeadLetters(now=lambda: 0.0), Telemetry(), []

    def again(fact):
        depth.append(fact)
        if len(depth) == 1:
            letters.add("a", 1, Why.FULL)
        elif len(depth) == 3:
            telemetry.emit(fact)
        raise RuntimeError

    letters.observe(again)
    letters.add("a", 0, Why.FULL)
    assert len(depth) == 2
    telemetry.observe(again)
    telemetry.emit(Report(at=0, event=Event.CHILD_STARTED, supervisor="s"))
    assert len(depth) == 4


# reports


def test_a_report_reads_as_one_line_with_what_it_knows():
    bare = Report(at=0, event=Event.SYSTEM_STARTED, supervisor="bank")
    assert str(bare) == "system_started bank"
    full = Report(
        at=0,
        event=Event.RESTART_SCHEDULED,
        supervisor="bank",
        child="bank/a",
        incarnation=2,
        reason=SHUTDOWN,
        detail="because",
        seconds=1.5,
    )
    assert str(full) == "restart_scheduled bank/a #2 1.5 s (shutdown) because"


def test_a_report_is_a_line_of_the_log_with_its_facts_as_fields(caplog):
    caplog.set_level("WARNING", logger="supervisor")
    telemetry = Telemetry()
    error = ValueError("x")
    telemetry.emit(Report(at=0, event=Event.CHILD_CRASHED, supervisor="s", child="a", reason=crash(error)))
    telemetry.emit(Report(at=0, event=Event.CHILD_RESTARTED, supervisor="s", child="a", reason=crash(error)))
    telemetry.emit(Report(at=0, event=Event.STUCK_CHILD, supervisor="s", child="a"))
    telemetry.emit(Report(at=0, event=Event.CHILD_STARTED, supervisor="s", child="a"))  # debug: below the level
    crashed, restarted, stuck = caplog.records
    assert (crashed.levelno, crashed.getMessage()) == (logging.ERROR, "child_crashed a (crash: ValueError: x)")
    assert (crashed.event, crashed.supervisor, crashed.actor) == ("child_crashed", "s", "a")
    assert crashed.exc_info[1] is error
    assert (restarted.levelno, restarted.exc_info) == (logging.WARNING, None)
    assert (stuck.levelno, stuck.exc_info) == (logging.CRITICAL, None)


def test_a_report_that_no_log_wants_costs_no_log_record(monkeypatch):
    logger = logging.getLogger("supervisor")
    calls = []
    monkeypatch.setattr(logger, "log", lambda *args, **options: calls.append(args[0]))
    logger.setLevel(logging.ERROR)
    telemetry = Telemetry()
    telemetry.emit(Report(at=0, event=Event.CHILD_STARTED, supervisor="s"))
    telemetry.emit(Report(at=0, event=Event.CHILD_CRASHED, supervisor="s"))
    assert calls == [logging.ERROR]


def test_an_observer_of_reports_that_fails_is_removed_and_named_in_the_log(caplog):
    caplog.set_level("ERROR", logger="supervisor")
    telemetry = Telemetry()

    def bad(report):
        raise RuntimeError

    stop = telemetry.observe(bad)
    telemetry.emit(Report(at=0, event=Event.CHILD_STARTED, supervisor="s"))
    telemetry.emit(Report(at=0, event=Event.CHILD_STARTED, supervisor="s"))
    assert [record.getMessage() for record in caplog.records] == [f"observer {bad!r} failed and was removed"]
    stop()


# retries


async def test_the_first_call_of_a_retry_pays_into_the_budget(autojump_clock):
    budget = RetryBudget(ratio=1.0, per_second=0.0)
    calls = []

    async def fail():
        calls.append(trio.current_time())
        raise ConnectionError

    strategy = ErrorRecoveryStrategy(max_retries=1)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await retrying(strategy, fail, retry_on=(ConnectionError,), budget=budget, rng=random.Random(1))
    assert len(calls) == 6
    assert budget.statistics().refused == 0


async def test_the_smallest_bulkhead_is_one_place_without_a_queue():
    bulkhead = Bulkhead(1)
    async with bulkhead.place():
        assert bulkhead.statistics().running == 1
    assert Bulkhead(1, queue=0).limit == 1


async def test_a_verdict_that_raises_still_gives_the_probe_back(autojump_clock):
    breaker = CircuitBreaker(threshold=1, reset_after=1.0)

    async def fail():
        raise ValueError

    async def work():
        return "done"

    def verdict(error):
        raise KeyError(error)

    with pytest.raises(ValueError):
        await guarded(breaker, fail)
    await trio.sleep(1)
    with pytest.raises(KeyError):
        await guarded(breaker, fail, counts=verdict)
    assert breaker.state is Breaker.OPEN
    await trio.sleep(1)
    assert await guarded(breaker, work) == "done"
