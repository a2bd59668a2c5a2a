"""Single-point mutants of the decisions: does a test notice?

    python tests/supervisor/mutants.py [--module policy] [--sample 100] [--seed 1] [--workers 3]

Each mutant changes one comparison, connective, constant, condition or statement of one module. The suite is collected
once; a first run notes which lines each test executes. Then every mutant gets a fork of that process in which the code
object of one function is exchanged, and only the tests that reach the changed line run, the quickest first, until one
fails. (What runs at import time, the tables of a module, is mutated before the import and meets its whole suite.)

It all happens on a copy in a temporary folder: the tree may be edited meanwhile, and a run that is cut leaves nothing.

Prints the share that was killed and every survivor with its change; ends with 1 when a module stays below 90 %. A test
that hangs is a kill too: each is bounded in time.
"""

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType

import attrs

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/supervisor/"
# The pages of the documentation run in processes of their own, where no mutant is.
FILES = sorted(path.name for path in (ROOT / HERE).glob("test_*.py") if path.name != "test_docs.py")
MODULES = [
    *("policy", "backoff", "breaker", "budget", "mailbox", "supervision", "keeping", "cell", "dynamic"),
    *(
        "context",
        "actor",
        "life",
        "timekeeper",
        "slot",
        "bulkhead",
        "pubsub",
        "ref",
        "registry",
        "deadletter",
        "telemetry",
    ),
]
PATIENCE = 6.0
"""Seconds a test may take longer than eight times what it took without a mutation."""

OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The single changes of one node, each with a word on it."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITE:
        changed = copy.deepcopy(node)
        changed.ops[0] = OPPOSITE[type(node.ops[0])]()
        yield "comparison", changed
    if isinstance(node, ast.BoolOp):
        changed_bool = copy.deepcopy(node)
        changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "connective", changed_bool
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negation", copy.deepcopy(node.operand)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
        changed_op = copy.deepcopy(node)
        changed_op.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield "arithmetic", changed_op
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", ast.Constant(node.value + 1)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        for value in (True, False):
            if not (isinstance(node, ast.While) and value):
                changed_if = copy.deepcopy(node)
                changed_if.test = ast.Constant(value)
                yield f"condition {value}", changed_if
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield "statement removed", ast.Pass()
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield "return None", ast.Return(ast.Constant(None))


@attrs.frozen
class Mutant:
    """One change. function: (qualified name, first line) of the outermost function around it, None outside of any."""

    module: str
    line: int
    lines: frozenset[int]
    what: str
    text: str
    function: tuple[str, int] | None
    code: CodeType

    def __str__(self) -> str:
        return f"{self.module}.py:{self.line} {self.what}: {self.text}"


def mutants(module: str) -> list[Mutant]:
    """Every single change of code that decides; messages, annotations and defaults are left."""
    path = ROOT / "supervisor" / f"{module}.py"
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        # Texts of errors and reports, annotations and module-level tables of presentation decide nothing.
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.AnnAssign | ast.arguments):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TypeVar":
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            skipped |= {id(inner) for decorator in node.decorator_list for inner in ast.walk(decorator)}
    return list(_changes(tree, path, module, skipped))


def _changes(tree: ast.Module, path: Path, module: str, skipped: set[int]) -> Iterator[Mutant]:
    def visit(
        parent: ast.AST, function: tuple[str, int] | None, classes: tuple[str, ...], statement: ast.stmt | None
    ) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(parent):
            places = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, node in places:
                if not isinstance(node, ast.AST):
                    continue
                here = node if isinstance(node, ast.stmt) else statement
                if id(node) not in skipped:
                    for what, changed in variants(node):
                        # Told from the node itself: a statement that was replaced has no place of its own any more.
                        for inner in ast.walk(changed):
                            ast.copy_location(inner, node) if not hasattr(inner, "lineno") else None
                        ast.copy_location(changed, node)
                        _put(parent, field, index, changed)
                        code = compile(ast.fix_missing_locations(tree), str(path), "exec")
                        _put(parent, field, index, node)
                        text = f"{_brief(node)} → {_brief(changed)}"
                        line = getattr(node, "lineno", 0)
                        yield Mutant(module, line, _header(here, line), what, text, function, code)
                inside, names = function, classes
                if isinstance(node, ast.ClassDef):
                    names = (*classes, node.name)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and function is None:
                    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                    inside = (".".join((*classes, node.name)), first)
                yield from visit(node, inside, names, here)

    yield from visit(tree, None, (), None)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _brief(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(node).split())


