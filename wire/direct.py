"""The WebSocket of a link, driven straight on its stream: what arrived is read at once, what fits is written at once.

The same face as ``wire.sockets.Socket``, which drives trio-websocket: with this one, a chunk of many frames costs one
wake-up instead of several for each frame, a frame out needs no task at all, and an idle connection no task of its own.
"""

import base64
import hashlib
import os
from collections.abc import Sequence

import trio

from wire.closing import CloseCode
from wire.framing import PONG, Binary, Broken, Closed, Event, FrameReader, Ping, close_frame, frame, text_frame
from wire.messages import SUBPROTOCOL
from wire.metering import TokenBucket
from wire.plain import PlainConnection, PlainRequest
from wire.sockets import LinkClosed, SocketLimits, fitting

MAX_UNREAD_ANSWERS = 64 * 1024
"""A peer that sends pings and does not read gets no more answers than this."""
READ_BYTES = 32 * 1024
"""A chunk of this size is the longest that one engine's talk keeps the others waiting: about a hundred lines."""
_SAID = (0, "")
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def accept(
    _nursery: trio.Nursery,
    stream: trio.abc.Stream,
    plain: PlainConnection,
    request: PlainRequest,
    limits: SocketLimits,
) -> "DirectSocket | None":
    """Answers a handshake that was judged already. None when the peer is gone."""
    key = request.headers["sec-websocket-key"]
    proof = base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {proof}",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    )
    socket = DirectSocket(stream, limits=limits, remote=request.remote, received=plain.behind_head)
    return socket if await socket.greet("\r\n".join([*lines, "", ""]).encode()) else None


