"""A session on a socket, as an application drives it."""

import attrs
import trio

from wire.session import CloseLink
from wire.sockets import LinkClosed


@attrs.define
class Driven:
    """One task reads, one writes."""

    session: object
    socket: object
    on_event: object
    bell: trio.Event = attrs.field(factory=trio.Event)
    closed: tuple | None = None

    async def run(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read)
            await self.write()
            nursery.cancel_scope.cancel()
        return self.closed

    def handle(self, events):
        for event in events:
            if isinstance(event, CloseLink):
                self.closed = (int(event.code), event.reason)
            self.on_event(self.session, event)
        self.bell.set()

    async def read(self):
        try:
            while self.closed is None:
                self.handle(self.session.receive(await self.socket.receive(), trio.current_time()))
        except LinkClosed as end:
            self.closed = self.closed or (end.code, end.reason)
            self.bell.set()

    async def write(self):
        try:
            while True:
                self.handle(self.session.tick(trio.current_time()))
                self.bell = trio.Event()
                for frame in self.session.take(trio.current_time()):
                    await self.socket.send(frame)
                if self.closed is not None:
                    return await self.socket.close(*self.closed)
                if not self.bell.is_set():
                    with trio.move_on_at(self.session.deadline() or trio.current_time() + 60):
                        await self.bell.wait()
        except LinkClosed as end:
            self.closed = self.closed or (end.code, end.reason)
