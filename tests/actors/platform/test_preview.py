"""The blast radius of a stop: sums of what is known, and a plain word for what is not."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from actors.fleet.fleet import FleetBoard, preview_stop
from actors.requests import Refusal
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from wire.messages import Positions
from wire.parts import OpenOrder, PositionItem
from wire.rest.engines import Connection
from wire.stops import Scope
from wire.values import Side

AT = datetime(2026, 1, 5, tzinfo=UTC)


def position(symbol="005930", quantity=10, price=70_000, strategy="ma", blocked=None):
    return PositionItem(
        symbol=symbol,
        quantity=quantity,
        average_price=Decimal(70_000),
        current_price=price,
        strategy_id=strategy,
        blocked=blocked,
    )


def order(order_id="o1", symbol="005930"):
    return OpenOrder(order_id=order_id, symbol=symbol, side=Side.BUY, remaining=1, price=70_000)


@pytest.fixture
def scene(kit):
    class Scene:
        def __init__(self):
            book = kit.book(engines=(("E1", "A1"), ("E2", "A2")))
            self.shelf = StopShelf(book=book, desk=ReleaseDesk(kit.Ids()))
            self.board = FleetBoard(self.shelf)
            self.board.add("E1", "E1", "A1")
            self.board.add("E2", "E2", "A2")

        def said(self, engine, *items, orders=(), at=10.0):
            row = self.board.rows[engine]
            row.positions = Positions(items=list(items), open_orders=list(orders), synced=True, as_of=AT)
            row.positions_at = row.heard = Instant(at, AT)
            row.linked = row.synced = True

        def preview(self, scope="all", now=12.0):
            return preview_stop(self.board, self.shelf, Scope.parse(scope), now)

    return Scene()


def numbers(engine):
    return engine.orders, engine.positions, engine.value


def test_engines_that_spoke_are_summed_with_the_age_of_what_they_said(scene):
    scene.said("E1", position(), orders=[order()])
    scene.said("E2", position(quantity=-2, price=100), at=8.0)
    seen = scene.preview()
    assert [numbers(e) for e in seen.engines] == [(1, 1, 700_000), (0, 1, 200)]
    assert [(e.as_of, e.age_ms, e.connection) for e in seen.engines] == [
        (AT, 2000, Connection.CONNECTED),
        (AT, 4000, Connection.CONNECTED),
    ]
    assert (numbers(seen.total), seen.total.engines, seen.total.unknown) == ((1, 2, 700_200), 2, 0)
    assert seen.total.oldest_ms == 4000


def test_an_engine_that_never_spoke_is_unknown_and_not_empty(scene):
    scene.said("E1", position())
    seen = scene.preview()
    silent = seen.engines[1]
    assert (numbers(silent), silent.as_of, silent.age_ms, silent.synced) == ((None, None, None), None, None, None)
    assert silent.connection is Connection.NEVER
    assert (numbers(seen.total), seen.total.unknown) == ((0, 1, 700_000), 1)


def test_when_nobody_spoke_the_sums_are_unknown(scene):
    seen = scene.preview()
    assert (numbers(seen.total), seen.total.engines, seen.total.unknown) == ((None, None, None), 2, 2)


def test_an_engine_the_board_does_not_have_is_listed_as_unknown(scene):
    del scene.board.rows["E2"]
    assert [e.engine_id for e in scene.preview().engines] == ["E1", "E2"]
    assert scene.preview().engines[1].connection is Connection.NEVER


def test_old_numbers_of_an_engine_that_is_away_keep_their_age(scene):
    scene.said("E1", position())
    away = scene.preview(now=100.0).engines[0]
    assert (numbers(away), away.age_ms, away.connection) == ((0, 1, 700_000), 90_000, Connection.OFFLINE)


def test_a_position_without_a_price_makes_the_value_unknown_and_not_nothing(scene):
    scene.said("E1", position(), position(symbol="000660", price=None))
    assert numbers(scene.preview("engine:E1").engines[0]) == (0, 2, None)


def test_a_closed_position_is_none(scene):
    scene.said("E1", position(quantity=0, price=None))
    assert numbers(scene.preview("engine:E1").engines[0]) == (0, 0, 0)


def test_a_symbol_s_stop_counts_that_symbol_alone(scene):
    scene.said("E1", position(), position(symbol="000660"), orders=[order(), order("o2", "000660"), order("o3")])
    assert numbers(scene.preview("symbol:000660").engines[0]) == (1, 1, 700_000)


def test_of_one_strategy_only_what_the_engine_tells_apart_is_known(scene):
    scene.said("E1", position(), position(symbol="000660", strategy="other"))
    assert numbers(scene.preview("strategy:E1/ma").engines[0]) == (0, 1, 700_000)
    scene.said("E1", position(), orders=[order()])
    assert numbers(scene.preview("strategy:E1/ma").engines[0]) == (None, 1, 700_000)
    scene.said("E1", position(strategy=None))
    assert numbers(scene.preview("strategy:E1/ma").engines[0]) == (0, None, None)


def test_blocked_positions_are_named_with_their_reason(scene):
    scene.said("E1", position(blocked="halted"), position(symbol="000660"))
    [blocked] = scene.preview("engine:E1").engines[0].blocked
    assert (blocked.symbol, blocked.reason) == ("005930", "halted")


def test_a_scope_that_names_nobody_is_refused(scene):
    refused = scene.preview("engine:E9")
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.field) == (404, "scope")
