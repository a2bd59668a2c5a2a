"""The committed dashboard is the one its sources make, and fit to be served under the strict policy. Needs no Node."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI, STATIC = ROOT / "ui", ROOT / "actors" / "web" / "static"
SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src")
TYPES_ONLY = "src/wire/generated.ts"
"""Generated shapes, of which nothing reaches the bundle."""
BUDGET = 180_000
"""Bytes of script and style over the wire, gzipped."""


def source_hash() -> str:
    """The same sum as in ui/vite.config.ts."""
    paths = [p for name in SOURCES for p in ([UI / name] if (UI / name).is_file() else (UI / name).rglob("*"))]
    total = hashlib.sha256()
    named = sorted((p.relative_to(UI).as_posix(), p) for p in paths if p.is_file())
    for name, path in (one for one in named if one[0] != TYPES_ONLY):
        text = path.read_bytes().decode().replace("\r\n", "\n")
        total.update(f"{name}\0{text}\0".encode())
    return total.hexdigest()


@pytest.fixture(scope="module")
def record():
    return json.loads((STATIC / "build.json").read_text())


def test_the_bundle_is_that_of_the_sources(record):
    assert record["source_hash"] == source_hash(), (
        "ui/ changed: run `make ui` and commit actors/web/static and tests/ui"
    )


def test_the_test_kit_is_that_of_the_sources():
    assert source_hash() in (ROOT / "tests" / "ui" / "testkit.js").read_text()[:300], "run `make ui`"


def test_every_file_is_the_one_that_was_built(record):
    files = {p.relative_to(STATIC).as_posix(): p for p in STATIC.rglob("*") if p.is_file() and p.name != "build.json"}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == record["files"]


def test_the_page_holds_no_script_style_or_handler_of_its_own():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|data:", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.S) == [""]


def test_the_page_asks_nothing_of_other_hosts():
    page = (STATIC / "index.html").read_text()
    assert all(url.startswith("/") for url in re.findall(r'(?:src|href)="([^"]+)"', page))


def test_script_and_style_stay_within_the_budget():
    sizes = [len(gzip.compress(p.read_bytes(), 9)) for p in (STATIC / "assets").iterdir()]
    assert sum(sizes) < BUDGET


def test_the_lock_file_names_no_host():
    assert "resolved" not in (UI / "package-lock.json").read_text()
