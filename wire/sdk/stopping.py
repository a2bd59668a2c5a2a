"""All stops of this engine at once, and what they ask for next: cancels, closing orders, looks at the market.

One ``StopRun`` per stop says how far that stop is; ``Stopping`` plans for all of them together, so that two stops over
the same position never close it twice. Pure: reads of the broker, fills, refusals and time come in, progress reports
and actions go out.

What cannot be closed now is blocked, says why, and is an open task: the symbol is looked at again every few seconds,
and whatever the market takes again is sold. That ends with the trading session. In another session nothing is sent for
a stop before a person has asked for it again, or for more.
"""

from collections.abc import Callable, Iterable, Mapping

import attrs

from wire.messages import StopProgress
from wire.sdk.flattening import Blocked, SymbolState, assess, closed
from wire.sdk.latch import LatchedStop
from wire.sdk.stop_run import NO_DATE, Covers, Exposure, StopRun, View, WorkingOrder
from wire.stops import Level, Scope, ScopeKind

CANCEL_AGAIN_AFTER = 2.0  # seconds before a cancel without visible effect is sent again
REPRICE_AFTER = 4.0  # seconds after which an unfilled closing order is withdrawn and sent anew
LOOK_AGAIN_AFTER = 5.0  # seconds between two looks at a symbol that is blocked
REOPENED_AFTER = 10.0  # seconds of trading that must follow a "closed" before it is not believed any more
STUBBORN = 4  # refusals in a row after which the broker's words are the reason
PACE = 0.25  # seconds between two reads while there is something to do
SHUT_PACE = 30.0  # while the market is closed or a person must speak
_RETRY = (0.5, 1.0, 2.0, 4.0, 8.0)

LevelFor = Callable[[str, str], Level]
Unresolved = Callable[[Scope], int]
"""How many written requests in scope have an unknown fate: unanswered, or lost and not yet reconciled."""
Owner = tuple[str, str]
"""Strategy id and symbol."""


@attrs.frozen(kw_only=True)
class CancelWorking:
    order: WorkingOrder


@attrs.frozen(kw_only=True)
class CloseOut:
    """Sell ``quantity`` of what the strategy holds; ``attempt`` counts from 0, ``state`` is the last look, if any."""

    strategy_id: str
    symbol: str
    quantity: int
    attempt: int
    state: SymbolState | None = None


@attrs.frozen(kw_only=True)
class Look:
    """Ask the broker how the symbol stands; the answer, or None for none, goes to ``Stopping.saw``."""

    symbol: str


Action = CancelWorking | CloseOut | Look


@attrs.frozen(kw_only=True)
class Asked:
    """In which session (YYYYMMDD, empty while not known) a person asked for which epoch of a stop."""

    stop_id: str
    epoch: int
    session: str


@attrs.define
class _Attempts:
    """``refusals``: in a row, with the broker's last ``words``."""

    count: int = 0
    not_before: float = 0.0
    refusals: int = 0
    words: str = ""


@attrs.define
class _Seen:
    """The last look at a symbol. ``asked``, ``at``: when it was asked for and answered; ``due``: when the next may be
    asked for; ``wanted``: something was refused or stays unfilled since."""

    state: SymbolState | None = None
    asked: float = float("-inf")
    at: float = float("-inf")
    due: float = float("-inf")
    wanted: bool = False


@attrs.frozen
class _Block:
    why: Blocked
    since: float


def _forget(_asked: Asked) -> None:
    """Nobody keeps it."""


