"""What the operator of a demo reads first."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from actors.board import Board
from actors.demo.demo import greeting
from wire.rest.stops import Stop, StopState
from wire.stops import Level, Scope

AT = datetime(2026, 1, 5, 0, 30, tzinfo=UTC)


def greeted(**stops):
    board = Board()
    for stop_id, released_at in stops.items():
        view = Stop(
            stop_id=stop_id, request_id=stop_id, epoch=7, scope=Scope.everything(), level=Level.FLATTEN, user_id="u1",
            reason="fire", requested_at=AT, delivered=0, engines=0, durable=True, state=StopState.EMPTY, results=[],
            released_at=released_at,
        )  # fmt: skip
        board.put(stop_id, view)
    settings = SimpleNamespace(home=Path("home"), http="127.0.0.1:8700")
    return greeting(SimpleNamespace(stops=board, settings=settings)).splitlines()


def test_a_demo_that_starts_while_stopped_says_so_first_and_how_to_release_it():
    told = greeted(s1=None, s2=AT)
    assert told[0].startswith("STOPPED: FLATTEN on all since 2026-01-05 00:30:00 UTC (operator: fire).")
    assert told[1] == "  watchkeeper release s1 --reason WHY"
    assert not any("s2" in line for line in told)
    assert "http://127.0.0.1:8700" in told[3]


def test_a_demo_that_is_not_stopped_begins_with_the_desk():
    assert greeted(s1=AT)[0].startswith("Watchkeeper demo:")
