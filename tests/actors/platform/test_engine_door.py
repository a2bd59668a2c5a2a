"""The sockets of the engines as another thread may cut them, for as long as they are open."""

import socket
import time

import pytest
import trio
import trio.testing

from actors.emergency.glass import EngineSockets
from actors.links.listener import CuttableListener
from wire.client import dial_over
from wire.server import ServerLimits
from wire.sockets import LinkClosed
from wire.tokens import ENGINE, TokenKeys

BEGAN = time.time()
KEYS = TokenKeys(b"k" * 32, clock=lambda: BEGAN)


async def refuse(*_):
    raise AssertionError("nobody gets this far")


async def connected():
    """Both ends of a connection with a socket below it."""
    ours, theirs = socket.socketpair()
    return [trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in (ours, theirs)]


def door(sockets, handler=refuse, **limits):
    return CuttableListener(
        sockets, authorize=lambda _, token: KEYS.verify(token, ENGINE), handler=handler, limits=ServerLimits(**limits)
    )


async def test_a_connection_can_be_cut_from_its_first_byte_to_its_end():
    sockets = EngineSockets()
    server = door(sockets)
    ours, theirs = await connected()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            await trio.testing.wait_all_tasks_blocked()
            assert sockets.shut_down() == 1
            assert await ours.receive_some() == b""
    assert server.statistics().connections == 0
    assert sockets.shut_down() == 0
    await ours.aclose()


async def test_who_is_turned_away_is_not_kept():
    sockets = EngineSockets()
    server = door(sockets, connections=0)
    ours, theirs = await connected()
    with trio.fail_after(60):
        await server.serve_stream(theirs)
        assert b" 503 " in await ours.receive_some()
    assert sockets.shut_down() == 0
    await ours.aclose()


async def test_a_link_can_be_cut_after_its_actor_took_it_over_and_until_that_is_gone():
    sockets, over = EngineSockets(), []

    async def take_over(*_):
        return over.append

    server = door(sockets, take_over)
    ours, theirs = await connected()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            token = KEYS.issue_engine("E1").token
            async with dial_over(ours, host="h", path="/ws/engine/E1", token=token) as engine:
                await trio.testing.wait_all_tasks_blocked()
                assert len(over) == 1
                assert sockets.shut_down() == 1
                with pytest.raises(LinkClosed):
                    await engine.receive()
    over[0]()
    assert sockets.shut_down() == 0
