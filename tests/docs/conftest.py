"""A demo of its own for the tutorial: the real command in a new home, on free ports."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class Demo:
    """`watchkeeper demo`, started and killed as the reader of a page does it. ``said`` is what its terminal shows."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = "Tutorial-" + secrets.token_urlsafe(12)
        self.environment = {
            **os.environ,
            "WATCHKEEPER_HOME": str(folder / "home"),
            "WATCHKEEPER_HTTP": f"127.0.0.1:{self.port}",
            "WATCHKEEPER_ENGINES": f"127.0.0.1:{free_port()}",
            "WATCHKEEPER_EMERGENCY": "off",
            "WATCHKEEPER_ADMIN_PASSWORD": self.password,
            "WATCHKEEPER_PASSWORD": self.password,
        }
        self.environment.pop("WATCHKEEPER_DATABASE_URL", None)
        self._terminal = folder / "terminal"
        self._seen = 0
        self._process = None

    def start(self):
        self._seen = self._terminal.stat().st_size if self._terminal.exists() else 0
        with self._terminal.open("ab") as terminal:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "actors", "demo"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
            )
        end = time.monotonic() + 180
        while not ("Ctrl-C" in self.said() and self._is_ready()):
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < end, f"the demo is not ready:\n{self.said()}"
            time.sleep(0.25)

    def said(self):
        """Since the last start."""
        with self._terminal.open("rb") as terminal:
            terminal.seek(self._seen)
            return terminal.read().decode(errors="replace")

    def _is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        self._process.kill()
        self._process.wait(60)

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)


@pytest.fixture
def demo():
    # Not pytest's tmp_path: as root, PostgreSQL runs as another account, which cannot enter pytest's private folders.
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-tutorial-"))
    folder.chmod(0o755)
    demo = Demo(folder)
    try:
        yield demo
    finally:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                demo.stop()
        finally:
            if demo._process is not None and demo._process.poll() is None:
                demo.kill()
            shutil.rmtree(folder, ignore_errors=True)
