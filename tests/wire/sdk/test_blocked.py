"""What cannot be closed now is an open task: it says why, the rest goes on, and it is tried until the session ends."""

import attrs
import pytest

from wire.sdk.flattening import MarketPhase
from wire.sdk.stop_run import CLOSING
from wire.sdk.stopping import LOOK_AGAIN_AFTER, SHUT_PACE, STUBBORN, Asked, CancelWorking, CloseOut, Look
from wire.stops import Level
from wire.values import Flatness, StopPhase

P, M = StopPhase, MarketPhase


def kinds(actions):
    return [type(action) for action in actions]


def blocked_by(desk, a, **facts):
    """A closing order was refused, and a look at the symbol says why."""
    desk.stop()
    desk.see(positions=[a.held()])
    desk.refuse()
    assert desk.see(positions=[a.held()]) == [Look(symbol="005930")]
    desk.saw(**facts)


def test_a_halted_symbol_is_a_residual_and_the_rest_is_closed(stop_desk, a):
    desk, other = stop_desk, a.held(5, symbol="000660")
    desk.stop()
    assert len(desk.see(positions=[a.held(), other])) == 2
    desk.refuse()
    assert kinds(desk.see(positions=[a.held(), other])) == [CloseOut, Look]
    desk.saw(halted=True)
    assert desk.see(positions=[a.held(), other], after=0.1) == []
    (residual, going) = sorted(desk.report().residuals, key=lambda r: -r.quantity)
    assert (residual.symbol, residual.quantity, residual.until) == ("005930", 10, None)
    assert "halted" in residual.reason
    assert going.reason == CLOSING
    assert desk.report().phase is P.CANCELLED  # something is still being closed
    desk.see(positions=[a.held()])
    report = desk.report()
    assert (report.phase, report.error, report.flatness) == (P.FAILED, "error_positions_blocked", Flatness.NOT_FLAT)


def test_it_is_looked_at_again_and_sold_when_the_symbol_trades_and_the_stop_is_verified(stop_desk, a):
    desk = stop_desk
    blocked_by(desk, a, halted=True)
    assert desk.see(positions=[a.held()]) == []
    assert desk.stopping.pace == LOOK_AGAIN_AFTER
    assert desk.see(positions=[a.held()], after=LOOK_AGAIN_AFTER) == [Look(symbol="005930")]
    desk.saw(halted=True)
    assert kinds(desk.see(positions=[a.held()], after=LOOK_AGAIN_AFTER)) == [Look]
    desk.saw()
    (close,) = desk.see(positions=[a.held()])
    assert (close.quantity, close.state.halted) == (10, False)
    assert desk.report().residuals[0].reason == CLOSING
    desk.see()
    desk.see()
    assert (desk.report().phase, desk.report().residuals, desk.report().error) == (P.VERIFIED, [], None)


def test_a_trade_of_the_stream_makes_it_look_at_once(stop_desk, a):
    desk = stop_desk
    blocked_by(desk, a, halted=True)
    assert not desk.stopping.traded("000660", desk.now + 2)
    assert desk.see(positions=[a.held()], after=2.0) == []
    assert desk.stopping.traded("005930", desk.now)
    assert desk.see(positions=[a.held()], after=0.1) == [Look(symbol="005930")]
    assert not desk.stopping.traded("005930", desk.now)


@pytest.mark.parametrize("facts", [{"interrupted": True}, {"phase": M.AUCTION}, {"bid": 0, "price": 50_000}])
def test_where_an_order_may_queue_one_is_left_in_the_queue(stop_desk, a, facts):
    desk = stop_desk
    blocked_by(desk, a, **facts)
    (close,) = desk.see(positions=[a.held()])
    assert close.state is not None
    order = a.working(age=60.0)
    assert kinds(desk.see(orders=[order], positions=[a.held()])) == []
    assert kinds(desk.see(orders=[order], positions=[a.held()], after=LOOK_AGAIN_AFTER)) == [Look]
    assert desk.report().phase is P.FAILED
    desk.saw()
    assert kinds(desk.see(orders=[order], positions=[a.held()])) == [CancelWorking]  # it stands too high by now


def test_the_lot_of_an_odd_number_of_shares_is_sold_and_the_rest_stays_blocked(stop_desk, a):
    desk = stop_desk
    desk.stop()
    desk.see(positions=[a.held(25)])
    desk.refuse()
    desk.see(positions=[a.held(25)])
    desk.saw(lot=10)
    (close,) = desk.see(positions=[a.held(25)])
    assert close.state.lot == 10
    desk.stopping.fill(desk.now)
    desk.see(positions=[a.held(5)])
    desk.refuse()
    desk.see(positions=[a.held(5)], after=LOOK_AGAIN_AFTER)
    desk.saw(lot=10)
    desk.see(positions=[a.held(5)])
    assert desk.report().residuals[0].reason == "5 shares are fewer than the trading unit of 10"


