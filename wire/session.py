"""The sessions of both sides of an engine link, pure: no input or output, no clock of their own. Import from here."""

from wire.base_session import BaseSession, SessionStatistics
from wire.closing import CloseCode, may_reconnect
from wire.engine_session import EngineSession, Vitals
from wire.events import Acknowledged, CloseLink, Event, LeaseGranted, Lost, Received, Refused, Rejected, State
from wire.outbox import Outbox
from wire.platform_session import Detached, Offer, PlatformSession

__all__ = [
    "Acknowledged",
    "BaseSession",
    "CloseCode",
    "CloseLink",
    "Detached",
    "EngineSession",
    "Event",
    "LeaseGranted",
    "Lost",
    "Offer",
    "Outbox",
    "PlatformSession",
    "Received",
    "Refused",
    "Rejected",
    "SessionStatistics",
    "State",
    "Vitals",
    "may_reconnect",
]
