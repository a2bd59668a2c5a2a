"""The exchange and the broker's books as one pure machine: orders and time go in, events come out.

Nothing here waits or looks at a clock. ``move_to`` runs the market's walk up to a simulated moment, ``place`` and
``amend`` take orders at the present moment, and ``drain`` hands out what happened since it was last called. The same
seed and the same sequence of calls give the same events.
"""

from collections.abc import Iterable
from datetime import date

import attrs

from wire.exchange.accounts import Account
from wire.exchange.calendar import CLOSE, CLOSING_CALL, DAY_END, DAY_START, OPENING, MarketTime, Phase
from wire.exchange.events import INTERRUPTION, Accepted, Condition, DayOpened, Event, Filled, Traded, Withdrawn
from wire.exchange.fees import DEFAULT_FEES, FeeSchedule, Side
from wire.exchange.market import Market, Session, Step
from wire.exchange.matching import EMPTY_QUOTES, Match, OrderBook, Quotes, quotes_after
from wire.exchange.orders import Amendment, Fill, Kind, Lifetime, Order, Purpose, Refusal, Ticket
from wire.exchange.tape import Tape
from wire.exchange.ticks import on_grid

MAX_QUANTITY = 1_000_000_000
_AFTER_ALL_CODES = "~"  # sorts behind the closing prints, which carry the same second


@attrs.frozen(kw_only=True)
class Saved:
    """What must be kept for the machine to go on where it was. ``orders`` are those of the day, ``interrupted``
    says until which second of it."""

    now: MarketTime
    next_number: int
    next_fill: int
    accounts: tuple[Account, ...]
    orders: tuple[Order, ...]
    halted: frozenset[str] = frozenset()
    interrupted: tuple[tuple[str, float], ...] = ()
    limit_down: frozenset[str] = frozenset()


