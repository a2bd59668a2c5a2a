"""Hypercorn's connection with the bounds it lacks: how many, and how long one may take to say what it wants.

A connection that has asked for nothing yet has 5 s to do so. Of such connections only so many are kept; one more puts
out the oldest, so that somebody who opens thousands and says nothing takes no place from a client that asks at once.
"""

import math
from collections import OrderedDict
from typing import Any

import attrs
import h11
import hypercorn.trio.run
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import TCPServer

from wire.metering import TokenBucket

HEAD_SECONDS = 5.0
EXCHANGE_SECONDS = 45.0
"""From the head of a request to the end of its answer; a stop is answered within 30 s."""
READ_BYTES = 16 * 1024
SOCKET_BYTES_PER_S, SOCKET_BURST = 32 * 1024, 256 * 1024
"""What a browser may send over a WebSocket. Without it a flood of empty frames, which cost the library far more than
they weigh, takes the time of everybody."""
SILENT = 256
CONNECTIONS = 4096


@attrs.define
class Guests:
    """All connections of this process's web listener, and those that have asked for nothing yet, oldest first."""

    silent_limit: int = SILENT
    limit: int = CONNECTIONS
    count: int = 0
    silent: OrderedDict[trio.CancelScope, None] = attrs.field(factory=OrderedDict)

    def enter(self, scope: trio.CancelScope) -> bool:
        """False when the house is full of guests that are being served."""
        if len(self.silent) >= self.silent_limit or (self.count >= self.limit and self.silent):
            oldest, _ = self.silent.popitem(last=False)
            oldest.cancel()
        elif self.count >= self.limit:
            return False
        self.count += 1
        self.silent[scope] = None
        return True

    def asked(self, scope: trio.CancelScope) -> None:
        self.silent.pop(scope, None)

    def leave(self, scope: trio.CancelScope) -> None:
        self.silent.pop(scope, None)
        self.count -= 1


GUESTS = Guests()


class BoundedServer(TCPServer):
    """One connection."""

    async def run(self) -> None:
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
            if isinstance(protocol.stream, WSStream):
                self._scope.deadline = math.inf
                await trio.sleep(allowance.spend(len(data), trio.current_time()))
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self._scope.deadline = math.inf if event.idle else trio.current_time() + EXCHANGE_SECONDS
            GUESTS.asked(self._scope)
        await super().protocol_send(event)


def _is_answered_early(protocol: H11Protocol) -> bool:
    http = protocol.connection
    return http.our_state is h11.DONE and http.their_state is h11.SEND_BODY


def install() -> None:
    """Makes Hypercorn's trio worker use it."""
    namespace: dict[str, Any] = vars(hypercorn.trio.run)
    namespace["TCPServer"] = BoundedServer
