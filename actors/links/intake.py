"""What one connection has read and not yet handed to the log writer. Pure."""

from datetime import datetime

from actors.links.dispatch import is_lossless, to_quarantine
from actors.platform.log_writer import Keep
from store.letters import DeadLetter
from store.logs import Received as ToKeep
from supervisor.ref import Ref
from wire.lines import Line, put
from wire.session import PlatformSession, Rejected

QUARANTINE_LIMIT = 256
"""How many malformed messages of one connection are kept to be looked at."""


class Intake:
    """Rows, their numbers, and how far was read."""

    __slots__ = ("_engine_id", "_numbers", "_quarantined", "_read_to", "_rows")

    def __init__(self, engine_id: str) -> None:
        self._engine_id = engine_id
        self._rows: Line[ToKeep] = ()
        self._numbers: Line[int] = ()
        self._read_to = 0
        self._quarantined = 0

    def keep(self, row: ToKeep | None, seq: int) -> None:
        """A message without a row is kept elsewhere; its number is confirmed in its place among the others."""
        self._read_to = seq
        if row is not None:
            self._rows, self._numbers = put(self._rows, row), put(self._numbers, seq)

    def set_aside(self, event: Rejected, *, session: str, at: datetime) -> DeadLetter | None:
        """What was nacked is no message, but a person shall see that it came: a row among the logs, or the dead letter
        that is returned.

        Of one connection at most ``QUARANTINE_LIMIT``; the alert tells of more. Conflated messages have successors.
        """
        if event.seq is None or self._quarantined == QUARANTINE_LIMIT or not is_lossless(event.type):
            return None
        self._quarantined += 1
        kept = to_quarantine(self._engine_id, event, session=session, at=at)
        if isinstance(kept, DeadLetter):
            return kept
        self.keep(kept, event.seq)
        return None

    def take(self, link: Ref, session: PlatformSession) -> Keep | None:
        """All of it, for the log writer; None where nothing was read."""
        if not self._read_to:
            return None
        keep = Keep(
            engine_id=self._engine_id,
            link=link,
            connection=session.connection,
            session=session.session,
            seq=self._read_to,
            rows=self._rows,
            numbers=self._numbers,
        )
        self._rows, self._numbers, self._read_to = (), (), 0
        return keep
