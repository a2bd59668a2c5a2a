"""An engine's process whose clock is wrong may open nothing: the platform sees it, says so, and holds it."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "sdk"
AHEAD = 20
LIBRARY = next(
    (str(p) for folder in ("/usr/lib", "/usr/local/lib") for p in Path(folder).glob("**/libfaketime.so.1")), None
)

# What the engine's link believes the time to be.
WRONG_CLOCK = f"""
import runpy, sys
from datetime import UTC, datetime, timedelta
from wire.engine_session import EngineSession
EngineSession.__init__.__kwdefaults__["clock"] = lambda: datetime.now(UTC) + timedelta(seconds={AHEAD})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

pytestmark = [pytest.mark.journey, pytest.mark.database, pytest.mark.deep]


def by_its_own_clock(bot):
    return [sys.executable, "-c", WRONG_CLOCK, bot], {}


def by_the_machine_s_clock(bot):
    """Every call of the process that asks for the time is answered wrongly; monotonic clocks are left alone."""
    if LIBRARY is None:
        pytest.skip("libfaketime is not installed: a process with a wrong system clock was NOT tried")
    faked = {"LD_PRELOAD": LIBRARY, "FAKETIME": f"+{AHEAD}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return [sys.executable, bot], faked


@contextmanager
def running(desk, command, more):
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLES.parents[1]}{os.pathsep}{EXAMPLES}", **more}
    files = (str(desk.home.parent / "bot.json"), str(desk.home.parent / "bot"))
    with (desk.home.parent / "bot.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *files], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def enrol(desk):
    where = ("--engines-url", f"http://{desk.environment['WATCHKEEPER_ENGINES']}")
    file = str(desk.home.parent / "bot.json")
    added = desk.run("engines", "add", "bot", "--id", "bot", "--account", "paper", "-o", file, *where)
    assert added.returncode == 0, added


@pytest.mark.parametrize("wrong", [by_its_own_clock, by_the_machine_s_clock], ids=lambda wrong: wrong.__name__)
def test_an_engine_whose_clock_is_off_may_only_reduce_until_a_person_releases_it(desk, wrong):
    command, more = wrong(str(EXAMPLES / "asyncio_bot.py"))
    desk.start(command="up")
    api = desk.api()
    enrol(desk)
    with running(desk, command, more):

        def skewed():
            rows = {row["engine_id"]: row for row in api.get("/api/health/engines")}
            return abs((rows.get("bot") or {}).get("skew_ms") or 0) > 1000 * (AHEAD - 2)

        desk.wait_until(skewed, "the platform sees how far the clock is off", 60)
        stop = desk.wait_until(
            lambda: next((s for s in api.every("/api/stops") if s["cause"] == "trigger:clock_skew"), None),
            "it is held",
            60,
        )
        assert (stop["scope"], stop["level"]) == ("engine:bot", "REDUCE_ONLY")
        assert "clock is off by" in stop["reason"]
        desk.wait_until(
            lambda: api.get(f"/api/stops/{stop['stop_id']}")["state"] == "verified", "the engine's gate is shut", 20
        )
        row = next(r for r in api.get("/api/engines/status") if r["engine_id"] == "bot")
        assert row["level"] == "REDUCE_ONLY"
        codes = desk.wait_until(
            lambda: {"error_clock_skew"} & {a["code"] for a in api.every("/api/alerts")}, "a person is told", 60
        )
        assert codes
        assert len([s for s in api.every("/api/stops") if s["cause"] == "trigger:clock_skew"]) == 1
