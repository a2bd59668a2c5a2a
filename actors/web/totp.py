"""Time-based one-time codes (RFC 6238: SHA-1, six digits, 30 s), one step of tolerance to both sides."""

import hashlib
import hmac

STEP = 30


def code(secret: bytes, step: int) -> str:
    """The six digits of one time step (RFC 4226, 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def matches(secret: bytes, given: str, now: float) -> bool:
    """Whether ``given`` is the code of this moment. ``now`` is UNIX time."""
    step = int(now // STEP)
    wanted = [code(secret, step + shift) for shift in (-1, 0, 1)]
    return any([hmac.compare_digest(each, given.strip()) for each in wanted if given.isascii()])
