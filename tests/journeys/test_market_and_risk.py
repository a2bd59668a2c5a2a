"""A symbol that cannot be sold keeps a stop open until it trades again; a limit that is tightened stops an engine."""

import json
import urllib.request

import pytest

ACCOUNTS = {"alpha": "5012345601", "bravo": "5012345701", "charlie": "5012345801"}

pytestmark = [pytest.mark.journey, pytest.mark.database]


class Broker:
    """The simulated broker, as its own administrator reaches it."""

    def __init__(self, desk):
        address = desk.home / "demo" / "broker-sim.address"
        desk.wait_until(lambda: address.exists() and address.read_text().strip(), "the broker runs", 180)
        self.address = address.read_text().strip()
        self.token = (desk.home / "demo" / "broker-sim" / "admin-token").read_text().strip()

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data=data)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def held(self, engine):
        return {e["account"]: e["positions"] for e in self.call("/sim/accounts")["items"]}[ACCOUNTS[engine]]

    def befall(self, symbol, condition):
        self.call("/sim/market", {"symbol": symbol, "condition": condition})


def test_a_halted_symbol_and_a_daily_loss(desk):
    desk.start()
    api, broker = desk.api(), Broker(desk)
    what_cannot_be_sold_is_blocked_until_it_trades_again(desk, api, broker)
    a_tightened_limit_stops_an_engine_by_itself(desk, api)


def alerted(api, code, engine):
    return any((a["code"], a["engine_id"]) == (code, engine) for a in api.every("/api/alerts"))


def what_cannot_be_sold_is_blocked_until_it_trades_again(desk, api, broker):
    def halted():
        """A symbol that alpha holds now that nobody can sell it any more."""
        symbols = list(broker.held("alpha"))
        if len(symbols) < 3:
            return None
        broker.befall(symbols[0], "halted")
        if len(held := broker.held("alpha")) >= 2 and symbols[0] in held:
            return symbols[0]
        broker.befall(symbols[0], "normal")
        return None

    symbol = desk.wait_until(halted, "alpha holds a symbol that is halted, and others", 180)
    body = {"scope": "engine:alpha", "reason": "a symbol is halted"}
    answer = api.call("POST", "/api/engines/emergency-stop", body, headers={"Prefer": "respond-async"})
    assert answer.status == 202, answer
    stop_id = answer.body["stop_id"]

    def result():
        (found,) = api.get(f"/api/stops/{stop_id}")["results"]
        return found

    blocked = desk.wait_until(lambda: (r := result())["phase"] == "failed" and r, "alpha is blocked", 90)
    assert blocked["error"].startswith("error_positions_blocked")
    assert [(r["symbol"], r["reason"]) for r in blocked["residuals"]] == [(symbol, "trading in the symbol is halted")]
    assert (blocked["flatness"], blocked["positions_remaining"]) == ("NOT_FLAT", 1)
    assert set(broker.held("alpha")) == {symbol}  # the rest went on
    desk.wait_until(lambda: alerted(api, "error_stop_failed", "alpha"), "a person is alerted", 60)
    broker.befall(symbol, "normal")
    done = desk.wait_until(lambda: (r := result())["phase"] == "verified" and r, "alpha is verified", 90)
    assert (done["success"], done["flatness"], done["residuals"]) == (True, "FLAT", [])
    assert broker.held("alpha") == {}
    assert api.call("POST", "/api/stops/nothing/continue").status == 404
    again = api.call("POST", f"/api/stops/{stop_id}/continue")
    assert again.status == 200
    assert [e["event"] for e in again.body["timeline"]][-2:] == ["continued", "sent"]


def a_tightened_limit_stops_an_engine_by_itself(desk, api):
    saved = api.get("/api/settings/user")
    body = {name: saved[name] for name in ("brokerage_accounts", "system_preferences", "risk_limits")}
    body["risk_limits"] = {**saved["risk_limits"], "max_daily_loss": 0}
    answer = api.call("POST", "/api/settings/user", body, headers={"If-Match": str(saved["config_version"])})
    assert answer.status == 200, answer

    def own_stop():
        found = (s for s in api.every("/api/stops") if s["cause"] == "risk")
        return next((s for s in found if s["results"] and s["results"][0]["phase"] == "verified"), None)

    stop = desk.wait_until(own_stop, "an engine has stopped itself for its loss", 180)
    engine = stop["results"][0]["engine_id"]
    assert (stop["scope"], stop["level"], stop["released_at"]) == (f"engine:{engine}", "HALT", None)
    assert stop["reason"].startswith("daily_loss: the day's loss of")
    row = next(r for r in api.get("/api/engines/status") if r["engine_id"] == engine)
    assert row["level"] == ("FLATTEN" if engine == "alpha" else "HALT")  # alpha is held by the first stop, too
    desk.wait_until(lambda: alerted(api, "error_local_stop", engine), "a person is alerted", 60)
