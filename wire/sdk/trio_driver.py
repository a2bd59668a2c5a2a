"""Moves what the engine's end decides, on trio: frames between it and a socket, and jobs to where they are done."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from wire.client import DialFailed, DialRefused, LinkClosed, dial
from wire.http import HttpClient
from wire.sdk.calls import fetch_token
from wire.sdk.clock import Clock
from wire.sdk.conversation import Conversation
from wire.sdk.errors import PlatformAway, Unwelcome
from wire.sdk.work import Job, Lane, Outcome, Work
from wire.sockets import Socket, background

DIAL_TIMEOUT = 10.0
_LONGEST_SLEEP = 60.0
_LOOK_EVERY = 0.25

OnThread = Callable[[Callable[[], Any]], Awaitable[Any]]


async def carry_on(work: Work, clock: Clock, *, on_thread: OnThread | None = None) -> None:
    """Does the work of all lanes until it is cancelled. Files never wait behind what the engine does on threads."""
    files: OnThread = on_thread or partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(len(work.lanes)))
    work.begin()
    async with trio.open_nursery() as nursery:
        while True:
            woken = trio.Event()
            work.woken = woken.set
            for lane, job in work.jobs(clock.now()):
                nursery.start_soon(_carry_out, work, lane, job, clock, files)
            deadline = work.deadline()
            with trio.move_on_after(_until(deadline, clock)):
                await woken.wait()


async def _carry_out(work: Work, lane: Lane, job: Job, clock: Clock, on_thread: OnThread) -> None:
    work.finished(lane, job, await _outcome(job, on_thread), clock.now())


async def _outcome(job: Job, on_thread: OnThread) -> Outcome:
    try:
        with trio.move_on_after(float("inf") if job.timeout is None else job.timeout):
            if job.blocking:
                return Outcome(value=await on_thread(job.work))
            value = job.work()
            return Outcome(value=await value if inspect.isawaitable(value) else value)
    except Exception as error:
        return Outcome(error=error)
    return Outcome(error=TimeoutError(f"no answer within {job.timeout:g} s"))


class TrioDriver:
    """Keeps a conversation connected."""

    def __init__(self, conversation: Conversation, *, http: HttpClient, clock: Clock) -> None:
        self._conversation = conversation
        self._http = http
        self._clock = clock
        self._woken = trio.Event()
        self._stirred = trio.lowlevel.ParkingLot()
        self.is_idle = True  # nothing is being written, and nothing waits to be
        conversation.wake = self._wake

    def _wake(self) -> None:
        self.is_idle = False
        self._woken.set()
        self._stirred.unpark_all()

    async def stirs(self) -> None:
        """Returns when anything about the link changed, or after a moment."""
        with trio.move_on_after(_LOOK_EVERY):
            await self._stirred.park()

    async def run(self) -> None:
        """Returns when the platform does not want this engine any more; until then it dials again and again."""
        conversation = self._conversation
        while not conversation.dialling.gave_up:
            await self._connect()
            if not conversation.dialling.gave_up:
                await trio.sleep(conversation.dialling.pause())

    async def _connect(self) -> None:
        """One connection from dialling to its end."""
        conversation = self._conversation
        credential = conversation.credential
        try:
            token = await fetch_token(self._http, credential)
            async with dial(credential.link_url, token.value, timeout=DIAL_TIMEOUT) as socket:
                await self._converse(socket)
        except DialRefused as error:
            conversation.dialling.refused(error.status)
        except DialFailed as error:
            conversation.dialling.away(str(error))
        except PlatformAway as error:
            conversation.dialling.away(error.reason)
        except Unwelcome as error:
            conversation.dialling.give_up(error.reason)

    async def _converse(self, socket: Socket) -> None:
        conversation = self._conversation
        conversation.connected()
        try:
            async with background() as nursery:
                nursery.start_soon(self._read, socket)
                nursery.start_soon(self._renew_token)
                await self._write(socket)
        except LinkClosed as error:
            conversation.lost(error)
        finally:
            conversation.disconnected()
            self.is_idle = True
            self._stirred.unpark_all()
        if conversation.closing is not None:
            await socket.close(int(conversation.closing.code), conversation.closing.reason)

    async def _read(self, socket: Socket) -> None:
        """Every frame that arrives, as long as the session looks at them."""
        try:
            while not self._conversation.is_over:
                self._conversation.receive(await socket.receive())
        except LinkClosed as error:
            self._conversation.lost(error)

    async def _write(self, socket: Socket) -> None:
        """Everything that is to be written, as long as the session lives, and then what its end still says."""
        conversation = self._conversation
        while True:
            self._woken = trio.Event()
            frames = conversation.frames()
            for frame in frames:
                await socket.send(frame)
            if frames:
                continue
            if conversation.is_over:
                return
            self.is_idle = not self._woken.is_set()
            self._stirred.unpark_all()
            with trio.move_on_after(_until(conversation.deadline(), self._clock)):
                await self._woken.wait()

    async def _renew_token(self) -> None:
        conversation, clock = self._conversation, self._clock
        while True:
            due = conversation.token_due_at()
            await trio.sleep(_LOOK_EVERY if due is None else max(_LOOK_EVERY, due - clock.now()))
            if due is None or clock.now() < due:
                continue
            try:
                conversation.token_fetched(await fetch_token(self._http, conversation.credential))
            except (PlatformAway, Unwelcome):
                conversation.token_fetched(None)


def _until(deadline: float | None, clock: Clock) -> float:
    return _LONGEST_SLEEP if deadline is None else max(0.0, deadline - clock.now())
