"""One engine's part of one stop: the phases it goes through, and the state of a stop that follows from all its parts.

    pending → sent → received → frozen → cancelled → flattened → verified
    failed · timed_out (keeps trying) · unreachable (latched, obeys on return) · superseded · released

Within one decision (one epoch) a phase only rises; a final phase gives way only to ``verified`` (the work was done
after all), to ``failed``, and to the return of an engine that was away. All functions are pure: times are passed in.
"""

from collections.abc import Iterable
from datetime import datetime

import attrs

from wire.messages import StopProgress
from wire.parts import Residual
from wire.rest.stops import EmergencyStopResult, StopState
from wire.stops import Level
from wire.values import Flatness, StopPhase

TIMEOUT_SECONDS = 30.0
"""How long an engine may take before its part counts as timed out (property 11)."""

MOST_WORDS = 2000
"""How long a text may be in an answer, a copy or the timeline. What is put together of an engine's words is cut."""
CONTRADICTED = "error_contradictory_evidence"
UNREACHABLE = "error_engine_unreachable"
UNREAD = "error_no_read_yet"
"""Why flatness is UNKNOWN where no engine has said so: there is nobody to ask, or nobody has answered."""

_RISING = (
    StopPhase.PENDING,
    StopPhase.SENT,
    StopPhase.RECEIVED,
    StopPhase.FROZEN,
    StopPhase.CANCELLED,
    StopPhase.FLATTENED,
    StopPhase.VERIFIED,
)
_RANK = {phase: i for i, phase in enumerate(_RISING)}
FINAL = frozenset(StopPhase) - frozenset(_RISING[:-1])


@attrs.frozen
class Instant:
    """One moment on both clocks: ``mono`` in seconds for deadlines, ``wall`` (aware, UTC) for people."""

    mono: float
    wall: datetime


@attrs.frozen(kw_only=True)
class Part:
    """``epoch`` is that of the decision this part answers: a report of an earlier one says nothing about it."""

    engine_id: str
    epoch: int
    phase: StopPhase
    since: float
    acked: bool = False
    frozen: bool = False
    latched: bool = False
    ms_to_frozen: int | None = None
    in_flight: int | None = None
    orders_cancelled: int = 0
    orders_remaining: int | None = None
    positions_liquidated: int = 0
    positions_remaining: int | None = None
    flatness: Flatness = Flatness.UNKNOWN
    flatness_as_of: datetime | None = None
    flatness_reason: str | None = None
    residuals: list[Residual] = attrs.field(factory=list)
    completed_at: datetime | None = None
    error: str | None = None

    @property
    def is_final(self) -> bool:
        return self.phase in FINAL

    @property
    def is_verified(self) -> bool:
        return self.phase is StopPhase.VERIFIED

    @property
    def remark(self) -> str | None:
        """What a person has to know of this phase: what went wrong and what is left, or what had left before the gate
        closed."""
        if self.phase is StopPhase.FROZEN:
            return self.in_flight_words
        if self.phase is not StopPhase.FAILED or not self.residuals:
            return self.error
        left = ", ".join(f"{r.symbol} {r.quantity:,} ({r.reason})" for r in self.residuals)
        return f"{self.error}: {left}"[:MOST_WORDS]

    @property
    def in_flight_words(self) -> str | None:
        if not self.in_flight:
            return None
        requests = "1 request" if self.in_flight == 1 else f"{self.in_flight} requests"
        return f"{requests} in flight: written before the gate closed"

    def result(self) -> EmergencyStopResult:
        return EmergencyStopResult(
            engine_id=self.engine_id,
            success=self.is_verified,
            phase=self.phase,
            positions_liquidated=self.positions_liquidated,
            orders_cancelled=self.orders_cancelled,
            orders_remaining=self.orders_remaining,
            positions_remaining=self.positions_remaining,
            flatness=self.flatness,
            flatness_as_of=self.flatness_as_of,
            flatness_reason=self.flatness_reason or (UNREAD if self.flatness is Flatness.UNKNOWN else None),
            residuals=self.residuals,
            ms_to_frozen=self.ms_to_frozen,
            completed_at=self.completed_at,
            error=self.error,
        )


