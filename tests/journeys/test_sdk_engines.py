"""The examples of docs/sdk/ as they are: somebody else's engines, made supervised, under a real platform."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "sdk"
BOTS = {"aio": "asyncio_bot.py", "trio": "trio_bot.py", "threaded": "threaded_bot.py"}
SECOND = "Second-person-2026"

pytestmark = [pytest.mark.journey, pytest.mark.database]


@contextmanager
def bots(desk):
    """All three as processes; ``start(name)`` starts one again."""
    running = {}
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLES.parents[1]}{os.pathsep}{EXAMPLES}"}

    def start(name):
        files = (str(desk.home.parent / f"{name}.json"), str(desk.home.parent / name))
        with (desk.home.parent / f"{name}.log").open("ab") as log:
            running[name] = subprocess.Popen(
                [sys.executable, str(EXAMPLES / BOTS[name]), *files],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    try:
        yield running, start
    finally:
        for process in running.values():
            process.kill()
            process.wait(60)


def enrol(desk, name):
    where = ("--engines-url", f"http://{desk.environment['WATCHKEEPER_ENGINES']}")
    file = str(desk.home.parent / f"{name}.json")
    added = desk.run("engines", "add", name, "--id", name, "--account", f"paper-{name}", "-o", file, *where)
    assert added.returncode == 0, added


def rows(api):
    return {row["engine_id"]: row for row in api.get("/api/engines/status")}


def phases(api, stop_id):
    return {r["engine_id"]: r["phase"] for r in api.get(f"/api/stops/{stop_id}")["results"]}


def trade_logs(api, name, since=None):
    found = [log for log in api.every("/api/logs", engine=name) if log["category"] == "Trade"]
    return [log for log in found if since is None or datetime.fromisoformat(log["timestamp"]) > since]


def test_three_engines_are_watched_changed_stopped_killed_and_released(desk):
    desk.start(command="up")
    api = desk.api()
    for name in BOTS:
        enrol(desk, name)
    with bots(desk) as (running, start):
        for name in BOTS:
            start(name)
        told = {name: lambda name=name: trade_logs(api, name) for name in BOTS}
        for name in BOTS:
            first = desk.wait_until(told[name], f"{name} tells of its trades", 120)[0]
            assert first["reason"].startswith("the price is")
            desk.wait_until(lambda name=name: api.every("/api/fills", engine=name), f"{name} tells of its fills", 120)

        change_a_parameter(desk, api, "threaded")

        stopped = desk.run("stop", "--yes", "--reason", "the bots stop")
        assert stopped.returncode == 0, stopped  # every engine verified flat
        (stop,) = api.every("/api/stops")
        stop = api.get(f"/api/stops/{stop['stop_id']}")
        assert {r["flatness"] for r in stop["results"]} == {"FLAT"}
        stopped_at = datetime.now(UTC)

        running["aio"].kill()
        running["aio"].wait(60)
        desk.wait_until(lambda: rows(api)["aio"]["connection"] == "offline", "aio is offline", 90)
        start("aio")
        desk.wait_until(lambda: rows(api)["aio"]["connection"] == "connected", "aio is back", 120)
        assert rows(api)["aio"]["level"] == "FLATTEN"
        assert [trade_logs(api, name, stopped_at) for name in BOTS] == [[], [], []]

        release(desk, desk.api(), stop)
        for name in BOTS:
            desk.wait_until(lambda name=name: trade_logs(api, name, stopped_at), f"{name} trades again", 120)


def change_a_parameter(desk, api, name):
    path = f"/api/engines/{name}/parameters"
    known = api.call("GET", f"{path}?strategy_id=bot")
    body = {"strategy_id": "bot", "parameters": {"size": 1}}
    headers = {"If-Match": known.headers["etag"]}
    changed = api.call("PATCH", path, body, headers=headers)
    assert (changed.status, changed.body["status"]) == (200, "applied"), changed
    assert changed.body["parameters"] == {"size": 1}
    desk.wait_until(
        lambda: any("BUY 1 " in log["message"] for log in trade_logs(api, name)), f"{name} buys one share", 120
    )


def release(desk, api, stop):
    added = api.call("POST", "/api/users", {"username": "second", "password": SECOND, "role": "risk"})
    assert added.status == 201, added
    path = f"/api/stops/{stop['stop_id']}"
    epoch = api.get(path)["epoch"]

    def requested():
        answer = api.call("POST", f"{path}/release", {"reason": "seen enough", "epoch": epoch, "resume": True})
        assert answer.status in (201, 409), answer
        return answer.status == 201

    desk.wait_until(requested, "the release's checklist holds", 120)
    approved = desk.api("second", SECOND).call("POST", f"{path}/approve", {"epoch": epoch})
    assert (approved.status, approved.body["state"]) == (200, "released"), approved