class Stopping:
    """All stops of this engine and the work they ask for. Nothing here waits. ``keep`` makes durable what a restart
    must know of a stop's session, ``count`` (stop id, orders cancelled, positions liquidated) what is gone by it."""

    def __init__(self, *, covers: Covers, level_for: LevelFor, unresolved: Unresolved) -> None:
        self._covers = covers
        self._level_for = level_for
        self._unresolved = unresolved
        self._runs: dict[str, StopRun] = {}
        self._cancels: dict[str, _Attempts] = {}
        self._closes: dict[Owner, _Attempts] = {}
        self._blocked: dict[Owner, _Block] = {}
        self._seen: dict[str, _Seen] = {}
        self._unwinding: set[str] = set()
        self._last: View | None = None
        self._whole: View | None = None  # the last one that proved anything
        self._recalled: Mapping[str, Asked] | None = None
        self.session = ""
        self.last_fill = float("-inf")
        self.keep: Callable[[Asked], None] = _forget
        self.count: Callable[[str, int, int], None] = lambda _stop_id, _cancelled, _liquidated: None

    @property
    def runs(self) -> list[StopRun]:
        return list(self._runs.values())

    @property
    def has_work(self) -> bool:
        """Whether the broker must be read: some stop asks for more than a closed gate, or a release for an unwind."""
        return bool(self._unwinding) or any(not r.is_over and r.level >= Level.CANCEL for r in self.runs)

    @property
    def pace(self) -> float:
        """Seconds between two reads: fewer where the market must change first, few where a person or a day must."""
        active = [r for r in self.runs if not r.is_over and r.level >= Level.CANCEL]
        if self._unwinding or not all(r.is_stuck for r in active):
            return PACE
        shut = bool(self._blocked) and all(b.why.is_closed for b in self._blocked.values())
        shut = shut or all(r.held is not None for r in active)
        return SHUT_PACE if shut else LOOK_AGAIN_AFTER

    # --- the trading session ---

    def recalling(self, asked: Iterable[Asked]) -> None:
        """From here to ``recalled`` the stops that begin were there before this process was, in these sessions."""
        self._recalled = {a.stop_id: a for a in asked}

    def recalled(self) -> None:
        self._recalled = None

    def begin_session(self, day: str) -> list[StopProgress]:
        """The exchange's date, YYYYMMDD. Unfinished stops of another day are held until a person says them again."""
        if day == self.session:
            return []
        self.session = day
        self._afresh()
        reports = []
        for run in self.runs:
            if run.session == "":
                self._ask(run)
            before = run.held
            self._hold(run)
            if run.held != before and not run.is_over:
                reports.append(run.report())
        return reports

    def _ask(self, run: StopRun) -> None:
        """A person has asked for this now."""
        run.session, run.asked_epoch = self.session, run.stop.record.stop_epoch
        self._hold(run)
        if run.level >= Level.CANCEL:
            self.keep(Asked(stop_id=run.stop_id, epoch=run.stop.record.stop_epoch, session=self.session))

    def _hold(self, run: StopRun) -> None:
        run.held = None
        if run.level < Level.CANCEL or run.is_over or run.session == self.session:
            return
        if not self.session:
            run.held = NO_DATE
        elif run.session != "":
            run.held = "another trading session began: nothing is sent for this stop before a person continues it"

    # --- what happens ---

    def begin(self, stop: LatchedStop, now: float, in_flight: int, *, again: bool = False) -> StopProgress:
        """A stop that is already closed at the gate. A repeated one reports where it stands; for a new or stricter one
        what was blocked is tried again. ``again``: a person has asked anew, so nothing holds it any more."""
        run = self._runs.get(stop.record.stop_id)
        if run is None:
            run = self._runs[stop.record.stop_id] = StopRun(stop, now, in_flight)
            self._begun(run)
            if (read := self._whole or self._last) is not None:
                run.recall(read, self._covers, self._blocked_for)
            return run.report()
        before = run.level
        if run.raise_to(stop, now, in_flight):
            self._afresh()
            if run.level > before or again:
                self._ask(run)
            self._hold(run)
        return run.report()

    def ask_again(self, stop_id: str, epoch: int) -> list[StopProgress]:
        """A person has asked for this stop anew, at this epoch. What is said of an epoch that was asked for already
        is the same word once more, however often a link is lost and the stop sent again: it counts for its day alone.
        """
        run = self._runs.get(stop_id)
        if run is None or run.is_over or run.stop.record.stop_epoch != epoch or run.asked_epoch >= epoch:
            return []
        held = run.held
        self._afresh()
        self._ask(run)
        return [run.report()] if run.held != held else []

    def _begun(self, run: StopRun) -> None:
        self._afresh()
        if self._recalled is None:
            self._ask(run)
            return
        known = self._recalled.get(run.stop_id)
        if known is not None and known.epoch >= run.stop.record.stop_epoch:
            run.session, run.asked_epoch = known.session or None, known.epoch
        self._hold(run)

    def _afresh(self) -> None:
        """Whatever was found out before counts no more."""
        self._blocked.clear()
        self._closes.clear()
        self._seen.clear()

    def noted(self, stop_id: str) -> StopProgress | None:
        run = self._runs.get(stop_id)
        if run is None or run.latched:
            return None
        run.noted()
        return run.report()

    def release(self, stop_ids: Iterable[str], closing_orders: Iterable[str]) -> list[StopProgress]:
        """The named stops are over. Closing orders that no open stop asks for any more are withdrawn."""
        reports = []
        for stop_id in stop_ids:
            run = self._runs.pop(stop_id, None)
            if run is not None and not run.is_over:
                run.end_released()
                reports.append(run.report())
        self._unwinding |= set(closing_orders)
        return reports

    def fill(self, now: float) -> None:
        self.last_fill = max(self.last_fill, now)

    def order_over(self, order_id: str, *, by_cancel: bool) -> None:
        self._cancels.pop(order_id, None)
        self._unwinding.discard(order_id)
        for run in self.runs:
            if by_cancel and run.order_cancelled(order_id):
                self.count(run.stop_id, *run.gone)

    def refused(self, strategy_id: str, symbol: str, now: float, words: str = "") -> None:
        """A closing order was not taken: the symbol is looked at, and it is tried again after a growing pause."""
        owner = strategy_id, symbol
        attempts = self._closes.setdefault(owner, _Attempts())
        attempts.not_before = now + _RETRY[min(attempts.count, len(_RETRY)) - 1]
        attempts.refusals, attempts.words = attempts.refusals + 1, words
        self._symbol(symbol).wanted = True

    def closed(self, strategy_id: str, symbol: str, now: float) -> None:
        """The broker says that the market is closed."""
        self._blocked[strategy_id, symbol] = _Block(closed(self.session), now)

    def saw(self, symbol: str, state: SymbolState | None, now: float) -> None:
        """The answer to a look; None when there was none. It blocks or frees everything held of the symbol."""
        seen = self._symbol(symbol)
        seen.state, seen.at, seen.due, seen.wanted = state, now, now + LOOK_AGAIN_AFTER, False
        if state is None or self._last is None:
            return
        for exposure in self._last.positions:
            if exposure.symbol == symbol:
                self._judge(exposure, state, now)

    def _judge(self, exposure: Exposure, state: SymbolState, now: float) -> None:
        owner = exposure.strategy_id, exposure.symbol
        why = assess(state, exposure.quantity, self.session)
        if why is not None:
            self._blocked[owner] = _Block(why, now)
        elif self._blocked.pop(owner, None) is not None and (attempts := self._closes.get(owner)):
            attempts.not_before = now

    def traded(self, symbol: str, now: float) -> bool:
        """The symbol trades continuously. True when that is news for something blocked: it is looked at again now."""
        blocks = {o: b for o, b in self._blocked.items() if o[1] == symbol}
        reopened = [o for o, b in blocks.items() if b.why.is_closed and now - b.since >= REOPENED_AFTER]
        for owner in reopened:
            del self._blocked[owner]
        if not blocks:
            return False
        seen = self._symbol(symbol)
        if all(b.why.is_closed for b in blocks.values()) or now < max(seen.asked, seen.at) + 1.0:
            return bool(reopened)
        was, seen.due = seen.due, min(seen.due, now)
        return bool(reopened) or seen.due < was

    def observe(self, view: View) -> list[StopProgress]:
        """Takes a read into account and returns the reports that changed by it."""
        reports = []
        self._last = view
        self._whole = view if view.problem is None else self._whole
        self._taken(view)
        for run in self.runs:
            unresolved, gone = self._unresolved(run.scope), run.gone
            if run.observe(
                view,
                unresolved=unresolved,
                last_fill=self.last_fill,
                covers=self._covers,
                blocked=self._blocked_for,
            ):
                reports.append(run.report())
            if run.gone != gone:
                self.count(run.stop_id, *run.gone)
        return reports

    def lacking(self, judge: Callable[[StopRun], str | None]) -> list[StopProgress]:
        """``judge`` says what the engine lacks to carry a stop out, or None; the reports that changed by it."""
        reports = []
        for run in self.runs:
            lack = None if run.is_over or run.level < Level.CANCEL else judge(run)
            if lack != run.unable:
                run.unable = lack
                reports.append(run.report())
        return reports

    def _taken(self, view: View) -> None:
        """Whose closing order works, his is not refused any more."""
        for order in view.orders:
            attempts = self._closes.get((order.strategy_id, order.symbol)) if order.closing else None
            if attempts is not None:
                attempts.refusals = 0

    def tick(self, now: float) -> list[StopProgress]:
        return [run.report() for run in self.runs if run.tick(now)]

    def deadline(self) -> float | None:
        return min((d for run in self.runs if (d := run.deadline) is not None), default=None)

    # --- what to do ---

    def plan(self, view: View, now: float) -> list[Action]:
        """What to send now. Cancels come first; a position is closed once nothing else of its owner works in it."""
        if view.problem is not None:
            return []
        actions: list[Action] = [CancelWorking(order=o) for o in view.orders if self._wants_cancel(o, now)]
        for exposure in view.positions:
            close = self._close_out(exposure, view, now)
            if close is not None:
                actions.append(close)
        return [*actions, *self._looks(view, now)]

    def _wants_cancel(self, order: WorkingOrder, now: float) -> bool:
        owner = order.strategy_id, order.symbol
        level, block = self._level_for(*owner), self._blocked_for(*owner)
        unwinding = order.order_id in self._unwinding
        if (block is not None and block.is_closed) or not (unwinding or self._may_send(owner)):
            return False
        if order.closing and not unwinding:
            wanted = level < Level.FLATTEN or (block is None and self._is_overdue(order, now))
        else:
            wanted = unwinding or level >= Level.CANCEL
        attempts = self._cancels.setdefault(order.order_id, _Attempts())
        return wanted and _is_due(attempts, now, CANCEL_AGAIN_AFTER)

    def _is_overdue(self, order: WorkingOrder, now: float) -> bool:
        """A closing order that stays unfilled although the symbol was looked at since it should have been filled."""
        if order.age < REPRICE_AFTER:
            return False
        seen = self._symbol(order.symbol)
        if seen.at >= now - order.age + REPRICE_AFTER:
            return True
        seen.wanted = True
        return False

    def _close_out(self, exposure: Exposure, view: View, now: float) -> CloseOut | None:
        owner = (exposure.strategy_id, exposure.symbol)
        if exposure.quantity <= 0 or self._level_for(*owner) is not Level.FLATTEN:
            return None
        if any((o.strategy_id, o.symbol) == owner for o in view.orders):
            return None
        if self._unresolved(Scope(ScopeKind.SYMBOL, exposure.symbol)) or not self._asked_for(owner):
            return None  # closing while a request's fate is open could close twice
        block, seen = self._blocked_for(*owner), self._symbol(exposure.symbol)
        if block is None and seen.state is not None and exposure.quantity < seen.state.lot:
            self._judge(exposure, seen.state, now)  # the whole units are gone, and this is what was left of them
            return None
        if (block is not None and not block.queues) or seen.wanted:
            return None
        attempts = self._closes.setdefault(owner, _Attempts())
        attempt = attempts.count
        if not _is_due(attempts, now, _RETRY[min(attempt, len(_RETRY) - 1)]):
            return None
        return CloseOut(
            strategy_id=exposure.strategy_id,
            symbol=exposure.symbol,
            quantity=exposure.quantity,
            attempt=attempt,
            state=seen.state,
        )

    def _looks(self, view: View, now: float) -> list[Look]:
        """Symbols to look at: where something was refused or stays unfilled, and again and again what is blocked."""
        looks = []
        for symbol in sorted({p.symbol for p in view.positions}):
            seen = self._symbol(symbol)
            owners = [(p.strategy_id, symbol) for p in view.positions if p.symbol == symbol]
            blocks = [b for o in owners if (b := self._blocked_for(*o)) is not None and not b.is_closed]
            if (seen.wanted or blocks) and now >= seen.due and any(self._asked_for(o) for o in owners):
                seen.asked, seen.due = now, now + LOOK_AGAIN_AFTER
                looks.append(Look(symbol=symbol))
        return looks

    def _asked_for(self, owner: Owner) -> bool:
        """A stop that is verified sends nothing more: what appears afterwards is a person's business."""
        return any(
            not r.is_over and r.held is None and r.level is Level.FLATTEN and self._covers(r.scope, *owner)
            for r in self.runs
        )

    def _may_send(self, owner: Owner) -> bool:
        """Whether some stop over this owner was asked for in this session."""
        return any(r.held is None and r.level >= Level.CANCEL and self._covers(r.scope, *owner) for r in self.runs)

    def _symbol(self, symbol: str) -> _Seen:
        return self._seen.setdefault(symbol, _Seen())

    def blocked_reason(self, strategy_id: str, symbol: str) -> str | None:
        """Why a position cannot be closed now, as far as a stop has found out; None when nothing is known."""
        block = self._blocked_for(strategy_id, symbol)
        return block.reason if block is not None else None

    def _blocked_for(self, strategy_id: str, symbol: str) -> Blocked | None:
        owner = strategy_id, symbol
        if (block := self._blocked.get(owner)) is not None:
            return block.why
        attempts = self._closes.get(owner)
        if attempts is None or attempts.refusals < STUBBORN:
            return None
        return Blocked(reason=f"refused by the broker: {attempts.words}"[:200], queues=True)


def _is_due(attempts: _Attempts, now: float, pause: float) -> bool:
    if now < attempts.not_before:
        return False
    attempts.count += 1
    attempts.not_before = now + pause
    return True
