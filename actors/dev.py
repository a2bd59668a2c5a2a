"""``make dev``: the demo, started again when a Python or SQL file changes, beside the dashboard's development server.

Arguments go to ``watchkeeper demo``. What the demo keeps in the home folder survives its restarts, stops included.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
WATCHED = ("supervisor", "wire", "store", "actors")
SUFFIXES = frozenset({".py", ".sql"})
PERIOD = 0.5
PATIENCE = 15.0
UI_ADDRESS = "http://127.0.0.1:5173"


def snapshot(root: Path = ROOT) -> Mapping[Path, int]:
    """Every watched file and when it was last written."""
    return {path: changed for folder in WATCHED for path, changed in _files(root / folder)}


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        if path.suffix in SUFFIXES:
            with contextlib.suppress(FileNotFoundError):  # an editor that saves by renaming
                yield path, path.stat().st_mtime_ns


class Child:
    """A process that is ended with this one, and started again on demand."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "actors.demo.tether", *command]
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._environment)

    def end(self) -> None:
        """SIGTERM, and SIGKILL when that is not obeyed in time."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


def _dashboard() -> Child | None:
    """The dashboard's own server with hot reload; None where there is no Node or its packages are not installed."""
    node, ui = shutil.which("node"), ROOT / "ui"
    vite = ui / "node_modules" / "vite" / "bin" / "vite.js"  # not through npm, which leaves it behind when it is ended
    if node is None or not vite.is_file():
        print("dev: no node or no ui/node_modules: the built dashboard is served (cd ui && npm ci)", flush=True)
        return None
    print(f"dev: the dashboard with hot reload is at {UI_ADDRESS}", flush=True)
    return Child([node, str(vite)], ui, {})


def main(arguments: list[str]) -> int:
    """Until Ctrl-C."""
    origins = ",".join(filter(None, (os.environ.get("WATCHKEEPER_ORIGINS"), UI_ADDRESS, "http://localhost:5173")))
    demo = Child([sys.executable, "-m", "actors", "demo", *arguments], Path.cwd(), {"WATCHKEEPER_ORIGINS": origins})
    dashboard = _dashboard()
    try:
        if dashboard is not None:
            dashboard.start()
        demo.start()
        _watch(demo)
    except KeyboardInterrupt:
        print("dev: stopping", flush=True)
    finally:
        demo.end()
        if dashboard is not None:
            dashboard.end()
    return 0


def _watch(demo: Child) -> None:
    seen, told = snapshot(), False
    while True:
        time.sleep(PERIOD)
        if demo.has_ended() and not told:
            print("dev: the demo ended; it starts again when a file changes", flush=True)
            told = True
        now = snapshot()
        if now == seen:
            continue
        changed = sorted(str(p.relative_to(ROOT)) for p in now.keys() | seen.keys() if now.get(p) != seen.get(p))
        print(f"dev: {', '.join(changed[:3])} changed, starting again", flush=True)
        seen, told = now, False
        demo.end()
        demo.start()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
