"""What a trading day's loss is measured against: the assets at the previous close, and the day's highest equity.

The record is kept in the engine's ledger. A restart takes it up again; the exchange's own date, and no clock of this
machine, begins a new one; where there is none, the broker's statement of the previous day's assets is taken, and where
the broker gives none either, the loss of today is not known.
"""

import attrs

_PEAK_STEP = 2_000  # the peak is kept anew when it has risen by this part of itself


@attrs.frozen(kw_only=True)
class DayRecord:
    """``day`` YYYYMMDD; ``opening`` and ``peak`` equity in won; ``tripped``: by trigger, the loss it was tripped at."""

    day: str
    opening: int
    peak: int
    tripped: dict[str, int] = attrs.field(factory=dict)

    def loss(self, equity: int, realized: int) -> int:
        """Won, at least 0: the worse of the realised loss and the fall of equity."""
        return max(0, -realized, self.opening - equity)

    def drawdown(self, equity: int) -> int:
        return max(0, self.peak - equity)

    def at(self, equity: int) -> "DayRecord":
        """With the peak raised to ``equity``."""
        return attrs.evolve(self, peak=max(self.peak, equity))

    def with_trip(self, trigger: str, loss: int) -> "DayRecord":
        return attrs.evolve(self, tripped={**self.tripped, trigger: loss})

    def worth_keeping_after(self, kept: "DayRecord | None") -> bool:
        """Whether it differs so much from what is kept that a restart should know."""
        if kept is None or (self.day, self.opening, self.tripped) != (kept.day, kept.opening, kept.tripped):
            return True
        return self.peak - kept.peak > kept.peak // _PEAK_STEP


@attrs.frozen(kw_only=True)
class Begun:
    """The record to go on with, or the ``problem`` that there is none; ``note`` says what a person should know."""

    record: DayRecord | None
    problem: str | None = None
    note: str | None = None


def begin(record: DayRecord | None, day: str, equity: int, assets_yesterday: int) -> Begun:
    """The record for ``day`` (YYYYMMDD). ``assets_yesterday``: the broker's statement in won, 0 where it gives none."""
    if record is not None and day == record.day:
        return Begun(record=record)
    if record is not None and day < record.day:
        return Begun(record=record, problem=f"the exchange's date went back from {record.day} to {day}")
    if assets_yesterday > 0:
        fresh = DayRecord(day=day, opening=assets_yesterday, peak=max(assets_yesterday, equity))
        missing = "no earlier record of losses: today's is measured from the broker's figure for the previous day"
        return Begun(record=fresh, note=missing if record is None else None)
    if record is not None:
        return Begun(record=DayRecord(day=day, opening=equity, peak=equity))
    return Begun(record=None, problem="what today's loss is measured against is not known")
