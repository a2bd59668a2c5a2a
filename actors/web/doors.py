"""What guards the doors of the web face and has to be remembered between requests."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from actors.config import Address, PlatformSettings
from actors.web.throttle import Throttle
from store.passwords import Passwords


@attrs.define(kw_only=True)
class Doors:
    """``origins``: from which pages a browser may use the cookie and the link. ``draining``: the platform goes down."""

    throttle: Throttle = attrs.field(factory=Throttle)
    passwords: Passwords = attrs.field(factory=Passwords)
    origins: frozenset[str] = frozenset()
    draining: bool = False

    def allows(self, origin: str | None) -> bool:
        """No Origin at all is no browser's page; then the token or the cookie alone decides."""
        return origin is None or origin.rstrip("/").lower() in self.origins

    def is_from_elsewhere(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that brings a cookie was made by another site's page."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return True
        return not self.allows(headers.get("origin"))


def own_origins(settings: PlatformSettings, address: Address) -> frozenset[str]:
    """The exact list of origins: the configured ones, and this listener under its own names."""
    scheme = "https" if settings.http_tls else "http"
    hosts = {address.host}
    if address.is_loopback or address.host in ("0.0.0.0", "::"):
        hosts |= {"127.0.0.1", "localhost", "::1"}
    shown = (f"[{host}]" if ":" in host else host for host in hosts)
    own = {f"{scheme}://{host}:{address.port}" for host in shown}
    default = {"http": 80, "https": 443}[scheme]
    bare = {o.rsplit(":", 1)[0] for o in own if address.port == default}
    return frozenset(o.lower() for o in (*own, *bare, *settings.allowed_origins) if urlsplit(o).netloc)
