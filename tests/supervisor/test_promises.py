"""What trio really does (each trap measured), and the promises of this package that no other page tests by name."""

# ruff: noqa: PT012 - a system is opened, used and left inside the block that expects its error

import ast
import signal
import threading
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from trio._core import _run

from supervisor.actor import Actor, handles
from supervisor.cell import LIFE, ActorState
from supervisor.errors import ActorDied, AskCycle, SystemFailed
from supervisor.mailbox import MailboxSpec, Why
from supervisor.message import Request
from supervisor.policy import AutoShutdown
from supervisor.reason import ExitKind, leaves
from supervisor.ref import Ref
from supervisor.spec import BRUTAL, ChildSpec, Restart
from supervisor.supervision import Strategy, Supervisor
from supervisor.system import open_system
from supervisor.telemetry import Event
from supervisor.testing import Crash, Do, EventLog, Hold, Ping, Quit, explore

SOURCES = sorted((Path(__file__).resolve().parents[2] / "supervisor").glob("*.py"))


async def settle():
    await trio.testing.wait_all_tasks_blocked()


# where exception groups appear


async def test_trio_wraps_a_childs_error_into_a_group_and_a_supervisor_never_shows_one(event_log, autojump_clock):
    async def fails():
        raise KeyError

    with pytest.raises(ExceptionGroup):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
    with pytest.raises(SystemFailed) as failed:
        async with open_system(children=[event_log.child("a")], intensity=0) as system:
            system.ref("a").tell(Crash())
            await trio.sleep_forever()
    assert isinstance(failed.value.__cause__, ValueError)


async def test_of_a_handler_with_a_nursery_of_its_own_the_error_is_found_and_the_cancellations_are_not(
    event_log, autojump_clock
):
    async def fail():
        raise ConnectionError

    async def work(actor):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail)

    async with open_system(children=[event_log.child("a")]) as system:
        system.ref("a").tell(Do(work))
        reason = await system.ref("a").wait_ended()
        assert [type(leaf) for leaf in leaves(reason.error)] == [ConnectionError]


# how a cancelled child may end: each of them has its reason


async def cancelled_child(event_log, action, **options):
    seen = []
    async with open_system(children=[event_log.child("a", shutdown=1, **options)]) as system:
        system.telemetry.observe(lambda report: seen.append(report.event))
        system.ref("a").tell(Do(action))
        await settle()
        await system.root.terminate_child("a")
        return system.ref("a").info().last_end.kind, seen[-1]


async def test_a_cancelled_child_that_lets_it_pass_ended_as_cancelled(event_log, autojump_clock):
    async def action(actor):
        await trio.sleep_forever()

    assert await cancelled_child(event_log, action) == (ExitKind.CANCELLED, Event.CHILD_CANCELLED)


async def test_a_cancelled_child_that_swallows_it_finds_its_stop_and_ended_by_shutdown(event_log, autojump_clock):
    async def action(actor):
        with pytest.raises(trio.Cancelled):
            await trio.sleep_forever()

    assert await cancelled_child(event_log, action) == (ExitKind.SHUTDOWN, Event.CHILD_STOPPED)


async def test_a_cancelled_child_whose_clean_up_raises_has_crashed_and_it_is_a_shutdown_error(
    event_log, autojump_clock
):
    async def action(actor):
        try:
            await trio.sleep_forever()
        finally:
            raise OSError

    assert await cancelled_child(event_log, action) == (ExitKind.CRASH, Event.SHUTDOWN_ERROR)


async def test_a_child_may_clean_up_under_a_shield_with_a_deadline_of_its_own(event_log, autojump_clock):
    async def action(actor):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await trio.sleep_forever()

    assert (await cancelled_child(event_log, action))[0] is ExitKind.CANCELLED
    assert trio.current_time() == 3


async def test_a_cancelled_child_can_read_who_cancelled_it_and_why(event_log, autojump_clock):
    read = []

    async def action(actor):
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            read.append(cancelled.reason)
            raise

    await cancelled_child(event_log, action)
    assert read == ["supervisor system: shutdown deadline"]


