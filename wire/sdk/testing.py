"""A platform for the tests of an engine: the real listener and the real session, a memory instead of a database.

It runs in a thread of its own, on a free port::

    with PracticePlatform() as platform:
        credential = platform.credential(folder / "engine.json")
        ...                                   # start the engine with it
        platform.stop("s1", level=Level.FLATTEN)
        platform.phase("verified", "s1")      # waits for it

It commits everything at once, grants a lease to whoever is synced, and keeps what it was told in ``heard``.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import trio

from wire.messages import EmergencyStop, Heartbeat, Hello, ParameterUpdate, Release, StopProgress
from wire.parts import LeaseExpiry, Limits, Reduced
from wire.plain import PlainRequest, PlainResponse
from wire.server import EngineListener, open_listeners
from wire.session import CloseLink, Detached, Event, Offer, PlatformSession, Received, State
from wire.sockets import Link, LinkClosed
from wire.stops import Entry, Level, Register, Scope, StopRecord, StopSnapshot
from wire.tokens import Claims, TokenKeys
from wire.values import StopPhase

T = TypeVar("T")
_LOOK_EVERY = 0.1


class PracticePlatform:
    """One engine at a time. ``lease_ms``, ``expiry``, ``config``, ``token_lives`` (seconds) may change meanwhile."""

    def __init__(self, *, heartbeat_ms: int = 100, port: int = 0) -> None:
        self.lease_ms = 15_000
        self.expiry = LeaseExpiry()
        self.platform_id = "practice"
        self.token_lives = 900.0
        self.config: dict[str, Any] = {"config_version": 1, "account_id": "A1", "risk_limits": {}}
        self.config_version = 1
        self.hellos: list[Hello] = []
        self.heard: list[Any] = []
        self.port = port
        self._secret = secrets.token_hex(16)
        self._limits = Limits(heartbeat_ms=heartbeat_ms, offline_ms=15_000, ack_delay_ms=20)
        self._keys = TokenKeys(secrets.token_bytes(32))
        self._register = Register()
        self._session: PlatformSession | None = None
        self._detached: Detached | None = None
        self._socket: Link | None = None
        self._news = threading.Condition()
        self._wake = trio.Event()

    # --- its thread ---

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: trio.run(self._run, started), name="practice", daemon=True)
        self._thread.start()
        if not started.wait(60.0):
            raise RuntimeError("the practice platform did not start")
        return self

    def __exit__(self, *_error: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(10.0)

    async def _run(self, started: threading.Event) -> None:
        self._token = trio.lowlevel.current_trio_token()
        listener = EngineListener(authorize=self._authorize, handler=self._handle, http=self._http)
        listeners = await open_listeners("127.0.0.1", self.port)
        (first, *_) = listeners
        assert isinstance(first, trio.SocketListener)  # no TLS was asked for
        self.port = first.socket.getsockname()[1]
        with trio.CancelScope() as self._scope:
            started.set()
            await listener.serve(listeners)

    def _do(self, act: Callable[[], T]) -> T:
        return trio.from_thread.run_sync(act, trio_token=self._token)

    def _authorize(self, engine_id: str, token: str) -> Claims:
        return self._keys.verify(token, "engine")

    async def _http(self, request: PlainRequest) -> PlainResponse:
        await trio.lowlevel.checkpoint()
        if request.path == "/api/engine/config":
            return PlainResponse.of_json(200, self.config)
        body = json.loads(request.body)
        if body.get("secret") != self._secret:
            return PlainResponse.of_json(401, {"error": "error_unauthorized", "reason": "no such engine"})
        issued = self._keys.issue_engine(body["engine_id"])
        return PlainResponse.of_json(200, {"access_token": issued.token, "expires_in": issued.expires_in})

    async def _handle(self, socket: Link, engine_id: str, _claims: Claims) -> None:
        session = PlatformSession(engine_id, now=trio.current_time(), limits=self._limits)
        self._session, self._socket = session, socket
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, session, socket)
                while True:
                    for event in session.receive(await socket.receive(), trio.current_time()):
                        self._take(session, event)
                    self._wake.set()
        except* LinkClosed:
            pass
        finally:
            self._detached = session.detach() or self._detached
            if self._session is session:
                self._session = None
            self._tell(None)

    async def _write(self, session: PlatformSession, socket: Link) -> None:
        while True:
            self._wake = trio.Event()
            while frames := session.take(trio.current_time()):
                for frame in frames:
                    await socket.send(frame)
            with trio.move_on_after(0.1):
                await self._wake.wait()

    def _take(self, session: PlatformSession, event: Event) -> None:
        if isinstance(event, CloseLink):
            self._tell(event)  # the engine broke the protocol: a test looks for this
        if not isinstance(event, Received):
            return
        match event.message:
            case Hello() as hello:
                self._greet(session, hello)
            case Heartbeat() as beat:
                session.answer_heartbeat(beat, stop=self._snapshot(), lease_ms=self.lease_ms if beat.synced else 0)
        if event.seq is not None:
            session.committed(event.seq, trio.current_time())
        self._tell(event.message)

    def _tell(self, message: object) -> None:
        with self._news:
            if message is not None:
                self.heard.append(message)
            self._news.notify_all()

    def _greet(self, session: PlatformSession, hello: Hello) -> None:
        self.hellos.append(hello)
        for record in hello.stops:
            entry = Entry(record.scope, record.level, record.stop_epoch)
            self._register = self._register.with_stop(record.stop_id, entry)
        offer = Offer(
            session=f"s{len(self.hellos)}",
            epoch=len(self.hellos),
            platform_id=self.platform_id,
            term=1,
            stop=self._snapshot(),
            lease_ms=0,
            on_lease_expiry=self.expiry,
            token_expires=datetime.now(UTC) + timedelta(seconds=self.token_lives),
            config_version=self.config_version,
        )
        for event in session.welcome(offer, trio.current_time(), detached=self._detached):
            self._take(session, event)

    def _snapshot(self) -> StopSnapshot:
        effective = [
            StopRecord(stop_id=i, scope=e.scope, level=e.level, stop_epoch=e.stop_epoch)
            for i, e in self._register.open_stops()
        ]
        return StopSnapshot(epoch=self._register.epoch, effective=effective, released=self._register.released_ids())

    # --- what a test does with it ---

    def credential(self, path: Path, *, engine_id: str = "E1", account_id: str = "A1", **more: str) -> Path:
        """Writes the file that ``engines add`` would write."""
        plain = {
            "platform_url": f"http://127.0.0.1:{self.port}",
            "engine_id": engine_id,
            "account_id": account_id,
            "secret": self._secret,
            **more,
        }
        path.write_text(json.dumps(plain))
        path.chmod(0o600)
        return path

    def stop(self, stop_id: str, *, level: Level = Level.FLATTEN, scope: str = "all", timeout_ms: int = 30_000) -> None:
        """An operator's stop."""

        def act() -> None:
            epoch, covered = self._register.epoch + 1, Scope.parse(scope)
            self._register = self._register.with_stop(stop_id, Entry(covered, level, epoch))
            self._send(
                EmergencyStop(
                    stop_id=stop_id,
                    stop_epoch=epoch,
                    scope=covered,
                    level=level,
                    proof="",
                    timeout_ms=timeout_ms,
                    reason="practice",
                    user_id="tester",
                )
            )

        self._do(act)

    def release(self, *stop_ids: str, resume: bool = True, reduced: Reduced | None = None) -> None:
        def act() -> None:
            epoch = self._register.epoch + 1
            self._register = self._register.with_release(stop_ids, epoch)
            held = self._snapshot().effective
            self._send(Release(stop_ids=list(stop_ids), epoch=epoch, effective=held, resume=resume, reduced=reduced))

        self._do(act)

    def update(self, strategy_id: str, *, request_id: str, version: int, base: int = 0, **parameters: float) -> None:
        """A person changes parameters."""
        self._do(
            lambda: self._send(
                ParameterUpdate(
                    request_id=request_id,
                    strategy_id=strategy_id,
                    parameters=parameters,
                    version=version,
                    base_version=base,
                    stop_epoch=self._register.epoch,
                    expires_ms=10_000,
                )
            )
        )

    def send(self, message: Any) -> None:
        """Anything else that a platform may send."""
        self._do(lambda: self._send(message))

    def _send(self, message: Any) -> None:
        if self._session is not None:
            self._session.send(message)
            self._wake.set()

    def cut(self) -> None:
        """The connection breaks."""
        self._do(lambda: self._cut())

    def _cut(self) -> None:
        if self._socket is not None:
            trio.lowlevel.spawn_system_task(self._socket.close, 4000, "practice")

    @property
    def is_linked(self) -> bool:
        """Whether an engine has been welcomed."""
        session = self._session
        return session is not None and session.state is State.LIVE

    @property
    def unacked(self) -> int:
        """How many messages to the engine are not acknowledged yet, sent or not; 0 while none is linked."""
        session = self._session
        return 0 if session is None else session.outbox.waiting + session.outbox.unacked

    def until(self, holds: Callable[[], Any], *, within: float = 60.0) -> Any:
        """The first true value of ``holds``. Raises TimeoutError. An engine may pause for 30 s between two dials."""
        end = time.monotonic() + within
        with self._news:
            while not (value := holds()) and time.monotonic() < end:
                self._news.wait(_LOOK_EVERY)  # not everything that is waited for comes as a message
        if value:
            return value
        raise TimeoutError(f"not within {within:g} s; heard {[type(m).__name__ for m in self.heard[-20:]]}")

    def hears(self, kind: type[T], holds: Callable[[T], Any] = bool, *, since: int = 0, within: float = 60.0) -> T:
        """The first message of a kind, from number ``since`` on, for which ``holds``."""

        def found() -> list[T]:
            return [m for m in self.heard[since:] if isinstance(m, kind) and holds(m)]

        return self.until(found, within=within)[0]  # type: ignore[no-any-return]

    def phase(self, phase: StopPhase | str, stop_id: str, *, since: int = 0, within: float = 60.0) -> StopProgress:
        """Waits until the engine reports this phase of this stop."""
        wanted = StopPhase(phase)
        return self.hears(
            StopProgress, lambda m: m.stop_id == stop_id and m.phase is wanted, since=since, within=within
        )
