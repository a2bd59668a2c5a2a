"""One connection to the broker's WebSocket: notices first, then trades, then whatever comes until it ends.

The broker allows one connection per key, replays nothing and keeps it alive with its own text message, which is sent
back as it is. Keys for the notices are new on every connection. When this returns or raises, the connection is gone
and everything said since may have been missed.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from actors.engine.errors import BrokerRefused, BrokerUnavailable
from wire.errors import WireError
from wire.kis.aes import Cipher
from wire.kis.codes import SERVICES, STREAM_PATH, Profile
from wire.kis.notices import Notice, notices_of
from wire.kis.stream import (
    HARMLESS,
    IN_USE,
    TRADES,
    UNKNOWN_APPROVAL,
    Control,
    Frame,
    Ping,
    Registration,
    decode_server_message,
    encode_registration,
)
from wire.kis.ticker import Trade, trades_of
from wire.sockets import ReaderGuard, background

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 10.0
SILENCE = 45.0  # seconds: the broker pings every ten
SEND_TIMEOUT = 10.0
QUEUE = 256
MAX_MESSAGE = 1024 * 1024


@attrs.frozen(kw_only=True)
class Listener:
    """``up``: the notices are attached, from now on nothing is missed. The others get what arrives, in order;
    ``garbled`` counts what could not be read."""

    up: Callable[[], None]
    trades: Callable[[list[Trade]], None]
    notice: Callable[[Notice], None]
    garbled: Callable[[WireError], None]


class ApprovalRefused(BrokerRefused):
    """The approval key is not known any more: a new one must be asked for."""

    code = "error_approval_key"


async def listen(
    url: str, *, approval_key: str, profile: Profile, hts_id: str, symbols: Iterable[str], listener: Listener
) -> None:
    """Connects, registers and listens until the connection ends, which raises BrokerUnavailable (or BrokerRefused,
    ApprovalRefused when the broker does not want this connection)."""
    try:
        async with _connected(url) as socket:
            session = _Session(socket, approval_key, profile, listener)
            await session.register(SERVICES[profile].notice_tr_id, hts_id)
            listener.up()
            for symbol in symbols:
                await session.register(TRADES, symbol)
            while True:
                session.handle(await session.receive(SILENCE))
                await session.answer_ping()
    except ConnectionClosed as error:
        raise BrokerUnavailable("the broker's stream ended") from error
    except (OSError, trio.TooSlowError) as error:
        raise BrokerUnavailable("the broker's stream cannot be reached") from error


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[WebSocketConnection]:
    """An open WebSocket whose TCP connection ends with the block, whatever the other side does."""
    parts = urlsplit(url + STREAM_PATH)
    secure = parts.scheme == "wss"
    with trio.fail_after(CONNECT_TIMEOUT):
        stream: trio.abc.Stream = await trio.open_tcp_stream(
            parts.hostname or "", parts.port or (443 if secure else 80)
        )
    try:
        if secure:
            stream = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=parts.hostname)
        async with background() as nursery:
            guard: Any = ReaderGuard(nursery)  # stands in for a nursery
            connection = None
            guard.handshake.deadline = trio.current_time() + CONNECT_TIMEOUT
            with guard.handshake:
                connection = await wrap_client_stream(
                    guard,
                    cast("Any", stream),
                    parts.netloc,
                    parts.path,
                    message_queue_size=QUEUE,
                    max_message_size=MAX_MESSAGE,
                )
            if connection is None:
                raise BrokerUnavailable("the broker's stream did not take the connection")
            yield connection
    finally:
        await trio.aclose_forcefully(stream)


class _Session:
    def __init__(self, socket: Any, approval_key: str, profile: Profile, listener: Listener) -> None:
        self._socket = socket
        self._approval_key = approval_key
        self._notices = SERVICES[profile].notice_tr_id
        self._listener = listener
        self._cipher: Cipher | None = None
        self._ping: str | None = None
        self._answers: list[Control] = []

    async def register(self, tr_id: str, tr_key: str) -> None:
        """Registers one stream and waits for the broker's answer; data that comes meanwhile is not lost."""
        text = encode_registration(Registration(approval_key=self._approval_key, tr_id=tr_id, tr_key=tr_key))
        await self._send(text)
        with trio.move_on_after(ANSWER_TIMEOUT):
            while True:
                self.handle(await self.receive(ANSWER_TIMEOUT))
                await self.answer_ping()
                for answer in self._answers:
                    if answer.tr_id in (tr_id, "(null)"):
                        self._answers.remove(answer)
                        return self._registered(answer)
        raise BrokerUnavailable("the broker did not answer a registration")

    def _registered(self, answer: Control) -> None:
        if answer.succeeded and answer.tr_id == self._notices:
            self._cipher = Cipher(answer.key.encode(), answer.iv.encode())
        if answer.succeeded or answer.code in HARMLESS:
            return
        if answer.code == UNKNOWN_APPROVAL:
            raise ApprovalRefused(answer.text, broker_code=answer.code)
        reason = "another connection uses this key" if answer.code == IN_USE else answer.text
        raise BrokerRefused(reason, broker_code=answer.code, code="error_broker_stream")

    async def receive(self, patience: float) -> str:
        with trio.move_on_after(patience):
            text: str | bytes = await self._socket.get_message()
            return text.decode(errors="replace") if isinstance(text, bytes) else text
        raise BrokerUnavailable("the broker's stream has fallen silent")

    def handle(self, text: str) -> None:
        """One message; what cannot be read is counted and costs nothing else."""
        try:
            self._handle(text)
        except WireError as error:
            self._listener.garbled(error)

    def _handle(self, text: str) -> None:
        match decode_server_message(text):
            case Ping(text=echo):
                self._ping = echo
            case Control() as control:
                self._answers.append(control)
            case Frame(tr_id=tr_id) as frame if tr_id == TRADES:
                self._listener.trades(trades_of(frame))
            case Frame(tr_id=tr_id) as frame if tr_id == self._notices and self._cipher is not None:
                for notice in notices_of(frame, self._cipher):
                    self._listener.notice(notice)

    async def answer_ping(self) -> None:
        ping, self._ping = self._ping, None
        if ping is not None:
            await self._send(ping)

    async def _send(self, text: str) -> None:
        with trio.fail_after(SEND_TIMEOUT):
            await self._socket.send_message(text)
