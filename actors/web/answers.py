"""From what a handler answers to what goes over the wire."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from actors.web.table import Answer, Text
from wire.codec import encode, unstructure

JSON = "application/json"
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@attrs.frozen(kw_only=True)
class Listing:
    """A page of a list, newest last. ``next``: the cursor to go on from, None at the end."""

    items: Sequence[Any]
    next: str | None = None


class Page(Protocol):
    """A page as a repository gives it."""

    @property
    def items(self) -> Sequence[Any]: ...
    @property
    def next(self) -> int | None: ...


def listing(page: Page) -> Answer:
    return Answer(value=Listing(items=page.items, next=None if page.next is None else str(page.next)))


def content_of(answer: Answer, *, as_csv: bool = False) -> tuple[str, str]:
    """The body and its media type."""
    match answer.value:
        case None:
            return "", JSON
        case Text():
            return answer.value.content, answer.value.mime
        case Listing() if as_csv:
            return table_of(answer.value.items), "text/csv; charset=utf-8"
        case Listing():
            following = "null" if answer.value.next is None else encode(answer.value.next)
            return f'{{"items":{_array(answer.value.items)},"next":{following}}}', JSON
        case list():
            return _array(answer.value), JSON
        case value:
            return encode(value, nulls=True), JSON


def _array(items: Sequence[Any]) -> str:
    return f"[{','.join(encode(item, nulls=True) for item in items)}]"


def table_of(items: Sequence[Any]) -> str:
    """CSV with a line of names. A text that a spreadsheet would run as a formula gets a quote in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    rows = [unstructure(item, nulls=True) for item in items]
    if rows:
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return value if isinstance(value, int | float) else encode(value)
