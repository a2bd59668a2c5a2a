"""One WebSocket to the platform on asyncio, with the words and the bounds of ``wire.sockets``."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from wire.closing import CloseCode
from wire.dialing import DialFailed, DialRefused, LinkClosed
from wire.errors import WireError
from wire.jsontext import parse
from wire.messages import SUBPROTOCOL
from wire.values import MAX_FRAME_BYTES

DIAL_TIMEOUT = 10.0
_SEND_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0
_MAX_REASON_BYTES = 120
_MESSAGE_QUEUE = 64

_log = logging.getLogger("wire.sdk.websockets")
_log.setLevel(logging.WARNING)  # at DEBUG the library would write the handshake, and with it the token


class _Connect(connect):
    """A platform never sends an engine, and its token, somewhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Socket:
    """Text out, text in. One task may send while another receives."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Raises LinkClosed. After 10 s without progress the connection is aborted (4029): half a frame is out."""
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await self._connection.send(text)
        except TimeoutError:
            self._connection.transport.abort()
            raise LinkClosed(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason) from None
        except ConnectionClosed as closed:
            raise _why(closed) from None

    async def receive(self) -> str:
        """The next message. Raises LinkClosed with the code of whoever closed; binary messages are 4507."""
        try:
            message = await self._connection.recv()
        except ConnectionClosed as closed:
            raise _why(closed) from None
        if isinstance(message, str):
            return message
        await self.close(CloseCode.MALFORMED, CloseCode.MALFORMED.reason)
        raise LinkClosed(CloseCode.MALFORMED, CloseCode.MALFORMED.reason)

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Says goodbye, waits at most 2 s for the answer, and ends the TCP connection in any case. Never raises."""
        words = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT + 1.0):
                await self._connection.close(code, words)
        except (TimeoutError, OSError):
            return  # it is aborted below all the same
        finally:
            self._connection.transport.abort()


def _why(closed: ConnectionClosed) -> LinkClosed:
    frame = closed.rcvd if closed.rcvd is not None and closed.rcvd_then_sent is not False else closed.sent
    return LinkClosed(1006) if frame is None else LinkClosed(frame.code, frame.reason)


@asynccontextmanager
async def dial(url: str, token: str) -> AsyncIterator[Socket]:
    """``async with dial("ws://127.0.0.1:8701/ws/engine/E1", token) as socket``. Raises DialFailed or DialRefused."""
    try:
        connection = await _Connect(
            url,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            user_agent_header=None,
            proxy=None,
            open_timeout=DIAL_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            ping_interval=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=_MESSAGE_QUEUE,
            logger=_log,
        )
    except InvalidStatus as refused:
        raise _refusal(refused) from None
    except TimeoutError:
        raise DialFailed(f"no handshake within {DIAL_TIMEOUT:g} s") from None
    except OSError as error:
        raise DialFailed(f"the platform cannot be reached: {error.strerror or 'refused'}") from None
    except InvalidHandshake:
        raise DialFailed("the handshake was broken off") from None
    socket = Socket(connection)
    try:
        if connection.subprotocol != SUBPROTOCOL:
            raise DialFailed(f"the server does not speak {SUBPROTOCOL}")
        yield socket
    finally:
        await socket.close()


def _refusal(refused: InvalidStatus) -> DialRefused:
    response = refused.response
    try:
        body = parse(bytes(response.body or b"{}"), max_bytes=4096)
    except WireError:
        body = {}
    return DialRefused(
        response.status_code, str(body.get("error", "error_refused"))[:64], str(body.get("reason", ""))[:500]
    )
