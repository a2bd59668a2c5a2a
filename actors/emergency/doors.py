"""Who may stop in an emergency, and how many are listened to at once: the local socket and the emergency page."""

import contextlib
import logging
import os
import secrets
import socket
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import parse_qs

import attrs
import trio

from actors.emergency.crowd import REQUEST_SECONDS, Crowd, Guest
from actors.emergency.glass import BreakGlass, local_operator
from actors.emergency.local_socket import MAX_REQUEST, LocalAnswer, LocalRequest, read_line, socket_path
from actors.emergency.page import HEADERS, page
from actors.emergency.words import Said, said, said_of
from actors.requests import Principal
from actors.web.access import GRACE, database_is_away, principal_of
from wire.codec import decode, encode, unstructure
from wire.errors import Forbidden, InvalidField, NotFound, Unauthorized, WireError
from wire.plain import BadRequest, PlainConnection, PlainRequest, PlainResponse
from wire.rest.access import Role
from wire.schema import C, message
from wire.server import open_listeners, socket_of
from wire.tokens import USER

SERVED_SECONDS = 40.0
CODE_FILE = "emergency.code"
CODE_BYTES, CODE_LENGTH = 12, 8
BACKLOG = 256
FORM = "application/x-www-form-urlencoded"
log = logging.getLogger(__name__)


@message
class PageRequest:
    """``code``: as in ``emergency.code``; it may be in the header X-Emergency-Code as well."""

    reason: Annotated[str, C(max_length=500)] = ""
    code: Annotated[str, C(max_length=500)] | None = attrs.field(default=None, repr=False)


