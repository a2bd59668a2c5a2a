"""A private PostgreSQL in the home folder, whose life is tied to this process.

``EmbeddedPostgres(home).start()`` makes the cluster at the first start, brings the server up and returns its DSN. It
blocks, and must be called on the thread that lives as long as the program (trio's own): on Linux the server is told to
quit when the *thread* that forked it ends, however the process dies.

What keeps the data: a cluster is made beside its place and renamed last; a data folder without its ``meta.json`` is
refused and never touched; a stale ``postmaster.pid`` is told from a live one by the process's working directory, never
by its number alone; one owner at a time holds the file lock. A second process of the same home shares the server.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import quote

import attrs
import psutil
import trio

from store.embedded_bins import Account, account_for, find_bins, reachable_bins, setpriv
from store.errors import EmbeddedError

USER = "watchkeeper"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "huge_pages": "off",
    "jit": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is 64 MB in containers
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",  # DETAIL lines quote rows, and rows may hold what must not be in a log
    "log_min_error_statement": "panic",  # statements quote values
    "log_timezone": "UTC",
    "timezone": "UTC",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
_LONGEST_LOG = 4 * 1024 * 1024
_START_SECONDS = 300.0  # a long crash recovery is still a start
_FAST_SECONDS, _IMMEDIATE_SECONDS, _KILL_SECONDS = 20.0, 10.0, 10.0
_WATCH_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class _Meta:
    """What the home remembers of its cluster (``pg/meta.json``, 0600)."""

    password: str = attrs.field(repr=False)
    socket_folder: str


class EmbeddedPostgres:
    """The embedded server of one home folder. ``start`` and ``stop`` block; both may be called again afterwards."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).absolute()
        self.root = self.home / "pg"
        self.data = self.root / "data"
        self._lock: IO[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._account: Account | None = None

    @property
    def log_path(self) -> Path:
        return self.root / "log"

    @property
    def pid(self) -> int | None:
        """The server's process, when this process owns it and it runs."""
        return self._server.pid if self._server is not None and self._server.poll() is None else None

    def start(self, patience: float = _START_SECONDS) -> str:
        """Returns the DSN. Raises EmbeddedError, one line, when PostgreSQL cannot run here."""
        try:
            self._make_root()
            if not self._take_lock():
                return self._share(patience)
            return self._own(patience)
        except OSError as error:
            self.stop()
            where = f" ({error.filename})" if error.filename else ""
            raise EmbeddedError(f"the embedded PostgreSQL cannot start: {error.strerror}{where}") from error
        except EmbeddedError:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server if this process owns it: fast, then immediate, then by force. Never raises for a dead one.

        A fast stop that arrives during crash recovery can hang for ever, so it has a limit; what an immediate stop
        leaves behind, the next start recovers.
        """
        if self._server is not None:
            server, self._server = self._server, None
            steps = ((signal.SIGINT, _FAST_SECONDS), (signal.SIGQUIT, _IMMEDIATE_SECONDS), (signal.SIGKILL, None))
            for number, seconds in steps:
                server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(seconds)
                    break
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def keep(self) -> None:
        """Runs for ever: brings the server up again when it has died (killed, or its disk was full).

        What waits does so in threads; the launch itself stays on this one.
        """
        pause = _WATCH_SECONDS
        while True:
            await trio.sleep(pause)
            if self._lock is None or self.pid is not None:
                pause = _WATCH_SECONDS
                continue
            log.warning("the embedded PostgreSQL has ended; starting it again")
            try:
                bins, meta = await trio.to_thread.run_sync(self._prepare, abandon_on_cancel=True)
                self._launch(bins, Path(meta.socket_folder))
                await trio.to_thread.run_sync(self._await_ready, _START_SECONDS, abandon_on_cancel=True)
            except (EmbeddedError, OSError) as error:
                log.error("the embedded PostgreSQL cannot start again: %s", error)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    # --- owner or guest -----------------------------------------------------------------------------------------

    def _make_root(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.mkdir(exist_ok=True, mode=0o700)
        self._account = account_for(self.root)
        if self._account is None and self.root.stat().st_uid != os.geteuid():
            raise EmbeddedError(f"{self.root} belongs to another user: start as that user, or choose another home")

    def _take_lock(self) -> bool:
        self._lock = (self.root / "owner.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            return False
        return True

    def _share(self, patience: float) -> str:
        """Another process of this home owns the server: only use it."""
        reached = _wait(patience, lambda: (meta := self._read_meta()) is not None and _accepts(_socket_of(meta)))
        meta = self._read_meta()
        if not reached or meta is None:
            raise EmbeddedError(f"the process that owns {self.root} did not bring PostgreSQL up; see {self.log_path}")
        return self._dsn(meta)

    def _own(self, patience: float) -> str:
        bins, meta = self._prepare()
        self._launch(bins, Path(meta.socket_folder))
        self._await_ready(patience)
        return self._dsn(meta)

    def _prepare(self) -> tuple[Path, _Meta]:
        """Everything before the launch, for any thread."""
        bins = reachable_bins(find_bins(self._data_version()), self._account, self.root)
        meta = self._cluster(bins)
        self._end_leftovers()
        return bins, meta

    # --- the cluster --------------------------------------------------------------------------------------------

    def _data_version(self) -> int | None:
        version = self.data / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def _cluster(self, bins: Path) -> _Meta:
        """The cluster's meta data, making the cluster when there is none yet."""
        meta = self._read_meta()
        if self.data.exists():
            if meta is None:
                raise EmbeddedError(
                    f"{self.data} exists but meta.json beside it is missing or damaged: nothing was touched; "
                    "restore that file, or move the folder away to begin with an empty database"
                )
            return self._with_socket(meta)
        meta = self._with_socket(_Meta(password=secrets.token_urlsafe(24), socket_folder=""))
        fresh = self.root / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of an initdb that was cut off
        self._initdb(bins, fresh, meta.password)
        fresh.rename(self.data)  # last: there is either a whole cluster or none
        return meta

    def _initdb(self, bins: Path, fresh: Path, password: str) -> None:
        password_file = self.root / "password"
        _write_private(password_file, password, self._account)
        options = ("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--data-checksums", f"--pwfile={password_file}")
        command = [str(bins / "initdb"), "-D", str(fresh), "-U", USER, *options]
        try:
            done = subprocess.run(
                self._as_account(command), cwd="/", capture_output=True, text=True, errors="replace", check=False
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {_last_line(done.stderr)} (or set WATCHKEEPER_DATABASE_URL)")

    def _read_meta(self) -> _Meta | None:
        try:
            told = json.loads((self.root / "meta.json").read_text())
            return _Meta(password=told["password"], socket_folder=told["socket_folder"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _with_socket(self, meta: _Meta) -> _Meta:
        """The same with a socket folder that is ours alone; a path too long for a socket moves to the temp folder."""
        folder = self.root / "s"
        if len(os.fsencode(folder / _SOCKET_NAME)) > _LONGEST_SOCKET_PATH:
            folder = Path(meta.socket_folder or _short_folder())
        if not self._make_private(folder):
            folder = Path(_short_folder())
            self._make_private(folder)
        if meta.socket_folder == str(folder):
            return meta
        meta = attrs.evolve(meta, socket_folder=str(folder))
        unfinished = self.root / "meta.tmp"
        _write_private(unfinished, json.dumps(attrs.asdict(meta)), None)
        unfinished.rename(self.root / "meta.json")
        return meta

    def _make_private(self, folder: Path) -> bool:
        """False when someone else's folder has that name."""
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = self._account.uid if self._account else os.geteuid()
        found = folder.lstat()
        if found.st_uid not in (owner, os.geteuid()) or folder.is_symlink():
            return False
        if self._account is not None:
            os.chown(folder, self._account.uid, self._account.gid)
        folder.chmod(0o700)
        return True

    # --- what an earlier owner left -----------------------------------------------------------------------------

    def _end_leftovers(self) -> None:
        """Ends a postmaster whose owner died hard, waits for its children, and removes pid files that lie."""
        for number, seconds in (
            (signal.SIGINT, _FAST_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SECONDS),
            (signal.SIGKILL, _KILL_SECONDS),
        ):
            if (postmaster := self._live_postmaster()) is None:
                break
            with contextlib.suppress(psutil.NoSuchProcess):
                postmaster.send_signal(number)
            _wait(seconds, lambda: self._live_postmaster() is None)
        _wait(_IMMEDIATE_SECONDS, lambda: not self._in_use())  # children of a killed postmaster leave by themselves
        if not self._in_use():
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            meta = self._read_meta()
            if meta is not None:
                _socket_of(meta).with_name(f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _live_postmaster(self) -> psutil.Process | None:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            process = psutil.Process(pid)
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None
        return process if self._works_here(process) else None

    def _in_use(self) -> bool:
        return any(self._works_here(process) for process in psutil.process_iter())

    def _works_here(self, process: psutil.Process) -> bool:
        """A process of this cluster has the data folder as its working directory, and is no zombie."""
        try:
            return process.status() != psutil.STATUS_ZOMBIE and os.path.samefile(process.cwd(), self.data)
        except psutil.AccessDenied:
            return self._looks_like_ours(process)
        except (psutil.Error, OSError):
            return False

    def _looks_like_ours(self, process: psutil.Process) -> bool:
        """In a container root may not read another account's working directory: go by the command line instead."""
        try:
            return str(self.data) in process.cmdline()
        except psutil.Error:
            return False

    # --- the server ---------------------------------------------------------------------------------------------

    def _launch(self, bins: Path, socket_folder: Path) -> None:
        settings = {**SETTINGS, "unix_socket_directories": str(socket_folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = self._as_account([str(bins / "postgres"), "-D", str(self.data), *options])
        if (program := setpriv()) is not None:
            # Inside the account's own setpriv: a change of user clears the parent-death signal.
            at = command.index(str(bins / "postgres"))
            command = [*command[:at], program, "--pdeathsig", "QUIT", "--", *command[at:]]
        if self.log_path.exists() and self.log_path.stat().st_size > _LONGEST_LOG:
            self.log_path.rename(self.log_path.with_name("log.old"))
        with self.log_path.open("ab") as output:
            self.log_path.chmod(0o600)
            self._server = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _as_account(self, command: list[str]) -> list[str]:
        return self._account.command(command) if self._account else command

    def _await_ready(self, patience: float) -> None:
        assert self._server is not None
        server = self._server
        _wait(patience, lambda: server.poll() is not None or self._status() == "ready")
        if server.poll() is not None:
            told = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
            raise EmbeddedError(
                f"PostgreSQL ended at its start: {_last_line(told)}; the whole story is in {self.log_path}"
            )
        if self._status() != "ready":
            raise EmbeddedError(
                f"PostgreSQL is not ready after {patience:.0f} s (crash recovery?); see {self.log_path}"
            )

    def _status(self) -> str:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip()
        except (OSError, IndexError):
            return ""

    def _dsn(self, meta: _Meta) -> str:
        return f"postgresql://{USER}:{meta.password}@/postgres?host={quote(meta.socket_folder, safe='/')}"


def _short_folder() -> str:
    return str(Path(tempfile.gettempdir()) / f"watchkeeper-{secrets.token_hex(8)}")


def _socket_of(meta: _Meta) -> Path:
    return Path(meta.socket_folder) / _SOCKET_NAME


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0


def _write_private(path: Path, text: str, owner: Account | None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)


def _last_line(text: str) -> str:
    """The line that says most: PostgreSQL's FATAL or error line, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no output"]
    telling = [line for line in lines[-20:] if "FATAL" in line or "error:" in line or "PANIC" in line]
    return (telling or lines)[-1][:300]


def _wait(seconds: float, reached: Callable[[], bool]) -> bool:
    """Polls from 5 ms up to 50 ms; True once ``reached`` holds, False when the time is over."""
    end, pause = time.monotonic() + seconds, 0.005
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)
    return True
