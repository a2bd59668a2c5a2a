"""What an actor can do besides answering: its context, and the handles the context gives out."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVarTuple, cast

import trio

from supervisor.cell import IDLE, Aside, Ask, Cell, Stop, Tick
from supervisor.errors import LinkBroken
from supervisor.mailbox import Why
from supervisor.message import DEFERRED
from supervisor.reason import NORMAL, ExitKind, ExitReason
from supervisor.ref import Down, Ref
from supervisor.slot import Slot

__all__ = ["Context", "Reply", "SideTask", "Timer"]

Ts = TypeVarTuple("Ts")


class Timer:
    """A message this actor sends to itself. `cancel()` is final: no tick is delivered after it."""

    __slots__ = ("_tick",)

    def __init__(self, tick: Tick) -> None:
        self._tick = tick

    @property
    def active(self) -> bool:
        return self._tick.live

    def cancel(self) -> None:
        self._tick.cancel()


class SideTask:
    """A task living in an actor's scope: its crash crashes the actor, and the actor's end ends it."""

    __slots__ = ("_scope", "name", "task")

    def __init__(self, name: str) -> None:
        self.name = name
        self.task: trio.lowlevel.Task | None = None
        self._scope = trio.CancelScope(shield=True)

    def cancel(self) -> None:
        self._scope.cancel(reason=f"side task {self.name}: cancelled")


class Reply:
    """An answer to be given later. Not answered when the actor ends: the asker gets `ActorDied`."""

    __slots__ = ("_ask", "_context")

    def __init__(self, context: "Context", ask: Ask | None) -> None:
        self._context = context
        self._ask = ask

    @property
    def wanted(self) -> bool:
        """Is somebody still waiting?"""
        return self._ask is not None and not self._ask.done

    def send(self, answer: Any) -> bool:
        """False when nobody waits any more: the answer is dropped and counted."""
        return self._ask is not None and self._settle(self._ask, self._ask.resolve(answer))

    def refuse(self, error: BaseException) -> bool:
        return self._ask is not None and self._settle(self._ask, self._ask.fail(error))

    def _settle(self, ask: Ask, accepted: bool) -> bool:
        if not accepted:
            self._context.dead_letter(ask.message, Why.LATE_REPLY)
        return accepted


class Context:
    """An actor's door to the system, one per incarnation. Set before `started()`; not yet there in `__init__`."""

    __slots__ = (
        "_cell",
        "_kind",
        "_log",
        "_nursery",
        "_over",
        "_stash",
        "_tasks",
        "_tasks_gone",
        "_timers",
        "_watched",
    )

    def __init__(self, cell: Cell, nursery: trio.Nursery) -> None:
        self._cell = cell
        self._nursery = nursery
        self._over = False
        self._kind: type = object
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self._tasks: set[SideTask] | None = None
        self._tasks_gone: Slot | None = None
        self._timers: list[Tick] | None = None
        self._stash: deque[Any] | None = None
        self._watched: set[Cell] | None = None

    @property
    def self_ref(self) -> Ref:
        return Ref(self._cell)

    @property
    def parent(self) -> Ref | None:
        """The supervisor's ref; None for the root."""
        return None if self._cell.parent is None else Ref(self._cell.parent)

    @property
    def children(self) -> tuple[Ref, ...]:
        """The refs of a supervisor's children, in the order they were added; none for any other actor."""
        return tuple(Ref(cell) for cell in self._cell.below.values())

    @property
    def name(self) -> str:
        return self._cell.path

    @property
    def incarnation(self) -> int:
        """1 for the first start, one more for every restart."""
        return self._cell.incarnation

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger named after the actor's class that knows its name and incarnation."""
        if self._log is None:
            facts: MutableMapping[str, object] = {"actor": self._cell.path, "incarnation": self._cell.incarnation}
            self._log = logging.LoggerAdapter(
                logging.getLogger(f"{self._kind.__module__}.{self._kind.__qualname__}"), facts
            )
        return self._log

    def find(self, name: str) -> Ref:
        """The actor registered under this name. Raises `UnknownActor`."""
        return Ref(self._cell.kernel.registry.look_up(name))

    # work beside the handlers

    def spawn(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts, name: str | None = None) -> SideTask:
        """Run `fn(*args)` beside the handlers, in this actor's scope. Raises `RuntimeError` once the incarnation has
        ended: nobody would stop the task any more."""
        self._must_live("spawn")
        label = name or getattr(fn, "__name__", "task")
        side = SideTask(f"{self._cell.path}:{label}")
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(side)
        self._nursery.start_soon(self._run_side, side, fn, args, name=side.name)
        return side

    async def _run_side(self, side: SideTask, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        side.task = trio.lowlevel.current_task()
        try:
            with side._scope:
                await fn(*args)
        except Exception as error:
            self._cell.fail(error)
        except BaseException as error:  # Ctrl-C or an exit lands in whatever task runs: the root deals with it
            self._cell.kernel.interrupt(error)
        finally:
            cast("set[SideTask]", self._tasks).discard(side)
            if not self._tasks and self._tasks_gone is not None:
                self._tasks_gone.resolve(None)

    # messages to itself

    def timer(self, message: object, *, after: float) -> Timer:
        """Tell `message` to this actor once, `after` seconds from now, in the system lane."""
        if not after >= 0:
            raise ValueError(f"after={after}: must be seconds of at least 0")
        self._must_live("timer")
        return self._keep(Tick(self._cell, message, after, None))

    def every(self, message: object, *, period: float, after: float | None = None) -> Timer:
        """Tell `message` on a fixed grid: first after `after` (default: one period), then every `period` seconds.

        The grid does not drift; ticks that are missed are skipped, and at most one waits in the mailbox.
        """
        if not period > 0:
            raise ValueError(f"period={period}: must be seconds above 0")
        if after is not None and not after >= 0:
            raise ValueError(f"after={after}: must be seconds of at least 0")
        self._must_live("every")
        return self._keep(Tick(self._cell, message, period if after is None else after, period))

    def _must_live(self, what: str) -> None:
        if self._over:
            raise RuntimeError(f"{what}() on the context of an incarnation of {self.name!r} that has ended")

    def _keep(self, tick: Tick) -> Timer:
        if self._timers is None:
            self._timers = []
        elif len(self._timers) > 2:
            self._timers = [timer for timer in self._timers if timer.live]
        self._timers.append(tick)
        return Timer(tick)

    def stash(self) -> Any:
        """Put the message being handled aside; returns what the handler has to return: `return self.context.stash()`.

        Bounded by the mailbox's capacity; beyond it the message is dropped. Kept over a restart, but for the message
        whose handler raised after stashing it. Raises `RuntimeError` outside of a handler.
        """
        current = self._cell.current
        if current is IDLE:
            raise RuntimeError("stash() outside of a handler: it puts the message being handled aside")
        if self._stash is None:
            self._stash = deque()
        if not isinstance(current, Aside):
            if isinstance(current, Tick):  # it has arrived: what is put aside is a message like any other
                current = current.message
            fits = len(self._stash) < self._cell.mailbox.spec.capacity
            if fits:
                self._stash.append(current)
            else:
                self._cell.drop(current, Why.STASH_FULL)
            self._cell.current = Aside(current, fits)
        return DEFERRED

    def _take_back(self, aside: Aside) -> Any:
        """The stashed message whose handler failed all the same; IDLE when it is no longer in the stash."""
        if aside.kept and self._stash and self._stash[-1] is aside.message:
            return self._stash.pop()
        return IDLE

    def unstash_all(self) -> int:
        """Put the stashed messages back in front of the user lane, in their order; returns how many."""
        stashed, self._stash = self._stash or deque(), None
        self._cell.mailbox.put_back(stashed)
        return len(stashed)

    def defer(self) -> Reply:
        """Answer the request being handled later: keep the reply and `return DEFERRED`."""
        current = self._cell.current
        return Reply(self, current if isinstance(current, Ask) else None)

    def stop(self, detail: str = "") -> None:
        """End normally, as soon as the running handler has returned. Without effect once the incarnation has ended."""
        if self._over:
            return
        self._cell.mailbox.offer_first(Stop(ExitReason(ExitKind.NORMAL, detail)))

    # other actors' lives

    def watch(self, ref: Ref) -> None:
        """Be told `Down` once, when the running (or next) incarnation of `ref` ends; at once if it is gone for good."""
        watched, me = ref._cell, self._cell

        def down(cell: Cell, reason: ExitReason) -> None:
            me.mailbox.offer_urgent(Down(ref=ref, incarnation=cell.incarnation, reason=reason))

        if watched.mailbox.closed:
            down(watched, watched.ended_reason or NORMAL)
            return
        if watched.watchers is None:
            watched.watchers = {}
        watched.watchers[me] = down
        if self._watched is None:
            self._watched = set()
        self._watched.add(watched)

    def unwatch(self, ref: Ref) -> None:
        """No `Down` of `ref` after this, not even one already on its way."""
        self._stop_watching(ref._cell)
        self._cell.mailbox.take_out_urgent(lambda item: isinstance(item, Down) and item.ref == ref)

    def _stop_watching(self, watched: Cell) -> None:
        if watched.watchers is not None:
            watched.watchers.pop(self._cell, None)
        if self._watched is not None:
            self._watched.discard(watched)

    def link(self, ref: Ref) -> None:
        """Share the fate of `ref`: if one of the two ends abnormally, the other crashes with `LinkBroken`."""
        mine, other = self._cell, ref._cell
        if other is mine:
            raise ValueError(f"{mine.path!r} cannot be linked with itself")
        if not other.alive:
            reason = other.ended_reason or NORMAL
            if reason.abnormal:
                mine.fail(LinkBroken(other.path, reason))
            return
        for one, two in ((mine, other), (other, mine)):
            if one.links is None:
                one.links = set()
            one.links.add(two)

    def unlink(self, ref: Ref) -> None:
        for one, two in ((self._cell, ref._cell), (ref._cell, self._cell)):
            if one.links is not None:
                one.links.discard(two)

    def dead_letter(self, message: object, why: Why, error: BaseException | None = None) -> None:
        """Count a message that this actor could not deal with."""
        self._cell.kernel.dead_letters.add(self._cell.path, message, why, error)

    # the end, called by the runtime

    def _release(self) -> None:
        """Timers stop, nobody is watched any more; stashed messages wait for the next incarnation."""
        self._over = True
        if self._watched:
            for watched in tuple(self._watched):
                self._stop_watching(watched)
        if self._timers:
            for tick in self._timers:
                tick.cancel()
            self._timers = None
        if self._stash:
            self.unstash_all()

    def _cancel_tasks(self) -> Slot:
        """Cancel the side tasks, of which there are some; the slot is resolved when none is left."""
        self._tasks_gone = gone = Slot()
        for side in tuple(self._tasks or ()):
            side.cancel()
        return gone
