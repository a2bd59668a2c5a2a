"""Dialling the platform: one WebSocket to ``/ws/engine/{engine_id}`` with the engine's token, or the reason why not."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionRejected, wrap_client_stream

from wire.dialing import DialFailed, DialRefused, LinkClosed, may_reconnect, reconnect_delay
from wire.errors import WireError
from wire.jsontext import parse
from wire.messages import SUBPROTOCOL
from wire.sockets import (
    MESSAGE_QUEUE,
    RECEIVE_BYTES,
    GuardedStream,
    ReaderGuard,
    Socket,
    SocketLimits,
    background,
)

__all__ = ["DialFailed", "DialRefused", "LinkClosed", "dial", "dial_over", "may_reconnect", "reconnect_delay"]


@asynccontextmanager
async def dial(
    url: str,
    token: str,
    *,
    timeout: float = 10.0,
    ssl_context: ssl.SSLContext | None = None,
    limits: SocketLimits = SocketLimits(),  # noqa: B008  # frozen
) -> AsyncIterator[Socket]:
    """``async with dial("ws://127.0.0.1:8701/ws/engine/E1", token) as socket``. Raises DialFailed or DialRefused.

    Leaving the block closes the socket. ``wss`` verifies the certificate unless ``ssl_context`` says otherwise.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or parts.hostname is None:
        raise ValueError("the address of a platform is ws://host:port/ws/engine/{engine_id} or wss://…")
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    deadline = trio.current_time() + timeout
    stream: trio.abc.Stream | None = None
    try:
        with trio.move_on_at(deadline):
            stream = await trio.open_tcp_stream(parts.hostname, port)
    except OSError as error:
        raise DialFailed(f"{parts.hostname}:{port} cannot be reached: {error.strerror or 'refused'}") from None
    if stream is None:
        raise DialFailed(f"{parts.hostname}:{port} did not answer within {timeout:g} s")
    if parts.scheme == "wss":
        context = ssl_context or ssl.create_default_context()
        stream = trio.SSLStream(stream, context, server_hostname=parts.hostname, https_compatible=True)
    left = max(0.0, deadline - trio.current_time())
    host = parts.netloc.rpartition("@")[2]
    async with dial_over(stream, host=host, path=parts.path or "/", token=token, timeout=left, limits=limits) as socket:
        yield socket


@asynccontextmanager
async def dial_over(
    stream: trio.abc.Stream,
    *,
    host: str,
    path: str,
    token: str,
    timeout: float = 10.0,
    limits: SocketLimits = SocketLimits(),  # noqa: B008  # frozen
) -> AsyncIterator[Socket]:
    """The same over a stream that is open already, which it takes over."""
    try:
        async with background() as nursery:
            socket = await _open(nursery, stream, host=host, path=path, token=token, timeout=timeout, limits=limits)
            try:
                yield socket
            finally:
                await socket.close()
    finally:
        await trio.aclose_forcefully(stream)


async def _open(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    *,
    host: str,
    path: str,
    token: str,
    timeout: float,
    limits: SocketLimits,
) -> Socket:
    guarded = GuardedStream(stream, limits)
    reader = ReaderGuard(nursery)
    reader.handshake.deadline = trio.current_time() + timeout
    with reader.handshake:
        connection = await wrap_client_stream(
            cast("Any", reader),
            cast("Any", guarded),
            host,
            path,
            subprotocols=[SUBPROTOCOL],
            extra_headers=[(b"Authorization", b"Bearer " + token.encode("ascii", "replace"))],
            message_queue_size=MESSAGE_QUEUE,
            max_message_size=limits.max_message_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )
        if connection.subprotocol != SUBPROTOCOL:
            raise DialFailed(f"the server does not speak {SUBPROTOCOL}")
        return Socket(connection, guarded, limits=limits, remote=host)
    if isinstance(reader.failure, ConnectionRejected):
        raise _refusal(reader.failure)
    raise DialFailed("the handshake was broken off" if reader.failure else f"no handshake within {timeout:g} s")


def _refusal(rejected: ConnectionRejected) -> DialRefused:
    try:
        body = parse(rejected.body or b"{}", max_bytes=4096)
    except WireError:
        body = {}
    return DialRefused(
        rejected.status_code, str(body.get("error", "error_refused"))[:64], str(body.get("reason", ""))[:500]
    )
