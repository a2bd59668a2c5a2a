"""The documentation is executed, and its drawings are compared with the tables they were drawn from."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "supervisor"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page, number", [("README.md", 1), ("tutorial.md", 7), ("testing.md", 1)])
def test_the_code_of_a_page_runs(page, number, capsys):
    found = blocks(page)
    assert len(found) >= number
    names = {"__name__": f"docs.{page}"}
    exec(compile("\n".join(found), page, "exec"), names)
    if page == "tutorial.md":
        trio.run(names["main"], clock=trio.testing.MockClock(autojump_threshold=0))
    if page == "README.md":
        assert capsys.readouterr().out == "5\n"


def test_the_diagrams_are_those_of_the_tables():
    spec = importlib.util.spec_from_file_location("states", DOCS / "states.py")
    states = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(states)
    assert states.PAGE.read_text() == states.page(), "run: python docs/supervisor/states.py"


def test_every_public_name_is_importable_and_the_policies_come_without_trio():
    code = (
        "import sys, supervisor.backoff, supervisor.breaker, supervisor.budget, supervisor.recovery\n"
        "assert 'trio' not in sys.modules\n"
        "import supervisor\n"
        "missing = [name for name in supervisor.__all__ if not hasattr(supervisor, name)]\n"
        "assert not missing, missing\n"
        "assert set(supervisor.__all__) <= set(dir(supervisor))\n"
        "assert not hasattr(supervisor, 'nonsense')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_package_imports_nothing_else_of_this_repository():
    for path in (ROOT / "supervisor").glob("*.py"):
        assert not re.search(r"^\s*(from|import) (wire|store|actors)\b", path.read_text(), re.MULTILINE), path.name


TYPED = """
import attrs
from supervisor import Actor, Ref, Request, handles

@attrs.frozen(kw_only=True)
class Get(Request[int]):
    key: str

@attrs.frozen(kw_only=True)
class Put:
    key: str

class Good(Actor):
    @handles(Put)
    async def on_put(self, msg: Put) -> None: ...
    @handles(Get)
    async def on_get(self, msg: Get) -> int:
        return 1

async def use(ref: Ref) -> int:
    return await ref.ask(Get(key="a"))
"""
HANDLER = """
class Bad(Actor):
    @handles({handled})
    async def on_it(self, msg: {taken}) -> {answer}:
        return {value}
"""
ASKER = """
async def bad(ref: Ref) -> {answer}:
    return await ref.ask({question})
"""
WRONG = {
    "an answer of another type": HANDLER.format(handled="Get", taken="Get", answer="str", value="''"),
    "no answer": HANDLER.format(handled="Get", taken="Get", answer="None", value="None"),
    "a handler of another message": HANDLER.format(handled="Put", taken="Get", answer="None", value="None"),
    "an answer taken for another type": ASKER.format(answer="str", question="Get(key='a')"),
    "asking what is only told": ASKER.format(answer="None", question="Put(key='a')"),
}


@pytest.mark.deep
@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_mypy_checks_what_handlers_and_askers_do(wrong, tmp_path):
    file = tmp_path / "typed.py"
    file.write_text(TYPED + ("" if wrong is None else WRONG[wrong]))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode == 0) is (wrong is None), result.stdout


def test_every_promise_of_the_checklist_names_tests_that_exist():
    tests = set()
    for path in (*Path(__file__).parent.glob("test_*.py"), ROOT / "tests" / "actors" / "web" / "test_routes.py"):
        tests |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    lines = [line for line in (DOCS / "checklist.md").read_text().splitlines() if line.startswith("- ")]
    assert len(lines) > 60
    for line in lines:
        named = re.findall(r"`(test_\w+)`", line)
        assert named, f"no test: {line}"
        assert set(named) <= tests, f"{set(named) - tests} of: {line}"
