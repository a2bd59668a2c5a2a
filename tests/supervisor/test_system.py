"""The root: what comes out of `open_system`, the tree, dynamic supervisors, topics, dead letters, the shells."""

# ruff: noqa: PT012 - a system is opened, used and left inside the block that expects its error

import math
import random
import signal

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.breaker import Breaker, CircuitBreaker
from supervisor.budget import RetryBudget
from supervisor.bulkhead import Bulkhead, guarded, retrying
from supervisor.cell import ActorState
from supervisor.deadletter import LOGGED_PER_WINDOW, DeadLetters
from supervisor.dynamic import DynamicSupervisor, TooManyChildren
from supervisor.errors import BulkheadFull, CircuitOpen, SpecError, SystemFailed, UnknownActor
from supervisor.mailbox import MailboxSpec, Overflow, Why
from supervisor.policy import AutoShutdown, Restart
from supervisor.pubsub import EncodeOnce, Published, Topic
from supervisor.reason import ExitKind
from supervisor.recovery import ErrorRecoveryStrategy
from supervisor.spec import ChildSpec
from supervisor.supervision import Supervisor
from supervisor.system import open_system
from supervisor.telemetry import LEVELS, Event
from supervisor.testing import Crash, Do, Hold, Ping, Probe, Quit, no_leaks


async def settle():
    await trio.testing.wait_all_tasks_blocked()


# what comes out


async def test_an_exception_of_the_body_is_not_wrapped(event_log, autojump_clock):
    with pytest.raises(ZeroDivisionError):
        async with open_system(children=[event_log.child("a")]):
            raise ZeroDivisionError


async def test_a_group_that_the_body_raised_comes_out_as_it_is(event_log, autojump_clock):
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as raised:
        async with open_system(children=[event_log.child("a")]):
            raise group
    assert raised.value is group


async def test_escalation_ends_the_body_and_raises_one_documented_error(event_log, autojump_clock):
    with no_leaks(), pytest.raises(SystemFailed) as failed:
        async with open_system(name="bank", children=[event_log.child("a")], intensity=0) as system:
            system.ref("a").tell(Crash("why"))
            await trio.sleep_forever()
    assert failed.value.system == "bank"
    assert str(failed.value.__cause__) == "why"


async def test_auto_shutdown_at_the_root_ends_quietly(event_log, autojump_clock):
    children = [event_log.child("a", restart=Restart.TEMPORARY, significant=True)]
    async with open_system(children=children, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT) as system:
        system.ref("a").tell(Quit())
        assert (await system.root.wait_ended()).kind is ExitKind.SHUTDOWN
    assert system.stop_reason.kind is ExitKind.SHUTDOWN


async def test_an_outer_cancellation_passes_through_unchanged(event_log, autojump_clock):
    with trio.move_on_after(3) as outer:
        async with open_system(children=[event_log.child("a")]):
            with trio.move_on_after(100):
                await trio.sleep_forever()
    assert outer.cancelled_caught


async def test_ctrl_c_in_a_child_stops_everything_in_order_and_comes_out_bare(event_log, autojump_clock):
    async def interrupt(actor):
        raise KeyboardInterrupt

    with no_leaks(), pytest.raises(KeyboardInterrupt):
        async with open_system(children=[event_log.child(id) for id in "abc"]) as system:
            system.ref("b").tell(Do(interrupt))
            await trio.sleep_forever()
    event_log.expect("+a +b +c -c -a")


async def test_a_signal_ends_the_body_as_if_it_had_returned(event_log):
    async with open_system(children=[event_log.child("a")], signals=[signal.SIGUSR1]) as system:
        signal.raise_signal(signal.SIGUSR1)
        await trio.sleep_forever()
    assert system.stop_reason.detail == "SIGUSR1"
    event_log.expect("+a -a")


