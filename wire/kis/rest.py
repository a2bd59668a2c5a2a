"""One REST call: its headers, and its answer read in the order the broker demands (body codes before HTTP status).

The bodies themselves are in ``wire.kis.oauth``, ``wire.kis.trading`` and ``wire.kis.quotes``, the ids in
``wire.kis.codes``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from wire.errors import InvalidField, Malformed
from wire.kis.codes import Advice, advice
from wire.kis.fields import from_object, to_object

T = TypeVar("T")
JSON_TYPE = "application/json; charset=utf-8"


@attrs.frozen(kw_only=True)
class Credentials:
    """What goes into the headers of every call after the token call."""

    app_key: str = attrs.field(repr=False)
    app_secret: str = attrs.field(repr=False)
    token: str = attrs.field(repr=False)
    customer: str = "P"  # P person, B corporation


@attrs.frozen(kw_only=True)
class Cursor:
    """Where the next page of a list begins. The broker's texts are sent back verbatim, blanks included."""

    fk: str = ""
    nk: str = ""


@attrs.frozen(kw_only=True)
class Reply:
    """An answer of the broker. ``code`` is ``msg_cd``, or ``error_code`` of the token calls."""

    status: int
    succeeded: bool
    code: str
    text: str
    more: bool
    cursor: Cursor
    body: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def advice(self) -> Advice:
        """What the code asks the client to do."""
        return advice(self.code, succeeded=self.succeeded, status=self.status)

    def one(self, shape: type[T], name: str = "output") -> T:
        """The object ``name`` of the body; InvalidField when it is missing or wrong. A list of one counts as one."""
        found = self.body.get(name)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        return from_object(shape, found, where=name)

    def rows(self, shape: type[T], name: str = "output") -> list[T]:
        """The rows of the list ``name``; InvalidField when there is no such list (absence is not emptiness)."""
        found = self.body.get(name)
        if not isinstance(found, list):
            raise InvalidField("must be a list", field=name)
        return [from_object(shape, row, where=f"{name}[{i}]") for i, row in enumerate(found)]


def call_headers(credentials: Credentials, tr_id: str, *, next_page: bool = False) -> dict[str, str]:
    """The headers of a call; ``next_page`` asks for the page after the one whose cursor the query carries."""
    return {
        "content-type": JSON_TYPE,
        "authorization": f"Bearer {credentials.token}",
        "appkey": credentials.app_key,
        "appsecret": credentials.app_secret,
        "tr_id": tr_id,
        "custtype": credentials.customer,
        "tr_cont": "N" if next_page else "",
    }


def encode_body(shape: Any) -> bytes:
    """A request shape as a POST body."""
    return json.dumps(to_object(shape), ensure_ascii=False).encode()


def read_json(body: bytes | str) -> dict[str, Any]:
    """A JSON object. Malformed for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("the body is not a JSON object")
    return value


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """An answer of any endpoint. Header names must be lower-case. Malformed when the body is not the broker's.

    A token answer has no ``rt_cd``: it succeeded when it carries no ``error_code`` and the status is 200.
    """
    value = read_json(body)
    code = value.get("msg_cd", value.get("error_code", ""))
    text = value.get("msg1", value.get("error_description", ""))
    if not isinstance(code, str) or not isinstance(text, str):
        raise Malformed("the codes of an answer are strings")
    succeeded = value["rt_cd"] == "0" if "rt_cd" in value else "error_code" not in value and status == 200
    return Reply(
        status=status,
        succeeded=succeeded,
        code=code,
        text=text.strip(),
        more=headers.get("tr_cont", "") in ("F", "M"),
        cursor=Cursor(fk=_cursor(value, "ctx_area_fk100"), nk=_cursor(value, "ctx_area_nk100")),
        body=value,
    )


def _cursor(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    return value if isinstance(value, str) else ""


def answer(code: str, text: str, **outputs: Any) -> dict[str, Any]:
    """A success body. Each output is a shape, a sequence of shapes, or already a plain value (cursors)."""
    return {"rt_cd": "0", "msg_cd": code, "msg1": text} | {name: _plain(value) for name, value in outputs.items()}


def refusal(code: str, text: str) -> dict[str, str]:
    """A failure body of every endpoint but the token ones."""
    return {"rt_cd": "1", "msg_cd": code, "msg1": text}


def _plain(value: Any) -> Any:
    if isinstance(value, str | dict):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return to_object(value)
