"""A simulator on a real loopback port, and a small client of it."""

import json
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from urllib.parse import urlencode

import attrs
import pytest
import trio
import trio_websocket

from actors.simulator.options import SimulatorOptions
from actors.simulator.server import serve
from wire.http import HttpClient
from wire.kis import codes, rest, stream, trading
from wire.kis.aes import Cipher
from wire.kis.codes import AmendKind, Call, OrderType, Profile
from wire.kis.fields import to_object
from wire.kis.notices import notices_of
from wire.kis.quotes import Price, QuoteQuery

CODE = "005930"
ADMIN = {"authorization": "Bearer test-admin", "content-type": "application/json"}


class Customer:
    """One account with its token."""

    def __init__(self, simulator, keys):
        self.simulator, self.keys = simulator, keys
        self.profile = Profile(keys["profile"])
        self.place = {"account": keys["account"][:8], "product": keys["account"][8:]}
        self.token = ""

    async def login(self):
        answer = await self.simulator.post(codes.TOKEN_PATH, self.secret("appsecret"))
        if answer.status == 200:
            self.token = answer.json()["access_token"]
        return answer

    def secret(self, name):
        pair = {"appkey": self.keys["app_key"], name: self.keys["app_secret"]}
        return {"grant_type": "client_credentials", **pair}

    def headers(self, tr_id, **more):
        keys = rest.Credentials(app_key=self.keys["app_key"], app_secret=self.keys["app_secret"], token=self.token)
        return rest.call_headers(keys, tr_id) | more

    async def call(self, call, shape, *, tr_id=None, **headers):
        entry = codes.TRANSACTIONS[call]
        url, body = self.simulator.url(entry.path), b""
        if entry.method == "GET":
            url += "?" + urlencode(to_object(shape))
        else:
            body = rest.encode_body(shape)
        tr_id = tr_id or codes.on_profile(entry.real, self.profile)
        answer = await self.simulator.http.request(
            entry.method, url, headers=self.headers(tr_id, **headers), body=body, timeout=60
        )
        return rest.read_reply(answer.status, answer.headers, answer.body)

    async def order(self, side=Call.BUY, quantity=10, price=0, kind=OrderType.MARKET, symbol=CODE, **more):
        shape = trading.OrderRequest(
            **self.place, symbol=symbol, order_type=kind, quantity=quantity, price=price, **more
        )
        return await self.call(side, shape)

    async def amend(self, original, kind=AmendKind.CANCEL, quantity=0, price=0, whole=True):
        return await self.call(
            Call.AMEND,
            trading.AmendRequest(
                **self.place,
                branch="91252",
                original=original,
                order_type=OrderType.LIMIT,
                kind=kind,
                quantity=quantity,
                price=price,
                whole=whole,
            ),
        )

    async def resting(self, quantity=10):
        """An order far below the market: it stays open. Returns its number."""
        quote = (await self.call(Call.PRICE, QuoteQuery(symbol=CODE))).one(Price)
        reply = await self.order(quantity=quantity, price=quote.lower_limit, kind=OrderType.LIMIT)
        return reply.one(trading.OrderAccepted).order_no

    async def open_orders(self):
        reply = await self.call(Call.OPEN_ORDERS, trading.OpenOrdersQuery(**self.place))
        return reply.rows(trading.OpenOrder)

    async def balance(self):
        return await self.call(Call.BALANCE, trading.BalanceQuery(**self.place))

    async def approval(self):
        return (await self.simulator.post(codes.APPROVAL_PATH, self.secret("secretkey"))).json()["approval_key"]

    @asynccontextmanager
    async def connected(self, path=codes.STREAM_PATH):
        """A stream connection; ``say`` registers, ``hear`` waits for the next message but keep-alives."""
        approval = await self.approval()
        socket = await trio.open_tcp_stream("127.0.0.1", self.simulator.address.port)
        try:
            async with trio.open_nursery() as nursery:
                connection = await trio_websocket.wrap_client_stream(nursery, socket, str(self.simulator.address), path)
                yield Wire(connection, approval, self)
                await connection.aclose()
        finally:
            # The client library leaves the transport open when the server closes first.
            await trio.aclose_forcefully(socket)


@attrs.define
class Wire:
    connection: trio_websocket.WebSocketConnection
    approval: str
    customer: Customer
    cipher: Cipher | None = None

    async def say(self, tr_id, tr_key, *, register=True):
        """Register and return the server's answer, letting data of earlier registrations pass."""
        wanted = stream.Registration(approval_key=self.approval, tr_id=tr_id, tr_key=tr_key, register=register)
        await self.connection.send_message(stream.encode_registration(wanted))
        while True:
            answer = await self.hear()
            if isinstance(answer, stream.Control):
                if answer.encrypted and answer.key:
                    self.cipher = Cipher(answer.key.encode(), answer.iv.encode())
                return answer

    async def hear(self):
        with trio.fail_after(60):
            while True:
                message = stream.decode_server_message(await self.connection.get_message())
                if not isinstance(message, stream.Ping):
                    return message

    async def watch_notices(self):
        return await self.say(codes.SERVICES[self.customer.profile].notice_tr_id, self.customer.keys["hts_id"])

    async def notice(self):
        (notice,) = notices_of(await self.hear(), self.cipher)
        return notice


@attrs.define
class Simulator:
    address: object
    http: HttpClient
    options: SimulatorOptions
    scope: trio.CancelScope
    ended: trio.Event

    def url(self, path, scheme="http"):
        return f"{scheme}://{self.address}{path}"

    async def post(self, path, body, **headers):
        return await self.http.request(
            "POST",
            self.url(path),
            headers={"content-type": "application/json", **headers},
            body=json.dumps(body).encode(),
            timeout=60,
        )

    async def admin(self, path, body):
        answer = await self.post(path, body, **ADMIN)
        assert answer.status < 300, answer.body
        return answer.json()

    async def log(self):
        answer = await self.http.request("GET", self.url("/sim/orders"), headers=ADMIN, body=b"", timeout=60)
        return answer.json()["items"]

    async def customer(self, account="1234567801", **more):
        customer = Customer(self, await self.admin("/sim/accounts", {"account": account, **more}))
        assert (await customer.login()).status == 200
        return customer

    async def stop(self):
        self.scope.cancel()
        await self.ended.wait()


@pytest.fixture
async def start_simulator(tmp_path, nursery):
    """Start a simulator; by default on a Monday at noon, one simulated second per second."""
    running = []
    http = HttpClient()

    async def run(options, scope, ended, *, task_status):
        with scope:
            await serve(options, task_status=task_status)
        ended.set()

    async def start(*, at_noon=True, **changes):
        defaults = {"home": tmp_path / "home", "speed": 1.0, "start": date(2026, 1, 5), "admin_token": "test-admin"}
        options = SimulatorOptions(**{**defaults, **changes})
        scope, ended = trio.CancelScope(), trio.Event()
        address = await nursery.start(partial(run, options, scope, ended))
        simulator = Simulator(address=address, http=http, options=options, scope=scope, ended=ended)
        running.append(simulator)
        if at_noon:
            await simulator.admin("/sim/advance", {"seconds": 3 + 3 * 3600})
        return simulator

    async with http:
        yield start
        for simulator in running:
            await simulator.stop()


@pytest.fixture
async def simulator(start_simulator):
    return await start_simulator()


@pytest.fixture
async def customer(simulator):
    return await simulator.customer()
