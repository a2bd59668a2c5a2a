"""What a stop needs when nothing else of the platform answers.

It is given to the main loop first; if that does not take it within one second, it is written to the journal from here,
every engine's socket is shut down, and the engines halt by themselves when their leases end. When the main loop lives
again it finds the stop and goes on with it.
"""

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs
import trio

from actors.emergency.local_socket import LOCAL, LOCAL_USER, LocalAnswer, LocalRequest, noted_locally
from actors.platform.services import Services
from actors.requests import COORDINATOR, Principal, Refusal, TakeStop
from actors.stops.copies import StopCopies
from actors.stops.shelf import StopShelf
from store.journal_records import StopNoted
from store.left_stops import collect, forget, leave
from supervisor.errors import SupervisorError
from wire.rest.access import Role
from wire.rest.stops import Stop, StopRequest, StopState
from wire.stops import Level, Scope

MAIN_LOOP_SECONDS = 1.0
JOURNAL_SECONDS = 0.5
DISK_SECONDS = 3.0
EPOCH_GAP = 1000
LEFT_SECONDS = 1.0
log = logging.getLogger(__name__)

RECORDED_WORDS = "recorded; engines halt by lease within 15 s"
NO_DRILL_WORDS = "the main loop of the platform does not answer: no drill was taken; a real stop works without it"
HUNG_DISK = "the disk does not answer"
TOLD = {
    StopState.RUNNING: "taken, and under way: {n} of {n2} engines have it",
    StopState.VERIFIED: "stopped: each of {n2} engines is verified",
    StopState.EMPTY: "taken, but there is no engine that it concerns",
}
TOLD_UNPROVED = "taken, but not every engine is verified: {n} of {n2} engines have it"


class EngineSockets:
    """The raw sockets of the engines, to be cut from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket | trio.socket.SocketType] = set()

    def add(self, sock: trio.socket.SocketType) -> None:
        with self._lock:
            self._sockets.add(sock)

    def discard(self, sock: trio.socket.SocketType) -> None:
        with self._lock:
            self._sockets.discard(sock)

    def shut_down(self) -> int:
        """How many were cut. The main loop sees them end when it lives again."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(sockets)


