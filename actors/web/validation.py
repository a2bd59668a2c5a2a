"""Are these broker keys good? The engine's own connector asks the broker; here its answer becomes the API's.

The broker issues one token a minute for a key and tells the account holder each time, so a token that is still good is
shared with the engines, and a second issue within the minute is refused with 429.
"""

from pathlib import Path

import trio

from actors.engine.tokens import TokenTooSoon
from actors.engine.validate import ValidationSetup, validate_credentials
from actors.web.problems import Problem
from wire.rest.settings import BrokerageCredentials, BrokerageType, Check, ValidationResult

PATIENCE = 25.0
"""Seconds for everything the broker is asked."""
NO_API = "Samsung Securities offers no public trading API, so its keys cannot be used here"


async def validate(credentials: BrokerageCredentials, *, tokens: Path, url: str | None = None) -> ValidationResult:
    """``tokens``: the folder of shared tokens. ``url``: where the broker is, instead of its own host (trusted).

    Raises Problem 429 when the broker would have to issue a second token within a minute.
    """
    if credentials.brokerage_type is BrokerageType.SAMSUNG:
        return result_of([Check(name="format", ok=False, reason=NO_API, ms=0)], credentials)
    setup = ValidationSetup(token_folder=tokens, rest_url=url or "")
    with trio.move_on_after(PATIENCE):
        try:
            return result_of(await validate_credentials(credentials, setup), credentials)
        except TokenTooSoon as soon:
            wait = str(max(1, round(soon.wait)))
            raise Problem(429, "error_token_too_soon", soon.reason, headers={"Retry-After": wait}) from None
    late = Check(name="token", ok=False, reason="the broker did not answer in time", ms=round(PATIENCE * 1000))
    return result_of([late], credentials)


def result_of(checks: list[Check], credentials: BrokerageCredentials) -> ValidationResult:
    """Valid only when every check was made and passed. What the broker repeats of the keys is not shown."""
    shown = [_without_keys(check, credentials) for check in checks]
    passed = {check.name for check in shown if check.ok}
    errors = [f"{check.name}: {check.reason}" for check in shown if not check.ok]
    return ValidationResult(
        is_valid=passed == {"format", "token", "account"} and not errors,
        errors=errors,
        warnings=["these keys trade real money"] if credentials.profile == "real" else [],
        checks=shown,
    )


def _without_keys(check: Check, credentials: BrokerageCredentials) -> Check:
    reason = check.reason
    for secret in (credentials.api_key, credentials.api_secret):
        reason = reason.replace(secret, "***")
    return Check(name=check.name, ok=check.ok, reason=reason[:2000], ms=check.ms)
