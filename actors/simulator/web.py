"""The Quart application: routes to the broker, the stream, and the simulator's own calls under ``/sim``."""

import ipaddress
import itertools
import json
import secrets
from typing import Any

import attrs
import trio
from quart import Response, request, websocket
from quart_trio import QuartTrio

from actors.simulator.broker import Broker, HttpCall
from actors.simulator.customers import Customers
from actors.simulator.faults import FaultBoard, Faults
from actors.simulator.feeds import Feeds
from actors.simulator.messages import Advance, Befall, Halt, Hangup, OpenAccount, ReadBooks, ReadLog, Received
from actors.simulator.options import account_order
from actors.simulator.replies import Answer, gateway
from actors.simulator.stream_client import BACKLOG, Sessions, StreamClient
from supervisor.errors import Refused, SupervisorError
from supervisor.ref import Ref
from supervisor.spec import ChildSpec, Restart
from supervisor.system import System
from wire.errors import Malformed
from wire.exchange.events import INTERRUPTION, Condition
from wire.exchange.market import Market
from wire.kis import codes
from wire.kis.rest import read_json

MAX_BODY = 64 * 1024
LOG_PAGE = 1_000


@attrs.frozen(kw_only=True)
class Parts:
    """What the routes need."""

    system: System
    broker: Broker
    customers: Customers
    faults: FaultBoard
    feeds: Feeds
    sessions: Sessions
    market: Market
    admin_token: str = attrs.field(repr=False)

    @property
    def floor(self) -> Ref:
        return self.system.ref("floor")


def make_app(parts: Parts) -> QuartTrio:
    """The application over a running system of actors."""
    app = QuartTrio("simulator", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.before_request
    async def drain() -> None:
        # An answer before the body has been read leaves a kept-alive connection of Hypercorn stuck.
        await request.get_data()

    @app.errorhandler(404)
    @app.errorhandler(405)
    @app.errorhandler(413)
    async def unrouted(error: Any) -> Response:
        return _respond(attrs.evolve(gateway("EGW00203"), status=error.code))

    @app.errorhandler(500)
    async def broken(error: Any) -> Response:
        return _respond(gateway("EGW00002"))

    _add_broker(app, parts)
    _add_stream(app, parts)
    _add_administration(app, parts)
    return app


def _respond(answer: Answer) -> Response:
    response = Response(json.dumps(answer.body, ensure_ascii=False), status=answer.status)
    response.headers["content-type"] = "application/json; charset=utf-8"
    return response


async def _call() -> HttpCall:
    return HttpCall(
        method=request.method,
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict(),
        body=await _body(),
    )


async def _body() -> bytes:
    body = await request.get_data()
    return body.encode() if isinstance(body, str) else body


def _add_broker(app: QuartTrio, parts: Parts) -> None:
    broker = parts.broker

    @app.post(codes.TOKEN_PATH)
    async def token() -> Response:
        return _respond(broker.issue_token(await _call()))

    @app.post(codes.REVOKE_PATH)
    async def revoke() -> Response:
        return _respond(broker.revoke_token(await _call()))

    @app.post(codes.APPROVAL_PATH)
    async def approval() -> Response:
        return _respond(broker.approve(await _call()))

    @app.post(codes.HASHKEY_PATH)
    async def hash_key() -> Response:
        return _respond(broker.hash_key(await _call()))

    @app.route("/uapi/domestic-stock/<path:rest>", methods=["GET", "POST"])
    async def stock(rest: str) -> Response:
        call = await _call()
        answer = await broker.answer(call)
        response = _respond(answer)
        response.headers["tr_id"] = call.headers.get("tr_id", "")
        response.headers["tr_cont"] = "M" if answer.more else "D"
        response.headers["gt_uid"] = secrets.token_hex(16)
        return response


def _add_stream(app: QuartTrio, parts: Parts) -> None:
    numbers = itertools.count(1)

    @app.websocket("/")
    @app.websocket(codes.STREAM_PATH)
    async def stream() -> None:
        sending, receiving = trio.open_memory_channel[str](BACKLOG)
        spec = ChildSpec(
            id=f"client-{next(numbers)}",
            factory=lambda: StreamClient(sending, parts.customers, parts.feeds, parts.sessions, parts.market),
            restart=Restart.TEMPORARY,
        )
        try:
            client = await parts.system.start_child("clients", spec)
        except SupervisorError:
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, client)
                # A send to a peer that has gone neither fails nor waits; taking from the channel does wait.
                async for text in receiving:
                    await websocket.send(text)
                nursery.cancel_scope.cancel()
        finally:
            client.tell(Hangup(), urgent=True)
            receiving.close()

    async def _listen(client: Ref) -> None:
        while True:
            text = await websocket.receive()
            if isinstance(text, bytes):
                text = text.decode("utf-8", "replace")
            await client.send(Received(text=text or ""))  # an empty binary frame arrives as None


