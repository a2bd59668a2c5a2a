"""Those who were away obey when they return: an engine that was frozen, and a platform that was not running."""

import json
import signal
import time

import psutil
import pytest

ENGINES = ("alpha", "bravo", "charlie")

pytestmark = [pytest.mark.journey, pytest.mark.database]


def process_of(desk, engine):
    for child in psutil.Process(desk.process.pid).children(recursive=True):
        if f"{engine}.toml" in " ".join(child.cmdline()):
            return child
    raise AssertionError(f"no process of {engine}")


def row_of(api, engine):
    return next(row for row in api.get("/api/engines/status") if row["engine_id"] == engine)


def result_of(stop, engine):
    return next(result for result in stop["results"] if result["engine_id"] == engine)


def trades(desk, api, engine):
    desk.wait_until(lambda: (row_of(api, engine)["positions"] or 0) > 0, f"{engine} holds something", 180, every=0.5)


def test_a_script_is_answered_and_a_frozen_engine_obeys_when_it_wakes(desk):
    desk.start()
    api = desk.api()
    for engine in ENGINES:
        trades(desk, api, engine)
    a_script_gets_its_answer_at_the_first_durable_copy(desk, api)
    alpha = process_of(desk, "alpha")
    alpha.send_signal(signal.SIGSTOP)
    desk.wait_until(lambda: row_of(api, "alpha")["connection"] == "offline", "alpha is offline", 90)

    stopped = desk.run("stop", "--yes", "--reason", "alpha is frozen")
    assert stopped.returncode == 1, stopped
    (stop,) = (s for s in api.every("/api/stops") if s["scope"] == "all")
    stop = api.get(f"/api/stops/{stop['stop_id']}")
    assert (stop["state"], stop["durable"]) == ("partial", True), json.dumps(stop, indent=1)
    assert result_of(stop, "alpha")["phase"] == "unreachable"
    assert not result_of(stop, "alpha")["success"]
    assert {result_of(stop, e)["phase"] for e in ("bravo", "charlie")} == {"verified"}

    alpha.send_signal(signal.SIGCONT)
    desk.wait_until(
        lambda: result_of(api.get(f"/api/stops/{stop['stop_id']}"), "alpha")["phase"] == "verified",
        "alpha obeys when it returns",
        180,
    )
    assert api.get(f"/api/stops/{stop['stop_id']}")["state"] == "verified"
    desk.wait_until(lambda: desk.run("status").returncode == 0, "nothing is wrong any more", 90)


def a_script_gets_its_answer_at_the_first_durable_copy(desk, api):
    began = time.monotonic()
    asked = api.call(
        "POST",
        "/api/engines/emergency-stop",
        {"request_id": "script-1", "scope": "engine:bravo", "level": "CANCEL"},
        headers={"Prefer": "respond-async"},
    )
    assert asked.status == 202, asked
    if not asked.body["durable"]:  # a disk that takes longer is not waited for
        assert time.monotonic() - began >= 0.25
        desk.wait_until(lambda: api.get(f"/api/stops/{asked.body['stop_id']}")["durable"], "the stop is durable", 60)
    again = api.call("POST", "/api/engines/emergency-stop", {"request_id": "script-1", "scope": "engine:bravo"})
    assert (again.status, again.body["stop_id"]) == (200, asked.body["stop_id"])
    assert again.body["level"] == "FLATTEN", "the same request may raise, never lower"
    assert row_of(api, "alpha")["level"] == "NORMAL"
    nowhere = api.call("POST", "/api/engines/emergency-stop", {"scope": "engine:nobody"})
    assert (nowhere.status, nowhere.body["field"]) == (404, "scope")


def test_a_stop_left_while_nothing_runs_holds_from_the_first_moment_of_the_next_start(desk):
    desk.start()
    trades(desk, desk.api(), "alpha")
    desk.stop()

    left = desk.run("stop", "--local", "--yes", "--reason", "before the start")
    assert left.returncode == 1, left
    assert "no platform" in (left.stdout + left.stderr).lower() or "not running" in (left.stdout + left.stderr).lower()

    desk.start()
    desk.wait_until(lambda: "STOPPED: FLATTEN on all" in desk.log.read_text(), "the start says what is stopped", 90)
    api = desk.api()
    (stop,) = api.every("/api/stops")
    assert (stop["scope"], stop["level"], stop["released_at"]) == ("all", "FLATTEN", None)
    desk.wait_until(
        lambda: api.get(f"/api/stops/{stop['stop_id']}")["state"] == "verified", "every engine is verified flat", 180
    )
