"""Are these broker keys good? First their form, then the broker's own answer to a token and a balance call.

The broker issues one token a minute for a key and tells the account holder each time, so a token that is still good is
shared with the engines, and a second issue within the minute is refused here with 429.
"""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import trio

from actors.engine.errors import EngineError
from actors.engine.kis import KisAccount, KisClient
from actors.engine.throttle import RateWindow, Throttle
from actors.engine.tokens import TokenCache, TokenTooSoon
from actors.web.problems import Problem
from wire.http import HttpClient
from wire.kis.codes import SERVICES, Profile
from wire.rest import BrokerageCredentials, BrokerageType, Check, ValidationResult

PATIENCE = 25.0
"""Seconds for everything the broker is asked."""


@attrs.frozen(kw_only=True)
class Shape:
    """What keys of a broker look like, with words for a person."""

    key: str
    secret: str
    account: str
    account_words: str


SHAPES = {
    BrokerageType.KIS: Shape(
        key=r"[A-Za-z0-9_-]{16,64}",
        secret=r"[A-Za-z0-9+/=_-]{16,256}",
        account=r"[0-9]{8}-?[0-9]{2}",
        account_words="8 digits and the 2 of the product, like 12345678-01",
    ),
    BrokerageType.KIWOOM: Shape(
        key=r"[A-Za-z0-9_-]{16,128}",
        secret=r"[A-Za-z0-9+/=_-]{16,256}",
        account=r"[0-9]{8}(-?[0-9]{2})?",
        account_words="8 or 10 digits",
    ),
}
NO_API = "Samsung Securities offers no public trading API, so its keys cannot be used here"
NO_CALL = "there is no connection to this broker in this version, so its keys cannot be tried"


def check_form(credentials: BrokerageCredentials) -> Check:
    """Pure. The reason names the field and repeats no value."""
    shape = SHAPES.get(credentials.brokerage_type)
    if shape is None:
        return Check(name="format", ok=False, reason=NO_API, ms=0)
    wrong = []
    if not re.fullmatch(shape.key, credentials.api_key, re.ASCII):
        wrong.append("api_key does not look like a key of this broker")
    if not re.fullmatch(shape.secret, credentials.api_secret, re.ASCII):
        wrong.append("api_secret does not look like a secret of this broker")
    if not re.fullmatch(shape.account, credentials.account_number, re.ASCII):
        wrong.append(f"account_number has to be {shape.account_words}")
    return Check(name="format", ok=not wrong, reason="; ".join(wrong) or "looks right", ms=0)


async def validate(credentials: BrokerageCredentials, *, tokens: Path, url: str | None = None) -> ValidationResult:
    """``tokens``: the folder of shared tokens. ``url``: where the broker is, instead of its own host (trusted).

    Raises Problem 429 when the broker would have to issue a second token within a minute.
    """
    form = check_form(credentials)
    if not form.ok:
        return _result([form])
    if credentials.brokerage_type is not BrokerageType.KIS:
        return _result([form, Check(name="token", ok=False, reason=NO_CALL, ms=0)])
    async with HttpClient() as http:
        client = _client(credentials, http, tokens, url)
        with trio.move_on_after(PATIENCE):
            hidden = (credentials.api_key, credentials.api_secret, credentials.account_number)
            token = await _timed("token", client.token, hidden)
            checks = [form, token]
            if token.ok:
                checks.append(await _timed("account", client.balance, hidden))
            return _result(checks, warnings=_warnings(credentials))
    return _result([form, Check(name="token", ok=False, reason="the broker did not answer in time", ms=25_000)])


def _client(credentials: BrokerageCredentials, http: HttpClient, tokens: Path, url: str | None) -> KisClient:
    profile = Profile(credentials.profile)
    account = KisAccount(
        profile=profile,
        app_key=credentials.api_key,
        app_secret=credentials.api_secret,
        account=credentials.account_number.replace("-", ""),
        rest_url=url or "",
    )
    cache = TokenCache(tokens, host=account.rest, app_key=credentials.api_key, wall=time.time)
    return KisClient(
        account, http=http, tokens=cache, throttle=Throttle(RateWindow(SERVICES[profile].calls_per_second))
    )


async def _timed(name: str, call: Callable[[], Awaitable[object]], hidden: tuple[str, ...]) -> Check:
    """One question to the broker. Its words are shown without what it may repeat of the keys."""
    began = trio.current_time()
    try:
        await call()
        ok, reason = True, "accepted"
    except TokenTooSoon as soon:
        wait = str(max(1, round(soon.wait)))
        raise Problem(429, "error_token_too_soon", soon.reason, headers={"Retry-After": wait}) from None
    except EngineError as error:
        ok, reason = False, error.reason
        for secret in hidden:
            reason = reason.replace(secret, "***")
    return Check(name=name, ok=ok, reason=reason[:2000], ms=round((trio.current_time() - began) * 1000))


def _warnings(credentials: BrokerageCredentials) -> list[str]:
    return ["these keys trade real money"] if credentials.profile == "real" else []


def _result(checks: list[Check], warnings: list[str] | None = None) -> ValidationResult:
    errors = [f"{check.name}: {check.reason}" for check in checks if not check.ok]
    done = {check.name for check in checks}
    return ValidationResult(
        is_valid=not errors and done >= {"format", "token", "account"},
        errors=errors,
        warnings=warnings or [],
        checks=checks,
    )
