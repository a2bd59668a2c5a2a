"""Who may ask, how people and engines sign in, and what a refusal says."""

from enum import Enum
from typing import Annotated

from wire.schema import C, message
from wire.stops import Identifier
from wire.values import ErrorCode, Text

Password = Annotated[str, C(secret=True, min_length=1, max_length=1024)]
Credential = Annotated[str, C(secret=True, min_length=1, max_length=1024)]


class Role(Enum):
    """viewer < operator < risk < admin; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    RISK = "risk"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@message
class ErrorBody:
    error: ErrorCode
    reason: Text
    field: Text | None = None


@message
class LoginRequest:
    username: Annotated[str, C(min_length=1, max_length=64)]
    password: Password
    totp: Annotated[str, C(secret=True, max_length=16)] | None = None


@message
class StepUpRequest:
    password: Password
    totp: Annotated[str, C(secret=True, max_length=16)] | None = None


@message
class User:
    id: Identifier
    username: Annotated[str, C(max_length=64)]
    role: Role


@message
class TokenAnswer:
    access_token: Annotated[str, C(secret=True)]
    expires_in: Annotated[int, C(unit="s")]
    token_type: str = "Bearer"
    user: User | None = None


@message
class EngineTokenRequest:
    engine_id: Identifier
    secret: Credential
