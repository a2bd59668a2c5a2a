"""What a route is: one row per method and path, from which serving, roles, idempotency and OpenAPI all follow."""

import re
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any

import attrs

from actors.platform.services import Services
from actors.requests import Principal
from actors.web.doors import Doors
from actors.web.problems import Problem
from wire.rest.access import Role
from wire.stops import IDENTIFIER
from wire.tokens import Claims

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100


class Caller(Enum):
    """Who may call a route at all, before roles."""

    ANYONE = "anyone"
    PERSON = "person"
    ENGINE = "engine"


@attrs.frozen(kw_only=True)
class Call:
    """One request, checked: the body has its type, the caller may do this. ``raw`` is the body as it came."""

    services: Services
    doors: Doors
    route: "Route"
    principal: Principal | None
    claims: Claims | None
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str] = attrs.field(repr=False)
    remote: str
    body: Any = attrs.field(default=None, repr=False)
    raw: bytes = attrs.field(default=b"", repr=False)
    secure: bool = False

    @property
    def who(self) -> Principal:
        """The person who calls; routes for people only."""
        if self.principal is None:
            raise Problem(401, "error_unauthorized", "sign in first")
        return self.principal

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def identifier(self, name: str) -> str:
        """A path parameter that must look like an id; anything else names nothing that exists."""
        value = self.params[name]
        if not re.fullmatch(IDENTIFIER, value):
            raise Problem(404, "error_not_found", "there is nothing of that id")
        return value

    def page(self) -> tuple[int | None, int]:
        """``after`` and ``limit`` of a list. None asks for the newest: ``?newest=true``."""
        limit = _integer(self.query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        if self.query.get("newest", "").lower() in ("true", "1", "yes"):
            return None, limit
        return _integer(self.query, "after", 0, 0, 2**62), limit

    def flag(self, name: str) -> bool | None:
        """A query parameter that is true or false; None when it is left out."""
        text = self.query.get(name, "").lower()
        if text not in ("", "true", "false"):
            raise Problem(422, "error_invalid_field", "must be true or false", name)
        return text == "true" if text else None

    def version(self) -> int:
        """The version named by If-Match, which has to be there."""
        header = self.header("if-match")
        if header is None or header.strip() == "*":
            raise Problem(428, "error_precondition_required", "name the version this change is based on in If-Match")
        match = re.fullmatch(r'\s*(?:W/)?"?([0-9]{1,18})"?\s*', header, re.ASCII)
        if match is None:
            raise Problem(412, "error_version_conflict", "If-Match does not name a version")
        return int(match[1])

    def prefers_async(self) -> bool:
        return "respond-async" in (self.header("prefer") or "").lower()

    def wants_csv(self) -> bool:
        return (self.header("accept") or "").split(",")[0].split(";")[0].strip().lower() == "text/csv"


def _integer(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or not least <= int(text) <= most:
        raise Problem(422, "error_invalid_field", f"must be an integer from {least} to {most}", name)
    return int(text)


@attrs.frozen(kw_only=True)
class Cookie:
    """The refresh cookie to set; an empty value takes it away."""

    value: str = attrs.field(repr=False)
    max_age: int


@attrs.frozen(kw_only=True)
class Text:
    """An answer that is not JSON."""

    content: str
    mime: str


@attrs.frozen(kw_only=True)
class Answer:
    """What a handler answers. ``value`` is a message, a list of messages or a Text; None has no body."""

    value: Any = attrs.field(default=None, repr=False)
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    cookie: Cookie | None = None


Handler = Callable[[Call], Awaitable[Answer]]


@attrs.frozen(kw_only=True)
class Query:
    """One query parameter, for the documents."""

    name: str
    doc: str
    integer: bool = False
    required: bool = False
    choices: tuple[str, ...] = ()


PAGING = (
    Query(name="after", doc="the cursor after which the page begins", integer=True),
    Query(name="limit", doc=f"1 to {MAX_LIMIT}, {DEFAULT_LIMIT} when left out", integer=True),
    Query(name="newest", doc="true: the last page instead of the first", choices=("true", "false")),
)


@attrs.frozen(kw_only=True)
class Route:
    """One row of the table. ``body``: the type of the JSON body. ``answer``: what a success carries, for the documents.

    remember: a change that the database remembers by Idempotency-Key. lenient: whatever is wrong with the body is 422,
    whatever its content type. grace: an expired token may do while the database is away. other: what further statuses
    carry. refusals: statuses of errors that do not follow from the rest of the row. sets: headers of a success. cookie:
    the refresh cookie says who calls. media: texts it also answers, by Accept.
    """

    method: str
    path: str
    handler: Handler
    doc: str
    caller: Caller = Caller.PERSON
    role: Role = Role.VIEWER
    body: type | None = None
    optional_body: bool = False
    answer: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    if_match: bool = False
    remember: bool = False
    seal_answer: bool = False
    lenient: bool = False
    grace: bool = False
    csv: bool = False
    media: tuple[str, ...] = ()
    other: Mapping[int, Any] = attrs.field(factory=dict)
    refusals: tuple[int, ...] = ()
    sets: tuple[str, ...] = ()
    cookie: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"<([a-z_]+)>", self.path)

    @property
    def name(self) -> str:
        """A name unlike every other route's."""
        words = re.sub(r"[^a-z]+", "_", self.path.removeprefix("/api").lower()).strip("_")
        return f"{self.method.lower()}_{words}"