def begun(engine_id: str, epoch: int, connected: bool, now: Instant) -> Part:
    """A fresh part; an engine that is not connected is unreachable at once, and never "pending" for ever."""
    part = Part(engine_id=engine_id, epoch=epoch, phase=StopPhase.PENDING, since=now.mono)
    return part if connected else lost(part, now)


def lost(part: Part, now: Instant) -> Part:
    """The link is gone. What was verified stays verified: the engine's latch holds it. Of the rest nobody reads the
    broker any more: the counts are those of ``flatness_as_of``, and flatness is UNKNOWN."""
    if part.is_verified or part.phase in (StopPhase.RELEASED, StopPhase.SUPERSEDED):
        return part
    words = "not connected; it gets the stop when it returns"
    return attrs.evolve(
        part,
        phase=StopPhase.UNREACHABLE,
        completed_at=now.wall,
        error=part.error or words,
        flatness=Flatness.UNKNOWN,
        flatness_reason=UNREACHABLE,
    )


def restored_part(result: EmergencyStopResult, epoch: int, now: Instant) -> Part:
    """A part as it was kept by an earlier platform."""
    past_latch = result.phase in _RANK and _RANK[result.phase] >= _RANK[StopPhase.RECEIVED]
    return Part(
        engine_id=result.engine_id,
        epoch=epoch,
        phase=result.phase,
        since=now.mono,
        acked=past_latch,
        ms_to_frozen=result.ms_to_frozen,
        orders_cancelled=result.orders_cancelled,
        orders_remaining=result.orders_remaining,
        positions_liquidated=result.positions_liquidated,
        positions_remaining=result.positions_remaining,
        flatness=result.flatness,
        flatness_as_of=result.flatness_as_of,
        flatness_reason=result.flatness_reason,
        residuals=result.residuals,
        completed_at=result.completed_at,
        error=result.error,
    )


def sent(part: Part) -> Part:
    """The frame was written to the engine's socket."""
    return attrs.evolve(part, phase=StopPhase.SENT) if part.phase is StopPhase.PENDING else part


def received(part: Part, level: Level, now: Instant) -> Part:
    """The engine acknowledged: the stop is in its latch on stable storage."""
    phase = StopPhase.RECEIVED if part.phase in (StopPhase.PENDING, StopPhase.SENT) else part.phase
    part = attrs.evolve(part, acked=True, latched=True, phase=phase)
    return _verified_when_frozen_and_latched(part, level, now)


def progressed(part: Part, report: StopProgress, level: Level, now: Instant) -> Part:
    """The engine's own report. Of an earlier decision, or of a step already passed: nothing changes."""
    if report.stop_epoch < part.epoch or part.phase in (StopPhase.RELEASED, StopPhase.SUPERSEDED):
        return part
    phase = report.phase
    if phase in _RANK and part.phase in _RANK and _RANK[phase] < _RANK[part.phase]:
        return part
    if part.is_verified and phase not in (StopPhase.VERIFIED, StopPhase.FAILED):
        return part
    part = _with_evidence(part, report, now)
    match phase:
        case StopPhase.VERIFIED:
            contradiction = contradicting(report, level)
            if contradiction:
                return contradicted(part, contradiction, now)
            return _verified(part, now) if level > Level.HALT else _frozen_and_latched(part, level, now)
        case StopPhase.FAILED:
            return _failed(part, report, now)
        case StopPhase.SUPERSEDED | StopPhase.RELEASED:
            return attrs.evolve(part, phase=phase, completed_at=now.wall)
        case StopPhase.TIMED_OUT:
            return timed_out(part, now, report.reason or "the engine's own time limit")
        case StopPhase.UNREACHABLE:
            return part
        case _:
            if not part.is_final:
                part = attrs.evolve(part, phase=phase)
            return _verified_when_frozen_and_latched(part, level, now)


