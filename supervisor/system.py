"""The root of a tree of actors: opens it, stops it in order, and can say at any time what it looks like.

async with open_system(name="bank", children=[ChildSpec(id="ledger", factory=Ledger)]) as system:
    await system.ref("ledger").ask(GetBalance(account="x"))
"""

import random
import signal
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from supervisor.buggify import jitter_seed
from supervisor.cell import STARTED, ActorState, Cell, Kernel
from supervisor.checks import is_finite, is_number, is_text
from supervisor.deadletter import DeadLetters
from supervisor.errors import SpecError, SystemFailed
from supervisor.life import STUCK_EVERY, await_stack, live
from supervisor.mailbox import MailboxSpec
from supervisor.policy import AutoShutdown, Strategy
from supervisor.reason import SHUTDOWN, ExitReason
from supervisor.ref import ActorInfo, Ref
from supervisor.registry import Registry
from supervisor.spec import ChildSpec
from supervisor.supervision import Supervisor
from supervisor.telemetry import Event, Report, Telemetry
from supervisor.timekeeper import Timekeeper
from supervisor.watchdog import watchdog as bites_after

__all__ = ["Node", "System", "SystemStatistics", "open_system"]


@attrs.frozen(kw_only=True)
class Node:
    """One actor in a snapshot of the tree."""

    info: ActorInfo
    children: "tuple[Node, ...]"

    @property
    def name(self) -> str:
        return self.info.name

    def __str__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> list[str]:
        info = self.info
        line = f"{indent}{info.name} [{info.kind}] {info.state.value}"
        if info.restarts:
            line += f", {info.restarts} restarts"
        return [line, *(line for child in self.children for line in child._lines(indent + "  "))]


@attrs.frozen(kw_only=True)
class SystemStatistics:
    """`events` counts reports by event name. `queued`: messages in mailboxes; `alarms`: deadlines that are set."""

    actors: int
    running: int
    restarts: int
    handled: int
    queued: int
    alarms: int
    dead_letters: int
    events: tuple[tuple[str, int], ...]


