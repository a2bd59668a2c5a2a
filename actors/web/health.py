"""What the platform and the engines are doing, for people, load balancers and Prometheus."""

from datetime import UTC, datetime

import trio

from actors.requests import FLEET, HEALTH, GetSystemHealth, ListEngines, ListHealth
from actors.web.metrics import exposition
from actors.web.problems import Problem
from actors.web.table import Answer, Call, Caller, Route, Text
from supervisor.system import Node
from wire.rest.engines import EngineHealthDetail, EngineStatus, SystemHealthMetrics
from wire.rest.records import Readiness
from wire.schema import message
from wire.values import Count, Name


@message
class Alive:
    ok: bool
    at: datetime


@message
class MailboxView:
    """Messages waiting and the bound, where there is one."""

    queued: Count
    capacity: Count | None


@message
class TreeNode:
    """One actor of the supervision tree. ``since``: when it got into its state."""

    name: Name
    kind: Name
    state: Name
    restarts: Count
    incarnation: Count
    mailbox: MailboxView
    since: datetime
    children: "list[TreeNode]"


async def engines_status(call: Call) -> Answer:
    return Answer(value=await call.services.system.ref(FLEET).ask(ListEngines(), timeout=5.0))


async def engines_health(call: Call) -> Answer:
    return Answer(value=await call.services.system.ref(FLEET).ask(ListHealth(), timeout=5.0))


async def system_health(call: Call) -> Answer:
    return Answer(value=await call.services.system.ref(HEALTH).ask(GetSystemHealth(), timeout=5.0))


async def tree(call: Call) -> Answer:
    now, clock = datetime.now(UTC), trio.current_time()
    return Answer(value=_node(call.services.system.tree(), now.timestamp() - clock))


def _node(node: Node, offset: float) -> TreeNode:
    info = node.info
    return TreeNode(
        name=info.name,
        kind=info.kind,
        state=info.state.value,
        restarts=info.restarts,
        incarnation=info.incarnation,
        mailbox=MailboxView(queued=info.mailbox.system + info.mailbox.user, capacity=info.mailbox.capacity),
        since=datetime.fromtimestamp(info.since + offset, UTC),
        children=[_node(child, offset) for child in node.children],
    )


async def alive(_: Call) -> Answer:
    return Answer(value=Alive(ok=True, at=datetime.now(UTC)))


def readiness(call: Call) -> Readiness:
    """Ready means that a stop can be taken: the listener is open, so the journal has been read."""
    return Readiness(ready=not call.doors.draining, degraded=call.services.degraded.parts())


async def ready(call: Call) -> Answer:
    found = readiness(call)
    return Answer(value=found, status=200 if found.ready else 503)


async def metrics(call: Call) -> Answer:
    """For Prometheus: from the machine itself without a token, from elsewhere as a viewer."""
    local = call.remote in ("127.0.0.1", "::1", "<local>") and call.header("x-forwarded-for") is None
    if not local and call.principal is None:
        raise Problem(401, "error_unauthorized", "sign in, or ask from this machine")
    return Answer(value=Text(content=exposition(call.services), mime="text/plain; version=0.0.4; charset=utf-8"))


ROUTES = (
    Route(
        method="GET",
        path="/api/engines/status",
        handler=engines_status,
        doc="Every known engine, connected or not.",
        answer=list[EngineStatus],
    ),
    Route(
        method="GET",
        path="/api/health/engines",
        handler=engines_health,
        doc="The health of every known engine: four clocks and the lease.",
        answer=list[EngineHealthDetail],
    ),
    Route(
        method="GET",
        path="/api/health/system",
        handler=system_health,
        doc="The platform's own process and the fleet's sums.",
        answer=SystemHealthMetrics,
    ),
    Route(method="GET", path="/api/system/tree", handler=tree, doc="The supervision tree.", answer=TreeNode),
    Route(method="GET", path="/healthz", handler=alive, doc="The loop answers.", caller=Caller.ANYONE, answer=Alive),
    Route(
        method="GET",
        path="/readyz",
        handler=ready,
        doc="Whether a stop can be taken, and which parts are degraded.",
        caller=Caller.ANYONE,
        answer=Readiness,
        other={503: Readiness},
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics,
        doc="Prometheus text, from loopback or as a viewer.",
        caller=Caller.ANYONE,
        answer=str,
        refusals=(401,),
    ),
)
