"""The register of stops is a lattice: copies merge to the same truth in any order, and only a release ends a stop."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import InvalidField
from wire.stops import Entry, Level, Register, Scope, ScopeKind

ids = st.sampled_from(["s1", "s2", "s3"])
levels = st.sampled_from(list(Level))
scopes = st.sampled_from(["all", "account:A1", "engine:E1", "engine:E2", "strategy:E1/ma", "symbol:005930"]).map(
    Scope.parse
)
epochs = st.integers(0, 9)
entries = st.builds(Entry, scope=scopes, level=levels, stop_epoch=epochs, released_epoch=st.none() | epochs)
registers = st.builds(Register, entries=st.dictionaries(ids, entries, max_size=3), floor=epochs)


@given(registers, registers)
def test_merging_is_commutative(a, b):
    assert a.merge(b) == b.merge(a)


@given(registers, registers, registers)
def test_merging_is_associative(a, b, c):
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(registers)
def test_merging_with_itself_changes_nothing(a):
    assert a.merge(a) == a


@given(registers, registers)
def test_a_merge_never_lowers_an_epoch_and_keeps_every_stop(a, b):
    merged = a.merge(b)
    assert merged.epoch >= max(a.epoch, b.epoch)
    assert set(merged.entries) == set(a.entries) | set(b.entries)


@given(registers, registers)
def test_what_is_open_anywhere_stays_open_unless_some_copy_holds_its_release(a, b):
    merged = a.merge(b)
    for stop_id, entry in [*a.open_stops(), *b.open_stops()]:
        other = [r.entries[stop_id].released_epoch for r in (a, b) if stop_id in r.entries]
        if all(e is None or e < entry.stop_epoch for e in other):
            assert merged.entries[stop_id].is_open
            assert merged.entries[stop_id].level >= entry.level


@given(registers, registers, ids, epochs)
def test_what_a_changed_register_says_is_what_its_entries_say(a, b, stop_id, epoch):
    a.epoch  # noqa: B018  # what it works out goes on with what is made of it
    entry = Entry(Scope.everything(), Level.HALT, epoch)
    raised = a.with_stop(stop_id, entry)
    for made in (
        raised,
        raised.with_release([stop_id, "nobody"], epoch),
        raised.at_least(epoch),
        a.merge(b),
        attrs.evolve(raised, entries=b.entries),
    ):
        entries = made.entries.values()
        assert made.epoch == max([made.floor, *(max(e.stop_epoch, e.released_epoch or 0) for e in entries)])
        assert dict(made.open_stops()) == {i: e for i, e in made.entries.items() if e.is_open}


@given(registers, ids, epochs)
def test_a_release_of_an_older_epoch_leaves_a_raised_stop_open(register, stop_id, epoch):
    raised = register.with_stop(stop_id, Entry(Scope.everything(), Level.HALT, register.epoch + 1))
    released = raised.with_release([stop_id], min(epoch, register.epoch))
    assert released.entries[stop_id].is_open


@given(registers, ids)
def test_a_release_at_the_register_s_epoch_ends_exactly_the_named_stops(register, stop_id):
    released = register.with_release([stop_id], register.epoch)
    if stop_id in register.entries:
        assert not released.entries[stop_id].is_open
    else:
        assert stop_id not in released.entries
    untouched = {i: e for i, e in register.entries.items() if i != stop_id}
    assert {i: e for i, e in released.entries.items() if i != stop_id} == untouched


@given(registers, scopes, levels)
def test_one_more_stop_never_lowers_any_level(register, scope, level):
    more = register.with_stop("new", Entry(scope, level, register.epoch + 1))
    for engine in ("E1", "E2"):
        for strategy in (None, "ma"):
            for symbol in (None, "005930"):
                where = (engine, "A1", strategy, symbol)
                assert more.level_for(*where) >= register.level_for(*where)


@given(scopes)
def test_a_scope_reads_back_from_its_text(scope):
    assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ALL",
        "all ",
        "engine:",
        "engine",
        "strategy:E1",
        "strategy:/x",
        "symbol:a b",
        "symbol:zzz",
        "desk:1",
        "engine:\n",
    ],
)
def test_a_malformed_scope_is_refused_and_never_read_as_a_narrower_one(text):
    with pytest.raises(InvalidField):
        Scope.parse(text)


def test_not_knowing_the_strategy_or_the_account_counts_as_covered():
    stops = Register().with_stop("a", Entry(Scope.parse("strategy:E1/ma"), Level.FLATTEN, 1))
    assert stops.level_for("E1", None) is Level.FLATTEN
    assert stops.level_for("E1", None, "other") is Level.NORMAL
    account = Register().with_stop("a", Entry(Scope(ScopeKind.ACCOUNT, "A1"), Level.HALT, 1))
    assert account.level_for("E9", None) is Level.HALT
    assert account.level_for("E9", "A2") is Level.NORMAL


def test_copies_that_disagree_about_a_scope_mean_everything():
    one = Register().with_stop("a", Entry(Scope.parse("engine:E1"), Level.HALT, 1))
    two = Register().with_stop("a", Entry(Scope.parse("engine:E2"), Level.CANCEL, 2))
    merged = one.merge(two).entries["a"]
    assert (str(merged.scope), merged.level, merged.stop_epoch) == ("all", Level.CANCEL, 2)


def test_levels_rise_from_normal_to_flatten():
    assert sorted(Level, key=lambda level: level.rank) == [
        Level.NORMAL,
        Level.REDUCE_ONLY,
        Level.HALT,
        Level.CANCEL,
        Level.FLATTEN,
    ]
    assert max(Level.HALT, Level.CANCEL) is Level.CANCEL


def test_the_level_of_a_strategy_in_a_symbol_is_the_highest_of_the_open_stops_that_cover_it():
    register = Register(
        entries={
            "a": Entry(Scope.everything(), Level.REDUCE_ONLY, 1),
            "b": Entry(Scope.parse("strategy:E1/ma"), Level.HALT, 2),
            "c": Entry(Scope.parse("symbol:005930"), Level.CANCEL, 3),
            "d": Entry(Scope.of_engine("E1"), Level.FLATTEN, 4, released_epoch=5),
        }
    )
    cells = {
        ("E1", "ma", "005930"): Level.CANCEL,
        ("E1", "ma", "000660"): Level.HALT,
        ("E1", "rsi", "005930"): Level.CANCEL,
        ("E1", "rsi", "000660"): Level.REDUCE_ONLY,
        ("E2", "ma", "000660"): Level.REDUCE_ONLY,
    }
    found = {(e, s, c): register.level_for(e, "A1", s, c) for e, s, c in cells}
    assert found == cells
    assert register.engine_level("E1", "A1") is Level.REDUCE_ONLY
