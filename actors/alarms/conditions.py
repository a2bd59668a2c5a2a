"""What people must know without having asked: conditions found in facts, raised once each time they begin. Pure.

A condition that lasts is one alert, not one a second; when it ends and begins again it is another. The alert itself
stays open until a named person acknowledges it, however short the condition was.
"""

from collections.abc import Iterable

import attrs

from actors.stops.effects import RaiseAlert
from wire.rest.engines import Connection
from wire.rest.records import Degraded
from wire.values import BrokerToken

ENGINE_MEMORY_PERCENT = 90.0
ENGINE_CPU_PERCENT = 95.0
MACHINE_MEMORY_PERCENT = 95.0
DESCRIPTORS_PERCENT = 90.0
DISK_FREE_BYTES = 512 * 1024 * 1024
REFUSALS = 5
BUSY_SECONDS = 60.0
"""An engine that is busy for shorter, or a broker token that is renewed sooner, is nobody's business."""
LOST_SECONDS = 15.0
"""Also after a restart of the platform: engines get as long to come back as they had before."""
DEGRADED_SECONDS = 1.0
"""Little, because finding out takes seconds already: an alert has five seconds from the event (RTS 6, article 16)."""


@attrs.frozen(kw_only=True)
class Exposure:
    """What is at stake at an engine as it said last; None where it never said."""

    positions: int | None = None
    orders: int | None = None

    @property
    def is_known(self) -> bool:
        return self.positions is not None and self.orders is not None

    @property
    def is_open(self) -> bool:
        """Something is surely at stake."""
        return bool(self.positions) or bool(self.orders)

    def __str__(self) -> str:
        if not self.is_known:
            return "its positions are not known"
        return f"{self.positions} positions and {self.orders} working orders when it was last heard"


@attrs.frozen(kw_only=True)
class EngineFacts:
    """One engine at one moment. ``away``: seconds since it was heard, None while it is; ``stop_id``: an open stop whose
    part at this engine is unreachable; ``returning``: the platform has just started, and the engine may be on its way;
    ``refusals``: wrong secrets of the last minutes."""

    engine_id: str
    connection: Connection
    away: float | None = None
    said_goodbye: bool = False
    exposure: Exposure = Exposure()
    stop_id: str | None = None
    returning: bool = False
    skew_ms: int | None = None
    broker_token: BrokerToken = BrokerToken.NONE
    cpu_usage: float | None = None
    memory_usage: float | None = None
    refusals: int = 0


@attrs.frozen(kw_only=True)
class MachineFacts:
    """The platform's own machine; percent and bytes. None where the machine does not say."""

    memory_percent: float | None = None
    descriptors_percent: float | None = None
    disk_free: int | None = None


