"""A small HTTP/1.1 client on trio streams.

It exists for one property that general clients do not give: ``before_write`` runs as the last synchronous step before
the request's first byte reaches the socket. Whatever it decides holds for that very write, because between its return
and the system call no other task can run. Under TLS the same place is found by wrapping the transport below the cipher.

Errors say whether anything was written, since for an order "failed" and "unknown" are different facts. They carry
method, host and path only: queries, headers and bodies hold account numbers and secrets.
"""

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import attrs
import h11
import trio

from wire.errors import Malformed, WireError

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS"})
BeforeWrite = Callable[[], None]
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
_CHUNK = 65536


class HttpError(WireError):
    """A request that got no usable answer. ``written`` is whether the server may have seen any of it."""

    code = "error_http"

    def __init__(self, reason: str, *, method: str, host: str, path: str, written: bool) -> None:
        if type(self) is HttpError:
            raise TypeError("HttpError is a base class: raise one of its subclasses")
        self.method = method
        self.host = host
        self.path = path
        self.written = written
        super().__init__(f"{method} {host}{path}: {reason}")


class ConnectFailed(HttpError):
    """No connection was made, so nothing was written."""

    code = "error_unreachable"


class RequestTimeout(HttpError):
    """The deadline passed first."""

    code = "error_timeout"


class ConnectionLost(HttpError):
    """The connection ended before the answer was whole."""

    code = "error_connection_lost"


class BadResponse(HttpError):
    """The answer is not HTTP/1.1, or larger than the client's bound."""

    code = "error_bad_response"


@attrs.frozen(kw_only=True)
class Response:
    """A whole answer; header names are lower case and the last of a repeated header counts."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def json(self) -> Any:
        """The body as JSON. Malformed when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Malformed("the answer is not JSON") from error


