"""Writes what is made from the message classes: `python tools/reference.py`; a test tells when it is stale.

``wire.schema.json`` the frames of both links, ``openapi.json`` the REST face, ``asyncapi.json`` the links, and the
types and sentences of the dashboard.
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from actors.web.documents import openapi, program_version, text_of  # noqa: E402 - made importable by the path above
from actors.web.routes import ROUTES  # noqa: E402
from wire.asyncapi import asyncapi  # noqa: E402
from wire.bundle import bundle  # noqa: E402

from tools.typescript import enums, phrases, shapes  # noqa: E402 isort: skip

OUTPUTS: dict[str, Callable[[], str]] = {
    "docs/reference/wire.schema.json": lambda: text_of(bundle()),
    "docs/reference/openapi.json": lambda: text_of(openapi(ROUTES)),
    "docs/reference/asyncapi.json": lambda: text_of(asyncapi(program_version())),
    "ui/src/i18n/phrases.ts": phrases,
    "ui/src/wire/enums.ts": lambda: enums(ROUTES),
    "ui/src/wire/generated.ts": lambda: shapes(ROUTES),
}


def main() -> None:
    for name, made in OUTPUTS.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
