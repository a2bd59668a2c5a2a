"""One HTTP call to the platform on asyncio: h11 over a stream, one connection per call, bounded in size and time."""

import asyncio
import ssl
from urllib.parse import urlsplit

import h11

from wire.sdk.platform import (
    CALL_TIMEOUT,
    Call,
    Credential,
    PlatformConfig,
    Token,
    config_answer,
    config_call,
    token_answer,
    token_call,
    unreachable,
)

_CHUNK = 65536
_MAX_BODY = 1024 * 1024


async def fetch_token(credential: Credential) -> Token:
    """A fresh engine token. Raises Unwelcome or PlatformAway."""
    return token_answer(*await _ask(credential, token_call(credential)))


async def fetch_config(credential: Credential, token: Token) -> PlatformConfig:
    """What the platform keeps for this engine. Raises ConfigurationError, Unwelcome or PlatformAway."""
    return config_answer(credential, *await _ask(credential, config_call(credential, token)))


async def _ask(credential: Credential, call: Call) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            return await _exchange(call)
    except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
        raise unreachable(credential) from error


async def _exchange(call: Call) -> tuple[int, bytes]:
    parts = urlsplit(call.url)
    secure = parts.scheme == "https"
    context = ssl.create_default_context() if secure else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=context)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)
        for event in _request(call, parts.netloc.rpartition("@")[2], parts.path or "/"):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _read(connection, reader)
    finally:
        writer.close()


def _request(call: Call, host: str, path: str) -> list[h11.Event]:
    headers = [("host", host), ("connection", "close"), ("content-length", str(len(call.body))), *call.headers.items()]
    head = h11.Request(method=call.method, target=path, headers=[(n.encode(), v.encode()) for n, v in headers])
    return [head, *([h11.Data(data=call.body)] if call.body else []), h11.EndOfMessage()]


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MAX_BODY:
                raise OSError("the answer is too large")
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the platform hung up")
    return status, bytes(body)
