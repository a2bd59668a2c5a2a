"""The settings of the platform and where each of them came from.

A setting is looked for in the flags, then in the environment, then in ``watchkeeper.toml`` in the home folder. Names in
the file are those of the environment in lower case without their prefix (``WATCHKEEPER_HTTP`` is ``http``).
"""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import attrs

from actors.alarms.triggers import Rule, TriggerRules
from actors.errors import Refused

PREFIX = "WATCHKEEPER_"
FILE_NAME = "watchkeeper.toml"
DRILL_DAYS = 30


class Origin(Enum):
    """Where a value came from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = FILE_NAME
    DEFAULT = "default"


@attrs.frozen
class Address:
    """A TCP address to listen on. Port 0 means any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        host, colon, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise Refused(f"{name} must be an address like 127.0.0.1:8700")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def at(self, port: int) -> Self:
        """The same host with the port that was really bound."""
        return attrs.evolve(self, port=port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class TlsFiles:
    """A certificate chain and its key, both PEM."""

    certificate: Path
    key: Path


@attrs.frozen(kw_only=True)
class Webhook:
    """Where alerts of at least ``severity`` are told. URL and secret are not for logs: both may let somebody in."""

    url: str = attrs.field(repr=False)
    secret: str | None = attrs.field(default=None, repr=False)
    severity: str = "warning"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@attrs.frozen(kw_only=True)
class Setting:
    """One effective value as ``watchkeeper config`` shows it; secrets are masked already."""

    name: str
    value: str
    origin: Origin


@attrs.frozen(kw_only=True)
class PlatformSettings:
    """What the platform needs to start. ``emergency`` None: no emergency page; ``database_url`` None: embedded.

    ``kis_url`` is where keys are tried instead of at the broker: the simulator's address.
    """

    home: Path
    http: Address
    engines: Address
    emergency: Address | None
    keys: Path
    database_url: str | None = attrs.field(default=None, repr=False)
    admin_password: str | None = attrs.field(default=None, repr=False)
    http_tls: TlsFiles | None = None
    engines_tls: TlsFiles | None = None
    emergency_tls: TlsFiles | None = None
    plaintext: bool = False
    allowed_origins: tuple[str, ...] = ()
    kis_url: str | None = None
    webhook: Webhook | None = None
    triggers: TriggerRules = attrs.field(factory=TriggerRules)
    drill_days: int = DRILL_DAYS
    origins: Mapping[str, Origin] = attrs.field(factory=dict, repr=False)

    def effective(self) -> list[Setting]:
        """Every setting with its origin, secrets masked."""
        shown = {
            "home": str(self.home),
            "database_url": mask_url(self.database_url) if self.database_url else "(embedded in the home folder)",
            "http": str(self.http),
            "engines": str(self.engines),
            "emergency": str(self.emergency) if self.emergency else "off",
            "admin_password": "(set)" if self.admin_password else "(not set)",
            "keys": str(self.keys),
            "plaintext": "yes" if self.plaintext else "no",
            "origins": ",".join(self.allowed_origins) or "(this host only)",
            "kis_url": self.kis_url or "(the broker's own hosts)",
            "alert_webhook": f"(set, {self.webhook.host})" if self.webhook else "(nobody is told)",
            "alert_webhook_secret": "(set)" if self.webhook and self.webhook.secret else "(not set)",
            "alert_webhook_severity": self.webhook.severity if self.webhook else "warning",
            "trigger_engine_lost": str(self.triggers.engine_lost),
            "trigger_clock_skew": str(self.triggers.clock_skew),
            "drill_days": str(self.drill_days),
        }
        for name, files in (("http", self.http_tls), ("engines", self.engines_tls), ("emergency", self.emergency_tls)):
            shown[f"{name}_tls_cert"] = str(files.certificate) if files else "(no TLS)"
            shown[f"{name}_tls_key"] = str(files.key) if files else "(no TLS)"
        return [Setting(name=n, value=v, origin=self.origins.get(n, Origin.DEFAULT)) for n, v in shown.items()]


SEVERITIES = ("info", "warning", "error", "critical")
DEFAULTS = {
    "http": "127.0.0.1:8700",
    "engines": "127.0.0.1:8701",
    "emergency": "127.0.0.1:8702",
}
NAMES = (
    "home",
    "database_url",
    "http",
    "engines",
    "emergency",
    "admin_password",
    "keys",
    "plaintext",
    "origins",
    "kis_url",
    "alert_webhook",
    "alert_webhook_secret",
    "alert_webhook_severity",
    "trigger_engine_lost",
    "trigger_clock_skew",
    "drill_days",
    *(f"{listener}_tls_{part}" for listener in DEFAULTS for part in ("cert", "key")),
)
"""Every setting's name; the variable of the environment is ``WATCHKEEPER_`` and the name in capitals."""


def load_settings(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> PlatformSettings:
    """The effective settings. Raises Refused with one clear line; it never repeats a secret."""
    sources = _Sources(flags, environ)
    home = Path(sources.take("home") or "~/.watchkeeper").expanduser().absolute()
    sources.read_file(home / FILE_NAME)
    plaintext = (sources.take("plaintext") or "no").lower() == "yes"
    http, engines = (_address(sources, name) for name in ("http", "engines"))
    emergency = None if sources.take("emergency") == "off" else _address(sources, "emergency")
    settings = PlatformSettings(
        home=home,
        http=http,
        engines=engines,
        emergency=emergency,
        keys=Path(sources.take("keys") or home / "keys").expanduser().absolute(),
        database_url=_database_url(sources.take("database_url")),
        admin_password=sources.take("admin_password"),
        http_tls=_tls(sources, "http"),
        engines_tls=_tls(sources, "engines"),
        emergency_tls=_tls(sources, "emergency"),
        plaintext=plaintext,
        allowed_origins=_web_origins(sources.take("origins")),
        kis_url=_kis_url(sources.take("kis_url")),
        webhook=_webhook(sources),
        triggers=_triggers(sources),
        drill_days=_drill_days(sources.take("drill_days")),
        origins=sources.origins,
    )
    _refuse_open_plaintext(settings)
    return settings


class _Sources:
    def __init__(self, flags: Mapping[str, str | None], environ: Mapping[str, str]) -> None:
        self._flags = flags
        self._environ = environ
        self._file: Mapping[str, str] = {}
        self.origins: dict[str, Origin] = {}

    def read_file(self, path: Path) -> None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            raise Refused(f"{path} cannot be read: check its owner and mode") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise Refused(f"{path} is not valid TOML") from None
        allowed = set(NAMES) - {"home"}
        for name, value in table.items():
            if name not in allowed:
                raise Refused(f"{path}: unknown setting {name!r}; known are {', '.join(sorted(allowed))}")
            if not isinstance(value, str):
                raise Refused(f"{path}: {name} must be a string in quotes")
        self._file = table

    def take(self, name: str) -> str | None:
        candidates = (
            (Origin.FLAG, self._flags.get(name)),
            (Origin.ENVIRONMENT, self._environ.get(PREFIX + name.upper())),
            (Origin.FILE, self._file.get(name)),
        )
        for origin, value in candidates:
            if value:
                self.origins[name] = origin
                return value
        return None


def _address(sources: _Sources, name: str) -> Address:
    return Address.parse(sources.take(name) or DEFAULTS[name], PREFIX + name.upper())


def _tls(sources: _Sources, listener: str) -> TlsFiles | None:
    certificate, key = (sources.take(f"{listener}_tls_{part}") for part in ("cert", "key"))
    if certificate is None and key is None:
        return None
    variables = f"{PREFIX}{listener.upper()}_TLS_CERT and …_TLS_KEY"
    if certificate is None or key is None:
        raise Refused(f"{variables} belong together: one of them is missing")
    files = TlsFiles(certificate=Path(certificate).expanduser(), key=Path(key).expanduser())
    for path in (files.certificate, files.key):
        if not path.is_file():
            raise Refused(f"{variables}: there is no file {path}")
    return files


def _database_url(url: str | None) -> str | None:
    if url is None:
        return None
    variable = f"{PREFIX}DATABASE_URL"
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname or "host=" in parts.query)
        valid_port = parts.port is None or parts.port > 0
    except ValueError:
        raise Refused(f"{variable} is not a URL; it looks like postgresql://user@host:5432/name") from None
    if parts.scheme not in ("postgresql", "postgres") or not has_place or not valid_port:
        raise Refused(f"{variable} must look like postgresql://user@host:5432/name")
    return url


def _web_origins(text: str | None) -> tuple[str, ...]:
    origins = tuple(o.strip().rstrip("/").lower() for o in (text or "").split(",") if o.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            raise Refused(f"{PREFIX}ORIGINS must be a list like https://desk.example,https://desk.example:8443")
    return origins


def _kis_url(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise Refused(f"{PREFIX}KIS_URL must look like http://127.0.0.1:9443: it replaces the broker's own hosts")
    return text.rstrip("/")


def _webhook(sources: _Sources) -> Webhook | None:
    url, secret = sources.take("alert_webhook"), sources.take("alert_webhook_secret")
    severity = sources.take("alert_webhook_severity") or "warning"
    if severity not in SEVERITIES:
        raise Refused(f"{PREFIX}ALERT_WEBHOOK_SEVERITY must be one of {', '.join(SEVERITIES)}")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or not url.isascii() or any(c.isspace() for c in url):
        raise Refused(f"{PREFIX}ALERT_WEBHOOK must look like https://hooks.example/alerts")
    return Webhook(url=url, secret=secret, severity=severity)


def _triggers(sources: _Sources) -> TriggerRules:
    rules = TriggerRules()
    lost, skew = sources.take("trigger_engine_lost"), sources.take("trigger_clock_skew")
    return TriggerRules(
        engine_lost=Rule.parse(lost, f"{PREFIX}TRIGGER_ENGINE_LOST") if lost else rules.engine_lost,
        clock_skew=Rule.parse(skew, f"{PREFIX}TRIGGER_CLOCK_SKEW") if skew else rules.clock_skew,
    )


def _drill_days(text: str | None) -> int:
    if text is None:
        return DRILL_DAYS
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or int(text) > 3650:
        raise Refused(f"{PREFIX}DRILL_DAYS must be a number of days from 0 (no reminder) to 3650")
    return int(text)


def _refuse_open_plaintext(settings: PlatformSettings) -> None:
    listeners = (
        ("HTTP", settings.http, settings.http_tls),
        ("ENGINES", settings.engines, settings.engines_tls),
        ("EMERGENCY", settings.emergency, settings.emergency_tls),
    )
    for name, address, tls in listeners:
        if address is not None and tls is None and not address.is_loopback and not settings.plaintext:
            raise Refused(
                f"{PREFIX}{name}={address} is not a loopback address and has no TLS: set {PREFIX}{name}_TLS_CERT and "
                f"…_TLS_KEY, or {PREFIX}PLAINTEXT=yes if something in front of it encrypts"
            )


def mask_url(url: str) -> str:
    """A database URL without its password and its parameters."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"{host}:{parts.port}" if parts.port else host
        who = f"{parts.username}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
        return urlunsplit((parts.scheme, who + place, parts.path, "", ""))
    except ValueError:
        return "***"
