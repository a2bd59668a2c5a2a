"""A broker of paper for the examples: one symbol, prices that wander, an account in a file that outlives the bot."""

import json
import os
import random
import threading
from pathlib import Path
from typing import Any

from wire.sdk import Position, Reading, WorkingAtBroker

SYMBOL = "005930"


class PaperBroker:
    """A limit order rests until the price comes to it; an order without a limit fills at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fills: list[dict[str, Any]] = []
        self.price = 70_000
        self.held, self.cost, self._orders = 0, 0, {}
        if path.exists():
            self.held, self.cost, self._orders = json.loads(path.read_text())

    def tick(self) -> int:
        """The next price; what rests at a better one fills."""
        with self._lock:
            self.price = max(50_000, min(90_000, self.price + random.choice((-300, -200, -100, 100, 200, 300))))
            for order_id, (side, quantity, limit) in list(self._orders.items()):
                if self._crosses(side, limit):
                    del self._orders[order_id]
                    self._fill(order_id, side, quantity)
            return self.price

    def send(self, order_id: str, side: str, quantity: int, limit: int = 0) -> None:
        with self._lock:
            if self._crosses(side, limit):
                self._fill(order_id, side, quantity)
            else:
                self._orders[order_id] = [side, quantity, limit]
                self._save()

    def cancel(self, order_id: str) -> None:
        with self._lock:
            self._orders.pop(order_id, None)
            self._save()

    def fills(self) -> list[dict[str, Any]]:
        """Executions since the last call, as ``link.fill`` takes them."""
        with self._lock:
            fills, self._fills = self._fills, []
            return fills

    def account(self) -> Reading:
        """The whole account in one read, or an exception: never half of it."""
        with self._lock:
            average = self.cost // self.held if self.held else 0
            held = Position(symbol=SYMBOL, quantity=self.held, average_price=average, strategy_id="bot")
            orders = [
                WorkingAtBroker(order_id=i, symbol=SYMBOL, side=s, remaining=q, price=p, strategy_id="bot")
                for i, (s, q, p) in self._orders.items()
            ]
            return Reading(positions=[held] if self.held else [], orders=orders)

    def _crosses(self, side: str, limit: int) -> bool:
        return limit == 0 or (self.price <= limit if side == "buy" else self.price >= limit)

    def _fill(self, order_id: str, side: str, quantity: int) -> None:
        quantity = min(quantity, self.held) if side == "sell" else quantity
        if quantity == 0:
            return
        average = self.cost // self.held if self.held else 0
        self.held += quantity if side == "buy" else -quantity
        self.cost += quantity * self.price if side == "buy" else -quantity * average
        self._fills.append(
            {"order_id": order_id, "symbol": SYMBOL, "side": side, "quantity": quantity, "price": self.price}
        )
        self._save()

    def _save(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([self.held, self.cost, self._orders]))
        os.replace(fresh, self._path)
