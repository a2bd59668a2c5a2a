"""Stops over HTTP. Nothing on the way of a stop waits for the database, and nothing answers it with "try later"."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import attrs
import trio

from actors.requests import (
    COORDINATOR,
    ApproveRelease,
    ContinueStop,
    PreviewStop,
    Refusal,
    RequestRelease,
    ShowRelease,
    TakeStop,
)
from actors.stops.cases import view_of
from actors.web.answers import Listing
from actors.web.problems import Problem, not_found, refused
from actors.web.table import PAGING, Answer, Call, Query, Route
from store import releases
from store import stops as stored
from store.errors import Unavailable
from supervisor.errors import ActorDied, AskTimeout, MailboxFull, UnknownActor
from wire.rest.access import Role
from wire.rest.releases import ApproveRequest, ReleaseRequest, ReleaseView
from wire.rest.stops import PreviewAnswer, PreviewRequest, Stop, StopRequest, StopState
from wire.stops import Level

ANSWER_WITHIN = 29.5
"""The caller has an answer after 30 s at most: taken or not, finished or not."""
WAIT_FOR_COPY = 0.25
ATTEMPT = 5.0
REAUTHENTICATE_AFTER = timedelta(minutes=5)


DRILL = Query(name="drill", doc="true: only drills; false: none of them")


async def take_stop(call: Call) -> Answer:
    """200 when every engine is through, 202 as soon as the stop is kept somewhere if the caller prefers that."""
    by = trio.current_time() + ANSWER_WITHIN
    stop = None
    with trio.CancelScope(deadline=by):
        stop = await _taken(call)
    if stop is None:
        words = "whether the stop was taken is not known: use the emergency page or --local"
        raise Problem(500, "error_stop_not_taken", words)
    location = {"Location": f"/api/stops/{stop.stop_id}"}
    if call.prefers_async():
        kept = await call.services.stops.wait_for(stop.stop_id, lambda s: s.durable, timeout=WAIT_FOR_COPY)
        return Answer(value=kept or stop, status=202, headers={**location, "Preference-Applied": "respond-async"})
    left = max(0.001, by - trio.current_time())
    final = await call.services.stops.wait_for(stop.stop_id, _is_final, timeout=left)
    if final is not None and not final.durable:
        final = await call.services.stops.wait_for(stop.stop_id, lambda s: s.durable, timeout=WAIT_FOR_COPY)
    return Answer(value=final or stop, headers=location)


def _is_final(stop: Stop) -> bool:
    return stop.state is not StopState.RUNNING


async def _taken(call: Call) -> Stop:
    """The stop as the coordinator took it. While it restarts this asks again: the request_id makes that harmless."""
    request = attrs.evolve(call.body, request_id=request_id(call, call.body.request_id))
    if request.drill and not names_level(call.raw):
        request = attrs.evolve(request, level=Level.HALT)
    asked = TakeStop(principal=call.who, request=request, by_key=call.body.request_id is None)
    while True:
        try:
            answer = await call.services.system.ref(COORDINATOR).ask(asked, timeout=ATTEMPT, urgent=True)
        except (ActorDied, AskTimeout, MailboxFull, UnknownActor):
            await trio.sleep(0.05)
            continue
        if isinstance(answer, Refusal):
            raise refused(answer)
        return answer


def names_level(raw: bytes) -> bool:
    """Whether the body says how much to stop; it has been understood before."""
    plain = json.loads(raw) if raw.strip() else {}
    return "level" in plain


def request_id(call: Call, in_body: str | None) -> str:
    """The id under which repeating a request changes nothing: that of the body, of Idempotency-Key, or a new one."""
    if in_body is not None:
        return in_body
    key = call.header("idempotency-key") or ""
    return key if re.fullmatch(r"[\x21-\x7e]{1,64}", key) else str(uuid.uuid4())


async def preview(call: Call) -> Answer:
    asked = PreviewStop(scope=call.body.scope, level=call.body.level)
    answer = await call.services.system.ref(COORDINATOR).ask(asked, timeout=5.0)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer)


async def list_stops(call: Call) -> Answer:
    """Stops as memory knows them where it does: the database may lag by a moment, or be away."""
    after, limit = call.page()
    drill = call.flag("drill")
    try:
        unwritten = await _not_written_yet(call, drill)  # asked first: what is written meanwhile is on the page
        page = await call.services.db.run(stored.page, after, limit, drill)
    except Unavailable:
        known = sorted(call.services.stops.values(), key=lambda s: s.epoch)
        known = [stop for stop in known if drill is None or stop.drill is drill]
        return Answer(value=Listing(items=known[-limit:]))
    items = [call.services.stops.get(stop.stop_id) or stop for stop in page.items]
    if page.next is None:
        listed = {stop.stop_id for stop in items}
        items = [*items, *(stop for stop in unwritten if stop.stop_id not in listed)]
        items = items[-limit:] if after is None else items  # the last page may be longer: nothing comes after it
    return Answer(value=Listing(items=items, next=None if page.next is None else str(page.next)))


async def _not_written_yet(call: Call, drill: bool | None) -> list[Stop]:
    """Stops that count already, although the database, which is told last, does not have them; newest last."""
    known = [stop for stop in call.services.stops.values() if drill is None or stop.drill is drill]
    if not known:
        return []
    written = await call.services.db.run(stored.written, [stop.stop_id for stop in known])
    return sorted((stop for stop in known if stop.stop_id not in written), key=lambda stop: stop.epoch)


async def get_stop(call: Call) -> Answer:
    stop_id = call.identifier("stop_id")
    stop = call.services.stops.get(stop_id)
    if stop is None:
        stop = await call.services.db.run(stored.get, stop_id)
    if stop is None:
        raise not_found("stop")
    return Answer(value=stop)


async def get_release(call: Call) -> Answer:
    """What waits to be approved, so that whoever approves has seen it; else how the last request ended."""
    stop_id = call.identifier("stop_id")
    view = await call.services.system.ref(COORDINATOR).ask(ShowRelease(stop_id=stop_id), timeout=5.0)
    if view is None:
        row = await call.services.db.run(releases.last, stop_id)
        if row is None:
            raise Problem(404, "error_no_release_requested", "nobody has asked to release this stop")
        view = view_of(row)
    return Answer(value=view)


def need_fresh_proof(call: Call) -> None:
    """Raises Problem 403 when the caller's password was given more than five minutes ago."""
    if datetime.now(UTC) - call.who.auth_time > REAUTHENTICATE_AFTER:
        raise Problem(403, "error_reauthentication_required", "give your password again first: POST /api/auth/step-up")


