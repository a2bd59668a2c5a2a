"""Moves what the engine's end decides, on asyncio: frames between it and a socket, and jobs to where they are done."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wire.dialing import DialFailed, DialRefused, LinkClosed
from wire.sdk.aio_http import fetch_config, fetch_token
from wire.sdk.aio_socket import Socket, dial
from wire.sdk.clock import Clock
from wire.sdk.conversation import Conversation
from wire.sdk.engine import Engine, log
from wire.sdk.errors import HandlerEnded, PlatformAway, Unwelcome
from wire.sdk.platform import PlatformConfig
from wire.sdk.work import Job, Lane, Outcome, Work

_LONGEST_SLEEP = 60.0
_LOOK_EVERY = 0.25
_FAREWELL = 1.0
_FILES = ThreadPoolExecutor(8, thread_name_prefix="engine files")  # never behind what the engine does on threads

OnThread = Callable[[Callable[[], Any]], Awaitable[Any]]


async def whole(work: Callable[[], Any]) -> Any:
    """Runs ``work`` on a thread and leaves it only when it has ended, also when cancelled: it is writing a file."""
    running = asyncio.wrap_future(_FILES.submit(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def abandoned(work: Callable[[], Any]) -> Any:
    """Runs an engine's handler on a thread of its own, which nobody waits for once its time is over."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def run() -> None:
        try:
            outcome: tuple[Any, Exception | None] = (work(), None)
        except Exception as error:
            outcome = (None, error)
        except BaseException as error:  # sys.exit() in a thread ends nothing else
            outcome = (None, HandlerEnded(f"it was left by {type(error).__name__}"))
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="engine handler", daemon=True).start()
    return await answer


async def within(seconds: float | None, awaitable: Awaitable[Any]) -> bool:
    """False when the time was over first."""
    try:
        async with asyncio.timeout(seconds):
            await awaitable
    except TimeoutError:
        return False
    return True


class Tasks:
    """Tasks that end together with whoever started them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def carry_on(work: Work, clock: Clock, *, handlers: OnThread | None = None) -> None:
    """Does the work of all lanes until it is cancelled. ``handlers`` runs the engine's own code; None: on the loop."""
    tasks = Tasks()
    woken = asyncio.Event()
    work.begin()
    work.woken = woken.set
    try:
        while True:
            woken.clear()
            for lane, job in work.jobs(clock.now()):
                tasks.start(_carry_out(work, lane, job, clock, handlers))
            await within(_until(work.deadline(), clock), woken.wait())
    finally:
        await tasks.end()


async def _carry_out(work: Work, lane: Lane, job: Job, clock: Clock, handlers: OnThread | None) -> None:
    work.finished(lane, job, await _outcome(job, handlers), clock.now())


async def _outcome(job: Job, handlers: OnThread | None) -> Outcome:
    try:
        async with asyncio.timeout(job.timeout):
            if job.blocking:
                return Outcome(value=await whole(job.work))
            if job.handler and handlers is not None:
                return Outcome(value=await handlers(job.work))
            value = job.work()
            return Outcome(value=await value if inspect.isawaitable(value) else value)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not job.handler or task is None or task.cancelling():
            raise
        return Outcome(error=HandlerEnded("it waited for a task that was cancelled"))
    except Exception as error:
        return Outcome(error=error)


class AioDriver:
    """Keeps a conversation connected."""

    def __init__(self, conversation: Conversation, *, clock: Clock) -> None:
        self._conversation = conversation
        self._clock = clock
        self._woken = asyncio.Event()
        self._stirred: asyncio.Future[None] | None = None
        self.is_idle = True  # nothing is being written, and nothing waits to be
        conversation.wake = self._wake

    def _wake(self) -> None:
        self.is_idle = False
        self._woken.set()
        self._stir()

    def _stir(self) -> None:
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)

    async def stirs(self) -> None:
        """Returns when anything about the link changed, or after a moment."""
        if self._stirred is None or self._stirred.done():
            self._stirred = asyncio.get_running_loop().create_future()
        await within(_LOOK_EVERY, asyncio.shield(self._stirred))

    async def run(self) -> None:
        """Returns when the platform does not want this engine any more; until then it dials again and again."""
        conversation = self._conversation
        while not conversation.dialling.gave_up:
            await self._connect()
            if not conversation.dialling.gave_up:
                await asyncio.sleep(conversation.dialling.pause())

    async def _connect(self) -> None:
        """One connection from dialling to its end."""
        conversation = self._conversation
        credential = conversation.credential
        try:
            token = await fetch_token(credential)
            async with dial(credential.link_url, token.value) as socket:
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
        conversation, tasks = self._conversation, Tasks()
        conversation.connected()
        try:
            tasks.start(self._read(socket))
            tasks.start(self._renew_token())
            await self._write(socket)
        except LinkClosed as error:
            conversation.lost(error)
        finally:
            await tasks.end()
            conversation.disconnected()
            self.is_idle = True
            self._stir()
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
            self._woken.clear()
            frames = conversation.frames()
            for frame in frames:
                await socket.send(frame)
            if frames:
                continue
            if conversation.is_over:
                return
            self.is_idle = not self._woken.is_set()
            self._stir()
            await within(_until(conversation.deadline(), self._clock), self._woken.wait())

    async def _renew_token(self) -> None:
        conversation, clock = self._conversation, self._clock
        while True:
            due = conversation.token_due_at()
            await asyncio.sleep(_LOOK_EVERY if due is None else max(_LOOK_EVERY, due - clock.now()))
            if due is None or clock.now() < due:
                continue
            try:
                conversation.token_fetched(await fetch_token(conversation.credential))
            except (PlatformAway, Unwelcome):
                conversation.token_fetched(None)


class Running:
    """An engine's end while it runs on this loop. ``handlers`` as for ``carry_on``."""

    def __init__(self, engine: Engine, *, handlers: OnThread | None = None) -> None:
        self._engine = engine
        self._tasks = Tasks()
        self._driver = AioDriver(engine.conversation, clock=engine.clock)
        self._failure: BaseException | None = None
        engine.config.fetch = self.config
        for work in (carry_on(engine.work, engine.clock, handlers=handlers), self._driver.run()):
            self._tasks.start(work).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        """Neither may fail. If one does, nothing leaves any more, and whoever closes the link hears why."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._engine.gate.fenced = "the link of this engine failed"
            log.critical("the link of this engine failed: no order leaves any more", exc_info=error)

    async def end(self) -> None:
        """Says goodbye and writes everything down. Raises what the link failed of, if it did."""
        try:
            await within(_FAREWELL, self._farewell())
        finally:
            await self._tasks.end()
            self._engine.close()
        if self._failure is not None:
            raise self._failure

    async def _farewell(self) -> None:
        """What is spooled goes out as far as a moment allows, and the platform hears that this was on purpose."""
        conversation = self._engine.conversation
        while conversation.is_linked and len(self._engine.outlet):
            await self._driver.stirs()
        conversation.goodbye()
        while not self._driver.is_idle:
            await self._driver.stirs()

    async def wait_open(self, strategy_id: str | None) -> None:
        while self._engine.orders.why_closed(strategy_id) is not None:
            await self._driver.stirs()

    async def config(self) -> PlatformConfig:
        credential = self._engine.credential
        return await fetch_config(credential, await fetch_token(credential))


def _until(deadline: float | None, clock: Clock) -> float:
    return _LONGEST_SLEEP if deadline is None else max(0.0, deadline - clock.now())
