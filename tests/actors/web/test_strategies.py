"""Pausing and resuming one strategy over HTTP: who may, what has to be given, and what is noted before it is done."""

import pytest

from actors.requests import CommandStrategy
from actors.web.strategies import _note
from store import audit
from wire.values import StrategyAction

PATH = "/api/engines/E1/strategies/ma"


@pytest.fixture
def desk(desk):
    desk.db.answers[_note] = lambda *_noted: None
    return desk


def noted(desk):
    return [args for fn, args in desk.db.calls if fn is _note]


async def test_an_operator_pauses_and_the_engine_s_word_is_the_answer(desk):
    answer = await (await desk.call("POST", f"{PATH}/pause", role="operator")).get_json()
    assert (answer["status"], answer["strategy_status"], answer["action"]) == ("applied", "paused", "pause")
    [asked] = desk.asked
    assert (asked.engine_id, asked.strategy_id, asked.action) == ("E1", "ma", StrategyAction.PAUSE)
    assert [args[0] for args in noted(desk)] == ["u-operator"]


async def test_resuming_is_the_guarded_direction(desk):
    body = {"reason": "the feed is back"}
    assert (await desk.call("POST", f"{PATH}/resume", role="operator", body=body)).status_code == 403
    old = await desk.call("POST", f"{PATH}/resume", token=desk.token("risk", age=301), body=body)
    assert (await old.get_json())["error"] == "error_reauthentication_required"
    silent = await desk.call("POST", f"{PATH}/resume", role="risk", body={"reason": " "})
    assert (silent.status_code, (await silent.get_json())["field"]) == (422, "reason")
    assert desk.asked == noted(desk) == []
    done = await (await desk.call("POST", f"{PATH}/resume", role="risk", body=body)).get_json()
    assert (done["status"], done["strategy_status"]) == ("applied", "active")
    [(who, _asked, reason)] = noted(desk)
    assert (who, reason) == ("u-risk", "the feed is back")


async def test_what_goes_on_may_go_on_carefully_and_that_is_noted(desk):
    careful = {"minutes": 15, "max_order_value": 1_000_000}
    body = {"reason": "the feed is back", "reduced": careful}
    done = await desk.call("POST", f"{PATH}/resume", role="risk", body=body)
    assert done.status_code == 200
    [asked] = desk.asked
    assert (asked.reduced.minutes, asked.reduced.max_order_value) == (15, 1_000_000)
    assert noted(desk)[0][1].reduced == asked.reduced
    paused = await desk.call("POST", f"{PATH}/pause", role="risk", body=body)
    assert (paused.status_code, (await paused.get_json())["field"]) == (422, "reduced")
    wrong = {"reason": "x", "reduced": {**careful, "minutes": 121}}
    answer = await desk.call("POST", f"{PATH}/resume", role="risk", body=wrong)
    assert (answer.status_code, (await answer.get_json())["field"]) == (422, "reduced.minutes")
    assert len(desk.asked) == len(noted(desk)) == 1


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_without_the_audit_log_nothing_reaches_the_engine(desk, verb):
    desk.db.fall()
    answer = await desk.call("POST", f"{PATH}/{verb}", role="risk", body={"reason": "x"})
    assert answer.status_code == 503
    assert desk.asked == []


async def test_what_is_refused_is_not_noted(desk):
    answer = await desk.call("POST", "/api/engines/E9/strategies/ma/pause", role="operator")
    assert (answer.status_code, (await answer.get_json())["error"]) == (404, "error_unknown_engine")
    assert noted(desk) == []


@pytest.mark.database
async def test_the_audit_log_has_it_before_the_engine_does(real):
    await real.call("POST", f"{PATH}/resume", role="risk", body={"reason": "the feed is back"})
    [entry] = [e for e in (await real.db.run(audit.page, None, 10)).items if e.action == "strategy.resume"]
    assert (entry.actor, entry.target) == ("u-risk", "strategy:E1/ma")
    assert entry.detail["reason"] == "the feed is back"
    assert isinstance(real.asked[-1], CommandStrategy)