def _add_administration(app: QuartTrio, parts: Parts) -> None:
    def permitted() -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = secrets.compare_digest(token.encode(errors="replace"), parts.admin_token.encode())
        return scheme == "Bearer" and known and _is_loopback(request.remote_addr)

    @app.before_request
    async def guard() -> Response | None:
        if request.path.startswith("/sim/") and not permitted():
            return _words(403, "error", "error_forbidden")
        return None

    @app.post("/sim/accounts")
    async def accounts() -> Response:
        try:
            order = account_order(read_json(await _body()))
            is_new = await parts.floor.ask(OpenAccount(order=order))
        except (ValueError, Malformed) as error:
            return _words(400, "error", str(error))
        except Refused as error:
            return _words(409, "error", str(error))
        customer = order.customer
        return _object(
            201 if is_new else 200,
            account=customer.account,
            app_key=customer.app_key,
            app_secret=customer.app_secret,
            hts_id=customer.hts_id,
            profile=customer.profile.value,
            cash=order.cash,
            commission_ppm=customer.fees.commission_ppm,
        )

    @app.get("/sim/accounts")
    async def books() -> Response:
        return _object(200, items=[attrs.asdict(entry) for entry in await parts.floor.ask(ReadBooks())])

    @app.get("/sim/orders")
    async def orders() -> Response:
        after = request.args.get("after", "0")
        start = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        entries = await parts.floor.ask(ReadLog(after=start, limit=LOG_PAGE))
        following = entries[-1].seq if len(entries) == LOG_PAGE else None
        return _object(200, items=[attrs.asdict(entry) for entry in entries], next=following)

    @app.post("/sim/faults")
    async def faults() -> Response:
        try:
            wanted = read_json(await _body())
            account, made, halted = _read_faults(wanted, parts.market)
        except (ValueError, TypeError, Malformed) as error:
            return _words(400, "error", str(error))
        parts.faults.set(account, made)
        for symbol in parts.market.symbols if halted is not None else ():
            await parts.floor.ask(Halt(symbol=symbol.code, halted=symbol.code in (halted or ())))
        return _object(200, account=account, **attrs.asdict(made))

    @app.post("/sim/market")
    async def market() -> Response:
        """Put ``symbol`` into a ``condition``; an interruption lasts ``seconds`` of market time."""
        try:
            wanted = _read_condition(read_json(await _body()))
        except (ValueError, Malformed) as error:
            return _words(400, "error", str(error))
        if not await parts.floor.ask(wanted):
            return _words(404, "error", "no such symbol")
        return _object(200, symbol=wanted.symbol, condition=wanted.condition.value)

    @app.post("/sim/advance")
    async def advance() -> Response:
        """Let ``seconds`` of the simulator's real time pass at once."""
        seconds = _number(await _body(), "seconds")
        if seconds is None:
            return _words(400, "error", "seconds must be a number from 0 to 86400")
        now = await parts.floor.ask(Advance(real=seconds), timeout=60.0)
        return _object(200, day=now.yyyymmdd, time=now.hhmmss, phase=now.phase.value)

    @app.post("/sim/expire-token")
    async def expire_token() -> Response:
        """The token of ``account`` ends now."""
        customer = parts.customers.of_account(_account(await _body()))
        if customer is None:
            return _words(404, "error", "no such account")
        parts.customers.expire_token(customer, trio.current_time())
        return _object(200, account=customer.account)

    @app.post("/sim/disconnect")
    async def disconnect() -> Response:
        """Hang up on every stream client."""
        clients = await parts.system.ref("clients").which_children()
        for child in clients:
            child.ref.tell(Hangup(), urgent=True)
        return _object(200, disconnected=len(clients))


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _read_faults(wanted: dict[str, Any], market: Market) -> tuple[str, Faults, frozenset[str] | None]:
    """Account (empty: all), faults, and the halted symbols when given. ValueError or TypeError for anything else."""
    wanted = dict(wanted)
    account = str(wanted.pop("account", "")).replace("-", "")
    halted = wanted.pop("halted", None)
    if halted is not None and (not isinstance(halted, list) or not all(market.knows(code) for code in halted)):
        raise ValueError("halted must be a list of known symbols")
    for field in attrs.fields(Faults):
        if field.name in wanted and type(wanted[field.name]) is not field.type:
            raise ValueError(f"{field.name} must be a {getattr(field.type, '__name__', 'value')}")
    return account, Faults(**wanted), None if halted is None else frozenset(halted)


def _read_condition(wanted: dict[str, Any]) -> Befall:
    """ValueError says what is wrong."""
    names = [condition.value for condition in Condition]
    if wanted.get("condition") not in names or not isinstance(wanted.get("symbol"), str):
        raise ValueError(f"symbol must be a text and condition one of {', '.join(names)}")
    seconds = wanted.get("seconds", INTERRUPTION)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= 86_400:
        raise ValueError("seconds must be a number above 0 and at most 86400")
    return Befall(symbol=wanted["symbol"], condition=Condition(wanted["condition"]), seconds=float(seconds))


def _number(body: bytes, name: str) -> float | None:
    try:
        value = read_json(body).get(name)
    except Malformed:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if value is not None and is_number and 0 <= value <= 86_400 else None


def _account(body: bytes) -> str:
    try:
        return str(read_json(body).get("account", "")).replace("-", "")
    except Malformed:
        return ""


def _object(status: int, **fields: Any) -> Response:
    return _respond(Answer(body=fields, status=status))


def _words(status: int, name: str, text: str) -> Response:
    return _respond(Answer(body={name: text}, status=status))
