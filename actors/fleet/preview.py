"""What a stop would meet, before it is asked for. Pure.

Only what an engine said counts, with its age; what it did not say, or what cannot be told apart in the scope, is
unknown and never 0.
"""

from collections.abc import Iterable

from actors.fleet.row import EngineRow
from wire.messages import Positions
from wire.parts import PositionItem
from wire.rest.engines import Connection
from wire.rest.stops import BlockedPosition, EnginePreview, PreviewAnswer, PreviewTotal
from wire.stops import Scope, ScopeKind


def previewed(row: EngineRow, scope: Scope, now: float) -> EnginePreview:
    """``now`` in monotonic seconds."""
    said = row.positions
    items = _held(row, said, scope) if said is not None else []
    known = said is not None and not _mixed(items, scope)
    return EnginePreview(
        engine_id=row.engine_id,
        orders=_orders(row, said, scope) if said is not None else None,
        positions=len(items) if known else None,
        value=_value(items) if known else None,
        blocked=[BlockedPosition(symbol=i.symbol, reason=i.blocked) for i in items if i.blocked],
        as_of=said.as_of if said is not None else None,
        age_ms=round((now - row.positions_at.mono) * 1000) if row.positions_at is not None else None,
        synced=row.synced,
        connection=row.connection(now),
    )


def unheard(engine_id: str) -> EnginePreview:
    """An engine the stop concerns of which nothing at all is known here."""
    return EnginePreview(
        engine_id=engine_id,
        orders=None,
        positions=None,
        value=None,
        blocked=[],
        as_of=None,
        age_ms=None,
        synced=None,
        connection=Connection.NEVER,
    )


def preview_of(engines: list[EnginePreview]) -> PreviewAnswer:
    return PreviewAnswer(
        engines=engines,
        total=PreviewTotal(
            orders=_sum(e.orders for e in engines),
            positions=_sum(e.positions for e in engines),
            value=_sum(e.value for e in engines),
            engines=len(engines),
            unknown=sum(1 for e in engines if None in (e.orders, e.positions, e.value)),
            oldest_ms=max((e.age_ms for e in engines if e.age_ms is not None), default=None),
        ),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """Of what is known; None when engines are concerned and none of them is known."""
    listed = list(values)
    known = [v for v in listed if v is not None]
    return sum(known) if known or not listed else None


def _held(row: EngineRow, said: Positions, scope: Scope) -> list[PositionItem]:
    """Positions in the scope; one whose strategy is not said may be in it."""
    covers = scope.covers
    return [i for i in said.items if i.quantity and covers(row.engine_id, row.account_id, i.strategy_id, i.symbol)]


def _mixed(items: Iterable[PositionItem], scope: Scope) -> bool:
    """Whether a position may be the strategy's or another's: then its part is not known."""
    return scope.kind is ScopeKind.STRATEGY and any(i.strategy_id is None for i in items)


def _orders(row: EngineRow, said: Positions, scope: Scope) -> int | None:
    """Working orders do not say whose they are: of one strategy nothing is known unless there are none at all."""
    if scope.kind is ScopeKind.STRATEGY and said.open_orders:
        return None
    return sum(scope.covers(row.engine_id, row.account_id, None, o.symbol) for o in said.open_orders)


def _value(items: Iterable[PositionItem]) -> int | None:
    """At the last prices the engine saw. A position without a price makes the sum unknown."""
    total = 0
    for item in items:
        if item.current_price is None:
            return None
        total += abs(item.quantity) * item.current_price
    return total
