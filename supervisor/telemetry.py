"""One report shape for everything a supervisor does, and the fixed list of things it reports.

Other parts export these (log, metrics) by observing; nothing here knows where they go. The standard logger
`supervisor` gets every report at the level of its event; `event`, `supervisor` and `actor` are fields of the record.
"""

import enum
import logging
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from supervisor.reason import ExitReason

__all__ = ["LEVELS", "Event", "Observer", "Report", "Telemetry"]

logger = logging.getLogger("supervisor")


class Event(enum.Enum):
    """The whole list. Adding to it is an interface change."""

    __hash__ = object.__hash__  # members are singletons, and the inherited hash is a Python function

    CHILD_STARTED = "child_started"
    CHILD_START_FAILED = "child_start_failed"
    CHILD_IGNORED = "child_ignored"
    CHILD_ENDED = "child_ended"
    CHILD_CRASHED = "child_crashed"
    RESTART_SCHEDULED = "restart_scheduled"
    CHILD_RESTARTED = "child_restarted"
    CHILD_STOPPED = "child_stopped"
    CHILD_CANCELLED = "child_cancelled"
    SHUTDOWN_ERROR = "shutdown_error"
    STUCK_CHILD = "stuck_child"
    INTENSITY_EXCEEDED = "intensity_exceeded"
    AUTO_SHUTDOWN = "auto_shutdown"
    SYSTEM_STARTED = "system_started"
    SYSTEM_STOPPING = "system_stopping"
    SYSTEM_DEADLINE = "system_deadline"
    SYSTEM_STOPPED = "system_stopped"


LEVELS: Final[Mapping[Event, int]] = {
    Event.CHILD_STARTED: logging.DEBUG,
    Event.CHILD_START_FAILED: logging.ERROR,
    Event.CHILD_IGNORED: logging.INFO,
    Event.CHILD_ENDED: logging.DEBUG,
    Event.CHILD_CRASHED: logging.ERROR,
    Event.RESTART_SCHEDULED: logging.WARNING,
    Event.CHILD_RESTARTED: logging.WARNING,
    Event.CHILD_STOPPED: logging.DEBUG,
    Event.CHILD_CANCELLED: logging.WARNING,
    Event.SHUTDOWN_ERROR: logging.ERROR,
    Event.STUCK_CHILD: logging.CRITICAL,
    Event.INTENSITY_EXCEEDED: logging.CRITICAL,
    Event.AUTO_SHUTDOWN: logging.INFO,
    Event.SYSTEM_STARTED: logging.INFO,
    Event.SYSTEM_STOPPING: logging.INFO,
    Event.SYSTEM_DEADLINE: logging.CRITICAL,
    Event.SYSTEM_STOPPED: logging.INFO,
}


@attrs.frozen(kw_only=True)
class Report:
    """at: seconds on trio's clock. seconds: a delay or a duration, where the event has one."""

    at: float
    event: Event
    supervisor: str
    child: str = ""
    incarnation: int = 0
    reason: ExitReason | None = None
    detail: str = ""
    seconds: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.event.value} {self.child or self.supervisor}"]
        if self.incarnation:
            parts.append(f"#{self.incarnation}")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.3g} s")
        if self.reason is not None:
            parts.append(f"({self.reason})")
        if self.detail:
            parts.append(self.detail)
        return " ".join(parts)


Observer = Callable[[Report], object]


class Telemetry:
    """Sync fan-out of reports, in the order they happen."""

    __slots__ = ("_counts", "_observers")

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._counts: dict[Event, int] = dict.fromkeys(Event, 0)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer(report)` for every report from now on; returns the function that ends it."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer) if observer in self._observers else None

    def count(self, event: Event) -> bool:
        """Count an event; True if somebody wants its report."""
        self._counts[event] += 1
        return bool(self._observers) or logger.isEnabledFor(LEVELS[event])

    def emit(self, report: Report) -> None:
        """Hand out a report whose event has been counted."""
        level = LEVELS[report.event]
        if logger.isEnabledFor(level):
            error = report.reason.error if report.reason is not None else None
            facts = {"event": report.event.value, "supervisor": report.supervisor, "actor": report.child}
            logger.log(level, "%s", report, exc_info=error if level >= logging.ERROR else None, extra=facts)
        for observer in tuple(self._observers):
            try:
                observer(report)
            except Exception:  # an observer must never take a supervisor down
                if observer in self._observers:  # it may have failed before, inside of this very call
                    self._observers.remove(observer)
                logger.exception("observer %r failed and was removed", observer)

    def counts(self) -> Mapping[Event, int]:
        """How often each event happened."""
        return dict(self._counts)
