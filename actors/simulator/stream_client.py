"""One WebSocket client: its registrations, its keep-alive, its notices under its own key.

The actor never touches the socket. What it has to say goes into a bounded channel that the connection's writer empties;
a client that does not read until the channel is full is hung up on.
"""

import secrets
import time
from datetime import datetime

import trio

from actors.simulator.customers import Customer, Customers
from actors.simulator.feeds import Feeds
from actors.simulator.floor import KST
from actors.simulator.messages import Hangup, NoticeDue, Outgoing, PingDue, Received
from supervisor.actor import Actor, handles
from supervisor.pubsub import Topic
from supervisor.reason import ExitReason
from wire.exchange.market import Market
from wire.kis import stream
from wire.kis.aes import Cipher
from wire.kis.codes import SERVICES
from wire.kis.notices import notice_frame
from wire.kis.stream import Control, Registration, RegistrationRefused

BACKLOG = 2_000  # texts a client may lag behind


class Sessions:
    """Which app key has its one connection; a key is held until its client's actor has ended."""

    def __init__(self) -> None:
        self._holders: dict[str, object] = {}

    def claim(self, app_key: str, holder: object) -> bool:
        return self._holders.setdefault(app_key, holder) is holder

    def leave(self, app_key: str, holder: object) -> None:
        if self._holders.get(app_key) is holder:
            del self._holders[app_key]


class StreamClient(Actor):
    """Speaks for one connection. ``out`` is closed when the connection has to end."""

    def __init__(
        self,
        out: trio.MemorySendChannel[str],
        customers: Customers,
        feeds: Feeds,
        sessions: Sessions,
        market: Market,
    ) -> None:
        self._out = out
        self._customers = customers
        self._feeds = feeds
        self._sessions = sessions
        self._market = market
        self._customer: Customer | None = None
        self._registered: dict[tuple[str, str], Topic[Outgoing] | Topic[NoticeDue]] = {}
        self._key, self._iv = secrets.token_hex(16), secrets.token_hex(8)
        self._cipher = Cipher(self._key.encode(), self._iv.encode())
        self._heard = 0.0

    async def started(self) -> None:
        self._heard = trio.current_time()
        self.context.every(PingDue(), period=stream.PING_PERIOD)

    async def stopped(self, reason: ExitReason) -> None:
        self._out.close()
        if self._customer is not None:
            self._sessions.leave(self._customer.app_key, self)

    @handles(Received)
    async def on_received(self, msg: Received) -> None:
        self._heard = trio.current_time()
        if stream.is_pingpong(msg.text):
            return
        try:
            self._register(stream.decode_registration(msg.text))
        except RegistrationRefused as refused:
            self._refuse(refused.code, refused.tr_id, refused.tr_key)
            if refused.code == stream.IN_USE:
                self.context.stop("the app key has a connection already")

    @handles(Outgoing)
    async def on_outgoing(self, msg: Outgoing) -> None:
        self._say(msg.text)

    @handles(NoticeDue)
    async def on_notice(self, msg: NoticeDue) -> None:
        frame = notice_frame(
            msg.notice,
            self._cipher,
            msg.customer.profile,
            symbol_name=msg.symbol_name,
            order_price=msg.order_price,
        )
        self._say(stream.encode_frame(frame))

    @handles(PingDue)
    async def on_ping_due(self, msg: PingDue) -> None:
        if trio.current_time() - self._heard > stream.PING_TIMEOUT:
            self.context.stop("no answer to the keep-alive")
        else:
            self._say(stream.encode_ping(f"{datetime.fromtimestamp(time.time(), KST):%Y%m%d%H%M%S}"))

    @handles(Hangup)
    async def on_hangup(self, msg: Hangup) -> None:
        self.context.stop("hung up")

    def _register(self, wanted: Registration) -> None:
        customer = self._identify(wanted)
        place = (wanted.tr_id, wanted.tr_key)
        if not wanted.register:
            self._unregister(place)
        elif place in self._registered:
            raise RegistrationRefused(stream.ALREADY_SUBSCRIBED, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
        elif len(self._registered) >= stream.MAX_REGISTRATIONS:
            raise RegistrationRefused(stream.TOO_MANY, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
        else:
            topic = self._topic(wanted, customer)
            topic.subscribe(self.context.self_ref)
            self._registered[place] = topic
            self._confirm(place, stream.SUBSCRIBED, with_keys=True)

    def _identify(self, wanted: Registration) -> Customer:
        """The customer of the approval key; the first message decides whose connection this is."""
        customer = self._customers.approved(wanted.approval_key)
        if customer is None or self._customer not in (None, customer):
            raise RegistrationRefused(stream.UNKNOWN_APPROVAL, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
        if not self._sessions.claim(customer.app_key, self):
            raise RegistrationRefused(stream.IN_USE)
        self._customer = customer
        return customer

    def _topic(self, wanted: Registration, customer: Customer) -> Topic[Outgoing] | Topic[NoticeDue]:
        if wanted.tr_id in (stream.TRADES, stream.BOOKS):
            if not self._market.knows(wanted.tr_key):
                raise RegistrationRefused(stream.UNKNOWN_TR_KEY, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
            kind = self._feeds.trades if wanted.tr_id == stream.TRADES else self._feeds.books
            return kind(wanted.tr_key)
        if wanted.tr_id != SERVICES[customer.profile].notice_tr_id:
            raise RegistrationRefused(stream.UNKNOWN_TR_ID, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
        if wanted.tr_key != customer.hts_id:
            self.context.stop("unknown HTS id")  # the broker's connection simply dies
            raise RegistrationRefused(stream.UNKNOWN_TR_KEY, tr_id=wanted.tr_id, tr_key=wanted.tr_key)
        return self._feeds.notices(customer.hts_id)

    def _unregister(self, place: tuple[str, str]) -> None:
        topic = self._registered.pop(place, None)
        if topic is None:
            raise RegistrationRefused(stream.NOT_SUBSCRIBED, tr_id=place[0], tr_key=place[1])
        topic.unsubscribe(self.context.self_ref)
        self._confirm(place, stream.UNSUBSCRIBED, with_keys=False)

    def _confirm(self, place: tuple[str, str], code: str, *, with_keys: bool) -> None:
        control = Control(
            tr_id=place[0],
            tr_key=place[1],
            encrypted=place[0] in (stream.NOTICES, stream.MOCK_NOTICES),
            succeeded=True,
            code=code,
            text=stream.TEXTS[code],
            key=self._key if with_keys else "",
            iv=self._iv if with_keys else "",
        )
        self._say(stream.encode_control(control))

    def _refuse(self, code: str, tr_id: str, tr_key: str) -> None:
        control = Control(
            tr_id=tr_id, tr_key=tr_key, encrypted=False, succeeded=False, code=code, text=stream.TEXTS[code]
        )
        self._say(stream.encode_control(control))

    def _say(self, text: str) -> None:
        try:
            self._out.send_nowait(text)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.context.stop("the client does not read")