def _header(statement: ast.stmt | None, line: int) -> frozenset[int]:
    """The lines of a statement without its block: a test that reaches none of them cannot notice."""
    if statement is None:
        return frozenset([line])
    block = getattr(statement, "body", None)
    last = block[0].lineno - 1 if isinstance(block, list) and block else statement.end_lineno or statement.lineno
    return frozenset(range(statement.lineno, max(last, statement.lineno) + 1))


# changing a function that lives


def function_of(mutant: Mutant) -> FunctionType | None:
    """The function to change, or None if it is out of reach and the module has to be imported anew."""
    if mutant.function is None:
        return None
    found: object = importlib.import_module(f"supervisor.{mutant.module}")
    for name in mutant.function[0].split("."):
        found = vars(found).get(name)
    found = getattr(found, "fget", found)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    found = getattr(found, "__func__", found)
    if isinstance(found, FunctionType) and found.__code__.co_firstlineno == mutant.function[1]:
        return found
    return None


def new_code(code: CodeType, wanted: tuple[str, int]) -> CodeType | None:
    if (code.co_qualname, code.co_firstlineno) == wanted:
        return code
    inner = (new_code(const, wanted) for const in code.co_consts if isinstance(const, CodeType))
    return next((found for found in inner if found is not None), None)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a given code object."""

    def __init__(self, mutant: Mutant) -> None:
        self.module, self.code = f"supervisor.{mutant.module}", mutant.code

    def find_spec(self, name, path=None, target=None):
        return (
            importlib.util.spec_from_loader(name, self, origin=self.code.co_filename) if name == self.module else None
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        exec(self.code, module.__dict__)


# running


def in_fork(work: Callable[[], object]) -> tuple[int, int]:
    """Run `work` in a child process; (its pid, the reading end of a pipe with what it returned)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        os.write(writing, repr(work()).encode())
    finally:
        os._exit(0)


def answer_of(child: int, reading: int) -> object:
    """What the child returned; None when it was ended before it could."""
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return ast.literal_eval(text) if text else None


