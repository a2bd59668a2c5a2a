"""The exchange actor: the only one that touches the exchange, and the books before anybody hears of a change.

Every change is committed to the ledger before its answer and its notices leave. When a commit fails the actor crashes,
its successor starts from the ledger, and so nothing that was not kept has ever been said.
"""

import time
from collections.abc import Iterable
from datetime import timedelta, timezone

import trio

from actors.simulator import feed, queries, replies
from actors.simulator.customers import Customer, Customers
from actors.simulator.faults import FaultBoard
from actors.simulator.feeds import Feeds
from actors.simulator.ledger import HISTORY, Changes, Ledger, LogEntry
from actors.simulator.messages import (
    Advance,
    AmendOrder,
    Befall,
    Books,
    Halt,
    NoticeDue,
    NoticesDue,
    OpenAccount,
    PlaceOrder,
    Query,
    ReadBooks,
    ReadLog,
)
from actors.simulator.options import AccountOrder, SimulatorOptions
from actors.simulator.replies import Answer
from actors.simulator.views import order_number
from supervisor.actor import Actor, handles
from supervisor.errors import Refused
from wire.exchange.accounts import Account
from wire.exchange.calendar import MarketTime, Pace
from wire.exchange.events import Accepted, DayOpened, Event, Filled
from wire.exchange.exchange import Exchange
from wire.exchange.fees import Side
from wire.exchange.market import Market
from wire.exchange.orders import Amendment, Kind, Lifetime, Order, Purpose, Refusal, Ticket
from wire.kis.codes import MOCK_ORDER_TYPES, AmendKind, OrderType, Profile
from wire.kis.rest import answer
from wire.kis.trading import AmendRequest, OrderAccepted, OrderRequest

KST = timezone(timedelta(hours=9))
NOTICE_DELAY = 0.03  # seconds a notice normally follows the answer of its order
SAVE_PERIOD = 5.0  # seconds after which the market's clock is saved without any other change

_KINDS = {
    OrderType.LIMIT: (Kind.LIMIT, Lifetime.DAY),
    OrderType.MARKET: (Kind.MARKET, Lifetime.DAY),
    OrderType.CONDITIONAL: (Kind.CONDITIONAL, Lifetime.DAY),
    OrderType.BEST: (Kind.BEST, Lifetime.DAY),
    OrderType.TOP: (Kind.TOP, Lifetime.DAY),
    OrderType.LIMIT_IOC: (Kind.LIMIT, Lifetime.IOC),
    OrderType.LIMIT_FOK: (Kind.LIMIT, Lifetime.FOK),
    OrderType.MARKET_IOC: (Kind.MARKET, Lifetime.IOC),
    OrderType.MARKET_FOK: (Kind.MARKET, Lifetime.FOK),
    OrderType.BEST_IOC: (Kind.BEST, Lifetime.IOC),
    OrderType.BEST_FOK: (Kind.BEST, Lifetime.FOK),
}


class AccountTaken(Refused):
    """The account or the app key belongs to somebody else."""


