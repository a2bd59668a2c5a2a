"""Stops over HTTP: an empty body stops everything, and nothing that is away or expired holds it up."""

from datetime import UTC, datetime

import pytest
import trio

from actors.requests import RequestRelease, TakeStop
from store import releases
from store.releases import ReleaseRow
from supervisor.errors import ActorDied, AskTimeout, MailboxFull, UnknownActor
from wire.rest.releases import ReleaseState
from wire.rest.stops import StopState
from wire.stops import Level

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

STOP = "/api/engines/emergency-stop"


async def test_an_empty_body_stops_everything_and_flattens(desk):
    response = await desk.call("POST", STOP, role="operator")
    answer = await response.get_json()
    assert response.status_code == 200
    assert (answer["scope"], answer["level"], answer["state"]) == ("all", "FLATTEN", "verified")
    [asked] = desk.asked
    assert isinstance(asked, TakeStop)
    assert asked.request.level is Level.FLATTEN


async def test_a_stop_carries_what_was_asked(desk):
    body = {"request_id": "q-1", "scope": "engine:E1", "level": "HALT", "reason": "drill", "drill": True}
    answer = await (await desk.call("POST", STOP, body=body)).get_json()
    assert (answer["request_id"], answer["scope"], answer["level"]) == ("q-1", "engine:E1", "HALT")


@pytest.mark.parametrize(
    ("body", "level"),
    [
        ({"drill": True}, Level.HALT),
        ({"drill": True, "level": "FLATTEN"}, Level.FLATTEN),
        ({"drill": False}, Level.FLATTEN),
        ({}, Level.FLATTEN),
    ],
)
async def test_a_drill_that_names_no_level_is_a_halt(desk, body, level):
    answer = await (await desk.call("POST", STOP, body=body)).get_json()
    assert (answer["level"], answer["drill"]) == (level.value, body.get("drill", False))


async def test_drills_are_listed_apart(desk, kit):
    desk.services.stops.put("s1", kit.stop_of("s1"))
    desk.services.stops.put("s2", kit.stop_of("s2", drill=True))
    desk.db.fall()
    for wanted, found in (("true", ["s2"]), ("false", ["s1"])):
        answer = await (await desk.call("GET", f"/api/stops?drill={wanted}", role="viewer")).get_json()
        assert [stop["stop_id"] for stop in answer["items"]] == found
    wrong = await desk.call("GET", "/api/stops?drill=perhaps", role="viewer")
    assert (wrong.status_code, (await wrong.get_json())["field"]) == (422, "drill")


async def test_the_idempotency_key_is_the_request_id_when_the_body_has_none(desk):
    answer = await (await desk.call("POST", STOP, headers={"Idempotency-Key": "k-1"})).get_json()
    assert answer["request_id"] == "k-1"


