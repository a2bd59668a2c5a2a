"""Hypercorn's WebSocket with a last word for peers that break a rule.

By itself it ends their connection without a close frame (only a message that is too large gets one, with no reason),
and what they sent meanwhile may take back the last bytes they were sent.
"""

import hypercorn.protocol.h11
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping

from actors.web.bounded import CONNECTION, BoundedServer
from wire.closing import CloseCode
from wire.framing import NOT_UTF8, PROTOCOL_ERROR


class StrictStream(WSStream):
    """One WebSocket."""

    async def _handle_events(self) -> None:
        """As Hypercorn's, except for what ``_refuse`` does."""
        assert self.app_put is not None
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    await self._refuse(CloseCode.TOO_LARGE, CloseCode.TOO_LARGE.reason)
                    return
                if event.message_finished:
                    await self.app_put(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.OPEN:  # nobody closed: it is the parser's verdict
                    is_text = event.code == NOT_UTF8
                    await self._refuse(
                        *((NOT_UTF8, "error_not_utf8") if is_text else (PROTOCOL_ERROR, "error_protocol"))
                    )
                    return
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _refuse(self, code: int, reason: str) -> None:
        await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        connection = self.scope["state"].get(CONNECTION)
        if isinstance(connection, BoundedServer):
            await connection.linger()
        await self.send(StreamClosed(stream_id=self.stream_id))


def install() -> None:
    """Makes Hypercorn use it."""
    vars(hypercorn.protocol.h11)["WSStream"] = StrictStream