class System:
    """A running tree. Made by `open_system`."""

    def __init__(self, name: str, root: Supervisor, seed: int | None) -> None:
        self.name = name
        now = trio.lowlevel.current_clock().current_time
        self.telemetry = Telemetry()
        self.dead_letters = DeadLetters(now=now)
        self.stop_reason: ExitReason | None = None
        self._interrupt: BaseException | None = None
        self._body: trio.CancelScope | None = None
        self._stopping = False
        self._timekeeper = Timekeeper(now)
        self._registry: Registry[Cell] = Registry()
        self._kernel = Kernel(
            name=name,
            now=now,
            timekeeper=self._timekeeper,
            telemetry=self.telemetry,
            dead_letters=self.dead_letters,
            registry=self._registry,
            random=random.Random(jitter_seed(seed)),
            interrupt=self._interrupted,
        )
        self._root_actor = root
        self._root = Cell(self._kernel, None, name, name, MailboxSpec())
        self._root.exited = self._root_ended

    @property
    def root(self) -> Ref:
        """The root supervisor."""
        return Ref(self._root)

    def ref(self, name: str) -> Ref:
        """The actor of this name, e.g. "links/E1". Raises `UnknownActor`."""
        return Ref(self._registry.look_up(name))

    def find(self, name: str) -> Ref | None:
        cell = self._registry.find(name)
        return None if cell is None else Ref(cell)

    def names(self) -> tuple[str, ...]:
        return self._registry.names()

    async def start_child(self, supervisor: str, spec: ChildSpec, *, timeout: float = 60.0) -> Ref:
        """Start a child under the supervisor of this name (the system's own name: the root)."""
        parent = self.root if supervisor == self.name else self.ref(supervisor)
        return await parent.start_child(spec, timeout=timeout)

    def stop(self, reason: ExitReason = SHUTDOWN) -> None:
        """End the body of `open_system`; the tree is then stopped in order."""
        self.stop_reason = self.stop_reason or reason
        if self._body is not None:
            self._body.cancel(reason=f"system {self.name}: {reason}")

    def tree(self) -> Node:
        """A snapshot of the whole tree, taken without asking anybody."""

        def node(cell: Cell) -> Node:
            return Node(info=Ref(cell).info(), children=tuple(node(child) for child in cell.below.values()))

        return node(self._root)

    def statistics(self) -> SystemStatistics:
        cells = [self._registry.look_up(name) for name in self._registry.names()]
        return SystemStatistics(
            actors=len(cells),
            running=sum(cell.state is ActorState.RUNNING for cell in cells),
            restarts=sum(cell.restarts for cell in cells),
            handled=sum(cell.handled for cell in cells),
            queued=sum(len(cell.mailbox.system) + len(cell.mailbox.user) for cell in cells),
            alarms=len(self._timekeeper),
            dead_letters=self.dead_letters.total(),
            events=tuple((event.value, count) for event, count in self.telemetry.counts().items()),
        )

    # the life of the system, called by open_system

    async def _boot(self, nursery: trio.Nursery) -> None:
        settled = self._root.begin()
        nursery.start_soon(live, self._root, lambda: self._root_actor, nursery, 5.0, name=self.name)
        outcome = await settled.wait()
        if outcome is not STARTED:
            error = outcome.error
            raise SystemFailed(self.name, outcome) from error
        self._emit(Event.SYSTEM_STARTED)

    async def _shut_down(self, deadline: float) -> None:
        """Stop the root softly; at the deadline cancel everything; then wait, and name who is stuck."""
        self._stopping = True
        if self._root.alive:
            self._emit(Event.SYSTEM_STOPPING)
            self._root.request_stop(SHUTDOWN)
            with trio.move_on_after(deadline):
                await Ref(self._root).wait_ended()
        while self._root.alive:
            living = [cell for cell in self._cells() if cell.alive]
            self._emit(Event.SYSTEM_DEADLINE, "; ".join(f"{cell.path}: {await_stack(cell)}" for cell in living))
            for cell in living:
                cell.cancel(f"system {self.name}: shutdown deadline")
            with trio.move_on_after(STUCK_EVERY):
                await Ref(self._root).wait_ended()
        self._root.close()
        self._emit(Event.SYSTEM_STOPPED)

    def _cells(self) -> list[Cell]:
        return [self._root, *(self._registry.look_up(name) for name in self._registry.names())]

    def _root_ended(self, cell: Cell, incarnation: int, reason: ExitReason) -> None:
        cell.close()
        if not self._stopping and reason.abnormal:
            self.stop(reason)
        else:
            self.stop_reason = self.stop_reason or (SHUTDOWN if self._stopping else reason)

    def _interrupted(self, error: BaseException) -> None:
        self._interrupt = self._interrupt or error
        self.stop()

    async def _listen(self, signals: Collection[signal.Signals], task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(*signals) as received:
            task_status.started()
            async for number in received:
                self.stop(ExitReason(SHUTDOWN.kind, signal.Signals(number).name))

    def _emit(self, event: Event, detail: str = "") -> None:
        self.telemetry.count(event)
        self.telemetry.emit(Report(at=trio.current_time(), event=event, supervisor=self.name, detail=detail))


@asynccontextmanager
async def open_system(
    *,
    name: str = "system",
    children: Iterable[ChildSpec] = (),
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: float = 3,
    period: float = 5.0,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    shutdown_deadline: float = 30.0,
    signals: Collection[signal.Signals] = (),
    seed: int | None = None,
    watchdog: float | None = None,
) -> AsyncIterator[System]:
    """Start the children in order, run the body, stop the children in reverse order: whatever ends the body.

    shutdown_deadline: seconds the whole stop may take before everything that still lives is cancelled.
    watchdog: seconds of real time after that until the process is ended (`os._exit`); None: never.
    signals: these end the body as if it had returned; during the start they raise `SystemFailed`. seed: of the jitter.
    Raises `SystemFailed` when a child cannot be started or the root supervisor gives up; what the body raises comes
    out as it is, never wrapped into an exception group.
    """
    if not is_text(name):
        raise SpecError("name", name, "must be a non-empty string")
    if not (is_number(shutdown_deadline) and shutdown_deadline >= 0):
        raise SpecError("shutdown_deadline", shutdown_deadline, "must be seconds of at least 0, or math.inf")
    if watchdog is not None and not (is_finite(watchdog) and watchdog > 0):
        raise SpecError("watchdog", watchdog, "must be a finite number of seconds above 0, or None")
    root = Supervisor(children, strategy=strategy, intensity=intensity, period=period, auto_shutdown=auto_shutdown)
    system = System(name, root, seed)
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(system._timekeeper.run, name=f"{name}: timekeeper")
        try:
            if signals:
                await nursery.start(system._listen, signals, name=f"{name}: signals")
            with trio.CancelScope() as system._body:
                await system._boot(nursery)
            if system.stop_reason is not None:
                raise SystemFailed(name, system.stop_reason)
            with trio.CancelScope() as system._body:
                yield system
        except BaseException as error:  # raised again below, outside the nursery that would wrap it
            failure = error
        finally:
            bite = None if watchdog is None else shutdown_deadline + watchdog
            with trio.CancelScope(shield=True), bites_after(bite):
                await system._shut_down(shutdown_deadline)
            nursery.cancel_scope.cancel(reason=f"system {name}: stopped")
    if system._interrupt is not None:
        raise system._interrupt
    if failure is not None:
        raise failure
    if system.stop_reason is not None and system.stop_reason.abnormal:
        raise SystemFailed(name, system.stop_reason) from system.stop_reason.error