async def test_a_cancellation_belongs_to_one_incarnation(event_log, autojump_clock):
    """A cancel scope works once: the next incarnation has a new one."""
    async with open_system(children=[event_log.child("a", shutdown=BRUTAL)]) as system:
        await system.root.terminate_child("a")
        await system.root.restart_child("a")
        await trio.sleep(10)
        assert await system.ref("a").ask(Ping()) == "a#2"


async def test_catching_every_cancellation_cannot_keep_a_child_alive_or_make_it_spin(event_log, autojump_clock):
    """Trio delivers `Cancelled` at every checkpoint: a loop that ignores it spins, one that gives up ends."""
    rounds = []

    async def stubborn(actor):
        for _ in range(3):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                rounds.append(trio.current_time())

    assert (await cancelled_child(event_log, stubborn))[0] is ExitKind.SHUTDOWN
    assert rounds == [1, 1, 1]


# what trio's kit and scheduler do and do not


async def test_an_autojump_clock_does_not_see_threads():
    """Five virtual seconds pass while a thread does its work: never autojump with threads or sockets."""

    async def main():
        passed = threading.Event()

        async def pass_time():
            await trio.sleep(5)
            passed.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_time)
            return await trio.to_thread.run_sync(passed.wait, 60)

    clock = trio.testing.MockClock(autojump_threshold=0)
    assert await trio.to_thread.run_sync(lambda: trio.run(main, clock=clock))


def test_trio_by_itself_only_ever_reverses_whole_batches(monkeypatch):
    """Two of the 24 orders of four tasks: an ordinary run finds next to no race."""
    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", False)

    async def order():
        names = []

        async def task(name):
            names.append(name)

        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(task, name)
        return "".join(names)

    assert {trio.run(order) for _ in range(100)} <= {"abcd", "dcba"}


