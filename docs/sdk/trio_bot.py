"""The same bot on trio: python trio_bot.py CREDENTIAL STATE_FOLDER"""

import sys
from pathlib import Path
from uuid import uuid4

import trio
from paper import SYMBOL, PaperBroker

from wire.sdk import CloseOut, EngineLink, Freeze, GateClosed, ParameterSpec, WorkingOrder

SCHEMA = {"size": ParameterSpec(type="integer", minimum=1, maximum=100, step=1, unit="shares")}


async def main(credential: str, folder: Path) -> None:
    broker = PaperBroker(folder / "account.json")
    link = EngineLink(credential, folder, name="Trio bot")
    link.strategy("bot", name="Slices", schema=SCHEMA, parameters={"size": 2})
    slicer = trio.CancelScope()

    async def send(side: str, quantity: int, limit: int = 0, *, closing: bool = False) -> None:
        order = {"symbol": SYMBOL, "side": side, "quantity": quantity, "strategy_id": "bot", "price": broker.price}
        order_id = uuid4().hex
        with link.sending(order_id, **order, closing=closing):
            broker.send(order_id, side, quantity, limit)
            await trio.sleep(0.01)

    async def cancel_all(orders: list[WorkingOrder]) -> None:
        for order in orders:
            with link.cancelling(order.order_id, symbol=order.symbol, strategy_id=order.strategy_id):
                broker.cancel(order.order_id)

    async def flatten(closings: list[CloseOut]) -> None:
        for close in closings:
            await send("sell", close.quantity, closing=True)

    def end_slicing(_freeze: Freeze) -> None:
        slicer.cancel()  # in the very step in which the gate closes

    link.broker(read_account=broker.account, cancel_all=cancel_all, flatten=flatten)
    link.on_freeze(end_slicing)
    async with link:
        while True:
            await link.wait_open("bot")
            with trio.CancelScope() as slicer:
                while (price := broker.tick()) and link.why_closed("bot") is None:
                    size = int(link.parameters("bot")["size"])
                    side, limit = ("buy", price - 100) if broker.held < 10 * size else ("sell", 0)
                    await trio.sleep(0.1)
                    try:
                        await send(side, size, limit)
                    except GateClosed:
                        break
                    reason = f"the price is {price:,}"
                    link.trade_log("Trade", f"{side.upper()} {size} {SYMBOL}", reason=reason, strategy_id="bot")
                    for fill in broker.fills():
                        link.fill(**fill, strategy_id="bot")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]))
