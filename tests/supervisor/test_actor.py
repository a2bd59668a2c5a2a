"""What an actor may do: handlers, timers, stash, side tasks, watching, links, deferred answers."""

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.errors import ActorDied, HandlerError, LinkBroken, Refused, Unhandled
from supervisor.mailbox import MailboxSpec, Sent, Why
from supervisor.message import DEFERRED, Request
from supervisor.reason import ExitKind
from supervisor.ref import Down
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system
from supervisor.testing import Crash, Do, Ping, Probe, Quit


@attrs.frozen
class Animal:
    pass


@attrs.frozen
class Dog(Animal):
    pass


@attrs.frozen
class Number(Request[int]):
    pass


@attrs.frozen
class Unknown(Request[int]):
    pass


@attrs.frozen
class Answer:
    value: int


class No(Refused):
    pass


class Keeper(Actor):
    """Keeps what it hears."""

    def __init__(self, heard):
        self.heard = heard
        self.reply = None

    @handles(Animal)
    async def on_animal(self, msg: Animal) -> None:
        self.heard.append(type(msg).__name__)

    @handles(Number)
    async def on_number(self, msg: Number) -> int:
        self.reply = self.context.defer()
        return DEFERRED

    @handles(Answer)
    async def on_answer(self, msg: Answer) -> None:
        if msg.value < 0:
            self.heard.append(self.reply.refuse(No()))
        else:
            self.heard.append(self.reply.send(msg.value))


async def settle():
    await trio.testing.wait_all_tasks_blocked()


def keeper(heard, **spec):
    return ChildSpec(id="keeper", factory=lambda: Keeper(heard), **spec)


# handlers


async def test_a_handler_also_takes_subclasses_that_have_none_of_their_own(autojump_clock):
    heard = []
    async with open_system(children=[keeper(heard)]) as system:
        assert system.ref("keeper").tell(Animal()) == Sent()
        system.ref("keeper").tell(Dog())
        await settle()
    assert heard == ["Animal", "Dog"]


async def test_a_subclass_overrides_a_handler_by_its_name(autojump_clock):
    class Loud(Keeper):
        async def on_animal(self, msg: Animal) -> None:
            self.heard.append("!")

    heard = []
    async with open_system(children=[ChildSpec(id="loud", factory=lambda: Loud(heard))]) as system:
        system.ref("loud").tell(Dog())
        await settle()
    assert heard == ["!"]


def test_two_handlers_of_one_message_in_one_class_are_an_error_that_names_both():
    with pytest.raises(HandlerError, match=r"Twice\.two and Twice\.one both handle Animal"):

        class Twice(Actor):
            @handles(Animal)
            async def one(self, msg: Animal) -> None: ...

            @handles(Animal)
            async def two(self, msg: Animal) -> None: ...


def test_decorating_with_an_instance_shows_the_right_usage():
    with pytest.raises(HandlerError, match="give the message's class"):
        handles(Animal())  # type: ignore[arg-type]


async def test_a_message_without_a_handler_is_a_dead_letter(autojump_clock):
    async with open_system(children=[keeper([])]) as system:
        system.ref("keeper").tell("what?")
        await settle()
        assert [(letter.kind, letter.why) for letter in system.dead_letters.latest()] == [("str", Why.UNHANDLED)]


async def test_a_request_without_a_handler_is_refused_and_names_what_is_handled(autojump_clock):
    async with open_system(children=[keeper([])]) as system:
        with pytest.raises(Unhandled, match="it handles Animal, Number, Answer"):
            await system.ref("keeper").ask(Unknown())
        assert system.ref("keeper").info().incarnation == 1