def timed_out(part: Part, now: Instant, reason: str) -> Part:
    words = f"error_timeout: {reason}"[:MOST_WORDS]
    return attrs.evolve(part, phase=StopPhase.TIMED_OUT, completed_at=now.wall, error=words)


def overdue(part: Part, now: Instant) -> bool:
    return not part.is_final and now.mono - part.since >= TIMEOUT_SECONDS


def contradicting(report: StopProgress, level: Level) -> str | None:
    """Why a report of "verified" cannot be believed: its own numbers say that the level's work is not done."""
    if report.latched is False:
        return "reported verified while its latch is not written"
    if level >= Level.CANCEL and report.orders_remaining:
        return f"reported verified with {report.orders_remaining} working orders"
    if level is Level.FLATTEN and (report.positions_remaining or report.flatness is not Flatness.FLAT):
        return f"reported verified while {report.flatness.value} with {report.positions_remaining} positions"
    return None


def state_of(parts: Iterable[Part]) -> StopState:
    """The state of the whole stop (contract, section 2)."""
    phases = {p.phase for p in parts}
    if not phases:
        return StopState.EMPTY
    if phases - FINAL:
        return StopState.RUNNING
    if phases == {StopPhase.VERIFIED}:
        return StopState.VERIFIED
    if StopPhase.FAILED in phases:
        return StopState.FAILED
    return StopState.TIMED_OUT if StopPhase.TIMED_OUT in phases else StopState.PARTIAL


def _with_evidence(part: Part, report: StopProgress, now: Instant) -> Part:
    frozen_now = report.phase in _RANK and _RANK[report.phase] >= _RANK[StopPhase.FROZEN]
    took = part.ms_to_frozen
    if frozen_now and not part.frozen:
        took = max(0, round((now.mono - part.since) * 1000))
    return attrs.evolve(
        part,
        frozen=part.frozen or frozen_now,
        latched=part.latched or report.latched is True,
        acked=part.acked or report.phase is not StopPhase.UNREACHABLE,
        ms_to_frozen=took,
        in_flight=report.in_flight if report.in_flight is not None else part.in_flight,
        orders_cancelled=report.orders_cancelled,
        orders_remaining=report.orders_remaining,
        positions_liquidated=report.positions_liquidated,
        positions_remaining=report.positions_remaining,
        flatness=report.flatness,
        flatness_as_of=report.flatness_as_of,
        flatness_reason=report.flatness_reason,
        residuals=report.residuals,
    )


def _verified_when_frozen_and_latched(part: Part, level: Level, now: Instant) -> Part:
    """REDUCE_ONLY and HALT ask for no more than a closed gate that a restart cannot open."""
    done = level <= Level.HALT and part.frozen and part.latched
    return _verified(part, now) if done and not part.is_verified else part


def _frozen_and_latched(part: Part, level: Level, now: Instant) -> Part:
    """The engine says that a HALT is done and not that it is latched: its acknowledgement will say so."""
    if not part.is_final:
        part = attrs.evolve(part, phase=StopPhase.FROZEN)
    return _verified_when_frozen_and_latched(part, level, now)


def _verified(part: Part, now: Instant) -> Part:
    return attrs.evolve(part, phase=StopPhase.VERIFIED, completed_at=now.wall, error=None)


def _failed(part: Part, report: StopProgress, now: Instant) -> Part:
    words = ": ".join(w for w in (report.error, report.reason) if w) or "the engine did not say why"
    return attrs.evolve(part, phase=StopPhase.FAILED, completed_at=now.wall, error=words[:MOST_WORDS])


def contradicted(part: Part, why: str, now: Instant) -> Part:
    """What the engine says cannot be true of a stop that it obeys."""
    return attrs.evolve(part, phase=StopPhase.FAILED, completed_at=now.wall, error=f"{CONTRADICTED}: {why}")
