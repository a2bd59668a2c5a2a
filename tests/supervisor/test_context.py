"""What a context gives out, and what becomes of it: replies, logs, side tasks, timers, watches, links."""

import math

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.backoff import Backoff
from supervisor.errors import LinkBroken
from supervisor.mailbox import Why
from supervisor.message import DEFERRED
from supervisor.reason import ExitKind
from supervisor.ref import Down
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system
from supervisor.testing import Crash, Do, Ping, Quit, no_leaks


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
    assert kept[0] <= 3


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


# what a context does in unusual moments


@attrs.frozen
class Work:
    number: int


class Patient(Actor):
    """Puts its work aside until it is ready."""

    def __init__(self, done):
        self.done = done
        self.ready = False

    @handles(Work)
    async def on_work(self, msg: Work) -> None:
        if not self.ready:
            return self.context.stash()
        self.done.append(msg.number)

    async def prepare(self):
        await trio.sleep(5)
        self.ready = True
        assert self.context.unstash_all() == 2


async def test_a_side_task_may_unstash_while_the_actor_sleeps(autojump_clock):
    done = []

    class Connected(Patient):
        async def started(self) -> None:
            self.context.spawn(self.prepare)

    async with open_system(children=[ChildSpec(id="a", factory=lambda: Connected(done))]) as system:
        system.ref("a").tell(Work(1))
        system.ref("a").tell(Work(2))
        await trio.sleep(6)
        assert done == [1, 2]


async def test_a_stashed_tick_comes_back_as_its_message(autojump_clock):
    done = []

    class Timed(Patient):
        async def started(self) -> None:
            self.context.timer(Work(1), after=1)
            self.repeating = self.context.every(Work(2), period=2)
            self.context.spawn(self.prepare_at_three)

        async def prepare_at_three(self):
            await trio.sleep(3)
            self.repeating.cancel()
            self.ready = True
            self.context.unstash_all()

    async with open_system(children=[ChildSpec(id="a", factory=lambda: Timed(done))]) as system:
        await trio.sleep(10)
        assert done == [1, 2]
        assert system.dead_letters.total() == 0


@pytest.mark.parametrize("after", [math.nan, -1.0])
async def test_a_grid_that_begins_at_no_time_is_refused_where_it_is_asked_for(event_log, autojump_clock, after):
    refused = []

    async def every(actor):
        with pytest.raises(ValueError, match="after="):
            actor.context.every(Quit(), period=1, after=after)
        refused.append(after)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(every))
        await trio.sleep(5)
        assert len(refused) == 1
        event_log.expect("+a")


async def test_the_context_of_an_incarnation_that_has_ended_starts_nothing_and_stops_nobody(event_log, autojump_clock):
    kept = []

    async def keep(actor):
        kept.append(actor.context)

    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        ref.tell(Do(keep))
        ref.tell(Crash())
        await trio.sleep(1)
        (old,) = kept
        alarms = system.statistics().alarms
        for attempt in (
            lambda: old.spawn(trio.sleep_forever),
            lambda: old.timer(Quit(), after=1),
            lambda: old.every(Quit(), period=1),
        ):
            with pytest.raises(RuntimeError, match="incarnation of 'a' that has ended"):
                attempt()
        old.stop()
        await trio.sleep(5)
        assert (ref.info().incarnation, system.statistics().alarms) == (2, alarms)


async def test_who_began_to_watch_between_two_lives_learns_that_there_is_no_next_one(event_log, autojump_clock):
    downs = []

    class Watcher(Actor):
        async def started(self) -> None:
            await trio.sleep(1)
            self.context.watch(self.context.find("a"))

        @handles(Down)
        async def on_down(self, msg: Down) -> None:
            downs.append((msg.incarnation, msg.reason.kind))

    slow = Backoff(base=10.0, max_delay=10.0)
    async with open_system(children=[event_log.child("a", backoff=slow)], intensity=math.inf) as system:
        system.ref("a").tell(Crash())
        await system.root.start_child(ChildSpec(id="w", factory=Watcher))
        assert downs == []
        await system.root.terminate_child("a")
        await trio.sleep(1)
        assert downs == [(1, ExitKind.CRASH)]
