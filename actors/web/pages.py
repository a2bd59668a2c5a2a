"""The dashboard's files: read into memory once, served by name, never a path on the disk."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
SCREENS = frozenset(
    {
        "strategies",
        "terminal",
        "health",
        "stop",
        "stops",
        "tree",
        "audit",
        "settings",
        "alerts",
        "orders",
        "engines",
        "login",
    }
)
"""First words of paths that are screens of the dashboard: they are answered by its page."""
FOR_EVER = "public, max-age=31536000, immutable"
MISSING = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Watchkeeper</title>
<h1>The dashboard has not been built</h1>
<p>Watchkeeper runs, and its API and the emergency page work. Build the dashboard with <code>make ui</code>.</p>
"""


@attrs.frozen(kw_only=True)
class Page:
    """One file as it is sent."""

    content: bytes = attrs.field(repr=False)
    packed: bytes | None = attrs.field(repr=False)
    mime: str
    etag: str
    cache: str


class Pages:
    """All files of a build. Without one there is a plain page that says so."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._pages = (
            dict(_read(folder)) if (folder / "index.html").is_file() else {"index.html": _page("index.html", MISSING)}
        )

    def find(self, path: str) -> Page | None:
        """The file for the path of a URL, the dashboard's page for its screens, else None."""
        name = path.lstrip("/") or "index.html"
        if name in self._pages:
            return self._pages[name]
        return self._pages["index.html"] if name.split("/")[0] in SCREENS else None

    @property
    def names(self) -> list[str]:
        return sorted(self._pages)


@attrs.frozen(kw_only=True)
class Served:
    """A page as one request gets it."""

    status: int
    content: bytes = attrs.field(repr=False)
    headers: Mapping[str, str]


def serve(page: Page, *, if_none_match: str | None, accept_encoding: str | None) -> Served:
    """Decides between the file, its packed form and "not modified"."""
    packed = page.packed if accepts_gzip(accept_encoding) else None
    etag = f'"{page.etag}-gz"' if packed else f'"{page.etag}"'
    headers = {"ETag": etag, "Cache-Control": page.cache, "Vary": "Accept-Encoding", "Content-Type": page.mime}
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if etag in known or "*" in known:
        return Served(status=304, content=b"", headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Served(status=200, content=packed or page.content, headers=headers)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip may be sent; a quality of 0 is a no."""
    for part in (accept_encoding or "").lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            quality = parameters.strip().removeprefix("q=").strip()
            return not (quality and quality.strip("0") in ("", "."))
    return False


def _read(folder: Path) -> list[tuple[str, Page]]:
    files = (f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith("."))
    return [(name, _page(name, f.read_bytes())) for f in files if (name := f.relative_to(folder).as_posix())]


def _page(name: str, content: bytes) -> Page:
    mime = TYPES.get(Path(name).suffix, "application/octet-stream")
    packed = gzip.compress(content, 9, mtime=0) if mime.startswith(("text/", "application/json", "image/svg")) else None
    if packed is not None and len(packed) >= len(content):
        packed = None
    cache = FOR_EVER if name.startswith("assets/") else "no-cache"
    etag = hashlib.blake2b(content, digest_size=12).hexdigest()
    return Page(content=content, packed=packed, mime=mime, etag=etag, cache=cache)
