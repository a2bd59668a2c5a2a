"""Signing in and out. The access token goes into the answer, the refresh token into a cookie no script can read.

A refresh token rotates at each use; one that is used again was stolen and ends its session. Passwords are only looked
at after the throttle said yes, one at a time, and with the same work for a user that does not exist.
"""

import secrets
from datetime import UTC, datetime, timedelta

import trio

from actors.platform.services import Services
from actors.web.names import COOKIE
from actors.web.problems import Problem, unavailable
from actors.web.table import Answer, Call, Caller, Cookie, Route
from actors.web.throttle import Key, login_keys, session_key
from actors.web.totp import matches
from store import audit, sessions, users
from store.database import Connection
from store.engines import secret_hash
from store.errors import Unavailable
from store.users import UserRow
from wire.rest.access import EngineTokenRequest, LoginRequest, StepUpRequest, TokenAnswer, User
from wire.schema import message
from wire.values import Text

LIFETIME = timedelta(hours=12)
"""How long one login lasts at most, however often it is refreshed: a trading day."""


@message
class Nothing:
    """A body whose content does not matter."""

    note: Text | None = None


async def log_in(call: Call) -> Answer:
    request: LoginRequest = call.body
    keys = login_keys(request.username, call.remote)
    _throttle(call, keys)
    user = await call.services.db.run(users.find, request.username)
    if not await _proven(call, user, request.password, request.totp) or user is None:
        call.doors.throttle.failed(keys, trio.current_time())
        raise _wrong()
    call.doors.throttle.succeeded(keys)
    if call.doors.passwords.is_outdated(user.password_hash):
        await call.services.db.run(users.rehash, user.id, await call.doors.passwords.hash(request.password))
    refresh, now = secrets.token_urlsafe(32), datetime.now(UTC)
    session = await call.services.db.run(_begin, user, refresh, now, call.remote, tx={})
    answer = _token(call.services, user, session.id, now)
    return Answer(value=answer, cookie=Cookie(value=refresh, max_age=int(LIFETIME.total_seconds())))


async def _begin(conn: Connection, user: UserRow, refresh: str, now: datetime, origin: str) -> sessions.LoginSession:
    session = await sessions.begin(conn, secrets.token_hex(12), user.id, refresh, now, now + LIFETIME, origin)
    await audit.append(conn, actor=user.id, action="login", target=f"session:{session.id}", detail={"from": origin})
    return session


def _wrong() -> Problem:
    return Problem(401, "error_bad_credentials", "the name, the password or the code is wrong")


def _throttle(call: Call, keys: tuple[Key, ...]) -> None:
    wait = call.doors.throttle.wait(keys, trio.current_time())
    if wait > 0:
        seconds = str(max(1, round(wait)))
        raise Problem(
            429,
            "error_too_many_attempts",
            f"too many failures: try again in {seconds} s",
            headers={"Retry-After": seconds},
        )


async def _proven(call: Call, user: UserRow | None, password: str, code: str | None) -> bool:
    """The password and, where the user has one, the code. The same work whatever is wrong."""
    stored = user.password_hash if user is not None and user.enabled else None
    right = await call.doors.passwords.verify(password, stored)
    if not right or user is None or user.totp is None:
        return right
    secret = call.services.keyring.open(user.totp, "users", user.id, "totp")
    return matches(secret, code or "", datetime.now(UTC).timestamp())


def _token(services: Services, user: UserRow, session_id: str, auth_time: datetime) -> TokenAnswer:
    services.denied.require_generation(user.id, user.token_epoch)
    issued = services.tokens.issue_user(
        user.id,
        username=user.username,
        role=user.role.value,
        auth_time=int(auth_time.timestamp()),
        family=session_id,
        generation=user.token_epoch,
    )
    shown = User(id=user.id, username=user.username, role=user.role)
    return TokenAnswer(access_token=issued.token, expires_in=issued.expires_in, user=shown)


async def refresh(call: Call) -> Answer:
    _only_from_here(call)
    old = _cookie(call)
    if old is None:
        raise _over()
    new, now = secrets.token_urlsafe(32), datetime.now(UTC)
    done = await call.services.db.run(sessions.refresh, old, new, now, tx={})
    user = None if done is None else await call.services.db.run(users.get, done.session.user_id)
    if done is None or user is None or not user.enabled:
        raise _over()
    answer = _token(call.services, user, done.session.id, done.session.auth_time)
    claims = call.services.tokens.verify(answer.access_token, "user")
    if call.services.denied.refuses(claims):
        raise _over()
    left = int((done.session.expires_at - now).total_seconds())
    return Answer(value=answer, cookie=Cookie(value=new, max_age=left) if done.rotated else None)


def _over() -> Problem:
    return Problem(401, "error_session_over", "there is no session: sign in")


def _cookie(call: Call) -> str | None:
    value = call.cookies.get(f"__Host-{COOKIE}" if call.secure else COOKIE)
    return value if value and len(value) <= 128 else None


def _only_from_here(call: Call) -> None:
    if call.doors.is_from_elsewhere(call.headers):
        raise Problem(403, "error_origin", "this page may not use the session")


