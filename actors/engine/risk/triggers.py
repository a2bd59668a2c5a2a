"""When the engine stops itself: a state machine with facts and time in and a verdict out. Nothing here waits.

A loss that was stopped for trips again only when it has grown by another tenth of its limit since the stop, so that a
person's release means something; a new trading day starts afresh. Where the facts do not allow a judgement, a warning
comes first and then caution: only reducing orders, until a judgement is possible again. Caution is no stop and needs no
release, as "not reconciled" is none. Before the first judgement of a process there is caution at once.
"""

from collections import deque
from collections.abc import Iterable, Mapping

import attrs

from actors.engine.risk.day import DayRecord, begin
from actors.engine.risk.limits import LEVELS, Limits, Trigger
from wire.stops import Level

WARN_AFTER = 10.0  # seconds without a judgement before a person is warned
CAUTION_AFTER = 60.0  # seconds without a judgement before only reducing orders leave
WINDOW = 60.0


@attrs.frozen(kw_only=True)
class Facts:
    """One look at the engine at ``now`` (seconds). ``day`` YYYYMMDD, empty while not known. ``problem``: why ``equity``
    cannot be believed. ``realized``: the day's, in won. ``assets_yesterday``: the broker's statement, 0 without one.
    ``level``: at which the whole engine is stopped."""

    now: float
    day: str
    equity: int = 0
    realized: int = 0
    assets_yesterday: int = 0
    problem: str | None = None
    level: Level = Level.NORMAL


@attrs.frozen(kw_only=True)
class Trip:
    """The engine has to stop itself. ``loss``: what it was tripped at, in won, where it is a loss; of ``day``.
    ``mismatches``: what it is about, where books and broker differed."""

    trigger: Trigger
    level: Level
    reason: str
    loss: int = 0
    day: str = ""
    mismatches: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Verdict:
    """``caution``: why only reducing orders may leave, while that holds. ``warning`` and ``note`` are told once."""

    trips: tuple[Trip, ...] = ()
    caution: str | None = None
    warning: str | None = None
    note: str | None = None
    keep: DayRecord | None = None