async def test_the_message_that_crashed_the_actor_is_a_dead_letter_and_is_not_tried_again(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        ref.tell(Crash("poison"))
        ref.tell(Quit())
        await settle()
        (letter,) = system.dead_letters.latest()
        assert (letter.target, letter.kind, letter.why) == ("a", "Crash", Why.FAILED)
        assert "poison" not in repr(letter)
        event_log.expect("+a -a:crash +a -a +a")


async def test_a_factory_that_does_not_return_an_actor_shows_the_right_usage(autojump_clock):
    async with open_system() as system:
        with pytest.raises(Refused, match="must return an Actor"):
            await system.root.start_child(ChildSpec(id="x", factory=dict))


# answers


async def test_an_answer_may_be_given_later(autojump_clock):
    heard = []
    async with open_system(children=[keeper(heard)]) as system, trio.open_nursery() as nursery:

        async def ask():
            heard.append(await system.ref("keeper").ask(Number(), timeout=10))

        nursery.start_soon(ask)
        await trio.sleep(2)
        system.ref("keeper").tell(Answer(7))
        await trio.sleep(1)
        system.ref("keeper").tell(Answer(8))
        await settle()
        assert heard == [True, 7, False]
        assert system.dead_letters.total(Why.LATE_REPLY) == 1


async def test_a_refusal_reaches_the_asker_and_the_actor_lives_on(autojump_clock):
    heard = []
    async with open_system(children=[keeper(heard)]) as system, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(No):
                await system.ref("keeper").ask(Number(), timeout=10)

        nursery.start_soon(ask)
        await settle()
        system.ref("keeper").tell(Answer(-1))
        await settle()
        assert system.ref("keeper").info().incarnation == 1


async def test_an_answer_that_never_came_is_the_death_of_the_callee(autojump_clock):
    async with open_system(children=[keeper([])]) as system, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(ActorDied):
                await system.ref("keeper").ask(Number(), timeout=1000)

        nursery.start_soon(ask)
        await settle()
        await system.root.terminate_child("keeper")
        assert trio.current_time() == 0


# timers


class Clockwork(Actor):
    def __init__(self, heard, **every):
        self.heard = heard
        self.plan = every

    async def started(self) -> None:
        self.timer = (
            self.context.every("tick", **self.plan)
            if "period" in self.plan
            else self.context.timer("once", **self.plan)
        )

    async def unhandled(self, message: object) -> None:
        self.heard.append((trio.current_time(), message))

    @handles(Do)
    async def on_do(self, msg: Do) -> None:
        await msg.action(self)


async def test_a_timer_fires_once_at_its_time(autojump_clock):
    heard = []
    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, after=2.5))]):
        await trio.sleep(100)
    assert heard == [(2.5, "once")]


async def test_a_repeating_timer_stays_on_its_grid_and_skips_what_it_missed(autojump_clock):
    heard = []

    async def block(actor):
        await trio.sleep(2.25)

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, period=1.0))]) as system:
        await trio.sleep(1.5)
        system.ref("c").tell(Do(block))
        await trio.sleep(4)
    assert [at for at, _ in heard] == [1.0, 3.75, 4.0, 5.0]


async def test_no_tick_arrives_after_cancel_not_even_one_that_waits(autojump_clock):
    heard = []

    async def block_and_cancel(actor):
        await trio.sleep(1.5)
        actor.timer.cancel()

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, period=1.0))]) as system:
        system.ref("c").tell(Do(block_and_cancel))
        await trio.sleep(10)
        assert heard == []
        assert len(system._timekeeper) == 0


async def test_timers_end_with_their_incarnation(event_log, autojump_clock):
    heard = []

    async def crash(actor):
        raise ValueError

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, period=2.0))]) as system:
        await trio.sleep(1)
        system.ref("c").tell(Do(crash))
        await trio.sleep(4.5)
    assert [at for at, _ in heard] == [3.0, 5.0]


async def test_a_tick_goes_before_waiting_messages(autojump_clock):
    heard = []

    async def block(actor):
        await trio.sleep(2)

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, after=1))]) as system:
        system.ref("c").tell(Do(block))
        await settle()
        system.ref("c").tell("later")
        await trio.sleep(3)
    assert [message for _, message in heard] == ["once", "later"]


@pytest.mark.parametrize("bad", [{"period": 0}, {"period": -1.0}, {"after": -1}])
async def test_timers_refuse_nonsense(autojump_clock, bad):
    async with open_system() as system:
        with pytest.raises(Refused, match="must be seconds"):
            await system.root.start_child(ChildSpec(id="c", factory=lambda: Clockwork([], **bad)))