async def test_the_watchdog_bites_only_when_the_stop_takes_too_long(event_log):
    from supervisor.watchdog import watchdog

    bitten = trio.Event()
    token = trio.lowlevel.current_trio_token()
    with watchdog(0.001, lambda: token.run_sync_soon(bitten.set)):
        await bitten.wait()
    with watchdog(1000, lambda: pytest.fail("too early")):
        pass
    async with open_system(children=[event_log.child("a")], watchdog=1000):
        pass


# looking


async def test_the_tree_reads_like_a_tree(event_log, autojump_clock):
    inner = ChildSpec(id="inner", factory=lambda: Supervisor([event_log.child("x"), event_log.child("y")]))
    async with open_system(name="bank", children=[event_log.child("a"), inner]) as system:
        system.ref("inner/x").tell(Crash())
        await settle()
        assert str(system.tree()).splitlines() == [
            "bank [Supervisor] running",
            "  a [Scripted] running",
            "  inner [Supervisor] running",
            "    inner/x [Scripted] running, 1 restarts",
            "    inner/y [Scripted] running",
        ]
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            system.tree().info.name = "x"
        statistics = system.statistics()
        assert (statistics.actors, statistics.running, statistics.restarts) == (4, 4, 1)
        assert dict(statistics.events)["child_restarted"] == 1


async def test_an_unknown_name_shows_names_that_exist(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        with pytest.raises(UnknownActor, match="known: a, b"):
            system.ref("c")


async def test_every_report_has_one_shape_and_every_event_a_level(event_log, autojump_clock):
    assert set(LEVELS) == set(Event)
    seen = []
    async with open_system(children=[event_log.child("a")]) as system:
        system.telemetry.observe(seen.append)
        system.ref("a").tell(Crash("x"))
        await settle()
        assert [(r.event, r.supervisor, r.child, r.incarnation) for r in seen] == [
            (Event.CHILD_CRASHED, "system", "a", 1),
            (Event.CHILD_RESTARTED, "system", "a", 2),
        ]
        assert str(seen[0]) == "child_crashed a #1 (crash: ValueError: x)"


async def test_an_observer_that_fails_is_removed_and_harms_nobody(event_log, autojump_clock):
    calls = []

    def bad(report):
        calls.append(report)
        raise RuntimeError

    async with open_system(children=[event_log.child("a")]) as system:
        system.telemetry.observe(bad)
        system.ref("a").tell(Crash())
        await settle()
        assert len(calls) == 1
        assert system.ref("a").info().state is ActorState.RUNNING


async def test_observing_can_end(event_log, autojump_clock):
    seen = []
    async with open_system(children=[event_log.child("a")]) as system:
        system.telemetry.observe(seen.append)()
        system.dead_letters.observe(seen.append)()
        system.ref("a").tell(Crash())
        await settle()
    assert seen == []


# dynamic supervisors


async def test_o15_a_dynamic_supervisor_stops_all_its_children_at_once(event_log, autojump_clock):
    async with open_system(children=[ChildSpec(id="d", factory=DynamicSupervisor)]) as system:
        for n in range(5):
            await system.start_child("d", event_log.child(str(n), stop=0.2))
    assert trio.current_time() == pytest.approx(0.2)


async def test_a_dynamic_child_that_ended_is_forgotten(event_log, autojump_clock):
    async with open_system(children=[ChildSpec(id="d", factory=DynamicSupervisor)]) as system:
        await system.start_child("d", event_log.child("t", restart=Restart.TRANSIENT))
        system.ref("d/t").tell(Quit())
        await settle()
        assert system.find("d/t") is None
        await system.start_child("d", event_log.child("t"))
        await system.ref("d").terminate_child("t")
        assert system.find("d/t") is None


async def test_a_dynamic_supervisor_may_be_full_counting_those_that_wait_for_a_restart(event_log, autojump_clock):
    from supervisor.backoff import Backoff

    def factory():
        return DynamicSupervisor(max_children=1, intensity=math.inf)

    async with open_system(children=[ChildSpec(id="d", factory=factory)]) as system:
        await system.start_child("d", event_log.child("a", backoff=Backoff()))
        system.ref("d/a").tell(Crash())
        await settle()
        assert system.ref("d/a").info().state is ActorState.RESTARTING
        with pytest.raises(TooManyChildren):
            await system.start_child("d", event_log.child("b"))


def test_a_dynamic_supervisor_of_nonsense_is_refused():
    with pytest.raises(SpecError):
        DynamicSupervisor(max_children=0)


# topics


async def test_a_topic_tells_its_subscribers_in_order_and_once_each(event_log, autojump_clock):
    topic = Topic("news")
    order = []
    async with open_system() as system:
        probes = [await Probe.start(system, id) for id in "ab"]
        for probe in (*probes, probes[0]):
            assert topic.subscribe(probe.ref)
        assert topic.publish("x") == Published(sent=2, dropped=0)
        for probe in probes:
            order.append(await probe.expect(str))
            await probe.expect_nothing(seconds=1)
        assert topic.publish("y", exclude=probes[0].ref) == Published(1, 0)
        await probes[0].expect_nothing(seconds=1)
        topic.unsubscribe(probes[1].ref)
        topic.unsubscribe(probes[1].ref)
        assert len(topic) == 1


async def test_a_subscription_survives_a_restart_and_ends_with_the_place(event_log, autojump_clock):
    topic = Topic("news")
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        topic.subscribe(ref)
        topic.publish(Crash())
        await settle()
        assert len(topic) == 1
        await system.root.terminate_child("a")
        assert len(topic) == 0
        assert not topic.subscribe(ref)


async def test_encode_once_encodes_once_per_format(event_log, autojump_clock):
    encoded = []

    def encode(message, format):
        encoded.append(format)
        return f"{format}:{message}"

    topic = Topic("news", EncodeOnce(encode))
    async with open_system() as system:
        probes = [await Probe.start(system, id) for id in "abcd"]
        for probe, format in zip(probes, ["json", "text", "json", "json"], strict=True):
            topic.subscribe(probe.ref, format=format)
        assert topic.publish("x").sent == 4
        texts = [await probe.expect(str) for probe in probes]
        assert texts == ["json:x", "text:x", "json:x", "json:x"]
        assert texts[0] is texts[2] is texts[3]
    assert encoded == ["json", "text"]


async def test_a_slow_subscriber_gets_what_its_own_mailbox_policy_says(event_log, autojump_clock):
    topic = Topic("news")
    spec = MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)
    async with open_system(children=[event_log.child("slow", mailbox=spec)]) as system:
        system.ref("slow").tell(Hold(10))
        await settle()
        topic.subscribe(system.ref("slow"))
        assert [topic.publish(Quit()).dropped for _ in range(3)] == [0, 1, 1]


