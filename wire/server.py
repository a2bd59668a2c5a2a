"""The listener of the engine links: WebSockets at ``/ws/engine/{engine_id}`` and plain HTTP on the same port.

Every connection begins with its own task, nursery and deadlines; nothing that happens on one of them reaches the
listener or another connection. A handshake is judged before any WebSocket begins, so a refusal is a plain HTTP answer.
Whoever takes an open link over (an actor, which has a task and a parent of its own) lets the task of the handshake end;
the listener still counts the socket, closes it when the link is over, and cuts it when it ends itself.
"""

import errno
import logging
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import trio

from wire import direct
from wire.closing import CloseCode
from wire.direct import is_key
from wire.errors import Forbidden, NotFound, Overloaded, Unauthorized, UnknownType, WireError
from wire.messages import SUBPROTOCOL
from wire.plain import BadRequest, PlainConnection, PlainRequest, PlainResponse
from wire.sockets import Link, LinkClosed, SocketLimits, background
from wire.stops import IDENTIFIER
from wire.tokens import Claims

log = logging.getLogger(__name__)

_PATH = re.compile(rf"/ws/engine/({IDENTIFIER})")

Authorize = Callable[[str, str], Claims]
WhenOver = Callable[[Callable[[], object]], object]
"""Told what to call, once, when a link that was taken over is over. Like ``Ref.when_closed``."""
Handler = Callable[[Link, str, Claims], Awaitable[WhenOver | None]]
Driver = Callable[[trio.Nursery, trio.abc.Stream, PlainConnection, PlainRequest, SocketLimits], Awaitable[Link | None]]
"""Answers a handshake that was judged and drives the WebSocket: ``direct.accept``, or ``library.accept``."""
HttpHandler = Callable[[PlainRequest], Awaitable[PlainResponse]]
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
NO_ROOM_SECONDS = 0.1
"""How long nobody is accepted when the system has no descriptor, or no memory, for one more."""


@attrs.frozen(kw_only=True)
class ServerLimits:
    """Bounds of a listener; times in seconds. ``connections`` counts everything that holds a socket."""

    connections: int = 256
    handshakes_per_address: int = 32
    handshake_timeout: float = 5.0
    http_timeout: float = 15.0
    socket: SocketLimits = attrs.field(factory=SocketLimits)


@attrs.frozen(kw_only=True)
class ServerStatistics:
    connections: int
    handshakes: int
    accepted: int
    refused: int
    failed: int


async def open_listeners(
    host: str, port: int, *, ssl_context: ssl.SSLContext | None = None, backlog: int = 128
) -> list[trio.SocketListener] | list[trio.SSLListener[trio.SocketStream]]:
    """Bound sockets; port 0 takes a free one. Raises OSError when the address is in use."""
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    if ssl_context is None:
        return listeners
    return [trio.SSLListener(listener, ssl_context, https_compatible=True) for listener in listeners]


