"""The order gate: the last synchronous decision before bytes leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.sdk.errors import GateClosed
from wire.sdk.gate import Gate, Intent, Purpose, Reduction
from wire.sdk.lease import Lease
from wire.stops import Entry, Level, Scope
from wire.values import Side

NOW = 100.0


def make_gate(*, room=10, lease_until=NOW + 10, synced=True):
    lease = Lease()
    if lease_until is not None:
        lease.renew(lease_until, NOW)
    gate = Gate(engine_id="E1", account_id="A1", lease=lease, reducible=lambda _s, _c, _d: room)
    if synced:
        gate.agreed(gate.doubts)
    return gate


def intent(purpose=Purpose.ORDER, *, order_id="o1", strategy="s1", symbol="1", quantity=5, price=None):
    return Intent(
        order_id=order_id,
        purpose=purpose,
        strategy_id=strategy,
        symbol=symbol,
        side=Side.SELL,
        quantity=quantity,
        price=price,
    )


def passes(gate, what, now=NOW):
    try:
        gate.check(what, now)
    except GateClosed:
        return False
    return True


def test_a_gate_is_closed_until_it_has_a_lease():
    assert not passes(make_gate(lease_until=None), intent())


def test_a_gate_is_closed_until_the_books_agree_with_the_broker():
    assert not passes(make_gate(synced=False), intent())


def test_an_order_at_the_instant_of_expiry_is_refused():
    gate = make_gate(lease_until=NOW + 1)
    assert passes(gate, intent(), NOW + 0.999)
    assert not passes(gate, intent(order_id="o2"), NOW + 1)


def test_a_fenced_gate_stays_closed_with_a_living_lease():
    gate = make_gate()
    gate.fenced = "another platform"
    assert not passes(gate, intent())


def test_a_paused_strategy_sends_nothing_but_its_cancels():
    gate = make_gate()
    gate.paused.add("s1")
    assert not passes(gate, intent())
    assert passes(gate, intent(Purpose.CANCEL))


def test_an_order_of_no_strategy_is_held_by_what_holds_any_of_them():
    gate = make_gate(room=0)
    gate.paused.add("s1")
    assert not passes(gate, intent(strategy=None))
    assert passes(gate, intent(strategy="s2"))
    gate.paused.clear()
    gate.reduced = {
        "s1": Reduction(until=NOW + 60, max_order_value=1_000),
        "s2": Reduction(until=NOW + 60, max_order_value=400),
        "s3": Reduction(until=NOW, max_order_value=1),
    }
    assert passes(gate, intent(strategy=None, quantity=4, price=100, order_id="o2"))
    assert not passes(gate, intent(strategy=None, quantity=5, price=100))
    assert passes(gate, intent(strategy="s1", quantity=5, price=100))


TABLE = {
    (Level.NORMAL, Purpose.ORDER): True,
    (Level.NORMAL, Purpose.CANCEL): True,
    (Level.NORMAL, Purpose.STOP_CANCEL): False,
    (Level.NORMAL, Purpose.STOP_ORDER): False,
    (Level.REDUCE_ONLY, Purpose.ORDER): True,
    (Level.REDUCE_ONLY, Purpose.CANCEL): True,
    (Level.REDUCE_ONLY, Purpose.STOP_CANCEL): False,
    (Level.REDUCE_ONLY, Purpose.STOP_ORDER): False,
    (Level.HALT, Purpose.ORDER): False,
    (Level.HALT, Purpose.CANCEL): False,
    (Level.HALT, Purpose.STOP_CANCEL): False,
    (Level.HALT, Purpose.STOP_ORDER): False,
    (Level.CANCEL, Purpose.ORDER): False,
    (Level.CANCEL, Purpose.CANCEL): False,
    (Level.CANCEL, Purpose.STOP_CANCEL): True,
    (Level.CANCEL, Purpose.STOP_ORDER): False,
    (Level.FLATTEN, Purpose.ORDER): False,
    (Level.FLATTEN, Purpose.CANCEL): False,
    (Level.FLATTEN, Purpose.STOP_CANCEL): True,
    (Level.FLATTEN, Purpose.STOP_ORDER): True,
} | {(level, Purpose.UNWIND): True for level in Level}


@pytest.mark.parametrize(("level", "purpose"), TABLE)
def test_every_cell_of_the_table_of_levels_and_purposes(level, purpose):
    gate = make_gate()
    gate.close("x", Entry(Scope.everything(), level, 1))
    assert passes(gate, intent(purpose)) is TABLE[level, purpose]


@pytest.mark.parametrize("purpose", [Purpose.ORDER, Purpose.STOP_ORDER])
def test_a_reducing_order_may_not_take_more_than_is_held(purpose):
    gate = make_gate(room=4)
    level = Level.REDUCE_ONLY if purpose is Purpose.ORDER else Level.FLATTEN
    gate.close("x", Entry(Scope.everything(), level, 1))
    assert not passes(gate, intent(purpose, quantity=5))
    assert passes(gate, intent(purpose, quantity=4))


def test_a_stop_of_one_strategy_leaves_the_other_alone():
    gate = make_gate()
    gate.close("x", Entry(Scope.parse("strategy:E1/s1"), Level.HALT, 1))
    assert not passes(gate, intent(strategy="s1"))
    assert passes(gate, intent(strategy="s2"))


def test_only_a_release_of_that_stop_opens_it_again():
    gate = make_gate()
    gate.close("x", Entry(Scope.everything(), Level.HALT, 3))
    gate.open(["other"], 9)
    gate.open(["x"], 2)
    assert not passes(gate, intent())
    gate.open(["x"], 3)
    assert passes(gate, intent())


def test_what_passed_is_in_flight_until_its_answer_is_booked():
    gate = make_gate()
    gate.check(intent(order_id="o1", strategy="s1"), NOW)
    gate.check(intent(order_id="o2", strategy="s2"), NOW)
    assert gate.in_flight() == 2
    assert gate.in_flight(Scope.parse("strategy:E1/s2")) == 1
    gate.settle("o2")
    gate.settle("o2")
    assert gate.in_flight() == 1


def test_what_was_refused_is_not_in_flight():
    gate = make_gate(synced=False)
    assert not passes(gate, intent())
    assert gate.in_flight() == 0


scopes = st.sampled_from(
    ["all", "account:A1", "account:A2", "engine:E1", "engine:E2", "strategy:E1/s1", "symbol:005930"]
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("stop"), st.sampled_from("abc"), scopes, st.sampled_from(list(Level)), st.integers(1, 9)),
        st.tuples(st.just("release"), st.sampled_from("abc"), st.integers(1, 9)),
    ),
    max_size=12,
)


@given(steps)
def test_no_sequence_of_stops_and_releases_lets_an_order_through_while_a_covering_stop_is_open(history):
    gate = make_gate()
    for step in history:
        if step[0] == "stop":
            gate.close(step[1], Entry(Scope.parse(step[2]), step[3], step[4]))
        else:
            gate.open([step[1]], step[2])
    covering = [e.level for _, e in gate.register.open_stops() if e.scope.covers("E1", "A1", "s1", "1")]
    level = max(covering, default=Level.NORMAL)
    assert passes(gate, intent(quantity=1)) is (level <= Level.REDUCE_ONLY)


# --- reduced after a release --------------------------------------------------------------------------------------


def reduced_gate(*, room=0, until=NOW + 60, most=1_000):
    gate = make_gate(room=room, lease_until=NOW + 1000)
    gate.reduced["s1"] = Reduction(until=until, max_order_value=most)
    return gate


@pytest.mark.parametrize(("quantity", "price", "may"), [(10, 100, True), (10, 101, False), (1, 1_001, False)])
def test_after_a_release_with_reduced_limits_only_small_orders_pass(quantity, price, may):
    assert passes(reduced_gate(), intent(quantity=quantity, price=price)) is may


def test_an_order_of_unknown_value_is_not_small():
    assert not passes(reduced_gate(), intent(price=None))


def test_an_order_that_reduces_a_position_may_be_as_large_as_the_position():
    assert passes(reduced_gate(room=10), intent(quantity=10, price=1_000_000))
    assert not passes(reduced_gate(room=10), intent(quantity=11, price=1_000_000))


def test_reduced_limits_end_by_themselves_and_hold_for_their_strategy_alone():
    gate = reduced_gate()
    large = intent(quantity=100, price=1_000)
    assert passes(gate, intent(strategy="s2", quantity=100, price=1_000))
    assert not passes(gate, large, NOW + 59.9)
    assert passes(gate, large, NOW + 60)


@given(level=st.sampled_from(list(Level)), most=st.integers(1, 10**9), room=st.integers(0, 20))
def test_reduced_limits_never_let_anything_through_that_would_not_pass_without(level, most, room):
    def gate():
        made = make_gate(room=room, lease_until=NOW + 1000)
        if level is not Level.NORMAL:
            made.close("x", Entry(Scope.everything(), level, 1))
        return made

    plain, reduced = gate(), gate()
    reduced.reduced["s1"] = Reduction(until=NOW + 60, max_order_value=most)
    for purpose in Purpose:
        asked = intent(purpose, quantity=10, price=1_000)
        assert passes(plain, asked) >= passes(reduced, asked)
        if purpose is not Purpose.ORDER:
            assert passes(plain, asked) == passes(reduced, asked)


# --- the books ---


@given(st.lists(st.sampled_from(["begin", "end", "doubt", "expire", "look", "renew"]), max_size=20))
def test_only_a_comparison_that_began_after_every_doubt_opens_the_gate(steps):
    """An expiry is a doubt when somebody sees it, at the latest when the lease is renewed."""
    lease, now, begun, last_doubt, agreed, unseen = Lease(), 0.0, [], 0.0, 0.0, False
    lease.renew(1e6, 0.0)
    gate = Gate(engine_id="E1", account_id="A1", lease=lease, reducible=lambda _s, _c, _d: 0)
    for step in steps:
        now += 1.0
        match step:
            case "begin":
                begun.append((now, gate.doubts))
            case "end" if begun:
                since, doubts = begun.pop(0)
                gate.agreed(doubts)
                agreed = max(agreed, since)
            case "doubt":
                gate.doubt()
                last_doubt = now
            case "expire" if lease.alive(now):
                lease.expires_at, unseen = now, True
            case "look" | "renew":
                lease.tick(now) if step == "look" else lease.renew(now + 1e6, now)
                last_doubt, unseen = now if unseen else last_doubt, False
        assert gate.synced == (agreed > last_doubt)
        assert passes(gate, intent(order_id=f"o{now}", quantity=0), now) == (gate.synced and lease.alive(now))
