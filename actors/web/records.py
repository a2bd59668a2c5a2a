"""What was kept: logs, orders, fills, alerts, dead letters and the audit log, a page at a time."""

from datetime import UTC, datetime
from typing import Annotated

from actors.alarms.webhook import AlertAcknowledged, TellOutside, alert_in
from actors.requests import ALERTS, WEBHOOK, Principal
from actors.web.answers import Listing, listing
from actors.web.problems import Problem, not_found
from actors.web.table import PAGING, Answer, Call, Query, Route
from store import alerts, audit, letters, logs
from store.database import Connection
from wire.rest.access import Role
from wire.rest.records import Alert, FillRow, LogRow, OrderRow
from wire.schema import C, message
from wire.stops import Identifier
from wire.ui import Topic
from wire.values import LogCategory, Text

ENGINE = Query(name="engine", doc="only of this engine")
CATEGORY = Query(name="category", doc="only these", choices=tuple(c.value for c in LogCategory))
SEARCH = Query(name="q", doc="words to find in message and reason")


@message
class LetterRow:
    """A message that could not be delivered or kept. Its content is not shown: it may hold anything."""

    id: Annotated[str, C(max_length=64)]
    engine_id: Identifier
    kind: Text
    reason: Text
    state: Annotated[str, C(pattern="open|retried|discarded")]
    at: datetime
    decided_by: Text | None
    decided_at: datetime | None


def _query(call: Call) -> logs.LogQuery:
    after, limit = call.page()
    category = call.query.get("category")
    try:
        wanted = LogCategory(category) if category else None
    except ValueError:
        raise Problem(422, "error_invalid_field", "must be System, Strategy or Trade", "category") from None
    text = call.query.get("q") or None
    if text is not None and len(text) > 200:
        raise Problem(422, "error_invalid_field", "must have at most 200 characters", "q")
    engine = call.query.get("engine") or None
    return logs.LogQuery(after=after, limit=limit, engine_id=engine, category=wanted, text=text)


async def trade_logs(call: Call) -> Answer:
    return listing(await call.services.db.run(logs.trade_logs, _query(call)))


async def orders(call: Call) -> Answer:
    return listing(await call.services.db.run(logs.orders, _query(call)))


async def fills(call: Call) -> Answer:
    return listing(await call.services.db.run(logs.fills, _query(call)))


async def list_alerts(call: Call) -> Answer:
    after, limit = call.page()
    return listing(await call.services.db.run(alerts.page, after, limit))


async def acknowledge(call: Call) -> Answer:
    now = datetime.now(UTC)
    alert = await call.services.db.run(_acknowledge, call.identifier("alert_id"), call.who, now, tx={})
    if alert is None:
        raise not_found("alert")
    call.services.hub.publish(Topic.ALERTS, alert, key=alert.id)
    for name in (ALERTS, WEBHOOK):
        if (told := call.services.system.find(name)) is not None:  # it is acknowledged, whoever is there to hear it
            told.tell(AlertAcknowledged(alert_id=alert.id))
    return Answer(value=alert)


async def _acknowledge(conn: Connection, alert_id: str, who: Principal, now: datetime) -> Alert | None:
    alert = await alerts.acknowledge(conn, alert_id, who.user_id, now, who.username)
    if alert is not None:
        await audit.append(conn, actor=who.user_id, action="alert.ack", target=f"alert:{alert_id}", detail={})
    return alert


async def dead_letters(call: Call) -> Answer:
    after, limit = call.page()
    page = await call.services.db.run(letters.page, after, limit)
    items = [_row(letter) for letter in page.items]
    return Answer(value=Listing(items=items, next=None if page.next is None else str(page.next)))


def _row(letter: letters.DeadLetter) -> LetterRow:
    return LetterRow(
        id=letter.id,
        engine_id=letter.engine_id,
        kind=letter.kind,
        reason=letter.reason,
        state=letter.state.value,
        at=letter.at,
        decided_by=letter.decided_by,
        decided_at=letter.decided_at,
    )


async def retry(call: Call) -> Answer:
    """A person has mended what was wrong: the message goes its way once more."""
    now, letter_id = datetime.now(UTC), call.identifier("letter_id")
    letter = await call.services.db.run(letters.get, letter_id)
    if letter is None or letter.state is not letters.LetterState.OPEN:
        raise not_found("open dead letter")
    alert = alert_in(letter)
    if alert is None:
        raise Problem(409, "error_not_retryable", "the database cannot hold this message: it can only be discarded")
    done = await call.services.db.run(
        _decide, letter_id, letters.LetterState.RETRIED, "letter.retry", call.who.user_id, now, tx={}
    )
    if done is None:
        raise not_found("open dead letter")
    now_known = await call.services.db.run(alerts.get, alert.id)  # somebody may have acknowledged it since
    call.services.system.ref(WEBHOOK).tell(TellOutside(alert=now_known or alert))
    return Answer(value=_row(done))


async def discard(call: Call) -> Answer:
    """A person decides that an undeliverable message is of no use any more."""
    now, letter_id = datetime.now(UTC), call.identifier("letter_id")
    letter = await call.services.db.run(
        _decide, letter_id, letters.LetterState.DISCARDED, "letter.discard", call.who.user_id, now, tx={}
    )
    if letter is None:
        raise not_found("open dead letter")
    return Answer(value=_row(letter))


async def _decide(
    conn: Connection, letter_id: str, state: letters.LetterState, action: str, user_id: str, now: datetime
) -> letters.DeadLetter | None:
    letter = await letters.decide(conn, letter_id, state, user_id, now)
    if letter is not None:
        await audit.append(conn, actor=user_id, action=action, target=f"letter:{letter_id}", detail={})
    return letter


ROUTES = (
    Route(
        method="GET",
        path="/api/logs",
        handler=trade_logs,
        doc="Trade logs as the engines told them.",
        answer=list[LogRow],
        query=(ENGINE, CATEGORY, SEARCH, *PAGING),
        csv=True,
    ),
    Route(
        method="GET",
        path="/api/orders",
        handler=orders,
        doc="Updates of orders.",
        answer=list[OrderRow],
        query=(ENGINE, *PAGING),
        csv=True,
    ),
    Route(
        method="GET",
        path="/api/fills",
        handler=fills,
        doc="Fills.",
        answer=list[FillRow],
        query=(ENGINE, *PAGING),
        csv=True,
    ),
    Route(
        method="GET",
        path="/api/alerts",
        handler=list_alerts,
        doc="Alerts, open until a named person acknowledges them.",
        answer=list[Alert],
        query=PAGING,
        csv=True,
    ),
    Route(
        method="POST",
        path="/api/alerts/<alert_id>/ack",
        handler=acknowledge,
        doc="Acknowledge an alert by name.",
        role=Role.OPERATOR,
        answer=Alert,
        remember=True,
    ),
    Route(
        method="GET",
        path="/api/dead-letters",
        handler=dead_letters,
        doc="Messages that could not be delivered or kept.",
        answer=list[LetterRow],
        query=PAGING,
        csv=True,
    ),
    Route(
        method="POST",
        path="/api/dead-letters/<letter_id>/retry",
        handler=retry,
        doc="Send a dead letter once more. 409 when its kind cannot be sent again.",
        role=Role.RISK,
        answer=LetterRow,
        remember=True,
    ),
    Route(
        method="POST",
        path="/api/dead-letters/<letter_id>/discard",
        handler=discard,
        doc="Decide that a dead letter is of no use any more.",
        role=Role.RISK,
        answer=LetterRow,
        remember=True,
    ),
)
