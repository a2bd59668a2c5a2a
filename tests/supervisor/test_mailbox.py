"""Two lanes, one consumer, five policies: against a model, and the traps one by one."""

from collections import deque
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import MailboxFull, SpecError
from supervisor.mailbox import BATCH, Dropped, Mailbox, MailboxSpec, Overflow, Sent, Why
from supervisor.slot import Slot
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from supervisor.testing import Hold, Ping, Scripted


def mailbox(capacity=3, overflow=Overflow.BLOCK, key=None):
    dropped = []
    box = Mailbox(
        MailboxSpec(capacity=capacity, overflow=overflow, key=key), lambda item, why: dropped.append((item, why))
    )
    return box, dropped


def drain(box):
    taken = []
    while box.system or box.user:
        taken.append(box.pop())
    return taken


def key_of(item):
    return None if item % 10 == 0 else item % 10


# the policies


def test_drop_oldest_makes_room_for_the_newest():
    box, dropped = mailbox(overflow=Overflow.DROP_OLDEST)
    assert [box.offer(n) for n in range(5)] == [Sent()] * 5
    assert drain(box) == [2, 3, 4]
    assert dropped == [(0, Why.EVICTED), (1, Why.EVICTED)]


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.FAIL, Overflow.BLOCK])
def test_the_other_policies_refuse_the_newest(overflow):
    box, dropped = mailbox(overflow=overflow)
    assert [box.offer(n) for n in range(4)] == [Sent(), Sent(), Sent(), Dropped(Why.FULL)]
    assert drain(box) == [0, 1, 2]
    assert dropped == []


def test_conflation_replaces_in_place_and_drops_the_older_value():
    box, dropped = mailbox(overflow=Overflow.CONFLATE, key=key_of)
    for item in (1, 2, 11, 3, 4, 12):
        assert box.offer(item)
    assert drain(box) == [12, 3, 4]
    assert dropped == [(1, Why.CONFLATED), (11, Why.EVICTED), (2, Why.CONFLATED)]


def test_a_key_of_none_is_never_conflated():
    box, dropped = mailbox(overflow=Overflow.CONFLATE, key=key_of)
    for item in (10, 20, 30):
        box.offer(item)
    assert drain(box) == [10, 20, 30]
    assert dropped == []


def test_the_system_lane_goes_first_and_is_not_bounded():
    box, dropped = mailbox(capacity=1)
    box.offer("user")
    for n in range(1000):
        assert box.offer_urgent(n)
    assert drain(box) == [*range(1000), "user"]
    assert dropped == []


def test_a_closed_mailbox_returns_what_waited_and_accepts_nothing_in_either_lane():
    box, _ = mailbox()
    box.offer("user")
    box.offer_urgent("system")
    space = Slot()
    box.queue_for_space("blocked", space)
    assert box.close() == ["system", "user", "blocked"]
    assert box.offer("x") == box.offer_urgent("x") == Dropped(Why.STOPPED)
    assert space.done
    box.reopen()
    assert box.offer("x")


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("mailbox.capacity", {"capacity": 0}),
        ("mailbox.capacity", {"capacity": 1.5}),
        ("mailbox.capacity", {"capacity": True}),
        ("mailbox.overflow", {"overflow": "block"}),
        ("mailbox.key", {"key": key_of}),
        ("mailbox.key", {"overflow": Overflow.CONFLATE}),
    ],
)
def test_a_contradictory_spec_names_its_field(field, wrong):
    with pytest.raises(SpecError) as error:
        MailboxSpec(**wrong)
    assert error.value.field == field


class Model:
    """The policies in the plainest words: one list."""

    def __init__(self, capacity, overflow):
        self.capacity, self.overflow = capacity, overflow
        self.system, self.user, self.dropped = [], [], []

    def offer(self, item):
        if self.overflow is Overflow.CONFLATE and key_of(item) is not None:
            for place, waiting in enumerate(self.user):
                if key_of(waiting) == key_of(item):
                    self.dropped.append((waiting, Why.CONFLATED))
                    self.user[place] = item
                    return True
        if len(self.user) == self.capacity:
            if self.overflow not in (Overflow.DROP_OLDEST, Overflow.CONFLATE):
                return False
            self.dropped.append((self.user.pop(0), Why.EVICTED))
        self.user.append(item)
        return True

    def pop(self):
        return (self.system or self.user).pop(0)