class EngineListener:
    """``authorize(engine_id, token)`` returns the token's claims or raises Unauthorized, Forbidden, NotFound or
    Overloaded; that the subject is the engine of the path is checked here. ``http`` answers all other requests;
    ``driver`` is what drives the WebSockets.

    ``handler(socket, engine_id, claims)`` has an open link. When it returns None or raises LinkClosed the link is
    closed; anything else it raises is a 1011 for the peer. When it returns a ``WhenOver`` it has handed the link on to
    somebody else, and the link lasts until that says that it is over.
    """

    def __init__(
        self,
        *,
        authorize: Authorize,
        handler: Handler,
        http: HttpHandler | None = None,
        limits: ServerLimits = ServerLimits(),  # frozen
        driver: Driver = direct.accept,
    ) -> None:
        self._authorize = authorize
        self._handler = handler
        self._http = http
        self._limits = limits
        self._driver = driver
        self._held: set[trio.abc.Stream] = set()
        self._handshakes: Counter[str] = Counter()
        self._accepted = self._refused = self._failed = 0

    async def serve(
        self,
        listeners: list[trio.SocketListener] | list[trio.SSLListener[trio.SocketStream]],
        *,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until cancelled; then every connection is cut. Start it with ``nursery.start``."""
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_from, listener, nursery)
                task_status.started(listeners)
        finally:
            for stream in tuple(self._held):
                self._end(stream)

    async def _accept_from(
        self, listener: trio.SocketListener | trio.SSLListener[trio.SocketStream], connections: trio.Nursery
    ) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    log.error("no connection can be accepted: %s", error.strerror)
                    await trio.sleep(NO_ROOM_SECONDS)
                else:
                    connections.start_soon(self._serve_accepted, stream)

    async def _serve_accepted(self, stream: trio.abc.Stream) -> None:
        await self.serve_stream(stream, remote=_address(stream))

    async def serve_stream(self, stream: trio.abc.Stream, *, remote: str = "") -> None:
        """One connection from its first byte to its end, or until it is handed on. Raises nothing but cancellation."""
        handed_on = False
        try:
            self._hold(stream)
            with self._handshaking(remote) as finish_handshake:
                handed_on = await self._serve_one(stream, remote, finish_handshake)
        except Overloaded as error:
            await self._turn_away(stream, error)
        except Exception:
            self._failed += 1
            log.exception("a connection of the engine listener failed", extra={"remote": remote})
        finally:
            if not handed_on:
                self._let_go(stream)
                await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.abc.Stream, remote: str, finish_handshake: Callable[[], None]) -> bool:
        """Whether the connection was handed on."""
        async with background() as nursery:
            opened = await self._shake_hands(nursery, stream, remote)
            finish_handshake()
            when_over = None if opened is None else await self._run_handler(*opened)
            if when_over is None:
                return False
            if not nursery.child_tasks and socket_of(stream) is not None:
                when_over(partial(self._end, stream))
                return True
            # What drives this connection lives in this nursery: so does the connection, to its end.
            over = trio.Event()
            when_over(over.set)
            await over.wait()
            return False

    async def _shake_hands(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, remote: str
    ) -> tuple[Link, str, Claims] | None:
        """The open link; None when the request was something else, and is answered. Keeps nothing of the request."""
        with trio.move_on_after(self._limits.handshake_timeout) as handshake:
            plain = PlainConnection(stream, remote)
            request = await self._head(plain)
            if request is None:
                return None
            if _wants_websocket(request):
                return await self._open(nursery, stream, plain, request)
            handshake.deadline = trio.current_time() + self._limits.http_timeout
            await self._serve_plain(plain, request)
        return None

    # --- WebSocket ------------------------------------------------------------------------------------------------

    async def _open(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, plain: PlainConnection, request: PlainRequest
    ) -> tuple[Link, str, Claims] | None:
        try:
            engine_id, claims = self._admit(request)
        except WireError as error:
            self._refused += 1
            await plain.answer(_refusal(error))
            return None
        socket = await self._driver(nursery, stream, plain, request, self._limits.socket)
        if socket is None:
            return None
        self._accepted += 1
        return socket, engine_id, claims

    def _admit(self, request: PlainRequest) -> tuple[str, Claims]:
        """Raises what the refusal says: 404, 426, 401 or 403, in this order."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise NotFound("engines connect to /ws/engine/{engine_id}")
        if request.headers.get("sec-websocket-version") != "13" or request.method != "GET":
            raise UnknownType("the WebSocket version is 13", code="error_upgrade_required")
        if not is_key(request.headers.get("sec-websocket-key", "")):
            raise UnknownType("a WebSocket key is 16 bytes in base64", code="error_malformed")
        if SUBPROTOCOL not in _tokens(request, "sec-websocket-protocol"):
            raise UnknownType(f"the subprotocol is {SUBPROTOCOL}", code="error_upgrade_required")
        if request.bearer is None:
            raise Unauthorized("an engine link needs Authorization: Bearer with an engine token")
        claims = self._authorize(match[1], request.bearer)
        if claims.sub != match[1]:
            raise Forbidden("the token is of another engine", code="error_engine_mismatch")
        return match[1], claims

    async def _run_handler(self, socket: Link, engine_id: str, claims: Claims) -> WhenOver | None:
        when_over: WhenOver | None = None
        try:
            when_over = await self._handler(socket, engine_id, claims)
        except LinkClosed as end:
            log.info("an engine link ended", extra={"engine_id": engine_id, "code": end.code})
        except Exception:
            self._failed += 1
            log.exception("the handler of an engine link failed", extra={"engine_id": engine_id})
            await socket.close(CloseCode.BUG, CloseCode.BUG.reason)
        finally:
            if when_over is None:
                await socket.close()
        return when_over

    # --- plain HTTP -----------------------------------------------------------------------------------------------

    async def _head(self, plain: PlainConnection) -> PlainRequest | None:
        try:
            return await plain.head()
        except BadRequest as error:
            await plain.answer(_bad_request(error))
            return None

    async def _serve_plain(self, plain: PlainConnection, request: PlainRequest) -> None:
        try:
            response = await self._respond(await plain.body(request))
        except BadRequest as error:
            response = _bad_request(error)
        except WireError as error:
            response = PlainResponse.of_error(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        except Exception:
            self._failed += 1
            log.exception("a plain request failed", extra={"path": request.path})
            response = PlainResponse.of_json(500, {"error": "error_internal", "reason": "an internal error"})
        await plain.answer(response)

    async def _respond(self, request: PlainRequest) -> PlainResponse:
        if _PATH.fullmatch(request.path):
            return _refusal(UnknownType("this path is a WebSocket", code="error_upgrade_required"))
        if self._http is None:
            raise NotFound("there is nothing here")
        return await self._http(request)

    # --- bounds ---------------------------------------------------------------------------------------------------

    def _hold(self, stream: trio.abc.Stream) -> None:
        if len(self._held) >= self._limits.connections:
            raise Overloaded("too many connections")
        self._held.add(stream)

    def _let_go(self, stream: trio.abc.Stream) -> None:
        self._held.discard(stream)

    def _end(self, stream: trio.abc.Stream) -> None:
        """A link that was handed on is over, whether or not it closed its socket."""
        self._let_go(stream)
        _cut(stream)

    @contextmanager
    def _handshaking(self, remote: str) -> Iterator[Callable[[], None]]:
        """Counts the unfinished handshakes of an address until the returned function is called."""
        if self._handshakes[remote] >= self._limits.handshakes_per_address:
            raise Overloaded("too many handshakes from this address", code="error_rate_limited")
        self._handshakes[remote] += 1
        finished = False

        def finish() -> None:
            nonlocal finished
            if not finished:
                finished = True
                self._handshakes[remote] -= 1
                if not self._handshakes[remote]:
                    del self._handshakes[remote]

        try:
            yield finish
        finally:
            finish()

    async def _turn_away(self, stream: trio.abc.Stream, error: Overloaded) -> None:
        self._refused += 1
        status = 429 if error.code == "error_rate_limited" else 503
        with trio.move_on_after(1):
            await PlainConnection(stream).answer(PlainResponse.of_error(error, status))

    def statistics(self) -> ServerStatistics:
        return ServerStatistics(
            connections=len(self._held),
            handshakes=self._handshakes.total(),
            accepted=self._accepted,
            refused=self._refused,
            failed=self._failed,
        )


def _wants_websocket(request: PlainRequest) -> bool:
    upgrades = [t.lower() for t in _tokens(request, "upgrade")]
    return "websocket" in upgrades and "upgrade" in [t.lower() for t in _tokens(request, "connection")]


def _tokens(request: PlainRequest, header: str) -> list[str]:
    return [token.strip() for token in request.headers.get(header, "").split(",")]


def _refusal(error: WireError) -> PlainResponse:
    if error.code != "error_upgrade_required":
        return PlainResponse.of_error(error)
    headers = {
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-protocol": SUBPROTOCOL,
    }
    return PlainResponse.of_json(426, {"error": error.code, "reason": error.reason}, headers)


def _bad_request(error: BadRequest) -> PlainResponse:
    return PlainResponse.of_json(
        error.status, {"error": "error_malformed", "reason": "not a sound HTTP request, or one over the bounds"}
    )


def socket_of(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """The socket below a stream; None when there is none, as in a test."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return plain.socket if isinstance(plain, trio.SocketStream) else None


def _cut(stream: trio.abc.Stream) -> None:
    """Whoever waits for this connection sees it end."""
    if (sock := socket_of(stream)) is not None:
        sock.close()


def _address(stream: trio.abc.Stream) -> str:
    sock = socket_of(stream)
    try:
        return "" if sock is None else str(sock.getpeername()[0])
    except OSError:
        return ""