def test_no_cancel_scope_is_left_open_over_a_yield():
    """A scope or nursery in an async generator may be closed by another task: only context managers may yield here."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(n, ast.Yield) for n in ast.walk(node)):
                marks = {ast.unparse(decorator) for decorator in node.decorator_list}
                assert marks & {"asynccontextmanager", "pytest.fixture"}, f"{path.name}: {node.name}"


def test_nobody_is_started_with_nursery_start_but_the_signal_receiver():
    used = [path.name for path in SOURCES if "nursery.start(" in path.read_text()]
    assert used == ["system.py"]


# asking


@attrs.frozen
class Pass(Request[str]):
    to: tuple[str, ...]


class Passing(Actor):
    @handles(Pass)
    async def on_pass(self, msg: Pass) -> str:
        if not msg.to:
            return self.context.name
        return await self.context.find(msg.to[0]).ask(Pass(msg.to[1:]), timeout=1000)


@pytest.mark.parametrize("ring", [("b", "a"), ("b", "c", "a"), ("b", "c", "d", "a"), ("b", "c", "b")])
async def test_a_ring_of_two_three_or_four_actors_is_refused_at_once_and_named(autojump_clock, ring):
    async with open_system(children=[ChildSpec(id=id, factory=Passing) for id in "abcd"]) as system:
        with pytest.raises(ActorDied) as died:
            await system.ref("a").ask(Pass(ring), timeout=1000)
        cause = died.value
        while isinstance(cause, ActorDied):
            cause = cause.reason.error
        assert isinstance(cause, AskCycle)
        assert cause.path[0] == cause.path[-1]
        assert set(cause.path) == set(ring) if ring[-1] == "a" else {"b", "c"}
        assert trio.current_time() == 0


def test_no_schedule_lets_three_actors_that_ask_each_other_at_once_wait_for_each_other():
    async def scenario():
        ended = []
        async with (
            open_system(children=[ChildSpec(id=id, factory=Passing) for id in "abc"], intensity=100) as system,
            trio.open_nursery() as nursery,
        ):

            async def ask(first, *rest):
                with suppress(ActorDied):
                    await system.ref(first).ask(Pass(rest), timeout=1000)
                ended.append(trio.current_time())

            nursery.start_soon(ask, "a", "b")
            nursery.start_soon(ask, "b", "c")
            nursery.start_soon(ask, "c", "a")
        assert len(ended) == 3
        return max(ended)

    assert max(explore(scenario, seeds=range(40), delays=False)) < 1


# supervisors


async def test_a_supervisor_knows_its_children_by_its_context(event_log, autojump_clock):
    knew = []

    class Proud(Supervisor):
        async def started(self) -> None:
            knew.extend(ref.name for ref in self.context.children)

    inner = ChildSpec(id="inner", factory=lambda: Proud([event_log.child("a"), event_log.child("b")]))

    async def look(actor):
        knew.append(actor.context.children)

    async with open_system(children=[inner]) as system:
        system.ref("inner/a").tell(Do(look))
        await settle()
    assert knew == ["inner/a", "inner/b", ()]


@pytest.mark.parametrize("auto", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
async def test_the_end_of_a_significant_child_caused_by_a_sibling_does_not_end_the_supervisor(
    event_log, autojump_clock, auto
):
    def inner():
        children = [event_log.child("a"), event_log.child("s", restart=Restart.TEMPORARY, significant=True)]
        return Supervisor(children, strategy=Strategy.ONE_FOR_ALL, auto_shutdown=auto)

    async with open_system(children=[ChildSpec(id="inner", factory=inner)]) as system:
        system.ref("inner/a").tell(Crash())
        await settle()
        assert system.find("inner/s") is None
        assert system.ref("inner").info().state is ActorState.RUNNING
        assert await system.ref("inner/a").ask(Ping()) == "a#2"


async def test_a_significant_child_that_comes_back_does_not_end_the_supervisor(event_log, autojump_clock):
    def inner():
        child = event_log.child("s", restart=Restart.TRANSIENT, significant=True)
        return Supervisor([child], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)

    async with open_system(children=[ChildSpec(id="inner", factory=inner)]) as system:
        system.ref("inner/s").tell(Crash())
        await settle()
        assert await system.ref("inner/s").ask(Ping()) == "s#2"


async def test_o22_a_stop_overtakes_what_waits_and_looking_needs_no_answer(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
        for _ in range(10):
            ref.tell(Hold(1))
        await settle()
        assert (ref.info().current, ref.info().mailbox.user) == ("Hold", 9)
        assert trio.current_time() == 0
        await system.root.terminate_child("a")
        assert trio.current_time() == 1  # o23: after the message in hand
        assert system.dead_letters.total(Why.STOPPED) == 9


async def test_blocked_senders_are_served_first_come_first_served_around_one_that_gave_up(event_log, autojump_clock):
    served = []
    async with open_system(children=[event_log.child("a", mailbox=MailboxSpec(capacity=1))]) as system:
        ref = system.ref("a")
        ref.tell(Hold(10))
        await settle()
        ref.tell(Hold(0))

        async def send(number, patience):
            async def note(actor):
                served.append(number)

            with trio.move_on_after(patience):
                await ref.send(Do(note))

        async with trio.open_nursery() as nursery:
            for number, patience in enumerate([100, 5, 100, 100]):
                nursery.start_soon(send, number, patience)
                await settle()
        await settle()
    assert served == [0, 2, 3]


async def test_a_ref_that_outlives_its_system_drops_what_it_is_told_and_knows_the_end(event_log, autojump_clock):
    async with open_system(children=[event_log.child("a")]) as system:
        ref = system.ref("a")
    assert isinstance(ref, Ref)
    assert ref.closed
    assert not ref.tell(Quit())
    assert await ref.wait_ended() is not None


async def test_signals_end_a_system_in_order_and_land_in_no_child(event_log):
    async with open_system(children=[event_log.child(id) for id in "ab"], signals=[signal.SIGTERM]) as system:
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()
    event_log.expect("+a +b -b -a")
    assert system.stop_reason.detail == "SIGTERM"


def test_the_table_of_states_has_no_dead_end_and_no_stranger():
    befores, afters = {before for before, _, _ in LIFE}, {after for _, _, after in LIFE}
    assert befores == afters == set(ActorState)


# what shows a crash also shows a schedule: seeds


def test_the_same_seed_gives_the_same_trace_and_other_seeds_give_others():
    async def scenario():
        log = EventLog()

        async def race(actor):
            log.add(actor.context.name)

        async with open_system(children=[log.child(id) for id in "abc"]) as system:
            for id in "abc":
                system.ref(id).tell(Do(race))
            await settle()
            system.ref("b").tell(Crash())
        return log.text

    first, second = explore(scenario, seeds=range(30)), explore(scenario, seeds=range(30))
    assert first == second
    assert len(set(first)) > 3
