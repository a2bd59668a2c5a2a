"""The broker's HTTP calls: who calls, whether now, what; then the exchange is asked and the answer written.

Every function takes the request apart itself, so that the web framework only carries bytes.
"""

import hashlib
import json
import random
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
import trio

from actors.simulator import replies
from actors.simulator.customers import TOKEN_SECONDS, Customer, Customers, TooSoon
from actors.simulator.faults import FaultBoard, Faults
from actors.simulator.floor import KST
from actors.simulator.messages import AmendOrder, PlaceOrder, Query
from actors.simulator.queries import SHAPES
from actors.simulator.replies import Answer
from supervisor.errors import SupervisorError
from supervisor.message import Request
from supervisor.ref import Ref
from wire.errors import InvalidField, Malformed
from wire.exchange.fees import Side
from wire.kis import oauth
from wire.kis.codes import TRANSACTIONS, Call, Profile, call_of, on_profile
from wire.kis.fields import from_object, to_object
from wire.kis.rest import read_json
from wire.kis.trading import AmendRequest, OrderRequest

_ORDERS = (Call.BUY, Call.SELL, Call.AMEND)
# Codes of the broker's token endpoints.
_TOO_SOON = oauth.TokenRefusal(code="EGW00133", text="접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)")
_UNKNOWN_KEYS = oauth.TokenRefusal(code="EGW00002", text="서버 에러가 발생했습니다.")
_BAD_REQUEST = oauth.TokenRefusal(code="EGW00101", text="유효하지 않은 요청입니다.")


@attrs.frozen(kw_only=True)
class HttpCall:
    """A request as bytes and names. Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class Admitted:
    """A call that passed the gateway."""

    customer: Customer
    call: Call
    older: bool


class Broker:
    """Answers the calls. ``floor`` is the exchange's actor."""

    def __init__(self, customers: Customers, faults: FaultBoard, floor: Ref, *, seed: int) -> None:
        self._customers = customers
        self._faults = faults
        self._floor = floor
        self._random = random.Random(seed)

    # -- keys ---------------------------------------------------------------------------------------------------

    def issue_token(self, call: HttpCall) -> Answer:
        """``/oauth2/tokenP``."""
        wanted = _read(oauth.TokenRequest, call.body)
        if wanted is None or wanted.grant_type != oauth.CLIENT_CREDENTIALS:
            return Answer(body=to_object(_BAD_REQUEST), status=403)
        customer = self._customers.authenticated(wanted.app_key, wanted.app_secret)
        if customer is None:
            return Answer(body=to_object(_UNKNOWN_KEYS), status=403)
        try:
            token = self._customers.issue_token(customer, trio.current_time())
        except TooSoon:
            return Answer(body=to_object(_TOO_SOON), status=403)
        left = token.expires - trio.current_time()
        expires = datetime.fromtimestamp(time.time() + left, KST)
        body: dict[str, Any] = {
            **to_object(oauth.TokenAnswer(token=token.value, expires_at=f"{expires:%Y-%m-%d %H:%M:%S}", expires_in=0))
        }
        return Answer(body={**body, "expires_in": min(TOKEN_SECONDS, round(left))})

    def revoke_token(self, call: HttpCall) -> Answer:
        """``/oauth2/revokeP``. Success is HTTP 200; the text of its body is the simulator's."""
        wanted = _read(oauth.RevokeRequest, call.body)
        customer = self._customers.authenticated(wanted.app_key, wanted.app_secret) if wanted else None
        if wanted is None or customer is None or not self._customers.revoke_token(customer, wanted.token):
            return Answer(body=to_object(_UNKNOWN_KEYS), status=403)
        return Answer(body={"code": 200, "message": "접근토큰 폐기에 성공하였습니다"})

    def approve(self, call: HttpCall) -> Answer:
        """``/oauth2/Approval``."""
        wanted = _read(oauth.ApprovalRequest, call.body)
        customer = self._customers.authenticated(wanted.app_key, wanted.app_secret) if wanted else None
        if customer is None:
            return Answer(body=to_object(_UNKNOWN_KEYS), status=403)
        return Answer(body=to_object(oauth.ApprovalAnswer(approval_key=self._customers.approve(customer))))

    def hash_key(self, call: HttpCall) -> Answer:
        """``/uapi/hashkey``; the hash is accepted everywhere and demanded nowhere."""
        try:
            body = read_json(call.body)
        except Malformed:
            return replies.gateway("EGW00101")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return Answer(body={"BODY": body, "HASH": digest})

    # -- orders and queries -------------------------------------------------------------------------------------

    async def answer(self, call: HttpCall) -> Answer:
        """Any call under ``/uapi/domestic-stock``."""
        admitted = self._admit(call)
        if isinstance(admitted, Answer):
            return admitted
        faults = self._faults.of(admitted.customer.account)
        if faults.delay_ms:
            await trio.sleep(faults.delay_ms / 1000)
        try:
            request = _request(admitted, call)
        except (InvalidField, Malformed):
            return replies.gateway("OPSQ2002")
        if _foreign_account(request, admitted.customer):
            return replies.gateway("OPSQ2000")
        if admitted.call in _ORDERS:
            return await self._order(request, admitted.customer, faults)
        return await self._ask(request)

    def _admit(self, call: HttpCall) -> Admitted | Answer:
        """The gateway's checks: keys, token, call limit, transaction id."""
        customer = self._customers.of_key(call.headers.get("appkey", ""))
        if customer is None:
            return replies.gateway("EGW00103")
        if self._customers.authenticated(customer.app_key, call.headers.get("appsecret", "")) is None:
            return replies.gateway("EGW00105")
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        problem = self._customers.token_problem(customer, token.strip(), trio.current_time())
        if scheme != "Bearer" or problem:
            return replies.gateway(problem or "EGW00121")
        if not self._customers.may_call(customer, trio.current_time()):
            return replies.gateway("EGW00201")
        return _transaction(call, customer)

    async def _order(self, request: Request[Answer], customer: Customer, faults: Faults) -> Answer:
        timing_out = self._faults.takes_timeout(customer.account)
        if timing_out and not timing_out.gateway_executes:
            return replies.gateway("EGW00301")
        answer = await self._ask(request)
        if faults.early_notices:
            await trio.sleep(self._random.uniform(0.15, 0.4))
        return replies.gateway("EGW00301") if timing_out else answer

    async def _ask(self, request: Request[Answer]) -> Answer:
        try:
            return await self._floor.ask(request, timeout=10.0)
        except SupervisorError:  # the exchange is being restarted: nobody knows what became of the call
            return replies.gateway("EGW00301")


