"""Somebody who has only read the README writes hostile programs against the public face."""

import gc
import math
import random
from contextlib import suppress

import attrs
import pytest
import trio
import trio.testing

from supervisor import (
    Actor,
    ActorDied,
    ActorState,
    AskCycle,
    AskSelf,
    AskTimeout,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Down,
    DuplicateChild,
    DynamicSupervisor,
    ExitKind,
    LinkBroken,
    MailboxFull,
    MailboxSpec,
    Overflow,
    Request,
    Restart,
    SpecError,
    StartError,
    Strategy,
    Supervisor,
    SystemFailed,
    TooManyChildren,
    Unhandled,
    UnknownChild,
    Why,
    handles,
    open_system,
)
from supervisor.testing import no_leaks, schedule


@attrs.frozen
class Go:
    to: object = None


@attrs.frozen
class Boom:
    error: BaseException | None = None


@attrs.frozen
class Ask(Request[int]):
    seconds: float = 0.0


class Plain(Actor):
    @handles(Boom)
    async def on_boom(self, msg: Boom) -> None:
        raise msg.error or ValueError

    @handles(Ask)
    async def on_ask(self, msg: Ask) -> int:
        await trio.sleep(msg.seconds)
        return self.context.incarnation


def plain(id, **options):
    return ChildSpec(id=id, factory=Plain, **options)


# values of the wrong type


@pytest.mark.parametrize(
    "field, options",
    [
        ("children", {"children": [Plain]}),
        ("children", {"children": plain("a")}),
        ("strategy", {"strategy": "one_for_one"}),
        ("auto_shutdown", {"auto_shutdown": "never"}),
        ("auto_shutdown", {"auto_shutdown": True}),
        ("intensity", {"intensity": "3"}),
        ("period", {"period": None}),
        ("name", {"name": ""}),
        ("name", {"name": 5}),
        ("shutdown_deadline", {"shutdown_deadline": -1}),
        ("shutdown_deadline", {"shutdown_deadline": math.nan}),
        ("shutdown_deadline", {"shutdown_deadline": "5"}),
        ("watchdog", {"watchdog": 0}),
        ("watchdog", {"watchdog": math.inf}),
    ],
)
async def test_a_system_of_the_wrong_kind_is_refused_and_the_field_named(field, options):
    with pytest.raises(SpecError) as refused:
        async with open_system(**options):
            raise AssertionError("it opened")
    assert refused.value.field == field


async def test_the_least_a_system_may_be_given_is_enough(autojump_clock):
    async with open_system(name="x", shutdown_deadline=0, watchdog=60.0):
        pass
    async with open_system(shutdown_deadline=math.inf):
        pass


def test_a_backoff_that_grows_by_a_word_is_refused():
    with pytest.raises(SpecError) as refused:
        Backoff(growth="fixed")
    assert refused.value.field == "backoff.growth"


@pytest.mark.parametrize(
    "field, request_",
    [
        ("spec", lambda root: root.start_child(Plain)),
        ("spec", lambda root: root.start_child(None)),
        ("id", lambda root: root.terminate_child(None)),
        ("id", lambda root: root.restart_child(["a"])),
        ("id", lambda root: root.delete_child("")),
        ("drain", lambda root: root.terminate_child("a", drain=-0.1)),
        ("drain", lambda root: root.terminate_child("a", drain=math.nan)),
        ("drain", lambda root: root.terminate_child("a", drain="1")),
    ],
)
async def test_a_request_of_the_wrong_kind_fails_in_its_caller_and_not_in_the_supervisor(
    field, request_, autojump_clock
):
    async with open_system(children=[plain("a")]) as system:
        with pytest.raises(SpecError) as refused:
            await request_(system.root)
        assert refused.value.field == field
        assert await system.ref("a").ask(Ask()) == 1
        assert system.root.info().handled == 0


# errors and messages that fight back


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I have nothing to say")

    __repr__ = __str__


async def test_an_error_whose_text_raises_is_a_crash_like_any_other(autojump_clock):
    async with open_system(children=[plain("a"), plain("b")]) as system:
        system.ref("a").tell(Boom(Mute()))
        await trio.sleep(1)
        assert await system.ref("a").ask(Ask()) == 2
        assert await system.ref("b").ask(Ask()) == 1
        end = system.ref("a").info().last_end
        assert (end.kind, end.detail) == (ExitKind.CRASH, "Mute: (its text raises RuntimeError)")