# stash


class Opener(Actor):
    """Puts everything aside until it is opened."""

    def __init__(self, heard):
        self.heard = heard
        self.open = False

    @handles(Number)
    async def on_number(self, msg: Number) -> int:
        return 42 if self.open else self.context.stash()

    @handles(Answer)
    async def on_answer(self, msg: Answer) -> None:
        if not self.open:
            return self.context.stash()
        self.heard.append(msg.value)

    @handles(Quit)
    async def on_open(self, msg: Quit) -> None:
        self.open = True
        self.heard.append(self.context.unstash_all())

    @handles(Crash)
    async def on_crash(self, msg: Crash) -> None:
        raise ValueError


async def test_stashed_messages_come_back_first_and_in_order(autojump_clock):
    heard = []
    async with open_system(children=[ChildSpec(id="o", factory=lambda: Opener(heard))]) as system:
        ref = system.ref("o")
        ref.tell(Answer(1))
        ref.tell(Answer(2))
        ref.tell(Quit())
        ref.tell(Answer(3))
        await settle()
    assert heard == [2, 1, 2, 3]


async def test_a_stashed_request_is_answered_after_unstashing(autojump_clock):
    async with open_system(children=[ChildSpec(id="o", factory=lambda: Opener([]))]) as system:
        ref = system.ref("o")

        async def open_later():
            await trio.sleep(1)
            ref.tell(Quit())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_later)
            assert await ref.ask(Number()) == 42


async def test_the_stash_is_bounded_and_survives_a_crash(autojump_clock):
    heard = []
    spec = ChildSpec(id="o", factory=lambda: Opener(heard), mailbox=MailboxSpec(capacity=2))
    async with open_system(children=[spec]) as system:
        ref = system.ref("o")
        for n in (1, 2, 3):
            ref.tell(Answer(n))
            await settle()
        assert system.dead_letters.total(Why.STASH_FULL) == 1
        ref.tell(Crash())
        await settle()
        ref.tell(Quit(), urgent=True)
        await settle()
    assert heard == [2, 1, 2]


# side tasks


async def test_a_side_task_runs_beside_the_handlers_and_ends_with_its_actor(event_log, autojump_clock):
    async def beside():
        try:
            await trio.sleep_forever()
        finally:
            event_log.add("side ended")

    async def spawn(actor):
        actor.context.spawn(beside, name="beside")

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(spawn))
        assert await system.ref("a").ask(Ping()) == "a#1"
    event_log.expect("+a -a side ended")


async def test_the_crash_of_a_side_task_crashes_the_actor_even_inside_a_long_handler(event_log, autojump_clock):
    async def bomb():
        await trio.sleep(1)
        raise KeyError("side")

    async def spawn_and_wait(actor):
        actor.context.spawn(bomb)
        await trio.sleep(100)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(spawn_and_wait))
        reason = await system.ref("a").wait_ended()
        assert reason.kind is ExitKind.CRASH
        assert isinstance(reason.error, KeyError)
        assert trio.current_time() == 1
        await settle()
        event_log.expect("+a +a")


async def test_a_side_task_can_be_cancelled_alone(event_log, autojump_clock):
    async def spawn(actor):
        side = actor.context.spawn(trio.sleep_forever)
        await trio.lowlevel.checkpoint()
        side.cancel()

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(spawn))
        assert await system.ref("a").ask(Ping()) == "a#1"


async def test_a_nursery_inside_a_handler_does_not_hide_the_error(event_log, autojump_clock):
    from supervisor.reason import leaves

    async def nested(actor):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    async def fail():
        raise ConnectionError

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(nested))
        reason = await system.ref("a").wait_ended()
        assert [type(leaf) for leaf in leaves(reason.error)] == [ConnectionError]


# watching and links


