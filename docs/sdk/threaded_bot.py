"""The same bot without any async: python threaded_bot.py CREDENTIAL STATE_FOLDER"""

import sys
import time
from pathlib import Path
from uuid import uuid4

from paper import SYMBOL, PaperBroker

from wire.sdk import CloseOut, GateClosed, ParameterSpec, WorkingOrder
from wire.sdk.threads import EngineLink

SCHEMA = {"size": ParameterSpec(type="integer", minimum=1, maximum=100, step=1, unit="shares")}


class Bot:
    def __init__(self, credential: str, folder: Path) -> None:
        self.broker = PaperBroker(folder / "account.json")
        self.link = EngineLink(credential, folder, name="Threaded bot")
        self.link.strategy("bot", name="Buys low", schema=SCHEMA, parameters={"size": 2})
        self.link.broker(read_account=self.broker.account, cancel_all=self.cancel_all, flatten=self.flatten)

    def send(self, side: str, quantity: int, limit: int = 0, *, closing: bool = False) -> None:
        price = self.broker.price
        order = {"symbol": SYMBOL, "side": side, "quantity": quantity, "strategy_id": "bot", "price": price}
        order_id = uuid4().hex
        with self.link.sending(order_id, **order, closing=closing):
            self.broker.send(order_id, side, quantity, limit)
            time.sleep(0.01)

    def cancel_all(self, orders: list[WorkingOrder]) -> None:
        for order in orders:
            with self.link.cancelling(order.order_id, symbol=order.symbol, strategy_id=order.strategy_id):
                self.broker.cancel(order.order_id)

    def flatten(self, closings: list[CloseOut]) -> None:
        for close in closings:
            self.send("sell", close.quantity, closing=True)

    def trade(self) -> None:
        price, size = self.broker.tick(), int(self.link.parameters("bot")["size"])
        side, limit = ("buy", price - 100) if self.broker.held < 10 * size else ("sell", 0)
        self.send(side, size, limit)
        words = f"{side.upper()} {size} {SYMBOL}"
        self.link.trade_log("Trade", words, reason=f"the price is {price:,}", strategy_id="bot", symbol=SYMBOL)

    def run(self) -> None:
        with self.link:
            while True:
                time.sleep(0.1)
                for fill in self.broker.fills():
                    self.link.fill(**fill, strategy_id="bot")
                try:
                    self.trade()
                except GateClosed:
                    continue


if __name__ == "__main__":
    Bot(sys.argv[1], Path(sys.argv[2])).run()
