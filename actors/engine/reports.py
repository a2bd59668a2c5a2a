"""What the engine tells the platform about its desk, as messages of the link."""

from datetime import datetime

from actors.engine.books import Execution, Position
from actors.engine.orders import Order
from wire.messages import Account, Fill, OrderUpdate, Positions, TradeLog
from wire.parts import OpenOrder, PositionItem
from wire.values import LogCategory, Severity

_TEXT = 2000


def order_update(order: Order) -> OrderUpdate:
    return OrderUpdate(
        order_id=order.order_id,
        broker_order_id=order.number,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=order.price,
        status=order.status,
        filled=order.filled,
        reason=order.reason[:_TEXT] or None,
    )


def fill(fill_id: str, order: Order, execution: Execution, at: datetime) -> Fill:
    return Fill(
        id=fill_id,
        order_id=order.order_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        quantity=execution.quantity,
        price=execution.price,
        fee=execution.fee,
        tax=execution.tax,
        at=at,
    )


def trade_log(
    log_id: str,
    category: LogCategory,
    message: str,
    *,
    at: datetime,
    reason: str | None = None,
    order: Order | None = None,
    severity: Severity | None = None,
) -> TradeLog:
    return TradeLog(
        id=log_id,
        category=category,
        message=message[:_TEXT],
        timestamp=at,
        reason=reason[:_TEXT] if reason else None,
        strategy_id=order.strategy_id if order else None,
        symbol=order.symbol if order else None,
        order_id=order.order_id if order else None,
        severity=severity,
    )


def positions(
    held: list[Position],
    working: list[Order],
    prices: dict[str, int],
    *,
    blocked: dict[tuple[str, str], str | None],
    synced: bool,
    at: datetime,
) -> Positions:
    """``blocked``: by strategy and symbol, why it could not be sold now, where that is known."""
    return Positions(
        items=[_item(p, prices.get(p.symbol), blocked.get((p.strategy_id, p.symbol))) for p in held],
        open_orders=[
            OpenOrder(order_id=o.order_id, symbol=o.symbol, side=o.side, remaining=o.remaining, price=o.price)
            for o in working
        ],
        synced=synced,
        as_of=at,
    )


def _item(position: Position, price: int | None, blocked: str | None) -> PositionItem:
    return PositionItem(
        symbol=position.symbol,
        quantity=position.quantity,
        average_price=position.average_price,
        current_price=price,
        unrealized_pnl=None if price is None else price * position.quantity - position.cost,
        strategy_id=position.strategy_id,
        blocked=blocked,
    )


def account(*, equity: int, cash: int, realized: int, day: str, at: datetime) -> Account:
    """``day``: YYYYMMDD, the exchange's own."""
    return Account(
        equity=equity,
        cash=cash,
        realized_pnl=realized,
        trading_day=datetime.strptime(day, "%Y%m%d").date(),  # a date of the exchange, not an instant
        as_of=at,
    )