class Exchange:
    """All symbols, all accounts, one moment."""

    def __init__(self, market: Market, *, saved: Saved | None = None) -> None:
        self.market = market
        self.now = saved.now if saved else MarketTime(market.first_day, DAY_START)
        self.accounts = {account.id: account for account in saved.accounts} if saved else {}
        self.orders = {order.number: order for order in saved.orders} if saved else {}
        self.halted = set(saved.halted) if saved else set()
        self._interrupted = dict(saved.interrupted) if saved else {}
        self._pinned: set[str] = set()
        self._next_number = saved.next_number if saved else 1
        self._next_fill = saved.next_fill if saved else 1
        self._events: list[Event] = []
        self._prepare_day()
        for code in saved.limit_down if saved else ():
            self._pin(code)

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self.now.phase

    def save(self) -> Saved:
        """The present state, for ``Exchange(market, saved=...)``."""
        return Saved(
            now=self.now,
            next_number=self._next_number,
            next_fill=self._next_fill,
            accounts=tuple(self.accounts.values()),
            orders=tuple(self.orders.values()),
            halted=frozenset(self.halted),
            interrupted=tuple(sorted(self._interrupted.items())),
            limit_down=frozenset(self._pinned),
        )

    def session(self, code: str) -> Session:
        return self._sessions[code]

    def tape(self, code: str) -> Tape:
        return self._tapes[code]

    def quotes(self, code: str) -> Quotes:
        """What the market shows now; nothing while orders are only collected."""
        return EMPTY_QUOTES if self.collects(code) else self._books[code].quotes

    def is_interrupted(self, code: str) -> bool:
        return code in self._interrupted

    def collects(self, code: str) -> bool:
        """Whether orders of a symbol wait for a single price instead of trading at once."""
        return self.phase is not Phase.CONTINUOUS or code in self._interrupted

    def prices(self) -> dict[str, int]:
        return {code: tape.last for code, tape in self._tapes.items()}

    def open_orders(self, account: str) -> list[Order]:
        return [order for order in self.orders.values() if order.account == account and order.is_open]

    def reserved(self, account: str) -> int:
        """The cash (won) that open buys hold back."""
        fees = self.accounts[account].fees
        return sum(order.reserve(self._sessions[order.symbol].limits, fees) for order in self.open_orders(account))

    def orderable_cash(self, account: str) -> int:
        return self.accounts[account].cash_d2 - self.reserved(account)

    def sellable(self, account: str, code: str) -> int:
        """Shares that are held and not offered already."""
        offered = (order for order in self.open_orders(account) if order.symbol == code and order.side is Side.SELL)
        return self.accounts[account].position(code).quantity - sum(order.open_quantity for order in offered)

    def drain(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # -- acting -------------------------------------------------------------------------------------------------

    def open_account(self, account: str, cash: int, fees: FeeSchedule = DEFAULT_FEES) -> Account:
        """A new account with ``cash`` won. ValueError when the id is taken or the cash negative."""
        if account in self.accounts or cash < 0:
            raise ValueError("the account exists already, or its cash is negative")
        self.accounts[account] = Account(id=account, deposit=cash, fees=fees, assets_yesterday=cash)
        return self.accounts[account]

    def place(self, ticket: Ticket) -> Order | Refusal:
        """A new order at the present moment, or why it is refused (nothing changed then)."""
        order = self._draft(ticket)
        if isinstance(order, Refusal):
            return order
        reduces = ticket.side is Side.SELL
        if reduces and self.sellable(ticket.account, ticket.symbol) < ticket.quantity:
            return Refusal.HOLDING
        if self.orderable_cash(ticket.account) < self._reserve(order):
            return Refusal.CASH
        self._admit(order, reduces=reduces)
        return self.orders[order.number]

    def amend(self, amendment: Amendment) -> Order | Refusal:
        """A modification or cancellation: the order with the new number, or why it is refused."""
        original = self.orders.get(amendment.original)
        if original is None or original.account != amendment.account:
            return Refusal.UNKNOWN_ORDER
        if self.phase is Phase.CLOSED:
            return Refusal.CLOSED
        quantity = original.open_quantity if amendment.quantity is None else amendment.quantity
        if not original.is_open or quantity > original.open_quantity:
            return Refusal.NOTHING_LEFT
        if quantity < 1:
            return Refusal.QUANTITY
        if amendment.purpose is Purpose.CANCEL:
            return self._cancel(original, quantity, amendment)
        return self._modify(original, quantity, amendment)

    def halt(self, code: str, *, halted: bool) -> None:
        """Stop a symbol's trading, or let it go on. KeyError for an unknown symbol."""
        if code not in self._sessions:
            raise KeyError(code)
        (self.halted.add if halted else self.halted.discard)(code)

    def befall(self, code: str, condition: Condition, *, seconds: float = INTERRUPTION) -> None:
        """Put a symbol into a condition, out of whatever it was in. KeyError for an unknown symbol.

        An interruption ends with the first trade after ``seconds`` of market time, which makes the single price. The
        other conditions last until the next call, limit-down not beyond the day.
        """
        self.halt(code, halted=condition is Condition.HALTED)
        self._interrupted.pop(code, None)
        self._pinned.discard(code)
        if condition is Condition.INTERRUPTED:
            self._interrupted[code] = self.now.second + seconds
        elif condition is Condition.LIMIT_DOWN:
            step = self._pin(code)
            traded = Traded(code=code, step=step, tape=self._tapes[code], quotes=self._books[code].quotes)
            self._events.append(traded)

    def _pin(self, code: str) -> Step:
        lower = self._sessions[code].limits.lower
        step = Step(second=int(self.now.second), price=lower, volume=1, aggressor=Side.BUY)
        self._show(code, step)
        asks = self._books[code].quotes.asks
        self._books[code].show(Quotes(asks=asks, bids=()))
        self._pinned.add(code)
        return step

    def move_to(self, target: MarketTime) -> None:
        """Run everything that happens up to and including ``target``; the past is never run again."""
        while self.now.day < target.day:
            self._run_until(DAY_END)
            self._open_day(self.market.calendar.next_open(self.now.day))
        if target > self.now:
            self._run_until(target.second)

    # -- orders -------------------------------------------------------------------------------------------------

    def _draft(self, ticket: Ticket) -> Order | Refusal:
        """The order a ticket would become, its price settled; or the rule of the exchange it breaks."""
        if ticket.account not in self.accounts:
            return Refusal.UNKNOWN_ACCOUNT
        if not self.market.knows(ticket.symbol):
            return Refusal.UNKNOWN_SYMBOL
        if self.phase is Phase.CLOSED:
            return Refusal.CLOSED
        if ticket.symbol in self.halted or self._sessions[ticket.symbol].suspended:
            return Refusal.HALTED
        if not 1 <= ticket.quantity <= MAX_QUANTITY:
            return Refusal.QUANTITY
        price = self._price(ticket)
        if isinstance(price, Refusal):
            return price
        return Order(
            number=self._next_number,
            day=self.now.day,
            second=int(self.now.second),
            account=ticket.account,
            symbol=ticket.symbol,
            side=ticket.side,
            kind=ticket.kind,
            lifetime=ticket.lifetime,
            label=ticket.label,
            quantity=ticket.quantity,
            price=price,
        )

    def _price(self, ticket: Ticket) -> int | Refusal:
        if self.collects(ticket.symbol) and (
            ticket.lifetime is not Lifetime.DAY or ticket.kind in (Kind.BEST, Kind.TOP)
        ):
            return Refusal.KIND  # there is no best price while orders are only collected
        if ticket.kind is Kind.MARKET:
            return 0
        book = self._books[ticket.symbol]
        if ticket.kind in (Kind.BEST, Kind.TOP):
            opposite = Side.SELL if ticket.side is Side.BUY else Side.BUY
            best = book.best(opposite if ticket.kind is Kind.BEST else ticket.side)
            return best or self._tapes[ticket.symbol].last
        if not on_grid(ticket.price):
            return Refusal.OFF_GRID
        if not self._sessions[ticket.symbol].limits.allow(ticket.price):
            return Refusal.OUTSIDE_LIMITS
        return 0 if ticket.kind is Kind.CONDITIONAL and self.phase is Phase.CLOSING_AUCTION else ticket.price

    def _reserve(self, order: Order) -> int:
        return order.reserve(self._sessions[order.symbol].limits, self.accounts[order.account].fees)

    def _admit(self, order: Order, *, reduces: bool) -> None:
        self._next_number += 1
        self._keep(order)
        self._events.append(Accepted(order=order, reduces=reduces))
        if self.collects(order.symbol):
            return
        self._book(self._books[order.symbol].arrive(order))
        left = self.orders[order.number]
        if left.is_open and left.lifetime is not Lifetime.DAY:
            self._withdraw(left, left.open_quantity, "immediate")

    def _cancel(self, original: Order, quantity: int, amendment: Amendment) -> Order:
        order = attrs.evolve(
            original,
            number=self._next_number,
            second=int(self.now.second),
            purpose=Purpose.CANCEL,
            original=original.number,
            label=amendment.label or original.label,
            quantity=quantity,
            filled=0,
            filled_value=0,
            expenses=0,
            cancelled=0,
            expired=0,
        )
        self._next_number += 1
        self._withdraw(original, quantity, "amended")
        self._keep(order)
        self._events.append(Accepted(order=order, reduces=False))
        return order

    def _modify(self, original: Order, quantity: int, amendment: Amendment) -> Order | Refusal:
        drafted = self._draft(
            Ticket(
                account=original.account,
                symbol=original.symbol,
                side=original.side,
                quantity=quantity,
                price=amendment.price,
                kind=amendment.kind,
                lifetime=amendment.lifetime,
                label=amendment.label,
            )
        )
        if isinstance(drafted, Refusal):
            return drafted
        left = attrs.evolve(original, cancelled=original.cancelled + quantity)
        released = self._reserve(original) - self._reserve(left)
        if self.orderable_cash(original.account) + released < self._reserve(drafted):
            return Refusal.CASH
        self._withdraw(original, quantity, "amended")
        order = attrs.evolve(drafted, purpose=Purpose.MODIFY, original=original.number)
        self._admit(order, reduces=order.side is Side.SELL)
        return self.orders[order.number]

    def _withdraw(self, order: Order, quantity: int, cause: str) -> None:
        if cause == "expired":
            ended = attrs.evolve(order, expired=order.expired + quantity)
        else:
            ended = attrs.evolve(order, cancelled=order.cancelled + quantity)
        self._keep(ended)
        self._events.append(Withdrawn(order=ended, quantity=quantity, cause=cause))

    def _keep(self, order: Order) -> None:
        self.orders[order.number] = order
        self._books[order.symbol].rest(order)

    def _book(self, matches: Iterable[Match]) -> None:
        for match in matches:
            order = self.orders[match.order]
            account, made = self.accounts[order.account].filled(
                order.side, order.symbol, match.price, match.quantity, self.now.day, self.market.calendar
            )
            self.accounts[order.account] = account
            order = attrs.evolve(
                order,
                filled=order.filled + match.quantity,
                filled_value=order.filled_value + made.value,
                expenses=order.expenses + made.fee + made.tax,
            )
            self._keep(order)
            fill = Fill(
                number=self._next_fill,
                order=order.number,
                day=self.now.day,
                second=int(self.now.second),
                account=order.account,
                symbol=order.symbol,
                side=order.side,
                quantity=match.quantity,
                price=match.price,
                fee=made.fee,
                tax=made.tax,
            )
            self._next_fill += 1
            self._events.append(Filled(order=order, fill=fill))

    # -- time ---------------------------------------------------------------------------------------------------

    def _prepare_day(self) -> None:
        """Make today's walks, and show the market as it stands at the present moment without matching again."""
        self._sessions = {symbol.code: self.market.session(symbol.code, self.now.day) for symbol in self.market.symbols}
        self._tapes = {code: Tape.of(session) for code, session in self._sessions.items()}
        self._books = {code: OrderBook() for code in self._sessions}
        for order in self.orders.values():
            self._books[order.symbol].rest(order)
        self._chances = {code: self.market.chance(code, self.now.day, "quotes") for code in self._sessions}
        agenda: list[tuple[int, str, Step | None]] = [(CLOSING_CALL, "", None)]
        for code, session in self._sessions.items():
            agenda += [(step.second, code, step) for step in _prints(session)]
        agenda.append((CLOSE, _AFTER_ALL_CODES, None))
        self._agenda = sorted(agenda, key=lambda entry: entry[:2])
        self._done = 0
        while self._done < len(self._agenda) and self._agenda[self._done][0] <= self.now.second:
            _, code, step = self._agenda[self._done]
            if step is not None:
                self._show(code, step)
            self._done += 1
        if self.phase is Phase.CLOSING_AUCTION:
            self._call_closing_auction()

    def _open_day(self, day: date) -> None:
        closes = self.prices()
        self.accounts = {key: account.opened_day(day, closes) for key, account in self.accounts.items()}
        self.now = MarketTime(day, DAY_START)
        self.orders = {}
        self._interrupted.clear()
        self._pinned.clear()
        self._next_number = 1
        self._prepare_day()
        self._events.append(DayOpened(day=day))

    def _run_until(self, second: float) -> None:
        while self._done < len(self._agenda) and self._agenda[self._done][0] <= second:
            at, code, step = self._agenda[self._done]
            self._done += 1
            self.now = MarketTime(self.now.day, at)
            if step is not None:
                self._trade(code, step)
            elif at == CLOSING_CALL:
                self._call_closing_auction()
            else:
                self._expire()
        self.now = MarketTime(self.now.day, max(second, self.now.second))

    def _show(self, code: str, step: Step) -> None:
        self._tapes[code] = self._tapes[code].traded(step)
        self._books[code].show(quotes_after(self._sessions[code], step, self._chances[code]))

    def _trade(self, code: str, step: Step) -> None:
        if code in self.halted or code in self._pinned or step.second < self._interrupted.get(code, 0.0):
            return
        single = self._interrupted.pop(code, None) is not None
        opening = step.second == OPENING and not self._tapes[code].volume
        self._show(code, step)
        book, session = self._books[code], self._sessions[code]
        if opening:
            matches = book.uncross(step.price, session.opening_volume)
        elif step.second >= CLOSE:
            matches = book.uncross(step.price, session.closing_volume)
        elif single:
            matches = book.uncross(step.price, step.volume)
        else:
            matches = book.traded(step)
        self._events.append(Traded(code=code, step=step, tape=self._tapes[code], quotes=book.quotes))
        self._book(matches)

    def _call_closing_auction(self) -> None:
        for order in list(self.orders.values()):
            if order.is_open and order.kind is Kind.CONDITIONAL:
                self._keep(attrs.evolve(order, kind=Kind.MARKET, price=0))

    def _expire(self) -> None:
        for order in list(self.orders.values()):
            if order.is_open:
                self._withdraw(order, order.open_quantity, "expired")


def _prints(session: Session) -> list[Step]:
    """The trades of a day: the opening auction's, the walk's, the closing auction's. None of a suspended symbol."""
    if session.suspended:
        return []
    opening = Step(second=OPENING, price=session.open, volume=session.opening_volume, aggressor=Side.BUY)
    closing = Step(second=CLOSE, price=session.close, volume=session.closing_volume, aggressor=Side.SELL)
    return [opening, *session.steps, closing]
