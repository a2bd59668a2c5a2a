"""Do these broker keys work? Format first, then a real token and a real balance call at the broker itself.

The host comes from a fixed table, or from the caller's own trusted configuration, never from what is being validated.
The token is taken from, and left in, the cache that the engines of this machine share.
"""

import re
import time
from pathlib import Path

import attrs

from actors.engine.kis import KisAccount, KisClient
from actors.engine.throttle import RateWindow, Throttle
from actors.engine.tokens import TokenCache, TokenTooSoon
from wire.http import HttpClient
from wire.kis.codes import SERVICES, Profile
from wire.rest.settings import BrokerageCredentials, BrokerageType, Check
from wire.sdk.errors import EngineError

_APP_KEY = re.compile(r"[\x21-\x7e]{36}")
_APP_SECRET = re.compile(r"[\x21-\x7e]{180}")
_ACCOUNT = re.compile(r"[0-9]{8}-?[0-9]{2}")


@attrs.frozen(kw_only=True)
class ValidationSetup:
    """``token_folder``: where engines share tokens. ``rest_url``: another host than the broker's own, for a simulator;
    from trusted configuration only."""

    token_folder: Path
    rest_url: str = ""


async def validate_credentials(credentials: BrokerageCredentials, setup: ValidationSetup) -> list[Check]:
    """The checks ``format``, ``token`` and ``account`` in this order, ending with the first that fails.

    Raises TokenTooSoon when the broker issued a token for these keys less than a minute ago and none is cached.
    """
    checks = [_format(credentials)]
    if not checks[0].ok:
        return checks
    account = _account(credentials, setup)
    async with HttpClient(max_connections=2) as http:
        client = _client(account, setup, http)
        checks.append(await _token(client))
        if checks[-1].ok:
            checks.append(await _balance(client))
    return checks


def _format(credentials: BrokerageCredentials) -> Check:
    began = time.monotonic()
    reason = _format_problem(credentials)
    return _check("format", reason is None, reason or "the keys and the account have the broker's form", began)


def _format_problem(credentials: BrokerageCredentials) -> str | None:
    if credentials.brokerage_type is not BrokerageType.KIS:
        return f"no connector for {credentials.brokerage_type.value}: nothing can be checked"
    if not _APP_KEY.fullmatch(credentials.api_key):
        return "an app key has 36 characters"
    if not _APP_SECRET.fullmatch(credentials.api_secret):
        return "an app secret has 180 characters"
    if not _ACCOUNT.fullmatch(credentials.account_number):
        return "an account number is ten digits, written 12345678-01"
    return None


async def _token(client: KisClient) -> Check:
    began = time.monotonic()
    try:
        await client.token()
    except TokenTooSoon:
        raise
    except EngineError as error:
        return _check("token", False, error.reason, began)
    return _check("token", True, "the broker gave a token for these keys", began)


async def _balance(client: KisClient) -> Check:
    began = time.monotonic()
    try:
        balance = await client.balance()
    except EngineError as error:
        return _check("account", False, error.reason, began)
    return _check("account", True, f"the account answers and holds {len(balance.holdings)} stocks", began)


def _check(name: str, ok: bool, reason: str, began: float) -> Check:
    return Check(name=name, ok=ok, reason=reason, ms=int((time.monotonic() - began) * 1000))


def _account(credentials: BrokerageCredentials, setup: ValidationSetup) -> KisAccount:
    return KisAccount(
        profile=Profile(credentials.profile),
        app_key=credentials.api_key,
        app_secret=credentials.api_secret,
        account=credentials.account_number.replace("-", ""),
        rest_url=setup.rest_url,
    )


def _client(account: KisAccount, setup: ValidationSetup, http: HttpClient) -> KisClient:
    rate = SERVICES[account.profile].calls_per_second
    tokens = TokenCache(setup.token_folder, host=account.rest, app_key=account.app_key, wall=time.time)
    return KisClient(account, http=http, tokens=tokens, throttle=Throttle(RateWindow(rate)))
