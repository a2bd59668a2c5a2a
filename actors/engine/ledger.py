"""What the desk must still know after kill -9: orders with their numbers, who owns which shares, the day's profit.

Each change is one line; reading it back, the last line about a thing wins. The broker's own view is asked for in any
case before trading begins, so the ledger's part is what the broker cannot know: whose order it was.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from actors.engine.books import Books, Position
from actors.engine.orders import Order, OrderBook, from_plain, to_plain
from actors.engine.risk.day import DayRecord
from actors.engine.risk.limits import NAMES, Limits
from wire.sdk.journal import Journal
from wire.sdk.stopping import Asked

_MOST_LINES = 20_000
_MOST_ASKED = 1_000  # stops whose session is remembered; of older ones it is not known, which holds them


class Ledger:
    """Raises OSError where the file cannot be written."""

    def __init__(self, journal: Journal, orders: OrderBook, books: Books) -> None:
        self._journal = journal
        self._orders = orders
        self._books = books
        self._written: dict[tuple[str, str], Position] = {}
        self.asked: dict[str, Asked] = {}
        self.risk: DayRecord | None = None
        self.limits: Limits | None = None

    def restore(self) -> None:
        """Fills the orders and the books with what an earlier process left."""
        lines, _torn = self._journal.load()
        for line in lines:
            if "order" in line:
                self._orders.restore(from_plain(line["order"]))
            elif "position" in line:
                self._books.restore(Position(**line["position"]))
            elif "asked" in line:
                self._remember(Asked(**line["asked"]))
            elif "risk" in line:
                self.risk = DayRecord(**line["risk"])
            elif "limits" in line:
                self.limits = Limits(**{k: v for k, v in line["limits"].items() if k in NAMES})
            elif "day" in line:
                self._books.day, self._books.realized = line["day"], line["realized"]
        self._written = {(p.strategy_id, p.symbol): p for p in self._books.positions()}

    def order(self, order: Order) -> None:
        self._write({"order": to_plain(order)})

    def books(self) -> None:
        """Every position that is not as it was last written, and the day's profit."""
        now = {(p.strategy_id, p.symbol): p for p in self._books.positions()}
        for owner in sorted(self._written.keys() | now.keys()):
            position = now.get(owner, Position(strategy_id=owner[0], symbol=owner[1]))
            if self._written.get(owner) != position:
                self._write({"position": attrs.asdict(position)})
        self._written = now
        self._write({"day": self._books.day, "realized": self._books.realized})

    def ask(self, asked: Asked) -> None:
        """In which session a person asked for a stop."""
        self._remember(asked)
        self._write({"asked": attrs.asdict(asked)})

    def keep_risk(self, record: DayRecord) -> None:
        """What the day's loss is measured against."""
        self.risk = record
        self._write({"risk": attrs.asdict(record)})

    def keep_limits(self, limits: Limits) -> None:
        """The risk limits that the platform said last."""
        self.limits = limits
        self._write({"limits": attrs.asdict(limits)})

    def _remember(self, asked: Asked) -> None:
        self.asked.pop(asked.stop_id, None)
        self.asked[asked.stop_id] = asked
        while len(self.asked) > _MOST_ASKED:
            del self.asked[next(iter(self.asked))]

    def rewrite(self) -> None:
        """Makes the file as short as it can be."""
        self._journal.rewrite(self._lines())

    @property
    def unsynced(self) -> bool:
        return self._journal.unsynced

    def sync(self) -> None:
        """Blocking; for a thread."""
        self._journal.sync()

    def close(self) -> None:
        self._journal.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._journal.append(line)
        if self._journal.length > _MOST_LINES:
            self.rewrite()

    def _lines(self) -> Iterable[dict[str, Any]]:
        yield {"day": self._books.day, "realized": self._books.realized}
        if self.risk is not None:
            yield {"risk": attrs.asdict(self.risk)}
        if self.limits is not None:
            yield {"limits": attrs.asdict(self.limits)}
        yield from ({"asked": attrs.asdict(a)} for a in self.asked.values())
        yield from ({"position": attrs.asdict(p)} for p in self._books.positions())
        yield from ({"order": to_plain(o)} for o in self._orders)
