"""Every history of the small worlds, up to a depth, is a good one; and leaving any one rule out makes one go wrong.

`make test-deep` searches further, and finds each of the short histories of ``tests.stops.rules`` by itself.
"""

import pytest

from tests.stops.judge import Violation
from tests.stops.profiles import PROFILES, small_world
from tests.stops.rules import RULES, without
from tests.stops.search import replay, search

DEPTHS = {"decisions": 3, "copies": 3, "frames": 4, "twins": 4, "offices": 3, "engines' own words": 3}
FURTHER = 3
FEW_STEPS, MANY_STEPS = 1_200, 100_000
WORLDS = [(name, root) for name, profile in PROFILES.items() for root in profile.roots]


def ident(value):
    return " ".join(value) if isinstance(value, tuple) else value


def look(name, root, *, depth, left_out=frozenset(), most=10**9):
    return search(lambda: small_world(name, left_out, root), PROFILES[name].options, depth=depth, most=most)


@pytest.mark.parametrize("name, root", WORLDS, ids=ident)
def test_no_history_goes_wrong(name, root):
    found = look(name, root, depth=DEPTHS[name], most=FEW_STEPS)
    assert found.history is None, f"{', '.join(root + found.history)}: {found.why}"
    assert found.states > 100


@pytest.mark.deep
@pytest.mark.parametrize("name, root", WORLDS, ids=ident)
def test_no_longer_history_goes_wrong(name, root):
    found = look(name, root, depth=DEPTHS[name] + FURTHER, most=MANY_STEPS)
    print(f"{name}: {found.states} states, {found.steps} steps, depth {found.depth}")
    assert found.history is None, f"{', '.join(root + found.history)}: {found.why}"


@pytest.mark.parametrize("name", RULES)
def test_a_short_history_goes_wrong_without_the_rule_and_well_with_it(name):
    rule = RULES[name]
    replay(small_world(rule.profile, root=rule.root), rule.steps)
    with without(name) as left_out, pytest.raises(Violation):
        replay(small_world(rule.profile, left_out, rule.root), rule.steps)


@pytest.mark.deep
@pytest.mark.parametrize("name", RULES)
def test_the_search_finds_a_history_that_is_as_short(name):
    rule = RULES[name]
    with without(name) as left_out:
        found = look(rule.profile, rule.root, depth=len(rule.steps), left_out=left_out, most=MANY_STEPS)
    print(f"{name}: {len(found.history or ())} steps, {found.states} states: {', '.join(found.history or ())}")
    assert found.history is not None
