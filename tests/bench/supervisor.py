"""The actor runtime beside what a trio user would write instead. Same work, same process, paired rounds.

Every ratio is a median of seven rounds in which variant and base run one after the other; the absolute figures are
only there to be read side by side. Bases: a trio memory channel(1000), an asyncio.Queue(1000), a bare `start_soon`,
and pykka. Below them, where the two limits lie: what trio alone needs for a message at a time, and for a life.

    python -m tests.bench supervisor
"""

import asyncio
import gc
import importlib.metadata
import logging
import math
import os
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio
import trio.testing

from supervisor.actor import Actor, handles
from supervisor.dynamic import DynamicSupervisor
from supervisor.message import Request
from supervisor.spec import ChildSpec
from supervisor.system import open_system

ROUNDS = 7
clock = time.perf_counter


@attrs.frozen
class Note:
    n: int


@attrs.frozen
class Double(Request[int]):
    n: int


@attrs.frozen
class Halt:
    pass


class Counter(Actor):
    def __init__(self) -> None:
        self.seen = 0

    @handles(Note)
    async def on_note(self, msg: Note) -> None:
        self.seen += 1

    @handles(Double)
    async def on_double(self, msg: Double) -> int:
        return msg.n * 2


NOTE = Note(1)

# telling


async def tell_actor(messages: int, burst: int) -> float:
    counter = Counter()
    async with open_system(children=[ChildSpec(id="counter", factory=lambda: counter)]) as system:
        ref = system.ref("counter")
        waiting = ref._cell.mailbox.user
        await trio.testing.wait_all_tasks_blocked()
        start = clock()
        for _ in range(messages // burst):
            for _ in range(burst):
                ref.tell(NOTE)
            await trio.lowlevel.checkpoint()
            # The actor takes 64 between two checkpoints: a faster producer has to look back, or it fills the mailbox.
            while len(waiting) > 500:
                await trio.lowlevel.checkpoint()
        while counter.seen < messages:
            await trio.lowlevel.checkpoint()
        return messages / (clock() - start)


async def tell_channel(messages: int, burst: int) -> float:
    send, receive = trio.open_memory_channel[Note](1000)
    seen = 0

    async def consume() -> None:
        nonlocal seen
        async for _ in receive:
            seen += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await trio.testing.wait_all_tasks_blocked()
        start = clock()
        for _ in range(messages // burst):
            for _ in range(burst):
                await send.send(NOTE)
        while seen < messages:
            await trio.lowlevel.checkpoint()
        took = clock() - start
        await send.aclose()
    return messages / took


async def tell_bare(messages: int) -> float:
    """The least that trio needs for one message at a time: a deque, and one task that wakes another."""
    waiting: deque[Note] = deque()
    parked: trio.lowlevel.Task | None = None
    seen = 0

    def give_up(_raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        return trio.lowlevel.Abort.SUCCEEDED

    async def consume() -> None:
        nonlocal parked, seen
        me = trio.lowlevel.current_task()
        while True:
            while waiting:
                waiting.popleft()
                seen += 1
            parked = me
            await trio.lowlevel.wait_task_rescheduled(give_up)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await trio.testing.wait_all_tasks_blocked()
        start = clock()
        for _ in range(messages):
            waiting.append(NOTE)
            if parked is not None:
                trio.lowlevel.reschedule(parked)
                parked = None
            await trio.lowlevel.checkpoint()
        while seen < messages:
            await trio.lowlevel.checkpoint()
        took = clock() - start
        nursery.cancel_scope.cancel()
    return messages / took


def tell_asyncio(messages: int, burst: int) -> float:
    async def main() -> float:
        queue: asyncio.Queue[Note] = asyncio.Queue(1000)
        seen = 0

        async def consume() -> None:
            nonlocal seen
            while True:
                await queue.get()
                seen += 1

        task = asyncio.create_task(consume())
        await asyncio.sleep(0)
        start = clock()
        for _ in range(messages // burst):
            for _ in range(burst):
                await queue.put(NOTE)
            await asyncio.sleep(0)
        while seen < messages:  # noqa: ASYNC110 - spinning is the base being measured
            await asyncio.sleep(0)
        took = clock() - start
        task.cancel()
        return messages / took

    return asyncio.run(main())


def tell_pykka(messages: int) -> float:
    """A pykka actor is a thread with an unbounded queue: its producer runs freely, which is its best case."""
    import pykka

    done = threading.Event()

    class Counted(pykka.ThreadingActor):
        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def on_receive(self, message: object) -> None:
            self.seen += 1
            if self.seen == messages:
                done.set()

    ref = Counted.start()
    start = clock()
    for _ in range(messages):
        ref.tell(NOTE)
    done.wait()
    took = clock() - start
    ref.stop()
    return messages / took


# asking


def ask_pykka(times: int) -> float:
    import pykka

    class Doubling(pykka.ThreadingActor):
        def on_receive(self, message: Double) -> int:
            return message.n * 2

    ref = Doubling.start()
    question = Double(21)
    start = clock()
    for _ in range(times):
        ref.ask(question, timeout=5.0)
    took = clock() - start
    ref.stop()
    return times / took


async def ask_actor(times: int) -> float:
    async with open_system(children=[ChildSpec(id="counter", factory=Counter)]) as system:
        ref = system.ref("counter")
        question = Double(21)
        start = clock()
        for _ in range(times):
            await ref.ask(question, timeout=5.0)
        return times / (clock() - start)


async def ask_channel(times: int) -> float:
    """A request over a channel(1000) with its own reply channel(1), without any deadline."""
    send, receive = trio.open_memory_channel[tuple[int, trio.MemorySendChannel[int]]](1000)

    async def serve() -> None:
        async for n, reply in receive:
            await reply.send(n * 2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        start = clock()
        for _ in range(times):
            reply_send, reply_receive = trio.open_memory_channel[int](1)
            await send.send((21, reply_send))
            await reply_receive.receive()
        took = clock() - start
        await send.aclose()
    return times / took


# restarting


class Fragile(Actor):
    """Sends itself what kills it, until it has lived often enough."""

    def __init__(self, lives: int, done: trio.Event) -> None:
        self.lives = lives
        self.done = done

    async def started(self) -> None:
        if self.context.incarnation > self.lives:
            self.done.set()
        else:
            self.context.self_ref.tell(NOTE)

    @handles(Note)
    async def on_note(self, msg: Note) -> None:
        raise ValueError


async def restart_actor(times: int) -> float:
    """Crash, exit reason, dead letter, report, decision, new incarnation, acknowledged start: all of it, per second."""
    done = trio.Event()
    start = clock()
    async with open_system(
        children=[ChildSpec(id="fragile", factory=lambda: Fragile(times, done))], intensity=math.inf
    ):
        await done.wait()
        return times / (clock() - start)


async def restart_alone(times: int) -> float:
    """The least that trio needs for a life that may be cancelled: a task with a scope that fails, and is noticed."""
    parked: trio.lowlevel.Task | None = None

    def give_up(_raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        return trio.lowlevel.Abort.SUCCEEDED

    async def child(scope: trio.CancelScope) -> None:
        with suppress(ValueError), scope:
            raise ValueError
        if parked is not None:
            trio.lowlevel.reschedule(parked)

    async with trio.open_nursery() as nursery:
        start = clock()
        for _ in range(times):
            nursery.start_soon(child, trio.CancelScope(shield=True))
            parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(give_up)
        return times / (clock() - start)


async def restart_bare(times: int) -> float:
    """The base: start a task, and wait until it has ended."""
    ended = trio.Event()

    async def child() -> None:
        await trio.lowlevel.checkpoint()
        ended.set()

    async with trio.open_nursery() as nursery:
        start = clock()
        for _ in range(times):
            ended = trio.Event()
            nursery.start_soon(child)
            await ended.wait()
        return times / (clock() - start)


# memory and the stop


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def idle_actors(number: int) -> float:
    """Bytes per idle actor."""
    async with open_system(children=[ChildSpec(id="many", factory=DynamicSupervisor)]) as system:
        many = system.ref("many")
        await many.start_child(ChildSpec(id="first", factory=Counter))
        gc.collect()
        before = resident()
        for n in range(number):
            await many.start_child(ChildSpec(id=f"a{n}", factory=Counter), timeout=60)
        gc.collect()
        return (resident() - before) / number


class Slow(Actor):
    def __init__(self, ended: list[float]) -> None:
        self.ended = ended

    @handles(Note)
    async def on_note(self, msg: Note) -> None:
        until = clock() + 20e-6
        while clock() < until:
            pass

    @handles(Halt)
    async def on_halt(self, msg: Halt) -> None:
        self.ended.append(clock())


async def stop_overtakes(queued: int) -> float:
    """Seconds from an urgent message to its handling, behind `queued` messages of 20 µs each."""
    from supervisor.mailbox import MailboxSpec

    ended: list[float] = []
    spec = ChildSpec(id="slow", factory=lambda: Slow(ended), mailbox=MailboxSpec(capacity=queued + 1), shutdown=0.0)
    async with open_system(children=[spec]) as system:
        ref = system.ref("slow")
        for _ in range(queued):
            ref.tell(NOTE)
        await trio.lowlevel.checkpoint()
        start = clock()
        ref.tell(Halt(), urgent=True)
        while not ended:
            await trio.lowlevel.checkpoint()
        return ended[0] - start


# printing


def run(fn: Callable[..., Awaitable[float]], *args: int) -> float:
    return trio.run(fn, *args)


def ratio(variant: Callable[[], float], base: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of variant, base and their quotient, over paired rounds."""
    pairs = [(variant(), base()) for _ in range(ROUNDS)]
    middle = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return middle[0], middle[1], statistics.median(one / two for one, two in pairs)


def line(what: str, base: str, figures: tuple[float, float, float], goal: str) -> None:
    variant, other, quotient = figures
    print(f"{what:<34} {variant:>12,.0f}/s  {base:<26} {other:>12,.0f}/s  × {quotient:6.2f}   goal {goal}")


def against_pykka(n: int) -> None:
    base = f"pykka {importlib.metadata.version('pykka')}"
    for burst, goal in ((100, "≥ 3"), (1, "none")):
        figures = ratio(lambda: run(tell_actor, n, burst), lambda: tell_pykka(n))  # noqa: B023
        line(f"tell through an actor, burst {burst}", base, figures, goal)
    line("ask with deadline and monitor", base, ratio(lambda: run(ask_actor, 5000), lambda: ask_pykka(5000)), "none")


def main() -> None:
    logging.disable(logging.CRITICAL)
    print(f"Python {sys.version.split()[0]}, trio {trio.__version__}, medians of {ROUNDS} paired rounds")
    n = 50_000
    for burst, goal in ((100, "≥ 12"), (1, "none")):
        figures = ratio(lambda: run(tell_actor, n, burst), lambda: run(tell_channel, n // 5, burst))  # noqa: B023
        line(f"tell through an actor, burst {burst}", "trio channel(1000)", figures, goal)
    for burst, goal in ((100, "≥ 1"), (1, "≥ 1")):
        figures = ratio(lambda: run(tell_actor, n, burst), lambda: tell_asyncio(n, burst))  # noqa: B023
        line(f"tell through an actor, burst {burst}", "asyncio.Queue(1000)", figures, goal)
    limit = ratio(lambda: run(tell_bare, n), lambda: tell_asyncio(n, 1))
    line("  limit: trio alone, burst 1", "asyncio.Queue(1000)", limit, "–")
    against_pykka(n)
    line(
        "ask with deadline and monitor",
        "reply over a channel",
        ratio(lambda: run(ask_actor, 5000), lambda: run(ask_channel, 5000)),
        "≥ 1.5",
    )
    line(
        "crash and restart",
        "bare start_soon",
        ratio(lambda: run(restart_actor, 2000), lambda: run(restart_bare, 2000)),
        "≥ 0.35",
    )
    limit = ratio(lambda: run(restart_alone, 2000), lambda: run(restart_bare, 2000))
    line("  limit: trio alone, with a scope", "bare start_soon", limit, "–")
    overtakes = statistics.median(run(stop_overtakes, 10_000) for _ in range(ROUNDS))
    print(f"urgent message behind 10,000 × 20 µs: {overtakes * 1000:.3f} ms   goal < 1 ms")
    print(f"memory per idle actor at 10,000: {run(idle_actors, 10_000):,.0f} B   goal ≤ 6,000 B")


if __name__ == "__main__":
    main()
