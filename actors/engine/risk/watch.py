"""Looks at the engine's risk twice a second and does what the rules say: stop, warn, or let only reductions leave."""

import attrs

from actors.engine.desk import Desk
from actors.engine.risk.triggers import Facts, Trip, Verdict
from supervisor.actor import Actor, handles
from wire.messages import ErrorReport
from wire.sdk.halting import Halting
from wire.values import ErrorCategory, LocalStopCause, LogCategory, Severity

PERIOD = 0.5
READ_STALE_AFTER = 90.0  # seconds after the last read that agreed with the books
PRICE_STALE_AFTER = 120.0  # seconds after the last price of something held


@attrs.frozen
class _Judge:
    """Time to look."""


class RiskWatch(Actor):
    """A trip counts as done when its stop is latched on stable storage: a process that dies earlier trips anew."""

    def __init__(self, *, desk: Desk, halting: Halting) -> None:
        self._desk = desk
        self._halting = halting
        self._failing = False

    async def started(self) -> None:
        """Judged before anything can be sent: an engine begins with caution."""
        self._judge()
        self.context.every(_Judge(), period=PERIOD)

    @handles(_Judge)
    async def on_judge(self, _message: _Judge) -> None:
        self._judge()

    def _judge(self) -> None:
        risk = self._desk.risk
        for stop_id in [i for i in risk.stopping if self._halting.is_safe(i)]:
            risk.triggers.tripped(risk.stopping.pop(stop_id))
        self._desk.ledger.keep_mismatches(risk.triggers.mismatches)
        self._carry_out(self._verdict())

    def _verdict(self) -> Verdict:
        """A watch that dies of a judgement would leave the orders to no limit at all."""
        desk, failed = self._desk, None
        try:
            facts = facts_of(desk)
        except Exception as error:  # orders and refusals are counted all the same
            failed = self._failed(error)
            facts = Facts(now=desk.clock.now(), day="", problem=failed, level=desk.gate.engine_level())
        try:
            verdict = desk.risk.judge(facts)
        except Exception as error:
            failed = self._failed(error)
            verdict = desk.risk.triggers.unjudged(failed, desk.clock.now())
        self._failing = failed is not None
        return verdict

    def _failed(self, error: Exception) -> str:
        if not self._failing:
            self.context.log.exception("the risk limits cannot be judged")
        return f"judging fails: {type(error).__name__}"

    def _carry_out(self, verdict: Verdict) -> None:
        desk = self._desk
        for trip in verdict.trips:
            self._stop(trip)
        if verdict.keep is not None:
            desk.ledger.keep_risk(verdict.keep)
        if verdict.note is not None:
            desk.log(LogCategory.SYSTEM, f"RISK {verdict.note}", None, severity=Severity.WARNING)
        if verdict.warning is not None:
            self._report("error_risk_not_judged", verdict.warning, Severity.WARNING)
        if verdict.caution != desk.gate.caution:
            self._be_cautious(verdict.caution)

    def _stop(self, trip: Trip) -> None:
        """The gate is closed when this returns."""
        reason = f"{trip.trigger.value}: {trip.reason}"
        self._desk.risk.stopping[self._halting.stop_here(trip.level, LocalStopCause.RISK, reason)] = trip
        self._report(f"error_risk_{trip.trigger.value}", trip.reason, Severity.CRITICAL)

    def _be_cautious(self, caution: str | None) -> None:
        desk = self._desk
        before, desk.gate.caution = desk.gate.caution, caution
        if caution is not None and before is None and desk.gate.synced:
            self._report("error_risk_reduce_only", f"only reducing orders leave: {caution}", Severity.ERROR)
        elif caution is None:
            desk.log(LogCategory.SYSTEM, "RISK the limits can be judged again: all orders may leave", None)
        self._halting.trading_changed()

    def _report(self, code: str, reason: str, severity: Severity) -> None:
        self._desk.outlet.send(
            ErrorReport(code=code, category=ErrorCategory.RISK, reason=reason, severity=severity, degraded=True)
        )


def facts_of(desk: Desk) -> Facts:
    """What the rules are judged by: the books at the newest prices, if books and prices can be believed."""
    now, seen = desk.clock.now(), desk.prices.seen
    return Facts(
        now=now,
        day=desk.trading_day,
        equity=desk.equity(),
        realized=desk.books.realized,
        assets_yesterday=seen.assets_yesterday if seen is not None else 0,
        problem=_problem(desk, now),
        level=desk.gate.engine_level(),
    )


def _problem(desk: Desk, now: float) -> str | None:
    seen = desk.prices.seen
    if seen is None:
        return "the account has not been read yet"
    if not desk.trading_day:
        return "the exchange's date is not known yet"
    if now - seen.at > READ_STALE_AFTER:
        return f"the account was last read {now - seen.at:.0f} s ago"
    for position in desk.books.positions():
        at = desk.prices.at(position.symbol)
        if at is None or now - at > PRICE_STALE_AFTER:
            return f"the price of {position.symbol} is too old"
    return None
