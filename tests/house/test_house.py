"""The house rules that a machine can check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("supervisor", "wire", "store", "actors")
ELSEWHERE = set(
    [
        "childutils",
        "compat",
        "confecho",
        "datatypes",
        "dispatchers",
        "events",
        "http",
        "http_client",
        "loggers",
        "medusa",
        "options",
        "pidproxy",
        "poller",
        "process",
        "rpcinterface",
        "scripts",
        "skel",
        "socket_manager",
        "states",
        "supervisorctl",
        "supervisord",
        "templating",
        "tests",
        "ui",
        "web",
        "xmlrpc",
    ]
)
"""Module names of the unrelated distribution that installs a package of the same name."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the tracked files cannot be listed")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_module_of_supervisor_has_a_name_of_the_distribution_that_would_overwrite_it():
    ours = {p.stem for p in (ROOT / "supervisor").glob("*.py")} | {p.name for p in (ROOT / "supervisor").iterdir()}
    assert not ours & ELSEWHERE


def test_the_runtime_imports_nothing_else_of_the_house():
    program = f"import sys, supervisor; print([m for m in sys.modules if m.split('.')[0] in {PACKAGES[1:]!r}])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"


def test_no_tracked_file_names_a_folder_of_some_machine():
    homes = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]\w*)/")
    guilty = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".ts", ".tsx", ".sh", ".yaml", ".json", ""}
        and path.is_file()
        and homes.search(path.read_text(encoding="utf-8", errors="ignore"))
        and path != Path(__file__)
    ]
    assert guilty == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package):
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and not path.read_text(encoding="utf-8").lstrip().startswith(('"""', 'r"""'))
    ]
    assert silent == []
