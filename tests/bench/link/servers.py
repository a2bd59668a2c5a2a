"""The processes under test: how each is started, asked what it used, and ended."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs
import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".bench"
REQUIREMENTS = HERE.parent / "requirements.txt"
WS_VERSION = "8.23.0"


@attrs.define(eq=False, kw_only=True)
class Server:
    name: str
    process: subprocess.Popen[bytes]
    http_port: int
    engine_port: int
    user: str = "none"
    tokens: dict[str, str] = attrs.field(factory=dict)
    is_product: bool = False
    home: Path | None = None
    latch: list[dict[str, object]] = attrs.field(factory=list)
    """The stops that its engines hold, as engines say in their hello."""
    _stops: int = 0

    def stop_body(self, request_id: str) -> bytes:
        """The product takes each stop for another symbol, so that every one of them is new to all engines."""
        if not self.is_product:
            return b"{}"
        self._stops += 1
        return json.dumps({"request_id": request_id, "scope": f"symbol:{self._stops:06}", "reason": "bench"}).encode()

    def cpu(self) -> float:
        """CPU seconds so far, those of its children (the database) included."""
        me = psutil.Process(self.process.pid)
        return sum(sum(p.cpu_times()[:2]) for p in (me, *me.children(recursive=True)))

    def main_cpu(self) -> float:
        return sum(psutil.Process(self.process.pid).cpu_times()[:2])

    def rss(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def settle(self) -> None:
        """Waits until it has nothing left to do."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(0.3)
            if self.cpu() - before < 0.1:
                return

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.home is not None:
            shutil.rmtree(self.home, ignore_errors=True)


def environment() -> Path:
    """The Python of the peers' own environment, made at first use."""
    venv = CACHE / "venv"
    ready = venv / ".ready"
    if not ready.exists() or ready.read_text() != REQUIREMENTS.read_text():
        print("installing the peers ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True, stderr=subprocess.DEVNULL)
        ready.write_text(REQUIREMENTS.read_text())
    return venv / "bin" / "python"


def node() -> Path | None:
    """The folder with `ws`, or None where there is no Node: said loudly."""
    if not (shutil.which("node") and shutil.which("npm")):
        print("!! no Node on PATH: the `ws` peer is SKIPPED", flush=True)
        return None
    folder = CACHE / "node"
    if not (folder / "node_modules" / "ws").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", f"ws@{WS_VERSION}"], cwd=folder, check=True, **quiet
        )  # type: ignore[call-overload]
    return folder


def start_peer(name: str, *command: str) -> Server:
    port = _free_port()
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    _wait_for(port, process)
    return Server(name=name, process=process, http_port=port, engine_port=port)


def start_product(name: str, *flags: str) -> Server:
    home = Path(tempfile.mkdtemp(prefix="wk-bench-"))
    home.chmod(0o700)
    command = [sys.executable, "-m", "tests.bench.link.product", str(home), *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{name} did not start")
    where = json.loads(line)
    return Server(
        name=name,
        process=process,
        http_port=where["http"],
        engine_port=where["engines"],
        user=where["user"],
        tokens=where["tokens"],
        is_product=True,
        home=home,
    )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"a peer does not listen on {port}")
