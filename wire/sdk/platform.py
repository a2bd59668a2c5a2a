"""The platform as an engine reaches it over HTTP: where it is, who this engine is to it, its token, its configuration.

Nothing is sent here. A ``Call`` says what to ask; the matching ``…_answer`` says what the answer means.
"""

import base64
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from wire.sdk.errors import ConfigurationError, PlatformAway, Unwelcome

CALL_TIMEOUT = 10.0
_SCHEMES = {"http": ("http", "ws"), "ws": ("http", "ws"), "https": ("https", "wss"), "wss": ("https", "wss")}
_NO_KEYS = "the platform has no broker keys for this engine: enter them in the settings"


@attrs.frozen(kw_only=True)
class Credential:
    """The file that ``engines add`` writes. ``private_key``: X25519, only where secrets come from the platform."""

    engine_id: str
    secret: str = attrs.field(repr=False)
    account_id: str
    http_url: str
    ws_url: str
    platform_id: str | None = None
    private_key: bytes | None = attrs.field(default=None, repr=False)

    @property
    def link_url(self) -> str:
        return f"{self.ws_url}/ws/engine/{self.engine_id}"

    @property
    def place(self) -> str:
        """Host and port, for words to a person."""
        return urlsplit(self.http_url).netloc


@attrs.frozen(kw_only=True)
class Token:
    """``lives``: seconds."""

    value: str = attrs.field(repr=False)
    lives: float


@attrs.frozen(kw_only=True)
class Call:
    """One HTTP request to the platform."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


class NoConfiguration(ConfigurationError):
    """Nobody has saved anything for this engine's account."""


@attrs.frozen(kw_only=True)
class PlatformConfig:
    """What the platform keeps for this engine. ``secrets`` were opened with the engine's own private key; empty when
    the platform has none."""

    config_version: int
    account_id: str
    risk_limits: Mapping[str, Any]
    secrets: Mapping[str, str] = attrs.field(repr=False)


def read_credential(path: Path) -> Credential:
    """Raises ConfigurationError with one line that says what to do."""
    try:
        mode = path.stat().st_mode
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"credential file {path} does not exist: make it with `watchkeeper engines add NAME --account ID -o {path}`"
        ) from None
    except (OSError, ValueError):
        raise ConfigurationError(
            f"credential file {path} cannot be read: it must be the JSON that `engines add` wrote"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"credential file {path} is readable by others: chmod 600 {path}")
    return _credential(plain, path)


def _credential(plain: Any, path: Path) -> Credential:
    if not isinstance(plain, dict):
        raise ConfigurationError(f"credential file {path} must be the JSON object that `engines add` wrote")
    for name in ("platform_url", "engine_id", "secret", "account_id"):
        if not isinstance(plain.get(name), str) or not plain[name]:
            raise ConfigurationError(f"credential file {path} has no {name}")
    parts = urlsplit(plain["platform_url"])
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"credential file {path}: platform_url must be an address like http://127.0.0.1:8701")
    http, ws = _SCHEMES[parts.scheme]
    key = plain.get("private_key")
    return Credential(
        engine_id=plain["engine_id"],
        secret=plain["secret"],
        account_id=plain["account_id"],
        http_url=f"{http}://{parts.netloc}",
        ws_url=f"{ws}://{parts.netloc}",
        platform_id=plain.get("platform_id") or None,
        private_key=base64.b64decode(key) if isinstance(key, str) else None,
    )


# --- the token ---


def token_call(credential: Credential) -> Call:
    return Call(
        method="POST",
        url=f"{credential.http_url}/api/auth/engine-token",
        headers={"content-type": "application/json"},
        body=json.dumps({"engine_id": credential.engine_id, "secret": credential.secret}).encode(),
    )


def token_answer(status: int, body: bytes) -> Token:
    """Raises Unwelcome or PlatformAway."""
    plain = _usable(status, body)
    token, lives = plain.get("access_token"), plain.get("expires_in")
    if not isinstance(token, str) or not isinstance(lives, int):
        raise PlatformAway("the platform's token answer lacks its fields")
    return Token(value=token, lives=float(lives))


def unreachable(credential: Credential) -> PlatformAway:
    """What to raise when a call found nobody."""
    return PlatformAway(f"the platform at {credential.place} cannot be reached")


# --- the configuration ---


def config_call(credential: Credential, token: Token) -> Call:
    url = f"{credential.http_url}/api/engine/config"
    return Call(method="GET", url=url, headers={"authorization": f"Bearer {token.value}"})


def config_answer(credential: Credential, status: int, body: bytes) -> PlatformConfig:
    """Raises NoConfiguration, ConfigurationError (not sealed to this engine), Unwelcome or PlatformAway."""
    if status == 404:
        raise NoConfiguration(f"the platform has no broker keys for this engine: {_reason(body)}")
    plain = _usable(status, body)
    limits, sealed = plain.get("risk_limits"), plain.get("sealed")
    return PlatformConfig(
        config_version=plain["config_version"] if isinstance(plain.get("config_version"), int) else 0,
        account_id=str(plain.get("account_id", credential.account_id)),
        risk_limits=limits if isinstance(limits, dict) else {},
        secrets=_unsealed(credential, sealed) if isinstance(sealed, str) else {},
    )


def keys_in(found: PlatformConfig) -> dict[str, str]:
    """The broker keys of a configuration. Raises ConfigurationError when there are none."""
    if not found.secrets:
        raise ConfigurationError(_NO_KEYS)
    return dict(found.secrets)


def needs_private_key(credential: Credential) -> None:
    """Raises ConfigurationError when no secret can ever be received."""
    if credential.private_key is None:
        raise ConfigurationError(
            "the configuration has no broker keys and the credential file no private_key to receive them"
        )


def _unsealed(credential: Credential, sealed: str) -> dict[str, str]:
    if credential.private_key is None:
        return {}
    try:
        keys = json.loads(SealedBox(PrivateKey(credential.private_key)).decrypt(base64.b64decode(sealed)))
    except (CryptoError, ValueError):
        raise ConfigurationError("the broker keys from the platform are not sealed to this engine's key") from None
    return {k: v for k, v in keys.items() if isinstance(v, str)} if isinstance(keys, dict) else {}


def _usable(status: int, body: bytes) -> dict[str, Any]:
    if status in (401, 403, 404):
        raise Unwelcome(f"the platform refuses this engine ({status}); it may have been removed, or its secret rotated")
    if status != 200:
        raise PlatformAway(f"the platform answered {status}")
    return _object(body)


def _reason(body: bytes) -> str:
    try:
        return str(_object(body).get("reason", "enter them in the settings"))[:300]
    except PlatformAway:
        return "enter them in the settings"


def _object(body: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        raise PlatformAway("the platform's answer is not JSON") from None
    if not isinstance(plain, dict):
        raise PlatformAway("the platform's answer is not an object")
    return plain
