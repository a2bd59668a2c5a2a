"""Hypercorn's connection with the bounds it lacks: how many, and how long one may take to say what it wants.

A connection that has asked for nothing yet has 5 s to do so. Of such connections only so many are kept; one more puts
out the oldest, so that somebody who opens thousands and says nothing takes no place from a client that asks at once.
When the house is full, one more puts out whoever had its answer and stays longest without asking again; where there is
none, whoever has asked for nothing yet, and then whoever has announced a body and is still saying it.

And with a way out that costs little more than the system call. Everything that goes out passes one queue, in which the
library's bytes and whole WebSocket frames that were finished elsewhere follow each other and never mix; the state of
the library's WebSocket decides whether frames may still go. A write that is cancelled loses and repeats nothing.
"""

import math
import os
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any

import attrs
import h11
import hypercorn.trio.run
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.tcp_server import TCPServer
from wsproto.connection import ConnectionState

from wire.metering import TokenBucket

HEAD_SECONDS = 5.0
EXCHANGE_SECONDS = 45.0
"""From the head of a request to the end of its answer; a stop is answered within 30 s."""
READ_BYTES = 16 * 1024
SOCKET_BYTES_PER_S, SOCKET_BURST = 32 * 1024, 256 * 1024
"""What a browser may send over a WebSocket. Without it a flood of empty frames, which cost the library far more than
they weigh, takes the time of everybody."""
LINGER_SECONDS, LINGER_BYTES = 1.0, 2**20
"""How long and how much is still read from a peer that was told why its connection ends."""
SILENT = 256
CONNECTIONS = 4096
CONNECTION = "watchkeeper.connection"
"""Under this name the state of an ASGI scope holds the BoundedServer it came by."""


