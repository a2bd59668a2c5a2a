"""A supervisor: an actor whose state is its children. One task, one nursery, one mailbox.

It takes one decision at a time; what it decides is in `supervisor.policy`. Children report their end into its system
lane, so a stop of the supervisor overtakes a queue of requests, and an end that concerns an older incarnation, or a
child that is being stopped anyway, is recognised and ignored.
"""

import math
from collections.abc import Iterable
from functools import partial

import trio

from supervisor.actor import Leave, handles
from supervisor.buggify import point
from supervisor.cell import ActorState, Cell
from supervisor.errors import DuplicateChild, SpecError, StartError
from supervisor.keeping import Child, ChildExited, ChildKeeper, TryAgain, end_event
from supervisor.policy import (
    AutoShutdown,
    Intensity,
    Strategy,
    keeps_spec,
    restart_group,
    shuts_down,
    wants_restart,
)
from supervisor.reason import SHUTDOWN, ExitKind, ExitReason, crash
from supervisor.ref import (
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    Ref,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from supervisor.spec import ChildSpec
from supervisor.telemetry import Event

__all__ = [
    "AutoShutdown",
    "ChildCounts",
    "ChildInfo",
    "CountChildren",
    "DeleteChild",
    "RestartChild",
    "StartChild",
    "Strategy",
    "Supervisor",
    "TerminateChild",
    "WhichChildren",
]


class Supervisor(ChildKeeper):
    """children: started in this order, stopped in reverse. intensity, period: more than `intensity` restarts within
    `period` seconds end the supervisor with an abnormal reason, after it has stopped its children.

    Raises `SpecError` when ids repeat, when a back-off is so long that the intensity could never be exceeded, or when a
    significant child meets `AutoShutdown.NEVER`.
    """

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: float = 3,
        period: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    ) -> None:
        super().__init__()
        self._specs = () if isinstance(children, ChildSpec) else tuple(children)
        if isinstance(children, ChildSpec) or not all(isinstance(spec, ChildSpec) for spec in self._specs):
            raise SpecError("children", children, 'must be ChildSpecs: `[ChildSpec(id="account", factory=Account)]`')
        if type(strategy) is not Strategy:
            raise SpecError("strategy", strategy, "must be Strategy.ONE_FOR_ONE, ONE_FOR_ALL or REST_FOR_ONE")
        if type(auto_shutdown) is not AutoShutdown:
            raise SpecError("auto_shutdown", auto_shutdown, "must be AutoShutdown.NEVER, ANY_… or ALL_SIGNIFICANT")
        self._strategy = strategy
        self._intensity = Intensity(intensity, period)
        self._auto_shutdown = auto_shutdown
        self._last_error: BaseException | None = None
        seen: set[str] = set()
        for spec in self._specs:
            if spec.id in seen:
                raise SpecError("children", spec.id, "two children have this id")
            seen.add(spec.id)
            self._check(spec)

    def _check(self, spec: ChildSpec) -> None:
        if spec.significant and self._auto_shutdown is AutoShutdown.NEVER:
            raise SpecError("significant", True, f"child {spec.id!r}: this supervisor has AutoShutdown.NEVER")
        if spec.backoff is not None and not self._intensity.escalates_despite(spec.backoff.longest):
            most, period, longest = self._intensity.most, self._intensity.period, spec.backoff.longest
            raise SpecError(
                "backoff",
                spec.backoff,
                f"child {spec.id!r}: {most:g} delays of up to {longest:g} s do not fit into period={period:g} s, so a "
                f"crash loop would never escalate; give the supervisor period={math.ceil(most * longest)} or more, "
                "a smaller intensity, a shorter max_delay, or intensity=math.inf to say that it shall never escalate",
            )

    # the life of a supervisor

    async def _live(self, cell: Cell) -> ExitReason:
        failure: Exception | None = None
        reason = SHUTDOWN
        self._cell = cell
        cell.interrupted = self._interrupt
        self._stop_wanted = cell.state is ActorState.STOPPING  # asked for before the first step of this task
        cell.below = dict(cell.below)
        async with trio.open_nursery() as self._nursery:
            try:
                try:
                    await self._boot()
                    await self.started()
                    cell.acknowledge()
                    reason = await self._loop(cell)
                except Leave as leave:
                    reason = leave.reason
                except Exception as error:
                    failure = error
                cell.enter(ActorState.STOPPING)
                await self._stop_children(self._in_order(), brutal=False)
            finally:
                # Cancelled: the grace is over. Those who are left are cancelled too, still one after the other.
                with trio.CancelScope(shield=True):
                    await self._stop_children(self._in_order(), brutal=True)
                self._report_absorbed()
        if failure is not None:
            raise failure
        return reason

    async def _boot(self) -> None:
        for spec in self._specs:
            await self._start(self._add(spec))
        for left in [cell for id, cell in self._cell.below.items() if id not in self._children]:
            self._cell.forget(left)

    # requests

    @handles(StartChild)
    async def _on_start_child(self, msg: StartChild) -> Ref:
        known = self._children.get(msg.spec.id)
        if known is not None:
            raise DuplicateChild(self.context.name, msg.spec.id, known.cell.state.value)
        try:
            self._check(msg.spec)
        except SpecError as error:
            raise StartError(msg.spec.id, crash(error)) from error
        child = self._add(msg.spec)
        try:
            await self._start(child)
        except StartError:
            self._remove(child)
            raise
        return Ref(child.cell)

    @handles(TerminateChild)
    async def _on_terminate_child(self, msg: TerminateChild) -> None:
        child = self._find(msg.id)
        if msg.drain and child.cell.alive:
            await self._stop(child, brutal=False, drain=msg.drain)
        await self._stop_children((child,), brutal=False)
        child.cell.close()
        child.held = True
        if not self._keeps(child):
            self._remove(child)
        self._go_on_without()

    @handles(RestartChild)
    async def _on_restart_child(self, msg: RestartChild) -> Ref:
        child = self._find(msg.id)
        if child.cell.state is not ActorState.STOPPED:
            raise DuplicateChild(self.context.name, msg.id, child.cell.state.value)
        try:
            await self._start(child)
        except StartError:
            child.cell.close()  # as before: no incarnation is coming
            raise
        child.held = False
        return Ref(child.cell)

    @handles(DeleteChild)
    async def _on_delete_child(self, msg: DeleteChild) -> None:
        child = self._find(msg.id)
        if child.cell.state is not ActorState.STOPPED:
            raise DuplicateChild(self.context.name, msg.id, child.cell.state.value)
        self._remove(child)

    @handles(WhichChildren)
    async def _on_which_children(self, msg: WhichChildren) -> tuple[ChildInfo, ...]:
        return tuple(
            ChildInfo(
                id=child.spec.id,
                ref=Ref(child.cell),
                state=child.cell.state,
                restart=child.spec.restart,
                restarts=child.cell.restarts,
            )
            for child in self._in_order()
        )

    @handles(CountChildren)
    async def _on_count_children(self, msg: CountChildren) -> ChildCounts:
        children = self._in_order()
        supervisors = sum(child.is_supervisor for child in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.cell.alive for child in children),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    # a child has ended by itself

    @handles(ChildExited)
    async def _on_child_exited(self, exit: ChildExited) -> None:
        child = self._children.get(exit.cell.id)
        if child is None or child.cell is not exit.cell:
            return
        if exit.incarnation != child.cell.incarnation or child.cell.state is not ActorState.STOPPED:
            self._report_absorbed_end(exit, child, "group")
            return
        if child.cell.mailbox.closed:
            return
        self._report(end_event(exit), child, exit.reason)
        self._last_error = exit.reason.error or self._last_error
        error = exit.reason.error
        if error is not None and not isinstance(error, Exception):
            return  # Ctrl-C or an exit: the root is stopping everything, so nobody is restarted
        if wants_restart(child.spec.restart, exit.reason):
            await self._restart(child)
        else:
            self._let_go(child)

    def _report_absorbed_end(self, exit: ChildExited, child: Child, whose: str) -> None:
        detail = f"absorbed by a stop of its {whose}"
        self._report(end_event(exit), child, exit.reason, detail=detail, incarnation=exit.incarnation)

    def _report_absorbed(self) -> None:
        """The ends of children who did not wait for their stop, while this supervisor was stopping others."""
        for exit in self._cell.mailbox.take_out_urgent(lambda item: isinstance(item, ChildExited)):
            child = self._children.get(exit.cell.id)
            if child is not None and child.cell is exit.cell:
                self._report_absorbed_end(exit, child, "supervisor")

    def _let_go(self, child: Child) -> None:
        """Ended for good."""
        child.cell.close()
        others = any(
            other.spec.significant and other is not child and other.cell.state is not ActorState.STOPPED
            for other in self._in_order()
        )
        if not self._keeps(child):
            self._remove(child)
        if shuts_down(self._auto_shutdown, child.spec.significant, others):
            self._report(Event.AUTO_SHUTDOWN, child)
            raise Leave(ExitReason(ExitKind.SHUTDOWN, f"auto_shutdown: {child.cell.path} ended"))

    # restarting

    async def _restart(self, child: Child) -> None:
        """Count it, take the group down, and bring it up again: now, or after the back-off."""
        await point("before restart")
        delay = self._count_restart(child)
        group = self._group(child)
        if len(group) > 1:
            await self._stop_children(group, brutal=False)
        for member in group:
            if not keeps_spec(member.spec.restart):
                self._remove(member)
            elif delay or member is not child:
                member.cell.enter(ActorState.RESTARTING)
        if delay:
            self._schedule(child, delay)
        else:
            await self._start_group(child)

    def _count_restart(self, child: Child) -> float:
        """Spend one restart of the budget; return the back-off in seconds. Leaves when it was one too many."""
        now = self._cell.kernel.now()
        if not self._intensity.restart(now):
            self._report(Event.INTENSITY_EXCEEDED, child)
            raise Leave(
                ExitReason(
                    ExitKind.ESCALATED,
                    f"more than {self._intensity.most:g} restarts in {self._intensity.period:g} s, "
                    f"the last one of {child.cell.path}",
                    self._last_error,
                )
            )
        backoff = child.spec.backoff
        if backoff is None:
            return 0.0
        if now - max(child.last_failure, child.up_since) >= backoff.quiet_period:
            child.failures = 0
        delay = backoff.delay(child.failures, self._cell.kernel.random)
        child.failures += 1
        child.last_failure = now
        return delay

    def _group(self, child: Child) -> tuple[Child, ...]:
        if self._strategy is Strategy.ONE_FOR_ONE:
            return (child,)
        ids = restart_group(self._strategy, tuple(self._children), child.spec.id)
        return tuple(self._children[id] for id in ids if not self._children[id].held)

    async def _start_group(self, first: Child) -> None:
        for member in self._group(first):
            try:
                await self._start(member, Event.CHILD_RESTARTED)
            except StartError as error:
                self._last_error = error.__cause__ or error
                self._schedule(member, self._count_restart(member))
                return
            member.cell.restarts += 1

    def _schedule(self, child: Child, delay: float) -> None:
        """Try again later. Behind the waiting requests, so that a terminate_child gets in between."""
        child.forget_restart()
        child.cell.enter(ActorState.RESTARTING)
        child.scheduled = True
        note = TryAgain(child.spec.id, child.attempt)
        self._report(Event.RESTART_SCHEDULED, child, seconds=delay)
        if delay:
            child.alarm = self._cell.kernel.timekeeper.after(delay, partial(self._post, note))
        else:
            self._post(note)

    def _go_on_without(self) -> None:
        """Members of a group may have been waiting for a sibling that has just been terminated: they try again.

        (In OTP they would stay stopped.)
        """
        waiting = [child for child in self._in_order() if child.cell.state is ActorState.RESTARTING]
        if waiting and not any(child.scheduled for child in waiting):
            self._schedule(waiting[0], 0.0)

    def _post(self, note: TryAgain) -> None:
        self._cell.mailbox.user.append(note)
        self._cell.mailbox.wake()

    @handles(TryAgain)
    async def _on_try_again(self, note: TryAgain) -> None:
        child = self._children.get(note.id)
        if child is None or child.attempt != note.attempt or child.cell.state is not ActorState.RESTARTING:
            return
        group = self._group(child)
        await self._stop_children(group, brutal=False)
        for member in group:
            member.cell.enter(ActorState.RESTARTING)
        await self._start_group(child)
