"""How an attempt to reach the platform can end, and how long to wait before the next one. No input or output."""

import random

from wire.closing import may_reconnect

__all__ = ["DialFailed", "DialRefused", "LinkClosed", "may_reconnect", "reconnect_delay"]


class DialFailed(Exception):
    """No connection: refused, unreachable, too slow, or broken off during the handshake. Trying again may help."""


class DialRefused(Exception):
    """The platform answered the handshake with an HTTP status. 401 needs a new token, 403, 404 and 426 a person."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(f"{status} {error}: {reason}")
        self.status = status
        self.error = error
        self.reason = reason


class LinkClosed(Exception):
    """The link has ended. ``code`` 1006: it broke without a close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


def reconnect_delay(attempt: int, *, resumable: bool, rng: random.Random) -> float:
    """Seconds before attempt 0, 1, 2, …: full jitter up to 1, 2, 4 … 30 s, so that a fleet does not come back at once.

    The first retry of a session that can be resumed waits at most 1 s.
    """
    if resumable and attempt == 0:
        return rng.uniform(0, 1)
    return rng.uniform(0, min(30.0, 2.0 ** min(attempt, 10)))
