"""Live parameters over HTTP: compare-and-set by version, answered when the engine has answered."""

import re

import attrs

from actors.requests import PARAMETERS, ChangeParameters, GetParameters, Refusal, RollBackParameters
from actors.web.answers import Listing
from actors.web.problems import Problem, refused
from actors.web.stops import request_id
from actors.web.table import PAGING, Answer, Call, Query, Route
from store import parameters as stored
from store import users
from wire.rest.access import Role
from wire.rest.strategies import (
    ParameterChange,
    ParameterVersion,
    RollbackRequest,
    StrategyParameters,
    UpdateResult,
    UpdateStatus,
)
from wire.stops import IDENTIFIER

ENGINE_ANSWERS_WITHIN = 10.5
"""Seconds: an engine has 10, and the verdict that it did not needs a moment."""
STRATEGY = Query(name="strategy_id", doc="the strategy", required=True)


async def change(call: Call) -> Answer:
    engine_id, version = call.identifier("engine_id"), call.version()
    wanted = attrs.evolve(call.body, request_id=request_id(call, call.body.request_id))
    asked = ChangeParameters(principal=call.who, engine_id=engine_id, expected_version=version, change=wanted)
    return await _settled(call, await call.services.system.ref(PARAMETERS).ask(asked, timeout=10.0))


async def roll_back(call: Call) -> Answer:
    asked = RollBackParameters(
        principal=call.who,
        engine_id=call.identifier("engine_id"),
        expected_version=call.version(),
        request=call.body,
        request_id=request_id(call, None),
    )
    return await _settled(call, await call.services.system.ref(PARAMETERS).ask(asked, timeout=10.0))


async def _settled(call: Call, answer: UpdateResult | Refusal) -> Answer:
    if isinstance(answer, Refusal):
        raise refused(answer)
    if answer.status is UpdateStatus.PENDING:
        final = await call.services.updates.wait_for(answer.request_id, _is_final, timeout=ENGINE_ANSWERS_WITHIN)
        answer = final or answer
    return Answer(value=answer, headers={"ETag": f'"{answer.version}"'})


def _is_final(result: UpdateResult) -> bool:
    return result.status is not UpdateStatus.PENDING


def _strategy(call: Call) -> str:
    strategy_id = call.query.get("strategy_id")
    if not strategy_id:
        raise Problem(422, "error_invalid_field", "is required", "strategy_id")
    if not re.fullmatch(IDENTIFIER, strategy_id):
        raise Problem(422, "error_invalid_field", "must be the id of a strategy", "strategy_id")
    return strategy_id


async def get(call: Call) -> Answer:
    asked = GetParameters(engine_id=call.identifier("engine_id"), strategy_id=_strategy(call))
    answer = await call.services.system.ref(PARAMETERS).ask(asked, timeout=10.0)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer, headers={"ETag": f'"{answer.version}"'})


async def history(call: Call) -> Answer:
    after, limit = call.page()
    engine_id, strategy_id = call.identifier("engine_id"), _strategy(call)
    if after is None:
        head = await call.services.db.run(stored.head, engine_id, strategy_id)
        after = max(0, (head.version if head else 0) - limit)
    rows = await call.services.db.run(stored.history, engine_id, strategy_id, after, limit)
    names = await call.services.db.run(users.names, sorted({row.user_id for row in rows}))
    items = [_version(row, names.get(row.user_id)) for row in rows]
    return Answer(value=Listing(items=items, next=str(items[-1].version) if len(items) == limit else None))


def _version(row: stored.VersionRow, username: str | None) -> ParameterVersion:
    return ParameterVersion(
        version=row.version,
        parameters=row.parameters,
        status=row.status,
        user_id=row.user_id,
        username=username,
        at=row.at,
        request_id=row.request_id,
        error=row.error,
        reason=row.reason,
    )


PATH = "/api/engines/<engine_id>/parameters"
ROUTES = (
    Route(
        method="PATCH",
        path=PATH,
        handler=change,
        doc="Change parameters of a running strategy. Loosening, or any change while stopped, needs the risk role.",
        role=Role.OPERATOR,
        body=ParameterChange,
        answer=UpdateResult,
        if_match=True,
        sets=("ETag",),
    ),
    Route(
        method="GET",
        path=PATH,
        handler=get,
        doc="Desired and effective parameters of a strategy.",
        answer=StrategyParameters,
        query=(STRATEGY,),
        sets=("ETag",),
    ),
    Route(
        method="GET",
        path=f"{PATH}/history",
        handler=history,
        doc="Every version that was asked for.",
        answer=list[ParameterVersion],
        query=(STRATEGY, *PAGING),
        csv=True,
    ),
    Route(
        method="POST",
        path=f"{PATH}/rollback",
        handler=roll_back,
        doc="Ask for the parameters of an earlier version, as a new version.",
        role=Role.OPERATOR,
        body=RollbackRequest,
        answer=UpdateResult,
        if_match=True,
        sets=("ETag",),
    ),
)
