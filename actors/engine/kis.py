"""The KIS REST API as an engine needs it: token, orders, cancels, and the reads that reconcile.

The rules of the broker that matter here: body codes are read before the HTTP status; only "rate exceeded" and, once, a
refused token are sent again, since only those were certainly not executed; an order whose answer is lost or says
"check the previous transaction" is never sent again (``OutcomeUnknown``) but reconciled.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import attrs
import trio

from actors.engine.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from actors.engine.throttle import Throttle, ThrottleFull
from actors.engine.tokens import TokenCache, TokenTooSoon
from wire.errors import WireError
from wire.http import HttpClient, HttpError, Response
from wire.kis.codes import (
    APPROVAL_PATH,
    SERVICES,
    TOKEN_PATH,
    TRANSACTIONS,
    Advice,
    AmendKind,
    Call,
    NotOffered,
    OrderType,
    Profile,
    transaction_id,
)
from wire.kis.fields import from_object, to_object
from wire.kis.oauth import ApprovalAnswer, ApprovalRequest, TokenAnswer, TokenRequest
from wire.kis.quotes import Depth, Price, QuoteQuery, depth_from_object
from wire.kis.rest import JSON_TYPE, Credentials, Cursor, Reply, call_headers, encode_body, read_reply
from wire.kis.trading import (
    AmendRequest,
    BalanceQuery,
    BalanceTotals,
    DailyOrder,
    DailyOrdersQuery,
    Holding,
    OpenOrder,
    OpenOrdersQuery,
    OrderAccepted,
    OrderRequest,
)
from wire.sdk.errors import EngineError
from wire.values import Side

T = TypeVar("T")
BeforeWrite = Callable[[], None]

CALL_TIMEOUT = 10.0
_RATE_RETRIES = 5
_READ_RETRIES = 2
_PAGES = 20
_WHOLE = 0.99  # of the total purchase value, which a whole list of holdings adds up to


@attrs.frozen(kw_only=True)
class KisAccount:
    """What identifies an account at the broker. ``account``: ten digits. URLs come from trusted configuration only."""

    profile: Profile
    app_key: str = attrs.field(repr=False)
    app_secret: str = attrs.field(repr=False)
    account: str = attrs.field(repr=False)
    hts_id: str = attrs.field(default="", repr=False)
    rest_url: str = ""
    stream_url: str = ""

    @property
    def rest(self) -> str:
        return (self.rest_url or SERVICES[self.profile].rest).rstrip("/")

    @property
    def stream(self) -> str:
        return (self.stream_url or SERVICES[self.profile].stream).rstrip("/")

    @property
    def number(self) -> str:
        return self.account[:8]

    @property
    def product(self) -> str:
        return self.account[8:]


@attrs.frozen(kw_only=True)
class Balance:
    holdings: tuple[Holding, ...]
    totals: BalanceTotals


class KisClient:
    """One account. Urgent calls (cancels, closing orders) overtake reads in the throttle."""

    def __init__(self, account: KisAccount, *, http: HttpClient, tokens: TokenCache, throttle: Throttle) -> None:
        self.account = account
        self.tokens = tokens
        self._http = http
        self._throttle = throttle

    @property
    def offers_open_orders(self) -> bool:
        return TRANSACTIONS[Call.OPEN_ORDERS].mock or self.account.profile is Profile.REAL

    def use(self, account: KisAccount, tokens: TokenCache) -> None:
        """Other keys from now on. Calls under way end with the old ones."""
        self.account, self.tokens = account, tokens

    # --- keys ---

    async def token(self) -> str:
        """The shared token. Raises TokenTooSoon, BrokerRefused (wrong keys) or BrokerUnavailable."""
        return await self.tokens.get(self._issue_token)

    async def approval_key(self) -> str:
        """The key for the stream, sent inside its messages."""
        request = ApprovalRequest(app_key=self.account.app_key, app_secret=self.account.app_secret)
        reply = await self._post_plain(APPROVAL_PATH, encode_body(request))
        return reply.one_of(ApprovalAnswer).approval_key

    async def _issue_token(self) -> tuple[str, float]:
        request = TokenRequest(app_key=self.account.app_key, app_secret=self.account.app_secret)
        reply = await self._post_plain(TOKEN_PATH, encode_body(request))
        answer = reply.one_of(TokenAnswer)
        return answer.token, float(answer.expires_in)

    async def _post_plain(self, path: str, body: bytes) -> "_Plain":
        url = self.account.rest + path
        try:
            response = await self._http.request("POST", url, {"content-type": JSON_TYPE}, body, timeout=CALL_TIMEOUT)
            reply = _read(response)
        except (HttpError, WireError) as error:
            raise BrokerUnavailable(_words(error)) from error
        if reply.succeeded:
            return _Plain(reply)
        if reply.advice is Advice.KEEP_TOKEN:
            raise TokenTooSoon(60.0)
        if reply.status >= 500 and reply.advice is not Advice.STOP:
            raise BrokerUnavailable(f"the broker answered {reply.code}")
        raise BrokerRefused(reply.text or "the keys were refused", broker_code=reply.code, code="error_broker_keys")

    # --- orders ---

    async def place(
        self, *, symbol: str, side: Side, quantity: int, price: int, urgent: bool, before_write: BeforeWrite
    ) -> OrderAccepted:
        """Sends a limit order, or a market order when ``price`` is 0. What ``before_write`` raises comes out unchanged.

        Raises BrokerRefused, BrokerUnavailable (nothing happened there) or OutcomeUnknown (reconcile).
        """
        request = OrderRequest(
            account=self.account.number,
            product=self.account.product,
            symbol=symbol,
            order_type=OrderType.LIMIT if price else OrderType.MARKET,
            quantity=quantity,
            price=price,
        )
        call = Call.BUY if side is Side.BUY else Call.SELL
        reply = await self._order(call, encode_body(request), urgent=urgent, before_write=before_write)
        return self._accepted(reply)

    async def cancel(self, *, number: str, branch: str, market: bool, before_write: BeforeWrite) -> OrderAccepted:
        """Cancels whatever is left of an order. "Nothing left" is a BrokerRefused with ``error_nothing_to_cancel``."""
        request = AmendRequest(
            account=self.account.number,
            product=self.account.product,
            branch=branch,
            original=number,
            order_type=OrderType.MARKET if market else OrderType.LIMIT,
            kind=AmendKind.CANCEL,
            quantity=0,
            price=0,
            whole=True,
        )
        reply = await self._order(Call.AMEND, encode_body(request), urgent=True, before_write=before_write)
        return self._accepted(reply)

    async def _order(self, call: Call, body: bytes, *, urgent: bool, before_write: BeforeWrite) -> Reply:
        reply = await self._call(call, body=body, urgent=urgent, before_write=before_write)
        if reply.succeeded:
            return reply
        if reply.advice in (Advice.RECONCILE, Advice.GATEWAY):
            raise OutcomeUnknown(f"the broker answered {reply.code}")
        code = "error_nothing_to_cancel" if reply.advice is Advice.NOTHING_LEFT else None
        raise BrokerRefused(reply.text or reply.code, broker_code=reply.code, code=code)

    @staticmethod
    def _accepted(reply: Reply) -> OrderAccepted:
        try:
            return reply.one(OrderAccepted)
        except WireError as error:
            raise OutcomeUnknown("the broker said yes without an order number") from error

    # --- reads ---

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Working orders by the broker's view. Raises NotOffered on the paper service."""

        def query(cursor: Cursor) -> OpenOrdersQuery:
            return OpenOrdersQuery(
                account=self.account.number, product=self.account.product, fk=cursor.fk, nk=cursor.nk
            )

        replies = await self._pages(Call.OPEN_ORDERS, query)
        rows = [row for reply in replies for row in _rows(reply, OpenOrder, "output")]
        return tuple(row for row in rows if row.open_quantity > 0)

    async def daily_orders(self, first_day: str, last_day: str) -> tuple[DailyOrder, ...]:
        """Every order of those days (YYYYMMDD), with what was filled of it."""

        def query(cursor: Cursor) -> DailyOrdersQuery:
            return DailyOrdersQuery(
                account=self.account.number,
                product=self.account.product,
                first_day=first_day,
                last_day=last_day,
                fk=cursor.fk,
                nk=cursor.nk,
            )

        replies = await self._pages(Call.DAILY_ORDERS, query)
        return tuple(row for reply in replies for row in _rows(reply, DailyOrder, "output1"))

    async def balance(self) -> Balance:
        """What the broker holds for the account; sold-out rows of quantity 0 are left out."""

        def query(cursor: Cursor) -> BalanceQuery:
            return BalanceQuery(account=self.account.number, product=self.account.product, fk=cursor.fk, nk=cursor.nk)

        replies = await self._pages(Call.BALANCE, query)
        holdings = [row for reply in replies for row in _rows(reply, Holding, "output1")]
        try:
            totals = replies[-1].one(BalanceTotals, "output2")
        except WireError as error:
            raise BrokerUnavailable("the balance came without its totals") from error
        held = tuple(h for h in holdings if h.quantity)
        if totals.stock_value > 0 and not held:
            raise BrokerUnavailable("the balance shows stocks in its total and none in its list")
        if sum(h.cost for h in held) < totals.cost * _WHOLE:
            raise BrokerUnavailable("the balance lists less than its total: a page is missing")
        return Balance(holdings=held, totals=totals)

    async def price(self, symbol: str) -> Price:
        reply = await self._read(Call.PRICE, to_object(QuoteQuery(symbol=symbol)))
        try:
            return reply.one(Price)
        except WireError as error:
            raise BrokerUnavailable("the price came without its fields") from error

    async def depth(self, symbol: str) -> Depth:
        """The ten best levels of both sides and the market's phase; empty where orders are only collected."""
        reply = await self._read(Call.BOOK, to_object(QuoteQuery(symbol=symbol)))
        output = reply.body.get("output1")
        if not isinstance(output, dict):
            raise BrokerUnavailable("the order book came without its levels")
        try:
            return depth_from_object(output)
        except WireError as error:
            raise BrokerUnavailable(f"the order book could not be read ({error.field})") from error

    async def _pages(self, call: Call, query: Callable[[Cursor], Any]) -> list[Reply]:
        replies: list[Reply] = []
        cursor = Cursor()
        while True:
            reply = await self._read(call, to_object(query(cursor)), next_page=bool(replies))
            replies.append(reply)
            cursor = reply.cursor
            if not reply.more:
                return replies
            if len(replies) >= _PAGES:
                raise BrokerUnavailable(f"a list of more than {_PAGES} pages")

    async def _read(self, call: Call, query: dict[str, str], *, next_page: bool = False) -> Reply:
        attempt = 0
        while True:
            try:
                reply = await self._call(call, query=query, next_page=next_page)
            except OutcomeUnknown as error:
                raise BrokerUnavailable(error.reason) from error
            if reply.succeeded:
                return reply
            if reply.advice not in (Advice.GATEWAY, Advice.RECONCILE) or attempt >= _READ_RETRIES:
                raise BrokerRefused(reply.text or reply.code, broker_code=reply.code)
            attempt += 1
            await trio.sleep(0.2 * attempt)

    # --- one call ---

    async def _call(
        self,
        call: Call,
        *,
        query: dict[str, str] | None = None,
        body: bytes = b"",
        urgent: bool = False,
        next_page: bool = False,
        before_write: BeforeWrite | None = None,
    ) -> Reply:
        """Sends until there is an answer that is neither "too fast" nor, once, "that token is not valid"."""
        transaction = TRANSACTIONS[call]
        url = self.account.rest + transaction.path + (f"?{urlencode(query)}" if query is not None else "")
        tr_id = transaction_id(call, self.account.profile)
        renewed, slowed = False, 0
        while True:
            token = await self._token_for_call()
            try:
                await self._throttle.acquire(urgent=urgent)
            except ThrottleFull:
                raise BrokerUnavailable("too many calls are waiting for the broker's rate") from None
            credentials = Credentials(app_key=self.account.app_key, app_secret=self.account.app_secret, token=token)
            headers = call_headers(credentials, tr_id, next_page=next_page)
            reply = await self._exchange(transaction.method, url, headers, body, before_write)
            if reply.advice is Advice.WAIT and slowed < _RATE_RETRIES:
                slowed += 1
                self._throttle.penalise()
            elif reply.advice is Advice.NEW_TOKEN and not renewed:
                renewed = True
                self.tokens.invalidate(token)
            else:
                return reply

    async def _token_for_call(self) -> str:
        try:
            return await self.token()
        except TokenTooSoon as error:
            raise BrokerUnavailable(error.reason, code=error.code) from error

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes, before_write: BeforeWrite | None
    ) -> Reply:
        try:
            response = await self._http.request(
                method, url, headers, body, timeout=CALL_TIMEOUT, before_write=before_write
            )
        except HttpError as error:
            kind: type[EngineError] = OutcomeUnknown if error.written else BrokerUnavailable
            raise kind(_words(error)) from error
        try:
            return _read(response)
        except WireError as error:
            raise OutcomeUnknown("the broker's answer could not be read") from error


@attrs.frozen
class _Plain:
    """An answer whose fields lie at the top of the body, as those of the token calls do."""

    reply: Reply

    def one_of(self, shape: type[T]) -> T:
        try:
            return from_object(shape, self.reply.body)
        except WireError as error:
            raise BrokerUnavailable("the broker's answer lacks its fields") from error


def _read(response: Response) -> Reply:
    return read_reply(response.status, response.headers, response.body)


def _rows(reply: Reply, shape: type[T], name: str) -> list[T]:
    try:
        return reply.rows(shape, name)
    except WireError as error:
        raise BrokerUnavailable(f"a list of the broker could not be read ({error.field})") from error


def _words(error: Exception) -> str:
    """Path and cause, never the query, headers or body."""
    if isinstance(error, HttpError):
        return f"{error.method} {urlsplit(error.path).path}: {error.reason.rpartition(': ')[2]}"
    return "the broker's answer could not be read"


__all__ = ["Balance", "KisAccount", "KisClient", "NotOffered"]