class Lines:
    """A trace function that notes the lines executed in the modules under test."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.files = {str(ROOT / "supervisor" / f"{module}.py"): module for module in MODULES}

    def __call__(self, frame, event, arg):
        module = self.files.get(frame.f_code.co_filename)
        if module is None:
            return None

        def local(frame, event, arg):
            self.seen.add((module, frame.f_lineno))
            return local

        return local(frame, event, arg)


class Campaign:
    """The pytest plugin: instead of running the tests once, run some of them once per mutant."""

    def __init__(self, every: list[Mutant], workers: int, out: int) -> None:
        self.every, self.workers, self.out = every, workers, out
        self.alive: list[Mutant] = []

    def say(self, text: str) -> None:
        os.write(self.out, f"{text}\n".encode())

    def pytest_runtestloop(self, session) -> bool:
        self.session = session
        baseline = answer_of(*in_fork(self.learn))
        if not isinstance(baseline, list):
            self.say(f"the tests fail without any mutation: {baseline}")
            os._exit(2)
        self.reach = [set(lines) for _, lines in baseline]
        self.times = [seconds for seconds, _ in baseline]
        self.say(f"{len(session.items)} tests, {sum(self.times):.1f} s")
        running: dict[int, tuple[int, Mutant]] = {}
        queue = list(reversed(self.every))
        while queue or running:
            while queue and len(running) < self.workers:
                mutant = queue.pop()
                child, reading = in_fork(lambda mutant=mutant: self.survives(mutant))
                running[reading] = (child, mutant)
            ready, _, _ = select.select(list(running), [], [])
            for reading in ready:
                child, mutant = running.pop(reading)
                if answer_of(child, reading) is True:
                    self.alive.append(mutant)
                    self.say(f"  survived: {mutant}")
        return True

    def learn(self) -> object:
        """(seconds, lines) of every test."""
        facts = []
        for item in self.session.items:
            # Once traced for its lines, once for its time.
            lines = Lines()
            sys.settrace(lines)
            self.run(item)
            sys.settrace(None)
            began = time.monotonic()
            self.run(item)
            facts.append((time.monotonic() - began, sorted(lines.seen)))
            if self.session.testsfailed:
                return item.nodeid
        return facts

    def run(self, item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def survives(self, mutant: Mutant) -> bool:
        function = function_of(mutant)
        code = new_code(mutant.code, mutant.function) if mutant.function else None
        assert function is not None, f"{mutant} is out of reach"
        assert code is not None, f"{mutant} has no code"
        function.__code__ = code
        wanted = {(mutant.module, line) for line in mutant.lines}
        chosen = [n for n, lines in enumerate(self.reach) if lines & wanted]
        for n in sorted(chosen, key=self.times.__getitem__):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE + 8 * self.times[n])
            self.run(self.session.items[n])
            if self.session.testsfailed:
                return False
        return True


OPTIONS = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


def run_pytest(*more: str, plugins: list[object] | None = None) -> int:
    import pytest

    files = [HERE + file for file in FILES]
    # Hypothesis is imported before pytest here, which pytest would otherwise take for an error.
    chosen = ["--hypothesis-seed=1", "-m", "not deep", "-k", "not ten_thousand"]  # the longest, for every survivor
    return int(pytest.main([*OPTIONS, *more, *chosen, *files], plugins=plugins))


def survives_import(mutant: Mutant) -> bool:
    """The slow way, for what runs at import time: the whole suite against a module loaded from the mutant."""

    def work() -> bool:
        signal.alarm(120)
        sys.meta_path.insert(0, Mutated(mutant))
        return run_pytest("-x") == 0

    return answer_of(*in_fork(work)) is True


def campaign(every: list[Mutant], workers: int) -> list[Mutant]:
    """The survivors, in one forked process that has imported everything once."""

    out = os.dup(1)

    def work() -> list[int]:
        plugin = Campaign(every, workers, out)
        run_pytest(plugins=[plugin])
        return [every.index(mutant) for mutant in plugin.alive]

    found = answer_of(*in_fork(work))
    if not isinstance(found, list):
        sys.exit(2)
    return [every[n] for n in found]


def in_a_copy() -> int:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for part in ("supervisor", "tests/supervisor", "docs/supervisor"):
            shutil.copytree(ROOT / part, Path(folder, part), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        script = Path(folder, HERE, "mutants.py")
        environment = {**os.environ, "PYTHONPATH": folder}
        command = [sys.executable, str(script), "--in-place", *sys.argv[1:]]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        with subprocess.Popen(command, env=environment, start_new_session=True) as campaigning:
            try:
                return campaigning.wait()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(campaigning.pid, signal.SIGKILL)  # its forks too


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=MODULES, action="append")
    parser.add_argument("--sample", type=int, default=0, help="per module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--in-place", action="store_true", help="this is the copy")
    options = parser.parse_args()
    if not options.in_place:
        return in_a_copy()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import hypothesis  # noqa: F401 - warmed here, so that every fork has them
    import pytest  # noqa: F401
    import trio.testing  # noqa: F401

    started = time.monotonic()
    names = options.module or MODULES
    every = {name: mutants(name) for name in names}
    if options.sample:
        chosen = random.Random(options.seed)
        every = {name: chosen.sample(list_, min(options.sample, len(list_))) for name, list_ in every.items()}
    all_ = [mutant for list_ in every.values() for mutant in list_]
    # Asked in a fork: this process must not have imported what the slow way imports anew.
    reachable = answer_of(*in_fork(lambda: [function_of(mutant) is not None for mutant in all_]))
    inside = [mutant for mutant, within in zip(all_, reachable, strict=True) if within]
    outside = [mutant for mutant, within in zip(all_, reachable, strict=True) if not within]
    alive = campaign(inside, options.workers)
    for mutant in outside:
        if survives_import(mutant):
            alive.append(mutant)
            print(f"  survived: {mutant}", flush=True)
    worst = 1.0
    for name, list_ in every.items():
        left = sum(mutant.module == name for mutant in alive)
        share = 1 - left / len(list_)
        worst = min(worst, share)
        print(f"{name:<12} {len(list_) - left:>4} of {len(list_):>4} killed ({share:.1%})")
    total, cpu = sum(map(len, every.values())), os.times()
    print(
        f"{total - len(alive)} of {total} killed ({1 - len(alive) / total:.1%}) in {time.monotonic() - started:.0f} s, "
        f"{cpu.children_user + cpu.children_system:.0f} s of CPU"
    )
    return 0 if worst >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
