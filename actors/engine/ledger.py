"""What the desk must still know after kill -9: orders with their numbers, who owns which shares, the day's profit.

Each change is one line; reading it back, the last line about a thing wins. The broker's own view is asked for in any
case before trading begins, so the ledger's part is what the broker cannot know: whose order it was.

Memory leads. A disk that refuses a line delays nothing, least of all a stop: the file is behind then, strategies send
nothing, and it is written whole again as soon as the disk lets it.
"""

from collections.abc import Callable, Iterable

import attrs

from actors.engine.books import Books, Position
from actors.engine.orders import Order, OrderBook, from_plain, to_plain
from actors.engine.risk.day import DayRecord
from actors.engine.risk.limits import NAMES, Limits
from wire.sdk.journal import Journal, Line

_MOST_LINES = 20_000


class Ledger:
    """``restore``, ``rewrite`` and ``make_whole`` block; the first raises OSError when the file cannot be read, the
    last when it cannot be written. Of any other failure of the disk ``failed`` hears."""

    def __init__(self, journal: Journal, orders: OrderBook, books: Books) -> None:
        self._journal = journal
        self._orders = orders
        self._books = books
        self._written: dict[tuple[str, str], Position] = {}
        self.risk: DayRecord | None = None
        self.limits: Limits | None = None
        self.mismatches: tuple[str, ...] = ()
        self.failed: Callable[[OSError], None] = lambda _error: None
        self._behind = False
        self._delta: list[Line] | None = None
        self._shortest = 0

    def restore(self) -> None:
        """Fills the orders and the books with what an earlier process left."""
        lines, _torn = self._journal.load()
        for line in lines:
            if "order" in line:
                self._orders.restore(from_plain(line["order"]))
            elif "position" in line:
                self._books.restore(Position(**line["position"]))
            elif "risk" in line:
                self.risk = DayRecord(**line["risk"])
            elif "limits" in line:
                self.limits = Limits(**{k: v for k, v in line["limits"].items() if k in NAMES})
            elif "mismatches" in line:
                self.mismatches = tuple(line["mismatches"])
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

    def keep_risk(self, record: DayRecord) -> None:
        """What the day's loss is measured against."""
        self.risk = record
        self._write({"risk": attrs.asdict(record)})

    def keep_limits(self, limits: Limits) -> None:
        """The risk limits that the platform said last."""
        self.limits = limits
        self._write({"limits": attrs.asdict(limits)})

    def keep_mismatches(self, words: tuple[str, ...]) -> None:
        """Where books and broker were found to differ and no stop for it is safe yet."""
        if words != self.mismatches:
            self.mismatches = words
            self._write({"mismatches": list(words)})

    def rewrite(self) -> None:
        """Makes the file as short as it can be."""
        try:
            self._rewrite()
        except OSError as error:
            self._fell_behind(error)

    def _rewrite(self) -> None:
        lines = list(self._lines())
        self._journal.rewrite(lines)
        self._shortest, self._behind = len(lines), False

    # --- the file ---

    @property
    def is_behind(self) -> bool:
        """Whether the file lacks something that memory has."""
        return self._behind

    @property
    def wants_rewrite(self) -> bool:
        """Whether the file should be written anew: it lacks something, or is mostly what was overtaken."""
        return self._behind or self._journal.length > max(_MOST_LINES, 2 * self._shortest)

    def begin_rewrite(self) -> Callable[[], None]:
        """Blocking work for a thread, which writes what is known now beside the file; then ``end_rewrite``."""
        lines, self._delta = list(self._lines()), []
        self._shortest = len(lines)
        return lambda: self._journal.prepare(lines)

    def end_rewrite(self, *, written: bool) -> None:
        """The prepared file, with what happened meanwhile, takes the place of the old one."""
        delta, self._delta = self._delta or [], None
        if not written:
            return
        try:
            self._journal.adopt(delta)
            self._behind = False
        except OSError as error:
            self._fell_behind(error)

    @property
    def unsynced(self) -> bool:
        return self._journal.unsynced

    def sync(self) -> None:
        """Blocking; for a thread."""
        self._journal.sync()

    def make_whole(self) -> None:
        """Blocking, at the end: the file has everything that memory has, on stable storage. Raises OSError."""
        if self._behind:
            self._rewrite()
        else:
            self._journal.sync()

    def close(self) -> None:
        self._journal.close()

    def _write(self, line: Line) -> None:
        if self._delta is not None:
            self._delta.append(line)
        if self._behind:
            return
        try:
            self._journal.append(line)
        except OSError as error:
            self._fell_behind(error)

    def _fell_behind(self, error: OSError) -> None:
        """What stands there now may end in half a line: nothing more is appended before the file is whole again."""
        self._behind = True
        self.failed(error)

    def _lines(self) -> Iterable[Line]:
        yield {"day": self._books.day, "realized": self._books.realized}
        if self.risk is not None:
            yield {"risk": attrs.asdict(self.risk)}
        if self.limits is not None:
            yield {"limits": attrs.asdict(self.limits)}
        if self.mismatches:
            yield {"mismatches": list(self.mismatches)}
        yield from ({"position": attrs.asdict(p)} for p in self._books.positions())
        yield from ({"order": to_plain(o)} for o in self._orders)
