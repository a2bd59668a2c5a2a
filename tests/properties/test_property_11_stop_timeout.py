"""Property 11: thirty seconds after a stop every engine has finished or is named as late; nothing stays "running"."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.stops.book import StopBook
from actors.stops.effects import RaiseAlert
from actors.stops.parts import FINAL, Instant
from wire.messages import StopProgress
from wire.rest.stops import StopRequest, StopState
from wire.stops import Register
from wire.values import Flatness, LatchState, StopPhase

START = datetime(2026, 1, 5, tzinfo=UTC)
PHASES = [StopPhase.SENT, StopPhase.RECEIVED, StopPhase.FROZEN, StopPhase.CANCELLED, StopPhase.FLATTENED]


def at(seconds):
    return Instant(seconds, START + timedelta(seconds=seconds))


@settings(max_examples=150, deadline=None)
@given(
    fates=st.lists(
        st.tuples(st.sampled_from([*PHASES, StopPhase.VERIFIED, StopPhase.FAILED]), st.floats(0, 29.9)),
        min_size=1,
        max_size=8,
    ),
    ticks=st.lists(st.floats(0, 29.9), max_size=10).map(sorted),
)
def test_a_stop_is_finished_or_says_timed_out_after_thirty_seconds(fates, ticks):
    """Feature: trading-platform-backend-integration, Property 11: 긴급 정지 타임아웃"""
    book = StopBook(Register(), prove=lambda _r: "", is_ours=lambda _r: False, new_id=lambda: "s1")
    for i in range(len(fates)):
        book.engine_known(f"E{i}", f"A{i}")
        book.link_up(f"E{i}", [], LatchState.ABSENT, at(0))
    book.take(StopRequest(), "kim", at(0))
    for i, (phase, when) in enumerate(fates):
        said = StopProgress(
            stop_id="s1",
            stop_epoch=1,
            phase=phase,
            orders_cancelled=0,
            orders_remaining=0,
            positions_liquidated=0,
            positions_remaining=0,
            flatness=Flatness.FLAT,
            residuals=[],
        )
        book.progress(f"E{i}", said, at(when))
    for tick in ticks:
        assert book.tick(at(tick)) == []
    alerts = [e for e in book.tick(at(30)) if isinstance(e, RaiseAlert)]
    view = book.view("s1")
    late = {f"E{i}" for i, (phase, _) in enumerate(fates) if phase not in FINAL}
    assert {r.engine_id for r in view.results if r.phase is StopPhase.TIMED_OUT} == late
    assert all(r.error and "30 s" in r.error for r in view.results if r.engine_id in late)
    assert len(alerts) == bool(late)
    assert view.state is not StopState.RUNNING