def is_key(text: str) -> bool:
    """Whether this can be a Sec-WebSocket-Key: 16 bytes in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except ValueError:
        return False


class DirectSocket:
    """One open WebSocket of a server: text out, text in. One task may send while another receives.

    ``received``: bytes that came behind the handshake.
    """

    def __init__(
        self, stream: trio.abc.Stream, *, limits: SocketLimits, remote: str = "", received: bytes = b""
    ) -> None:
        self.remote = remote
        self._stream = stream
        self._plain = stream.socket if isinstance(stream, trio.SocketStream) and os.name == "posix" else None
        self._limits = limits
        self._reader = FrameReader(limits.max_message_bytes, limits.max_fragments)
        self._frames = TokenBucket(limits.frames_per_s, limits.frames_burst)
        self._bytes = TokenBucket(limits.bytes_per_s, limits.bytes_burst)
        self._received = received
        self._waiting: Sequence[str] = ()
        self._unwritten = bytearray()
        self._writing = False
        self._reading = False
        self._moved: trio.Event | None = None
        self._ended: LinkClosed | None = None
        self._says: tuple[int, str] | None = None
        self._closing = False
        self._peer_ended = False

    # --- out ------------------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether something posted is not written yet: ``flush`` before posting more."""
        return self._writing or bool(self._unwritten)

    def post(self, text: str) -> None:
        """Writes what the connection takes without waiting; the rest waits for ``flush``. Raises LinkClosed."""
        self._check_open()
        self._put(text_frame(text))
        self._check_open()

    async def greet(self, answer: bytes) -> bool:
        """Writes the answer to the handshake. False when the peer is gone."""
        self._put(answer)
        if self.is_behind:
            await self._write()
        return self._ended is None

    async def flush(self) -> None:
        """Raises LinkClosed. After 10 s without progress the connection is aborted (4029): half a frame is out."""
        self._check_open()
        await self._write()
        self._check_open()

    async def send(self, text: str) -> None:
        """``post`` and, where that was not enough, ``flush``."""
        self.post(text)
        if self.is_behind:
            await self.flush()
        else:
            await trio.lowlevel.checkpoint()

    def _put(self, data: bytes) -> None:
        if self._plain is not None and not self.is_behind:
            try:
                data = data[os.write(self._plain.fileno(), data) :]
            except BlockingIOError:
                pass  # the socket is full: all of it waits
            except OSError:
                self._ended = self._ended or LinkClosed(1006)
                return
        self._unwritten += data

    async def _write(self) -> None:
        """Writes what waits. What cannot be written whole ends the connection; that it ended is seen in ``_ended``."""
        whole = False
        try:
            with trio.move_on_after(self._limits.send_timeout):
                await self._write_all()
                whole = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            whole = True
            self._ended = self._ended or LinkClosed(1006)
        finally:
            if not whole:
                self._ended = LinkClosed(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)
                await trio.aclose_forcefully(self._stream)

    async def _write_all(self) -> None:
        """One task writes at a time; another waits until its bytes are out, too."""
        while self._writing:
            await self._wait_for_a_move()
        self._writing = True
        try:
            while self._unwritten:
                data, self._unwritten = self._unwritten, bytearray()
                await self._stream.send_all(data)
        finally:
            self._writing = False
            self._note_a_move()

    # --- in -------------------------------------------------------------------------------------------------------

    async def receive(self) -> str:
        """The next message. Raises LinkClosed with the code of whoever closed; binary messages are 4507."""
        first, *self._waiting = await self.receive_many()
        return first

    async def receive_many(self) -> Sequence[str]:
        """All messages that have arrived, at least one. Raises like ``receive``."""
        if self._waiting:
            await trio.lowlevel.checkpoint()
            waiting, self._waiting = self._waiting, ()
            return waiting
        while True:
            self._check_open()
            self._reading = True
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
                data = self._at_hand()
                if data is None and self._plain is not None:
                    # Here an idle connection waits: every frame more is memory of each of them.
                    await trio.lowlevel.wait_readable(self._plain)
                    data = self._at_hand()
                elif data is not None:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                texts = await self._read(await self._bytes_of_peer() if data is None else data)
            except trio.ClosedResourceError:
                texts = []
                self._note_end()
            finally:
                self._reading = False
                self._note_a_move()
            if texts and not self._closing:
                return texts

    def _at_hand(self) -> bytes | None:
        """What has arrived already; empty at the end, of whatever kind. None: nothing, or only the stream knows."""
        if self._received:
            received, self._received = self._received, b""
            return received
        if self._plain is None:
            return None
        try:
            return os.read(self._plain.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    async def _read(self, data: bytes | bytearray) -> list[str]:
        if not data:
            self._note_end()
        before = self._reader.frames
        events = self._reader.feed(data)
        now = trio.current_time()
        delay = max(self._frames.spend(self._reader.frames - before, now), self._bytes.spend(len(data), now))
        if delay > 0:
            # Not reading pushes back on the sender through TCP: a flood costs the flooder its own time.
            await trio.sleep(delay)
        return await self._texts(events)

    async def _bytes_of_peer(self) -> bytes | bytearray:
        """Empty at the end, of whatever kind."""
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self._note_end()
        return data

    def _note_end(self) -> None:
        self._peer_ended = True
        self._ended = self._ended or LinkClosed(1006)

    async def _texts(self, events: list[Event]) -> list[str]:
        """Answers pings; notes how the peer ended the connection, or must be told that it is over."""
        texts: list[str] = []
        for event in events:
            match event:
                case str():
                    texts.append(event)
                case Ping(payload):
                    await self._answer(frame(PONG, payload))
                case Closed(code, reason):
                    self._peer_ended = True
                    if self._ended is None:
                        self._ended = LinkClosed(1005 if code is None else code, reason)
                        await self._answer(close_frame(code))
                    break
                case Broken(code, reason):
                    self._refuse(code, reason)
                    break
                case Binary():
                    self._refuse(CloseCode.MALFORMED, CloseCode.MALFORMED.reason)
                    break
        return texts

    def _refuse(self, code: int, reason: str) -> None:
        if self._ended is None:
            self._ended, self._says = LinkClosed(code, reason), (code, reason)

    async def _answer(self, data: bytes) -> None:
        if len(self._unwritten) > MAX_UNREAD_ANSWERS:
            return
        self._put(data)
        if self._unwritten and not self._writing:
            await self._write()

    # --- the end --------------------------------------------------------------------------------------------------

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Says goodbye, waits at most 2 s for the answer, and ends the TCP connection in any case. Never raises."""
        self._closing = True
        try:
            if self._ended is None:
                self._refuse(code, fitting(reason))
            with trio.move_on_after(self._limits.close_timeout):
                says, self._says = self._says, _SAID
                if says is not None and says != _SAID:
                    self._unwritten += close_frame(*says)
                    await self._write_all()
                    await self._wait_for_the_end()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the connection ended first; it is aborted below all the same
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _wait_for_the_end(self) -> None:
        """Reads and forgets until the peer has closed, too: unread bytes would take our close frame back."""
        while not self._peer_ended:
            if self._reading:
                await self._wait_for_a_move()
                continue
            data = await self._bytes_of_peer()
            if any(isinstance(event, Closed) for event in self._reader.feed(data)):
                return

    async def _wait_for_a_move(self) -> None:
        self._moved = self._moved or trio.Event()
        await self._moved.wait()

    def _note_a_move(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set()

    def _check_open(self) -> None:
        if self._ended is not None:
            raise LinkClosed(self._ended.code, self._ended.reason)
