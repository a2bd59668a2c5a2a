"""The load: engines and dashboards on raw sockets in one thread. Times are seconds of the monotonic clock."""

import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import attrs

from tests.bench.link import dialect
from tests.bench.link.servers import Server

WINDOW = 256
"""How many messages of an engine may be unacknowledged, with every server."""
CHUNK = 256 * 1024
_BOOKMARK = re.compile(rb'"type":"bookmark".*?"n":(\d+)')


@attrs.define(eq=False)
class Engine:
    name: str
    sock: socket.socket
    story: dialect.Story
    acked: int = 0
    tail: bytes = b""
    unsent: bytes = b""
    broken: bool = False

    def push(self, data: bytes) -> None:
        self.unsent += data
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return
        self.unsent = self.unsent[sent:]

    def refill(self) -> None:
        """Fills the window again once a quarter of it is free, or what was left over did not fit."""
        if self.unsent:
            self.push(b"")
        room = WINDOW - (self.story.seq - self.acked)
        if room >= WINDOW // 4 and not self.unsent:
            self.push(self.story.next(room))

    def read(self) -> bytes:
        data = self.sock.recv(CHUNK)
        if not data or dialect.NACK in data:
            raise RuntimeError(f"{self.name} was cut off or refused: {data[-300:]!r}")
        text = self.tail + data
        for match in dialect.ACK_SEQ.finditer(text):
            self.acked = max(self.acked, int(match[1]))
        self.tail = text[-40:] if not text.endswith(b"}") else b""
        return text


@attrs.define(eq=False)
class Dashboard:
    sock: socket.socket
    speaks_bookmarks: bool
    lines: int = 0
    health: int = 0
    gaps: int = 0
    bytes: int = 0
    frames: int = 0
    latencies: list[float] = attrs.field(factory=list)
    stamped: bool = False
    _tail: bytes = b""

    def read(self) -> None:
        data = self.sock.recv(CHUNK)
        if not data:
            raise RuntimeError("a dashboard was cut off")
        now = time.monotonic_ns()
        text = self._tail + data
        kept = b""
        for marker, name in ((dialect.LINE, "lines"), (dialect.HEALTH, "health"), (dialect.GAP, "gaps")):
            setattr(self, name, getattr(self, name) + text.count(marker) - self._tail.count(marker))
        self.bytes += len(data)
        if self.stamped:
            end = 0
            for match in dialect.STAMP.finditer(text):
                end = match.end()
                self.latencies.append((now - int(match[1])) / 1e9)
            kept = text[max(end, len(text) - 24) :]
        else:
            kept = text[-16:]
        self._tail = kept
        if self.speaks_bookmarks and (match := _BOOKMARK.search(text)) is not None:
            self.sock.send(dialect.bookmark_ack(int(match[1])))


@attrs.frozen(kw_only=True)
class FanOut:
    """Rates per second; CPU seconds of the server per 100,000 messages taken in; ``busy``: of the generator."""

    ingested: float
    delivered: float
    lines: float
    gaps: int
    cpu: float
    server_busy: float
    busy: float


def _open(port: int, request: bytes, *, small: bool = False) -> socket.socket:
    sock = socket.socket()
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(20)
    sock.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"refused: {head!r} {sock.recv(500)!r}")
    return sock