@attrs.frozen(kw_only=True)
class Condition:
    """``hold``: seconds it has to last before anybody hears of it."""

    alert: RaiseAlert
    hold: float = 0.0

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two findings the same condition: not their words, which carry changing numbers."""
        return self.alert.code, self.alert.engine_id or "", self.alert.stop_id


def of_engine(facts: EngineFacts) -> list[Condition]:
    """Everything that is wrong with one engine."""
    return [c for c in (_lost(facts), _stopped_away(facts), *_tired(facts), *_refused(facts)) if c]


def not_judged(engine_id: str, why: str) -> Condition:
    """What is wrong with an engine, and whether it has to be stopped, could not be found out."""
    words = f"{engine_id}: its triggers cannot be judged: {why}"
    alert = RaiseAlert(code="error_triggers_not_judged", severity="warning", reason=words, engine_id=engine_id)
    return Condition(alert=alert)


def _lost(facts: EngineFacts) -> Condition | None:
    if facts.connection is not Connection.OFFLINE or facts.away is None:
        return None
    if facts.said_goodbye:
        return _engine("error_left_exposed", "warning", facts, f"ended: {facts.exposure}") if _exposed(facts) else None
    if facts.away < LOST_SECONDS:
        return None
    severity = "critical" if _exposed(facts) else "warning"
    return _engine("error_engine_lost", severity, facts, f"not heard since {facts.away:.0f} s: {facts.exposure}")


def _stopped_away(facts: EngineFacts) -> Condition | None:
    """A stop waits for an engine that does not answer and has something at stake."""
    if facts.stop_id is None or facts.returning or not _exposed(facts):
        return None
    reason = f"{facts.engine_id} cannot be reached by an open stop: {facts.exposure}; go to the broker's own screen"
    return Condition(
        alert=RaiseAlert(
            code="error_unreachable_exposed",
            severity="critical",
            reason=reason,
            engine_id=facts.engine_id,
            stop_id=facts.stop_id,
        )
    )


def _tired(facts: EngineFacts) -> list[Condition | None]:
    """Resource exhaustion is said while there is still time to act."""
    found: list[Condition | None] = []
    if facts.memory_usage is not None and facts.memory_usage > ENGINE_MEMORY_PERCENT:
        found.append(_engine("error_engine_memory", "critical", facts, f"memory {facts.memory_usage:.0f} %", 10.0))
    if facts.cpu_usage is not None and facts.cpu_usage > ENGINE_CPU_PERCENT:
        found.append(_engine("error_engine_cpu", "warning", facts, f"CPU {facts.cpu_usage:.0f} %", BUSY_SECONDS))
    return found


def _refused(facts: EngineFacts) -> list[Condition | None]:
    """Somebody has to look: retrying will not help."""
    found: list[Condition | None] = []
    if facts.broker_token is BrokerToken.INVALID:
        reason = "its broker refuses the access token"
        found.append(_engine("error_broker_auth", "critical", facts, reason, BUSY_SECONDS))
    if facts.refusals >= REFUSALS:
        reason = f"{facts.refusals} wrong secrets in its name within five minutes"
        found.append(_engine("error_engine_auth", "critical", facts, reason))
    return found


def _exposed(facts: EngineFacts) -> bool:
    """What is not known may be there."""
    return facts.exposure.is_open or not facts.exposure.is_known


def _engine(code: str, severity: str, facts: EngineFacts, reason: str, hold: float = 0.0) -> Condition:
    words = f"{facts.engine_id}: {reason}"
    return Condition(alert=RaiseAlert(code=code, severity=severity, reason=words, engine_id=facts.engine_id), hold=hold)


def of_machine(facts: MachineFacts) -> list[Condition]:
    found: list[Condition] = []
    if facts.memory_percent is not None and facts.memory_percent > MACHINE_MEMORY_PERCENT:
        found.append(_platform("error_machine_memory", f"memory {facts.memory_percent:.0f} % used", 10.0))
    if facts.descriptors_percent is not None and facts.descriptors_percent > DESCRIPTORS_PERCENT:
        reason = f"{facts.descriptors_percent:.0f} % of the open files this process may have are used"
        found.append(_platform("error_descriptors", reason, 0.0))
    if facts.disk_free is not None and facts.disk_free < DISK_FREE_BYTES:
        reason = f"{facts.disk_free // 2**20} MiB left on the disk of the home folder"
        found.append(_platform("error_disk_space", reason, 0.0))
    return found


def of_parts(parts: Iterable[Degraded]) -> list[Condition]:
    """A part of the platform that does not work as it should: database, journal, audit, event loop."""
    return [_part(part) for part in parts]


def _part(part: Degraded) -> Condition:
    code = f"error_degraded_{''.join(c if c.isalnum() else '_' for c in part.part.lower())}"[:64]
    return _platform(code, f"{part.part}: {part.reason}", DEGRADED_SECONDS)


def _platform(code: str, reason: str, hold: float) -> Condition:
    return Condition(alert=RaiseAlert(code=code, severity="critical", reason=reason), hold=hold)


class Vigil:
    """Remembers which conditions last, and says each of them once. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, str | None], float] = {}
        self._said: dict[tuple[str, str, str | None], str] = {}

    def look(self, conditions: Iterable[Condition], now: float) -> list[RaiseAlert]:
        """What has to be said now. A condition that got worse (a higher severity) is said again."""
        found = {condition.key: condition for condition in conditions}
        self._since = {key: self._since.get(key, now) for key in found}
        self._said = {key: severity for key, severity in self._said.items() if key in found}
        news: list[RaiseAlert] = []
        for key, condition in found.items():
            severity = condition.alert.severity
            if now - self._since[key] < condition.hold or _RANK[self._said.get(key, "")] >= _RANK[severity]:
                continue
            self._said[key] = severity
            news.append(condition.alert)
        return news


_RANK = {"": -1, "info": 0, "warning": 1, "error": 2, "critical": 3}