class Floor(Actor):
    """See the module. ``market`` survives restarts: it depends on nothing that happens here."""

    def __init__(
        self,
        options: SimulatorOptions,
        market: Market,
        ledger: Ledger,
        customers: Customers,
        faults: FaultBoard,
        feeds: Feeds,
    ) -> None:
        self._options = options
        self._market = market
        self._ledger = ledger
        self._customers = customers
        self._faults = faults
        self._feeds = feeds
        self._pace = Pace(speed=options.speed, closed=options.closed)
        self._saved_at = 0.0

    async def started(self) -> None:
        books = await trio.to_thread.run_sync(self._ledger.load)
        known = [*books.history, *(books.saved.orders if books.saved else ())]
        self._orders = {(order.day, order.number): order for order in known}
        self._next_seq = books.next_seq
        for customer in books.customers:
            self._customers.add(customer)
        self._exchange = await trio.to_thread.run_sync(lambda: Exchange(self._market, saved=books.saved))
        for wanted in self._options.accounts:
            self._customers.add(wanted.customer, replace=True)
            await self._open_account(wanted)
        await self._commit()

    # -- calls of the broker's clients --------------------------------------------------------------------------

    @handles(PlaceOrder)
    async def on_place(self, msg: PlaceOrder) -> Answer:
        placed = self._place(msg.customer, msg.side, msg.order)
        log = [] if isinstance(placed, Order) else [self._refused(msg, placed)]
        await self._commit(log=log)
        return self._order_answer(msg.customer, placed)

    @handles(AmendOrder)
    async def on_amend(self, msg: AmendOrder) -> Answer:
        cancels = msg.amendment.kind is AmendKind.CANCEL
        if cancels and self._faults.of(msg.customer.account).refuse_cancels:
            await self._commit(log=[self._refused(msg, "SIM00006")])
            return replies.gateway("SIM00006")
        amended = self._amend(msg.customer, msg.amendment)
        await self._commit(log=[] if isinstance(amended, Order) else [self._refused(msg, amended)])
        return self._order_answer(msg.customer, amended)

    @handles(Query)
    async def on_query(self, msg: Query) -> Answer:
        if self._faults.takes_failed_read(msg.customer.account):
            return replies.gateway("EGW00202")
        faults = self._faults.of(msg.customer.account)
        return queries.reply(self._exchange, tuple(self._orders.values()), msg, faults=faults)

    # -- the simulator's own calls ------------------------------------------------------------------------------

    @handles(Advance)
    async def on_advance(self, msg: Advance) -> MarketTime:
        self._exchange.move_to(self._pace.advance(self._exchange.now, msg.real, self._market.calendar))
        await self._commit()
        return self._exchange.now

    @handles(OpenAccount)
    async def on_open_account(self, msg: OpenAccount) -> bool:
        try:
            self._customers.add(msg.order.customer)
        except ValueError as error:
            raise AccountTaken(str(error)) from error
        return await self._open_account(msg.order)

    @handles(Halt)
    async def on_halt(self, msg: Halt) -> bool:
        if not self._market.knows(msg.symbol):
            return False
        self._exchange.halt(msg.symbol, halted=msg.halted)
        await self._commit(always=True)
        return True

    @handles(Befall)
    async def on_befall(self, msg: Befall) -> bool:
        if not self._market.knows(msg.symbol):
            return False
        self._exchange.befall(msg.symbol, msg.condition, seconds=msg.seconds)
        await self._commit(always=True)
        return True

    @handles(ReadLog)
    async def on_read_log(self, msg: ReadLog) -> tuple[LogEntry, ...]:
        return tuple(await trio.to_thread.run_sync(self._ledger.log, msg.after, msg.limit))

    @handles(ReadBooks)
    async def on_read_books(self, msg: ReadBooks) -> tuple[Books, ...]:
        return tuple(self._books(customer.account) for customer in self._customers.everyone())

    def _books(self, number: str) -> Books:
        account = self._exchange.accounts[number]
        return Books(
            account=number,
            cash=account.cash_d2,
            positions={held.symbol: held.quantity for held in account.positions.values() if held.quantity},
            working_orders=len(self._exchange.open_orders(number)),
        )

    @handles(NoticesDue)
    async def on_notices_due(self, msg: NoticesDue) -> None:
        for due in msg.notices:
            self._feeds.notices(due.customer.hts_id).publish(due)

    # -- orders -------------------------------------------------------------------------------------------------

    def _place(self, customer: Customer, side: Side, request: OrderRequest) -> Order | Refusal:
        kind = self._kind(customer, request.order_type, request.exchange)
        if isinstance(kind, Refusal):
            return kind
        faults = self._faults.of(customer.account)
        if faults.limit_only and kind[0] is not Kind.LIMIT:
            return Refusal.KIND
        if request.quantity % faults.lot:
            return Refusal.QUANTITY
        return self._exchange.place(
            Ticket(
                account=customer.account,
                symbol=request.symbol,
                side=side,
                quantity=request.quantity,
                price=request.price,
                kind=kind[0],
                lifetime=kind[1],
                label=request.order_type.value,
            )
        )

    def _amend(self, customer: Customer, request: AmendRequest) -> Order | Refusal:
        kind = self._kind(customer, request.order_type, request.exchange)
        if isinstance(kind, Refusal):
            return kind
        if not request.original.isascii() or not request.original.isdigit():
            return Refusal.UNKNOWN_ORDER
        return self._exchange.amend(
            Amendment(
                account=customer.account,
                original=int(request.original),
                purpose=Purpose.CANCEL if request.kind is AmendKind.CANCEL else Purpose.MODIFY,
                quantity=None if request.whole else request.quantity,
                price=request.price,
                kind=kind[0],
                lifetime=kind[1],
                label=request.order_type.value,
            )
        )

    def _kind(self, customer: Customer, wanted: OrderType, exchange: str) -> tuple[Kind, Lifetime] | Refusal:
        """What the order type means, where this profile takes it now. Only KRX is simulated."""
        if self._faults.of(customer.account).closed:
            return Refusal.CLOSED
        unknown = customer.profile is Profile.MOCK and wanted not in MOCK_ORDER_TYPES
        if unknown or wanted not in _KINDS or exchange not in ("", "KRX"):
            return Refusal.KIND
        return _KINDS[wanted]

    def _order_answer(self, customer: Customer, order: Order | Refusal) -> Answer:
        if isinstance(order, Refusal):
            return replies.refused(order, customer.profile)
        code, text = replies.order_code(order.side, order.purpose, customer.profile)
        accepted = OrderAccepted(
            branch=customer.branch, order_no=order_number(order.number), time=self._exchange.now.hhmmss
        )
        return Answer(body=answer(code, text, output=accepted))

    async def _open_account(self, order: AccountOrder) -> bool:
        is_new = order.customer.account not in self._exchange.accounts
        if is_new:
            self._exchange.open_account(order.customer.account, order.cash, order.customer.fees)
        books = self._exchange.accounts[order.customer.account]
        await self._commit(customers=[order.customer], accounts=[books])
        return is_new

    # -- keeping and telling ------------------------------------------------------------------------------------

    async def _commit(
        self,
        *,
        log: Iterable[LogEntry] = (),
        customers: Iterable[Customer] = (),
        accounts: Iterable[Account] = (),
        always: bool = False,
    ) -> None:
        """Keep what happened, then tell those who watch."""
        events = self._exchange.drain()
        entries = [*log, *(self._accepted(event) for event in events if isinstance(event, Accepted))]
        orders = [event.order for event in events if isinstance(event, feed.OrderEvent)]
        self._remember(orders)
        new_day = any(isinstance(event, DayOpened) for event in events)
        books = self._exchange.accounts.values() if new_day else [*accounts, *self._touched(events)]
        due = trio.current_time() - self._saved_at >= SAVE_PERIOD
        if entries or orders or new_day or always or due or tuple(customers):
            saved = self._exchange.save()
            changes = Changes(
                now=saved.now,
                next_number=saved.next_number,
                halted=saved.halted,
                interrupted=saved.interrupted,
                limit_down=saved.limit_down,
                accounts=tuple(books),
                orders=tuple(orders),
                fills=tuple(event.fill for event in events if isinstance(event, Filled)),
                log=tuple(entries),
                customers=tuple(customers),
            )
            await trio.to_thread.run_sync(self._ledger.commit, changes)
            self._saved_at = trio.current_time()
        self._tell(events)

    def _remember(self, orders: list[Order]) -> None:
        self._orders |= {(order.day, order.number): order for order in orders}
        while len(self._orders) > HISTORY:
            del self._orders[next(iter(self._orders))]

    def _touched(self, events: list[Event]) -> list[Account]:
        return [self._exchange.accounts[name] for name in feed.touched_accounts(events, self._exchange)]

    def _tell(self, events: list[Event]) -> None:
        self._feeds.publish_market(events, self._exchange.now)
        early: list[NoticeDue] = []
        later: list[NoticeDue] = []
        for event in events:
            due = self._notice(event)
            if due is not None:
                faults = self._faults.of(due.customer.account)
                if not faults.drop_notices:
                    (early if faults.early_notices else later).append(due)
        for due in early:
            self._feeds.notices(due.customer.hts_id).publish(due)
        if later:
            self.context.timer(NoticesDue(notices=tuple(later)), after=NOTICE_DELAY)

    def _notice(self, event: Event) -> NoticeDue | None:
        order = feed.order_of(event)
        customer = self._customers.of_account(order.account) if order else None
        notice = feed.notice(event, customer) if customer else None
        if order is None or customer is None or notice is None:
            return None
        name = self._market.name(order.symbol)
        return NoticeDue(customer=customer, notice=notice, symbol_name=name, order_price=order.price)

    # -- the order log ------------------------------------------------------------------------------------------

    def _accepted(self, event: Accepted) -> LogEntry:
        order = event.order
        return LogEntry(
            seq=self._sequence(),
            at=time.time(),
            day=f"{order.day:%Y%m%d}",
            time=self._exchange.now.hhmmss,
            account=order.account,
            purpose=order.purpose.value,
            accepted=True,
            code="",
            order_no=order_number(order.number),
            original=order_number(order.original),
            symbol=order.symbol,
            side=order.side.value,
            quantity=order.quantity,
            price=order.price,
            reduces=event.reduces,
        )

    def _refused(self, msg: PlaceOrder | AmendOrder, why: Refusal | str) -> LogEntry:
        placing = isinstance(msg, PlaceOrder)
        wanted = msg.order if isinstance(msg, PlaceOrder) else msg.amendment
        return LogEntry(
            seq=self._sequence(),
            at=time.time(),
            day=self._exchange.now.yyyymmdd,
            time=self._exchange.now.hhmmss,
            account=msg.customer.account,
            purpose="new" if placing else "amend",
            accepted=False,
            code=replies.refusal_code(why) if isinstance(why, Refusal) else why,
            original="" if isinstance(msg, PlaceOrder) else msg.amendment.original,
            symbol=msg.order.symbol if isinstance(msg, PlaceOrder) else "",
            side=msg.side.value if isinstance(msg, PlaceOrder) else "",
            quantity=wanted.quantity,
            price=wanted.price,
        )

    def _sequence(self) -> int:
        number, self._next_seq = self._next_seq, self._next_seq + 1
        return number
