"""One strategy is paused, or goes on: for the desk that wants neither a stop nor a release for it.

Pausing needs an operator. Resuming is guarded: the role risk, a password given in the last five minutes, a reason, and
no stop over the strategy. Both are in the audit log before the engine hears of them.
"""

from actors.requests import FLEET, CheckCommand, CommandStrategy, Refusal
from actors.web.problems import Problem, refused
from actors.web.stops import need_fresh_proof, request_id
from actors.web.table import Answer, Call, Route
from store import audit
from store.database import Connection
from wire.rest.access import Role
from wire.rest.strategies import StrategyCommandRequest, StrategyCommandResult
from wire.values import StrategyAction

PATIENCE = 12.0


async def pause(call: Call) -> Answer:
    if call.body.reduced is not None:
        raise Problem(422, "error_invalid_field", "only what goes on can go on carefully", "reduced")
    return await _command(call, StrategyAction.PAUSE)


async def resume(call: Call) -> Answer:
    need_fresh_proof(call)
    if not call.body.reason.strip():
        raise Problem(422, "error_invalid_field", "say why the strategy may go on", "reason")
    return await _command(call, StrategyAction.RESUME)


async def _command(call: Call, action: StrategyAction) -> Answer:
    engine_id, strategy_id = call.identifier("engine_id"), call.identifier("strategy_id")
    fleet = call.services.system.ref(FLEET)
    reduced = call.body.reduced
    check = CheckCommand(engine_id=engine_id, strategy_id=strategy_id, action=action, reduced=reduced)
    if (refusal := await fleet.ask(check, timeout=5.0)) is not None:
        raise refused(refusal)
    asked = CommandStrategy(
        engine_id=engine_id,
        strategy_id=strategy_id,
        action=action,
        request_id=request_id(call, None),
        reduced=reduced,
    )
    await call.services.db.run(_note, call.who.user_id, asked, call.body.reason, tx={})
    answer = await fleet.ask(asked, timeout=PATIENCE)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer)


async def _note(conn: Connection, user_id: str, asked: CommandStrategy, reason: str) -> None:
    await audit.append(
        conn,
        actor=user_id,
        action=f"strategy.{asked.action.value}",
        target=f"strategy:{asked.engine_id}/{asked.strategy_id}",
        detail={
            "request_id": asked.request_id,
            "reason": reason,
            "reduced": None if asked.reduced is None else [asked.reduced.minutes, asked.reduced.max_order_value],
        },
    )


PATH = "/api/engines/<engine_id>/strategies/<strategy_id>"
ROUTES = (
    Route(
        method="POST",
        path=f"{PATH}/pause",
        handler=pause,
        doc="Pause one strategy: no order of it leaves until it is resumed.",
        role=Role.OPERATOR,
        body=StrategyCommandRequest,
        optional_body=True,
        answer=StrategyCommandResult,
        remember=True,
    ),
    Route(
        method="POST",
        path=f"{PATH}/resume",
        handler=resume,
        doc="Let a paused strategy go on, if wanted with `reduced` limits at first. Refused while a stop holds it. "
        "Needs a password given in the last 5 minutes.",
        role=Role.RISK,
        body=StrategyCommandRequest,
        answer=StrategyCommandResult,
        remember=True,
    ),
)
