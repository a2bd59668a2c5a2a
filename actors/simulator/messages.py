"""What the simulator's actors say to each other."""

from typing import Any

import attrs

from actors.simulator.customers import Customer
from actors.simulator.ledger import LogEntry
from actors.simulator.options import AccountOrder
from actors.simulator.replies import Answer
from supervisor.message import Request
from wire.exchange.calendar import MarketTime
from wire.exchange.events import Condition
from wire.exchange.fees import Side
from wire.kis.codes import Call
from wire.kis.notices import Notice
from wire.kis.trading import AmendRequest, OrderRequest


@attrs.frozen(kw_only=True)
class PlaceOrder(Request[Answer]):
    customer: Customer
    side: Side
    order: OrderRequest


@attrs.frozen(kw_only=True)
class AmendOrder(Request[Answer]):
    customer: Customer
    amendment: AmendRequest


@attrs.frozen(kw_only=True)
class Query(Request[Answer]):
    """A reading call; ``query`` is the call's shape and ``older`` whether the older transaction id was used."""

    customer: Customer
    call: Call
    query: Any
    next_page: bool = False
    older: bool = False


@attrs.frozen(kw_only=True)
class OpenAccount(Request[bool]):
    """True when the account is new."""

    order: AccountOrder


@attrs.frozen(kw_only=True)
class Halt(Request[bool]):
    """False for an unknown symbol."""

    symbol: str
    halted: bool


@attrs.frozen(kw_only=True)
class Befall(Request[bool]):
    """Puts a symbol into a condition; an interruption lasts ``seconds`` of market time. False for an unknown symbol."""

    symbol: str
    condition: Condition
    seconds: float


@attrs.frozen(kw_only=True)
class Advance(Request[MarketTime]):
    """Let ``real`` seconds of the simulator's own time pass."""

    real: float


@attrs.frozen(kw_only=True)
class ReadLog(Request[tuple[LogEntry, ...]]):
    after: int
    limit: int


@attrs.frozen(kw_only=True)
class Books:
    """One account as the broker keeps it: D+2 cash in won, shares held, and how many orders still work."""

    account: str
    cash: int
    positions: dict[str, int]
    working_orders: int


@attrs.frozen(kw_only=True)
class ReadBooks(Request[tuple[Books, ...]]):
    """The books of every account at one instant."""


@attrs.frozen(kw_only=True)
class Outgoing:
    """A text for a stream client."""

    text: str


@attrs.frozen(kw_only=True)
class NoticeDue:
    """A notice for the clients of its owner, who encrypt it with their own key."""

    customer: Customer
    notice: Notice
    symbol_name: str
    order_price: int


@attrs.frozen(kw_only=True)
class NoticesDue:
    notices: tuple[NoticeDue, ...]


@attrs.frozen(kw_only=True)
class Received:
    """A text of a stream client."""

    text: str


@attrs.frozen(kw_only=True)
class Hangup:
    """The stream client's connection has ended or must end."""


@attrs.frozen(kw_only=True)
class PingDue:
    """Time for the next keep-alive."""