class Untouchable:
    """A message without a hash, an equality, a truth or a text."""

    __hash__ = None

    def _no(self, *args: object) -> bool:
        raise TypeError("do not touch")

    __eq__ = __bool__ = __str__ = __repr__ = __len__ = __iter__ = _no


@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda overflow: overflow.value)
async def test_messages_that_cannot_be_touched_pass_through_a_crash_untouched(overflow, autojump_clock):
    key = None if overflow is not Overflow.CONFLATE else lambda message: message
    mailbox = MailboxSpec(capacity=3, overflow=overflow, key=key)
    async with open_system(children=[plain("a", mailbox=mailbox)]) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")

        async def ask():
            with pytest.raises(ActorDied):
                await ref.ask(Ask(), timeout=9, urgent=True)

        nursery.start_soon(ref.ask, Ask(1))
        await trio.sleep(0.5)
        ref.tell(Boom(), urgent=True)
        nursery.start_soon(ask)
        for _ in range(5):
            ref.tell(Untouchable())
        await trio.sleep(5)
        assert ref.info().incarnation == 2
        assert system.dead_letters.counts()[Why.UNHANDLED, "Untouchable"] == 3
        assert sum(n for (_, kind), n in system.dead_letters.counts().items() if kind == "Untouchable") == 5


async def test_none_is_a_message_too(autojump_clock):
    class Hater(Actor):
        @handles(type(None))
        async def on_none(self, msg: None) -> None:
            raise ValueError

    async with open_system(children=[ChildSpec(id="a", factory=Hater)]) as system:
        system.ref("a").tell(None)
        await trio.sleep(1)
        assert system.dead_letters.counts() == {(Why.FAILED, "NoneType"): 1}


async def test_a_message_with_a_field_called_message_is_shown_by_its_own_type(autojump_clock):
    @attrs.frozen
    class Say:
        message: str

    class Slow(Actor):
        @handles(Say)
        async def on_say(self, msg: Say) -> None:
            await trio.sleep(3)

    async with open_system(children=[ChildSpec(id="a", factory=Slow)]) as system:
        system.ref("a").tell(Say("hello"))
        await trio.sleep(1)
        assert system.ref("a").info().current == "Say"


# hooks that fail


class Bomb(Actor):
    """Fails in the hooks it is told to."""

    def __init__(self, world, id):
        self.world, self.id = world, id

    async def started(self):
        self.world.append(f"+{self.id}")
        await trio.sleep(0.01)
        if self.id in "ad" and self.context.incarnation == 2:
            raise Mute

    async def stopped(self, reason):
        self.world.append(f"-{self.id}")
        raise ExceptionGroup("several", [KeyError("one"), ExceptionGroup("more", [Mute()])])

    @handles(Boom)
    async def on_boom(self, msg):
        raise ValueError


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_hooks_that_raise_on_every_occasion_change_neither_order_nor_budget(strategy, autojump_clock):
    world = []
    specs = [ChildSpec(id=id, factory=lambda id=id: Bomb(world, id)) for id in "abcd"]
    with no_leaks():
        async with open_system(children=specs, strategy=strategy, intensity=9) as system:
            for id in "abcd":
                system.ref(id).tell(Boom())
                await trio.sleep(1)
            assert all(info.state is ActorState.RUNNING for info in await system.root.which_children())
            world.append("|")
    assert world[-5:] == ["|", "-d", "-c", "-b", "-a"]


class Exits(Actor):
    def __init__(self, where):
        self.where = where

    async def started(self):
        if self.where == "started":
            raise SystemExit(3)

    async def stopped(self, reason):
        if self.where == "stopped":
            raise SystemExit(3)


@pytest.mark.parametrize("where", ["started", "stopped"])
async def test_an_exit_in_a_hook_stops_the_others_in_order_and_comes_out_bare(where, event_log, autojump_clock):
    children = [event_log.child("a"), event_log.child("b"), ChildSpec(id="x", factory=lambda: Exits(where))]
    with no_leaks(), pytest.raises(SystemExit) as left:
        async with open_system(children=children):
            pass
    assert left.value.code == 3
    event_log.expect("+a +b -b -a")


# storms of cancellations


