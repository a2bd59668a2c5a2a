"""Single-point mutants of the decisions: does a test notice?

    python tests/supervisor/mutants.py [--module policy] [--sample 100] [--seed 1]

Each mutant changes one comparison, connective, constant, condition or statement of one module, is loaded in place of
the original in a forked process, and the tests of this folder run against it. Prints the share that was killed and
every survivor with its line; ends with 1 below 90 %. A test run that hangs is a kill too: it is bounded in time.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/supervisor/"
# The quickest suite that knows the module goes first: most mutants die in it.
SUITES = {
    "policy": ["test_policies.py", "test_supervision.py"],
    "backoff": ["test_policies.py", "test_supervision.py"],
    "breaker": ["test_policies.py", "test_system.py"],
    "budget": ["test_policies.py", "test_system.py"],
    "mailbox": ["test_mailbox.py", "test_ask.py", "test_supervision.py", "test_actor.py"],
    "supervision": ["test_supervision.py", "test_system.py", "test_traps.py"],
    "keeping": ["test_supervision.py", "test_system.py", "test_traps.py"],
    "dynamic": ["test_system.py"],
    "cell": ["test_ask.py", "test_actor.py", "test_supervision.py", "test_traps.py"],
}
SECONDS = 60

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


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, what, mutated source) for every single change of code that decides; messages and defaults are left."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        # Texts of errors and reports, annotations and module-level tables of presentation decide nothing.
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.AnnAssign | ast.arguments):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            skipped |= {id(inner) for decorator in node.decorator_list for inner in ast.walk(decorator)}
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            places = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, node in places:
                if not isinstance(node, ast.AST) or id(node) in skipped:
                    continue
                for what, changed in variants(node):
                    ast.copy_location(changed, node)
                    if index is None:
                        setattr(parent, field, changed)
                    else:
                        value[index] = changed
                    yield getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(tree))
                    if index is None:
                        setattr(parent, field, node)
                    else:
                        value[index] = node


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a given source."""

    def __init__(self, module: str, source: str, path: str) -> None:
        self.module, self.source, self.path = module, source, path

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self, origin=self.path) if name == self.module else None

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        exec(compile(self.source, self.path, "exec"), module.__dict__)


def survives(name: str, source: str) -> bool:
    """Run the suites against the mutant in a child process."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        sys.meta_path.insert(0, Mutated(f"supervisor.{name}", source, str(ROOT / "supervisor" / f"{name}.py")))
        import pytest

        suites = [HERE + suite for suite in SUITES[name] if (ROOT / HERE / suite).exists()]
        # Hypothesis is imported before pytest here, which pytest would otherwise take for an error.
        quiet = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        code = pytest.main([*quiet, "--hypothesis-seed=1", "-m", "not deep", *suites])
        os._exit(0 if code == 0 else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=SUITES, action="append")
    parser.add_argument("--sample", type=int, default=0, help="per module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import hypothesis  # noqa: F401 - warmed here, so that every fork has them
    import pytest  # noqa: F401
    import trio.testing  # noqa: F401

    total = killed = 0
    started = time.monotonic()
    for name in options.module or SUITES:
        path = ROOT / "supervisor" / f"{name}.py"
        every = list(mutants(path.read_text()))
        if not survives(name, path.read_text()):
            print(f"{name}: its tests fail without any mutation")
            return 2
        if options.sample and options.sample < len(every):
            every = random.Random(options.seed).sample(every, options.sample)
        alive = []
        for line, what, source in every:
            if survives(name, source):
                alive.append((line, what))
                print(f"  survived: {path.name}:{line} {what}", flush=True)
        total += len(every)
        killed += len(every) - len(alive)
        print(f"{name}: {len(every) - len(alive)} of {len(every)} killed", flush=True)
    share = killed / total if total else 1.0
    print(f"{killed} of {total} killed ({share:.1%}) in {time.monotonic() - started:.0f} s")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