class Window:
    """How many events lie within the last minute."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def add(self, now: float) -> None:
        self._at.append(now)

    def count(self, now: float) -> int:
        while self._at and self._at[0] <= now - WINDOW:
            self._at.popleft()
        return len(self._at)

    def clear(self) -> None:
        self._at.clear()


class Triggers:
    """``limits`` may be replaced at any time; ``record`` is what an earlier process kept."""

    def __init__(self, *, limits: Limits, levels: Mapping[Trigger, Level] = LEVELS) -> None:
        self.limits = limits
        self.record: DayRecord | None = None
        self._levels = {**LEVELS, **levels}
        self._kept: DayRecord | None = None
        self._orders, self._rejects = Window(), Window()
        self._mismatches: list[str] = []
        self._stopping_for: list[str] = []
        self._recounted = False
        self._judged_at: float | None = None
        self._failing_since: float | None = None
        self._warned = False
        self._pending: dict[Trigger, int] = {}

    # --- what happens ---

    def restore(
        self,
        record: DayRecord | None,
        *,
        mismatches: Iterable[str] = (),
        ordered: Iterable[float] = (),
        rejected: Iterable[float] = (),
    ) -> None:
        """What an earlier process knew: its day's record, the mismatches it had no safe stop for, and when it wrote and
        was refused orders."""
        self.record = self._kept = record
        self._mismatches = list(mismatches)
        for window, times in ((self._orders, ordered), (self._rejects, rejected)):
            for at in sorted(times):
                window.add(at)
        self._recounted = True

    def ordered(self, now: float) -> None:
        """A strategy's order was written."""
        self._orders.add(now)

    def rejected(self, now: float) -> None:
        """The broker refused one."""
        self._rejects.add(now)

    def mismatched(self, words: str) -> None:
        """Books and broker differed although nothing was missed."""
        self._mismatches.append(words)

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Those whose stop is not on stable storage yet."""
        return (*self._stopping_for, *self._mismatches)

    def tripped(self, trip: Trip) -> None:
        """The stop of this trip is on stable storage: from now on only a greater loss of its day trips again."""
        self._stopping_for = [words for words in self._stopping_for if words not in trip.mismatches]
        if self.record is None or trip.day != self.record.day:
            return
        self._pending.pop(trip.trigger, None)
        if trip.loss:
            self.record = self.record.with_trip(trip.trigger.value, trip.loss)

    # --- judging ---

    def judge(self, facts: Facts) -> Verdict:
        problem, note = facts.problem, None
        if problem is None:
            begun = begin(self.record, facts.day, facts.equity, facts.assets_yesterday)
            if self.record is not None and begun.record is not None and begun.record.day != self.record.day:
                self._pending.clear()  # what is being stopped for is another day's loss
            self.record, problem, note = begun.record, begun.problem, begun.note
        trips = self._counted(facts)
        if problem is None and self.record is not None:
            self.record = self.record.at(facts.equity)
            trips += self._losses(self.record, facts)
        caution, warning = self._trust(problem, facts.now)
        return Verdict(
            trips=tuple(t for t in trips if t.level is not Level.NORMAL),
            caution=caution,
            warning=warning,
            note=note,
            keep=self._worth_keeping(),
        )

    def unjudged(self, problem: str, now: float) -> Verdict:
        """Judging itself failed: the same as facts that allow no judgement."""
        caution, warning = self._trust(problem, now)
        return Verdict(caution=caution, warning=warning)

    def _trust(self, problem: str | None, now: float) -> tuple[str | None, str | None]:
        """Caution and warning that follow from not being able to judge."""
        if problem is None:
            self._judged_at, self._failing_since, self._warned = now, None, False
            return None, None
        self._failing_since = now if self._failing_since is None else self._failing_since
        failing = now - self._failing_since
        warning = None
        if failing >= WARN_AFTER and not self._warned:
            self._warned, warning = True, f"the risk limits cannot be judged: {problem}"
        cautious = self._judged_at is None or failing >= CAUTION_AFTER
        return (f"the risk limits cannot be judged: {problem}" if cautious else None), warning

    def _losses(self, record: DayRecord, facts: Facts) -> list[Trip]:
        loss, fall = record.loss(facts.equity, facts.realized), record.drawdown(facts.equity)
        limits = self.limits
        checks = (
            (Trigger.EMERGENCY_LOSS, loss, limits.emergency_stop_loss, "the day's loss of {:,} won has reached {:,}"),
            (Trigger.DAILY_LOSS, loss, limits.max_daily_loss, "the day's loss of {:,} won has reached {:,}"),
            (Trigger.DRAWDOWN, fall, limits.max_drawdown, "equity is {:,} won below the day's peak, the limit is {:,}"),
        )
        reached = [
            Trip(
                trigger=trigger,
                level=self._levels[trigger],
                reason=words.format(lost, limit),
                loss=lost,
                day=record.day,
            )
            for trigger, lost, limit, words in checks
            if limit is not None and lost >= threshold(limit, self._tripped_at(trigger))
        ]
        return [trip for trip in reached if not self._still_stopped(trip, facts.level)]

    def _tripped_at(self, trigger: Trigger) -> int | None:
        marks = [self._pending.get(trigger), self.record.tripped.get(trigger.value) if self.record else None]
        return max((mark for mark in marks if mark is not None), default=None)

    def _still_stopped(self, trip: Trip, level: Level) -> bool:
        """The loss goes on growing behind the stop it was stopped by: that is noted, and no second stop."""
        if trip.trigger in self._pending:
            return True
        if self._tripped_at(trip.trigger) is None or level < trip.level:
            self._pending[trip.trigger] = trip.loss
            return False
        self.tripped(trip)
        return True

    def _counted(self, facts: Facts) -> list[Trip]:
        trips = []
        orders, rejects = self._orders.count(facts.now), self._rejects.count(facts.now)
        if _beyond(orders, self.limits.max_orders_per_minute):
            self._orders.clear()
            trips.append(self._trip(Trigger.ORDER_RATE, f"{orders} orders within a minute"))
        if _beyond(rejects, self.limits.max_rejects_per_minute):
            self._rejects.clear()
            trips.append(self._trip(Trigger.REJECT_STORM, f"the broker refused {rejects} orders within a minute"))
        if self._recounted:  # by an earlier process, which has been stopped for it where it is stopped
            trips = [trip for trip in trips if facts.level < trip.level]
            self._recounted = False
        if self._mismatches:
            trips.append(self._mismatch())
        return trips

    def _mismatch(self) -> Trip:
        found, self._mismatches = tuple(self._mismatches), []
        trip = self._trip(Trigger.POSITION_MISMATCH, f"books and broker differed: {'; '.join(found)}"[:1000])
        if trip.level is not Level.NORMAL:
            self._stopping_for += found
        return attrs.evolve(trip, mismatches=found)

    def _trip(self, trigger: Trigger, reason: str) -> Trip:
        return Trip(trigger=trigger, level=self._levels[trigger], reason=reason)

    def _worth_keeping(self) -> DayRecord | None:
        if self.record is None or not self.record.worth_keeping_after(self._kept):
            return None
        self._kept = self.record
        return self.record


def threshold(limit: int, tripped_at: int | None) -> int:
    """The loss that trips; after one that was stopped for, a tenth of the limit more."""
    return max(1, limit) if tripped_at is None else max(limit, tripped_at + max(1, limit // 10))


def _beyond(count: int, limit: int | None) -> bool:
    return limit is not None and count > limit
