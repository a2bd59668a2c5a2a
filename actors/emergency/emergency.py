"""The ways to stop that need nothing else of the platform: the local socket and the emergency page.

They run in a thread of their own with a loop of their own. A stop is given to the main loop first; if that does not
take it within one second, it is written to the journal from here, every engine's socket is shut down, and the engines
halt by themselves when their leases end. When the main loop lives again it finds the stop and goes on with it.
"""

import contextlib
import functools
import logging
import os
import secrets
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import attrs
import trio

from actors.config import Address
from actors.emergency.local_socket import (
    LOCAL,
    LOCAL_USER,
    MAX_REQUEST,
    LocalAnswer,
    LocalRequest,
    noted_locally,
    read_line,
    socket_path,
)
from actors.emergency.page import HEADERS, PAGE
from actors.platform.services import Services
from actors.requests import COORDINATOR, Principal, Refusal, TakeStop
from actors.stops.copies import StopCopies
from actors.stops.shelf import StopShelf
from actors.web.access import GRACE, database_is_away, principal_of
from store.left_stops import collect, forget, leave
from supervisor.actor import Actor, handles
from supervisor.errors import SupervisorError
from supervisor.message import Request
from supervisor.reason import ExitReason
from wire.codec import decode, encode
from wire.errors import Forbidden, NotFound, Unauthorized, WireError
from wire.plain import BadRequest, PlainConnection, PlainRequest, PlainResponse
from wire.rest.access import Role
from wire.rest.stops import Stop, StopRequest, StopState
from wire.schema import C, message
from wire.server import open_listeners
from wire.stops import Level, Scope
from wire.tokens import USER

MAIN_LOOP_SECONDS = 1.0
REQUEST_SECONDS = 40.0
JOURNAL_SECONDS = 0.5
EPOCH_GAP = 1000
LEFT_SECONDS = 1.0
AGAIN_SECONDS = 1.0
CODE_FILE = "emergency.code"
CODE_BYTES, CODE_LENGTH = 12, 8
THREADS = 200
log = logging.getLogger(__name__)

FROZEN_WORDS = "recorded; engines halt by lease within 15 s"
NO_DRILL_WORDS = "the main loop of the platform does not answer: no drill was taken; a real stop works without it"


class EngineSockets:
    """The raw sockets of the engines, to be cut from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket | trio.socket.SocketType] = set()

    def add(self, sock: trio.socket.SocketType) -> None:
        with self._lock:
            self._sockets.add(sock)

    def discard(self, sock: trio.socket.SocketType) -> None:
        with self._lock:
            self._sockets.discard(sock)

    def shut_down(self) -> int:
        """How many were cut. The main loop sees them end when it lives again."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(sockets)


