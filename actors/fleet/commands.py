"""Pausing and resuming one strategy: when the platform passes the word on, and what it makes of the answer. Pure.

Pausing takes risk away; resuming is the guarded direction. Neither is kept for an engine that is away: a word that
arrives when nobody thinks of it any more would be a surprise.
"""

from collections.abc import Iterable

from actors.fleet.row import EngineRow
from actors.requests import CheckCommand, CommandStrategy, Refusal
from wire.messages import REDUCED_RESUMES, STRATEGY_COMMANDS, StrategyCommand, StrategyResult
from wire.rest.strategies import CommandStatus, StrategyCommandResult
from wire.values import StrategyAction

ANSWER_SECONDS = 10.0


def refuse_command(
    row: EngineRow | None, asked: CommandStrategy | CheckCommand, *, linked: bool, stops: Iterable[str]
) -> Refusal | None:
    """``stops``: the ids of the open stops that hold the strategy."""
    if row is None:
        return Refusal(status=404, error="error_unknown_engine", reason=f"there is no engine {asked.engine_id}")
    if not linked:
        reason = "the engine is not connected: its strategies are paused and resumed only while it answers"
        return Refusal(status=409, error="error_engine_offline", reason=reason)
    if asked.strategy_id not in row.strategies:
        reason = f"{asked.engine_id} has no strategy {asked.strategy_id}"
        return Refusal(status=404, error="error_unknown_strategy", reason=reason)
    if STRATEGY_COMMANDS not in row.capabilities:
        reason = "this engine does not know the command: stop the strategy, or release it with resume"
        return Refusal(status=409, error="error_unsupported", reason=reason)
    if asked.reduced is not None and REDUCED_RESUMES not in row.capabilities:
        reason = "this engine does not keep to reduced limits of one strategy: resume it without"
        return Refusal(status=409, error="error_unsupported", reason=reason, field="reduced")
    if asked.action is StrategyAction.RESUME and (held := sorted(stops)):
        return Refusal(status=409, error="error_stopped", reason=f"held by {held[0]}: release that first")
    return None


def command(asked: CommandStrategy, stop_epoch: int) -> StrategyCommand:
    return StrategyCommand(
        request_id=asked.request_id,
        strategy_id=asked.strategy_id,
        action=asked.action,
        stop_epoch=stop_epoch,
        expires_ms=round(ANSWER_SECONDS * 1000),
        reduced=asked.reduced.told() if asked.reduced is not None else None,
    )


def result(asked: CommandStrategy, answer: StrategyResult | None) -> StrategyCommandResult:
    """``answer`` None: there was none in time."""
    return StrategyCommandResult(
        request_id=asked.request_id,
        engine_id=asked.engine_id,
        strategy_id=asked.strategy_id,
        action=asked.action,
        status=CommandStatus(answer.status.value) if answer is not None else CommandStatus.EXPIRED,
        strategy_status=answer.strategy_status if answer is not None else None,
        error=answer.error if answer is not None else "error_timeout",
        reason=answer.reason if answer is not None else "the engine did not answer: its own status says what it did",
    )