@pytest.mark.parametrize("seed", range(6))
def test_a_storm_of_cancelled_askers_and_senders_leaves_nothing_behind(seed):
    async def storm():
        chance = random.Random(seed)
        mailbox = MailboxSpec(capacity=2)
        async with open_system(children=[plain("a", mailbox=mailbox)], intensity=math.inf) as system:
            ref = system.ref("a")

            async def client():
                for _ in range(5):
                    with trio.move_on_after(chance.random() * 0.3), suppress(ActorDied, AskTimeout, MailboxFull):
                        if chance.random() < 0.3:
                            await ref.send(Boom() if chance.random() < 0.3 else Untouchable())
                        else:
                            await ref.ask(Ask(chance.random() * 0.1), timeout=0.2)

            async with trio.open_nursery() as nursery:
                for _ in range(40):
                    nursery.start_soon(client)
            await trio.sleep(10)
            info = ref.info()
            assert (info.pending, info.waiting_on, info.current) == (0, None, None)
            assert (info.mailbox.user, info.mailbox.system, info.mailbox.blocked) == (0, 0, 0)
            assert system.statistics().alarms == 0
            assert await ref.ask(Ask()) == info.incarnation

    with schedule(seed):
        trio.run(storm, clock=trio.testing.MockClock(autojump_threshold=0))


# rings


class Ring(Actor):
    """Passes a question on to the next, or fills the next one's mailbox until it has to wait."""

    def __init__(self, errors, way):
        self.errors, self.way = errors, way

    @handles(Go)
    async def on_go(self, msg):
        await trio.sleep(1)  # so that all of them are in their handlers
        try:
            if self.way == "ask":
                await msg.to.ask(Ask(), timeout=1000)
            else:
                while msg.to.tell(Untouchable()):
                    pass
                await msg.to.send(Untouchable())
        except (AskCycle, AskSelf) as error:
            self.errors.append(error)

    @handles(Ask)
    async def on_ask(self, msg):
        return 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("way", ["ask", "send"])
def test_actors_in_a_ring_that_wait_for_each_other_are_told_whatever_they_wait_for(way, size, seed):
    errors = []

    async def main():
        names = [f"r{n}" for n in range(size)]
        spec = MailboxSpec(capacity=2)
        children = [ChildSpec(id=id, factory=lambda: Ring(errors, way), mailbox=spec) for id in names]
        async with open_system(children=children) as system:
            for n, name in enumerate(names):
                system.ref(name).tell(Go(system.ref(names[(n + 1) % size])))
            with trio.fail_after(10):
                await trio.sleep(5)
            assert [system.ref(name).info().waiting_on for name in names] == [None] * size

    with schedule(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(errors) == 1
    if size > 1:
        assert len(errors[0].path) == size + 1
    assert "wait" in str(errors[0])


async def test_an_actor_cannot_wait_for_its_own_end(autojump_clock):
    seen = []

    class Suicidal(Actor):
        @handles(Go)
        async def on_go(self, msg):
            try:
                await self.context.parent.terminate_child("a", timeout=1000)
            except AskCycle as error:
                seen.append(error.path)

    async with open_system(children=[ChildSpec(id="a", factory=Suicidal)]) as system:
        system.ref("a").tell(Go())
        await trio.sleep(20)
        assert seen == [("system", "a", "system")]
        assert system.ref("a").info().state is ActorState.STOPPED
        assert trio.current_time() == 20


# everybody wants something else of the same child


@pytest.mark.parametrize("seed", range(8))
def test_a_child_that_is_started_stopped_restarted_and_deleted_at_once_ends_in_one_clear_state(seed):
    async def main():
        chance = random.Random(seed)
        with no_leaks():
            async with open_system(children=[plain("stays")], intensity=math.inf) as system:
                root = system.root

                async def meddle():
                    for _ in range(12):
                        await trio.sleep(chance.random() * 0.05)
                        deed = chance.randrange(6)
                        with suppress(StartError, UnknownChild, DuplicateChild, ActorDied), trio.move_on_after(0.03):
                            if deed == 0:
                                await root.start_child(plain("x", backoff=Backoff(base=0.01, max_delay=0.02)))
                            elif deed == 1:
                                await root.terminate_child("x", drain=0.01)
                            elif deed == 2:
                                await root.restart_child("x")
                            elif deed == 3:
                                await root.delete_child("x")
                            elif deed == 4 and (ref := system.find("x")):
                                ref.tell(Boom())
                            elif ref := system.find("x"):
                                await ref.ask(Ask(0.01), timeout=0.02)

                async with trio.open_nursery() as nursery:
                    for _ in range(8):
                        nursery.start_soon(patient, meddle)
                await trio.sleep(5)
                states = {child.id: child.state for child in await root.which_children()}
                assert states.pop("stays") is ActorState.RUNNING
                assert states.get("x", ActorState.STOPPED) in (ActorState.RUNNING, ActorState.STOPPED)
                assert ("x" in states) == ("x" in system.names())
                counts = await root.count_children()
                assert counts.active == 1 + (states.get("x") is ActorState.RUNNING)

    with schedule(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def patient(deed):
    with suppress(AskTimeout):
        await deed()


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.5, 0.9, 1.0])
async def test_asking_for_a_restart_while_the_child_is_being_terminated_waits_and_then_restarts(moment, autojump_clock):
    class Stubborn(Plain):
        async def stopped(self, reason):
            await trio.sleep(1)

    async with open_system(children=[ChildSpec(id="a", factory=Stubborn)]) as system, trio.open_nursery() as nursery:
        nursery.start_soon(system.root.terminate_child, "a")
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(moment)
        ref = await system.root.restart_child("a")
        assert ref == system.ref("a")
        assert await ref.ask(Ask()) == 2
        assert ref.info().restarts == 0