# dead letters


async def test_the_ring_is_bounded_and_the_counters_are_not(autojump_clock):
    letters = DeadLetters(size=3)
    for n in range(10):
        letters.add("a", n, Why.FULL)
    assert [letter.message for letter in letters.latest()] == [7, 8, 9]
    assert letters.total() == letters.total(Why.FULL) == 10
    assert letters.total(Why.EVICTED) == 0


async def test_the_log_of_dead_letters_does_not_flood(autojump_clock, caplog):
    caplog.set_level("WARNING", logger="supervisor.deadletter")
    letters = DeadLetters()
    for n in range(100):
        letters.add("a", n, Why.FULL)
    assert len(caplog.records) == LOGGED_PER_WINDOW
    await trio.sleep(20)
    letters.add("a", 0, Why.FULL)
    assert "90 more dead letters" in caplog.text


@attrs.frozen
class Secret:
    word: str


async def test_a_dead_letter_shows_the_type_of_the_message_never_its_content(autojump_clock, caplog):
    caplog.set_level("WARNING", logger="supervisor.deadletter")
    letters = DeadLetters()
    letters.add("a", Secret("hunter2"), Why.FULL)
    assert "hunter2" not in caplog.text + repr(letters.latest())
    assert "Secret" in caplog.text


async def test_what_still_waits_at_the_end_becomes_dead_letters(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Hold(1))
        await settle()
        for _ in range(3):
            system.ref("a").tell(Quit())
    assert system.dead_letters.counts() == {(Why.STOPPED, "Quit"): 3}


