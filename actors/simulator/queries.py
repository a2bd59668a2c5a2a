"""The reading calls: a query shape in, the broker's answer with its page out. Pure."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import attrs

from actors.simulator import replies, views
from actors.simulator.customers import Customer
from actors.simulator.faults import Faults
from actors.simulator.messages import Query
from actors.simulator.replies import Answer
from wire.exchange.exchange import Exchange
from wire.exchange.orders import Order, Refusal
from wire.kis import quotes, trading
from wire.kis.codes import OPEN_ORDERS_PAGE, SERVICES, Call, Profile
from wire.kis.rest import answer

SHAPES: dict[Call, type[Any]] = {
    Call.OPEN_ORDERS: trading.OpenOrdersQuery,
    Call.DAILY_ORDERS: trading.DailyOrdersQuery,
    Call.DAILY_ORDERS_OLD: trading.DailyOrdersQuery,
    Call.BALANCE: trading.BalanceQuery,
    Call.BUYABLE: trading.BuyableQuery,
    Call.PRICE: quotes.QuoteQuery,
    Call.BOOK: quotes.QuoteQuery,
    Call.DAILY_CHART: quotes.ChartQuery,
}


def reply(exchange: Exchange, orders: Sequence[Order], msg: Query, *, faults: Faults) -> Answer:
    """The answer to a query; ``orders`` are those of today and before, oldest first."""
    query, customer = msg.query, msg.customer
    symbol = getattr(query, "symbol", "")
    if symbol and not exchange.market.knows(symbol):
        return replies.refused(Refusal.UNKNOWN_SYMBOL, customer.profile)
    if (listed := _list(exchange, orders, msg, faults)) is not None:
        return attrs.evolve(listed, more=listed.more and not faults.missing_pages)
    if msg.call is Call.BUYABLE:
        return Answer(body=answer(*_done(customer), output=views.buyable(exchange, customer.account, query)))
    if msg.call is Call.PRICE:
        shown = attrs.evolve(views.price(exchange, symbol), lot=faults.lot)
        return Answer(body=answer(*replies.QUOTE_DONE, output=shown))
    if msg.call is Call.BOOK:
        levels = quotes.depth_to_object(views.depth(exchange, symbol))
        expected = views.expected(exchange, symbol)
        return Answer(body=answer(*replies.QUOTE_DONE, output1=levels, output2=expected))
    return _chart(exchange, query)


def _list(exchange: Exchange, orders: Sequence[Order], msg: Query, faults: Faults) -> Answer | None:
    """The answer to a query whose rows come in pages."""
    query, customer = msg.query, msg.customer
    if msg.call is Call.OPEN_ORDERS:
        return _open_orders(exchange, customer, query, msg.next_page)
    if msg.call in (Call.DAILY_ORDERS, Call.DAILY_ORDERS_OLD):
        return _daily_orders(exchange, orders, msg)
    if msg.call is Call.BALANCE:
        return _balance(exchange, customer, query, msg.next_page, empty=faults.empty_balance)
    return None


def _done(customer: Customer) -> tuple[str, str]:
    return replies.QUERY_DONE[customer.profile]


def _open_orders(exchange: Exchange, customer: Customer, query: trading.OpenOrdersQuery, next_page: bool) -> Answer:
    rows = views.open_orders(exchange, customer, query)
    page, cursor, more = _page(rows, OPEN_ORDERS_PAGE, query.nk if next_page else "")
    words = _done(customer) if rows else replies.NO_ROWS
    return Answer(body=answer(*words, **_cursors(cursor), output=page), more=more)


def _daily_orders(exchange: Exchange, orders: Sequence[Order], msg: Query) -> Answer:
    query, customer = msg.query, msg.customer
    service = SERVICES[customer.profile]
    rows = views.daily_orders(exchange, customer, orders, query)
    totals = views.daily_totals(orders, customer, query)
    if customer.profile is Profile.MOCK and msg.older:
        rows = []  # measured: under the older id the paper service shows the totals only
    page, cursor, more = _page(rows, service.daily_page, query.nk if msg.next_page else "")
    words = _done(customer) if rows else replies.NO_ROWS
    return Answer(body=answer(*words, **_cursors(cursor), output1=page, output2=totals), more=more)


def _balance(
    exchange: Exchange, customer: Customer, query: trading.BalanceQuery, next_page: bool, *, empty: bool
) -> Answer:
    rows = [] if empty else views.holdings(exchange, customer.account)
    page, cursor, more = _page(rows, SERVICES[customer.profile].balance_page, query.nk if next_page else "")
    totals: list[Any] = [] if empty else [views.balance_totals(exchange, customer.account)]
    return Answer(body=answer(*_done(customer), **_cursors(cursor), output1=page, output2=totals), more=more)


def _chart(exchange: Exchange, query: quotes.ChartQuery) -> Answer:
    first, last = _day(query.first_day), _day(query.last_day)
    if first is None or last is None or query.period != "D":
        return replies.gateway("OPSQ2002")
    rows = views.chart_rows(exchange, query.symbol, first, last)
    return Answer(body=answer(*replies.QUOTE_DONE, output1=views.chart_summary(exchange, query.symbol), output2=rows))


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def _page(rows: Sequence[Any], size: int, cursor: str) -> tuple[Sequence[Any], str, bool]:
    """The rows from the cursor on, the next cursor, and whether there is more."""
    text = cursor.strip()
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    end = start + size
    more = end < len(rows)
    return rows[start:end], str(end) if more else "", more


def _cursors(following: str) -> dict[str, str]:
    return {"ctx_area_fk100": "", "ctx_area_nk100": following}
