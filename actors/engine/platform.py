"""The platform as an engine's process reaches it: where it is, who this engine is to it, and its token."""

import base64
import json
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from actors.engine.errors import EngineError
from actors.errors import Refused
from wire.errors import WireError
from wire.http import HttpClient, HttpError, Response

_TIMEOUT = 10.0
_SCHEMES = {"http": ("http", "ws"), "ws": ("http", "ws"), "https": ("https", "wss"), "wss": ("https", "wss")}


class Unwelcome(EngineError):
    """The platform does not know this engine or its secret: no retry can help, a person must look."""

    code = "error_unauthorized"


class PlatformAway(EngineError):
    """The platform gave no usable answer now."""

    code = "error_platform_away"


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


@attrs.frozen(kw_only=True)
class Token:
    """``lives``: seconds."""

    value: str = attrs.field(repr=False)
    lives: float


def read_credential(path: Path) -> Credential:
    """Raises Refused with one line that says what to do."""
    try:
        mode = path.stat().st_mode
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"credential file {path} does not exist: make it with `watchkeeper engines add NAME --account ID -o {path}`"
        ) from None
    except (OSError, ValueError):
        raise Refused(f"credential file {path} cannot be read: it must be the JSON that `engines add` wrote") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(f"credential file {path} is readable by others: chmod 600 {path}")
    return _credential(plain, path)


def _credential(plain: Any, path: Path) -> Credential:
    if not isinstance(plain, dict):
        raise Refused(f"credential file {path} must be the JSON object that `engines add` wrote")
    for name in ("platform_url", "engine_id", "secret", "account_id"):
        if not isinstance(plain.get(name), str) or not plain[name]:
            raise Refused(f"credential file {path} has no {name}")
    parts = urlsplit(plain["platform_url"])
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise Refused(f"credential file {path}: platform_url must be an address like http://127.0.0.1:8701")
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


async def fetch_token(http: HttpClient, credential: Credential) -> Token:
    """A fresh engine token. Raises Unwelcome or PlatformAway."""
    body = json.dumps({"engine_id": credential.engine_id, "secret": credential.secret}).encode()
    url = f"{credential.http_url}/api/auth/engine-token"
    plain = _object(await _ask(http, "POST", url, {"content-type": "application/json"}, body))
    token, lives = plain.get("access_token"), plain.get("expires_in")
    if not isinstance(token, str) or not isinstance(lives, int):
        raise PlatformAway("the platform's token answer lacks its fields")
    return Token(value=token, lives=float(lives))


async def fetch_keys(http: HttpClient, credential: Credential) -> dict[str, str]:
    """The broker keys that the platform keeps for this engine, opened with the engine's own private key.

    Raises Refused when they cannot be had, Unwelcome or PlatformAway.
    """
    if credential.private_key is None:
        raise Refused("the configuration has no broker keys and the credential file no private_key to receive them")
    token = await fetch_token(http, credential)
    url = f"{credential.http_url}/api/engine/config"
    response = await _get(http, url, {"authorization": f"Bearer {token.value}"})
    if response.status in (404, 409):
        raise Refused(f"the platform has no broker keys for this engine: {_reason(response)}")
    plain = _object(_usable(response))
    sealed = plain.get("sealed")
    if not isinstance(sealed, str):
        raise Refused("the platform has no broker keys for this engine: enter them in the settings")
    try:
        keys = json.loads(SealedBox(PrivateKey(credential.private_key)).decrypt(base64.b64decode(sealed)))
    except (CryptoError, ValueError):
        raise Refused("the broker keys from the platform are not sealed to this engine's key") from None
    return {k: v for k, v in keys.items() if isinstance(v, str)}


async def _ask(http: HttpClient, method: str, url: str, headers: dict[str, str], body: bytes) -> Response:
    try:
        return _usable(await http.request(method, url, headers, body, timeout=_TIMEOUT))
    except HttpError as error:
        raise _away(url) from error


async def _get(http: HttpClient, url: str, headers: dict[str, str]) -> Response:
    try:
        return await http.request("GET", url, headers, timeout=_TIMEOUT)
    except HttpError as error:
        raise _away(url) from error


def _away(url: str) -> PlatformAway:
    return PlatformAway(f"the platform at {urlsplit(url).netloc} cannot be reached")


def _usable(response: Response) -> Response:
    if response.status in (401, 403, 404):
        raise Unwelcome(f"the platform refuses this engine ({response.status}): was it removed, or its secret rotated?")
    if response.status != 200:
        raise PlatformAway(f"the platform answered {response.status}")
    return response


def _reason(response: Response) -> str:
    try:
        return str(_object(response).get("reason", "enter them in the settings"))[:300]
    except PlatformAway:
        return "enter them in the settings"


def _object(response: Response) -> dict[str, Any]:
    try:
        plain = response.json()
    except WireError as error:
        raise PlatformAway("the platform's answer is not JSON") from error
    if not isinstance(plain, dict):
        raise PlatformAway("the platform's answer is not an object")
    return plain