def _read(shape: type[Any], body: bytes) -> Any:
    try:
        return from_object(shape, read_json(body))
    except (InvalidField, Malformed):
        return None


def _transaction(call: HttpCall, customer: Customer) -> Admitted | Answer:
    tr_id, other = call.headers.get("tr_id", ""), Profile.REAL
    found = call_of(tr_id, customer.profile)
    if found is None:
        other = Profile.REAL if customer.profile is Profile.MOCK else Profile.MOCK
        return replies.gateway("EGW00213" if call_of(tr_id, other) else "OPSQ0002")
    entry = TRANSACTIONS[found]
    if (call.method, call.path) != (entry.method, entry.path):
        return replies.gateway("OPSQ0002")
    if customer.profile is Profile.MOCK and not entry.mock:
        return replies.gateway("90000000")
    older = entry.older != entry.real and tr_id == on_profile(entry.older, customer.profile)
    return Admitted(customer=customer, call=found, older=older)


def _request(admitted: Admitted, call: HttpCall) -> PlaceOrder | AmendOrder | Query:
    """What to ask the exchange. Raises InvalidField or Malformed."""
    customer = admitted.customer
    if admitted.call is Call.AMEND:
        return AmendOrder(customer=customer, amendment=from_object(AmendRequest, read_json(call.body)))
    if admitted.call in _ORDERS:
        side = Side.BUY if admitted.call is Call.BUY else Side.SELL
        return PlaceOrder(customer=customer, side=side, order=from_object(OrderRequest, read_json(call.body)))
    fields = {name.upper(): value for name, value in call.query.items()}
    return Query(
        customer=customer,
        call=admitted.call,
        query=from_object(SHAPES[admitted.call], fields),
        next_page=call.headers.get("tr_cont", "") == "N",
        older=admitted.older,
    )


def _foreign_account(request: PlaceOrder | AmendOrder | Query, customer: Customer) -> bool:
    if isinstance(request, PlaceOrder):
        wanted: Any = request.order
    else:
        wanted = request.amendment if isinstance(request, AmendOrder) else request.query
    return hasattr(wanted, "account") and wanted.account + wanted.product != customer.account
