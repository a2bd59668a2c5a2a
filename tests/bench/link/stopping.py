"""The stop of a whole fleet, as its engines see it: who has it when, and when the last one has acknowledged.

The generator is one thread and takes part of what is measured, with every server the same: for each engine one
``recv`` of a small buffer, two searches in a short text, one template and one ``send``. What it needed itself until the
last acknowledgement is measured and told beside the times.
"""

import gc
import json
import select
import socket
import time

import attrs

from tests.bench.link import dialect
from tests.bench.link.load import Dashboard, Engine, Load, loaded
from tests.bench.link.servers import Server

SMALL = 4096
"""A stop is shorter than this; whatever else comes is read in pieces."""
PATIENCE = 20.0


@attrs.frozen(kw_only=True)
class StopTimes:
    """Seconds from the POST until the last engine had the stop, until the last one had acknowledged it, and until the
    POST was answered. ``own``: CPU seconds of the generator until the last acknowledgement; ``cpu``: of the server for
    a whole stop, all that it does afterwards included."""

    seen: list[float] = attrs.field(factory=list)
    acked: list[float] = attrs.field(factory=list)
    answered: list[float] = attrs.field(factory=list)
    own: list[float] = attrs.field(factory=list)
    cpu: list[float] = attrs.field(factory=list)


def stops(server: Server, run: str, engines: int, times: int, *, rate: int = 0, dashboards: int = 0) -> StopTimes:
    """``rate``: messages a second of the other engines' telemetry meanwhile."""
    out = StopTimes()
    with loaded(server, run) as load:
        load.add_dashboards(dashboards)
        load.add_engines(engines)
        server.settle()
        before = server.main_cpu()
        for n in range(times):
            time.sleep(0.05)
            load.keep_alive()
            _drain(load)
            case = _Stopping(server, load, rate)
            gc.disable()
            try:
                case.run(server.stop_body(f"{run}{n}"))
            finally:
                gc.enable()
            out.seen.append(case.seen - case.start)
            out.acked.append(case.acked - case.start)
            out.answered.append(case.answered - case.start)
            out.own.append(case.own)
        server.settle()
        out.cpu.append((server.main_cpu() - before) / times)
    return out


class _Stopping:
    """One stop. Everything that can be made before the POST is made before it."""

    def __init__(self, server: Server, load: Load, rate: int) -> None:
        self.start = self.seen = self.acked = self.answered = self.own = 0.0
        self._server = server
        self._load = load
        self._rate = rate
        self._waiting = {engine.sock.fileno(): engine for engine in load.engines}
        self._answers = {fd: dialect.StopAnswer(e.story, acks=server.is_product) for fd, e in self._waiting.items()}
        self._ends = b""

    def run(self, body: bytes) -> None:
        head = (
            "POST /api/engines/emergency-stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._server.user}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self._server.http_port)) as asker:
            asker.setblocking(False)
            self._load.poll.register(asker, select.EPOLLIN)
            own = time.thread_time()
            self.start = time.monotonic()
            asker.send(head.encode() + body)
            answer = self._until_answered(asker, own)
            self.answered = time.monotonic()
            self._load.poll.unregister(asker)
        if b" 200 " not in answer[:20] or self._waiting:
            raise RuntimeError(f"a stop failed: {answer[:300]!r}")

    def _until_answered(self, asker: socket.socket, own: float) -> bytes:
        poll, owners, asked = self._load.poll, self._load.by_fd, asker.fileno()
        timeout, sent = (0.001 if self._rate else 0.25), 0
        while time.monotonic() < self.start + PATIENCE:
            for fd, _ in poll.poll(timeout, 1024):
                if fd in self._waiting:
                    self._read(fd, self._waiting[fd])
                    if not self._waiting:
                        self.acked, self.own = time.monotonic(), time.thread_time() - own
                elif fd == asked:
                    return asker.recv(100_000)
                else:
                    _skip(owners[fd])
            while sent < (time.monotonic() - self.start) * self._rate:
                engine = self._load.engines[sent % len(self._load.engines)]
                engine.push(engine.story.next(1))
                sent += 1
        raise RuntimeError(f"no answer to a stop; {len(self._waiting)} engines have none")

    def _read(self, fd: int, engine: Engine) -> None:
        data = engine.sock.recv(SMALL)
        if engine.tail:
            data, engine.tail = engine.tail + data, b""
        at = data.rfind(dialect.STOP)
        if at < 0 or data[-1] != ord("}"):
            if not data or dialect.NACK in data:
                raise RuntimeError(f"{engine.name} was cut off or refused: {data[-300:]!r}")
            engine.tail = data[-SMALL:] if at >= 0 or data[-1] != ord("}") else b""
            return
        self.seen = time.monotonic()
        del self._waiting[fd]
        if not self._ends:
            stop = json.loads(data[data.rindex(b'{"type"', 0, at) :])
            self._ends = dialect.progress_of(stop["payload"])
            if self._server.is_product:
                self._server.latch.append(dialect.latched(stop["payload"]))
        seq = data.find(b'"seq":', at) + 6
        engine.push(self._answers[fd].frames(data[seq : data.find(b",", seq)], self._ends))


def _drain(load: Load) -> None:
    """Nothing that came before the POST is taken for its stop."""
    while events := load.poll.poll(0, 1024):
        for fd, _ in events:
            _skip(load.by_fd[fd])
    for engine in load.engines:
        engine.tail = b""


def _skip(owner: Engine | Dashboard) -> None:
    if isinstance(owner, Dashboard):
        owner.read()
    elif not (data := owner.sock.recv(SMALL)) or dialect.NACK in data:
        raise RuntimeError(f"{owner.name} was cut off or refused: {data[-300:]!r}")
