"""Calls to the platform over HTTP, on trio."""

from wire.http import HttpClient, HttpError, Response
from wire.sdk.platform import (
    CALL_TIMEOUT,
    Call,
    Credential,
    PlatformConfig,
    Token,
    config_answer,
    config_call,
    token_answer,
    token_call,
    unreachable,
)


async def fetch_token(http: HttpClient, credential: Credential) -> Token:
    """A fresh engine token. Raises Unwelcome or PlatformAway."""
    response = await _ask(http, credential, token_call(credential))
    return token_answer(response.status, response.body)


async def fetch_config(http: HttpClient, credential: Credential, token: Token) -> PlatformConfig:
    """What the platform keeps for this engine. Raises NoConfiguration, ConfigurationError (sealed to another key),
    Unwelcome or PlatformAway."""
    response = await _ask(http, credential, config_call(credential, token))
    return config_answer(credential, response.status, response.body)


async def _ask(http: HttpClient, credential: Credential, call: Call) -> Response:
    try:
        return await http.request(call.method, call.url, call.headers, call.body, timeout=CALL_TIMEOUT)
    except HttpError as error:
        raise unreachable(credential) from error