async def request_release(call: Call) -> Answer:
    """Ends nothing by itself: the coordinator checks, and another person (or a second call) approves."""
    need_fresh_proof(call)
    stop_id = call.identifier("stop_id")
    asked = RequestRelease(principal=call.who, stop_id=stop_id, request=call.body)
    answer = await call.services.system.ref(COORDINATOR).ask(asked, timeout=20.0)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer, status=201)


async def approve_release(call: Call) -> Answer:
    need_fresh_proof(call)
    asked = ApproveRelease(
        principal=call.who,
        stop_id=call.identifier("stop_id"),
        epoch=call.body.epoch,
        release_id=call.body.release_id,
    )
    answer = await call.services.system.ref(COORDINATOR).ask(asked, timeout=20.0)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer)


async def continue_stop(call: Call) -> Answer:
    """The person's word that an unfinished stop may send orders in this trading session."""
    asked = ContinueStop(principal=call.who, stop_id=call.identifier("stop_id"))
    answer = await call.services.system.ref(COORDINATOR).ask(asked, timeout=5.0, urgent=True)
    if isinstance(answer, Refusal):
        raise refused(answer)
    return Answer(value=answer)


ROUTES = (
    Route(
        method="POST",
        path="/api/engines/emergency-stop",
        handler=take_stop,
        doc="Stop: everything, flattened, when the body is empty. 200 when every engine is through, at most 30 s.",
        role=Role.OPERATOR,
        body=StopRequest,
        optional_body=True,
        lenient=True,
        grace=True,
        answer=Stop,
        other={202: Stop},
        sets=("Location", "Preference-Applied"),
    ),
    Route(
        method="POST",
        path="/api/stops/preview",
        handler=preview,
        doc="What a stop of this scope would reach; what is not known is null.",
        role=Role.OPERATOR,
        body=PreviewRequest,
        optional_body=True,
        answer=PreviewAnswer,
    ),
    Route(
        method="GET",
        path="/api/stops",
        handler=list_stops,
        doc="All stops, or with `drill` only drills (true), or only real ones (false).",
        answer=list[Stop],
        query=(DRILL, *PAGING),
        csv=True,
    ),
    Route(method="GET", path="/api/stops/<stop_id>", handler=get_stop, doc="One stop with its timeline.", answer=Stop),
    Route(
        method="POST",
        path="/api/stops/<stop_id>/continue",
        handler=continue_stop,
        doc="Do what is left of an open stop now: engines send nothing for it in another trading session before this.",
        role=Role.OPERATOR,
        grace=True,
        answer=Stop,
        remember=True,
    ),
    Route(
        method="GET",
        path="/api/stops/<stop_id>/release",
        handler=get_release,
        doc="The release that waits for approval, or the last one, with its history.",
        answer=ReleaseView,
    ),
    Route(
        method="POST",
        path="/api/stops/<stop_id>/release",
        handler=request_release,
        doc="Ask for a release. Needs a password given in the last 5 minutes.",
        role=Role.RISK,
        body=ReleaseRequest,
        answer=ReleaseView,
        status=201,
        remember=True,
    ),
    Route(
        method="POST",
        path="/api/stops/<stop_id>/approve",
        handler=approve_release,
        doc="Approve a release asked for by another person. Needs a password given in the last 5 minutes.",
        role=Role.RISK,
        body=ApproveRequest,
        answer=ReleaseView,
        remember=True,
    ),
)
