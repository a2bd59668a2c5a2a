"""What a known engine is called when it is not there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.fleet.fleet import FleetBoard
from actors.fleet.row import EngineRow, StrategyRow
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from wire.messages import Heartbeat, StrategyStatusReport
from wire.parts import Clocks, StrategyReport
from wire.rest.engines import Connection
from wire.rest.stops import StopRequest
from wire.stops import Level
from wire.values import StrategyState, TradingState

AT = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(("seen_before", "called"), [(False, Connection.NEVER), (True, Connection.OFFLINE)])
def test_an_engine_this_platform_has_not_heard_is_offline_when_an_earlier_one_heard_it_else_never(seen_before, called):
    row = EngineRow(engine_id="E1", name="E1", account_id="A1", seen_before=seen_before)
    assert row.connection(now=100.0) is called


@pytest.mark.parametrize(("seconds", "halted"), [(15.0, False), (15.3, False), (15.31, True)])
def test_an_engine_is_shown_halted_by_its_lease_only_when_even_a_slow_clock_has_ended_it(seconds, halted):
    row = EngineRow(engine_id="E1", name="E1", account_id="A1", seen_before=True)
    assert not row.halted_by_lease(now=1e6)  # it never had a lease: nothing has ended
    beat = Heartbeat(
        n=1, sent_ms=0, last_seq=0, last_recv=0, stop_epoch=0, level=Level.NORMAL, synced=True, clocks=Clocks()
    )
    row.beaten(beat, AT, 15.0, Instant(100.0, AT))
    assert row.halted_by_lease(now=100.0 + seconds) is halted
    row.beaten(beat, AT, 0.0, Instant(105.0, AT))  # an answer that gave none does not make the earlier one longer
    assert row.halted_by_lease(now=100.0 + seconds) is halted


def test_a_strategy_is_shown_as_its_engine_says_and_not_as_a_stop_wants_it(kit):
    """What is not known to be stopped is not shown as stopped."""
    book = kit.book(engines=[("E1", "A1")])
    board = FleetBoard(StopShelf(book=book, desk=ReleaseDesk(kit.Ids("r"))))
    row = board.add("E1", "E1", "A1")
    told = {"id": "ma", "name": "ma", "status": StrategyState.ACTIVE, "parameters": {}, "version": 1}
    row.strategies["ma"] = StrategyRow(report=StrategyReport(**told, parameter_schema={}))

    def shown():
        status = board.status(row, 1.0)
        return status.level, status.strategies[0].trading_state

    assert shown() == (Level.NORMAL, TradingState.HALTED)  # an engine boots halted
    row.strategies["ma"].take(StrategyStatusReport(**told, trading_state=TradingState.NORMAL))
    book.take(StopRequest(level=Level.HALT), "kim", kit.at(0))
    assert shown() == (Level.HALT, TradingState.NORMAL)
    row.strategies["ma"].take(StrategyStatusReport(**told, trading_state=TradingState.HALTED))
    assert shown() == (Level.HALT, TradingState.HALTED)


@given(
    heard=st.floats(0, 100),
    lease=st.none() | st.floats(0, 40),
    linked=st.booleans(),
    looked=st.floats(0, 130),
    share=st.floats(0, 1, exclude_max=True),
)
def test_until_the_moment_it_is_called_steady_silence_changes_nothing_that_is_shown(
    heard, lease, linked, looked, share
):
    row = EngineRow(engine_id="E1", name="E1", account_id="A1", linked=linked, heard=Instant(heard, AT))
    row.granted = None if lease is None else (Instant(heard, AT), lease)
    until = row.steady_until(looked)
    later = looked + share * (until - looked)
    assert until > looked - 1e-9 or row.connection(looked) is not Connection.CONNECTED or row.halted_by_lease(looked)
    if looked <= later < until:
        shown = row.connection(looked), row.halted_by_lease(looked)
        assert (row.connection(later), row.halted_by_lease(later)) == shown
