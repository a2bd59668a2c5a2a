"""A plain asyncio bot under supervision: python asyncio_bot.py CREDENTIAL STATE_FOLDER"""

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

from paper import SYMBOL, PaperBroker

from wire.sdk import CloseOut, GateClosed, ParameterSpec, WorkingOrder
from wire.sdk.aio import EngineLink

SCHEMA = {"size": ParameterSpec(type="integer", minimum=1, maximum=100, step=1, unit="shares")}


async def main(credential: str, folder: Path) -> None:
    broker = PaperBroker(folder / "account.json")
    link = EngineLink(credential, folder, name="Asyncio bot")
    link.strategy("bot", name="Buys low", schema=SCHEMA, parameters={"size": 2})

    async def send(side: str, quantity: int, limit: int = 0, *, closing: bool = False) -> None:
        order = {"symbol": SYMBOL, "side": side, "quantity": quantity, "strategy_id": "bot", "price": broker.price}
        order_id = uuid4().hex
        with link.sending(order_id, **order, closing=closing):  # raises GateClosed, or lets it go
            broker.send(order_id, side, quantity, limit)  # the bytes leave: nothing waits in between
            await asyncio.sleep(0.01)  # the broker answers

    async def cancel_all(orders: list[WorkingOrder]) -> None:
        for order in orders:
            with link.cancelling(order.order_id, symbol=order.symbol, strategy_id=order.strategy_id):
                broker.cancel(order.order_id)

    async def flatten(closings: list[CloseOut]) -> None:
        for close in closings:
            await send("sell", close.quantity, closing=True)

    link.broker(read_account=broker.account, cancel_all=cancel_all, flatten=flatten)
    async with link:
        while True:
            await asyncio.sleep(0.1)
            price = broker.tick()
            for fill in broker.fills():
                link.fill(**fill, strategy_id="bot")
            size = int(link.parameters("bot")["size"])
            side, limit = ("buy", price - 100) if broker.held < 10 * size else ("sell", 0)
            try:
                await send(side, size, limit)
            except GateClosed:
                continue  # stopped, without a lease, or not compared with the broker yet
            words = f"{side.upper()} {size} {SYMBOL}"
            link.trade_log("Trade", words, reason=f"the price is {price:,}", strategy_id="bot", symbol=SYMBOL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
