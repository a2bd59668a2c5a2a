"""Bodies of the token and approval-key calls. None of their secrets appears in a repr."""

from typing import Annotated

import attrs

from wire.kis.fields import Wire

CLIENT_CREDENTIALS = "client_credentials"


@attrs.frozen(kw_only=True)
class TokenRequest:
    """``POST /oauth2/tokenP``."""

    app_key: Annotated[str, Wire("appkey")] = attrs.field(repr=False)
    app_secret: Annotated[str, Wire("appsecret")] = attrs.field(repr=False)
    grant_type: Annotated[str, Wire("grant_type")] = CLIENT_CREDENTIALS


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """A token. ``expires_at`` is ``YYYY-MM-DD HH:MM:SS`` in Korean time, ``expires_in`` seconds."""

    token: Annotated[str, Wire("access_token")] = attrs.field(repr=False)
    expires_at: Annotated[str, Wire("access_token_token_expired")]
    token_type: Annotated[str, Wire("token_type")] = "Bearer"
    expires_in: Annotated[int, Wire("expires_in")]


@attrs.frozen(kw_only=True)
class RevokeRequest:
    """``POST /oauth2/revokeP``."""

    app_key: Annotated[str, Wire("appkey")] = attrs.field(repr=False)
    app_secret: Annotated[str, Wire("appsecret")] = attrs.field(repr=False)
    token: Annotated[str, Wire("token")] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ApprovalRequest:
    """``POST /oauth2/Approval``; here the secret is called ``secretkey``."""

    app_key: Annotated[str, Wire("appkey")] = attrs.field(repr=False)
    app_secret: Annotated[str, Wire("secretkey")] = attrs.field(repr=False)
    grant_type: Annotated[str, Wire("grant_type")] = CLIENT_CREDENTIALS


@attrs.frozen(kw_only=True)
class ApprovalAnswer:
    approval_key: Annotated[str, Wire("approval_key")] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class TokenRefusal:
    """The failure body of the token endpoints."""

    code: Annotated[str, Wire("error_code")]
    text: Annotated[str, Wire("error_description")]