@attrs.frozen(kw_only=True, eq=False)
class BreakGlass:
    """What the thread may touch of the platform: nothing that waits for the main loop."""

    services: Services
    copies: StopCopies
    shelf: StopShelf
    sockets: EngineSockets
    main: trio.lowlevel.TrioToken
    threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS))

    async def stop(self, request: LocalRequest, who: Principal) -> LocalAnswer:
        taken = await self._by_main_loop(request, who)
        return taken if taken is not None else await self._by_hand(request, who)

    async def _by_main_loop(self, request: LocalRequest, who: Principal) -> LocalAnswer | None:
        """None when it was not taken in time. Once taken, it waits for the engines as long as the request says."""
        done: list[Stop | Refusal] = []
        take = functools.partial(self._take, request, who, done)
        ask = functools.partial(trio.from_thread.run, take, trio_token=self.main)
        with trio.move_on_after(MAIN_LOOP_SECONDS), contextlib.suppress(trio.RunFinishedError):
            await trio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=self.threads)
        if not done:
            return None
        answer = done[0]
        if isinstance(answer, Refusal):
            return LocalAnswer(recorded=False, words=answer.reason)
        return _told(await self._finished(answer, request.wait_s))

    async def _take(self, request: LocalRequest, who: Principal, done: list[Stop | Refusal]) -> None:
        """Runs in the main loop."""
        wanted = StopRequest(
            request_id=request.request_id,
            scope=request.scope,
            level=request.level,
            reason=request.reason,
            drill=request.drill,
        )
        asked = TakeStop(principal=who, request=wanted, cause=LOCAL)
        with contextlib.suppress(SupervisorError):
            done.append(await self.services.system.ref(COORDINATOR).ask(asked, timeout=60.0, urgent=True))

    async def _finished(self, stop: Stop, seconds: float) -> Stop:
        """The board is only read here, which needs no loop."""
        end = time.monotonic() + seconds
        shown = stop
        while time.monotonic() < end:
            shown = self.services.stops.get(stop.stop_id) or shown
            if shown.state is not StopState.RUNNING and shown.durable:
                break
            await trio.sleep(0.05)
        return shown

    async def _by_hand(self, request: LocalRequest, who: Principal) -> LocalAnswer:
        if request.drill:
            return LocalAnswer(recorded=False, words=NO_DRILL_WORDS)
        cut = self.sockets.shut_down()
        stop_id, level = self._raised(request.scope, request.level)
        wanted = attrs.evolve(cast("Any", request), level=level)
        try:
            await trio.to_thread.run_sync(self._write, wanted, stop_id, who, limiter=self.threads)
        except OSError as error:
            words = f"{cut} engines were cut off and halt by lease within 15 s; not recorded: {error.strerror}"
            return LocalAnswer(recorded=False, stop_id=stop_id, words=words)
        return LocalAnswer(recorded=True, durable=True, stop_id=stop_id, engines=cut, words=FROZEN_WORDS)

    def _raised(self, scope: Scope, level: Level) -> tuple[str, Level]:
        """The same scope is the same stop, as the main loop would have it; its level never falls."""
        known = [(s.stop_id, s.level) for s in tuple(self.shelf.decided_elsewhere) if s.scope == scope]
        for run in tuple(self.shelf.book.runs.values()):
            entry = self.shelf.book.register.entries.get(run.stop_id)
            if run.scope == scope and entry is not None and entry.is_open:
                known.append((run.stop_id, entry.level))
        if not known:
            return f"stop-{uuid.uuid4().hex[:20]}", level
        return known[0][0], max(level, *(found for _, found in known))

    async def take_up_left_stops(self) -> None:
        """Runs for ever. A stop that was left while this platform started, or did not answer, is taken up here."""
        home = self.services.settings.home
        taken: set[Path] = set()  # and cannot be forgotten
        while True:
            for path, left in await trio.to_thread.run_sync(collect, home, datetime.now(UTC)):
                request = LocalRequest(
                    request_id=left.request_id, scope=left.scope, level=left.level, reason=left.reason, wait_s=0.0
                )
                answer = None if path in taken else await self._by_main_loop(request, local_operator())
                if answer is None:
                    continue
                if not answer.recorded:
                    log.warning("a stop that was left stops nothing: %s", answer.words)
                try:
                    await trio.to_thread.run_sync(forget, path)
                except OSError as error:
                    taken.add(path)
                    log.warning("a stop that was left is taken, and its file stays: %s", error)
            await trio.sleep(LEFT_SECONDS)

    def _write(self, request: LocalRequest, stop_id: str, who: Principal) -> None:
        """Blocking. The journal, or if that does not answer either, a file of its own for the next start."""
        pending = max((s.stop_epoch for s in tuple(self.shelf.decided_elsewhere)), default=0)
        epoch = max(self.shelf.book.register.epoch + EPOCH_GAP, pending + 1)
        noted = noted_locally(request, stop_id=stop_id, epoch=epoch, user_id=who.user_id, username=who.username)
        self.shelf.decided_elsewhere.append(noted)
        if not self.copies.append_within(JOURNAL_SECONDS, [noted]):
            leave(self.services.settings.home, noted)


class WhereIsThePage(Request[Address | None]):
    """The address the emergency page is really served at; None: it is off, or its address is busy."""


class EmergencyThread(Actor):
    """Owns the thread. A page whose address is busy is a warning: the local socket is there all the same."""

    def __init__(self, services: Services, copies: StopCopies, shelf: StopShelf, sockets: EngineSockets) -> None:
        self._services = services
        self._copies = copies
        self._shelf = shelf
        self._sockets = sockets
        self._listening = threading.Event()
        self._ended = threading.Event()
        self._ending = threading.Event()
        self._cancel: Callable[[], object] = lambda: None
        self._page_at: Address | None = None

    async def started(self) -> None:
        glass = BreakGlass(
            services=self._services,
            copies=self._copies,
            shelf=self._shelf,
            sockets=self._sockets,
            main=trio.lowlevel.current_trio_token(),
        )
        threading.Thread(target=self._run, args=(glass,), name="emergency", daemon=True).start()
        await trio.to_thread.run_sync(self._listening.wait, 5.0)

    @handles(WhereIsThePage)
    async def on_where(self, _msg: WhereIsThePage) -> Address | None:
        return self._page_at

    async def stopped(self, reason: ExitReason) -> None:
        self._ending.set()
        self._cancel()
        await trio.to_thread.run_sync(self._ended.wait, 2.0)

    def _run(self, glass: BreakGlass) -> None:
        """Nobody else opens these doors: whatever fails here begins anew."""
        try:
            while not self._ending.is_set():
                try:
                    trio.run(self._serve, glass)
                except Exception:
                    log.exception("the emergency thread failed: it begins anew")
                    self._listening.set()
                    self._ending.wait(AGAIN_SECONDS)
        finally:
            self._listening.set()
            self._ended.set()

    async def _serve(self, glass: BreakGlass) -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._cancel = lambda: _soon(token, nursery.cancel_scope.cancel)
            if self._ending.is_set():
                return
            door = EmergencyDoor(glass, await trio.to_thread.run_sync(emergency_code, glass.services.settings.home))
            await nursery.start(door.serve_local)
            self._page_at = await nursery.start(door.serve_page)
            self._listening.set()
            await glass.take_up_left_stops()


