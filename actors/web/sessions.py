"""Whose token counts no more although it is still good: logged out, disabled, given another role or password.

Kept in memory, so that it also holds while the database is away; filled from the database when that is there. It
reaches as far back as an expired token may still take a stop (12 hours past its end).
"""

from collections import OrderedDict

from wire.tokens import Claims

KEEP = 13 * 3600.0
"""Seconds an ended session is remembered: 12 h of grace, the life of a token and some leeway."""
CAPACITY = 100_000


class Denied:
    """Sessions that ended, and the lowest generation of tokens that counts for each user. ``now`` is UNIX time."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._generations: dict[str, int] = {}

    def end_session(self, session_id: str, now: float) -> None:
        """Denies every token of one login."""
        self._sessions[session_id] = now
        self._sessions.move_to_end(session_id)
        while self._sessions and (len(self._sessions) > CAPACITY or now - next(iter(self._sessions.values())) > KEEP):
            self._sessions.popitem(last=False)

    def require_generation(self, subject: str, generation: int) -> None:
        """Denies the tokens of a user (or engine) that were issued under an earlier generation."""
        self._generations[subject] = max(generation, self._generations.get(subject, 0))

    def generation(self, subject: str) -> int:
        """The generation new tokens of this subject have to carry."""
        return self._generations.get(subject, 0)

    def refuses(self, claims: Claims) -> bool:
        """Whether a correctly signed token must not be accepted."""
        if claims.generation < self._generations.get(claims.sub, 0):
            return True
        return claims.family is not None and claims.family in self._sessions

    def __len__(self) -> int:
        return len(self._sessions) + len(self._generations)