@attrs.define
class Guests:
    """All connections of this process's web listener; of them, oldest first, those that have asked for nothing yet,
    those that had their answer and ask for nothing more, and those whose request has not come whole."""

    silent_limit: int = SILENT
    limit: int = CONNECTIONS
    count: int = 0
    silent: OrderedDict[trio.CancelScope, None] = attrs.field(factory=OrderedDict)
    resting: OrderedDict[trio.CancelScope, None] = attrs.field(factory=OrderedDict)
    speaking: OrderedDict[trio.CancelScope, None] = attrs.field(factory=OrderedDict)

    def bound(self, limit: int) -> None:
        """A small house keeps room for those who ask: whoever comes anew is put out only for many others."""
        self.limit = limit
        self.silent_limit = min(SILENT, limit // 2)

    def enter(self, scope: trio.CancelScope) -> bool:
        """False when the house is full of guests that are being served."""
        if len(self.silent) >= self.silent_limit:
            self._put_out(self.silent)
        elif self.count >= self.limit:
            idle = self.resting or self.silent or self.speaking
            if not idle:
                return False
            self._put_out(idle)
        self.count += 1
        self.silent[scope] = None
        return True

    def asked(self, scope: trio.CancelScope) -> None:
        """It has begun a request."""
        for kind in (self.silent, self.resting, self.speaking):
            kind.pop(scope, None)

    def speaks(self, scope: trio.CancelScope, *, still: bool) -> None:
        """Whether the body of its request is still to come; the place in the row is that of its beginning."""
        if still:
            self.speaking.setdefault(scope)
        else:
            self.speaking.pop(scope, None)

    def answered(self, scope: trio.CancelScope) -> None:
        self.resting[scope] = None

    def leave(self, scope: trio.CancelScope) -> None:
        self.asked(scope)
        self.count -= 1

    @staticmethod
    def _put_out(row: OrderedDict[trio.CancelScope, None]) -> None:
        oldest, _ = row.popitem(last=False)
        oldest.cancel()


GUESTS = Guests()


class BoundedServer(TCPServer):
    """One connection."""

    async def run(self) -> None:
        self.state = {**self.state, CONNECTION: self}
        self._unwritten: deque[bytes | memoryview] = deque()
        stream: object = self.stream
        self._plain = stream.socket if isinstance(stream, trio.SocketStream) and os.name == "posix" else None
        with trio.CancelScope() as self._scope:
            secure = isinstance(self.stream, trio.SSLStream)
            self._scope.deadline = trio.current_time() + HEAD_SECONDS * (2 if secure else 1)
            if not GUESTS.enter(self._scope):
                await trio.aclose_forcefully(self.stream)
                return
            try:
                await super().run()
            finally:
                GUESTS.leave(self._scope)
        await trio.aclose_forcefully(self.stream)

    async def _read_data(self) -> None:
        """As Hypercorn's, in smaller pieces; a WebSocket that sends faster than it may waits, and TCP makes it wait.

        HTTP/2, which nobody needs here, is not begun. An answer that is given before the body has come ends the
        connection: Hypercorn means to, but the application's end cancels it at that, and the connection stays.
        """
        allowance = TokenBucket(SOCKET_BYTES_PER_S, SOCKET_BURST)
        data: bytes | bytearray = b"-"
        while data:
            try:
                data = await self.stream.receive_some(READ_BYTES)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            await self.protocol.handle(RawData(bytes(data)))
            protocol = self.protocol.protocol
            if not isinstance(protocol, H11Protocol) or _is_answered_early(protocol):
                break
            GUESTS.speaks(self._scope, still=protocol.connection.their_state is h11.SEND_BODY)
            if isinstance(protocol.stream, WSStream):
                self._scope.deadline = math.inf
                await trio.sleep(allowance.spend(len(data), trio.current_time()))
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self._scope.deadline = math.inf if event.idle else trio.current_time() + EXCHANGE_SECONDS
            (GUESTS.answered if event.idle else GUESTS.asked)(self._scope)
        if isinstance(event, RawData):
            self._put(event.data)
            await self._write()
        else:
            await super().protocol_send(event)

    # --- out --------------------------------------------------------------------------------------------------------

    @property
    def takes_frames(self) -> bool:
        """Whether this is a WebSocket that is open in both directions. Nobody here sends a message in fragments."""
        protocol = self.protocol.protocol
        stream = protocol.stream if isinstance(protocol, H11Protocol) else None
        return (
            isinstance(stream, WSStream)
            and not stream.closed
            and stream.state is ASGIWebsocketState.CONNECTED
            and stream.connection.state is ConnectionState.OPEN
        )

    def post(self, frames: bytes) -> bool:
        """Takes whole WebSocket frames and writes what the socket takes at once; whether that was all of them.

        After False, ``flush``. Frames for a link that is not open (any more) are dropped, as the library does.
        """
        if not self.takes_frames:
            return False
        self._put(frames)
        return not self._unwritten

    async def flush(self) -> None:
        """Writes what waits. Always a checkpoint. Raises trio.ClosedResourceError when no frames are taken any more."""
        await self._write()
        if not self.takes_frames:
            raise trio.ClosedResourceError("the link is closed")

    def abort(self) -> None:
        """Ends the connection, whatever the peer does and does not take."""
        self._scope.cancel()

    async def linger(self) -> None:
        """Says that nothing more will come, and reads what still does: unread, it would take the last words back.

        To be called by the task that reads.
        """
        with trio.move_on_after(LINGER_SECONDS), suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            if self._plain is not None:
                self._plain.shutdown(trio.socket.SHUT_WR)
            left = LINGER_BYTES
            while left > 0 and (data := await self.stream.receive_some(READ_BYTES)):
                left -= len(data)

    def _put(self, data: bytes) -> None:
        """Behind everything that waits; if nothing does, to the socket, as far as it takes it."""
        if not self._unwritten and self._plain is not None:
            try:
                sent = os.write(self._plain.fileno(), data)
            except OSError:
                sent = 0  # it is full, or gone: that is noticed where it may be waited
            if sent < len(data):
                self._unwritten.append(memoryview(data)[sent:])
        else:
            self._unwritten.append(data)

    async def _write(self) -> None:
        """Until nothing waits. One task writes at a time, and another that comes meanwhile waits for it."""
        try:
            async with self.send_lock:
                while self._unwritten:
                    await (self._write_first() if self._plain is None else self._write_some(self._plain))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._unwritten.clear()
            await self.protocol.handle(Closed())

    async def _write_some(self, plain: trio.socket.SocketType) -> None:
        first = self._unwritten[0]
        try:
            sent = os.write(plain.fileno(), first)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(plain)
            return
        if sent < len(first):
            self._unwritten[0] = memoryview(first)[sent:]
        else:
            self._unwritten.popleft()

    async def _write_first(self) -> None:
        """What TLS has begun must be finished."""
        with trio.CancelScope(shield=True):
            await self.stream.send_all(self._unwritten[0])
        self._unwritten.popleft()


def _is_answered_early(protocol: H11Protocol) -> bool:
    http = protocol.connection
    return http.our_state is h11.DONE and http.their_state is h11.SEND_BODY


def install() -> None:
    """Makes Hypercorn's trio worker use it."""
    namespace: dict[str, Any] = vars(hypercorn.trio.run)
    namespace["TCPServer"] = BoundedServer
