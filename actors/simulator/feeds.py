"""The topics of the stream: one per symbol and kind, one per HTS id. Market records are encoded once for all."""

from actors.simulator import feed
from actors.simulator.messages import NoticeDue, Outgoing
from supervisor.pubsub import Topic
from wire.exchange.calendar import MarketTime
from wire.exchange.events import Event, Traded
from wire.kis.stream import encode_frame
from wire.kis.ticker import book_frame, trade_frame

BURST = 100  # trades in one frame; the count has three digits


class Feeds:
    """Who listens to what."""

    def __init__(self) -> None:
        self._trades: dict[str, Topic[Outgoing]] = {}
        self._books: dict[str, Topic[Outgoing]] = {}
        self._notices: dict[str, Topic[NoticeDue]] = {}

    def trades(self, code: str) -> Topic[Outgoing]:
        return self._trades.setdefault(code, Topic(f"trades/{code}"))

    def books(self, code: str) -> Topic[Outgoing]:
        return self._books.setdefault(code, Topic(f"books/{code}"))

    def notices(self, hts_id: str) -> Topic[NoticeDue]:
        return self._notices.setdefault(hts_id, Topic("notices"))

    def publish_market(self, events: list[Event], now: MarketTime) -> None:
        """Every trade, several of one symbol in one frame, and each symbol's last book."""
        traded: dict[str, list[Traded]] = {}
        for event in events:
            if isinstance(event, Traded):
                traded.setdefault(event.code, []).append(event)
        for code, some in traded.items():
            if len(self.trades(code)):
                for start in range(0, len(some), BURST):
                    records = [feed.trade(event, now) for event in some[start : start + BURST]]
                    self.trades(code).publish(Outgoing(text=encode_frame(trade_frame(records))))
            if len(self.books(code)):
                self.books(code).publish(Outgoing(text=encode_frame(book_frame(feed.book(some[-1])))))