@given(
    capacity=st.integers(1, 4),
    overflow=st.sampled_from(Overflow),
    steps=st.lists(st.one_of(st.tuples(st.sampled_from(["offer", "urgent"]), st.integers(0, 40)), st.just(("pop", 0)))),
)
def test_every_policy_behaves_like_the_model(capacity, overflow, steps):
    box, dropped = mailbox(capacity, overflow, key_of if overflow is Overflow.CONFLATE else None)
    model = Model(capacity, overflow)
    for step, item in steps:
        if step == "offer":
            assert bool(box.offer(item)) == model.offer(item)
        elif step == "urgent":
            assert box.offer_urgent(item)
            model.system.append(item)
        elif model.system or model.user:
            assert box.pop() == model.pop()
        assert list(box.user) == model.user
        assert list(box.system) == model.system
        assert len(box.user) <= capacity
    assert dropped == model.dropped


# waiting for space


async def test_blocked_senders_get_in_first_come_first_served(event_log, autojump_clock):
    spec = event_log.child("a", mailbox=MailboxSpec(capacity=1))
    order = []
    async with open_system(children=[spec]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Hold(1))

        async def send(n):
            assert await ref.send(Hold(1))
            order.append((n, trio.current_time()))

        for n in range(3):
            nursery.start_soon(send, n)
            await trio.testing.wait_all_tasks_blocked()
        assert ref.info().mailbox.blocked == 3
        await trio.sleep(10)
    assert order == [(0, 1), (1, 2), (2, 3)]


async def test_a_cancelled_send_has_sent_nothing(event_log, autojump_clock):
    spec = event_log.child("a", mailbox=MailboxSpec(capacity=1))
    async with open_system(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(Hold(5))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Hold(1))
        with trio.move_on_after(1):
            await ref.send(Hold(100))
        await trio.sleep(4.5)
        assert ref.info().current == "Hold"
        await trio.sleep(1)
        assert ref.info().current is None


async def test_blocked_senders_learn_when_the_actor_is_gone(event_log, autojump_clock):
    spec = event_log.child("a", mailbox=MailboxSpec(capacity=1))
    results = []
    async with open_system(children=[spec]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Hold(1))

        async def send():
            results.append(await ref.send(Hold(1)))

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await system.root.terminate_child("a")
    assert results == [Dropped(Why.STOPPED)]


async def test_send_raises_under_fail_and_returns_under_drop_newest(event_log, autojump_clock):
    children = [
        event_log.child("f", mailbox=MailboxSpec(capacity=1, overflow=Overflow.FAIL)),
        event_log.child("d", mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)),
    ]
    async with open_system(children=children) as system:
        for name in "fd":
            system.ref(name).tell(Hold(1))
            await trio.testing.wait_all_tasks_blocked()
            system.ref(name).tell(Hold(1))
        with pytest.raises(MailboxFull) as full:
            await system.ref("f").send(Hold(1))
        assert (full.value.target, full.value.capacity) == ("f", 1)
        assert await system.ref("d").send(Hold(1)) == Dropped(Why.FULL)


async def test_a_full_mailbox_never_crashes_the_teller_and_every_drop_is_counted(event_log, autojump_clock):
    spec = event_log.child("a", mailbox=MailboxSpec(capacity=10))
    async with open_system(children=[spec]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        results = [ref.tell(Hold(0)) for _ in range(25)]
        assert results.count(Sent()) == 10
        assert results.count(Dropped(Why.FULL)) == 15
        assert system.dead_letters.counts() == {(Why.FULL, "Hold"): 15}


# the consumer


async def test_waiting_is_always_a_checkpoint():
    box, _ = mailbox()
    box.offer(1)
    with trio.testing.assert_checkpoints():
        await box.wait()


async def test_send_and_ask_are_always_checkpoints(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        with trio.testing.assert_checkpoints():
            await system.ref("a").send(Hold(0))
        with trio.testing.assert_checkpoints():
            await system.ref("a").ask(Ping())


async def test_cancelling_the_consumer_loses_no_message():
    box, _ = mailbox()
    for delay in range(5):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(box.wait)
                for _ in range(delay):
                    await trio.lowlevel.checkpoint()
                box.offer(delay)
                scope.cancel()
        assert drain(box) == [delay]


async def test_a_busy_actor_lets_others_run_between_batches(event_log):
    """Trio may run a task at the end of one pass and at the start of the next, so two batches is the worst case."""
    turns = []

    class Busy(Scripted):
        def __init__(self):
            self.seen = 0

        async def started(self) -> None: ...

        async def stopped(self, reason) -> None: ...

        async def unhandled(self, message: object) -> None:
            self.seen += 1

    busy = Busy()
    async with open_system(children=[ChildSpec(id="busy", factory=lambda: busy)]) as system:
        ref = system.ref("busy")
        for _ in range(BATCH * 3):
            ref.tell(object())
        while busy.seen < BATCH * 3:
            await trio.lowlevel.checkpoint()
            turns.append(busy.seen)
    assert {later - earlier for earlier, later in pairwise(turns)} <= {0, BATCH, 2 * BATCH}


async def test_the_urgent_message_behind_a_long_queue_is_next(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=20_000))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10_000):
            ref.tell(Hold(0.02))
        await system.root.terminate_child("a")
        assert trio.current_time() == 1
        assert system.dead_letters.total(Why.STOPPED) == 10_000


