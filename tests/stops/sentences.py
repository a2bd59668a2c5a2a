"""Tables of sentences and the tests that show each: a sentence without a test, or with one that is gone, is found.

A line is ``sentence | file::name file::name …``, files below ``tests``, names without their ``test_``.
"""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def rows_of(table: str) -> list[tuple[str, list[str]]]:
    lines = [line for line in table.strip().splitlines() if not line.startswith("#")]
    return [(sentence.strip(), shown.split()) for sentence, _, shown in (line.partition("|") for line in lines)]


def unshown(table: str) -> dict[str, list[str]]:
    """Every sentence that no test shows, or that names one which pytest does not run, with those names."""
    rows = rows_of(table)
    assert len({sentence for sentence, _ in rows}) == len(rows)
    missing = {sentence: [name for name in names if not _runs(name)] for sentence, names in rows}
    return {sentence: lost for sentence, lost in missing.items() if lost or not dict(rows)[sentence]}


def _runs(name: str) -> bool:
    file, _, test = name.partition("::")
    return re.fullmatch(r"test_\w+", file.rpartition("/")[2]) is not None and f"test_{test}" in _collected_in(file)


@cache
def _collected_in(file: str) -> frozenset[str]:
    """The names that pytest collects in a file by default: what only `make test-deep` runs shows nothing here."""
    path = TESTS / f"{file}.py"
    body = ast.parse(path.read_text()).body if path.exists() else []
    tests = [n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    marks = {n.name: " ".join(ast.unparse(mark) for mark in n.decorator_list) for n in tests}
    return frozenset(name for name, mark in marks.items() if name.startswith("test_") and "deep" not in mark)
