"""WebSocket frames (RFC 6455, section 5) as the server of a link reads and writes them. No input or output.

Only what a link needs: frames of a client are masked, ours are not, and there are no extensions. Sizes and fragments
are judged by the header, before anything is buffered; a frame that arrives byte by byte costs no more than one that
arrives whole.
"""

import attrs

from wire.closing import CloseCode

try:
    from websockets.speedups import apply_mask  # in C, where there is a wheel of it
except ImportError:
    from websockets.utils import apply_mask

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
PROTOCOL_ERROR, NOT_UTF8 = 1002, 1007
_FINAL_TEXT = 0x81
_MAX_CONTROL = 125


@attrs.frozen
class Binary:
    """A binary message. Links speak text, so what it said is not kept."""


@attrs.frozen
class Ping:
    payload: bytes


@attrs.frozen
class Closed:
    """The peer's close frame. ``code`` None: it gave none (1005)."""

    code: int | None
    reason: str = ""


@attrs.frozen
class Broken:
    """The peer broke a rule or a bound. Nothing after this is read."""

    code: int
    reason: str


Event = str | Binary | Ping | Closed | Broken


class _Violation(Exception):
    def __init__(self, code: int, reason: str = "error_protocol") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Bytes in, messages out. ``frames`` counts the whole frames so far, empty and control ones too."""

    def __init__(self, max_message_bytes: int, max_fragments: int) -> None:
        self._max_bytes = max_message_bytes
        self._max_fragments = max_fragments
        self._rest = bytearray()
        self._needed = 2
        self._parts: list[bytes] = []
        self._opcode = 0
        self._size = 0
        self._over = False
        self.frames = 0

    def feed(self, data: bytes | bytearray) -> list[Event]:
        """What is whole now, in order. After Closed or Broken there is nothing more."""
        if self._over:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data, self._rest = self._rest, bytearray()
        events: list[Event] = []
        try:
            used = self._read(bytes(data), events)
        except _Violation as violation:
            self._over = True
            events.append(Broken(violation.code, violation.reason))
            return events
        if used < len(data) and not self._over:
            self._rest += memoryview(data)[used:]
        return events

    def _read(self, data: bytes, events: list[Event]) -> int:
        """Takes whole frames from the beginning; how many bytes they were. ``_needed``: of the frame that is not."""
        at, end = 0, len(data)
        while end - at >= 2:
            first, second = data[at], data[at + 1]
            size, body = second & 0x7F, at + 6
            if size == 126:
                body = at + 8
                if body > end:
                    self._needed = 8
                    return at
                size = data[at + 2] << 8 | data[at + 3]
            elif size == 127:
                body = at + 14
                if body > end:
                    self._needed = 14
                    return at
                size = int.from_bytes(data[at + 2 : at + 10], "big")
            if not second & 0x80:
                raise _Violation(PROTOCOL_ERROR)
            if first == _FINAL_TEXT and not self._parts and size <= self._max_bytes:
                if body + size > end:
                    self._needed = body + size - at
                    return at
                events.append(_text(apply_mask(data[body : body + size], data[body - 4 : body])))
            else:
                self._judge(first, size)
                if body + size > end:
                    self._needed = body + size - at
                    return at
                self._take(first, apply_mask(data[body : body + size], data[body - 4 : body]), events)
                if self._over:
                    return end
            self.frames += 1
            at = body + size
        self._needed = 2
        return at

    def _judge(self, first: int, size: int) -> None:
        """By the header alone: may a frame like this come now?"""
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70 or opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
            raise _Violation(PROTOCOL_ERROR)
        if opcode >= CLOSE:
            if size > _MAX_CONTROL or not final:
                raise _Violation(PROTOCOL_ERROR)
            return
        if (opcode == 0) is not bool(self._parts):
            raise _Violation(PROTOCOL_ERROR)
        if self._size + size > self._max_bytes:
            raise _Violation(CloseCode.TOO_LARGE, CloseCode.TOO_LARGE.reason)
        if not final and len(self._parts) + 1 >= self._max_fragments:
            raise _Violation(CloseCode.RATE_LIMITED, CloseCode.RATE_LIMITED.reason)

    def _take(self, first: int, payload: bytes, events: list[Event]) -> None:
        match first & 0x0F:
            case 0x8:
                events.append(_closed(payload))
                self._over = True
            case 0x9:
                events.append(Ping(payload))
            case 0xA:
                pass
            case opcode:
                self._opcode = opcode or self._opcode
                self._parts.append(payload)
                self._size += len(payload)
                if first & 0x80:
                    whole = b"".join(self._parts)
                    self._parts, self._size = [], 0
                    events.append(_text(whole) if self._opcode == TEXT else Binary())


def text_frame(text: str) -> bytes:
    return frame(TEXT, text.encode())


def frame(opcode: int, payload: bytes) -> bytes:
    """One unmasked, final frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126, size >> 8, size & 0xFF)) + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _Violation(NOT_UTF8, "error_not_utf8") from None


def _closed(payload: bytes) -> Closed:
    if not payload:
        return Closed(None)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise _Violation(PROTOCOL_ERROR)
    return Closed(code, _text(payload[2:]))
