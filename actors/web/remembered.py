"""Changes with an Idempotency-Key are done once: the same key gets the same answer for 24 hours.

Answers that carry a secret are kept sealed. What fails is forgotten, so that it can be tried again. What belongs to a
stop does not need the database for it: then the same key does it once more.
"""

import base64
import contextlib
import re
from datetime import UTC, datetime

from actors.web.access import database_is_away
from actors.web.answers import JSON, content_of
from actors.web.problems import Problem
from actors.web.table import Answer, Call, Text
from store import idempotency
from store.errors import StoreError, Unavailable


async def remembered(call: Call) -> Answer:
    """The handler's answer, or the one that the same request got before."""
    key = call.header("idempotency-key")
    if key is None or not call.route.remember:
        return await call.route.handler(call)
    if not re.fullmatch(r"[\x21-\x7e]{1,64}", key):
        raise Problem(422, "error_invalid_field", "must be 1 to 64 visible characters", "Idempotency-Key")
    if call.route.grace and database_is_away(call.services):
        return await call.route.handler(call)
    slot = idempotency.Slot(user_id=call.who.user_id, route=_route(call), key=key)
    try:
        claimed = await call.services.db.run(idempotency.claim, slot, call.raw, datetime.now(UTC), tx={})
    except Unavailable:
        if call.route.grace:
            return await call.route.handler(call)
        raise
    match claimed:
        case idempotency.Replay(status=status, answer=text):
            content = _opened(call, slot, text)
            return Answer(
                value=Text(content=content, mime=JSON), status=status, headers={"Idempotency-Replayed": "true"}
            )
        case idempotency.OtherBody():
            raise Problem(422, "error_idempotency_conflict", "this key was used with another body")
        case idempotency.InProgress():
            raise Problem(409, "error_in_progress", "the first request of this key is still at work")
    return await _first(call, slot)


async def _first(call: Call, slot: idempotency.Slot) -> Answer:
    try:
        answer = await call.route.handler(call)
    except Exception:
        with contextlib.suppress(StoreError):
            await call.services.db.run(idempotency.forget, slot)
        raise
    content, _ = content_of(answer)
    kept = _sealed(call, slot, content) if call.route.seal_answer else content
    with contextlib.suppress(StoreError):  # it is done; that it could not be noted must not make it look undone
        await call.services.db.run(idempotency.complete, slot, answer.status, kept)
    return answer


def _route(call: Call) -> str:
    """The route with what it is about: the same key for two engines means two requests."""
    path = call.route.path
    for name, value in call.params.items():
        path = path.replace(f"<{name}>", value)
    return f"{call.route.method} {path}"[:300]


def _context(slot: idempotency.Slot) -> tuple[str, ...]:
    return ("idempotency", slot.user_id, slot.route, slot.key)


def _sealed(call: Call, slot: idempotency.Slot, content: str) -> str:
    return base64.b64encode(call.services.keyring.seal(content.encode(), *_context(slot))).decode()


def _opened(call: Call, slot: idempotency.Slot, kept: str) -> str:
    if not call.route.seal_answer:
        return kept
    return call.services.keyring.open(base64.b64decode(kept), *_context(slot)).decode()
