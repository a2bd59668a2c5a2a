"""The web listener as an actor: Hypercorn's trio worker on a socket prepared here.

Four things of Hypercorn are changed. It cannot time out a send, so the socket itself gives up one that takes nothing
for 3 s. And it always accepts permessage-deflate, by which 200 kB become 400 MiB: here no extension is ever accepted.
Its connections are unbounded in number and in the time they say nothing, and each WebSocket message is dear: see
``bounded``. Who breaks a rule is not told so: see ``verdicts``.
"""

import logging
import os
import socket

import attrs
import hypercorn.protocol.ws_stream
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from wsproto.extensions import PerMessageDeflate

from actors.config import Address
from actors.live.client import Drain
from actors.platform.descriptors import for_a_listener
from actors.platform.services import Services
from actors.requests import UI_CLIENTS
from actors.web import bounded, verdicts
from actors.web.app import Face, build_app
from actors.web.doors import own_origins
from actors.web.live import add_link
from actors.web.login import recall_denials
from actors.web.sockets import listen
from store.errors import StoreError
from supervisor.actor import Actor, handles
from supervisor.message import Request
from supervisor.reason import ExitReason
from wire.ui import MAX_FRAME_BYTES

GRACE = 3.0
"""Seconds requests may still take when the listener closes."""


class _NoDeflate(PerMessageDeflate):
    def accept(self, offer: str) -> None:
        return None


vars(hypercorn.protocol.ws_stream)["PerMessageDeflate"] = _NoDeflate
bounded.install()
verdicts.install()


@attrs.frozen(kw_only=True)
class WhereAreYou(Request[Address]):
    """The address that is really listened on: the port is another than the setting's when that was 0."""


class WebServer(Actor):
    """Serves REST, the dashboard and the UI link for as long as it lives."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._face = Face(services=services)
        self._closing = trio.Event()
        self._closed = trio.Event()

    async def started(self) -> None:
        settings = self._services.settings
        bounded.GUESTS.bound(for_a_listener(bounded.CONNECTIONS))
        prepared = listen(settings.http, "WATCHKEEPER_HTTP")
        self._address = settings.http.at(prepared.getsockname()[1])
        self._face.doors.origins = own_origins(settings, self._address)
        self.context.spawn(self._serve, prepared, name="hypercorn")
        self.context.spawn(self._services.hub.run, name="dashboards")
        self.context.spawn(self._recall, name="denials")
        self.context.log.info("listening on %s", self.url)
        if not settings.http.is_loopback and not settings.allowed_origins:
            self.context.log.warning("set WATCHKEEPER_ORIGINS to the address browsers use, or they are refused")

    @property
    def url(self) -> str:
        return f"{'https' if self._services.settings.http_tls else 'http'}://{self._address}"

    @handles(WhereAreYou)
    async def on_where(self, _: WhereAreYou) -> Address:
        return self._address

    async def stopped(self, reason: ExitReason) -> None:
        """Answers what is under way, tells the browsers to come back, and closes."""
        self._face.doors.draining = True
        for name in self._services.system.names():
            if name.startswith(f"{UI_CLIENTS}/") and (client := self._services.system.find(name)) is not None:
                client.tell(Drain(), urgent=True)
        self._closing.set()
        with trio.move_on_after(GRACE + 1.0):
            await self._closed.wait()

    async def _serve(self, prepared: socket.socket) -> None:
        app = build_app(self._face)
        add_link(app, self._face)
        try:
            await serve(app, _config(self._services, prepared), shutdown_trigger=self._closing.wait, mode="asgi")
        finally:
            self._closed.set()
        if not self._closing.is_set():
            raise RuntimeError("the web server ended by itself")

    async def _recall(self) -> None:
        """What the last platform knew of ended sessions, as soon as the database can tell."""
        pause = 0.5
        while True:
            try:
                await recall_denials(self._services)
                return
            except StoreError:
                await trio.sleep(pause)
                pause = min(10.0, pause * 2)


def _config(services: Services, prepared: socket.socket) -> Config:
    config = Config()
    descriptor = prepared.detach()
    os.set_inheritable(descriptor, False)
    config.bind = [f"fd://{descriptor}"]
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("actors.web.hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    config.alpn_protocols = ["http/1.1"]
    config.graceful_timeout = GRACE
    config.ssl_handshake_timeout = 5
    config.keep_alive_timeout = 30
    config.websocket_max_message_size = MAX_FRAME_BYTES
    config.websocket_ping_interval = None
    if (tls := services.settings.http_tls) is not None:
        config.certfile, config.keyfile = str(tls.certificate), str(tls.key)
    return config
