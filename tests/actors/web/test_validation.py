"""Broker keys are tried at the broker, and what comes back repeats no key."""

from functools import partial

import pytest
import trio

from actors.engine import validate
from actors.engine.tokens import TokenTooSoon
from actors.web import validation
from store import settings
from wire.http import HttpClient
from wire.rest.settings import BrokerageCredentials, BrokerageType, Check

KEYS = {"api_key": "k" * 36, "api_secret": "s" * 180, "account_number": "12345678-01"}


async def ask(desk, **changes):
    response = await desk.call("POST", "/api/settings/validate", body={"brokerage_type": "kis", **KEYS, **changes})
    return response, await response.get_json()


async def test_a_broker_without_an_interface_is_said_clearly(desk):
    _, answer = await ask(desk, brokerage_type="samsung")
    assert answer["is_valid"] is False
    assert "no public trading API" in answer["errors"][0]


async def test_keys_of_a_wrong_form_are_never_sent(desk):
    _, answer = await ask(desk, api_key="short")
    assert [check["name"] for check in answer["checks"]] == ["format"]
    assert answer["is_valid"] is False


@pytest.mark.parametrize("away", [False, True])
async def test_all_three_checks_make_keys_valid_and_a_database_that_is_away_changes_nothing(desk, monkeypatch, away):
    desk.db.answers[settings.note_validated] = []
    if away:
        desk.db.fall()

    async def passes(credentials, setup):
        return [Check(name=name, ok=True, reason="fine", ms=1) for name in ("format", "token", "account")]

    monkeypatch.setattr(validation, "validate_credentials", passes)
    _, answer = await ask(desk)
    assert (answer["is_valid"], answer["errors"], answer["warnings"]) == (True, [], ["these keys trade real money"])


async def test_what_the_broker_repeats_of_a_key_is_not_shown(desk, monkeypatch):
    async def repeats(credentials, setup):
        return [Check(name="token", ok=False, reason=f"unknown key {credentials.api_key}", ms=1)]

    monkeypatch.setattr(validation, "validate_credentials", repeats)
    response, answer = await ask(desk)
    assert answer["errors"] == ["token: unknown key ***"]


async def test_a_second_token_within_the_minute_is_not_asked_for(desk, monkeypatch):
    async def too_soon(credentials, setup):
        raise TokenTooSoon(42.0)

    monkeypatch.setattr(validation, "validate_credentials", too_soon)
    response, answer = await ask(desk)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "42")
    assert answer["error"] == "error_token_too_soon"


async def test_a_broker_that_does_not_answer_is_not_waited_for_for_ever(tmp_path, kit, autojump_clock, monkeypatch):
    async def hangs(credentials, setup):
        await trio.sleep_forever()

    monkeypatch.setattr(validation, "validate_credentials", hangs)
    async with kit.open_desk(tmp_path) as desk:
        _, answer = await ask(desk)
    assert answer["errors"] == ["token: the broker did not answer in time"]


@pytest.mark.parametrize("field, value", [("brokerage_type", "nobody"), ("profile", "test"), ("account_number", "")])
async def test_a_field_out_of_its_range_is_named(desk, field, value):
    response, answer = await ask(desk, **{field: value})
    assert (response.status_code, answer["field"]) == (422, field)


ELSEWHERE = ("http://127.0.0.1:8702/", "http://169.254.169.254/latest/meta-data", "http://[::1]:5432", "file:///etc")


@pytest.mark.parametrize(
    "profile, host", [("real", "openapi.koreainvestment.com"), ("mock", "openapivts.koreainvestment.com")]
)
@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_no_body_decides_which_host_is_asked(desk, monkeypatch, profile, host, elsewhere):
    asked = []

    async def connect(name, port):
        await trio.lowlevel.checkpoint()
        asked.append((name, port))
        raise OSError("nobody there")

    monkeypatch.setattr(validate, "HttpClient", partial(HttpClient, connect=connect))
    names = ("url", "rest_url", "kis_url", "host", "base_url", "endpoint", "proxy", "redirect", "tokens")
    _, answer = await ask(desk, profile=profile, **dict.fromkeys(names, elsewhere))
    assert {name for name, _ in asked} == {host}
    assert [(c["name"], c["ok"]) for c in answer["checks"]] == [("format", True), ("token", False)]
    for field in ("account_number", "api_key"):
        _, answer = await ask(desk, **{field: elsewhere[:32]})
        assert [c["name"] for c in answer["checks"]] == ["format"]
    assert {name for name, _ in asked} == {host}


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_redirect_of_the_broker_is_not_followed(tmp_path, nursery, monkeypatch, elsewhere):
    asked = []

    async def redirect(stream):
        async for _ in stream:
            await stream.send_all(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode())

    async def connect(name, port):
        await trio.lowlevel.checkpoint()
        asked.append((name, port))
        mine, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(redirect, theirs)
        return mine

    monkeypatch.setattr(validate, "HttpClient", partial(HttpClient, connect=connect))
    keys = BrokerageCredentials(brokerage_type=BrokerageType.KIS, **KEYS)
    result = await validation.validate(keys, tokens=tmp_path, url="http://broker.test:9443")
    assert not result.is_valid
    assert set(asked) == {("broker.test", 9443)}
