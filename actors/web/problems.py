"""Every way a request can be answered no: one exception, one shape on the wire."""

from collections.abc import Mapping

import attrs

from actors.requests import Refusal
from store import errors as store
from supervisor import errors as runtime
from wire.errors import Forbidden, InvalidField, NotFound, Overloaded, TooLarge, Unauthorized, WireError
from wire.rest.access import ErrorBody


@attrs.frozen(eq=False)
class Problem(Exception):
    """An answer other than success. ``reason`` is for a person and repeats no value of the request."""

    status: int
    error: str
    reason: str
    field: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def body(self) -> ErrorBody:
        return ErrorBody(error=self.error, reason=self.reason, field=self.field)


def not_found(what: str) -> Problem:
    return Problem(404, "error_not_found", f"there is no such {what}")


def unavailable(reason: str, error: str = "error_database_unavailable") -> Problem:
    return Problem(503, error, reason, headers={"Retry-After": "5"})


def refused(refusal: Refusal) -> Problem:
    """What an actor answered instead of doing it."""
    return Problem(refusal.status, refusal.error, refusal.reason, refusal.field)


def problem_of(error: Exception) -> Problem | None:
    """The answer to an error that is nobody's bug, else None."""
    match error:
        case Problem():
            return error
        case WireError():
            return _of_wire(error)
        case store.Unavailable():
            return unavailable("the database is away; stops work without it, this does not")
        case store.StaleVersion():
            return Problem(412, "error_version_conflict", f"the stored version is {error.current}")
        case store.Conflict():
            return Problem(409, "error_conflict", "that conflicts with what is stored")
        case store.BadValue():
            return Problem(422, "error_invalid_field", "a value cannot be stored")
        case runtime.AskTimeout() | runtime.ActorDied() | runtime.MailboxFull() | runtime.UnknownActor():
            return unavailable(
                "the part of the platform that does this is busy or restarting", "error_part_unavailable"
            )
        case _:
            return None


def _of_wire(error: WireError) -> Problem:
    statuses = {TooLarge: 413, InvalidField: 422, Unauthorized: 401, Forbidden: 403, NotFound: 404, Overloaded: 503}
    return Problem(statuses.get(type(error), 400), error.code, error.reason, error.field)