async def log_out(call: Call) -> Answer:
    """Ends the session at once for its access tokens and its open links, and for ever in the database."""
    _only_from_here(call)
    now = datetime.now(UTC)
    family = call.claims.family if call.claims else None
    if family is not None:
        call.services.denied.end_session(family, now.timestamp())
    try:
        if family is not None:
            await call.services.db.run(_end, family, call.claims.sub if call.claims else "", now, tx={})
        elif (token := _cookie(call)) is not None:
            ended = await call.services.db.run(sessions.revoke_by_token, token, now)
            if ended is not None:
                call.services.denied.end_session(ended, now.timestamp())
    except Unavailable:
        raise unavailable("signed out here; the database is away, so sign out again when it is back") from None
    return Answer(status=204, cookie=Cookie(value="", max_age=0))


async def _end(conn: Connection, session_id: str, user_id: str, now: datetime) -> None:
    if await sessions.revoke(conn, session_id, now):
        await audit.append(conn, actor=user_id, action="logout", target=f"session:{session_id}", detail={})


async def step_up(call: Call) -> Answer:
    """The password again, for what needs a fresh proof of who is there."""
    who, claims = call.who, call.claims
    keys = session_key(claims.family if claims and claims.family else who.user_id)
    _throttle(call, keys)
    user = await call.services.db.run(users.get, who.user_id)
    if not await _proven(call, user, call.body.password, call.body.totp) or user is None:
        call.doors.throttle.failed(keys, trio.current_time())
        raise _wrong()
    call.doors.throttle.succeeded(keys)
    now = datetime.now(UTC)
    session_id = claims.family if claims and claims.family else secrets.token_hex(12)
    await call.services.db.run(_stepped_up, session_id, user.id, now, tx={})
    return Answer(value=_token(call.services, user, session_id, now))


async def _stepped_up(conn: Connection, session_id: str, user_id: str, now: datetime) -> None:
    await sessions.step_up(conn, session_id, now)
    await audit.append(conn, actor=user_id, action="step_up", target=f"session:{session_id}", detail={})


def issue_engine_token(services: Services, request: EngineTokenRequest) -> TokenAnswer:
    """For both listeners. Needs no database; a secret has 256 bits, so guessing needs no throttle. Raises Problem."""
    enrolled = services.enrolled.get(request.engine_id)
    if enrolled is None and not services.enrolled.is_complete:
        raise unavailable("which engines there are is not known yet")
    key = services.keyring.derive("engine secrets")
    hashed = secret_hash(key, request.engine_id, request.secret)
    if enrolled is None or not secrets.compare_digest(hashed, enrolled.secret_hash):
        if enrolled is not None:
            services.refusals.note(enrolled.engine_id, trio.current_time())
        raise Problem(401, "error_bad_credentials", "the engine or its secret is not known")
    generation = services.denied.generation(request.engine_id)
    issued = services.tokens.issue_engine(request.engine_id, generation=generation)
    return TokenAnswer(access_token=issued.token, expires_in=issued.expires_in)


async def engine_token(call: Call) -> Answer:
    return Answer(value=issue_engine_token(call.services, call.body))


async def recall_denials(services: Services) -> None:
    """What a restarted platform has to deny, from the database. Raises StoreError."""
    since = datetime.now(UTC) - timedelta(hours=13)
    for user in await services.db.run(users.everyone):
        services.denied.require_generation(user.id, user.token_epoch)
    for session_id in await services.db.run(sessions.revoked_since, since):
        services.denied.end_session(session_id, datetime.now(UTC).timestamp())


ROUTES = (
    Route(
        method="POST",
        path="/api/auth/login",
        handler=log_in,
        doc="Sign in. The refresh token comes as a cookie.",
        caller=Caller.ANYONE,
        body=LoginRequest,
        answer=TokenAnswer,
        refusals=(401, 429),
        sets=("Set-Cookie",),
    ),
    Route(
        method="POST",
        path="/api/auth/refresh",
        handler=refresh,
        doc="A new access token for the cookie of the session, which rotates.",
        caller=Caller.ANYONE,
        body=Nothing,
        optional_body=True,
        answer=TokenAnswer,
        refusals=(403,),
        sets=("Set-Cookie",),
        cookie=True,
    ),
    Route(
        method="POST",
        path="/api/auth/logout",
        handler=log_out,
        doc="End the session.",
        caller=Caller.ANYONE,
        body=Nothing,
        optional_body=True,
        status=204,
        refusals=(403,),
        sets=("Set-Cookie",),
        cookie=True,
    ),
    Route(
        method="POST",
        path="/api/auth/step-up",
        handler=step_up,
        doc="A token with a fresh auth_time.",
        body=StepUpRequest,
        answer=TokenAnswer,
        refusals=(429,),
    ),
    Route(
        method="POST",
        path="/api/auth/engine-token",
        handler=engine_token,
        doc="An engine's access token for its id and secret.",
        caller=Caller.ANYONE,
        body=EngineTokenRequest,
        answer=TokenAnswer,
        refusals=(401,),
    ),
)
