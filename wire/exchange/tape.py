"""What the market's trades of a day add up to, for quotes and for the trade stream."""

import attrs

from wire.exchange.calendar import OPENING
from wire.exchange.fees import Side
from wire.exchange.market import Session, Step


@attrs.frozen(kw_only=True)
class Tape:
    """One symbol's day so far. Before the first trade ``last`` is the reference and open, high and low are 0."""

    reference: int
    last: int
    open: int = 0
    high: int = 0
    low: int = 0
    open_second: int = OPENING
    high_second: int = OPENING
    low_second: int = OPENING
    volume: int = 0
    value: int = 0
    buy_volume: int = 0
    sell_volume: int = 0
    buys: int = 0
    sells: int = 0

    @classmethod
    def of(cls, session: Session) -> "Tape":
        return cls(reference=session.reference, last=session.reference)

    def traded(self, step: Step) -> "Tape":
        """The tape after one more trade."""
        first, bought = not self.volume, step.aggressor is Side.BUY
        higher, lower = first or step.price > self.high, first or step.price < self.low
        return attrs.evolve(
            self,
            last=step.price,
            open=step.price if first else self.open,
            high=step.price if higher else self.high,
            low=step.price if lower else self.low,
            open_second=step.second if first else self.open_second,
            high_second=step.second if higher else self.high_second,
            low_second=step.second if lower else self.low_second,
            volume=self.volume + step.volume,
            value=self.value + step.volume * step.price,
            buy_volume=self.buy_volume + (step.volume if bought else 0),
            sell_volume=self.sell_volume + (0 if bought else step.volume),
            buys=self.buys + bought,
            sells=self.sells + (not bought),
        )
