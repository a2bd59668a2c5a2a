"""The exchange's events as stream records: trades and books for everybody, notices for the account's owner. Pure."""

from decimal import Decimal

import attrs

from actors.simulator.customers import Customer
from actors.simulator.views import order_number
from wire.exchange.calendar import CLOSE, OPENING, MarketTime, hhmmss
from wire.exchange.events import Accepted, Event, Filled, Traded, Withdrawn
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side
from wire.exchange.orders import Order, Purpose
from wire.kis.codes import SideCode
from wire.kis.notices import Acceptance, Notice, Revision
from wire.kis.quotes import LEVELS, change_percent, change_sign
from wire.kis.ticker import Book, Trade

OrderEvent = Accepted | Filled | Withdrawn
_REVISIONS = {Purpose.NEW: Revision.NEW, Purpose.MODIFY: Revision.MODIFY, Purpose.CANCEL: Revision.CANCEL}


def trade(event: Traded, now: MarketTime) -> Trade:
    """The trade record of a market trade."""
    step, tape, quotes = event.step, event.tape, event.quotes
    ask, bid = (quotes.asks or ((0, 0),))[0], (quotes.bids or ((0, 0),))[0]
    return Trade(
        symbol=event.code,
        time=hhmmss(step.second),
        price=step.price,
        change_sign=change_sign(step.price, tape.reference),
        change=step.price - tape.reference,
        change_percent=change_percent(step.price, tape.reference),
        average_price=(Decimal(tape.value) / tape.volume).quantize(Decimal("0.01")),
        open=tape.open,
        high=tape.high,
        low=tape.low,
        ask=ask[0],
        bid=bid[0],
        quantity=step.volume,
        volume=tape.volume,
        value=tape.value,
        sell_count=tape.sells,
        buy_count=tape.buys,
        net_count=tape.buys - tape.sells,
        strength=_ratio(tape.buy_volume, tape.sell_volume),
        sell_volume=tape.sell_volume,
        buy_volume=tape.buy_volume,
        aggressor="1" if step.aggressor is Side.BUY else "5",
        buy_rate=_ratio(tape.buy_volume, tape.volume),
        open_time=hhmmss(tape.open_second),
        open_sign=change_sign(step.price, tape.open),
        open_change=step.price - tape.open,
        high_time=hhmmss(tape.high_second),
        high_sign=change_sign(step.price, tape.high),
        high_change=step.price - tape.high,
        low_time=hhmmss(tape.low_second),
        low_sign=change_sign(step.price, tape.low),
        low_change=step.price - tape.low,
        day=now.yyyymmdd,
        ask_size=ask[1],
        bid_size=bid[1],
        total_ask_size=sum(size for _, size in quotes.asks),
        total_bid_size=sum(size for _, size in quotes.bids),
        volatility_price=str(tape.reference),
        market_code="40" if step.second == OPENING or step.second >= CLOSE else "20",
    )


def _ratio(part: int, whole: int) -> Decimal:
    return (Decimal(part * 100) / whole).quantize(Decimal("0.01")) if whole else Decimal("0.00")


def book(event: Traded) -> Book:
    """The book record after a market trade."""

    def column(levels: tuple[tuple[int, int], ...], place: int) -> tuple[int, ...]:
        values = [level[place] for level in levels[:LEVELS]]
        return tuple(values + [0] * (LEVELS - len(values)))

    asks, bids = event.quotes.asks, event.quotes.bids
    return Book(
        symbol=event.code,
        time=hhmmss(event.step.second),
        ask_prices=column(asks, 0),
        bid_prices=column(bids, 0),
        ask_sizes=column(asks, 1),
        bid_sizes=column(bids, 1),
        total_ask_size=sum(size for _, size in asks),
        total_bid_size=sum(size for _, size in bids),
        volume=event.tape.volume,
    )


def notice(event: Event, customer: Customer) -> Notice | None:
    """The notice of an event of this customer's order; None where the broker sends none.

    A new order and a modification are noticed as received, a cancellation as confirmed with price 0, each fill by
    itself, and what is left of an IOC or FOK order as cancelled. Day orders end silently with the day. Only a receipt
    names the original order, so that a reader books the fills of a modification on its own number.
    """
    if isinstance(event, Accepted):
        return _receipt(event.order, customer)
    if isinstance(event, Filled):
        fill = event.fill
        return _notice(event.order, customer, fill.quantity, fill.price, fill.second, "2", Acceptance.CONFIRMED)
    if isinstance(event, Withdrawn) and event.cause == "immediate":
        order = event.order
        return _notice(order, customer, event.quantity, 0, order.second, "1", Acceptance.CANCELLED)
    return None


def _receipt(order: Order, customer: Customer) -> Notice:
    if order.purpose is Purpose.CANCEL:
        made = _notice(order, customer, order.quantity, 0, order.second, "1", Acceptance.CONFIRMED)
    else:
        made = _notice(order, customer, order.quantity, order.price, order.second, "1", Acceptance.RECEIVED)
    return attrs.evolve(made, revision=_REVISIONS[order.purpose], original=order_number(order.original))


def _notice(
    order: Order, customer: Customer, quantity: int, price: int, second: int, fill_code: str, acceptance: Acceptance
) -> Notice:
    return Notice(
        customer=customer.hts_id,
        account=customer.account,
        order_no=order_number(order.number),
        side=SideCode.of(order.side),
        order_type=order.label,
        symbol=order.symbol,
        quantity=quantity,
        price=price,
        time=hhmmss(second),
        fill_code=fill_code,
        acceptance=acceptance,
        branch=customer.branch,
        order_quantity=order.quantity,
        account_name=customer.name,
    )


def order_of(event: Event) -> Order | None:
    """The order an event is about."""
    return event.order if isinstance(event, OrderEvent) else None


def touched_accounts(events: list[Event], exchange: Exchange) -> tuple[str, ...]:
    """The accounts whose books an event changed, each once."""
    names = {event.fill.account for event in events if isinstance(event, Filled)}
    return tuple(sorted(names & exchange.accounts.keys()))