class _Guarded(trio.abc.HalfCloseableStream):
    """The transport right above the socket. An armed guard runs once, when the socket can take bytes at once."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.guard: BeforeWrite | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.guard is not None:
            await self.inner.wait_send_all_might_not_block()
            guard, self.guard = self.guard, None
            guard()
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def send_eof(self) -> None:
        if isinstance(self.inner, trio.abc.HalfCloseableStream):
            await self.inner.send_eof()

    async def aclose(self) -> None:
        await self.inner.aclose()

    def has_unasked_bytes(self) -> bool:
        """True when an idle connection is readable: the server closed it or speaks out of turn."""
        return isinstance(self.inner, trio.SocketStream) and self.inner.socket.is_readable()


class _Connection:
    def __init__(self, origin: tuple[str, str, int], guarded: _Guarded, stream: trio.abc.Stream) -> None:
        self.origin = origin
        self.guarded = guarded
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)
        self.used = False
        self.idle_since = 0.0

    async def abort(self) -> None:
        await trio.aclose_forcefully(self.guarded)


@attrs.define
class _Progress:
    """What is known of one attempt, readable after it was cancelled."""

    written: bool = False
    answered: bool = False
    reused: bool = False


class HttpClient:
    """Requests over a bounded pool of keep-alive connections. Use it as ``async with HttpClient() as http:``.

    ``max_connections``: open at a time; a request waits for a free one within its own deadline. ``max_response``:
    bytes. ``idle``: seconds after which an unused connection is not trusted any more. ``connect`` replaces TCP.
    """

    def __init__(
        self,
        *,
        max_connections: int = 8,
        max_response: int = 4 * 1024 * 1024,
        idle: float = 15.0,
        ssl_context: ssl.SSLContext | None = None,
        connect: Connect = trio.open_tcp_stream,
    ) -> None:
        self._slots = trio.Semaphore(max_connections)
        self._max_response = max_response
        self._idle_limit = idle
        self._ssl_context = ssl_context
        self._connect = connect
        self._idle: list[_Connection] = []
        self._max_idle = max_connections

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drops the idle connections. Requests still running end by their own deadlines."""
        idle, self._idle = self._idle, []
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            for connection in idle:
                await connection.abort()

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        timeout: float,
        before_write: BeforeWrite | None = None,
    ) -> Response:
        """Sends one request and returns its answer, whatever its status.

        ``timeout``: seconds for everything, waiting for a connection included. ``before_write`` runs right before the
        first byte is written; what it raises comes out of here and nothing is written. An idempotent request that
        finds its kept connection dead is sent once more on a fresh one. Raises HttpError.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a URL is http:// or https:// and names a host")
        message = _encode(method, parts, headers or {}, body)
        progress = _Progress()
        failure: HttpError | None = None
        with trio.move_on_after(timeout):
            async with self._slots:
                try:
                    return await self._attempt(method, parts, message, before_write, progress, fresh=False)
                except ConnectionLost as error:
                    if method not in IDEMPOTENT or progress.answered or not progress.reused:
                        raise
                    failure = error
                progress.written = False
                return await self._attempt(method, parts, message, before_write, progress, fresh=True)
        raise RequestTimeout(
            f"no answer within {timeout:g} s", written=progress.written, **_where(method, parts)
        ) from failure

    async def _attempt(
        self,
        method: str,
        parts: SplitResult,
        message: list[h11.Event],
        before_write: BeforeWrite | None,
        progress: _Progress,
        *,
        fresh: bool,
    ) -> Response:
        connection = await self._open(method, parts, fresh=fresh)
        progress.reused = connection.used
        clean = False
        try:
            response = await self._exchange(connection, message, before_write, progress)
            clean = connection.h11.our_state is h11.DONE and connection.h11.their_state is h11.DONE
            return response
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError) as error:
            raise ConnectionLost(
                "the connection was lost", written=progress.written, **_where(method, parts)
            ) from error
        except _Ended as error:
            raise ConnectionLost("the server hung up", written=progress.written, **_where(method, parts)) from error
        except (h11.RemoteProtocolError, _TooLarge) as error:
            reason = "the answer is too large" if isinstance(error, _TooLarge) else "the answer is not HTTP/1.1"
            raise BadResponse(reason, written=True, **_where(method, parts)) from error
        finally:
            if clean:
                self._keep(connection)
            else:
                with trio.CancelScope(shield=True):
                    await connection.abort()

    async def _exchange(
        self, connection: _Connection, message: list[h11.Event], before_write: BeforeWrite | None, progress: _Progress
    ) -> Response:
        def guard() -> None:
            if before_write is not None:
                before_write()
            progress.written = True

        wire = b"".join(connection.h11.send(event) or b"" for event in message)
        connection.guarded.guard = guard
        await connection.stream.send_all(wire)
        return await self._read(connection, progress)

    async def _read(self, connection: _Connection, progress: _Progress) -> Response:
        status, headers, body = 0, dict[str, str](), bytearray()
        while True:
            event = connection.h11.next_event()
            if event is h11.NEED_DATA:
                data = await connection.stream.receive_some(_CHUNK)
                progress.answered = progress.answered or bool(data)
                if not data and connection.h11.their_state is not h11.SEND_BODY:
                    raise _Ended
                connection.h11.receive_data(bytes(data))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._max_response:
                    raise _TooLarge
            elif isinstance(event, h11.EndOfMessage):
                return Response(status=status, headers=headers, body=bytes(body))
            elif isinstance(event, h11.ConnectionClosed):
                raise _Ended

    async def _open(self, method: str, parts: SplitResult, *, fresh: bool) -> _Connection:
        origin = _origin(parts)
        while not fresh and (kept := self._take(origin)) is not None:
            if not kept.guarded.has_unasked_bytes() and trio.current_time() - kept.idle_since < self._idle_limit:
                return kept
            await kept.abort()
        return await self._dial(method, parts, origin)

    async def _dial(self, method: str, parts: SplitResult, origin: tuple[str, str, int]) -> _Connection:
        scheme, host, port = origin
        while len(self._idle) >= self._max_idle:
            await self._idle.pop(0).abort()
        try:
            guarded = _Guarded(await self._connect(host, port))
        except (OSError, trio.BrokenResourceError) as error:
            raise ConnectFailed("no connection", written=False, **_where(method, parts)) from error
        if scheme == "http":
            return _Connection(origin, guarded, guarded)
        context = self._ssl_context or ssl.create_default_context()
        tls = trio.SSLStream(guarded, context, server_hostname=host, https_compatible=True)
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, OSError, ssl.SSLError) as error:
            await trio.aclose_forcefully(guarded)
            raise ConnectFailed("no TLS agreement", written=False, **_where(method, parts)) from error
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(guarded)
            raise
        return _Connection(origin, guarded, tls)

    def _take(self, origin: tuple[str, str, int]) -> _Connection | None:
        for i in reversed(range(len(self._idle))):
            if self._idle[i].origin == origin:
                return self._idle.pop(i)
        return None

    def _keep(self, connection: _Connection) -> None:
        connection.h11.start_next_cycle()
        connection.used = True
        connection.idle_since = trio.current_time()
        self._idle.append(connection)


class _Ended(Exception):
    """The server closed before the answer was whole."""


class _TooLarge(Exception):
    """The answer passed the bound."""


def _where(method: str, parts: SplitResult) -> dict[str, str]:
    return {"method": method, "host": parts.hostname or "", "path": parts.path or "/"}


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _encode(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> list[h11.Event]:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [("host", parts.netloc.rpartition("@")[2]), *headers.items()]
    if body or method not in IDEMPOTENT:
        fields.append(("content-length", str(len(body))))
    request = h11.Request(method=method, target=target, headers=[(n.encode(), v.encode()) for n, v in fields])
    return [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