async def test_a_watcher_is_told_of_an_end_once(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        probe = await Probe.start(system)
        await system.root.start_child(event_log.child("w"))
        downs = []

        async def watch(actor):
            actor.unhandled = lambda message: note(message)
            actor.context.watch(system.ref("a"))

        async def note(message):
            downs.append(message)

        system.ref("w").tell(Do(watch))
        await settle()
        system.ref("a").tell(Crash())
        await settle()
        system.ref("a").tell(Crash())
        await settle()
        assert [(down.ref, down.incarnation, down.reason.kind) for down in downs] == [
            (system.ref("a"), 1, ExitKind.CRASH)
        ]
        assert isinstance(downs[0], Down)
        await probe.expect_nothing(seconds=1)


class Watcher(Actor):
    def __init__(self, name, downs, *, unwatch=False):
        self.name, self.downs, self.unwatch = name, downs, unwatch

    async def started(self) -> None:
        self.context.watch(self.context.find(self.name))
        if self.unwatch:
            self.context.unwatch(self.context.find(self.name))

    @handles(Down)
    async def on_down(self, msg: Down) -> None:
        self.downs.append(msg.reason.kind)


async def test_watching_somebody_who_is_gone_for_good_tells_at_once(event_log, autojump_clock):
    downs = []
    async with open_system(children=[event_log.child("a", restart=Restart.TRANSIENT)]) as system:
        system.ref("a").tell(Quit())
        await settle()
        await system.root.start_child(ChildSpec(id="w", factory=lambda: Watcher("a", downs)))
        await settle()
    assert downs == [ExitKind.NORMAL]


async def test_unwatch_also_takes_back_a_down_on_its_way(event_log, autojump_clock):
    downs = []
    async with open_system(children=[event_log.child("a", restart=Restart.TRANSIENT)]) as system:
        system.ref("a").tell(Quit())
        await settle()
        await system.root.start_child(ChildSpec(id="w", factory=lambda: Watcher("a", downs, unwatch=True)))
        await settle()
    assert downs == []


def linking(ref):
    async def link(actor):
        actor.context.link(ref)

    return Do(link)


@pytest.mark.parametrize("victim, other", [("a", "b"), ("b", "a")])
async def test_a_link_shares_an_abnormal_end_both_ways(event_log, autojump_clock, victim, other):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(linking(system.ref("b")))
        await settle()
        system.ref(victim).tell(Crash())
        await settle()
        last = system.ref(other).info().last_end
        assert isinstance(last.error, LinkBroken)
        assert last.error.linked == victim
        assert system.ref("a").info().restarts == system.ref("b").info().restarts == 1


async def test_a_link_does_not_share_a_normal_end_and_can_be_undone(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(linking(system.ref("b")))
        await settle()
        system.ref("a").tell(Quit())
        await settle()
        assert system.ref("b").info().restarts == 0

        async def link_and_unlink(actor):
            actor.context.link(system.ref("b"))
            actor.context.unlink(system.ref("b"))

        system.ref("a").tell(Do(link_and_unlink))
        await settle()
        system.ref("a").tell(Crash())
        await settle()
        assert system.ref("b").info().restarts == 0


# what one can see


async def test_info_shows_a_busy_actor_without_asking_it(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        nursery.start_soon(lambda: ref.ask(Ping(seconds=3)))
        await settle()
        ref.tell(Quit())
        info = ref.info()
        assert (info.current, info.pending, info.mailbox.user, info.kind) == ("Ping", 1, 1, "Scripted")
        assert trio.current_time() == 0


async def test_a_trace_shows_the_latest_messages_and_is_off_by_default(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        await ref.ask(Ping())
        assert ref.trace(2) == ()
        await settle()
        ref.tell(Quit(), urgent=True)  # the first wake after switching on
        await settle()
        await ref.ask(Ping(seconds=2))
        ref.tell(Crash())
        await settle()
        await ref.ask(Ping())
        entries = ref.trace(2)
        assert [(entry.kind, entry.asked, entry.outcome) for entry in entries] == [
            ("Crash", False, "ValueError"),
            ("Ping", True, "ok"),
        ]
        assert [entry.incarnation for entry in entries] == [2, 3]
        assert ref.trace(0) == ()


async def test_the_log_knows_the_name_and_the_incarnation(event_log, autojump_clock):
    facts = []

    async def look(actor):
        facts.append((dict(actor.context.log.extra), actor.context.log.logger.name))

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(look))
        await settle()
    assert facts == [({"actor": "a", "incarnation": 1}, "supervisor.testing.Scripted")]


async def test_a_late_clock_does_not_shift_the_grid(mock_clock):
    heard = []
    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork(heard, period=1.0))]):
        for jump in (3.5, 0.4, 0.2, 1.0):
            mock_clock.jump(jump)
            await settle()
        mock_clock.rate = 0
    assert [at for at, _ in heard] == pytest.approx([3.5, 4.1, 5.1])


