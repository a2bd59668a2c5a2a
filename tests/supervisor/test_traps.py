"""Traps of trio and of actor libraries, each one reproduced or shown to be out of reach."""

import contextvars
import math

import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.cell import LOOPS
from supervisor.errors import ActorDied
from supervisor.mailbox import MailboxSpec, Overflow, Why
from supervisor.reason import ExitKind
from supervisor.slot import Slot
from supervisor.spec import ChildSpec, Restart
from supervisor.supervision import Supervisor
from supervisor.system import open_system
from supervisor.testing import Crash, Do, Hold, Ping, Quit, explore, no_leaks
from supervisor.timekeeper import Timekeeper


async def settle():
    await trio.testing.wait_all_tasks_blocked()


async def test_trio_itself_loses_a_started_call_after_a_cancellation(autojump_clock):
    """The reason why no child is started with `nursery.start` here (trio issues 2895 and 2544)."""
    homes = []

    async def child(nursery, task_status):
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            task_status.started()
            homes.append(trio.lowlevel.current_task().parent_nursery is nursery)

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            await nursery.start(child, nursery)
    assert homes == [False]


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
async def test_a_cancellation_at_any_moment_of_the_boot_ends_in_order_and_in_time(event_log, autojump_clock, at):
    inner = ChildSpec(
        id="inner", factory=lambda: Supervisor([event_log.child("x", start=1), event_log.child("y", start=1)])
    )
    with no_leaks(), trio.move_on_after(at):
        async with open_system(children=[event_log.child("a"), inner]):
            await trio.sleep_forever()
    assert trio.current_time() == at
    starts = [event[1:] for event in event_log.events if event[0] == "+"]
    stops = [event[1:] for event in event_log.events if event[0] == "-"]
    assert stops == starts[::-1]
    assert not LOOPS


def test_no_schedule_hangs_a_cancelled_boot():
    async def scenario():
        from supervisor.testing import EventLog

        log = EventLog()
        children = [log.child(id, start=0.3, stop=0.3) for id in "abc"]
        with trio.fail_after(1000), trio.move_on_after(0.7):
            async with open_system(children=children):
                await trio.sleep_forever()
        starts = [event[1:] for event in log.events if event[0] == "+"]
        assert [event[1:] for event in log.events if event[0] == "-"] == starts[::-1]
        return log.text

    assert len(explore(scenario, seeds=range(60))) == 60


async def test_an_actor_runs_in_the_context_it_was_started_in_not_in_its_callers(event_log, autojump_clock):
    name = contextvars.ContextVar("name", default="nobody")
    seen = []

    async def look(actor):
        seen.append(name.get())

    async with open_system(children=[event_log.child("a")]) as system:
        name.set("caller")
        system.ref("a").tell(Do(look))
        await settle()
    assert seen == ["nobody"]


async def test_an_actor_that_swallows_its_cancellation_has_still_ended(event_log, autojump_clock):
    class Stubborn(Actor):
        @handles(Hold)
        async def on_hold(self, msg: Hold) -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                self.context.stop()  # swallows it: the loop goes on and finds its own stop

    spec = ChildSpec(id="s", factory=Stubborn, shutdown=1)
    async with open_system(children=[spec]) as system:
        system.ref("s").tell(Hold(1))
        await settle()
    assert trio.current_time() == 1


async def test_a_crash_in_the_clean_up_of_a_cancelled_handler_is_a_crash(event_log, autojump_clock):
    async def bad_cleanup(actor):
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async with open_system(children=[event_log.child("a", shutdown=1)]) as system:
        system.ref("a").tell(Do(bad_cleanup))
        await settle()
    assert system.dead_letters.total(Why.FAILED) == 1


async def test_the_message_in_hand_at_a_cancellation_is_a_dead_letter_and_its_asker_knows(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a", shutdown=1)]) as system, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(ActorDied) as died:
                await system.ref("a").ask(Ping(seconds=100), timeout=math.inf)
            assert died.value.reason.kind is ExitKind.CANCELLED

        nursery.start_soon(ask)
        await settle()
        await system.root.terminate_child("a")


async def test_a_cancel_scope_of_ones_own_is_not_an_abnormal_end(event_log, autojump_clock):
    async def own(actor):
        with trio.move_on_after(1):
            await trio.sleep_forever()
        actor.context.stop("done")

    async with open_system(children=[event_log.child("a", restart=Restart.TRANSIENT)]) as system:
        system.ref("a").tell(Do(own))
        reason = await system.ref("a").wait_ended()
        assert (reason.kind, reason.detail) == (ExitKind.NORMAL, "done")


async def test_a_stop_asked_for_twice_stops_once_and_does_not_stop_the_next_incarnation(event_log, autojump_clock):
    async def stop_twice(actor):
        actor.context.stop()
        actor.context.stop()

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(stop_twice))
        await settle()
        event_log.expect("+a -a +a")


async def test_a_small_bounded_mailbox_does_not_deadlock_the_start(event_log, autojump_clock):
    """Telling oneself more than the mailbox holds, before the loop runs."""

    class Eager(Actor):
        async def started(self) -> None:
            for _ in range(5):
                self.context.self_ref.tell(Quit())

        async def unhandled(self, message: object) -> None: ...

    spec = ChildSpec(id="e", factory=Eager, mailbox=MailboxSpec(capacity=2))
    async with open_system(children=[spec]) as system:
        await settle()
        assert system.dead_letters.total(Why.FULL) == 3


