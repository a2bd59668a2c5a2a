"""An actor: private state, one handler per message type, and a context that is its only door to the others.

    class Account(Actor):
        def __init__(self, opening: int) -> None:
            self.balance = opening

        @handles(Deposit)
        async def on_deposit(self, msg: Deposit) -> None:
            self.balance += msg.amount

        @handles(GetBalance)  # a Request[int]: mypy checks that the handler returns an int
        async def on_get(self, msg: GetBalance) -> int:
            return self.balance

A handler that raises ends this incarnation; its message becomes a dead letter, and its supervisor decides what happens
next. A handler that raises a `Refused` says no to the asker and the actor lives on.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Generic, TypeVar, TypeVarTuple, cast, overload

import trio

from supervisor.cell import Ask, Cell, Stop, Tick
from supervisor.errors import HandlerError, LinkBroken, Refused, Unhandled
from supervisor.mailbox import BATCH, Why
from supervisor.message import DEFERRED, Request
from supervisor.reason import NORMAL, ExitKind, ExitReason
from supervisor.ref import Down, Ref
from supervisor.slot import Slot

__all__ = ["Actor", "Context", "Leave", "Reply", "SideTask", "Timer", "handles"]

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
Q_co = TypeVar("Q_co", bound=Request[Any], covariant=True)
Q = TypeVar("Q", bound=Request[Any])
R = TypeVar("R")
A = TypeVar("A")
Ts = TypeVarTuple("Ts")

Handler = Callable[[Any, Any], Awaitable[Any]]
_MARK = "__handles__"


class _Told(Generic[M_co]):
    def __init__(self, message: type[M_co]) -> None:
        self._message = message

    def __call__(self, handler: Callable[[A, M_co], Awaitable[None]]) -> Callable[[A, M_co], Awaitable[None]]:
        return _mark(handler, self._message)


class _Asked(Generic[Q_co]):
    def __init__(self, message: type[Q_co]) -> None:
        self._message = message

    def __call__(
        self: "_Asked[Request[R]]", handler: Callable[[A, Q_co], Awaitable[R]]
    ) -> Callable[[A, Q_co], Awaitable[R]]:
        return _mark(handler, self._message)


F = TypeVar("F", bound=Callable[..., Any])


def _mark(handler: F, message: type[Any]) -> F:
    setattr(handler, _MARK, (*getattr(handler, _MARK, ()), message))
    return handler


@overload
def handles(message: type[Q]) -> _Asked[Q]: ...  # type: ignore[overload-overlap]  # a Request is told as it is asked
@overload
def handles(message: type[M]) -> _Told[M]: ...
def handles(message: type[Any]) -> Any:
    """Make the method below the handler of `message`, and of its subclasses that have none of their own."""
    if not isinstance(message, type):
        raise HandlerError(f"@handles({message!r}): give the message's class, as in `@handles(Deposit)`")
    return _Asked(message) if issubclass(message, Request) else _Told(message)


class HandlerTable(dict[type, Handler]):
    """Message type → handler. A type seen for the first time is looked up along its bases, once."""

    def find(self, kind: type) -> Handler | None:
        return next((self[base] for base in kind.__mro__ if base in self), None)

    def __missing__(self, kind: type) -> Handler:
        handler = self.find(kind) or _unhandled
        self[kind] = handler
        return handler


async def _unhandled(actor: "Actor", message: object) -> Any:
    await actor.unhandled(message)


class Leave(Exception):
    """Ends the loop of the actor that raises it, with this reason."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Actor:
    """Subclass, give it handlers, put it into a `ChildSpec`. One task runs all its handlers, one after the other."""

    context: "Context"
    __handlers__: ClassVar[HandlerTable]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__handlers__ = _collect(cls)

    async def started(self) -> None:
        """Runs before the start returns to whoever started this actor; may raise `Ignore`."""

    async def stopped(self, reason: ExitReason) -> None:
        """Runs when the loop has ended by a stop or a crash, within the shutdown time; not after a cancellation."""

    async def unhandled(self, message: object) -> None:
        """A told message without a handler: a dead letter, unless overridden."""
        self.context.dead_letter(message, Why.UNHANDLED)

    @classmethod
    def handled_messages(cls) -> tuple[str, ...]:
        own = (kind for kind, handler in cls.__handlers__.items() if handler is not _unhandled)
        return tuple(kind.__name__ for kind in own if kind not in (Stop, Ask, Tick))

    # what the runtime itself says to an actor; urgent like a stop, handled like everything else

    async def _on_stop(self, stop: Stop) -> None:
        raise Leave(stop.reason)

    async def _on_ask(self, ask: Ask) -> None:
        handler = self.__handlers__[type(ask.message)]
        try:
            if handler is _unhandled:
                raise Unhandled(self.context.name, type(ask.message).__name__, self.handled_messages())
            answer = await handler(self, ask.message)
        except Refused as no:
            if not ask.fail(no):
                self.context.dead_letter(ask.message, Why.LATE_REPLY)
            return
        if answer is not DEFERRED and not ask.resolve(answer):
            self.context.dead_letter(ask.message, Why.LATE_REPLY)

    async def _on_tick(self, tick: Tick) -> None:
        tick.waiting = False
        if tick.live:
            tick.live = tick.period is not None
            await self.__handlers__[type(tick.message)](self, tick.message)

    async def _live(self, cell: Cell) -> ExitReason:
        await self.started()
        cell.acknowledge()
        return await self._loop(cell)

    async def _loop(self, cell: Cell) -> ExitReason:
        """Take messages until one says stop: system lane first, at most `BATCH` between two checkpoints."""
        mailbox = cell.mailbox
        user = mailbox.user
        try:
            while True:
                await mailbox.wait()
                table = self.__handlers__ if cell.tracer is None else cell.tracer
                budget = BATCH
                while budget:
                    if mailbox.system:
                        item = mailbox.system.popleft()
                    elif user:
                        item = user.popleft()
                        if mailbox.waiting:
                            mailbox.admit()
                    else:
                        break
                    budget -= 1
                    cell.current = item
                    try:
                        await table[type(item)](self, item)
                    except Refused as no:
                        cell.drop(item, Why.REFUSED, no)
                cell.current = None
                cell.handled += BATCH - budget
        except Leave as leave:
            cell.current = None
            return leave.reason


