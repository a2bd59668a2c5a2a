"""The faults: each is prepared once, made before every measured stop and healed after it.

A fault says what it promises: ``goal`` is the longest time in seconds from the POST to the last closed gate, and
the class says why where that is not the common second.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.faults.arena import Arena, child, until

SECOND = 1.0
LEASE = 15.0 + SECOND


class Unavailable(Exception):
    """This machine cannot make the fault: it is skipped, loudly."""


class Fault:
    """Nothing happens: the idle desk."""

    goal = SECOND
    kills_platform = False
    waits_for_answer = False
    kills_engines = 0
    by_local_socket = False

    def __init__(self, arena: Arena, rng: random.Random) -> None:
        self.arena, self.rng = arena, rng

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Around all rounds."""
        yield

    @contextmanager
    def made(self) -> Iterator[None]:
        """Around one measurement; healed when it returns."""
        yield


class DatabaseFrozen(Fault):
    """SIGSTOP to PostgreSQL with all its children, up to four seconds before the stop: calls already hang, or will."""

    @contextmanager
    def made(self) -> Iterator[None]:
        self.arena.freeze_database()
        try:
            time.sleep(self.rng.uniform(0, 4))
            yield
        finally:
            self.arena.thaw_database()


class DatabaseKilled(Fault):
    """SIGKILL to PostgreSQL with all its children, at most half a second before the stop."""

    @contextmanager
    def made(self) -> Iterator[None]:
        self.arena.kill_database()
        try:
            time.sleep(self.rng.uniform(0, 0.5))
            yield
        finally:
            self.arena.start_database()


class Disk(Fault):
    """What the platform's system calls answer, changed by strace while it runs."""

    injections: tuple[str, ...] = ()

    @contextmanager
    def made(self) -> Iterator[None]:
        pid = self.arena.platform_pid
        said = self.arena.folder / "strace.said"
        calls = [argument for injection in self.injections for argument in ("-e", f"inject={injection}")]
        names = sorted({name for injection in self.injections for name in injection.split(":")[0].split(",")})
        with said.open("wb") as output:
            tracer = subprocess.Popen(
                ["strace", "-f", "-p", str(pid), "-e", "trace=" + ",".join(names), *calls, "-o", "/dev/null"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            until(lambda: "attached" in said.read_text() or tracer.poll() is not None, "strace is attached", 20)
            if tracer.poll() is not None:
                raise Unavailable(f"strace cannot attach here: {said.read_text()[-200:]}")
            yield
        finally:
            with suppress(ProcessLookupError):
                tracer.send_signal(signal.SIGINT)
            tracer.wait(20)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        try:
            subprocess.run(["strace", "-V"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable("there is no strace") from error
        yield


class Traced(Disk):
    """The control: strace looks at the same calls and changes nothing. It alone makes every system call slow."""

    injections = ("fdatasync,fsync:delay_enter=0",)


class JournalEIO(Disk):
    """Every sync of the platform fails: journal, audit checkpoints, folders."""

    injections = ("fdatasync,fsync:error=EIO",)


class JournalENOSPC(Disk):
    """The disk is full: syncs fail, and no new file can be begun."""

    injections = ("fdatasync,fsync,ftruncate,rename:error=ENOSPC",)


class JournalSlow(Disk):
    """Every sync takes two seconds longer."""

    injections = ("fdatasync,fsync:delay_enter=2000000",)


class LoginStorm(Fault):
    """Sixteen clients guess passwords of unknown names from ever new addresses: argon2 without end."""

    nuisances: tuple[str, ...] = ("login-storm",)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The storm goes on over all rounds: also while the stops before are released."""
        arena = self.arena
        with ExitStack() as running:
            for number, kind in enumerate(self.nuisances):
                places = {"http": arena.http, "links": arena.links, "token": arena.signed_in(arena.admin)}
                if kind in ("telemetry", "tiny-frames"):
                    places |= self._stranger(f"{kind}-{number}-{self.rng.randrange(10**6)}")
                environment = {"NUISANCE": json.dumps(places)}
                running.enter_context(child(arena, kind, "tests.faults.nuisances", kind, **environment))
            time.sleep(3)
            yield

    def _stranger(self, name: str) -> dict[str, str]:
        """An engine of its own that will not obey; stops of the rounds name the others one by one."""
        body = {"name": name, "engine_id": name, "account_id": f"kis-{name}"}
        answer = self.arena.ask("POST", "/api/engines", body)
        assert answer.status == 201, answer
        self.arena.strangers.append(name)
        return {"engine": name, "secret": answer.body["secret"]}


class FloodingEngine(LoginStorm):
    """An engine that tells valid trade logs as fast as the platform takes them."""

    nuisances = ("telemetry",)


class TinyFrames(LoginStorm):
    """An engine that sends frames of one byte at full speed, and dials again whenever it is put out."""

    nuisances = ("tiny-frames",)


class StalledDashboards(LoginStorm):
    """Forty dashboards that follow everything and never read."""

    nuisances = ("stalled-dashboards",)


class PlatformKilledAnswered(Fault):
    """kill -9 of the platform 0 to 50 ms after it answered, and it is started again at once. What was acknowledged is
    there after it, and the engines had been told before."""

    kills_platform = True
    waits_for_answer = True


class PlatformKilled(PlatformKilledAnswered):
    """The same 0 to 50 ms after the POST was begun: it may not have been heard. A stop that got no answer is asked for
    again. Engines that were not told stop by their lease at the latest, unless the new platform renews it before it
    hears of the stop: then within a second of that."""

    goal = LEASE
    waits_for_answer = False


class EnginesKilled(Fault):
    """kill -9 of three engines 0 to 50 ms after the POST was begun; they are started again at once."""

    kills_engines = 3


class Debugged(Fault):
    """The platform's main thread is stopped as by a debugger, and the stop comes by the local socket. The emergency
    thread writes it down and cuts every link; the engines stop by their lease."""

    goal = LEASE
    by_local_socket = True

    @contextmanager
    def made(self) -> Iterator[None]:
        with frozen_main_thread(self.arena.platform_pid):
            yield


@contextmanager
def frozen_main_thread(pid: int) -> Iterator[None]:
    """Stops the main thread while it waits for events: there it holds no lock of the interpreter."""
    seize, interrupt, detach, wall = 0x4206, 0x4207, 17, 0x40000000
    waiting = {"x86_64": ("232", "281"), "aarch64": ("22",)}.get(os.uname().machine, ())
    ptrace = ctypes.CDLL(None).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    if ptrace(seize, pid, None, None) != 0:
        raise Unavailable("this system lets no process be traced")
    try:
        end = time.monotonic() + 5
        while waiting and time.monotonic() < end:
            if Path(f"/proc/{pid}/syscall").read_text().split()[0] in waiting:
                break
        ptrace(interrupt, pid, None, None)
        os.waitpid(pid, wall)
        yield
    finally:
        ptrace(detach, pid, None, None)


FAULTS: dict[str, type[Fault]] = {
    "idle": Fault,
    "database frozen": DatabaseFrozen,
    "database killed": DatabaseKilled,
    "traced only": Traced,
    "journal EIO": JournalEIO,
    "journal ENOSPC": JournalENOSPC,
    "journal syncs 2 s": JournalSlow,
    "login storm": LoginStorm,
    "flooding engine": FloodingEngine,
    "tiny frames": TinyFrames,
    "stalled dashboards": StalledDashboards,
    "engines killed": EnginesKilled,
    "platform killed, answered": PlatformKilledAnswered,
    "platform killed": PlatformKilled,
    "main thread stopped": Debugged,
}