def test_popping_an_empty_mailbox_is_an_error():
    with pytest.raises(IndexError):
        mailbox()[0].pop()


def test_taking_out_keeps_the_order_of_the_rest():
    box, _ = mailbox(capacity=10)
    lane = box.user
    for n in range(6):
        box.offer(n)
    box.offer_urgent(7)
    assert box.take_out(lambda item: item % 2 == 1) == [7, 1, 3, 5]
    assert box.user is lane
    assert isinstance(lane, deque)
    assert drain(box) == [0, 2, 4]


# the corners of a conflating mailbox


def test_what_is_put_back_in_front_of_a_conflating_lane_goes_first_but_never_over_a_newer_value():
    box, dropped = mailbox(capacity=5, overflow=Overflow.CONFLATE, key=key_of)
    for item in (1, 2, 10):
        box.offer(item)
    box.put_back([20, 12, 3])  # the 2 that waits is newer than what comes back
    assert drain(box) == [20, 3, 1, 2, 10]
    assert dropped == [(12, Why.CONFLATED)]


class Latest(Scripted):
    def __init__(self, heard):
        self.heard = heard

    async def started(self) -> None: ...

    async def stopped(self, reason) -> None: ...

    async def unhandled(self, message: object) -> None:
        self.heard.append(message)


async def test_a_conflating_actor_wakes_conflates_and_still_does_after_it_was_stopped_and_restarted(autojump_clock):
    heard = []
    spec = MailboxSpec(capacity=5, overflow=Overflow.CONFLATE, key=key_of)
    child = ChildSpec(id="latest", factory=lambda: Latest(heard), mailbox=spec)
    async with open_system(children=[child]) as system:
        ref = system.ref("latest")
        await trio.testing.wait_all_tasks_blocked()
        for item in (1, 2, 11):
            ref.tell(item)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [11, 2]
        assert system.dead_letters.total(Why.CONFLATED) == 1
        await system.root.terminate_child("latest")
        await system.root.restart_child("latest")
        heard.clear()
        for item in (1, 2, 11):
            assert ref.tell(item)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [11, 2]
        assert system.dead_letters.total(Why.CONFLATED) == 2


def test_taking_a_message_admits_the_first_who_waits():
    box, _ = mailbox(capacity=1)
    box.offer("first")
    spaces = [Slot(), Slot()]
    for n, space in enumerate(spaces):
        box.queue_for_space(n, space)
    assert box.pop() == "first"
    assert [space.done for space in spaces] == [True, False]
    box.leave_queue(1, spaces[0])
    assert box.statistics().blocked == 1
    box.leave_queue(1, spaces[1])
    assert box.pop() == 0
    assert box.statistics() == box.statistics().__class__(
        system=0, user=0, blocked=0, capacity=1, overflow=Overflow.BLOCK
    )


async def test_draining_an_idle_actor_ends_it_at_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        await trio.testing.wait_all_tasks_blocked()
        await system.root.terminate_child("a", drain=10)
        assert trio.current_time() == 0
        await system.root.restart_child("a")
        assert await system.ref("a").ask(Ping()) == "a#2"


async def test_draining_lets_in_who_waited_for_space(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Hold(1))
        results = []

        async def send():
            results.append(await ref.send(Hold(1)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await system.root.terminate_child("a", drain=10)
        assert results == [Sent()]
        assert trio.current_time() == 3


async def test_a_drain_that_takes_too_long_ends_in_the_ordinary_stop(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        for _ in range(100):
            ref.tell(Hold(1))
        await trio.testing.wait_all_tasks_blocked()
        await system.root.terminate_child("a", drain=2.5)
        assert trio.current_time() == 3
        assert system.dead_letters.total(Why.STOPPED) == 97
