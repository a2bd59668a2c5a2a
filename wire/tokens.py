"""Access tokens: HS256 JSON Web Tokens with one verify function and every known way around it closed.

PyJWT checks the signature. The rest is checked here, because PyJWT 2 accepts duplicate claims, an ``exp`` that is a
string or 1e30, an audience list that contains ours, tokens of 64 KiB and tokens without the claims nobody asked for
(RFC 8725, sections 2 and 3). Times are UNIX seconds; ``leeway`` covers clocks that disagree.
"""

import base64
import binascii
import re
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import jwt

from wire.codec import parse, structure
from wire.errors import Unauthorized, WireError
from wire.schema import C, message

USER = "user"
ENGINE = "engine"
LIFETIME_S = 15 * 60
MAX_LIFETIME_S = 60 * 60
MAX_TOKEN_BYTES = 4096
MIN_KEY_BYTES = 32
LEEWAY_S = 30

UnixSeconds = Annotated[int, C(ge=0, le=2**40)]
# The last of the 43 characters carries two unused bits: one spelling of a token, not four.
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@message
class Claims:
    """What a verified token says. ``auth_time`` is when the person last proved who they are, not when it was issued."""

    iss: str
    aud: str
    sub: Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
    jti: Annotated[str, C(pattern=r"[A-Za-z0-9_-]{16,64}")]
    iat: UnixSeconds
    nbf: UnixSeconds
    exp: UnixSeconds
    username: Annotated[str, C(max_length=200)] | None = None
    role: Annotated[str, C(max_length=16)] | None = None
    auth_time: UnixSeconds | None = None
    family: Annotated[str, C(max_length=64)] | None = None
    generation: Annotated[int, C(ge=0)] = 0


@message
class _Header:
    alg: Annotated[str, C(pattern="HS256")]
    typ: Annotated[str, C(pattern="(user|engine)\\+jwt")]


@attrs.frozen(kw_only=True)
class Issued:
    """A fresh token; ``expires_in`` in seconds."""

    token: str = attrs.field(repr=False)
    claims: Claims
    expires_in: int


class TokenKeys:
    """Signs and verifies. ``previous`` keys still verify, so a key can be replaced without ending every session.

    Keys are at least 32 random bytes (RFC 7518, 3.2); ``clock`` gives UNIX seconds.
    """

    def __init__(
        self,
        key: bytes,
        *,
        previous: tuple[bytes, ...] = (),
        issuer: str = "watchkeeper",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if any(len(k) < MIN_KEY_BYTES for k in (key, *previous)):
            raise ValueError(f"a token key has at least {MIN_KEY_BYTES} bytes")
        self._keys = (key, *previous)
        self._issuer = issuer
        self._clock = clock

    def __repr__(self) -> str:
        return f"<TokenKeys of {self._issuer}>"

    def issue_user(
        self,
        user_id: str,
        *,
        username: str,
        role: str,
        auth_time: int,
        family: str | None = None,
        generation: int = 0,
        lifetime: int = LIFETIME_S,
    ) -> Issued:
        """A token for a person; ``family`` is that of the refresh token, ``generation`` counts their revocations."""
        extra = {"username": username, "role": role, "auth_time": auth_time, "generation": generation}
        return self._issue(USER, user_id, lifetime, extra if family is None else {**extra, "family": family})

    def issue_engine(self, engine_id: str, *, generation: int = 0, lifetime: int = LIFETIME_S) -> Issued:
        return self._issue(ENGINE, engine_id, lifetime, {"generation": generation})

    def verify(self, token: str, audience: str, *, leeway: int = LEEWAY_S, grace: int = 0) -> Claims:
        """The claims, or Unauthorized. ``grace`` seconds are added to the life: for a stop while the database is away.

        The reason never says which key or claim a forger should try next; expiry alone has its own code.
        """
        claims = self._signed_claims(token, audience)
        now = self._clock()
        if claims.iss != self._issuer or claims.aud != audience:
            raise _invalid()
        if not 0 < claims.exp - claims.iat <= MAX_LIFETIME_S or max(claims.iat, claims.nbf) > now + leeway:
            raise _invalid()
        if claims.exp + leeway + grace <= now:
            raise Unauthorized("the token has expired", code="error_token_expired")
        return claims

    def _issue(self, audience: str, subject: str, lifetime: int, extra: dict[str, Any]) -> Issued:
        if not 0 < lifetime <= MAX_LIFETIME_S:
            raise ValueError(f"a token lives 1 to {MAX_LIFETIME_S} s")
        now = int(self._clock())
        body = {
            "iss": self._issuer,
            "aud": audience,
            "sub": subject,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            **extra,
        }
        claims = structure(body, Claims)
        token = jwt.encode(body, self._keys[0], algorithm="HS256", headers={"typ": f"{audience}+jwt"})
        return Issued(token=token, claims=claims, expires_in=lifetime)

    def _signed_claims(self, token: str, audience: str) -> Claims:
        if len(token) > MAX_TOKEN_BYTES or not _PARTS.fullmatch(token):
            raise _invalid()
        if not any(_signature_holds(token, key) for key in self._keys):
            raise _invalid()
        head, body, _ = token.split(".")
        try:
            header, claims = _read(head), structure(_read(body), Claims)
            if set(header) != {"alg", "typ"} or structure(header, _Header).typ != f"{audience}+jwt":
                raise _invalid()
        except WireError:
            raise _invalid() from None
        return claims


# The signature alone: what is signed is read and checked above, with a clock and rules of its own.
_SIGNATURES = jwt.PyJWS(algorithms=["HS256"])


def _signature_holds(token: str, key: bytes) -> bool:
    try:
        _SIGNATURES.decode(token, key, algorithms=["HS256"])
    except (jwt.PyJWTError, ValueError, NotImplementedError):
        return False
    return True


def _read(part: str) -> dict[str, Any]:
    try:
        text = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    return parse(text, max_bytes=MAX_TOKEN_BYTES, max_depth=3)


def _invalid() -> Unauthorized:
    return Unauthorized("the token is not valid", code="error_token_invalid")
