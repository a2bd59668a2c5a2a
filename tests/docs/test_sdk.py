"""The page about the SDK shows the very files that the journeys run, and its promises about imports hold."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wire.sdk import aio, threads, trio_link
from wire.sdk.face import Face

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text()
BOTS = ("asyncio_bot", "trio_bot", "threaded_bot")


def test_the_code_on_the_page_is_the_file():
    shown = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in shown] == ["docs/sdk/asyncio_bot.py"]
    for name, code in shown:
        assert code == (ROOT / name).read_text(), f"{name} changed: show it as it is"


@pytest.mark.parametrize("name", BOTS)
def test_an_example_is_short_and_a_dozen_of_its_lines_are_the_link(name):
    code = (ROOT / "docs" / "sdk" / f"{name}.py").read_text()
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 60
    assert 8 <= sum("link." in line or "EngineLink" in line for line in lines) <= 15


def test_every_method_the_page_names_exists_everywhere():
    named = set(re.findall(r"link\.([a-z_]+)", PAGE))
    assert len(named) >= 9
    for link in (aio.EngineLink, threads.EngineLink, trio_link.EngineLink):
        assert issubclass(link, Face)
        assert not [name for name in named - {"patience"} if not hasattr(link, name)]


PLATFORM = ("quart", "hypercorn", "asyncpg", "actors", "store", "supervisor.system")


@pytest.mark.parametrize(
    "module, absent",
    [
        ("wire.sdk", (*PLATFORM, "trio", "websockets")),
        ("wire.sdk.aio", (*PLATFORM, "trio")),
        ("wire.sdk.threads", (*PLATFORM, "trio")),
        ("wire.sdk.trio_link", (*PLATFORM, "websockets")),
    ],
)
def test_importing_a_link_brings_only_what_it_needs(module, absent):
    code = f"import sys, {module}; print(*[m for m in {absent!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=99, check=True)
    assert run.stdout.split() == []


def test_every_public_name_is_importable():
    code = "import wire.sdk; print(*[n for n in wire.sdk.__all__ if not hasattr(wire.sdk, n)])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=99, check=True)
    assert run.stdout.split() == []