# floods


@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda overflow: overflow.value)
async def test_a_flood_is_bounded_and_every_message_accounted_for(overflow, autojump_clock):
    handled = []

    class Sink(Actor):
        @handles(Go)
        async def on_go(self, msg):
            handled.append(msg.to)

    key = None if overflow is not Overflow.CONFLATE else lambda msg: msg.to % 70
    spec = ChildSpec(id="a", factory=Sink, mailbox=MailboxSpec(capacity=50, overflow=overflow, key=key))
    async with open_system(children=[spec]) as system:
        ref = system.ref("a")
        sent = sum(bool(ref.tell(Go(n))) for n in range(20_000))
        assert ref.info().mailbox.user == 50
        await trio.sleep(1)
        lost = system.dead_letters.total()
        assert len(handled) + lost == 20_000
        if overflow in (Overflow.DROP_OLDEST, Overflow.CONFLATE):
            assert sent == 20_000
            assert sorted(handled) == list(range(19_950, 20_000))
        else:
            assert (sent, handled) == (50, list(range(50)))
        assert len(system.dead_letters.latest()) == 256


# churn


async def test_ten_thousand_children_come_and_go_and_leave_nothing(autojump_clock):
    async with open_system(
        children=[ChildSpec(id="many", factory=lambda: DynamicSupervisor(max_children=20))]
    ) as system:
        many = system.ref("many")
        living = []
        for n in range(10_000):
            living.append(await many.start_child(plain(f"c{n}", restart=Restart.TEMPORARY)))
            if len(living) == 20:
                with pytest.raises(TooManyChildren):
                    await many.start_child(plain("one_too_many"))
                for k, ref in enumerate(living):
                    if k % 2:
                        ref.tell(Boom())
                    else:
                        await many.terminate_child(ref.name.split("/")[1])
                await trio.testing.wait_all_tasks_blocked()
                living.clear()
        assert system.names() == ("many",)
        assert many.info().mailbox.system == 0
        assert system.statistics().alarms == 0
        assert trio.lowlevel.current_statistics().tasks_living < 10
        gc.collect()
        # Those whose crash the ring of dead letters shows: their frames are part of the traceback.
        assert sum(type(thing) is Plain for thing in gc.get_objects()) <= 256


# those who look on


async def test_an_observer_that_causes_what_it_observes_and_then_fails_is_removed_and_harms_nobody(autojump_clock):
    async with open_system(children=[plain("a")]) as system:
        ref = system.ref("a")
        await system.root.terminate_child("a")
        calls = []

        def vicious(letter):
            calls.append(letter)
            ref.tell(Go())
            raise ValueError

        system.dead_letters.observe(vicious)
        assert not ref.tell(Go())
        before = len(calls)
        assert not ref.tell(Go())
        assert len(calls) == before > 1


async def test_a_report_that_makes_its_observer_report_and_fail_harms_no_supervisor(autojump_clock):
    async with open_system(children=[plain("a")]) as system:

        def vicious(report):
            system.telemetry.emit(report)
            raise ValueError

        system.telemetry.observe(vicious)
        system.ref("a").tell(Boom())
        await trio.sleep(1)
        assert await system.ref("a").ask(Ask()) == 2


async def test_who_wants_to_know_of_a_closing_cannot_take_the_supervisor_down(autojump_clock, caplog):
    caplog.set_level("ERROR", logger="supervisor")
    seen = []
    async with open_system(children=[plain("a"), plain("b")]) as system:
        system.ref("a").when_closed(lambda: 1 / 0)
        system.ref("a").when_closed(lambda: seen.append("closed"))
        await system.root.terminate_child("a")
        assert seen == ["closed"]
        assert await system.ref("b").ask(Ask()) == 1
    assert "what was to be done when 'a' is closed failed" in caplog.text