def test_a_refusal_nobody_explains_is_told_in_the_brokers_words_and_tried_again_and_again(stop_desk, a):
    desk, sent = stop_desk, 0
    desk.stop()
    for _ in range(60):
        actions = desk.see(positions=[a.held()])
        sent += CloseOut in kinds(actions)
        if CloseOut in kinds(actions):
            desk.refuse("no such thing")
        if Look in kinds(actions):
            desk.saw()
    assert sent > STUBBORN
    assert desk.report().residuals[0].reason == "refused by the broker: no such thing"
    desk.see(orders=[a.working()], positions=[a.held()])
    assert desk.report().residuals[0].reason == CLOSING


def test_a_look_without_an_answer_does_not_keep_it_from_trying(stop_desk, a):
    desk = stop_desk
    desk.stop()
    desk.see(positions=[a.held()])
    desk.refuse()
    assert kinds(desk.see(positions=[a.held()])) == [Look]
    desk.stopping.saw("005930", None, desk.now)
    assert kinds(desk.see(positions=[a.held()])) == [CloseOut]


def test_a_closed_market_ends_the_attempts_and_neither_sells_nor_cancels(stop_desk, a):
    desk = stop_desk
    desk.stop()
    desk.see(positions=[a.held()])
    desk.stopping.closed("s1", "005930", desk.now)
    mine = a.working("o1", closing=False)
    assert [desk.see(orders=[mine], positions=[a.held()], after=60.0) for _ in range(3)] == [[], [], []]
    report = desk.report()
    assert (report.phase, report.error) == (P.FAILED, "error_positions_blocked")
    assert (report.residuals[0].reason, report.residuals[0].until.isoformat()) == (
        "the market is closed",
        "2026-11-23T00:00:00+00:00",
    )
    assert desk.stopping.pace == SHUT_PACE


def test_a_market_that_goes_on_trading_was_not_closed_after_all(stop_desk, a):
    desk = stop_desk
    desk.stop()
    desk.see(positions=[a.held()])
    desk.stopping.closed("s1", "005930", desk.now)
    assert not desk.stopping.traded("005930", desk.now + 9)
    assert desk.see(positions=[a.held()]) == []
    assert desk.stopping.traded("005930", desk.now + 10)
    assert kinds(desk.see(positions=[a.held()], after=11.0)) == [CloseOut]


# --- another session ---


def test_in_another_session_nothing_is_sent_before_a_person_says_it_again(stop_desk, a):
    desk = stop_desk
    desk.stop()
    desk.see(positions=[a.held()])
    desk.stopping.closed("s1", "005930", desk.now)
    (report,) = desk.stopping.begin_session("20261123")
    assert (report.phase, report.error) == (P.FAILED, "error_confirmation_needed")
    assert "before a person continues it" in report.reason
    assert report.residuals[0].reason == report.reason
    mine = a.working("o1", closing=False, symbol="000660")
    assert desk.see(orders=[mine], positions=[a.held()], after=60.0) == []
    desk.stop(epoch=2)  # the platform gave it another epoch by itself: nobody has asked
    assert desk.see(orders=[mine], positions=[a.held()]) == []
    assert desk.stopping.ask_again("x", 1) == []
    (report,) = desk.stopping.ask_again("x", 2)
    assert report.error is None
    assert kinds(desk.see(orders=[mine], positions=[a.held()])) == [CancelWorking, CloseOut]
    assert desk.asked["x"] == Asked(stop_id="x", epoch=2, session="20261123")


def test_a_stop_that_a_person_continues_is_not_reported_once_more_as_waiting_for_one(stop_desk, a):
    desk = stop_desk
    latched = desk.stop()
    desk.see(positions=[a.held()])
    desk.stopping.closed("s1", "005930", desk.now)
    (report,) = desk.stopping.begin_session("20261123")
    assert report.error == "error_confirmation_needed"
    higher = attrs.evolve(latched, record=attrs.evolve(latched.record, stop_epoch=2))
    report = desk.stopping.begin(higher, desk.now, 0, again=True)
    assert (report.stop_epoch, report.error) == (2, None)
    assert desk.asked["x"] == Asked(stop_id="x", epoch=2, session="20261123")
    assert desk.stopping.ask_again("x", 2) == []