class Load:
    """Connections to one server, all closed at the end of the block."""

    def __init__(self, server: Server, run: str) -> None:
        self.server = server
        self.run = run
        self.engines: list[Engine] = []
        self.dashboards: list[Dashboard] = []
        self.poll = select.epoll()
        self.by_fd: dict[int, Engine | Dashboard] = {}
        self._other: list[socket.socket] = []
        self._alive = time.monotonic()

    def add_engines(self, count: int) -> None:
        first = len(self.engines)
        for n in range(first, first + count):
            name = f"bench-{n:03}"
            token = self.server.tokens.get(name, "none")
            sock = _open(self.server.engine_port, dialect.upgrade(f"/ws/engine/{name}", dialect.ENGINE_PROTOCOL, token))
            engine = Engine(name, sock, dialect.Story(name, self.run))
            if self.server.is_product:
                sock.sendall(dialect.hello(name, self.server.latch))
                if b'"type":"welcome"' not in (answer := sock.recv(CHUNK)):
                    raise RuntimeError(f"{name} was not welcomed: {answer!r}")
            self.engines.append(engine)
            self._watch(sock, engine)
            self.keep_alive()

    def keep_alive(self) -> None:
        """Idle engines say something every few seconds, as the product's link asks for."""
        if self.server.is_product and time.monotonic() > self._alive + 4:
            for engine in self.engines:
                engine.push(dialect.sign_of_life(engine.name))
            self._alive = time.monotonic()

    def add_dashboards(self, count: int, *, stamped: bool = False) -> None:
        for _ in range(count):
            dashboard = Dashboard(self._dashboard(), self.server.is_product, stamped=stamped)
            self.dashboards.append(dashboard)
            self._watch(dashboard.sock, dashboard)

    def add_stalled(self) -> None:
        """A dashboard that never reads again."""
        self._other.append(self._dashboard(small=True))

    def _dashboard(self, *, small: bool = False) -> socket.socket:
        sock = _open(self.server.http_port, dialect.upgrade("/ws", dialect.UI_PROTOCOL, ""), small=small)
        if self.server.is_product:
            sock.sendall(dialect.ui_hello(self.server.user))
        return sock

    def _watch(self, sock: socket.socket, owner: Engine | Dashboard) -> None:
        sock.setblocking(False)
        self.poll.register(sock, select.EPOLLIN)
        self.by_fd[sock.fileno()] = owner

    def step(self, timeout: float, heard: Callable[[Engine, bytes], object]) -> None:
        for fd, _ in self.poll.poll(timeout):
            owner = self.by_fd[fd]
            if isinstance(owner, Dashboard):
                owner.read()
            else:
                heard(owner, owner.read())

    def close(self) -> None:
        """Engines say that they stop, so that nobody is alarmed."""
        for engine in self.engines if self.server.is_product else ():
            with suppress(OSError):
                engine.sock.send(dialect.goodbye(engine.name))
        for one in (*self.engines, *self.dashboards):
            one.sock.close()
        for sock in self._other:
            sock.close()
        self.poll.close()


@contextmanager
def loaded(server: Server, run: str) -> Iterator[Load]:
    load = Load(server, run)
    try:
        yield load
    finally:
        load.close()
        server.settle()


def fan_out(server: Server, run: str, dashboards: int, *, engines: int = 50, seconds: float = 2.5) -> FanOut:
    """As fast as the windows allow."""
    with loaded(server, run) as load:
        load.add_dashboards(dashboards)
        load.add_engines(engines)

        def go_on(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                load.step(0.05, lambda engine, _: engine.refill())
                for engine in load.engines:
                    if engine.unsent:
                        engine.refill()

        for engine in load.engines:
            engine.refill()
        _warm_up(load, go_on)
        acked = sum(e.acked for e in load.engines)
        lines, health = sum(d.lines for d in load.dashboards), sum(d.health for d in load.dashboards)
        gaps = sum(d.gaps for d in load.dashboards)
        cpu, own, start = server.cpu(), time.process_time(), time.monotonic()
        main_cpu = server.main_cpu()
        go_on(seconds)
        took = time.monotonic() - start
        taken = sum(e.acked for e in load.engines) - acked
        lines = sum(d.lines for d in load.dashboards) - lines
        health = sum(d.health for d in load.dashboards) - health
        return FanOut(
            ingested=taken / took,
            delivered=(lines + health) / took,
            lines=lines / took,
            gaps=sum(d.gaps for d in load.dashboards) - gaps,
            cpu=(server.cpu() - cpu) / max(1, taken) * 1e5,
            server_busy=(server.main_cpu() - main_cpu) / took,
            busy=(time.process_time() - own) / took,
        )


def _warm_up(load: Load, go_on: Callable[[float], None]) -> None:
    """Until every engine has had an acknowledgement and every dashboard a line, at most 10 s; then a second more."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        go_on(0.25)
        if all(e.acked for e in load.engines) and all(d.lines for d in load.dashboards):
            break
    go_on(1.0)


def latencies(server: Server, run: str, *, stalled: bool, rate: int = 1000, seconds: float = 4.0) -> list[float]:
    """Seconds from sending to seeing, on ten dashboards, at a fixed rate of 50 engines; beside a stalled one or not."""
    with loaded(server, run) as load:
        load.add_dashboards(10, stamped=True)
        if stalled:
            load.add_stalled()
        load.add_engines(50)
        start = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < start + seconds:
            while sent < (now - start) * rate:
                engine = load.engines[sent % len(load.engines)]
                engine.push(engine.story.next(1, time.monotonic_ns()))
                sent += 1
            load.step(0.001, lambda *_: None)
        return sorted(x for d in load.dashboards for x in d.latencies[len(d.latencies) // 5 :])


def idle_memory(server: Server, run: str, engines: int = 500) -> float:
    """Bytes a further idle engine connection costs the server."""
    with loaded(server, run) as load:
        load.add_engines(20)
        time.sleep(0.5)
        before = server.rss()
        load.add_engines(engines)
        time.sleep(1.0)
        return (server.rss() - before) / engines
