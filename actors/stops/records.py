"""Where stops are kept: what the coordinator needs of the journal, the database and the audit chain, as one interface.

Its methods may wait, fail or hang; the coordinator calls them from tasks of their own, never on the way of a stop.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import attrs

from actors.requests import Principal
from actors.stops.cases import Case
from actors.stops.effects import RecordStop, Words
from actors.stops.plans import ReleasePlan
from wire.rest.stops import Stop
from wire.stops import Entry


class NotKept(Exception):
    """The copy was not written. ``reason`` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen(kw_only=True)
class ReleaseNote:
    """A release as it is written down: the plan, the case it carries out, who approved, and the stop that it ends."""

    plan: ReleasePlan
    entry: Entry
    words: Words
    case: Case
    approved_by: Principal
    at: datetime


class StopRecords(Protocol):
    async def write_journal(self, stops: Sequence[RecordStop]) -> None:
        """Returns when all are on stable storage. Raises NotKept."""

    async def save_stop(self, stop: Stop) -> None:
        """The stop with its progress, merged into the database. Raises NotKept."""

    async def read_stop(self, stop_id: str) -> Stop | None:
        """The stop with all that the database knows of it; None: it has none of this id. Raises NotKept."""

    async def risk_users(self) -> list[str]:
        """The ids of all enabled users who may release. Raises NotKept."""

    async def note_case(self, case: Case) -> None:
        """A request for a release, with its audit record. Raises NotKept."""

    async def settle_case(self, case: Case) -> None:
        """How a request ended: released, or void even if it was approved. Raises NotKept."""

    async def reserve_release(self, note: ReleaseNote) -> None:
        """The stop as it is open and the release's epoch in the journal, fsynced, and nothing of the release itself: a
        journal that a crash leaves without the seal is then not older than the database. Raises NotKept."""

    async def commit_release(self, note: ReleaseNote, kept: Sequence[Stop]) -> None:
        """The release, the waived engines' stops and the audit record, in one transaction; the case is then approved.

        Raises NotKept.
        """

    async def seal_release(self, note: ReleaseNote) -> None:
        """The same in the journal, fsynced: the commit point. Raises NotKept."""
