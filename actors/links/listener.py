"""The engines' door on :8701 as an actor: WebSockets become supervised links, plain HTTP gives tokens and settings."""

import ssl
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import trio

from actors.config import Address, PlatformSettings
from actors.emergency.doors import port_of
from actors.emergency.glass import EngineSockets
from actors.errors import Refused
from actors.links.engine_link import EngineLink
from actors.links.messages import Drain
from actors.links.places import LinkDesk
from actors.platform.descriptors import for_a_listener
from actors.platform.services import Services
from actors.requests import LINKS
from actors.web.engines import read_configuration
from actors.web.login import issue_engine_token
from actors.web.problems import Problem, problem_of
from supervisor.actor import Actor, handles
from supervisor.errors import SupervisorError
from supervisor.message import Request
from supervisor.reason import ExitReason
from supervisor.spec import ChildSpec, Restart
from wire.closing import CloseCode
from wire.codec import decode, encode, warm_up
from wire.envelope import Envelope
from wire.errors import Forbidden, NotFound, Overloaded, Unauthorized
from wire.lanes import ENGINE_DOWN, ENGINE_UP
from wire.plain import PlainRequest, PlainResponse
from wire.rest.access import EngineTokenRequest
from wire.server import EngineListener, ServerLimits, WhenOver, open_listeners, socket_of
from wire.sockets import Link, LinkClosed
from wire.tokens import ENGINE, Claims

DRAIN_SECONDS = 3.0
"""How long the links may take to write what waits and to say goodbye when the platform goes down."""
CONNECTIONS = 4096
LINK_SECONDS = 10.0


class CuttableListener(EngineListener):
    """Its sockets can be shut down from another thread, when this one does not answer any more."""

    def __init__(self, sockets: EngineSockets, **rest: Any) -> None:
        super().__init__(**rest)
        self._cuttable = sockets

    def _hold(self, stream: trio.abc.Stream) -> None:
        super()._hold(stream)
        if (sock := socket_of(stream)) is not None:
            self._cuttable.add(sock)

    def _let_go(self, stream: trio.abc.Stream) -> None:
        super()._let_go(stream)
        if (sock := socket_of(stream)) is not None:
            self._cuttable.discard(sock)


class WhereEnginesConnect(Request[Address]):
    """The address that is really listened on; its port differs from the setting's when that was 0."""


class EngineDoor(Actor):
    """Listens for as long as it lives. Its end cuts every link; the engines come back."""

    def __init__(self, services: Services, desk: LinkDesk, sockets: EngineSockets) -> None:
        self._services = services
        self._desk = desk
        self._sockets = sockets
        self._numbers = count(1)
        self._draining = False

    async def started(self) -> None:
        """Raises Refused when the address cannot be listened on."""
        warm_up(Envelope, *ENGINE_UP.values(), *ENGINE_DOWN.values())
        settings = self._services.settings
        listeners = await _listen(settings)
        port = port_of(listeners[0])
        self._address = settings.engines.at(port)
        door = CuttableListener(
            self._sockets,
            authorize=self.authorize,
            handler=self._serve_link,
            http=self._answer,
            limits=ServerLimits(connections=for_a_listener(CONNECTIONS), handshakes_per_address=256),
        )
        self.context.spawn(door.serve, listeners, name="accept")
        self.context.log.info("engines connect to %s", self._address)

    async def stopped(self, reason: ExitReason) -> None:
        """Every engine is told to come back and why; a crash of this actor cuts them instead."""
        if reason.abnormal:
            return
        self._draining = True
        system = self._services.system
        names = [name for name in system.names() if name.startswith(f"{LINKS}/")]
        links = [link for name in names if (link := system.find(name)) is not None]
        for link in links:
            link.tell(Drain(), urgent=True)
        with trio.move_on_after(DRAIN_SECONDS):
            for link in links:
                await link.wait_ended()

    @handles(WhereEnginesConnect)
    async def on_where(self, _msg: WhereEnginesConnect) -> Address:
        return self._address

    # --- links ----------------------------------------------------------------------------------------------------

    def authorize(self, engine_id: str, token: str) -> Claims:
        """The claims of a token that may open this engine's link. Needs no database."""
        if self._draining:
            raise Overloaded("the platform is going down", code="error_draining")
        return authorized(self._services, engine_id, token)

    async def _serve_link(self, socket: Link, engine_id: str, claims: Claims) -> WhenOver | None:
        """The link's own actor takes over; this task, with all that the handshake left in it, ends."""
        expires = datetime.fromtimestamp(claims.exp, UTC)
        spec = ChildSpec(
            id=f"{engine_id}.{next(self._numbers)}",
            factory=partial(self._link, engine_id, socket, expires),
            restart=Restart.TEMPORARY,
        )
        try:
            link = await self.context.find(LINKS).start_child(spec, timeout=LINK_SECONDS)
        except SupervisorError:
            await socket.close(CloseCode.OVERLOADED, CloseCode.OVERLOADED.reason)
            return None
        return None if link.closed else link.when_closed

    def _link(self, engine_id: str, socket: Link, expires: datetime) -> EngineLink:
        return EngineLink(engine_id, socket, self._desk, expires, ended=LinkClosed)

    # --- plain HTTP -----------------------------------------------------------------------------------------------

    async def _answer(self, request: PlainRequest) -> PlainResponse:
        try:
            return await self._answered(request)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            return _problem(problem)

    async def _answered(self, request: PlainRequest) -> PlainResponse:
        match request.method, request.path:
            case "POST", "/api/auth/engine-token":
                answer = issue_engine_token(self._services, decode(request.body, EngineTokenRequest))
                return _json(answer)
            case "GET", "/api/engine/config":
                if request.bearer is None:
                    raise Unauthorized("an engine's token is needed")
                claims = self._services.tokens.verify(request.bearer, ENGINE)
                self.authorize(claims.sub, request.bearer)
                return _json(await read_configuration(self._services, claims.sub))
            case "GET", "/healthz":
                return PlainResponse.of_json(200, {"ok": True})
        raise NotFound("there is nothing here")


def authorized(services: Services, engine_id: str, token: str) -> Claims:
    """Raises Unauthorized for a token that is not valid, was denied, or speaks for an engine that is gone; Forbidden
    for one of another engine."""
    claims = services.tokens.verify(token, ENGINE)
    if claims.sub != engine_id:
        raise Forbidden("the token is of another engine", code="error_engine_mismatch")
    if services.denied.refuses(claims):
        raise Unauthorized("this engine's token counts no more", code="error_session_over")
    if services.enrolled.is_complete and services.enrolled.get(engine_id) is None:
        raise Unauthorized("there is no such engine", code="error_session_over")
    return claims


def _json(answer: object) -> PlainResponse:
    return PlainResponse(
        status=200, body=encode(answer, nulls=True).encode(), headers={"content-type": "application/json"}
    )


def _problem(problem: Problem) -> PlainResponse:
    body = encode(problem.body()).encode()
    headers = {"content-type": "application/json", **{k.lower(): v for k, v in problem.headers.items()}}
    return PlainResponse(status=problem.status, body=body, headers=headers)


async def _listen(
    settings: PlatformSettings,
) -> list[trio.SocketListener] | list[trio.SSLListener[trio.SocketStream]]:
    address, files = settings.engines, settings.engines_tls
    context = None
    if files is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
    try:
        return await open_listeners(address.host, address.port, ssl_context=context)
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise Refused(f"{address} cannot be listened on ({words}): check WATCHKEEPER_ENGINES") from None