class EmergencyDoor:
    """Who may stop here: whoever can open the socket, knows the emergency code, or has an operator's token."""

    def __init__(self, glass: BreakGlass, code: str | None) -> None:
        self._glass = glass
        self._code = code
        self._at_socket, self._at_page = Crowd(), Crowd()

    # --- the local socket ---

    async def serve_local(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        path = socket_path(self._glass.services.settings.home)
        try:
            listener = _unix_listener(path)
        except OSError as error:
            log.error("no local socket at %s (%s): a stop left in the home folder is taken up instead", path, error)
            task_status.started()
            return
        try:
            await trio.serve_listeners(self._local, cast("Any", [listener]), task_status=task_status)
        finally:
            path.unlink(missing_ok=True)

    async def _local(self, stream: trio.SocketStream) -> None:
        with _no_other_harm(), self._guest(self._at_socket, "") as guest:
            try:
                request = decode(await read_line(stream, MAX_REQUEST), LocalRequest)
                _serve(self._at_socket, guest)
                answer = await self._glass.stop(request, local_operator(), guest.waiting)
            except WireError as error:
                answer = LocalAnswer(
                    recorded=False, words=f"{error.field}: {error.reason}" if error.field else error.reason
                )
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            guest.place.deadline = trio.current_time() + REQUEST_SECONDS
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(encode(answer, nulls=True).encode() + b"\n")

    # --- the page ---

    async def serve_page(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        settings = self._glass.services.settings
        if settings.emergency is None:
            task_status.started(None)
            return
        address, context = settings.emergency, None
        try:
            if settings.emergency_tls is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(settings.emergency_tls.certificate, settings.emergency_tls.key)
            listeners = await open_listeners(address.host, address.port, ssl_context=context)
        except OSError as error:
            log.warning("no emergency page: %s cannot be listened on (%s)", settings.emergency, error.strerror)
            task_status.started(None)
            return
        task_status.started(address.at(port_of(listeners[0])))
        await trio.serve_listeners(self._page, cast("Any", listeners))

    async def _page(self, stream: trio.abc.Stream) -> None:
        with _no_other_harm(), self._guest(self._at_page, _address(stream)) as guest:
            plain = PlainConnection(stream)
            try:
                head = await plain.head()
                if head is None:
                    return
                response = await self._respond(await plain.body(head), guest)
            except BadRequest as error:
                response = _refused(InvalidField("not a sound request", code="error_malformed"), error.status)
            except WireError as error:
                response = _refused(error)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            guest.place.deadline = trio.current_time() + REQUEST_SECONDS
            await plain.answer(response)

    async def _respond(self, request: PlainRequest, guest: Guest) -> PlainResponse:
        match request.method, request.path:
            case "GET", "/":
                return PlainResponse(status=200, body=page(), headers=HEADERS)
            case "GET", "/healthz":
                return PlainResponse.of_json(200, {"ok": True})
            case "POST", "/stop" if request.headers.get("content-type", "").startswith(FORM):
                return await self._by_form(request, guest)
            case "POST", "/stop":
                answer = await self._stop(request, decode(request.body or b"{}", PageRequest), guest)
                body = {**unstructure(answer, nulls=True), "said": said(answer).plain()}
                return PlainResponse.of_json(_status(answer), body)
        raise NotFound("there is only the page, and POST /stop")

    async def _by_form(self, request: PlainRequest, guest: Guest) -> PlainResponse:
        """From a browser that runs no script."""
        try:
            sent = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
            wanted = PageRequest(reason=sent.get("reason", "")[:500], code=sent.get("code", ""))
            wanted = decode(encode(wanted), PageRequest)  # without what no copy of the stop could hold
            answer = await self._stop(request, wanted, guest)
            return _document(_status(answer), said(answer))
        except WireError as error:
            return _document(PlainResponse.of_error(error).status, said_of(error))

    async def _stop(self, request: PlainRequest, wanted: PageRequest, guest: Guest) -> LocalAnswer:
        who = self._admit(request, wanted.code)
        _serve(self._at_page, guest)
        asked = LocalRequest(request_id=str(uuid.uuid4()), reason=wanted.reason)
        return await self._glass.stop(asked, who, guest.waiting)

    def _admit(self, request: PlainRequest, code: str | None) -> Principal:
        """Raises Unauthorized or Forbidden."""
        code = request.headers.get("x-emergency-code") if code is None else code.strip()
        if code is not None:
            if self._code is None or not secrets.compare_digest(code.encode("utf-8", "replace"), self._code.encode()):
                raise Unauthorized(
                    "that is not the emergency code: it is in the file emergency.code of the home folder"
                )
            return local_operator()
        if request.bearer is None:
            raise Unauthorized("the emergency code, or an operator's token, is needed")
        services = self._glass.services
        grace = GRACE if database_is_away(services) else 0
        claims = services.tokens.verify(request.bearer, USER, grace=grace)
        if services.denied.refuses(claims):
            raise Unauthorized("this session has ended")
        principal = principal_of(claims, origin="emergency page", degraded=grace > 0)
        if not principal.role.may(Role.OPERATOR):
            raise Forbidden("this needs the role operator")
        return principal

    @contextlib.contextmanager
    def _guest(self, crowd: Crowd, address: str) -> Iterator[Guest]:
        with trio.move_on_after(REQUEST_SECONDS) as place:
            guest = Guest(address, place)
            crowd.enter(guest)
            try:
                yield guest
            finally:
                crowd.leave(guest)


def emergency_code(home: Path) -> str | None:
    """Made at the first start, kept in the home folder, 0600. Blocking. One that is not whole is made anew.

    None: there is none, and none can be made; an operator's token opens the page all the same.
    """
    path = home / CODE_FILE
    try:
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
            code = path.read_text(encoding="ascii").strip()
            if len(code) >= CODE_LENGTH and code.isprintable():
                return code
        code, unfinished = secrets.token_urlsafe(CODE_BYTES), path.with_name(f".{path.name}.new")
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(code + "\n")
        unfinished.rename(path)
    except OSError as error:
        log.error("there is no emergency code: %s", error)
        return None
    return code


def _unix_listener(path: Path) -> trio.SocketListener:
    """Only the owner may connect. Its name appears when it listens already: nobody finds a door that is shut."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        raw.bind(str(unfinished))
    finally:
        os.umask(before)
    unfinished.chmod(0o600)
    raw.setblocking(False)
    raw.listen(BACKLOG)
    unfinished.rename(path)
    return trio.SocketListener(trio.socket.from_stdlib_socket(raw))


def port_of(listener: Any) -> int:
    plain: Any = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    return int(plain.socket.getsockname()[1])


@contextlib.contextmanager
def _no_other_harm() -> Iterator[None]:
    """What fails for one who asks closes no door to the next."""
    try:
        yield
    except Exception:
        log.exception("a request at an emergency door failed")


def _serve(crowd: Crowd, guest: Guest) -> None:
    crowd.serve(guest)
    guest.place.deadline = trio.current_time() + SERVED_SECONDS


def _address(stream: trio.abc.Stream) -> str:
    try:
        sock = socket_of(stream)
        return "" if sock is None else str(sock.getpeername()[0])
    except OSError:
        return ""


def _status(answer: LocalAnswer) -> int:
    return 200 if answer.recorded else 500


def _refused(error: WireError, status: int | None = None) -> PlainResponse:
    known = PlainResponse.of_error(error, status)
    body = {"error": error.code, "reason": error.reason, "said": said_of(error).plain()}
    return PlainResponse.of_json(known.status, body, known.headers)


def _document(status: int, words: Said) -> PlainResponse:
    return PlainResponse(status=status, body=page(words), headers=HEADERS)