async def test_a_bound_and_a_priority_do_not_cancel_each_other(event_log, autojump_clock):
    spec = event_log.child("a", mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_OLDEST))
    async with open_system(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await settle()
        for _ in range(10):
            assert ref.tell(Hold(0), urgent=True)
        assert ref.info().mailbox.system == 10
        assert system.dead_letters.total() == 0


async def test_a_crash_of_a_child_nobody_restarts_does_not_touch_its_siblings(event_log, autojump_clock):
    children = [event_log.child("a", restart=Restart.TEMPORARY), event_log.child("b")]
    async with open_system(children=children) as system:
        system.ref("a").tell(Crash())
        await settle()
        assert await system.ref("b").ask(Ping()) == "b#1"


async def test_a_factory_that_raises_leaves_no_zombie(event_log, autojump_clock):
    def broken():
        raise OSError("no")

    with no_leaks():
        async with open_system() as system:
            for _ in range(3):
                with pytest.raises(Exception, match="OSError: no"):
                    await system.root.start_child(ChildSpec(id="x", factory=broken))
            assert system.names() == ()


# the timekeeper


async def test_alarms_run_in_the_order_of_their_times_and_equal_ones_as_they_were_set(autojump_clock):
    keeper, order = Timekeeper(), []
    async with trio.open_nursery() as nursery:
        for when, name in ((3, "c"), (1, "a"), (2, "b1"), (2, "b2")):
            keeper.at(when, lambda name=name: order.append((trio.current_time(), name)))
        nursery.start_soon(keeper.run)
        await trio.sleep(0.5)
        keeper.at(0.75, lambda: order.append((trio.current_time(), "early")))
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert order == [(0.75, "early"), (1, "a"), (2, "b1"), (2, "b2"), (3, "c")]


def test_cancelled_alarms_do_not_pile_up():
    keeper = Timekeeper()
    for n in range(10_000):
        keeper.at(n, lambda: pytest.fail("cancelled")).cancel()
    assert len(keeper) == 0
    assert len(keeper._heap) <= 1025
    keeper.run_due(20_000)
    assert keeper._heap == []


def test_an_alarm_may_cancel_itself_and_others_any_number_of_times():
    keeper, ran = Timekeeper(), []
    second = keeper.at(2, lambda: ran.append(2))

    def action():
        ran.append(1)
        first.cancel()
        second.cancel()
        second.cancel()

    first = keeper.at(1, action)
    keeper.run_due(5)
    assert ran == [1]
    assert len(keeper) == 0


# the slot


async def test_a_slot_keeps_its_first_resolution():
    slot = Slot()
    assert slot.resolve(1)
    assert not slot.resolve(2)
    assert not slot.fail(ValueError())
    assert await slot.wait() == 1


async def test_a_cancelled_waiter_abandons_the_slot():
    slot = Slot()
    with trio.CancelScope() as scope:
        scope.cancel()
        await slot.wait()
    assert slot.done
    assert not slot.resolve(1)


async def test_waiting_for_a_resolved_slot_is_still_a_checkpoint():
    slot = Slot()
    slot.fail(KeyError())
    with trio.testing.assert_checkpoints(), pytest.raises(KeyError):
        await slot.wait()


# what must not pile up, and what must not be confused


async def test_two_blocked_senders_of_the_same_object_are_not_confused(event_log, autojump_clock):
    same = Hold(0)
    sent = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(3))
        await settle()
        ref.tell(Hold(1))

        async def send(patience):
            with trio.move_on_after(patience):
                sent.append(bool(await ref.send(same)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, 1)
            nursery.start_soon(send, 100)
    assert sent == [True]


async def test_watchers_that_are_gone_are_not_remembered(event_log, autojump_clock):
    class Watcher(Actor):
        async def started(self) -> None:
            self.context.watch(self.context.find("a"))

    async with open_system(children=[event_log.child("a")]) as system:
        for n in range(10):
            await system.root.start_child(ChildSpec(id=f"w{n}", factory=Watcher, restart=Restart.TEMPORARY))
            await system.root.terminate_child(f"w{n}")
        assert not system.ref("a")._cell.watchers


async def test_subscribing_again_and_again_leaves_one_trace(event_log, autojump_clock):
    from supervisor.pubsub import Topic

    topic = Topic("news")
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        for _ in range(100):
            topic.subscribe(ref)
            topic.unsubscribe(ref)
        assert len(ref._cell.on_closed) == 1
        topic.subscribe(ref)
    assert len(topic) == 0


async def test_a_signal_during_the_start_ends_the_start(event_log):
    import signal

    from supervisor.errors import SystemFailed

    class Slow(Actor):
        async def started(self) -> None:
            signal.raise_signal(signal.SIGUSR1)
            await trio.sleep_forever()

    children = [event_log.child("a"), ChildSpec(id="slow", factory=Slow, start_timeout=math.inf)]
    with no_leaks(), pytest.raises(SystemFailed, match="SIGUSR1"):
        async with open_system(children=children, signals=[signal.SIGUSR1]):
            pytest.fail("the body must not run")
    event_log.expect("+a -a")


async def test_ctrl_c_in_a_child_that_started_earlier_ends_the_start(event_log, autojump_clock):
    class Interrupted(Actor):
        async def started(self) -> None:
            self.context.spawn(self.interrupt)

        async def interrupt(self) -> None:
            await trio.sleep(1)
            raise KeyboardInterrupt

    children = [ChildSpec(id="i", factory=Interrupted), event_log.child("b", start=25)]
    with no_leaks(), pytest.raises(KeyboardInterrupt):
        async with open_system(children=children):
            pytest.fail("the body must not run")
    assert trio.current_time() == 1