@attrs.define
class Asked:
    """What the main loop was asked. ``answer`` stays None when it had none; ``over`` is of the loop that asked."""

    answer: Stop | Refusal | None = None
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen(kw_only=True, eq=False)
class BreakGlass:
    """What the thread may touch of the platform: nothing that waits for the main loop."""

    services: Services
    copies: StopCopies
    shelf: StopShelf
    sockets: EngineSockets
    main: trio.lowlevel.TrioToken

    async def stop(self, request: LocalRequest, who: Principal, waiting: trio.CancelScope | None = None) -> LocalAnswer:
        """``waiting`` cancelled: it is answered at once, with what is known by then."""
        taken = await self._by_main_loop(self._ask(request, who), request.wait_s, waiting or trio.CancelScope())
        return taken if taken is not None else await self._by_hand(request, who)

    def _ask(self, request: LocalRequest, who: Principal) -> Asked:
        """Holds no thread, however long the main loop stands still and however often it is asked."""
        asked, here = Asked(), trio.lowlevel.current_trio_token()

        async def take() -> None:
            try:
                asked.answer = await self._take(request, who)
            except Exception:
                log.exception("a stop of an emergency door failed")
            finally:
                soon(here, asked.over.set)

        def begin() -> None:
            try:
                trio.lowlevel.spawn_system_task(take, name="stop of an emergency door")
            except RuntimeError:  # the main loop is ending
                soon(here, asked.over.set)

        soon(self.main, begin)
        return asked

    async def _by_main_loop(self, asked: Asked, seconds: float, waiting: trio.CancelScope) -> LocalAnswer | None:
        """None when it was not taken in time. Once taken, it waits for the engines, at most as long as asked for."""
        with trio.move_on_after(MAIN_LOOP_SECONDS):
            await asked.over.wait()
        if asked.answer is None:
            return None
        if isinstance(asked.answer, Refusal):
            return LocalAnswer(recorded=False, words=asked.answer.reason)
        return told(await self._finished(asked.answer, seconds, waiting))

    async def _take(self, request: LocalRequest, who: Principal) -> Stop | Refusal | None:
        """Runs in the main loop."""
        wanted = StopRequest(
            request_id=request.request_id,
            scope=request.scope,
            level=request.level,
            reason=request.reason,
            drill=request.drill,
        )
        take = TakeStop(principal=who, request=wanted, cause=LOCAL)
        with contextlib.suppress(SupervisorError):
            return await self.services.system.ref(COORDINATOR).ask(take, timeout=60.0, urgent=True)
        return None

    async def _finished(self, stop: Stop, seconds: float, waiting: trio.CancelScope) -> Stop:
        """The board is only read here, which needs no loop."""
        end = time.monotonic() + seconds
        shown = stop
        with waiting:
            while time.monotonic() < end:
                shown = self.services.stops.get(stop.stop_id) or shown
                if shown.state is not StopState.RUNNING and shown.durable:
                    break
                await trio.sleep(0.05)
        return shown

    async def _by_hand(self, request: LocalRequest, who: Principal) -> LocalAnswer:
        """A disk that hangs keeps its thread, and nobody waits for it."""
        if request.drill:
            return LocalAnswer(recorded=False, words=NO_DRILL_WORDS)
        cut = self.sockets.shut_down()
        stop_id, level = self._raised(request.scope, request.level)
        wanted = attrs.evolve(cast("Any", request), level=level)
        noted = self._note(wanted, stop_id, who)
        why = HUNG_DISK
        try:
            with trio.move_on_after(DISK_SECONDS):
                await trio.to_thread.run_sync(self._write, noted, abandon_on_cancel=True)
                return LocalAnswer(recorded=True, durable=True, stop_id=stop_id, engines=cut, words=RECORDED_WORDS)
        except OSError as error:
            why = error.strerror or str(error)
        words = f"{cut} engines were cut off and halt by lease within 15 s; not recorded: {why}"
        return LocalAnswer(recorded=False, stop_id=stop_id, words=words)

    def _raised(self, scope: Scope, level: Level) -> tuple[str, Level]:
        """The same scope is the same stop, as the main loop would have it; its level never falls."""
        known = [(s.stop_id, s.level) for s in tuple(self.shelf.decided_elsewhere) if s.scope == scope]
        for run in tuple(self.shelf.book.runs.values()):
            entry = self.shelf.book.register.entries.get(run.stop_id)
            if run.scope == scope and entry is not None and entry.is_open:
                known.append((run.stop_id, entry.level))
        if not known:
            return f"stop-{uuid.uuid4().hex[:20]}", level
        return known[0][0], max(level, *(found for _, found in known))

    async def take_up_left_stops(self) -> None:
        """Runs for ever. A stop that was left while this platform started, or did not answer, is taken up here."""
        home = self.services.settings.home
        taken: set[Path] = set()  # and cannot be forgotten
        asked: dict[Path, Asked] = {}  # a main loop that stands still is asked once
        while True:
            for path, left in await trio.to_thread.run_sync(collect, home, datetime.now(UTC)):
                request = LocalRequest(
                    request_id=left.request_id, scope=left.scope, level=left.level, reason=left.reason, wait_s=0.0
                )
                if path in taken:
                    continue
                if path not in asked:
                    asked[path] = self._ask(request, local_operator())
                answer = await self._by_main_loop(asked[path], request.wait_s, trio.CancelScope())
                if asked[path].over.is_set():
                    del asked[path]
                if answer is None or (answer.recorded and not answer.durable):  # its file is its one copy on a disk
                    continue
                if not answer.recorded:
                    log.warning("a stop that was left stops nothing: %s", answer.words)
                try:
                    await trio.to_thread.run_sync(forget, path)
                except OSError as error:
                    taken.add(path)
                    log.warning("a stop that was left is taken, and its file stays: %s", error)
            await trio.sleep(LEFT_SECONDS)

    def _note(self, request: LocalRequest, stop_id: str, who: Principal) -> StopNoted:
        """In the same step as ``_raised``, so that one more of the same scope finds it."""
        pending = max((s.stop_epoch for s in tuple(self.shelf.decided_elsewhere)), default=0)
        epoch = max(self.shelf.book.register.epoch + EPOCH_GAP, pending + 1)
        noted = noted_locally(request, stop_id=stop_id, epoch=epoch, user_id=who.user_id, username=who.username)
        self.shelf.decided_elsewhere.append(noted)
        return noted

    def _write(self, noted: StopNoted) -> None:
        """Blocking. The journal, or if that does not answer either, a file of its own for the next start."""
        if not self.copies.append_within(JOURNAL_SECONDS, [noted]):
            leave(self.services.settings.home, noted)


def local_operator() -> Principal:
    """Whoever can read the home folder of the platform."""
    return Principal(
        user_id=LOCAL_USER, username=LOCAL_USER, role=Role.OPERATOR, auth_time=datetime.now(UTC), origin="local"
    )


def told(stop: Stop) -> LocalAnswer:
    return LocalAnswer(
        recorded=True,
        words=TOLD.get(stop.state, TOLD_UNPROVED).format(n=stop.delivered, n2=stop.engines),
        stop_id=stop.stop_id,
        state=stop.state,
        delivered=stop.delivered,
        engines=stop.engines,
        durable=stop.durable,
        stop=stop,
    )


def soon(token: trio.lowlevel.TrioToken, action: Callable[[], object]) -> None:
    """In another thread's loop, if that has not ended."""
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(action)
