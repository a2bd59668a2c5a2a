"""The staged stop: every stage is reached by evidence, and "flat" is never said of what is not known."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from wire.sdk.latch import LatchedStop
from wire.sdk.stop_run import Exposure, View, WorkingOrder
from wire.sdk.stopping import CancelWorking, CloseOut, Look, Stopping
from wire.stops import Entry, Level, Register, Scope, StopRecord
from wire.values import Flatness, Side, StopPhase

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
P = StopPhase


def stop(stop_id="x", *, scope="all", level=Level.FLATTEN, epoch=1, timeout_ms=30_000):
    record = StopRecord(stop_id=stop_id, scope=Scope.parse(scope), level=level, stop_epoch=epoch)
    return LatchedStop(record=record, reason="r", user_id="u", at=AT, timeout_ms=timeout_ms)


class Desk:
    """The stops of one engine over a register, with a clock that only this test moves."""

    def __init__(self):
        self.register = Register()
        self.unresolved = 0
        self.now = 100.0
        self.stopping = Stopping(
            covers=lambda scope, s, c: scope.covers("E1", "A1", s, c),
            level_for=lambda s, c: self.register.level_for("E1", "A1", s, c),
            unresolved=lambda _scope: self.unresolved,
        )

    def begin(self, latched, *, in_flight=0, noted=True):
        r = latched.record
        self.register = self.register.with_stop(r.stop_id, Entry(r.scope, r.level, r.stop_epoch))
        report = self.stopping.begin(latched, self.now, in_flight)
        if noted:
            self.stopping.noted(r.stop_id)
        return report

    def see(self, *, orders=(), positions=(), problem=None):
        self.now += 1.0
        view = View(
            began=self.now,
            ended=self.now + 0.5,
            at=AT + timedelta(seconds=self.now),
            orders=tuple(orders),
            positions=tuple(positions),
            problem=problem,
        )
        self.now += 0.5
        self.stopping.observe(view)
        return self.stopping.plan(view, self.now)

    def report(self, stop_id="x"):
        return next(r for r in self.stopping.runs if r.stop_id == stop_id).report()


def working(order_id="o1", *, strategy="s1", symbol="005930", remaining=5, closing=False, age=1.0):
    return WorkingOrder(
        order_id=order_id,
        strategy_id=strategy,
        symbol=symbol,
        side=Side.SELL,
        remaining=remaining,
        closing=closing,
        age=age,
    )


def held(quantity=10, *, strategy="s1", symbol="005930"):
    return Exposure(strategy_id=strategy, symbol=symbol, quantity=quantity)


def test_a_stop_reports_frozen_with_what_was_in_flight_before_its_latch_is_safe():
    report = Desk().begin(stop(), in_flight=3, noted=False)
    assert (report.phase, report.in_flight, report.latched) == (P.FROZEN, 3, False)
    assert report.flatness is Flatness.UNKNOWN


def test_halt_is_done_when_the_gate_is_closed_and_the_latch_is_safe():
    desk = Desk()
    assert desk.begin(stop(level=Level.HALT), noted=False).phase is P.FROZEN
    assert desk.stopping.noted("x").phase is P.VERIFIED
    assert not desk.stopping.has_work


def test_a_flatten_goes_through_every_stage_with_counts():
    desk = Desk()
    desk.begin(stop())
    actions = desk.see(orders=[working()], positions=[held()])
    assert [type(a) for a in actions] == [CancelWorking]
    assert (desk.report().phase, desk.report().orders_remaining) == (P.FROZEN, 1)
    desk.stopping.order_over("o1", by_cancel=True)
    assert desk.see(positions=[held()]) == [CloseOut(strategy_id="s1", symbol="005930", quantity=10, attempt=0)]
    assert (desk.report().phase, desk.report().orders_cancelled) == (P.CANCELLED, 1)
    desk.see(orders=[working("c1", closing=True)], positions=[held()])
    desk.stopping.fill(desk.now)
    desk.see()
    assert (desk.report().phase, desk.report().positions_liquidated) == (P.FLATTENED, 1)
    desk.see()
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.FLAT)
    assert desk.report().positions_remaining == 0


def test_cancel_is_done_after_two_reads_without_a_working_order_and_leaves_positions():
    desk = Desk()
    desk.begin(stop(level=Level.CANCEL))
    assert desk.see(positions=[held()]) == []
    assert desk.report().phase is P.CANCELLED
    desk.see(positions=[held()])
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.NOT_FLAT)


def test_one_clean_read_is_not_enough_and_a_dirty_one_starts_over():
    desk = Desk()
    desk.begin(stop(level=Level.CANCEL))
    desk.see()
    desk.see(orders=[working()])
    desk.see()
    assert desk.report().phase is P.CANCELLED
    desk.see()
    assert desk.report().phase is P.VERIFIED


def test_cancel_is_not_done_while_an_order_works_that_closes_for_another_stop():
    desk = Desk()
    desk.begin(stop(scope="engine:E1"))
    desk.begin(stop("y", level=Level.CANCEL, epoch=2))
    for _ in range(3):
        desk.see(orders=[working("c1", closing=True)], positions=[held()])
    assert (desk.report("y").phase, desk.report("y").orders_remaining) == (P.CANCELLED, 1)
    desk.see()
    assert desk.report("y").phase is P.CANCELLED
    desk.see()
    assert (desk.report("y").phase, desk.report("y").orders_remaining) == (P.VERIFIED, 0)


def test_a_fill_after_the_first_clean_read_makes_both_reads_anew():
    desk = Desk()
    desk.begin(stop())
    desk.see()
    desk.stopping.fill(desk.now)
    desk.see()
    assert (desk.report().phase, desk.report().flatness) == (P.FLATTENED, Flatness.UNKNOWN)
    desk.see()
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.FLAT)


def test_one_read_without_anything_is_not_yet_flat_and_two_that_overlap_are_one():
    desk = Desk()
    desk.begin(stop(level=Level.CANCEL), noted=False)
    desk.see()
    assert (desk.report().flatness, desk.report().flatness_reason) == (
        Flatness.UNKNOWN,
        "only one read so far shows it flat",
    )
    overlapping = View(began=desk.now - 0.2, ended=desk.now + 1, at=AT)
    desk.stopping.observe(overlapping)
    assert desk.report().flatness is Flatness.UNKNOWN
    desk.see()
    assert desk.report().flatness is Flatness.FLAT


def test_a_read_that_fails_between_two_clean_ones_makes_both_reads_anew():
    desk = Desk()
    desk.begin(stop())
    desk.see()
    desk.see(problem="the broker did not answer")
    desk.see()
    assert (desk.report().phase, desk.report().flatness) == (P.FLATTENED, Flatness.UNKNOWN)
    desk.see()
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.FLAT)


def test_what_was_verified_keeps_its_evidence_when_a_later_read_fails():
    desk = Desk()
    desk.begin(stop())
    desk.see()
    desk.see()
    assert desk.see(problem="the broker did not answer") == []
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.FLAT)


def test_a_failed_read_is_unknown_and_proves_nothing():
    desk = Desk()
    desk.begin(stop())
    desk.see()
    assert desk.see(positions=[held()], problem="the broker did not answer") == []
    assert (desk.report().flatness, desk.report().flatness_reason) == (Flatness.UNKNOWN, "the broker did not answer")
    desk.see()
    assert desk.report().phase is P.FLATTENED


def test_while_a_requests_fate_is_open_nothing_is_cancelled_or_closed():
    desk = Desk()
    desk.begin(stop(), in_flight=1)
    desk.unresolved = 1
    assert desk.see(positions=[held()]) == []
    assert desk.report().phase is P.FROZEN
    desk.unresolved = 0
    assert desk.see(positions=[held()]) != []


def test_after_thirty_seconds_it_has_timed_out_and_still_tries():
    desk = Desk()
    desk.begin(stop())
    assert desk.stopping.tick(129.9) == []
    (report,) = desk.stopping.tick(130.0)
    assert (report.phase, report.error) == (P.TIMED_OUT, "error_stop_timeout")
    assert desk.stopping.tick(131.0) == []
    assert desk.see(positions=[held()]) != []
    desk.see()
    desk.see()
    assert desk.report().phase is P.VERIFIED


def test_a_new_stop_by_a_person_tries_blocked_positions_again():
    desk = Desk()
    desk.begin(stop())
    desk.stopping.closed("s1", "005930", desk.now)
    assert desk.see(positions=[held()]) == []
    desk.begin(stop("y", epoch=2))
    assert len(desk.see(positions=[held()])) == 1


def test_two_stops_over_one_position_close_it_once():
    desk = Desk()
    desk.begin(stop("x"))
    desk.begin(stop("y", scope="symbol:005930", epoch=2))
    assert len(desk.see(positions=[held()])) == 1
    assert desk.see(orders=[working("c1", closing=True)], positions=[held()]) == []


def test_a_stop_of_a_strategy_closes_only_what_its_own_fills_opened():
    desk = Desk()
    desk.begin(stop(scope="strategy:E1/s1"))
    others = [held(7, strategy="s2"), held(3, strategy="unowned")]
    actions = desk.see(positions=[held(), *others])
    assert actions == [CloseOut(strategy_id="s1", symbol="005930", quantity=10, attempt=0)]
    desk.see(positions=others)
    desk.see(positions=others)
    assert (desk.report().phase, desk.report().flatness) == (P.VERIFIED, Flatness.FLAT)


def test_a_released_flatten_withdraws_its_own_orders_and_reports_released():
    desk = Desk()
    desk.begin(stop())
    desk.see(positions=[held()])
    desk.register = desk.register.with_release(["x"], 1)
    (report,) = desk.stopping.release(["x"], ["c1"])
    assert report.phase is P.RELEASED
    assert desk.stopping.has_work
    (action,) = desk.see(orders=[working("c1", closing=True)], positions=[held()])
    assert action.order.order_id == "c1"
    desk.stopping.order_over("c1", by_cancel=True)
    assert not desk.stopping.has_work


def test_a_raise_goes_through_the_stages_again_and_a_repetition_only_reports():
    desk = Desk()
    desk.begin(stop(level=Level.HALT))
    assert desk.report().phase is P.VERIFIED
    assert desk.begin(stop(level=Level.HALT)).phase is P.VERIFIED
    assert desk.begin(stop(level=Level.FLATTEN, epoch=2)).phase is P.FROZEN
    assert len(desk.see(positions=[held()])) == 1


def test_an_unfilled_closing_order_is_withdrawn_and_sent_anew():
    desk = Desk()
    desk.begin(stop())
    desk.see(positions=[held()])
    assert desk.see(orders=[working("c1", closing=True, age=1.0)], positions=[held()]) == []
    assert desk.see(orders=[working("c1", closing=True, age=9.0)], positions=[held()]) == [Look(symbol="005930")]
    desk.stopping.saw("005930", None, desk.now)
    (action,) = desk.see(orders=[working("c1", closing=True, age=9.0)], positions=[held()])
    assert isinstance(action, CancelWorking)
    assert desk.see(positions=[held()])[0].attempt == 1


def test_after_verification_nothing_more_is_sent():
    desk = Desk()
    desk.begin(stop())
    desk.see()
    desk.see()
    assert desk.see(positions=[held()]) == []


class Broker:
    """A little exchange that may ignore, delay or fill anything."""

    def __init__(self, orders, positions):
        self.orders = {f"o{n}": [strategy, symbol, q] for n, (strategy, symbol, q) in enumerate(orders)}
        self.positions = dict(positions)
        self.sold = 0


situations = st.fixed_dictionaries(
    {
        "orders": st.lists(
            st.tuples(st.sampled_from(["s1", "s2"]), st.sampled_from(["A", "B"]), st.integers(1, 9)), max_size=4
        ),
        "positions": st.dictionaries(
            st.tuples(st.sampled_from(["s1", "s2", "unowned"]), st.sampled_from(["A", "B"])),
            st.integers(1, 9),
            max_size=4,
        ),
        "stops": st.lists(
            st.tuples(
                st.sampled_from(["all", "engine:E1", "strategy:E1/s1", "symbol:A"]),
                st.sampled_from([Level.HALT, Level.CANCEL, Level.FLATTEN]),
            ),
            min_size=1,
            max_size=3,
        ),
    }
)
moods = st.lists(st.sampled_from(["works", "ignores", "fails", "fills"]), max_size=25)


@settings(max_examples=200)
@given(situations, moods)
def test_verified_means_flat_at_the_broker_and_no_mood_of_the_broker_makes_it_sell_more_than_was_held(situation, moods):
    """Feature: the staged stop, against a broker that fails, ignores and fills at will, and works in the end."""
    desk, broker = Desk(), Broker(situation["orders"], situation["positions"])
    start = dict(broker.positions)
    sold = dict.fromkeys(start, 0)
    for n, (scope, level) in enumerate(situation["stops"]):
        desk.begin(stop(f"x{n}", scope=scope, level=level, epoch=n + 1))
    closing = {}
    for mood in [*moods, *["works"] * 12]:
        orders = [
            working(i, strategy=s, symbol=c, remaining=q, closing=i in closing)
            for i, (s, c, q) in broker.orders.items()
        ]
        positions = [held(q, strategy=s, symbol=c) for (s, c), q in broker.positions.items() if q]
        actions = desk.see(orders=orders, positions=positions, problem="no answer" if mood == "fails" else None)
        _check_verified(desk, broker, closing)
        for action in actions:
            if mood == "ignores":
                continue
            if isinstance(action, CancelWorking):
                del broker.orders[action.order.order_id]
                desk.stopping.order_over(action.order.order_id, by_cancel=True)
            else:
                name = f"c{len(closing)}"
                closing[name] = True
                broker.orders[name] = [action.strategy_id, action.symbol, action.quantity]
        if mood in ("works", "fills"):
            for name in [n for n in broker.orders if n in closing]:
                strategy, symbol, quantity = broker.orders.pop(name)
                broker.positions[strategy, symbol] -= quantity
                sold[strategy, symbol] += quantity
                desk.stopping.fill(desk.now)
                desk.stopping.order_over(name, by_cancel=False)
        desk.now += 3.0
        assert all(q >= 0 for q in broker.positions.values())
    assert all(sold[owner] <= start[owner] for owner in start)
    assert all(run.report().phase is P.VERIFIED for run in desk.stopping.runs)


def _check_verified(desk, broker, closing):
    for run in desk.stopping.runs:
        if run.report().phase is not P.VERIFIED or run.level < Level.CANCEL:
            continue
        in_scope = [
            o for i, o in broker.orders.items() if run.scope.covers("E1", "A1", o[0], o[1]) and i not in closing
        ]
        assert in_scope == []
        if run.level is Level.FLATTEN:
            left = {k: q for k, q in broker.positions.items() if q and run.scope.covers("E1", "A1", *k)}
            assert left == {}


def test_what_was_gone_before_the_stop_was_not_liquidated_by_it(stop_desk, a):
    """The last read before it is old: it is told, with its age, and counts for nothing."""
    stop_desk.see(orders=[a.working("o1", closing=False)], positions=[a.held(10), a.held(5, symbol="000660")])
    stop_desk.stop()
    report = stop_desk.report()
    assert (report.positions_liquidated, report.positions_remaining, report.orders_remaining) == (0, 2, 1)
    stop_desk.see(problem="the broker was not read")
    stop_desk.see(positions=[a.held(10)])
    stop_desk.stopping.order_over("o1", by_cancel=True)
    report = stop_desk.report()
    assert (report.positions_liquidated, report.positions_remaining, report.orders_cancelled) == (0, 1, 0)
    stop_desk.see()
    assert (stop_desk.report().positions_liquidated, stop_desk.report().positions_remaining) == (1, 0)


def test_a_read_that_failed_before_the_stop_hides_nothing_that_was_seen(stop_desk, a):
    """None left is said only by a read: a broker that does not answer when the stop comes has not become empty."""
    stop_desk.see(orders=[a.working("o1", closing=False)], positions=[a.held(10)])
    stop_desk.see(problem="the broker was not read")
    stop_desk.stop()
    assert (stop_desk.report().positions_remaining, stop_desk.report().orders_remaining) == (1, 1)
    stop_desk.see(problem="the broker was not read")
    report = stop_desk.report()
    assert (report.positions_remaining, report.orders_remaining, report.flatness) == (1, 1, Flatness.UNKNOWN)