def test_a_persons_word_that_is_only_sent_again_counts_for_the_day_on_which_it_was_said(stop_desk, a):
    desk = stop_desk
    desk.stop()
    latched = desk.stop(epoch=2)
    desk.stopping.ask_again("x", 2)
    desk.see(positions=[a.held()])
    desk.stopping.closed("s1", "005930", desk.now)
    (report,) = desk.stopping.begin_session("20261123")
    assert report.error == "error_confirmation_needed"
    desk.stopping.begin(latched, desk.now, 0, again=True)  # the link was lost, and the platform sends what is not done
    assert desk.stopping.ask_again("x", 2) == []
    assert desk.see(positions=[a.held()], after=60.0) == []
    assert desk.report().error == "error_confirmation_needed"


def test_a_stricter_level_is_a_persons_word_too(stop_desk, a):
    desk = stop_desk
    desk.stop(level=Level.CANCEL)
    desk.stopping.begin_session("20261123")
    desk.stop(level=Level.FLATTEN, epoch=2)
    assert kinds(desk.see(positions=[a.held()])) == [CloseOut]


def test_what_was_verified_needs_nobody(stop_desk):
    desk = stop_desk
    desk.stop()
    desk.see()
    desk.see()
    assert desk.stopping.begin_session("20261123") == []
    assert desk.report().phase is P.VERIFIED


def test_another_persons_stop_over_the_same_position_is_a_word_too(stop_desk, a):
    desk = stop_desk
    desk.stop(scope="symbol:005930")
    desk.see(positions=[a.held()])
    desk.stopping.begin_session("20261123")
    assert desk.see(positions=[a.held()]) == []
    desk.stop("y", epoch=2, scope="engine:E1")
    assert kinds(desk.see(positions=[a.held()])) == [CloseOut]


def test_a_restart_in_the_same_session_goes_on_and_in_another_one_waits(make_stop_desk, a):
    first = make_stop_desk()
    first.stop()
    for session, sends in (("20261120", True), ("20261123", False)):
        again = make_stop_desk(session="")
        again.stopping.recalling(first.asked.values())
        again.stop()
        again.stopping.recalled()
        assert again.see(positions=[a.held()]) == []  # the exchange's date is not known yet
        assert (again.report().phase, again.report().error) == (P.CANCELLED, None)  # nobody is asked for a word
        again.stopping.begin_session(session)
        assert (kinds(again.see(positions=[a.held()])) == [CloseOut]) is sends


def test_a_broker_that_never_tells_the_date_makes_a_stop_late_and_asks_nobody(make_stop_desk, a):
    first, again = make_stop_desk(), make_stop_desk(session="")
    first.stop()
    again.stopping.recalling(first.asked.values())
    again.stop()
    again.stopping.recalled()
    assert again.see(positions=[a.held()], after=31.0) == []
    again.stopping.tick(again.now)
    report = again.report()
    assert (report.phase, report.error) == (P.TIMED_OUT, "error_stop_timeout")
    assert (report.reason, report.residuals[0].reason) == ("the exchange's date is not known yet",) * 2


def test_a_stop_whose_session_nobody_remembers_waits_for_a_person(make_stop_desk, a):
    desk = make_stop_desk(session="")
    desk.stopping.recalling([])
    desk.stop()
    desk.stopping.recalled()
    desk.stopping.begin_session("20261120")
    assert desk.see(positions=[a.held()]) == []
    assert desk.report().error == "error_confirmation_needed"


def test_a_stop_that_comes_before_the_date_is_known_is_carried_out(make_stop_desk, a):
    desk = make_stop_desk(session="")
    desk.stop()
    assert kinds(desk.see(positions=[a.held()])) == [CloseOut]
    desk.stopping.begin_session("20261120")
    assert desk.asked["x"].session == "20261120"
    assert desk.report().error is None


def test_a_halt_is_never_held(make_stop_desk):
    desk = make_stop_desk()
    desk.stop(level=Level.HALT)
    assert desk.stopping.begin_session("20261123") == []
    assert (desk.report().phase, desk.asked) == (P.VERIFIED, {})


def test_a_stop_that_the_engine_cannot_carry_out_is_still_looked_at_every_few_seconds(stop_desk, a):
    """Nothing waits for a market that is closed: a person may close the position by hand at any moment."""
    desk = stop_desk
    desk.stop()
    desk.stopping.lacking(lambda _run: "this engine has no way to send orders")
    desk.see(positions=[a.held()])
    assert desk.stopping.pace == LOOK_AGAIN_AFTER
