"""Decisions that the journal has and the audit log may lack: a platform that died told its database about them last.

The audit log takes an entry once, by the id that follows from its decision, so what is found here may simply be told
again. Pure.
"""

from collections.abc import Iterable
from datetime import datetime

import attrs

from actors.stops.effects import AuditStop
from actors.stops.run import PLATFORM, WAIVED
from store.journal_records import Genesis, Record, StopNoted
from wire.stops import Level


def decisions(records: Iterable[Record], now: datetime) -> list[AuditStop]:
    """Every stop that was taken or raised, in the order in which it was written down.

    The stop of a waived engine is told by the entry of the release that left it. Of a stop that was sent again as it
    was, the journal does not say by whom: the entry is the platform's own.
    """
    highest: dict[str, Level] = {}
    found: dict[str, AuditStop] = {}
    for stop in _noted(records):
        before = highest.get(stop.stop_id)
        if stop.cause != WAIVED:
            told = _told(stop, before, now)
            found.setdefault(told.id, told)
        highest[stop.stop_id] = max(stop.level, before or stop.level)
    return list(found.values())


def _noted(records: Iterable[Record]) -> Iterable[StopNoted]:
    for record in records:
        if isinstance(record, Genesis):
            yield from record.stops
        elif isinstance(record, StopNoted):
            yield record


def _told(stop: StopNoted, before: Level | None, now: datetime) -> AuditStop:
    first = AuditStop(
        action="stop.taken",
        stop_id=stop.stop_id,
        epoch=stop.stop_epoch,
        actor=stop.user_id,
        at=stop.at,
        detail=f"{stop.scope} {stop.level.value} {stop.reason}".strip(),
        drill=stop.drill,
    )
    if before is None:
        return first
    if stop.level > before:
        return attrs.evolve(first, action="stop.raised", at=now)
    return attrs.evolve(first, action="stop.again", actor=PLATFORM, at=now)
