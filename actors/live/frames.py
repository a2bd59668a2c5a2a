"""Finished frames of the UI link: written and encoded once, whoever gets them.

A server's frames are not masked, so the very bytes are the same for every browser.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

import attrs

from wire.framing import text_frame


@attrs.frozen(eq=False)
class Frame:
    """One message."""

    text: str

    @cached_property
    def data(self) -> bytes:
        """The WebSocket frame around it."""
        return text_frame(self.text)


@attrs.frozen(eq=False)
class Frames:
    """Messages that leave together, in this order."""

    parts: tuple[Frame, ...]

    @cached_property
    def data(self) -> bytes:
        return self.parts[0].data if len(self.parts) == 1 else b"".join(part.data for part in self.parts)

    @property
    def texts(self) -> Iterable[str]:
        return (part.text for part in self.parts)


class Way(Protocol):
    """How frames leave for one browser. After ``post`` said False, ``flush`` comes before the next ``post``."""

    def post(self, frames: Frames) -> bool:
        """Takes the frames and writes what the socket takes without waiting. Whether all of it is out. Never raises."""

    async def flush(self) -> None:
        """Writes the rest. Always a checkpoint. Raises trio.ClosedResourceError when the link takes no frames more."""


def frame(type_name: str, payload: str, at: datetime | None = None) -> str:
    """An envelope of the UI link around a payload that is encoded already."""
    stamp = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
    return f'{{"type":"{type_name}","timestamp":"{stamp}","payload":{payload}}}'