class EmergencyDoor:
    """Who may stop here: whoever can open the socket, knows the emergency code, or has an operator's token."""

    def __init__(self, glass: BreakGlass, code: str | None) -> None:
        self._glass = glass
        self._code = code

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
        with _no_other_harm(), trio.move_on_after(REQUEST_SECONDS):
            try:
                request = decode(await read_line(stream, MAX_REQUEST), LocalRequest)
                answer = await self._glass.stop(request, local_operator())
            except WireError as error:
                answer = LocalAnswer(
                    recorded=False, words=f"{error.field}: {error.reason}" if error.field else error.reason
                )
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(encode(answer, nulls=True).encode() + b"\n")

    # --- the page ---

    async def serve_page(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        settings = self._glass.services.settings
        if settings.emergency is None:
            task_status.started(None)
            return
        context = None
        if settings.emergency_tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(settings.emergency_tls.certificate, settings.emergency_tls.key)
        try:
            address = settings.emergency
            listeners = await open_listeners(address.host, address.port, ssl_context=context)
        except OSError as error:
            log.warning("no emergency page: %s cannot be listened on (%s)", settings.emergency, error.strerror)
            task_status.started(None)
            return
        task_status.started(address.at(port_of(listeners[0])))
        await trio.serve_listeners(self._page, cast("Any", listeners))

    async def _page(self, stream: trio.abc.Stream) -> None:
        with _no_other_harm(), trio.move_on_after(REQUEST_SECONDS):
            plain = PlainConnection(stream)
            try:
                head = await plain.head()
                if head is None:
                    return
                response = await self._respond(await plain.body(head))
            except BadRequest as error:
                response = _json(error.status, {"error": "error_malformed", "reason": "not a sound request"})
            except WireError as error:
                response = PlainResponse.of_error(error)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await plain.answer(response)
        await trio.aclose_forcefully(stream)

    async def _respond(self, request: PlainRequest) -> PlainResponse:
        match request.method, request.path:
            case "GET", "/":
                return PlainResponse(status=200, body=PAGE.encode(), headers=HEADERS)
            case "GET", "/healthz":
                return _json(200, {"ok": True})
            case "POST", "/stop":
                who = self._admit(request)
                wanted = decode(request.body or b"{}", PageRequest)
                asked = LocalRequest(request_id=str(uuid.uuid4()), reason=wanted.reason)
                answer = await self._glass.stop(asked, who)
                return PlainResponse(
                    status=200 if answer.recorded else 500,
                    body=encode(answer, nulls=True).encode(),
                    headers={"content-type": "application/json"},
                )
        raise NotFound("there is only the page, and POST /stop")

    def _admit(self, request: PlainRequest) -> Principal:
        """Raises Unauthorized or Forbidden."""
        code = request.headers.get("x-emergency-code")
        if code is not None:
            if self._code is None or not secrets.compare_digest(code.encode(), self._code.encode()):
                raise Unauthorized("that is not the emergency code")
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


@message
class PageRequest:
    reason: Annotated[str, C(max_length=500)] = ""


def local_operator() -> Principal:
    """Whoever can read the home folder of the platform."""
    return Principal(
        user_id=LOCAL_USER, username=LOCAL_USER, role=Role.OPERATOR, auth_time=datetime.now(UTC), origin="local"
    )


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
    raw.listen(16)
    unfinished.rename(path)
    return trio.SocketListener(trio.socket.from_stdlib_socket(raw))


def _told(stop: Stop) -> LocalAnswer:
    words = f"{stop.scope} {stop.level.value}: {stop.state.value}, {stop.delivered} of {stop.engines} engines have it"
    return LocalAnswer(
        recorded=True,
        words=words,
        stop_id=stop.stop_id,
        state=stop.state,
        delivered=stop.delivered,
        engines=stop.engines,
        durable=stop.durable,
        stop=stop,
    )


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


def _soon(token: trio.lowlevel.TrioToken, action: Callable[[], object]) -> None:
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(action)


def _json(status: int, value: object) -> PlainResponse:
    return PlainResponse.of_json(status, value)