# the shells of the policies


async def failing():
    raise ConnectionError


async def test_guarded_counts_failures_and_then_refuses_without_calling(autojump_clock):
    breaker = CircuitBreaker(threshold=2, reset_after=10)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await guarded(breaker, failing)
    with pytest.raises(CircuitOpen):
        await guarded(breaker, lambda: pytest.fail("must not be called"))
    await trio.sleep(10)

    async def fine():
        return 7

    assert await guarded(breaker, fine) == 7
    assert breaker.state is Breaker.CLOSED


async def test_guarded_takes_a_timeout_for_a_failure_and_a_cancellation_for_none(autojump_clock):
    breaker = CircuitBreaker(threshold=1, reset_after=10)
    with trio.move_on_after(1):
        await guarded(breaker, trio.sleep_forever)
    assert breaker.state is Breaker.CLOSED
    with pytest.raises(trio.TooSlowError):
        await guarded(breaker, trio.sleep_forever, timeout=1)
    assert breaker.state is Breaker.OPEN
    await trio.sleep(10)
    with trio.move_on_after(1):
        await guarded(breaker, trio.sleep_forever)
    assert breaker.allow(trio.current_time()).probe


async def test_guarded_asks_whose_failure_it_was(autojump_clock):
    breaker = CircuitBreaker(threshold=1)
    with pytest.raises(ConnectionError):
        await guarded(breaker, failing, counts=lambda error: isinstance(error, KeyError))
    assert breaker.state is Breaker.CLOSED


async def test_retrying_follows_the_strategy_and_its_budget(autojump_clock):
    strategy = ErrorRecoveryStrategy(jitter=0)
    calls = []

    async def call():
        calls.append(trio.current_time())
        raise ExceptionGroup("", [ConnectionError()])

    rng = random.Random(1)
    with pytest.raises(ExceptionGroup):
        await retrying(strategy, call, retry_on=(ConnectionError,), budget=RetryBudget(), rng=rng)
    assert calls == [0, 1, 3, 7, 15, 31]
    calls.clear()
    with pytest.raises(ExceptionGroup):
        await retrying(strategy, call, retry_on=(KeyError,), budget=RetryBudget(), rng=rng)
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(ExceptionGroup):
        await retrying(
            strategy, call, retry_on=(ConnectionError,), budget=RetryBudget(ratio=0, per_second=0, window=1), rng=rng
        )
    assert len(calls) == 2


async def test_a_bulkhead_bounds_those_inside_and_those_who_wait(autojump_clock):
    bulkhead = Bulkhead(2, queue=1)
    order = []

    async def work(n):
        async with bulkhead.place():
            order.append((n, trio.current_time()))
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(work, n)
            await settle()
        with pytest.raises(BulkheadFull):
            async with bulkhead.place():
                pytest.fail("no place")
        statistics = bulkhead.statistics()
        assert (statistics.running, statistics.waiting, statistics.refused) == (2, 1, 1)
    assert order == [(0, 0), (1, 0), (2, 1)]
    with pytest.raises(SpecError):
        Bulkhead(0)
    with pytest.raises(SpecError):
        Bulkhead(1, queue=-1)


async def test_a_subclass_of_supervisor_may_have_handlers_of_its_own(event_log, autojump_clock):
    class Desk(Supervisor):
        @handles(Hold)
        async def on_hold(self, msg: Hold) -> None:
            event_log.add("held")

    spec = ChildSpec(id="desk", factory=lambda: Desk([event_log.child("a")]))
    async with open_system(children=[spec]) as system:
        system.ref("desk").tell(Hold(0))
        await settle()
        assert await system.ref("desk/a").ask(Ping()) == "a#1"
    event_log.expect("+a held -a")


async def test_an_actor_without_any_handler_is_fine(autojump_clock):
    class Idle(Actor):
        pass

    async with open_system(children=[ChildSpec(id="idle", factory=Idle)]) as system:
        assert system.ref("idle").info().kind == "Idle"