async def test_the_request_id_of_the_body_wins_over_the_idempotency_key(desk):
    answer = await (
        await desk.call("POST", STOP, body={"request_id": "b"}, headers={"Idempotency-Key": "k"})
    ).get_json()
    assert answer["request_id"] == "b"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"all"',
        b"null",
        b'{"scope": "everything"}',
        b'{"scope": "engine:"}',
        b'{"scope": 7}',
        b'{"level": "MAYBE"}',
        b'{"level": null}',
        b'{"level": NaN}',
        b'{"drill": "yes"}',
        b'{"request_id": ""}',
        b'{"scope": "all", "scope": "engine:E1"}',
        b'{"reason": "\\u0000"}',
        b"\xff\xfe",
        b"{" * 100_000,
    ],
)
async def test_a_malformed_stop_is_refused_whole_and_never_narrowed(desk, raw):
    response = await desk.call("POST", STOP, data=raw, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert (await response.get_json())["error"].startswith("error_")
    assert desk.asked == []


async def test_an_unknown_engine_is_404_and_nothing_is_done(desk):
    response = await desk.call("POST", STOP, body={"scope": "engine:unknown"})
    assert response.status_code == 404
    assert (await response.get_json())["field"] == "scope"


async def test_a_stop_is_taken_whatever_the_content_type_says(desk):
    response = await desk.call("POST", STOP, data=b"{}", headers={"Content-Type": "text/plain"})
    assert response.status_code == 200


async def test_a_caller_that_prefers_it_is_answered_at_the_first_durable_copy(desk):
    desk.stop_state = StopState.RUNNING
    response = await desk.call("POST", STOP, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["Location"] == "/api/stops/s1"


async def test_without_any_durable_copy_an_async_caller_waits_a_quarter_second(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk:
        desk.stop_state, desk.durable = StopState.RUNNING, False
        response = await desk.call("POST", STOP, headers={"Prefer": "respond-async"})
        assert response.status_code == 202
        assert trio.current_time() == pytest.approx(0.25, abs=0.05)
        assert (await response.get_json())["durable"] is False


async def test_a_stop_that_does_not_come_to_an_end_is_answered_within_30_seconds(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk:
        desk.stop_state = StopState.RUNNING
        response = await desk.call("POST", STOP)
        assert response.status_code == 200
        assert (await response.get_json())["state"] == "running"
        assert trio.current_time() <= 30


async def test_the_answer_comes_with_the_final_phase_of_the_last_engine(tmp_path, kit, autojump_clock):
    async with kit.open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        desk.stop_state = StopState.RUNNING

        async def finish() -> None:
            await trio.sleep(3)
            desk.services.stops.put("s1", kit.stop_of(state=StopState.PARTIAL))

        nursery.start_soon(finish)
        answer = await (await desk.call("POST", STOP)).get_json()
        assert answer["state"] == "partial"
        assert trio.current_time() == pytest.approx(3, abs=0.1)


async def test_a_stop_works_while_the_database_is_away(desk):
    desk.db.fall()
    response = await desk.call("POST", STOP, headers={"Idempotency-Key": "k"})
    assert response.status_code == 200
    assert desk.db.calls == []


async def test_an_expired_token_stops_only_while_the_database_is_away(desk, monkeypatch):
    token = desk.token("operator", family="f1")
    clock = desk.services.tokens._clock
    monkeypatch.setattr(desk.services.tokens, "_clock", lambda: clock() + 3600)
    assert (await desk.call("POST", STOP, token=token)).status_code == 401
    desk.db.fall()
    assert (await desk.call("POST", STOP, token=token)).status_code == 200
    assert desk.asked[0].principal.degraded


async def test_an_open_stop_is_continued_while_the_database_is_away_too(desk, kit, monkeypatch):
    token = desk.token("operator")
    clock = desk.services.tokens._clock
    monkeypatch.setattr(desk.services.tokens, "_clock", lambda: clock() + 3600)
    desk.services.stops.put("s1", kit.stop_of(state=StopState.PARTIAL))
    path, key = "/api/stops/s1/continue", {"Idempotency-Key": "k"}
    assert (await desk.call("POST", path, token=token)).status_code == 401
    desk.db.fall()
    assert (await desk.call("POST", path, token=token, headers=key)).status_code == 200
    assert (desk.asked[-1].stop_id, desk.asked[-1].principal.degraded, desk.db.calls) == ("s1", True, [])


async def test_a_forged_token_takes_no_stop_while_the_database_is_away_either(desk):
    head, claims, _ = desk.token("operator").split(".")
    desk.db.fall()
    for token in (f"{head}.{claims}.{'A' * 43}", f"{head}.{claims}.", desk.engine_token()):
        assert (await desk.call("POST", STOP, token=token)).status_code in (401, 403)
    assert desk.asked == []


async def test_an_expired_token_takes_no_stop_after_twelve_hours(desk, monkeypatch):
    token = desk.token("operator")
    clock = desk.services.tokens._clock
    monkeypatch.setattr(desk.services.tokens, "_clock", lambda: clock() + 13 * 3600)
    desk.db.fall()
    assert (await desk.call("POST", STOP, token=token)).status_code == 401


async def test_a_session_that_was_ended_takes_no_stop_even_then(desk, monkeypatch):
    token = desk.token("operator", family="f1")
    clock = desk.services.tokens._clock
    monkeypatch.setattr(desk.services.tokens, "_clock", lambda: clock() + 3600)
    desk.db.fall()
    desk.services.denied.end_session("f1", clock())
    assert (await desk.call("POST", STOP, token=token)).status_code == 401


async def test_the_grace_of_an_expired_token_serves_for_nothing_but_a_stop(desk, monkeypatch):
    token = desk.token("risk")
    clock = desk.services.tokens._clock
    monkeypatch.setattr(desk.services.tokens, "_clock", lambda: clock() + 3600)
    desk.db.fall()
    body = {"reason": "over", "epoch": 7}
    assert (await desk.call("POST", "/api/stops/s1/release", token=token, body=body)).status_code == 401


async def test_a_release_needs_a_password_given_within_five_minutes(desk):
    body = {"reason": "over", "epoch": 7}
    old = desk.token("risk", age=301)
    response = await desk.call("POST", "/api/stops/s1/release", token=old, body=body)
    assert response.status_code == 403
    assert (await response.get_json())["error"] == "error_reauthentication_required"
    fresh = await desk.call("POST", "/api/stops/s1/release", role="risk", body=body)
    assert fresh.status_code == 201
    assert isinstance(desk.asked[0], RequestRelease)


@pytest.mark.parametrize(
    ("reduced", "field"),
    [
        ({"minutes": 0, "max_order_value": 1}, "reduced.minutes"),
        ({"minutes": 121, "max_order_value": 1}, "reduced.minutes"),
        ({"minutes": 15, "max_order_value": 0}, "reduced.max_order_value"),
        ({"minutes": 15}, "reduced.max_order_value"),
        ({"minutes": 15, "max_order_value": 1.5}, "reduced.max_order_value"),
    ],
)
async def test_reduced_limits_have_a_time_and_a_value(desk, reduced, field):
    body = {"reason": "over", "epoch": 7, "reduced": reduced}
    answer = await desk.call("POST", "/api/stops/s1/release", role="risk", body=body)
    assert (answer.status_code, (await answer.get_json())["field"]) == (422, field)


async def test_an_approval_is_handed_to_the_coordinator_with_what_was_looked_at(desk):
    body = {"epoch": 7, "release_id": "rel1"}
    response = await desk.call("POST", "/api/stops/s1/approve", role="risk", body=body)
    assert (await response.get_json())["state"] == "released"
    assert desk.asked[0].release_id == "rel1"


async def test_an_approval_needs_a_password_given_within_five_minutes_too(desk):
    old = desk.token("risk", age=301)
    response = await desk.call("POST", "/api/stops/s1/approve", token=old, body={"epoch": 7})
    assert response.status_code == 403
    assert (await response.get_json())["error"] == "error_reauthentication_required"
    assert desk.asked == []


async def test_whoever_may_see_stops_sees_the_release_that_waits(desk):
    answer = await desk.call("GET", "/api/stops/s1/release", role="viewer")
    view = await answer.get_json()
    assert (view["state"], view["requested_by"], view["reason"], view["history"]) == (
        "requested",
        "u-risk",
        "over",
        [],
    )


async def test_the_last_release_is_shown_from_the_database_when_memory_knows_of_none(desk):
    row = ReleaseRow(
        id="old",
        stop_id="s2",
        state=ReleaseState.VOID,
        epoch=3,
        requested_by="u-risk",
        reason="then",
        resume=True,
        waive=[],
        checklist=[],
        requested_at=NOW,
    )
    desk.db.answers[releases.last] = lambda stop_id: row if stop_id == "s2" else None
    view = await (await desk.call("GET", "/api/stops/s2/release", role="viewer")).get_json()
    assert (view["id"], view["state"], view["resume"]) == ("old", "void", True)
    nobody = await desk.call("GET", "/api/stops/s3/release", role="viewer")
    assert (nobody.status_code, (await nobody.get_json())["error"]) == (404, "error_no_release_requested")


async def test_stops_are_listed_from_memory_while_the_database_is_away(desk, kit):
    desk.services.stops.put("s9", kit.stop_of("s9"))
    desk.db.fall()
    answer = await (await desk.call("GET", "/api/stops", role="viewer")).get_json()
    assert [stop["stop_id"] for stop in answer["items"]] == ["s9"]


async def test_a_stop_is_shown_with_every_field(desk, kit):
    desk.services.stops.put("s9", kit.stop_of("s9"))
    answer = await (await desk.call("GET", "/api/stops/s9", role="viewer")).get_json()
    assert answer["released_at"] is None
    assert answer["timeline"] == []


async def test_a_preview_says_null_for_what_is_not_known(desk):
    answer = await (await desk.call("POST", "/api/stops/preview", role="operator")).get_json()
    [engine] = answer["engines"]
    nothing = dict.fromkeys(("orders", "positions", "value", "as_of", "age_ms", "synced"))
    assert engine == {"engine_id": "E1", "blocked": [], "connection": "never", **nothing}
    sums = {"orders": None, "positions": None, "value": None, "oldest_ms": None}
    assert answer["total"] == {"engines": 1, "unknown": 1, **sums}


async def test_a_stop_that_would_stop_nothing_is_refused_naming_the_level(desk):
    answer = await desk.call("POST", STOP, body={"level": "NORMAL"})
    assert (answer.status_code, (await answer.get_json())["field"]) == (422, "level")


class Busy:
    """A coordinator in trouble: each question fails in another way, until it takes the stop, if it ever does."""

    def __init__(self, ref, troubles):
        self.ref, self.troubles = ref, troubles

    async def ask(self, message, **options):
        await trio.lowlevel.checkpoint()
        trouble = next(self.troubles, None)
        if trouble is not None:
            raise trouble
        return await self.ref.ask(message, **options)


def troubles_of(*kinds):
    reasons = {
        ActorDied: lambda: ActorDied("stops", "TakeStop", "crashed"),
        AskTimeout: lambda: AskTimeout("stops", "TakeStop", 5.0, None),
        MailboxFull: lambda: MailboxFull("stops", "TakeStop", 1),
        UnknownActor: lambda: UnknownActor("stops", ()),
    }
    return (reasons[kind]() for kind in kinds)


@pytest.mark.parametrize("kind", [ActorDied, AskTimeout, MailboxFull, UnknownActor])
async def test_trouble_of_the_coordinator_is_waited_out_and_never_answered_try_later(
    tmp_path, kit, autojump_clock, monkeypatch, kind
):
    async with kit.open_desk(tmp_path) as desk:
        busy = Busy(desk.services.system.ref("stops"), troubles_of(kind, kind, kind))
        monkeypatch.setattr(type(desk.services.system), "ref", lambda _self, _name: busy)
        answer = await desk.call("POST", STOP, headers={"If-Match": '"7"', "Idempotency-Key": "one"})
        assert answer.status_code == 200
        again = await desk.call("POST", STOP, body={"level": "HALT"}, headers={"Idempotency-Key": "one"})
        assert again.status_code == 200  # the key says which stop is meant; another body is no conflict
        assert [type(a) for a in desk.asked] == [TakeStop, TakeStop]


async def test_a_stop_that_nobody_takes_is_a_failure_within_thirty_seconds_and_says_what_else_there_is(
    tmp_path, kit, autojump_clock, monkeypatch
):
    async with kit.open_desk(tmp_path) as desk:
        busy = Busy(None, troubles_of(*[UnknownActor] * 10_000))
        monkeypatch.setattr(type(desk.services.system), "ref", lambda _self, _name: busy)
        answer = await desk.call("POST", STOP)
        said = await answer.get_json()
        assert (answer.status_code, said["error"]) == (500, "error_stop_not_taken")
        assert said["reason"].startswith("whether the stop was taken is not known")  # it may still be, in a mailbox
        assert trio.current_time() <= 30


async def test_a_stop_is_taken_while_the_platform_goes_down(desk):
    desk.face.doors.draining = True
    assert (await desk.call("GET", "/readyz", role=None)).status_code == 503
    assert (await desk.call("POST", STOP)).status_code == 200
