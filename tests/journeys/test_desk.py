"""The whole way of a trading day: watch, change, stop, lose the platform, come back stopped, release, trade again."""

import json
import time
import urllib.request
from datetime import datetime, timedelta

import pytest

ENGINES = {"alpha": "5012345601", "bravo": "5012345701", "charlie": "5012345801"}
OPENING_CASH = 300_000_000
RISK_PASSWORD = "Second-person-1"

pytestmark = [pytest.mark.journey, pytest.mark.database]


def fills_of(api, engine):
    return api.every("/api/fills", engine=engine)


def engine_rows(api):
    return {row["engine_id"]: row for row in api.get("/api/engines/status")}


class Broker:
    """What the simulated broker says to its own administrator."""

    def __init__(self, desk):
        self.address = (desk.home / "demo" / "broker-sim.address").read_text().strip()
        self.token = (desk.home / "demo" / "broker-sim" / "admin-token").read_text().strip()

    def get(self, path):
        request = urllib.request.Request(
            f"http://{self.address}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def books(self):
        return {entry["account"]: entry for entry in self.get("/sim/accounts")["items"]}

    def orders(self, after=0):
        rows = []
        while after is not None:
            page = self.get(f"/sim/orders?after={after}")
            rows, after = rows + page["items"], page["next"]
        return rows


def test_a_day_at_the_desk(desk, page, record_property):
    desk.start()
    api = desk.api()
    twenty_fills_each(desk, api)
    sign_in(desk, page)
    three_engines_are_on_the_screen(page)
    books_agree_to_the_won(desk, api)
    change_a_parameter_in_the_browser_and_read_the_effective_value_back(desk, api, page)
    wait_for_positions_and_working_orders(desk, api)
    stop = stop_everything_in_the_browser(desk, api, page)
    record_property("ms_to_frozen", [r["ms_to_frozen"] for r in stop["results"]])
    record_property("ms_to_verified", verified_after(stop))
    nothing_was_opened_after_frozen(desk, stop)
    desk.kill()
    desk.start()
    api = desk.api()
    still_stopped(desk, api, stop)
    release_by_two_and_trade_again(desk, api, stop)


# --- the steps ------------------------------------------------------------------------------------------------------


def twenty_fills_each(desk, api):
    desk.wait_until(
        lambda: all(len(fills_of(api, engine)) >= 20 for engine in ENGINES), "20 fills of every engine", 240, every=1.0
    )


def sign_in(desk, page):
    page.goto(desk.url)
    page.get_by_test_id("login-username").fill("admin")
    page.get_by_test_id("login-password").fill(desk.password)
    page.get_by_test_id("login-submit").click()


def three_engines_are_on_the_screen(page):
    from playwright.sync_api import expect

    expect(page.get_by_test_id("link-badge")).to_have_attribute("data-liveness", "live", timeout=60_000)
    for engine in ENGINES:
        expect(page.get_by_test_id(f"engine-card-{engine}")).to_be_visible(timeout=60_000)


def books_agree_to_the_won(desk, api):
    """What the engines told of their fills, added up, is what the broker's books say, share by share and won by won."""
    broker = Broker(desk)
    for engine, account in ENGINES.items():

        def agree(engine=engine, account=account):
            # Trading goes on between the two reads: the books are those after one of the fills, and not of the last.
            books = kept(broker.books()[account])
            return len(fills := fills_of(api, engine)) >= 20 and books in told(fills)[20:]

        desk.wait_until(agree, f"the fills of {engine} add up to the broker's books", 120, every=0.2)


def told(fills):
    """What is owned before the first fill and after each."""
    cash, shares = OPENING_CASH, {}
    owned = [(cash, {})]
    for fill in fills:
        sign = 1 if fill["side"] == "buy" else -1
        cash -= sign * fill["quantity"] * fill["price"] + fill["fee"] + fill["tax"]
        shares[fill["symbol"]] = shares.get(fill["symbol"], 0) + sign * fill["quantity"]
        owned.append((cash, {symbol: quantity for symbol, quantity in shares.items() if quantity}))
    return owned


def kept(books):
    return books["cash"], books["positions"]


def change_a_parameter_in_the_browser_and_read_the_effective_value_back(desk, api, page):
    page.get_by_test_id("nav-strategies").click()
    page.get_by_test_id("strategy-row-alpha-ma").click()
    page.get_by_test_id("parameter-takeProfitPercent").fill("1.7")
    page.get_by_test_id("strategy-apply").click()
    page.get_by_test_id("apply-confirm").click()

    def applied():
        now = api.get("/api/engines/alpha/parameters?strategy_id=ma")
        return now["effective"] and now["effective"]["takeProfitPercent"] == 1.7

    desk.wait_until(applied, "the engine's effective value is the new one", 90)


def wait_for_positions_and_working_orders(desk, api):
    def busy():  # more than is asked for afterwards: until the stop is there some are sold and some orders filled
        rows = engine_rows(api)
        return all((rows[e]["positions"] or 0) >= 4 and (rows[e]["open_orders"] or 0) >= 3 for e in ENGINES)

    desk.wait_until(busy, "every engine holds some positions and has some working orders", 240, every=0.1)


def stop_everything_in_the_browser(desk, api, page):
    page.get_by_test_id("stop-open").click()
    page.get_by_test_id("stop-confirm").click()
    page.get_by_test_id("stop-board").wait_for()
    stop = desk.wait_until(lambda: next(iter(api.every("/api/stops")), None), "the stop is recorded", 60)
    desk.wait_until(lambda: api.get(f"/api/stops/{stop['stop_id']}")["durable"], "the stop is durable", 60)

    def final():
        now = api.get(f"/api/stops/{stop['stop_id']}")
        return now if now["state"] != "running" else None

    stop = desk.wait_until(final, "every engine has a final phase", 120)
    assert stop["state"] == "verified", json.dumps(stop, indent=1, ensure_ascii=False)
    assert {r["engine_id"] for r in stop["results"]} == set(ENGINES)
    for result in stop["results"]:
        assert result["success"], result
        assert (result["phase"], result["flatness"]) == ("verified", "FLAT")
        assert result["residuals"] == []
        assert result["positions_liquidated"] >= 2
        assert result["orders_cancelled"] >= 1
    return stop


def verified_after(stop):
    asked = datetime.fromisoformat(stop["requested_at"])
    return [round((datetime.fromisoformat(r["completed_at"]) - asked).total_seconds() * 1000) for r in stop["results"]]


def nothing_was_opened_after_frozen(desk, stop):
    """The broker's own order log is the witness; its book must be empty too."""
    broker = Broker(desk)
    orders = broker.orders()
    for result in stop["results"]:
        account = ENGINES[result["engine_id"]]
        frozen = datetime.fromisoformat(stop["requested_at"]) + timedelta(milliseconds=result["ms_to_frozen"])
        late = [o for o in orders if o["account"] == account and o["accepted"] and o["at"] > frozen.timestamp()]
        opened = [o for o in late if o["purpose"] == "new" and not o["reduces"]]
        assert len(opened) <= in_flight(stop, result["engine_id"]), opened
        assert late, "the flattening itself must be in the log"
    for books in broker.books().values():
        assert (books["positions"], books["working_orders"]) == ({}, 0)


def in_flight(stop, engine):
    """How many requests it had written before its gate closed: a busy broker takes them later."""
    frozen = next(e for e in stop["timeline"] if (e["event"], e["engine_id"]) == ("frozen", engine))
    return int(frozen["detail"].split()[0]) if frozen["detail"] else 0


def still_stopped(desk, api, stop):
    known = api.get(f"/api/stops/{stop['stop_id']}")
    assert known["released_at"] is None
    desk.wait_until(
        lambda: all(r["connection"] == "connected" for r in engine_rows(api).values()), "all engines are back", 180
    )
    before = len(Broker(desk).orders())
    time.sleep(5)
    rows = engine_rows(api)
    assert {rows[e]["level"] for e in ENGINES} == {"FLATTEN"}
    assert len(Broker(desk).orders()) == before
    assert stop["stop_id"] in desk.log.read_text(), "the start must say what is stopped"


def release_by_two_and_trade_again(desk, api, stop):
    added = api.call("POST", "/api/users", {"username": "second", "password": RISK_PASSWORD, "role": "risk"})
    assert added.status == 201, added
    path = f"/api/stops/{stop['stop_id']}"
    epoch = api.get(path)["epoch"]

    def requested():
        answer = api.call("POST", f"{path}/release", {"reason": "the journey goes on", "epoch": epoch, "resume": True})
        if answer.status == 409 and answer.body["error"] == "error_checklist":
            return None  # an engine has not yet reconciled after its restart
        assert answer.status == 201, answer
        return answer.body

    desk.wait_until(requested, "the release's checklist holds", 120)
    alone = api.call("POST", f"{path}/approve", {"epoch": epoch})
    assert (alone.status, alone.body["error"]) == (403, "error_second_person_required")
    second = desk.api("second", RISK_PASSWORD)
    approved = second.call("POST", f"{path}/approve", {"epoch": epoch})
    assert (approved.status, approved.body["state"]) == (200, "released"), approved
    before = {engine: len(fills_of(api, engine)) for engine in ENGINES}
    desk.wait_until(
        lambda: all(len(fills_of(api, engine)) > before[engine] for engine in ENGINES), "every engine trades again", 180
    )
