"""Close codes of the links: up to 4499 reconnect, 4500 to 4999 stop and show a person. The reason is an error code."""

from enum import IntEnum


class CloseCode(IntEnum):
    NORMAL = 1000
    TOO_LARGE = 1009
    BUG = 1011
    DRAINING = 4000
    TIMEOUT = 4008
    SEQUENCE_GAP = 4009
    SESSION_UNKNOWN = 4010
    OVERLOADED = 4013
    IN_USE = 4023
    SLOW_CONSUMER = 4029
    RATE_LIMITED = 4030
    TOKEN_EXPIRED = 4101
    SUPERSEDED = 4501
    FORBIDDEN = 4503
    AUTH_INVALID = 4504
    VERSION = 4506
    MALFORMED = 4507
    DEREGISTERED = 4511

    @property
    def reason(self) -> str:
        """What is written into the close frame, for instance ``error_sequence_gap``."""
        return f"error_{self.name.lower()}"


def may_reconnect(code: int) -> bool:
    """Whether a client that was closed with ``code`` (1006: the connection broke) tries again by itself."""
    return not 4500 <= code <= 4999
