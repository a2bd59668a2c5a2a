"""The other driver of a listener: trio-websocket, which the dialling side uses, too. Same face, same bounds, slower."""

from typing import Any, cast

import trio
from trio_websocket import wrap_server_stream

from wire.messages import SUBPROTOCOL
from wire.plain import PlainConnection, PlainRequest
from wire.sockets import MESSAGE_QUEUE, RECEIVE_BYTES, GuardedStream, ReaderGuard, Socket, SocketLimits


async def accept(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    plain: PlainConnection,
    request: PlainRequest,
    limits: SocketLimits,
) -> Socket | None:
    """Answers a handshake that was judged already. None when the peer broke it off."""
    guarded = GuardedStream(stream, limits, replay=plain.received)
    reader = ReaderGuard(nursery)
    with reader.handshake:
        waiting = await wrap_server_stream(
            cast("Any", reader),
            guarded,
            message_queue_size=MESSAGE_QUEUE,
            max_message_size=limits.max_message_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )
        connection = await waiting.accept(subprotocol=SUBPROTOCOL)
        return Socket(connection, guarded, limits=limits, remote=request.remote)
    return None
