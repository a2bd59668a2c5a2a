"""Broker keys are tried at the broker, and what comes back repeats no key."""

import pytest

from actors.engine.tokens import TokenTooSoon
from actors.web import validation
from wire.rest import Check

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


async def test_all_three_checks_make_keys_valid(desk, monkeypatch):
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
    import trio

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
