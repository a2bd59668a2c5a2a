"""The page of the simulator lists every call of its own, every condition and every fault, and nothing else."""

import re
from pathlib import Path
from types import SimpleNamespace

import attrs

from actors.simulator.faults import Faults
from actors.simulator.web import Parts, make_app
from wire.exchange.events import INTERRUPTION, Condition

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text()


def first_cells(heading):
    """The first column of the table under a heading row."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)


def test_every_call_is_on_the_page():
    nothing = SimpleNamespace(**{a.name: None for a in attrs.fields(Parts)})
    served = {
        f"{method} {rule.rule}"
        for rule in make_app(nothing).url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/sim/")
    }
    assert {call.partition("?")[0] for call in first_cells("call")} == served


def test_every_condition_is_on_the_page():
    assert first_cells("condition") == [condition.value for condition in Condition]
    assert f"({INTERRUPTION:g})" in PAGE


def test_every_fault_is_on_the_page_with_its_default():
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.partition("| fault |")[2], re.MULTILINE))
    assert told == {a.name: str(getattr(Faults(), a.name)).lower() for a in attrs.fields(Faults)}
