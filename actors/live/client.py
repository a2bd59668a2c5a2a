"""The actor behind one browser.

The WebSocket handler only pumps: what the browser says it tells this actor, what the browser shall hear comes from this
actor's outbox. As long as the browser takes everything at once, the hub writes to it and its pump sleeps; the pump
writes answers, and what the socket did not take. So a browser that does not read holds up its own pump and nothing
else: telemetry conflates and rings move on in the hub, and when the bounds are reached it is closed as too slow (4029).
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import trio

from actors.live.frames import Frame, Frames, Way, frame
from actors.live.hub import Feed, Hub, Step
from actors.live.session import Action, Close, CloseCode, Send, UiSession, Welcome
from actors.live.streams import BACKLOG, TooSlow
from supervisor.actor import Actor, handles
from supervisor.errors import Ignore
from supervisor.reason import ExitReason
from wire.codec import encode
from wire.tokens import Claims
from wire.ui import BOOKMARK_MS, OFFLINE_MS, UiWelcome

TICK = 0.5
STALLED = 10.0
"""Seconds a browser may take to accept what it was given at once."""


@attrs.frozen
class FromBrowser:
    """One text frame. The text may hold a token."""

    text: str | bytes = attrs.field(repr=False)


@attrs.frozen
class BrowserLeft:
    """The socket is gone."""


@attrs.frozen
class Drain:
    """The platform is going down: close with a code that makes the browser come back."""


@attrs.frozen
class _Tick:
    pass


class Outbox:
    """What one browser shall hear: answers first, then stops and alerts, then telemetry, then the end.

    A reader of the hub. ``way`` is written to by the hub while the pump sleeps, and else by the pump alone.
    """

    def __init__(self, hub: Hub, way: Way) -> None:
        self._hub = hub
        self._way = way
        self._control: deque[str] = deque()
        self._roused = trio.Event()
        self._end: Close | None = None
        self.feed: Feed | None = None
        self.abandoned = False  # nobody pumps it any more, or ever did
        self.handed_at: float | None = None

    def put(self, text: str) -> None:
        """An answer for the browser. More than 256 that it did not take mean that it does not read."""
        if len(self._control) >= BACKLOG:
            self.end(Close(CloseCode.SLOW, "error_slow_consumer"))
            return
        self._control.append(text)
        self._rouse()

    def end(self, close: Close) -> None:
        """Nothing but the close follows, except the answers that wait already."""
        if self._end is None:
            self._end = close
            self._rouse()

    def _rouse(self) -> None:
        self._hub.leave(self)
        self._roused.set()

    # --- told by the hub ----------------------------------------------------------------------------------------------

    def hear(self, step: Step) -> None:
        assert self.feed is not None
        if not self._way.post(self.feed.take(step)) or step.more:
            self._rouse()

    def give_up(self, *, too_slow: bool) -> None:
        code, word = (CloseCode.SLOW, "error_slow_consumer") if too_slow else (CloseCode.BUG, "error_internal")
        self.end(Close(code, word))

    # --- the pump -----------------------------------------------------------------------------------------------------

    async def speak(self) -> Close:
        """Writes what there is until there is an end, which it returns. Raises trio.ClosedResourceError."""
        while True:
            self.handed_at = trio.current_time()
            await self._way.flush()
            self.handed_at = None
            match self._next():
                case Close() as end:
                    return end
                case Frames() as frames:
                    self._way.post(frames)
                case None:
                    await self._wait()

    def _next(self) -> Frames | Close | None:
        """What need not wait for the next tick."""
        if self._control:
            return Frames((Frame(self._control.popleft()),))
        if self._end is not None or self.feed is None or not self.feed.is_urgent():
            return self._end
        try:
            return self.feed.next_frames()
        except TooSlow:
            self.give_up(too_slow=True)
            return self._end

    async def _wait(self) -> None:
        self._roused = trio.Event()
        if self.feed is not None:
            self._hub.wait(self)
        try:
            await self._roused.wait()
        finally:
            self._hub.leave(self)

    def is_stuck(self, now: float) -> bool:
        """Whether the browser has not taken its frames for too long, or fell too far behind what it must not miss."""
        if self.handed_at is None:
            return False
        return now - self.handed_at > STALLED or (self.feed is not None and self.feed.is_too_slow())


class UiClient(Actor):
    """Speaks the UI link with one browser. ``hang_up`` ends the socket when the browser does not even take a close."""

    def __init__(
        self,
        *,
        hub: Hub,
        outbox: Outbox,
        check: Callable[[str], Claims],
        refuses: Callable[[Claims], bool],
        may_expire: Callable[[], bool],
        hang_up: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._outbox = outbox
        self._check = check
        self._refuses = refuses
        self._may_expire = may_expire
        self._hang_up = hang_up

    async def started(self) -> None:
        if self._outbox.abandoned:
            raise Ignore  # the browser went while its actor was being made
        self._session = UiSession(self._check, trio.current_time())
        self.context.every(_Tick(), period=TICK)

    async def stopped(self, reason: ExitReason) -> None:
        """However it ends, the browser is not left with a socket that nobody serves."""
        code, word = (CloseCode.BUG, "error_internal") if reason.abnormal else (CloseCode.DRAINING, "error_draining")
        self._outbox.end(Close(code, word))

    @handles(FromBrowser)
    async def on_frame(self, msg: FromBrowser) -> None:
        for action in self._session.receive(msg.text, trio.current_time()):
            self._do(action)

    @handles(BrowserLeft)
    async def on_left(self, _: BrowserLeft) -> None:
        self.context.stop("the browser left")

    @handles(Drain)
    async def on_drain(self, _: Drain) -> None:
        self._outbox.end(Close(CloseCode.DRAINING, "error_draining"))

    @handles(_Tick)
    async def on_tick(self, _: _Tick) -> None:
        if self._outbox.abandoned:
            self.context.stop("the browser left")
            return
        now = trio.current_time()
        claims = self._session.claims
        denied = claims is not None and self._refuses(claims)
        offsets = self._outbox.feed.offsets() if self._outbox.feed else {}
        expired = claims is not None and claims.exp <= time.time()
        may_expire = not expired or self._may_expire()
        for action in self._session.tick(now, offsets, denied=denied, may_expire=may_expire):
            self._do(action)
        if self._outbox.is_stuck(now):
            self._give_up(now)

    def _do(self, action: Action) -> None:
        match action:
            case Send():
                self._outbox.put(action.text)
            case Welcome():
                self._welcome(action)
            case Close():
                self._outbox.end(action)

    def _welcome(self, welcome: Welcome) -> None:
        feed = self._hub.feed(welcome.hello.topics)
        answer = UiWelcome(
            session=secrets.token_hex(8),
            topics=feed.states(),
            bookmark_ms=BOOKMARK_MS,
            offline_ms=OFFLINE_MS,
            server_time=datetime.now(UTC),
            token_expires=datetime.fromtimestamp(welcome.claims.exp, UTC),
        )
        self._outbox.put(frame("welcome", encode(answer)))
        self._outbox.feed = feed

    def _give_up(self, now: float) -> None:
        self._outbox.end(Close(CloseCode.SLOW, "error_slow_consumer"))
        handed = self._outbox.handed_at
        if handed is not None and now - handed > STALLED:
            self._hang_up()
