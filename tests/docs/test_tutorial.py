"""The tutorial is executed: its commands run against a real demo, and what it shows is compared with what they print.

In the shown text ``…`` stands for anything; a number stands for any number of its form, but 0 only for 0.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
PATIENCE = 180.0
READS = ("status", "logs", "audit verify", "release --reason")
"""What may be done again until it shows what the page shows; asking for the same release again is the same request."""

pytestmark = [pytest.mark.journey, pytest.mark.database]


def blocks():
    """Each command of the page with what the page shows for it, if anything: (language, action, code, shown)."""
    fences = re.findall(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    steps = []
    for language, action, code in fences:
        if language == "text":
            steps[-1][3] = code
        else:
            steps.append([language, action, code, None])
    return steps


def pattern(line):
    """The expression that a printed line has to match."""
    parts = []
    for token in re.findall(r"…|\s+|\d+(?:\.\d+)+|[1-9][\d,]*|.", line.strip()):
        if token == "…":
            parts.append(".*")
        elif token.isspace():
            parts.append(r"\s+")
        elif re.fullmatch(r"\d+(?:\.\d+)+", token):
            parts.append(r"\d+" + r"\.\d+" * token.count("."))
        elif re.fullmatch(r"[1-9][\d,]*", token):
            parts.append(r"[1-9][\d,]*")
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts))


def unseen(shown, printed):
    """The lines the page shows that were not printed, in order."""
    rest = [line.strip() for line in printed.splitlines()]
    missing = []
    for line in filter(str.strip, shown.splitlines()):
        expression = pattern(line)
        at = next((i for i, text in enumerate(rest) if expression.fullmatch(text)), None)
        if at is None:
            missing.append(line)
        else:
            rest = rest[at + 1 :]
    return missing


class Reader:
    """Does what the page says, at the demo's own address."""

    def __init__(self, demo):
        self.demo = demo
        self.names = {"__name__": "tutorial"}

    def do(self, language, action, code):
        """What is then to be seen."""
        if language == "console":
            if action:
                getattr(self.demo, action)()
            return self.demo.said() if action == "start" else ""
        code = code.replace("http://127.0.0.1:8700", self.demo.url)
        return self.shell(code) if language == "sh" else self.python(code)

    def shell(self, code):
        command = code.replace(".venv/bin/watchkeeper", f"{sys.executable} -m actors")
        run = subprocess.run(
            ["sh", "-c", command],
            cwd=ROOT,
            env=self.demo.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        return run.stdout

    def python(self, code):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), self.names)
        return printed.getvalue()


def test_what_the_tutorial_shows_is_what_happens(demo, monkeypatch):
    monkeypatch.setitem(os.environ, "WATCHKEEPER_PASSWORD", demo.password)
    reader = Reader(demo)
    steps = blocks()
    assert [s[1] for s in steps if s[1]] == ["start", "kill", "start"]
    assert sum(s[3] is not None for s in steps) >= 12
    status = next(code for language, _, code, _ in steps if language == "sh" and "status" in code)
    for language, action, code, shown in steps:
        if " stop --yes" in code:
            wait_until_everybody_has_something_to_lose(reader, status)
        follow(reader, language, action, code, (shown or "").replace("http://127.0.0.1:8700", demo.url))


def wait_until_everybody_has_something_to_lose(reader, status):
    """A stop is made once, and a moment after this look: so each has more positions and orders than one or two."""
    end = time.monotonic() + PATIENCE
    while True:
        printed = reader.shell(status)
        rows = re.findall(r" connected .* NORMAL +\S+ s +(\d+) +(\d+) ", printed)
        if len(rows) == 3 and all(int(n) >= 3 for row in rows for n in row):
            return
        if time.monotonic() > end:
            pytest.fail(f"not everybody trades:\n{printed}\n{reader.demo.said()[-3000:]}")
        time.sleep(1.0)


def follow(reader, language, action, code, shown):
    end = time.monotonic() + PATIENCE
    printed = reader.do(language, action, code)
    while missing := unseen(shown, printed):
        again = language == "sh" and any(verb in code for verb in READS)
        if (not again and action != "start") or time.monotonic() > end:
            pytest.fail(
                f"the page shows\n{missing}\nfor\n{code}\nbut it printed\n{printed}\n{reader.demo.said()[-3000:]}"
            )
        time.sleep(1.0)
        printed = reader.do(language, action, code) if again else reader.demo.said()


@pytest.mark.parametrize(
    "shown, printed, agree",
    [
        ("a  5  0.6 s", "a 17   12.0 s", True),
        ("a 5", "a 0", False),
        ("a 0", "a 5", False),
        ("stop stop-…: all", "stop stop-12ab: all", True),
        ("one\ntwo", "two\none", False),
    ],
)
def test_a_number_stands_for_any_number_but_nought(shown, printed, agree):
    assert (unseen(shown, printed) == []) is agree
