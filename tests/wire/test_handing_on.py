"""An open link that is handed on: the handshake's task is over, and the listener still answers for the socket."""

import errno
import time
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from wire import direct, library
from wire.client import DialRefused, dial, dial_over
from wire.server import EngineListener, ServerLimits, open_listeners
from wire.sockets import LinkClosed
from wire.tokens import TokenKeys

BEGAN = time.time()
KEYS = TokenKeys(b"k" * 32, clock=lambda: BEGAN)
TOKEN = KEYS.issue_engine("E1").token


def authorize(_engine_id, token):
    return KEYS.verify(token, "engine")


class Keeper:
    """Takes links over, as actors do, and says when they are over."""

    def __init__(self):
        self.sockets = []
        self.over = []

    async def take_over(self, socket, _engine_id, _claims):
        self.sockets.append(socket)
        return self.over.append


@asynccontextmanager
async def door(keeper, **options):
    """A listener on a real socket, and the URL of its engine."""
    server = EngineListener(authorize=authorize, handler=keeper.take_over, **options)
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, listeners)
            yield server, f"ws://127.0.0.1:{port}/ws/engine/E1", nursery.cancel_scope
            nursery.cancel_scope.cancel()


def serving_tasks(server):
    """The frames of all tasks that serve a connection."""
    found, tasks = [], [trio.lowlevel.current_root_task()]
    while tasks:
        task = tasks.pop()
        found += [f for f, _ in task.iter_await_frames() if f.f_code is server.serve_stream.__func__.__code__]
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def test_its_new_owner_has_the_link_and_no_task_serves_it():
    keeper = Keeper()
    async with door(keeper) as (server, url, _), dial(url, TOKEN) as engine:
        await wait_all_tasks_blocked()
        assert serving_tasks(server) == []
        await engine.send("a")
        assert await keeper.sockets[0].receive() == "a"
        await keeper.sockets[0].send("b")
        assert await engine.receive() == "b"
        assert (server.statistics().connections, server.statistics().handshakes) == (1, 0)


async def test_it_counts_until_it_is_over_and_is_closed_then():
    keeper = Keeper()
    async with door(keeper, limits=ServerLimits(connections=1)) as (server, url, _):
        async with dial(url, TOKEN) as engine:
            with pytest.raises(DialRefused) as caught:
                async with dial(url, TOKEN):
                    pass
            assert caught.value.status == 503
            keeper.over[0]()
            with pytest.raises(LinkClosed):
                await engine.receive()
        assert server.statistics().connections == 0
        async with dial(url, TOKEN):
            assert server.statistics().connections == 1
            keeper.over[0]()  # once more: nothing of it is left to let go
            assert server.statistics().connections == 1


async def test_the_end_of_the_listener_cuts_it():
    keeper = Keeper()
    async with door(keeper) as (server, url, scope), dial(url, TOKEN) as engine:
        scope.cancel()
        with trio.CancelScope(shield=True), pytest.raises(LinkClosed):
            await engine.receive()
        assert server.statistics().connections == 0
        with trio.CancelScope(shield=True), pytest.raises(LinkClosed):
            await keeper.sockets[0].receive()


async def test_an_owner_that_waits_for_bytes_sees_that_it_was_cut():
    keeper, ended = Keeper(), trio.Event()
    async with door(keeper) as (_, url, _scope), dial(url, TOKEN), trio.open_nursery() as nursery:

        async def read():
            with pytest.raises(LinkClosed) as caught:
                await keeper.sockets[0].receive()
            assert caught.value.code == 1006
            ended.set()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        keeper.over[0]()
        await ended.wait()


@pytest.mark.parametrize("driver", [direct.accept, library.accept])
async def test_without_a_socket_of_its_own_it_is_served_until_it_is_over(driver, autojump_clock):
    """In memory there is no socket to close, and a library that reads in a task of ours needs that task."""
    keeper, (ours, theirs) = Keeper(), memory_stream_pair()
    server = EngineListener(authorize=authorize, handler=keeper.take_over, driver=driver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        async with dial_over(ours, host="h", path="/ws/engine/E1", token=TOKEN) as engine:
            await engine.send("a")
            await wait_all_tasks_blocked()
            assert await keeper.sockets[0].receive() == "a"
            assert server.statistics().connections == 1
            keeper.over[0]()
            with pytest.raises(LinkClosed):
                await engine.receive()
        await wait_all_tasks_blocked()
        assert server.statistics().connections == 0
        assert not nursery.child_tasks


async def test_a_machine_without_free_descriptors_is_waited_for(autojump_clock, caplog):
    class Full(trio.abc.Listener):
        """Accepts the third time; then nobody comes."""

        def __init__(self):
            self.asked = []
            self.stream, theirs = memory_stream_pair()
            self.left = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOBUFS, "No room"), theirs]

        async def accept(self):
            self.asked.append(trio.current_time())
            if not self.left:
                await trio.sleep_forever()
            if isinstance(found := self.left.pop(0), OSError):
                raise found
            return found

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    full, keeper = Full(), Keeper()
    server = EngineListener(authorize=authorize, handler=keeper.take_over)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [full])
        async with dial_over(full.stream, host="h", path="/ws/engine/E1", token=TOKEN):
            assert [at - full.asked[0] for at in full.asked] == [0, pytest.approx(0.1), *[pytest.approx(0.2)] * 2]
            assert "Too many open files" in caplog.text
        nursery.cancel_scope.cancel()


async def test_a_listener_that_is_broken_ends_the_service(autojump_clock):
    class Broken(trio.abc.Listener):
        async def accept(self):
            raise OSError(errno.EBADF, "Bad file descriptor")

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    with pytest.RaisesGroup(OSError):
        await EngineListener(authorize=authorize, handler=Keeper().take_over).serve([Broken()])
