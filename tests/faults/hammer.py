"""An engine that does nothing but send orders, and tells to the microsecond when it could not any more.

    python -m tests.faults.hammer CONFIG.json

It is made of the product's own parts: the SDK's link, gate, latch and lease, and the KIS client with its throttle. What
happened stands in a small file of fixed layout (``Diary``), written through shared memory with no system call, so that
measuring costs the engine nothing and survives ``kill -9``. Its times are CLOCK_MONOTONIC, which all processes of a
machine share.
"""

import json
import mmap
import struct
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

import attrs
import trio

from actors.engine.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from actors.engine.kis import KisAccount, KisClient
from actors.engine.throttle import RateWindow, Throttle, ThrottleFull
from actors.engine.tokens import TokenCache, TokenTooSoon
from wire.http import HttpClient
from wire.kis.codes import SERVICES, Profile, SideCode
from wire.sdk import EngineLink, Freeze, GateClosed, Position, Reading, WorkingAtBroker, WorkingOrder
from wire.values import Side

STRATEGY = "hammer"
SENDERS = 2


@attrs.define
class Moments:
    """Seconds of CLOCK_MONOTONIC, 0.0 for never; the counts only grow, ``starts`` over restarts of the process too."""

    closed_at: float = 0.0  # the gate closed: on_freeze, or the first order it refused
    opened_at: float = 0.0  # the first order that passed after that
    written_at: float = 0.0  # the newest order passed: its first byte follows in the same step
    accepted_at: float = 0.0  # the newest "accepted" of the broker was read
    closed: int = 1
    written: int = 0
    accepted: int = 0
    starts: int = 0


_LAYOUT = struct.Struct("<4d4q")


class Diary:
    """The file of one engine; the engine writes it, anybody may look at it at any time."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_LAYOUT.pack(*attrs.astuple(Moments())))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    def read(self) -> Moments:
        return Moments(*_LAYOUT.unpack_from(self._memory))

    def write(self, moments: Moments) -> None:
        _LAYOUT.pack_into(self._memory, 0, *attrs.astuple(moments))


class Hammer:
    """``rate``: orders a second, below what the broker allows. Buys and sells one share in turn, at the market."""

    def __init__(self, link: EngineLink, kis: KisClient, diary: Diary, symbol: str, rate: float) -> None:
        self._link, self._kis, self._diary, self._symbol = link, kis, diary, symbol
        self._period = SENDERS / rate
        self._told = diary.read()
        self._told.closed = 1
        self._told.starts += 1
        diary.write(self._told)

    def froze(self, _freeze: Freeze | None) -> None:
        """In the very step in which the gate closes."""
        if not self._told.closed:
            self._told.closed, self._told.closed_at = 1, time.monotonic()
            self._diary.write(self._told)

    def _pass(self, order_id: str, side: Side) -> None:
        """The last step before the bytes: the SDK's gate, and nothing between it and the socket but this note."""
        self._link.check(order_id, symbol=self._symbol, side=side, quantity=1, strategy_id=STRATEGY)
        now = time.monotonic()
        if self._told.closed:
            self._told.closed, self._told.opened_at = 0, now
        self._told.written_at = now
        self._told.written += 1
        self._diary.write(self._told)

    async def _order(self, side: Side) -> None:
        order_id = uuid4().hex
        try:
            await self._kis.place(
                symbol=self._symbol,
                side=side,
                quantity=1,
                price=0,
                urgent=False,
                before_write=partial(self._pass, order_id, side),
            )
        except GateClosed:
            self.froze(None)
            await trio.sleep(0.02)
        except (OutcomeUnknown, BrokerUnavailable):
            with suppress(KeyError):
                self._link.lost(order_id)
        except (BrokerRefused, ThrottleFull, TokenTooSoon):
            with suppress(KeyError):
                self._link.settle(order_id)
        else:
            self._told.accepted_at = time.monotonic()
            self._told.accepted += 1
            self._diary.write(self._told)
            self._link.settle(order_id)

    async def trade(self) -> None:
        while True:
            for side in (Side.BUY, Side.SELL):
                began = trio.current_time()
                await self._order(side)
                await trio.sleep_until(began + self._period)


async def main(config: dict[str, str]) -> None:
    folder = Path(config["folder"])
    account = KisAccount(
        profile=Profile.REAL,
        app_key=config["app_key"],
        app_secret=config["app_secret"],
        account=config["account"],
        rest_url=config["broker"],
    )
    tokens = TokenCache(folder / "tokens", host=account.rest, app_key=account.app_key, wall=time.time)
    throttle = Throttle(RateWindow(SERVICES[Profile.REAL].calls_per_second, reserve=2))
    link = EngineLink(config["credential"], folder / "state", name=config["name"])
    link.strategy(STRATEGY, name="Hammer", symbols=(config["symbol"],))

    async with HttpClient() as http:
        kis = KisClient(account, http=http, tokens=tokens, throttle=throttle)
        link.broker(read_account=partial(read_account, kis), cancel_all=partial(cancel_all, link, kis))
        await trade(link, kis, config)


async def read_account(kis: KisClient) -> Reading:
    holdings = (await kis.balance()).holdings
    return Reading(
        positions=[
            Position(symbol=h.symbol, quantity=h.quantity, average_price=int(h.average_price), strategy_id=STRATEGY)
            for h in holdings
        ],
        orders=[
            WorkingAtBroker(
                order_id=f"{o.branch}/{o.order_no}",
                symbol=o.symbol,
                side=Side.BUY if o.side is SideCode.BUY else Side.SELL,
                remaining=o.open_quantity,
                price=o.price,
                strategy_id=STRATEGY,
            )
            for o in await kis.open_orders()
        ],
    )


async def cancel_all(link: EngineLink, kis: KisClient, orders: list[WorkingOrder]) -> None:
    for order in orders:
        branch, _, number = order.order_id.partition("/")
        check = partial(link.check_cancel, order.order_id, symbol=order.symbol, strategy_id=order.strategy_id)
        with suppress(BrokerRefused):
            await kis.cancel(number=number, branch=branch, market=True, before_write=check)
        link.settle(f"{order.order_id}/cancel")


async def trade(link: EngineLink, kis: KisClient, config: dict[str, str]) -> None:
    folder = Path(config["folder"])
    async with link:
        hammer = Hammer(link, kis, Diary(folder / "diary"), config["symbol"], float(config["rate"]))
        link.on_freeze(hammer.froze)
        async with trio.open_nursery() as nursery:
            for _ in range(SENDERS):
                nursery.start_soon(hammer.trade)


if __name__ == "__main__":
    trio.run(main, json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
