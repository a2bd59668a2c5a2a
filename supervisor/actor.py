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

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from supervisor.cell import IDLE, Ask, Cell, Stop, Tick
from supervisor.context import Context, Reply, SideTask, Timer
from supervisor.errors import HandlerError, Refused, Unhandled
from supervisor.mailbox import BATCH, Why
from supervisor.message import DEFERRED, Request
from supervisor.reason import ExitReason

__all__ = ["Actor", "Context", "Leave", "Reply", "SideTask", "Timer", "handles"]

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
Q_co = TypeVar("Q_co", bound=Request[Any], covariant=True)
Q = TypeVar("Q", bound=Request[Any])
R = TypeVar("R")
A = TypeVar("A")

Handler = Callable[[Any, Any], Awaitable[Any]]
_MARK = "__handles__"


class _Told(Generic[M_co]):
    def __init__(self, message: type[M_co]) -> None:
        self._message = message

    def __call__(self, handler: Callable[[A, M_co], Awaitable[None]]) -> Callable[[A, M_co], Awaitable[None]]:
        return _mark(handler, self._message)


if TYPE_CHECKING:

    class _Asked(Generic[Q_co]):
        """What `@handles` of a request is for the type checker: it knows the answer. At run time it is a `_Told`."""

        def __call__(
            self: "_Asked[Request[R]]", handler: Callable[[A, Q_co], Awaitable[R]]
        ) -> Callable[[A, Q_co], Awaitable[R]]: ...


F = TypeVar("F", bound=Callable[..., Any])


def _mark(handler: F, message: type[Any]) -> F:
    setattr(handler, _MARK, (*getattr(handler, _MARK, ()), message))
    return handler


@overload
def handles(message: type[Q]) -> "_Asked[Q]": ...  # type: ignore[overload-overlap]  # a Request is told as it is asked
@overload
def handles(message: type[M]) -> _Told[M]: ...
def handles(message: type[Any]) -> Any:
    """Make the method below the handler of `message`, and of its subclasses that have none of their own."""
    if not isinstance(message, type):
        raise HandlerError(f"@handles({message!r}): give the message's class, as in `@handles(Deposit)`")
    return _Told(message)  # the difference between the two is the type checker's


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
        """Take messages until one says stop: system lane first, at most `BATCH` between two checkpoints.

        The start was this task's turn, so what waits already is taken before the first wait.
        """
        mailbox = cell.mailbox
        user = mailbox.user
        budget = BATCH
        try:
            while True:
                table = self.__handlers__ if cell.tracer is None else cell.tracer
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
                cell.current = IDLE
                cell.handled += BATCH - budget
                budget = BATCH
                await mailbox.wait()
        except Leave as leave:
            cell.current = IDLE
            return leave.reason
        finally:
            cell.handled += max(0, BATCH - budget - 1)  # but for the one in hand, which ended it


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
