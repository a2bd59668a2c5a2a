"""How much a peer sends, counted on the raw bytes, before any WebSocket library buffers or decodes them.

trio-websocket keeps an endless list of empty fragments, and waits forever for a frame that announces 2**62 bytes; so
sizes, fragments and rates are bounded here, below it.
"""

import attrs

from wire.closing import CloseCode

_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD_BYTES = 64 * 1024
_CONTINUATION, _FIRST_CONTROL_OPCODE = 0x0, 0x8


class Violation(Exception):
    """The peer went over a bound: close with ``code``."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.reason)
        self.code = code


@attrs.define
class TokenBucket:
    """``rate`` per second with bursts of ``burst``. Spending more than there is makes a debt, paid by waiting."""

    rate: float
    burst: float
    _level: float = attrs.field(init=False)
    _at: float | None = None

    def __attrs_post_init__(self) -> None:
        self._level = self.burst

    def spend(self, amount: float, now: float) -> float:
        """Seconds to wait before taking more; 0 most of the time."""
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        self._level -= amount
        return max(0.0, -self._level / self.rate)


@attrs.define
class FrameMeter:
    """Reads frame headers (RFC 6455, 5.2) out of a byte stream that begins with an HTTP head; payloads are skipped."""

    max_message_bytes: int
    max_fragments: int
    _header: bytearray = attrs.field(factory=bytearray)
    _in_head: bool = True
    _skip: int = 0
    _message_bytes: int = 0
    _fragments: int = 0

    def feed(self, data: bytes | bytearray) -> int:
        """How many frames begin in ``data``. Raises Violation as soon as a header tells that a bound is broken."""
        data = self._after_head(data) if self._in_head else data
        frames, at = 0, 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            self._header.append(data[at])
            at += 1
            if (size := _payload_size(self._header)) is not None:
                frames += 1
                self._count(self._header[0], size)
                self._skip = size
                self._header.clear()
        return frames

    def _after_head(self, data: bytes | bytearray) -> bytes | bytearray:
        self._header += data
        end = self._header.find(_END_OF_HEAD)
        if end < 0:
            if len(self._header) > _MAX_HEAD_BYTES:
                raise Violation(CloseCode.TOO_LARGE)
            return b""
        rest = bytes(self._header[end + len(_END_OF_HEAD) :])
        self._header.clear()
        self._in_head = False
        return rest

    def _count(self, first: int, size: int) -> None:
        opcode, final = first & 0x0F, bool(first & 0x80)
        if opcode >= _FIRST_CONTROL_OPCODE:
            return
        if opcode != _CONTINUATION:
            self._message_bytes = self._fragments = 0
        self._message_bytes += size
        self._fragments += 1
        if self._message_bytes > self.max_message_bytes:
            raise Violation(CloseCode.TOO_LARGE)
        if not final and self._fragments >= self.max_fragments:
            raise Violation(CloseCode.RATE_LIMITED)


def _payload_size(header: bytearray) -> int | None:
    """The announced size once the header is whole."""
    if len(header) < 2:
        return None
    short = header[1] & 0x7F
    extra = {126: 2, 127: 8}.get(short, 0)
    mask = 4 if header[1] & 0x80 else 0
    if len(header) < 2 + extra:
        return None
    size = int.from_bytes(header[2 : 2 + extra], "big") if extra else short
    # A monstrous size is told before the mask arrives, which may be never.
    return size if len(header) == 2 + extra + mask or size > 2**40 else None
