"""A WebSocket on which nothing waits forever and no failure reaches beyond its own connection.

trio-websocket does the protocol. What it leaves open is closed here: an interrupted send leaves half a frame, so the
stream is aborted and never used again; after a close the TCP connection is ended even if the peer stays silent; its
reader task may raise, and never returns from a handshake that the peer breaks off, so it runs under a guard.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from wire.closing import CloseCode
from wire.dialing import LinkClosed as LinkClosed
from wire.metering import FrameMeter, TokenBucket, Violation
from wire.values import MAX_FRAME_BYTES

MESSAGE_QUEUE = 64
RECEIVE_BYTES = 8 * 1024
MAX_REASON_BYTES = 120


@attrs.frozen(kw_only=True)
class SocketLimits:
    """Bounds of one connection; times in seconds, rates per second."""

    max_message_bytes: int = MAX_FRAME_BYTES
    max_fragments: int = 64
    frames_per_s: float = 1000
    frames_burst: float = 4000
    bytes_per_s: float = 4 * 2**20
    bytes_burst: float = 8 * 2**20
    send_timeout: float = 10.0
    close_timeout: float = 2.0


class GuardedStream(trio.abc.Stream):
    """A stream that meters what it receives. After a violation it only drains, so that our close frame can be read."""

    def __init__(self, stream: trio.abc.Stream, limits: SocketLimits, *, replay: bytes = b"") -> None:
        self._stream = stream
        self._replay = replay
        self._meter = FrameMeter(limits.max_message_bytes, limits.max_fragments)
        self._frames = TokenBucket(limits.frames_per_s, limits.frames_burst)
        self._bytes = TokenBucket(limits.bytes_per_s, limits.bytes_burst)
        self.violation: CloseCode | None = None
        self.on_violation: Callable[[], None] = lambda: None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.violation is not None:
            return await self._drain()
        if self._replay:
            await trio.lowlevel.checkpoint()
            data: bytes | bytearray = self._replay
            self._replay = b""
        else:
            data = await self._stream.receive_some(max_bytes)
        try:
            frames = self._meter.feed(data)
        except Violation as violation:
            self.violation = violation.code
            self.on_violation()
            return await self._drain()
        now = trio.current_time()
        delay = max(self._frames.spend(frames, now), self._bytes.spend(len(data), now))
        if delay > 0:
            # Not reading pushes back on the sender through TCP: a flood costs the flooder its own time.
            await trio.sleep(delay)
        return data

    async def _drain(self) -> bytes:
        while await self._stream.receive_some(RECEIVE_BYTES):
            pass
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class ReaderGuard:
    """Stands where trio-websocket wants a nursery for its reader task: the task cannot fail into it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.failure: Exception | None = None
        self.handshake = trio.CancelScope()

    def start_soon(self, task: Callable[[], Awaitable[Any]]) -> None:
        self._nursery.start_soon(self._run, task)

    async def _run(self, task: Callable[[], Awaitable[Any]]) -> None:
        try:
            await task()
        except Exception as error:
            self.failure = error
        finally:
            # A reader that ended before the handshake was over will never announce its end.
            self.handshake.cancel()


class Link(Protocol):
    """What an open link can do, whoever drives it. One task may send while another receives.

    ``post`` takes a text without waiting; while ``is_behind``, ``flush`` before the next. All raise LinkClosed once the
    connection is over, but ``close``, which is bounded and never raises.
    """

    remote: str

    @property
    def is_behind(self) -> bool: ...
    def post(self, text: str) -> None: ...
    async def flush(self) -> None: ...
    async def send(self, text: str) -> None: ...
    async def receive(self) -> str: ...
    async def receive_many(self) -> Sequence[str]: ...
    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None: ...


class Socket:
    """One open WebSocket of either side, driven by trio-websocket."""

    def __init__(
        self, connection: WebSocketConnection, stream: GuardedStream, *, limits: SocketLimits, remote: str = ""
    ) -> None:
        self.remote = remote
        self._connection = connection
        self._stream = stream
        self._limits = limits
        self._receiving: trio.CancelScope | None = None
        self._ended: LinkClosed | None = None
        self._posted: deque[str] = deque()
        stream.on_violation = self._interrupt

    @property
    def is_behind(self) -> bool:
        return bool(self._posted)

    def post(self, text: str) -> None:
        """Nothing is written before ``flush``."""
        self._check_open()
        self._posted.append(text)

    async def flush(self) -> None:
        while self._posted:
            await self.send(self._posted.popleft())

    async def send(self, text: str) -> None:
        """Raises LinkClosed. After 10 s without progress the connection is aborted (4029): half a frame is out."""
        self._check_open()
        whole = False
        try:
            with trio.move_on_after(self._limits.send_timeout):
                await self._connection.send_message(text)
                whole = True
        except ConnectionClosed as closed:
            whole = True
            raise self._why(closed) from None
        finally:
            if not whole:
                await self._abort(LinkClosed(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason))
        self._check_open()

    async def receive(self) -> str:
        """The next message. Raises LinkClosed with the code of whoever closed; binary messages are 4507."""
        with trio.CancelScope() as self._receiving:
            if self._stream.violation is not None:
                self._receiving.cancel()
            try:
                message = await self._connection.get_message()
            except ConnectionClosed as closed:
                raise self._why(closed) from None
            finally:
                self._receiving = None
            if isinstance(message, str):
                return message
            await self.close(CloseCode.MALFORMED, CloseCode.MALFORMED.reason)
            raise LinkClosed(CloseCode.MALFORMED, CloseCode.MALFORMED.reason)
        raise self._why(None)

    async def receive_many(self) -> Sequence[str]:
        """The next message alone: trio-websocket tells of no others."""
        return (await self.receive(),)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Says goodbye, waits at most 2 s for the answer, and ends the TCP connection in any case. Never raises."""
        if self._stream.violation is not None:
            code, reason = self._stream.violation, self._stream.violation.reason
        try:
            if self._ended is None:
                self._ended = LinkClosed(code, reason)
                with trio.move_on_after(self._limits.close_timeout):
                    await self._connection.aclose(code, fitting(reason))
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the connection ended first; it is aborted below all the same
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _abort(self, why: LinkClosed) -> None:
        self._ended = why
        await trio.aclose_forcefully(self._stream)

    def _check_open(self) -> None:
        if self._ended is not None:
            raise LinkClosed(self._ended.code, self._ended.reason)

    def _interrupt(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()

    def _why(self, closed: ConnectionClosed | None) -> LinkClosed:
        if self._stream.violation is not None:
            return LinkClosed(self._stream.violation, self._stream.violation.reason)
        if self._ended is not None:
            return LinkClosed(self._ended.code, self._ended.reason)
        if closed is None or closed.reason is None:
            return LinkClosed(1006)
        if closed.reason.code == CloseCode.TOO_LARGE:
            return LinkClosed(CloseCode.TOO_LARGE, CloseCode.TOO_LARGE.reason)
        return LinkClosed(closed.reason.code, closed.reason.reason or "")


def fitting(reason: str) -> str:
    """As much of a reason as a close frame holds."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


@asynccontextmanager
async def background() -> AsyncIterator[trio.Nursery]:
    """A nursery for tasks that do not raise: they end with the body, and the body's own exception leaves it bare."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
