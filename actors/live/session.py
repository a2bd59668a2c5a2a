"""The UI link's rules as a state machine: texts and the time in, what to do out. No clock, no socket, no task.

AWAIT_HELLO --hello--> LIVE --close--> CLOSED. Bookmarks go out every 2 s and their answers are what keeps the link
alive: a browser that sent nothing valid for 10 s is gone. Whatever is malformed ends the link (4507); a type this side
does not know is answered by a nack and is no reason to close.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

import attrs

from actors.live.frames import frame
from wire.codec import encode, parse, structure
from wire.errors import WireError
from wire.tokens import Claims
from wire.ui import (
    BOOKMARK_MS,
    MAX_FRAME_BYTES,
    OFFLINE_MS,
    PROTOCOL,
    Bookmark,
    BookmarkAck,
    Topic,
    UiAck,
    UiAuth,
    UiEnvelope,
    UiHello,
    UiNack,
)

HELLO_WITHIN = 5.0
LEEWAY = 30.0
"""Seconds an access token may be over before the link ends."""
BURST, PER_SECOND = 64.0, 16.0
"""How many frames a browser may send at once, and how many a second for ever."""
UNDERSTOOD: frozenset[str] = frozenset()
"""The names this side accepts in ``crit``."""


class CloseCode:
    """The contract's closing codes that the UI link uses: below 4500 the browser reconnects, from there it shows."""

    DRAINING = 4000
    TIMEOUT = 4008
    OVERLOADED = 4013
    SLOW = 4029
    RATE_LIMITED = 4030
    TOKEN_EXPIRED = 4101
    FORBIDDEN = 4503
    AUTH_INVALID = 4504
    VERSION = 4506
    MALFORMED = 4507
    BUG = 1011


@attrs.frozen
class Send:
    """A frame for the browser, before everything that only informs."""

    text: str


@attrs.frozen
class Welcome:
    """The hello was good: welcome the browser and start its feed."""

    hello: UiHello
    claims: Claims


@attrs.frozen
class Close:
    code: int
    reason: str


Action = Send | Welcome | Close


class State(Enum):
    AWAIT_HELLO = "await_hello"
    LIVE = "live"
    CLOSED = "closed"


class TokenRefused(Exception):
    """The token is not accepted. ``expired``: another one of the same session would be."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not valid")
        self.expired = expired


@attrs.define
class _Allowance:
    """A token bucket: ``BURST`` frames, refilled at ``PER_SECOND``."""

    left: float
    at: float

    def take(self, now: float) -> bool:
        self.left = min(BURST, self.left + (now - self.at) * PER_SECOND)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class UiSession:
    """One browser's link. ``check`` turns a token into claims or raises TokenRefused; times are monotonic seconds."""

    def __init__(self, check: Callable[[str], Claims], now: float) -> None:
        self._check = check
        self._opened = now
        self._heard = now
        self._allowance = _Allowance(BURST, now)
        self._next_bookmark = now
        self._bookmark = 0
        self._expires = 0.0
        self.state = State.AWAIT_HELLO
        self.claims: Claims | None = None
        self.acknowledged: dict[str, int] = {}

    # --- what the browser says --------------------------------------------------------------------------------------

    def receive(self, text: str | bytes, now: float) -> list[Action]:
        if self.state is State.CLOSED:
            return []
        if not self._allowance.take(now):
            return self._close(CloseCode.RATE_LIMITED, "error_rate_limited")
        try:
            envelope = _envelope(text)
            return self._take(envelope, now)
        except WireError as error:
            return self._close(CloseCode.MALFORMED, error.code)

    def _take(self, envelope: UiEnvelope, now: float) -> list[Action]:
        if set(envelope.crit) - UNDERSTOOD:
            return [_nack("error_unknown_critical", "crit names something this platform does not understand")]
        match envelope.type:
            case "hello":
                return self._on_hello(structure(envelope.payload, UiHello), now)
            case _ if self.state is State.AWAIT_HELLO:
                return self._close(CloseCode.MALFORMED, "error_hello_expected")
            case "auth":
                return self._on_auth(structure(envelope.payload, UiAuth), envelope.id or "auth", now)
            case "bookmark_ack":
                self._heard = now
                self.acknowledged = structure(envelope.payload, BookmarkAck).offsets
                return []
            case _:
                self._heard = now
                return [_nack("error_unknown_type", "a type this platform does not know")]

    def _on_hello(self, hello: UiHello, now: float) -> list[Action]:
        if self.state is State.LIVE:
            return self._close(CloseCode.MALFORMED, "error_second_hello")
        if hello.protocol != PROTOCOL:
            return self._close(CloseCode.VERSION, "error_version")
        if (refusal := self._admit(hello.token, now)) is not None:
            return refusal
        assert self.claims is not None
        self.state = State.LIVE
        self._heard = now
        self._next_bookmark = now + BOOKMARK_MS / 1000
        return [Welcome(hello, self.claims)]

    def _on_auth(self, auth: UiAuth, re: str, now: float) -> list[Action]:
        assert self.claims is not None
        before = self.claims.sub
        if (refusal := self._admit(auth.token, now)) is not None:
            return refusal
        if self.claims.sub != before:
            return self._close(CloseCode.FORBIDDEN, "error_another_user")
        self._heard = now
        return [Send(frame("ack", encode(UiAck(re=re))))]

    def _admit(self, token: str, now: float) -> list[Action] | None:
        try:
            self.claims = self._check(token)
        except TokenRefused as refused:
            if refused.expired:
                return self._close(CloseCode.TOKEN_EXPIRED, "error_token_expired")
            return self._close(CloseCode.AUTH_INVALID, "error_auth_invalid")
        self._expires = now + (self.claims.exp - datetime.now(UTC).timestamp()) + LEEWAY
        return None

    # --- what time says ---------------------------------------------------------------------------------------------

    def tick(
        self, now: float, offsets: dict[Topic, int], *, denied: bool = False, may_expire: bool = True
    ) -> list[Action]:
        """To be called at least every half second. ``denied``: the token counts no more, whatever it says."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.AWAIT_HELLO:
            late = now - self._opened >= HELLO_WITHIN
            return self._close(CloseCode.TIMEOUT, "error_hello_timeout") if late else []
        if denied:
            return self._close(CloseCode.AUTH_INVALID, "error_session_over")
        if now - self._heard >= OFFLINE_MS / 1000:
            return self._close(CloseCode.TIMEOUT, "error_heartbeat_timeout")
        if may_expire and now >= self._expires:
            return self._close(CloseCode.TOKEN_EXPIRED, "error_token_expired")
        return self._bookmarks(now, offsets)

    def _bookmarks(self, now: float, offsets: dict[Topic, int]) -> list[Action]:
        if now < self._next_bookmark:
            return []
        period = BOOKMARK_MS / 1000
        self._next_bookmark += period * (1 + (now - self._next_bookmark) // period)
        self._bookmark += 1
        return [
            Send(frame("bookmark", encode(Bookmark(n=self._bookmark, server_time=datetime.now(UTC), offsets=offsets))))
        ]

    def _close(self, code: int, reason: str) -> list[Action]:
        self.state = State.CLOSED
        return [Close(code, reason)]


def _envelope(text: str | bytes) -> UiEnvelope:
    return structure(parse(text, max_bytes=MAX_FRAME_BYTES), UiEnvelope)


def _nack(code: str, reason: str) -> Send:
    return Send(frame("nack", encode(UiNack(code=code, reason=reason))))