# the stash


class Hoarder(Actor):
    @handles(Go)
    async def on_go(self, msg):
        for _ in range(msg.to):
            self.context.stash()
        if msg.to == 1:
            raise ValueError("after having stashed it")
        return self.context.stash()


@pytest.mark.parametrize("capacity", [1, 5])
async def test_a_message_stashed_more_than_once_or_by_a_handler_that_fails_counts_once(capacity, autojump_clock):
    mailbox = MailboxSpec(capacity=capacity)
    async with open_system(children=[ChildSpec(id="a", factory=Hoarder, mailbox=mailbox)]) as system:
        ref = system.ref("a")
        ref.tell(Go(3))
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Go(1))
        await trio.sleep(1)
        assert ref.info().incarnation == 2
        await system.root.terminate_child("a")
        counts = system.dead_letters.counts()
        # The first waits in the stash until the end. The second was one too many for a stash of one, else it failed.
        assert (
            counts == {(Why.STASH_FULL, "Go"): 1, (Why.STOPPED, "Go"): 1}
            if capacity == 1
            else counts
            == {
                (Why.FAILED, "Go"): 1,
                (Why.STOPPED, "Go"): 1,
            }
        )


async def test_the_stash_is_for_handlers_only(autojump_clock):
    class Eager(Actor):
        async def started(self):
            self.context.stash()

    with pytest.raises(SystemFailed) as failed:
        async with open_system(children=[ChildSpec(id="a", factory=Eager)]):
            raise AssertionError("it opened")
    assert "stash() outside of a handler" in str(failed.value)


# fates tied together


@pytest.mark.parametrize("seed", range(4))
def test_a_net_of_links_and_watches_tears_as_a_whole_and_mends(seed):
    downs = []

    class Knot(Plain):
        async def started(self):
            for n in range(6):
                ref = self.context.find(f"k{n}") if system_names(self, n) else None
                if ref is not None and ref != self.context.self_ref:
                    self.context.watch(ref)
                    if ref.info().state is ActorState.RUNNING:
                        self.context.link(ref)

        @handles(Down)
        async def on_down(self, msg):
            downs.append((self.context.name, msg.ref.name, msg.incarnation))

    def system_names(actor, n):
        return f"k{n}" < actor.context.name

    async def main():
        with no_leaks():
            children = [ChildSpec(id=f"k{n}", factory=Knot) for n in range(6)]
            async with open_system(children=children, intensity=math.inf) as system:
                for _ in range(5):
                    system.ref(f"k{seed % 6}").tell(Boom())
                    await trio.sleep(1)
                    infos = [system.ref(f"k{n}").info() for n in range(6)]
                    assert {info.state for info in infos} == {ActorState.RUNNING}
                ends = [info.last_end for info in infos]
                assert all(end.kind is ExitKind.CRASH for end in ends)
                assert all(isinstance(end.error, ValueError | LinkBroken) for end in ends)
                assert len(downs) == len(set(downs))  # never twice of one incarnation

    with schedule(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_a_tree_a_hundred_supervisors_deep_starts_escalates_and_stops(autojump_clock):
    def nested(depth):
        below = plain("x") if depth == 0 else ChildSpec(id="x", factory=lambda: nested(depth - 1))
        return Supervisor([below], intensity=0)

    name = "/".join("x" * 102)

    async def crash_at_the_bottom():
        async with open_system(children=[ChildSpec(id="x", factory=lambda: nested(100))], intensity=0) as system:
            assert len(system.names()) == 102
            system.ref(name).tell(Boom(KeyError("deep")))
            await trio.sleep(60)

    with no_leaks(), pytest.raises(SystemFailed) as failed:
        await crash_at_the_bottom()
    assert isinstance(failed.value.__cause__, KeyError)


async def test_what_is_nobodys_business_is_answered_with_what_is(autojump_clock):
    async with open_system(children=[plain("a")], auto_shutdown=AutoShutdown.NEVER) as system:
        with pytest.raises(Unhandled, match="it handles Boom, Ask"):
            await system.ref("a").start_child(plain("b"))
        with pytest.raises(Unhandled):
            await system.ref("a").ask("not a request")
        assert system.ref("a").info().incarnation == 1
