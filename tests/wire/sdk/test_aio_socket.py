"""The asyncio socket against servers that do not behave: it dials nobody else, tells no token, and is never stuck."""

import asyncio
import logging

import pytest
from websockets.asyncio.server import serve

from wire.dialing import DialFailed, DialRefused, LinkClosed
from wire.messages import SUBPROTOCOL
from wire.sdk import aio_socket
from wire.sdk.aio_http import fetch_token
from wire.sdk.aio_socket import dial
from wire.sdk.errors import PlatformAway, Unwelcome
from wire.sdk.platform import Credential
from wire.values import MAX_FRAME_BYTES

TOKEN = "CANARY-token"


def answering(raw):
    """Runs ``client(port)`` against a server that answers every request with these bytes; what it was asked."""

    def run(client):
        asked = []

        async def handle(reader, writer):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(raw)
            await writer.drain()
            writer.close()

        async def main():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            async with server:
                result = await client(server.sockets[0].getsockname()[1])
                await asyncio.sleep(0.02)
                return result

        return asyncio.run(main()), asked

    return run


def talking(handler, client, **options):
    """Runs ``client(socket)`` against a WebSocket server."""

    async def main():
        options.setdefault("subprotocols", [SUBPROTOCOL])
        async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
            port = server.sockets[0].getsockname()[1]
            async with dial(f"ws://127.0.0.1:{port}/ws/engine/E1", TOKEN) as socket:
                return await client(socket)

    return asyncio.run(main())


async def dialling(port):
    async with dial(f"ws://127.0.0.1:{port}/ws/engine/E1", TOKEN):
        raise AssertionError("nobody was there")


def test_a_redirect_is_an_answer_and_is_never_followed():
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"

    async def client(port):
        with pytest.raises(DialRefused) as refused:
            await dialling(port)
        return refused.value.status

    status, asked = answering(elsewhere)(client)
    assert (status, len(asked)) == (302, 1)


def test_a_refusal_carries_the_platforms_words():
    body = b'{"error": "error_forbidden", "reason": "not this one"}'
    raw = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def client(port):
        with pytest.raises(DialRefused) as refused:
            await dialling(port)
        return refused.value

    refused, _ = answering(raw)(client)
    assert (refused.status, refused.error, refused.reason) == (403, "error_forbidden", "not this one")


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH\r\n\r\n", b"", b"HTTP/1.1 101 Maybe\r\n\r\n"])
def test_what_is_not_a_handshake_is_a_failed_dial(raw):
    async def client(port):
        with pytest.raises(DialFailed):
            await dialling(port)

    answering(raw)(client)


def test_a_closed_port_and_a_silent_one_are_failed_dials(monkeypatch):
    monkeypatch.setattr(aio_socket, "DIAL_TIMEOUT", 0.2)

    async def silent(reader, writer):
        while await reader.read(4096):  # until the client has had enough
            pass
        writer.close()

    async def main():
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises(DialFailed, match="no handshake within"):
                await dialling(port)
            await asyncio.sleep(0.1)
        monkeypatch.setattr(aio_socket, "DIAL_TIMEOUT", 60.0)
        with pytest.raises(DialFailed, match="cannot be reached"):
            await dialling(port)

    asyncio.run(main())


def test_another_subprotocol_is_not_ours():
    async def handler(connection):
        await connection.wait_closed()

    with pytest.raises(DialFailed, match="does not speak"):
        talking(handler, lambda _socket: asyncio.sleep(0), subprotocols=None)


@pytest.mark.parametrize("message, code", [(b"bytes", 4507), ("x" * (MAX_FRAME_BYTES + 1), 1009)])
def test_what_a_platform_never_sends_ends_the_link(message, code):
    async def handler(connection):
        await connection.send(message)
        await connection.wait_closed()

    async def client(socket):
        with pytest.raises(LinkClosed) as closed:
            await socket.receive()
        return closed.value.code

    assert talking(handler, client) == code


def test_the_code_of_whoever_closed_is_told_and_sending_fails_then():
    async def handler(connection):
        await connection.close(4501, "error_superseded")

    async def client(socket):
        with pytest.raises(LinkClosed) as closed:
            await socket.receive()
        with pytest.raises(LinkClosed):
            await socket.send("{}")
        return closed.value.code, closed.value.reason

    assert talking(handler, client) == (4501, "error_superseded")


def test_a_peer_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(aio_socket, "_SEND_TIMEOUT", 0.3)
    cut = asyncio.Event()

    async def handler(connection):
        connection.transport.pause_reading()
        await asyncio.wait_for(cut.wait(), 60)
        connection.transport.abort()

    async def client(socket):
        async def flood():
            for _ in range(200):
                await socket.send("x" * 200_000)

        with pytest.raises(LinkClosed) as closed:
            await flood()
        cut.set()
        return closed.value.code

    assert talking(handler, client) == 4029


def test_the_token_is_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)

    async def handler(connection):
        await connection.close()

    async def client(socket):
        with pytest.raises(LinkClosed):
            await socket.receive()

    talking(handler, client)
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("websockets.server")]
    assert not [line for line in ours if TOKEN in line]


@pytest.mark.parametrize(
    "raw, error",
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}", Unwelcome),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", PlatformAway),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", PlatformAway),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", PlatformAway),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, PlatformAway),
        (b"nonsense\r\n\r\n", PlatformAway),
        (b"", PlatformAway),
    ],
)
def test_a_token_that_cannot_be_had_says_whether_to_try_again(raw, error):
    async def client(port):
        credential = Credential(
            engine_id="E1",
            secret="CANARY-secret",
            account_id="A1",
            http_url=f"http://127.0.0.1:{port}",
            ws_url=f"ws://127.0.0.1:{port}",
        )
        with pytest.raises(error) as refused:
            await fetch_token(credential)
        assert "CANARY" not in str(refused.value)

    answering(raw)(client)
