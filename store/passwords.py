"""Passwords: argon2id off the event loop, one at a time, the same work for a user that does not exist.

64 MiB and two passes (libsodium's "interactive", above ASVS appendix C) take about 60 ms of one core. One hash at a
time: sixteen at once starve the loop for seconds. Throttling belongs before this module.
"""

import secrets

import trio
from nacl import pwhash
from nacl.exceptions import CryptoError

LONGEST = 1024
_MEMORY = pwhash.argon2id.MEMLIMIT_INTERACTIVE
_PASSES = pwhash.argon2id.OPSLIMIT_INTERACTIVE


class Passwords:
    """Hashes and checks. ``memory`` in bytes and ``passes`` set the cost; tests lower them."""

    def __init__(self, *, memory: int = _MEMORY, passes: int = _PASSES) -> None:
        self._memory, self._passes = memory, passes
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """The text to store. Raises ValueError when the password is longer than 1024 bytes."""
        if len(password.encode()) > LONGEST:
            raise ValueError(f"a password has at most {LONGEST} bytes")
        return await trio.to_thread.run_sync(self._hash, password, limiter=self._one_at_a_time)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the right password. ``stored`` None (no such user): as slow, and always False."""
        if self._dummy is None:
            self._dummy = await self.hash(secrets.token_urlsafe(16))
        right = await trio.to_thread.run_sync(_matches, stored or self._dummy, password, limiter=self._one_at_a_time)
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost and should be made anew at the next login."""
        return f"$m={self._memory // 1024},t={self._passes},p=1$" not in stored

    def _hash(self, password: str) -> str:
        return pwhash.argon2id.str(password.encode(), opslimit=self._passes, memlimit=self._memory).decode()


def _matches(stored: str, password: str) -> bool:
    raw = password.encode(errors="surrogatepass")
    if len(raw) > LONGEST:  # the same work, the wrong answer
        raw = raw[:LONGEST] + b"\0"
    try:
        return bool(pwhash.verify(stored.encode(), raw))
    except (CryptoError, ValueError):
        return False
