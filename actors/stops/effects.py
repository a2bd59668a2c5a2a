"""What the stop coordinator's decisions ask the world to do. Values only: whoever decides sends nothing itself."""

from datetime import datetime

import attrs

from wire.messages import EmergencyStop, Release
from wire.stops import Entry


@attrs.frozen(kw_only=True)
class Words:
    """Who wanted a stop and why. It travels with the stop into every copy, but decides nothing."""

    request_id: str
    user_id: str
    reason: str
    requested_at: datetime
    cause: str = "operator"
    drill: bool = False
    username: str | None = None

    @property
    def who(self) -> str:
        """For people to read: the name of the person, where it is known."""
        return self.username or self.user_id


@attrs.frozen(kw_only=True)
class SendStop:
    """To one engine's link, in its system lane."""

    engine_id: str
    message: EmergencyStop


@attrs.frozen(kw_only=True)
class SendRelease:
    engine_id: str
    message: Release


@attrs.frozen(kw_only=True)
class RecordStop:
    """Into the journal and the database: this is what makes the stop outlive the process."""

    stop_id: str
    entry: Entry
    words: Words


@attrs.frozen(kw_only=True)
class AuditStop:
    """For the audit chain, in the order of decision."""

    action: str
    stop_id: str
    epoch: int
    actor: str
    at: datetime
    detail: str
    degraded: bool = False
    """The person's token had expired, and was taken because the database was away."""
    drill: bool = False

    @property
    def id(self) -> str:
        """The same entry always has the same id: a decision is one action at one epoch of one stop."""
        return f"{self.stop_id}@{self.epoch}"[-64:]


@attrs.frozen(kw_only=True)
class RaiseAlert:
    code: str
    severity: str
    reason: str
    engine_id: str | None = None
    stop_id: str | None = None


@attrs.frozen(kw_only=True)
class StopChanged:
    """The view of this stop is another one now."""

    stop_id: str


Effect = SendStop | SendRelease | RecordStop | AuditStop | RaiseAlert | StopChanged