async def test_a_tick_that_crashes_its_handler_is_a_dead_letter_of_its_message(autojump_clock):
    class Fragile(Clockwork):
        async def unhandled(self, message: object) -> None:
            raise ValueError

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Fragile([], after=1))]) as system:
        await trio.sleep(1.5)
        assert [(letter.kind, letter.why) for letter in system.dead_letters.latest()] == [("str", Why.FAILED)]


async def test_ticks_and_stops_that_wait_at_the_end_are_nobodys_loss(event_log, autojump_clock):
    async def block(actor):
        actor.context.stop()
        actor.context.stop()
        await trio.sleep(3)

    spec = ChildSpec(id="c", factory=lambda: Clockwork([], period=1), restart=Restart.TEMPORARY)
    async with open_system(children=[spec]) as system:
        system.ref("c").tell(Do(block))
        await trio.sleep(5)
        assert system.find("c") is None
        assert system.dead_letters.total() == 0


async def test_the_first_of_two_crashing_side_tasks_is_the_reason(event_log, autojump_clock):
    async def bomb(error):
        try:
            await trio.sleep(1)
        finally:
            raise error

    async def spawn(actor):
        actor.context.spawn(bomb, KeyError("first"))
        await trio.sleep(0.5)
        actor.context.spawn(bomb, OSError("second"))

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(spawn))
        reason = await system.ref("a").wait_ended()
        assert isinstance(reason.error, KeyError)


async def test_a_link_ends_with_a_normal_end_on_both_sides(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a"), event_log.child("b")]) as system:
        system.ref("a").tell(linking(system.ref("b")))
        await settle()
        system.ref("a").tell(Quit())
        await settle()
        system.ref("b").tell(Crash())
        await settle()
        assert system.ref("a").info().restarts == 1
        assert system.ref("a").info().last_end.kind is ExitKind.NORMAL


async def test_linking_with_somebody_who_crashed_for_good_is_a_crash_and_with_oneself_an_error(
    event_log, autojump_clock
):
    children = [event_log.child("a", restart=Restart.TEMPORARY), event_log.child("b")]
    async with open_system(children=children) as system:
        gone = system.ref("a")
        gone.tell(Crash())
        await settle()
        system.ref("b").tell(linking(gone))
        await settle()
        assert isinstance(system.ref("b").info().last_end.error, LinkBroken)
        system.ref("b").tell(linking(system.ref("b")))
        await settle()
        assert "cannot be linked with itself" in str(system.ref("b").info().last_end)


async def test_a_cancelled_timer_leaves_no_alarm_behind(autojump_clock):
    async def cancel(actor):
        assert actor.timer.active
        actor.timer.cancel()
        assert not actor.timer.active

    async with open_system(children=[ChildSpec(id="c", factory=lambda: Clockwork([], period=1.0))]) as system:
        assert system.statistics().alarms == 1
        system.ref("c").tell(Do(cancel))
        await settle()
        assert system.statistics().alarms == 0


async def test_a_second_fault_does_not_hide_the_first(event_log, autojump_clock):
    async def fail_twice(actor):
        cell = actor.context._cell
        cell.fail(KeyError("first"))
        cell.fail(OSError("second"))
        await trio.lowlevel.checkpoint()

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(fail_twice))
        await settle()
        assert isinstance(system.ref("a").info().last_end.error, KeyError)
