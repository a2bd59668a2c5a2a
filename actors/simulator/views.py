"""The exchange's state as the broker shows it: rows of orders, balance, prices. Pure: nothing is changed here."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from actors.simulator.customers import Customer
from wire.exchange.calendar import Phase, hhmmss
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side, buy_cost
from wire.exchange.market import Bar
from wire.exchange.orders import Order, Purpose
from wire.exchange.tape import Tape
from wire.exchange.ticks import tick_size
from wire.kis import quotes, trading
from wire.kis.codes import OrderType, SideCode

_SIDE_WORDS = {Side.BUY: "현금매수", Side.SELL: "현금매도"}


def order_number(number: int | None) -> str:
    """Ten digits; empty without a number."""
    return "" if number is None else f"{number:010d}"


def open_orders(exchange: Exchange, customer: Customer, query: trading.OpenOrdersQuery) -> list[trading.OpenOrder]:
    wanted = {"1": Side.SELL, "2": Side.BUY}.get(query.side)
    orders = [order for order in exchange.open_orders(customer.account) if wanted in (None, order.side)]
    return [_open_order(exchange, customer, order) for order in orders]


def _open_order(exchange: Exchange, customer: Customer, order: Order) -> trading.OpenOrder:
    return trading.OpenOrder(
        branch=customer.branch,
        order_no=order_number(order.number),
        original=order_number(order.original),
        order_type_words=_type_words(order),
        symbol=order.symbol,
        symbol_name=exchange.market.name(order.symbol),
        amend_words="정정" if order.purpose is Purpose.MODIFY else "",
        quantity=order.quantity,
        price=order.price,
        time=hhmmss(order.second),
        filled_quantity=order.filled,
        filled_value=order.filled_value,
        open_quantity=order.open_quantity,
        side=SideCode.of(order.side),
        order_type=order.label,
    )


def _type_words(order: Order) -> str:
    words = OrderType(order.label).words
    return f"{words} 취소" if order.purpose is Purpose.CANCEL else words


def daily_orders(
    exchange: Exchange, customer: Customer, orders: Iterable[Order], query: trading.DailyOrdersQuery
) -> list[trading.DailyOrder]:
    """The rows of the query among ``orders`` (oldest first)."""
    chosen = [order for order in orders if order.account == customer.account and _wanted(order, query)]
    if query.ordering == "00":
        chosen.reverse()
    return [_daily_order(exchange, customer, order) for order in chosen]


def _wanted(order: Order, query: trading.DailyOrdersQuery) -> bool:
    return (
        query.first_day <= f"{order.day:%Y%m%d}" <= query.last_day
        and query.side in (SideCode.ALL, SideCode.of(order.side))
        and query.symbol in ("", order.symbol)
        and query.order_no in ("", order_number(order.number))
        and not (query.filled == "01" and not order.filled)
        and not (query.filled == "02" and not order.is_open)
    )


def _daily_order(exchange: Exchange, customer: Customer, order: Order) -> trading.DailyOrder:
    is_cancel = order.purpose is Purpose.CANCEL
    return trading.DailyOrder(
        day=f"{order.day:%Y%m%d}",
        branch=customer.branch,
        order_no=order_number(order.number),
        original=order_number(order.original),
        order_type_words=_type_words(order),
        side=SideCode.of(order.side),
        side_words=_SIDE_WORDS[order.side] + ("취소" if is_cancel else ""),
        symbol=order.symbol,
        symbol_name=exchange.market.name(order.symbol),
        quantity=order.quantity,
        price=order.price,
        time=hhmmss(order.second),
        filled_quantity=order.filled,
        average_price=order.average_price,
        cancelled="Y" if is_cancel or (order.cancelled and not order.is_open) else "N",
        filled_value=order.filled_value,
        order_type=order.label,
        confirmed_quantity=order.quantity if is_cancel else order.cancelled,
        open_quantity=order.open_quantity,
        order_branch=customer.branch,
    )


def daily_totals(orders: Iterable[Order], customer: Customer, query: trading.DailyOrdersQuery) -> trading.DailyTotals:
    mine = [order for order in orders if order.account == customer.account and _wanted(order, query)]
    mine = [order for order in mine if order.purpose is not Purpose.CANCEL]
    filled, value = sum(order.filled for order in mine), sum(order.filled_value for order in mine)
    return trading.DailyTotals(
        quantity=sum(order.quantity for order in mine),
        filled_quantity=filled,
        filled_value=value,
        expenses=sum(order.expenses for order in mine),
        average_price=_quotient(value, filled, "0.0001"),
    )


def _quotient(value: int, by: int, places: str) -> Decimal:
    return (Decimal(value) / by).quantize(Decimal(places)) if by else Decimal(0).quantize(Decimal(places))


def holdings(exchange: Exchange, account: str) -> list[trading.Holding]:
    prices, rows = exchange.prices(), []
    for held in exchange.accounts[account].positions.values():
        price = prices.get(held.symbol, 0)
        value, reference = held.quantity * price, exchange.tape(held.symbol).reference
        profit = value - held.cost
        rows.append(
            trading.Holding(
                symbol=held.symbol,
                symbol_name=exchange.market.name(held.symbol),
                bought_yesterday=held.bought_yesterday,
                sold_yesterday=held.sold_yesterday,
                bought_today=held.bought_today,
                sold_today=held.sold_today,
                quantity=held.quantity,
                sellable=exchange.sellable(account, held.symbol),
                average_price=held.average_price,
                cost=held.cost,
                price=price,
                value=value,
                profit=profit,
                profit_percent=_quotient(profit * 100, held.cost, "0.01"),
                return_percent=_quotient(profit * 100, held.cost, "0.00000001"),
                change_percent=_quotient((price - reference) * 100, reference, "0.00000001"),
                change=price - reference,
            )
        )
    return rows


def balance_totals(exchange: Exchange, account: str) -> trading.BalanceTotals:
    books, prices = exchange.accounts[account], exchange.prices()
    value = books.value(prices)
    cost = sum(held.cost for held in books.positions.values())
    assets = books.cash_d2 + value
    return trading.BalanceTotals(
        deposit=books.deposit,
        cash_d1=books.cash_by(exchange.market.calendar.next_open(exchange.now.day)),
        cash_d2=books.cash_d2,
        bought_yesterday=books.yesterday.bought,
        bought_today=books.today.bought,
        sold_yesterday=books.yesterday.sold,
        sold_today=books.today.sold,
        expenses_yesterday=books.yesterday.expenses,
        expenses_today=books.today.expenses,
        stock_value=value,
        total_value=assets,
        net_assets=assets,
        cost=cost,
        value=value,
        profit=value - cost,
        assets_yesterday=books.assets_yesterday,
        assets_change=assets - books.assets_yesterday,
        assets_change_percent=_quotient((assets - books.assets_yesterday) * 100, books.assets_yesterday, "0.00000001"),
    )


def buyable(exchange: Exchange, account: str, query: trading.BuyableQuery) -> trading.Buyable:
    """How much of a symbol the cash buys; without a price it is reckoned at the upper limit."""
    limits, fees = exchange.session(query.symbol).limits, exchange.accounts[account].fees
    cash = exchange.orderable_cash(account)
    price = int(query.price) if query.price.isascii() and query.price.isdigit() and int(query.price) else limits.upper
    quantity = cash // price
    while quantity and buy_cost(quantity * price, fees) > cash:
        quantity -= 1
    return trading.Buyable(
        cash=cash,
        unit_price=price,
        amount=quantity * price,
        quantity=quantity,
        amount_on_credit=quantity * price,
        quantity_on_credit=quantity,
    )


def price(exchange: Exchange, code: str) -> quotes.Price:
    tape, session = exchange.tape(code), exchange.session(code)
    limits = session.limits
    return quotes.Price(
        symbol=code,
        market_name="KOSPI",
        price=tape.last,
        change=tape.last - tape.reference,
        change_sign=quotes.change_sign(tape.last, tape.reference, lower=limits.lower, upper=limits.upper),
        change_percent=quotes.change_percent(tape.last, tape.reference),
        volume=tape.volume,
        value=tape.value,
        open=tape.open,
        high=tape.high,
        low=tape.low,
        upper_limit=limits.upper,
        lower_limit=limits.lower,
        reference=tape.reference,
        tick=tick_size(tape.last),
        halted="Y" if code in exchange.halted or session.suspended else "N",
        volatility="Y" if exchange.is_interrupted(code) else "N",
    )


def _padded(levels: tuple[tuple[int, int], ...], place: int) -> tuple[int, ...]:
    values = [level[place] for level in levels[: quotes.LEVELS]]
    return tuple(values + [0] * (quotes.LEVELS - len(values)))


def depth(exchange: Exchange, code: str) -> quotes.Depth:
    shown = exchange.quotes(code)
    return quotes.Depth(
        time=exchange.now.hhmmss,
        ask_prices=_padded(shown.asks, 0),
        bid_prices=_padded(shown.bids, 0),
        ask_sizes=_padded(shown.asks, 1),
        bid_sizes=_padded(shown.bids, 1),
        market_code=market_code(exchange, code),
    )


def market_code(exchange: Exchange, code: str) -> str:
    """``new_mkop_cls_code``: its first character is known from the broker, the second is ours."""
    if exchange.phase is Phase.CLOSED:
        return "30"
    if exchange.phase is Phase.OPENING_AUCTION:
        return "10"
    return "40" if exchange.collects(code) else "20"


def expected(exchange: Exchange, code: str) -> quotes.Expected:
    tape = exchange.tape(code)
    return quotes.Expected(
        price=tape.last, open=tape.open, high=tape.high, low=tape.low, reference=tape.reference, symbol=code
    )


def chart_summary(exchange: Exchange, code: str) -> quotes.ChartSummary:
    now = price(exchange, code)
    return quotes.ChartSummary(
        change=now.change,
        change_sign=now.change_sign,
        change_percent=now.change_percent,
        previous_close=now.reference,
        volume=now.volume,
        symbol_name=exchange.market.name(code),
        price=now.price,
        symbol=code,
        upper_limit=now.upper_limit,
        lower_limit=now.lower_limit,
    )


def chart_rows(exchange: Exchange, code: str, first: date, last: date) -> list[quotes.ChartRow]:
    """Daily rows, newest first, at most a page; today's row is what has traded so far."""
    bars = exchange.market.bars(code, first, min(last, exchange.now.day))
    bars = [bar for bar in bars if bar.day < exchange.now.day]
    tape = exchange.tape(code)
    if first <= exchange.now.day <= last and tape.volume:
        bars.append(_bar_so_far(exchange.now.day, tape))
    rows = [
        _chart_row(bar, previous.close if previous else bar.open)
        for previous, bar in zip([None, *bars], bars, strict=False)
    ]
    return rows[::-1][: quotes.CHART_ROWS]


def _bar_so_far(day: date, tape: Tape) -> Bar:
    return Bar(day=day, open=tape.open, high=tape.high, low=tape.low, close=tape.last, volume=tape.volume)


def _chart_row(bar: Bar, previous: int) -> quotes.ChartRow:
    return quotes.ChartRow(
        day=f"{bar.day:%Y%m%d}",
        close=bar.close,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        volume=bar.volume,
        value=bar.volume * bar.close,
        change=bar.close - previous,
        change_sign=quotes.change_sign(bar.close, previous),
    )
