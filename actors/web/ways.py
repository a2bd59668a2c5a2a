"""The ways by which finished frames leave for a browser."""

import trio
from quart import Websocket

from actors.live.frames import Frames
from actors.web.bounded import CONNECTION, BoundedServer


class Straight:
    """The bytes go to the connection itself, past what the libraries do for each message."""

    def __init__(self, connection: BoundedServer) -> None:
        self._connection = connection

    def post(self, frames: Frames) -> bool:
        return self._connection.post(frames.data)

    async def flush(self) -> None:
        await self._connection.flush()

    def abort(self) -> None:
        self._connection.abort()


class ByMessage:
    """By plain ASGI messages, where the server has nothing better."""

    def __init__(self, websocket: Websocket) -> None:
        self._websocket = websocket
        self._posted: list[str] = []

    def post(self, frames: Frames) -> bool:
        self._posted += frames.texts
        return False

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()  # a socket that is gone accepts everything at once
        posted, self._posted = self._posted, []
        for text in posted:
            await self._websocket.send(text)

    def abort(self) -> None:
        """The end of the handler ends the connection."""


def way_out(websocket: Websocket) -> Straight | ByMessage:
    connection = websocket.scope.get("state", {}).get(CONNECTION)
    return Straight(connection) if isinstance(connection, BoundedServer) else ByMessage(websocket)
