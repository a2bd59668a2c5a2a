"""The WebSocket endpoint of dashboards. It only pumps between the socket and the actor of that browser."""

import secrets

import trio
from quart import Response, websocket
from quart_trio import QuartTrio

from actors.live.client import BrowserLeft, FromBrowser, Outbox, UiClient
from actors.live.session import Close, CloseCode
from actors.requests import UI_CLIENTS
from actors.web.access import check_for_link, database_is_away
from actors.web.app import Face, problem_response
from actors.web.problems import Problem
from actors.web.ways import way_out
from supervisor.errors import AskTimeout, Refused, UnknownActor
from supervisor.mailbox import MailboxSpec, Overflow
from supervisor.ref import Ref
from supervisor.spec import ChildSpec, Restart
from wire.rest.stops import StopState
from wire.ui import SUBPROTOCOL

MAILBOX = MailboxSpec(capacity=64, overflow=Overflow.DROP_NEWEST)
"""Frames of one browser waiting for its actor. Beyond them it says more than anybody listens to: it is closed."""


def add_link(app: QuartTrio, face: Face) -> None:
    """Serves ``/ws``."""

    async def link() -> Response | None:
        refusal = _refusal(face)
        if refusal is not None:
            return problem_response(refusal)
        await websocket.accept(subprotocol=SUBPROTOCOL)
        await _serve(face)
        return None

    app.add_websocket("/ws", endpoint="ws", view_func=link)


def _refusal(face: Face) -> Problem | None:
    origin = websocket.headers.get("Origin")
    if not face.doors.allows(origin):
        return Problem(403, "error_origin", "pages of this origin may not open the link")
    offered = (name.strip() for name in websocket.headers.get("Sec-WebSocket-Protocol", "").split(","))
    if SUBPROTOCOL not in offered:
        return Problem(426, "error_version", f"the subprotocol is {SUBPROTOCOL}", headers={"Upgrade": "websocket"})
    if face.doors.draining:
        return Problem(503, "error_draining", "the platform is going down", headers={"Retry-After": "5"})
    return None


async def _serve(face: Face) -> None:
    services = face.services
    way = way_out(websocket)
    outbox = Outbox(services.hub, way)
    client: Ref | None = None
    try:
        with trio.CancelScope() as socket_scope:
            client = await _start(face, outbox, socket_scope)
            if client is None:
                await websocket.close(CloseCode.OVERLOADED, "error_overloaded")
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, client, outbox)
                await _speak(outbox)
                nursery.cancel_scope.cancel()
        if socket_scope.cancelled_caught:
            way.abort()  # not even a close would be taken
    finally:
        # Also where the browser went, or patience ended, before its actor was there: that actor must not stay.
        outbox.abandoned = True
        if client is not None:
            client.tell(BrowserLeft(), urgent=True)


async def _start(face: Face, outbox: Outbox, socket_scope: trio.CancelScope) -> Ref | None:
    services = face.services

    def may_expire() -> bool:
        running = any(s.state is StopState.RUNNING and s.released_at is None for s in services.stops.values())
        return not running and not database_is_away(services)

    def make() -> UiClient:
        return UiClient(
            hub=services.hub,
            outbox=outbox,
            check=lambda token: check_for_link(services, token),
            refuses=services.denied.refuses,
            may_expire=may_expire,
            hang_up=socket_scope.cancel,
        )

    spec = ChildSpec(id=secrets.token_hex(6), factory=make, restart=Restart.TEMPORARY, shutdown=1.0, mailbox=MAILBOX)
    try:
        return await services.system.start_child(UI_CLIENTS, spec, timeout=5.0)
    except (Refused, UnknownActor, AskTimeout):
        return None


async def _listen(client: Ref, outbox: Outbox) -> None:
    """Hands on what the browser says. An actor that cannot keep up with it ends the link."""
    while True:
        text = await websocket.receive()
        if not isinstance(text, str):  # empty binary frames arrive as None
            outbox.end(Close(CloseCode.MALFORMED, "error_text_expected"))
            return
        if not client.tell(FromBrowser(text)):
            outbox.end(Close(CloseCode.RATE_LIMITED, "error_rate_limited"))
            return


async def _speak(outbox: Outbox) -> None:
    """Sends until the end, or until the socket is gone."""
    try:
        end = await outbox.speak()
    except trio.ClosedResourceError:
        return
    await websocket.close(end.code, end.reason)
