"""Stops that no person asks for: an engine that vanished with open positions, an engine whose clock cannot be trusted.

Pure. A trigger fires once in an episode: it asks for a stop under an id that follows from the episode alone, so that a
person who has released the stop meanwhile does not get a second one. The episode of an engine that vanished begins when
it was heard last, which outlives a restart of the platform; a clock that is off, or an engine that cannot be judged, is
an episode of this process: a platform that restarts in the middle of it judges anew, and may stop once more.
What cannot be evaluated counts as a warning at once and stops new positions when the time is over.
"""

import hashlib
import re
from datetime import datetime

import attrs

from actors.alarms.conditions import EngineFacts
from actors.errors import Refused
from actors.stops.run import TRIGGERED
from wire.rest.stops import StopRequest
from wire.stops import Level, Scope

ENGINE_LOST = "engine_lost"
CLOCK_SKEW = "clock_skew"
NOT_JUDGED = "not_judged"
NOT_JUDGED_SECONDS = 60.0
"""As long as an engine may be away: who cannot be judged may be exactly that."""
SKEW_HOLD_SECONDS = 15.0
"""Three heartbeats: a clock that is just being set is left alone."""
_LEVELS = {level.value: level for level in (Level.REDUCE_ONLY, Level.HALT, Level.CANCEL, Level.FLATTEN)}


@attrs.frozen(kw_only=True)
class Rule:
    """``level`` None: never. ``threshold``: seconds away, or milliseconds of skew."""

    level: Level | None
    threshold: float

    @classmethod
    def parse(cls, text: str, name: str) -> "Rule":
        """``off``, or a level and a number: ``HALT 60``. Raises Refused naming the setting."""
        if text.strip().lower() == "off":
            return cls(level=None, threshold=0.0)
        match = re.fullmatch(r"\s*([A-Za-z_]+)\s+([0-9]{1,7})\s*", text, re.ASCII)
        level = _LEVELS.get(match[1].upper()) if match else None
        if match is None or level is None or int(match[2]) == 0:
            raise Refused(f"{name} must be off, or a level and a number like HALT 60; levels: {', '.join(_LEVELS)}")
        return cls(level=level, threshold=float(match[2]))

    def __str__(self) -> str:
        return "off" if self.level is None else f"{self.level.value} {self.threshold:g}"


@attrs.frozen(kw_only=True)
class TriggerRules:
    """``engine_lost``: seconds without a word from an engine that has something at stake; longer than its lease, so
    that it halted itself long ago. ``clock_skew``: milliseconds between the engine's clock and ours."""

    engine_lost: Rule = Rule(level=Level.HALT, threshold=60.0)
    clock_skew: Rule = Rule(level=Level.REDUCE_ONLY, threshold=5_000.0)


@attrs.frozen(kw_only=True)
class Trigger:
    """A stop to be taken. ``cause`` names the trigger; the request says its inputs and how old they are."""

    cause: str
    request: StopRequest


class Triggers:
    """Which episodes have fired already. ``now`` is monotonic seconds, ``wall`` the time for people."""

    def __init__(self, rules: TriggerRules) -> None:
        self._rules = rules
        self._fired: set[str] = set()
        self._skewed_since: dict[str, tuple[float, datetime]] = {}
        self._unjudged_since: dict[str, tuple[float, datetime]] = {}

    def look(self, facts: EngineFacts, away_since: datetime | None, now: float, wall: datetime) -> Trigger | None:
        """``away_since``: when the engine was heard last; it survives restarts, and so does the episode's id."""
        self._unjudged_since.pop(facts.engine_id, None)
        return self._lost(facts, away_since) or self._skewed(facts, now, wall)

    def unjudged(self, engine_id: str, why: str, now: float, wall: datetime) -> Trigger | None:
        """Looking failed: nobody can say that a trigger does not hold. Where all of them are off, nothing was asked."""
        if self._rules.engine_lost.level is None and self._rules.clock_skew.level is None:
            return None
        since, begun = self._unjudged_since.setdefault(engine_id, (now, wall))
        if now - since < NOT_JUDGED_SECONDS:
            return None
        reason = f"its triggers cannot be judged since {now - since:.0f} s: {why}"
        return self._fire(NOT_JUDGED, engine_id, Level.REDUCE_ONLY, reason, begun)

    def _lost(self, facts: EngineFacts, since: datetime | None) -> Trigger | None:
        rule = self._rules.engine_lost
        if rule.level is None or facts.away is None or since is None or facts.said_goodbye:
            return None
        if facts.away < rule.threshold or (facts.exposure.is_known and not facts.exposure.is_open):
            return None
        level = rule.level if facts.exposure.is_known else min(rule.level, Level.REDUCE_ONLY)
        reason = f"not heard for {facts.away:.0f} s (limit {rule.threshold:g} s): {facts.exposure}"
        return self._fire(ENGINE_LOST, facts.engine_id, level, reason, since)

    def _skewed(self, facts: EngineFacts, now: float, wall: datetime) -> Trigger | None:
        rule = self._rules.clock_skew
        if rule.level is None or facts.skew_ms is None or abs(facts.skew_ms) < rule.threshold or facts.away is not None:
            self._skewed_since.pop(facts.engine_id, None)
            return None
        since, begun = self._skewed_since.setdefault(facts.engine_id, (now, wall))
        if now - since < SKEW_HOLD_SECONDS:
            return None
        reason = (
            f"its clock is off by {facts.skew_ms} ms (limit {rule.threshold:g} ms) since {now - since:.0f} s,"
            " smallest of the last 8 heartbeats"
        )
        return self._fire(CLOCK_SKEW, facts.engine_id, rule.level, reason, begun)

    def _fire(self, name: str, engine_id: str, level: Level, reason: str, episode: datetime) -> Trigger | None:
        of_episode = hashlib.blake2b(f"{engine_id}|{episode.isoformat()}".encode(), digest_size=16).hexdigest()
        request_id = f"{name}-{of_episode}"
        if request_id in self._fired:
            return None
        self._fired.add(request_id)
        request = StopRequest(request_id=request_id, scope=Scope.of_engine(engine_id), level=level, reason=reason[:500])
        return Trigger(cause=f"{TRIGGERED}{name}", request=request)
