"""Who calls, and whether they may. Every token is checked here and nowhere else on the web face."""

from datetime import UTC, datetime

import attrs

from actors.live.session import TokenRefused
from actors.platform.services import Services
from actors.requests import Principal
from actors.web.problems import Problem
from actors.web.table import Call, Caller
from wire.errors import Unauthorized
from wire.rest.access import Role
from wire.tokens import ENGINE, USER, Claims

GRACE = 12 * 3600
"""Seconds past its end for which a token still takes a stop while the database is away."""


def admit(call: Call) -> Call:
    """The call with who makes it. Raises Problem 401 or 403."""
    token = _bearer(call)
    match call.route.caller:
        case Caller.ANYONE:
            return call if token is None else _optional(call, token)
        case Caller.ENGINE:
            return attrs.evolve(call, claims=_engine(call, _present(token)))
        case Caller.PERSON:
            return _person(call, _present(token))


def _bearer(call: Call) -> str | None:
    scheme, _, token = (call.header("authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _present(token: str | None) -> str:
    if token is None:
        raise Problem(401, "error_unauthorized", "sign in: an access token is needed")
    return token


def _optional(call: Call, token: str) -> Call:
    """A route for anyone may still be told who calls; a bad token is then as good as none."""
    try:
        return _person(call, token)
    except Problem:
        return call


def _person(call: Call, token: str) -> Call:
    claims, degraded = _user_claims(call, token)
    if call.services.denied.refuses(claims):
        raise Problem(401, "error_session_over", "this session has ended: sign in again")
    principal = principal_of(claims, origin=call.remote, degraded=degraded)
    if not principal.role.may(call.route.role):
        raise Problem(403, "error_forbidden", f"this needs the role {call.route.role.value}")
    return attrs.evolve(call, claims=claims, principal=principal)


def _user_claims(call: Call, token: str) -> tuple[Claims, bool]:
    tokens = call.services.tokens
    try:
        return tokens.verify(token, USER), False
    except Unauthorized as error:
        if error.code == "error_token_expired" and call.route.grace and database_is_away(call.services):
            return _in_grace(call, token), True
        if _is_for(call.services, token, ENGINE):
            raise Problem(403, "error_forbidden", "an engine's token may not do this") from None
        raise Problem(401, error.code, error.reason) from None


def _in_grace(call: Call, token: str) -> Claims:
    try:
        return call.services.tokens.verify(token, USER, grace=GRACE)
    except Unauthorized as error:
        raise Problem(401, error.code, error.reason) from None


def _engine(call: Call, token: str) -> Claims:
    try:
        claims = call.services.tokens.verify(token, ENGINE)
    except Unauthorized as error:
        if _is_for(call.services, token, USER):
            raise Problem(403, "error_forbidden", "only an engine may read this") from None
        raise Problem(401, error.code, error.reason) from None
    if call.services.denied.refuses(claims) or call.services.enrolled.get(claims.sub) is None:
        raise Problem(401, "error_session_over", "this engine's token counts no more")
    return claims


def _is_for(services: Services, token: str, audience: str) -> bool:
    try:
        services.tokens.verify(token, audience)
    except Unauthorized:
        return False
    return True


def database_is_away(services: Services) -> bool:
    return services.db.down_since is not None or services.degraded.is_degraded("database")


def principal_of(claims: Claims, *, origin: str, degraded: bool = False) -> Principal:
    """The person a verified token speaks for. Raises Problem 401 for a role this platform does not know."""
    try:
        role = Role(claims.role)
    except ValueError:
        raise Problem(401, "error_token_invalid", "the token is not valid") from None
    return Principal(
        user_id=claims.sub,
        username=claims.username or claims.sub,
        role=role,
        auth_time=datetime.fromtimestamp(claims.auth_time or 0, UTC),
        origin=origin,
        degraded=degraded,
    )


def check_for_link(services: Services, token: str) -> Claims:
    """The check of the UI link's hello and auth."""
    try:
        claims = services.tokens.verify(token, USER)
    except Unauthorized as error:
        raise TokenRefused(expired=error.code == "error_token_expired") from None
    if services.denied.refuses(claims):
        raise TokenRefused(expired=False)
    return claims
