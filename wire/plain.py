"""The plain HTTP that shares a port with the WebSockets: one request per connection, parsed by h11, all bounded."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import attrs
import h11
import trio

from wire.errors import Forbidden, NotFound, Overloaded, Unauthorized, WireError

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
_STATUS = ((Unauthorized, 401), (Forbidden, 403), (NotFound, 404), (Overloaded, 503))


@attrs.frozen(kw_only=True)
class PlainRequest:
    """``headers`` by lower-case name (of a repeated one the values are joined); ``path`` without the query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False, default=b"")
    remote: str = ""

    @property
    def bearer(self) -> str | None:
        """The token of ``Authorization: Bearer``."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None


@attrs.frozen(kw_only=True)
class PlainResponse:
    status: int
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of_json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> "PlainResponse":
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})

    @classmethod
    def of_error(cls, error: WireError, status: int | None = None) -> "PlainResponse":
        """The error body ``{"error", "reason", "field"?}``."""
        body = {"error": error.code, "reason": error.reason}
        if error.field is not None:
            body["field"] = error.field
        known = next((s for c, s in _STATUS if isinstance(error, c)), 400)
        return cls.of_json(status or known, body, {"www-authenticate": "Bearer"} if known == 401 else None)


class BadRequest(Exception):
    """Not an HTTP request, or one over the bounds. ``status`` is what to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class PlainConnection:
    """Reads one request from a stream: first ``head``, and ``body`` when it is not to become a WebSocket."""

    def __init__(self, stream: trio.abc.Stream, remote: str = "") -> None:
        self._stream = stream
        self._remote = remote
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.received = b""
        """Every byte of the head and what came with it: a WebSocket library wants to read it again."""

    async def head(self) -> PlainRequest | None:
        """The request without its body; None when the peer left."""
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = bytes(await self._stream.receive_some(4096))
                    self.received += data
                    self._http.receive_data(data)
                elif isinstance(event, h11.Request):
                    return self._request(event)
                else:
                    return None
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None

    @property
    def behind_head(self) -> bytes:
        """What has arrived after the head."""
        return bytes(self._http.trailing_data[0])

    async def body(self, request: PlainRequest) -> PlainRequest:
        """The request with its body. Raises BadRequest (413) over 64 KiB."""
        parts: list[bytes] = []
        size = 0
        try:
            while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    await self._invite_body()
                    self._http.receive_data(bytes(await self._stream.receive_some(4096)))
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                    parts.append(bytes(event.data))
                    if size > MAX_BODY_BYTES:
                        raise BadRequest(413)
                else:
                    raise BadRequest(400)
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint) from None
        return attrs.evolve(request, body=b"".join(parts))

    async def answer(self, response: PlainResponse) -> None:
        """Writes the response and ends the sending side; does nothing when the peer is gone."""
        try:
            await self._stream.send_all(self._written(response))
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def _written(self, response: PlainResponse) -> bytes:
        # Written by hand: h11 refuses to answer once the request was not sound, and everything here is ours.
        phrase = HTTPStatus(response.status).phrase
        headers = {**response.headers, "content-length": str(len(response.body)), "connection": "close"}
        headers.setdefault("cache-control", "no-store")
        lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body

    async def _invite_body(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            await self._stream.send_all(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")

    def _request(self, event: h11.Request) -> PlainRequest:
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        target = urlsplit(event.target.decode("latin-1"))
        return PlainRequest(
            method=event.method.decode("latin-1"),
            path=target.path,
            query=target.query,
            headers=headers,
            remote=self._remote,
        )
