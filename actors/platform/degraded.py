"""Which parts of the platform do not work as they should, since when and why. Read by /readyz and the health topic."""

from datetime import UTC, datetime

from wire.rest.records import Degraded


class DegradedParts:
    """A part is degraded from the first report until it is restored; later reports only change the words."""

    def __init__(self) -> None:
        self._parts: dict[str, Degraded] = {}

    def report(self, part: str, reason: str, *, at: datetime | None = None) -> bool:
        """True when the part was fine until now."""
        known = self._parts.get(part)
        since = known.since if known else at or datetime.now(UTC)
        self._parts[part] = Degraded(part=part, since=since, reason=reason)
        return known is None

    def restored(self, part: str) -> bool:
        """True when the part was degraded until now."""
        return self._parts.pop(part, None) is not None

    def is_degraded(self, part: str) -> bool:
        return part in self._parts

    def parts(self) -> list[Degraded]:
        return sorted(self._parts.values(), key=lambda d: d.part)
