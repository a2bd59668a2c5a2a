"""Columns for a terminal. Foreign text cannot move the cursor."""

import sys
import unicodedata
from collections.abc import Sequence


def show(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under their heads, each column as wide as it needs."""
    texts = [[_clean("—" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(_width(line[i]) for line in (list(head), *texts)) for i in range(len(head))]
    for line in (list(head), *texts):
        print("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip())


def line(text: str) -> None:
    """Prints one line at once, also into a pipe."""
    print(_clean(text), flush=True)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _width(text: str) -> int:
    """Columns on a terminal: Hangul and other wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def complain(text: str) -> None:
    print(f"watchkeeper: {_clean(text)}", file=sys.stderr, flush=True)
