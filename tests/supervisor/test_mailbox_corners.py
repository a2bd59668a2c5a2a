"""The corners of mailboxes: conflation, eviction, and who waits for space."""

import logging

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor
from supervisor.backoff import Backoff
from supervisor.errors import ActorDied
from supervisor.mailbox import Mailbox, MailboxSpec, Overflow, Sent, Why
from supervisor.slot import Slot
from supervisor.spec import ChildSpec, Restart
from supervisor.supervision import Supervisor
from supervisor.system import open_system
from supervisor.testing import Crash, Do, Hold, Ping, Quit, Scripted


async def settle():
    await trio.testing.wait_all_tasks_blocked()


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


# what a crash and a restart leave in a mailbox


async def test_the_space_a_crash_makes_goes_to_who_waits_for_it(event_log, autojump_clock):
    child = event_log.child("a", mailbox=MailboxSpec(capacity=1))
    async with open_system(children=[child]) as system, trio.open_nursery() as nursery:
        ref, ended, sent = system.ref("a"), [], []

        async def send(name):
            sent.append(await ref.send(Do(lambda actor: add(name))))

        async def add(name):
            event_log.add(name)

        async def fail(actor):
            await trio.sleep(1)
            raise ValueError

        ref.tell(Do(fail))
        await settle()
        ask_later(nursery, ref, Ping(), ended, timeout=100)  # the only place, until the crash takes it along
        await settle()
        nursery.start_soon(send, "first")
        await settle()
        nursery.start_soon(send, "second")
        await trio.sleep(2)
        assert ended == [(1, ActorDied)]
        assert sent == [Sent(), Sent()]
        event_log.expect("+a -a:crash +a first second")


async def test_a_key_made_anew_by_the_factory_of_its_supervisor_keeps_the_place_and_what_waits(autojump_clock):
    got = []

    class Screen(Actor):
        async def started(self) -> None:
            await trio.sleep(1)

        async def unhandled(self, message: object) -> None:
            got.append(message)
            await trio.sleep(2)
            if message.price < 0:
                raise ValueError

    def supervisor():
        latest = MailboxSpec(capacity=9, overflow=Overflow.CONFLATE, key=lambda quote: quote.symbol)
        return Supervisor([ChildSpec(id="a", factory=Screen, mailbox=latest)], intensity=0)

    async with open_system(children=[ChildSpec(id="s", factory=supervisor)]) as system:
        ref = system.ref("s/a")
        ref.tell(Quote("A", -1))
        await settle()
        ref.tell(Quote("B", 1))
        await trio.sleep(2.5)
        assert system.ref("s").info().incarnation == 2
        ref.tell(Quote("B", 2))  # replaces the one that has waited since before
        await trio.sleep(5)
        assert got == [Quote("A", -1), Quote("B", 2)]
        assert (ref.closed, ref.info().incarnation) == (False, 2)


def test_another_key_conflates_what_waits():
    dropped = []
    box = Mailbox(
        MailboxSpec(capacity=9, overflow=Overflow.CONFLATE, key=lambda item: item), lambda *drop: dropped.append(drop)
    )
    for item in (1, 2, 11):
        box.offer(item)
    box.rekey(MailboxSpec(capacity=9, overflow=Overflow.CONFLATE, key=lambda item: item % 10))
    assert [box.pop(), box.pop()] == [11, 2]
    assert dropped == [(1, Why.CONFLATED)]


def test_keys_that_cannot_be_compared_cost_the_conflation_and_never_the_sender(caplog):
    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise ValueError("odd")

    box = Mailbox(MailboxSpec(overflow=Overflow.CONFLATE, key=lambda item: Odd()), lambda *drop: None)
    assert [box.offer(item) for item in (1, 2, 3)] == [Sent()] * 3
    assert [box.pop(), box.pop(), box.pop()] == [1, 2, 3]