def _collect(cls: type[Actor]) -> HandlerTable:
    table = HandlerTable()
    for base in reversed(cls.__mro__):
        own: dict[type, str] = {}
        for name, attribute in vars(base).items():
            for message in getattr(attribute, _MARK, ()):
                if message in own:
                    raise HandlerError(
                        f"{base.__name__}.{name} and {base.__name__}.{own[message]} both handle {message.__name__}; "
                        "keep one handler per message type"
                    )
                own[message] = name
                table[message] = attribute
        for message, handler in list(table.items()):
            # A subclass that overrides the method by name, without the decorator, overrides the handler.
            table[message] = vars(base).get(handler.__name__, handler)
    return table


_mark(Actor._on_stop, Stop)
_mark(Actor._on_ask, Ask)
_mark(Actor._on_tick, Tick)
Actor.__handlers__ = _collect(Actor)


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

    __slots__ = ("_cell", "_log", "_nursery", "_stash", "_tasks", "_tasks_gone", "_timers", "_watched", "factory_name")

    def __init__(self, cell: Cell, nursery: trio.Nursery) -> None:
        self._cell = cell
        self._nursery = nursery
        self.factory_name = ""
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
            self._log = logging.LoggerAdapter(logging.getLogger(self.factory_name or "supervisor.actor"), facts)
        return self._log

    def find(self, name: str) -> Ref:
        """The actor registered under this name. Raises `UnknownActor`."""
        return Ref(self._cell.kernel.registry.look_up(name))

    # work beside the handlers

    def spawn(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts, name: str | None = None) -> SideTask:
        """Run `fn(*args)` beside the handlers, in this actor's scope."""
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
        return self._keep(Tick(self._cell, message, after, None))

    def every(self, message: object, *, period: float, after: float | None = None) -> Timer:
        """Tell `message` on a fixed grid: first after `after` (default: one period), then every `period` seconds.

        The grid does not drift; ticks that are missed are skipped, and at most one waits in the mailbox.
        """
        if not period > 0:
            raise ValueError(f"period={period}: must be seconds above 0")
        return self._keep(Tick(self._cell, message, period if after is None else after, period))

    def _keep(self, tick: Tick) -> Timer:
        if self._timers is None:
            self._timers = []
        elif len(self._timers) > 16:
            self._timers = [timer for timer in self._timers if timer.live]
        self._timers.append(tick)
        return Timer(tick)

    def stash(self) -> Any:
        """Put the message being handled aside; returns what the handler has to return: `return self.context.stash()`.

        Bounded by the mailbox's capacity; beyond it the message is dropped. Kept over a restart.
        """
        if self._stash is None:
            self._stash = deque()
        if len(self._stash) >= self._cell.mailbox.spec.capacity:
            self._cell.drop(self._cell.current, Why.STASH_FULL)
        else:
            self._stash.append(self._cell.current)
        return DEFERRED

    def unstash_all(self) -> int:
        """Put the stashed messages back in front of the user lane, in their order; returns how many."""
        stashed, self._stash = self._stash or deque(), None
        for item in reversed(stashed):
            self._cell.mailbox.user.appendleft(item)
        return len(stashed)

    def defer(self) -> Reply:
        """Answer the request being handled later: keep the reply and `return DEFERRED`."""
        current = self._cell.current
        return Reply(self, current if isinstance(current, Ask) else None)

    def stop(self, detail: str = "") -> None:
        """End normally, as soon as the running handler has returned."""
        reason = ExitReason(ExitKind.NORMAL, detail) if detail else NORMAL
        self._cell.mailbox.offer_first(Stop(reason))

    # other actors' lives

    def watch(self, ref: Ref) -> None:
        """Be told `Down` once, when the running (or next) incarnation of `ref` ends; at once if it is gone for good."""
        watched, me, mine = ref._cell, self._cell, self._cell.incarnation

        def down(cell: Cell, reason: ExitReason) -> None:
            if me.alive and me.incarnation == mine:
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
        for watched in tuple(self._watched or ()):
            self._stop_watching(watched)
        for tick in self._timers or ():
            tick.cancel()
        self._timers = None
        if self._stash:
            self.unstash_all()

    def _cancel_tasks(self) -> Slot:
        """Cancel the side tasks; the slot is resolved when none is left."""
        self._tasks_gone = gone = Slot()
        if not self._tasks:
            gone.resolve(None)
        for side in tuple(self._tasks or ()):
            side.cancel()
        return gone
