"""Takes the pictures of the documentation: `python tools/pictures.py` starts a demo in a temporary home, drives a real
browser through it and writes docs/pictures/*.png. It needs Chromium (WATCHKEEPER_CHROMIUM) and playwright.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1440, 900
SEED = "7"
TRADING_SECONDS = 40.0
"""How long the engines trade before the first picture, so that the screens show a working day."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def chromium() -> str:
    names = (os.environ.get("WATCHKEEPER_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    for name in filter(None, names):
        if found := shutil.which(name):
            return found
    raise SystemExit("no Chromium here: set WATCHKEEPER_CHROMIUM to its path")


@contextlib.contextmanager
def demo(password: str) -> Iterator[str]:
    """The address of a demo that trades, in a home that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-pictures-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another account, which has to pass here
    http = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "WATCHKEEPER_HOME": str(folder / "home"),
        "WATCHKEEPER_HTTP": http,
        "WATCHKEEPER_ENGINES": f"127.0.0.1:{free_port()}",
        "WATCHKEEPER_EMERGENCY": "off",
        "WATCHKEEPER_ADMIN_PASSWORD": password,
    }
    environment.pop("WATCHKEEPER_DATABASE_URL", None)
    command = [sys.executable, "-m", "actors", "demo", "--seed", SEED]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://{http}/readyz", process)
        yield f"http://{http}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.25)
    raise SystemExit("the demo did not become ready")


def take(page: Any, name: str) -> None:
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB")


def sign_in(page: Any, url: str, password: str) -> None:
    page.goto(url)
    page.get_by_test_id("login-username").fill("admin")
    page.get_by_test_id("login-password").fill(password)
    page.get_by_test_id("login-submit").click()
    page.get_by_test_id("engine-card-charlie").wait_for()
    page.get_by_test_id("language-toggle").click()


def change_a_parameter(page: Any) -> None:
    """So that the history has something to show."""
    page.get_by_test_id("nav-strategies").click()
    page.get_by_test_id("strategy-row-alpha-ma").click()
    page.get_by_test_id("parameter-takeProfitPercent").fill("1.5")
    page.get_by_test_id("strategy-apply").click()
    page.get_by_test_id("apply-confirm").click()
    page.get_by_test_id("history-row-2").wait_for()


def rounds(page: Any) -> None:
    """Every page in the order in which a working day meets them."""
    change_a_parameter(page)
    page.mouse.move(720, 890)
    page.wait_for_timeout(6_000)  # until the notice of success is gone
    take(page, "strategies")
    page.get_by_test_id("nav-settings").click()
    page.get_by_test_id("settings-form").wait_for()
    take(page, "settings")
    page.get_by_test_id("nav-terminal").click()
    page.get_by_test_id("terminal-row").first.wait_for()
    page.wait_for_timeout(2_000)
    take(page, "terminal")
    page.get_by_test_id("nav-overview").click()
    page.mouse.move(720, 890)
    page.wait_for_timeout(2_000)
    take(page, "overview")
    page.get_by_test_id("stop-open").click()
    page.get_by_test_id("stop-reason").fill("end of the drill")
    page.wait_for_timeout(1_000)
    take(page, "stop-dialog")
    page.get_by_test_id("stop-confirm").click()
    page.get_by_test_id("stop-board").wait_for()
    page.wait_for_function("document.querySelectorAll('[data-testid^=stop-phase-]').length === 3")
    page.wait_for_timeout(8_000)
    page.get_by_test_id("stop-timeline").click()
    page.mouse.move(720, 890)
    take(page, "stop-console")


def main() -> None:
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    password = "Pictures-" + secrets.token_urlsafe(12)
    with demo(password) as url, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium())
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, timezone_id="Asia/Seoul", reduced_motion="reduce"
        )
        page = context.new_page()
        sign_in(page, url, password)
        page.wait_for_timeout(TRADING_SECONDS * 1000)
        rounds(page)
        browser.close()


if __name__ == "__main__":
    main()
