"""An actor runtime for trio: OTP's supervision, typed messages, stable refs, everything testable in virtual time.

This module only re-exports, and imports a submodule when a name of it is first used: the pure policies (back-off,
breaker, budget) come without trio. Programs that must survive another distribution of this import name import from the
submodules, as the rest of this project does.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.actor import Actor, Context, Reply, SideTask, Timer, handles
    from supervisor.backoff import Backoff, Growth
    from supervisor.breaker import CircuitBreaker
    from supervisor.budget import RetryBudget
    from supervisor.bulkhead import Bulkhead, guarded, retrying
    from supervisor.cell import ActorState
    from supervisor.deadletter import DeadLetter, DeadLetters
    from supervisor.dynamic import DynamicSupervisor, TooManyChildren
    from supervisor.errors import (
        ActorDied,
        AskCycle,
        AskSelf,
        AskTimeout,
        BulkheadFull,
        CircuitOpen,
        DuplicateChild,
        HandlerError,
        Ignore,
        LinkBroken,
        MailboxFull,
        Refused,
        SpecError,
        StartError,
        SupervisorError,
        SystemFailed,
        Unhandled,
        UnknownActor,
        UnknownChild,
    )
    from supervisor.mailbox import Dropped, MailboxSpec, Overflow, Sent, Why
    from supervisor.message import DEFERRED, Request
    from supervisor.policy import AutoShutdown, Restart, Strategy
    from supervisor.pubsub import EncodeOnce, Topic
    from supervisor.reason import ExitKind, ExitReason
    from supervisor.recovery import ErrorRecoveryStrategy
    from supervisor.ref import ActorInfo, Down, Ref
    from supervisor.spec import BRUTAL, INFINITY, ChildSpec
    from supervisor.supervision import Supervisor
    from supervisor.system import System, open_system
    from supervisor.telemetry import Event, Report

__all__ = [
    "BRUTAL",
    "DEFERRED",
    "INFINITY",
    "Actor",
    "ActorDied",
    "ActorInfo",
    "ActorState",
    "AskCycle",
    "AskSelf",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "Bulkhead",
    "BulkheadFull",
    "ChildSpec",
    "CircuitBreaker",
    "CircuitOpen",
    "Context",
    "DeadLetter",
    "DeadLetters",
    "Down",
    "Dropped",
    "DuplicateChild",
    "DynamicSupervisor",
    "EncodeOnce",
    "ErrorRecoveryStrategy",
    "Event",
    "ExitKind",
    "ExitReason",
    "Growth",
    "HandlerError",
    "Ignore",
    "LinkBroken",
    "MailboxFull",
    "MailboxSpec",
    "Overflow",
    "Ref",
    "Refused",
    "Reply",
    "Report",
    "Request",
    "Restart",
    "RetryBudget",
    "Sent",
    "SideTask",
    "SpecError",
    "StartError",
    "Strategy",
    "Supervisor",
    "SupervisorError",
    "System",
    "SystemFailed",
    "Timer",
    "TooManyChildren",
    "Topic",
    "Unhandled",
    "UnknownActor",
    "UnknownChild",
    "Why",
    "guarded",
    "handles",
    "open_system",
    "retrying",
]

_HOME = {
    "Actor": "actor",
    "ActorDied": "errors",
    "ActorInfo": "ref",
    "ActorState": "cell",
    "AskCycle": "errors",
    "AskSelf": "errors",
    "AskTimeout": "errors",
    "AutoShutdown": "policy",
    "BRUTAL": "spec",
    "Backoff": "backoff",
    "Bulkhead": "bulkhead",
    "BulkheadFull": "errors",
    "ChildSpec": "spec",
    "CircuitBreaker": "breaker",
    "CircuitOpen": "errors",
    "Context": "actor",
    "DEFERRED": "message",
    "DeadLetter": "deadletter",
    "DeadLetters": "deadletter",
    "Down": "ref",
    "Dropped": "mailbox",
    "DuplicateChild": "errors",
    "DynamicSupervisor": "dynamic",
    "EncodeOnce": "pubsub",
    "ErrorRecoveryStrategy": "recovery",
    "Event": "telemetry",
    "ExitKind": "reason",
    "ExitReason": "reason",
    "Growth": "backoff",
    "HandlerError": "errors",
    "INFINITY": "spec",
    "Ignore": "errors",
    "LinkBroken": "errors",
    "MailboxFull": "errors",
    "MailboxSpec": "mailbox",
    "Overflow": "mailbox",
    "Ref": "ref",
    "Refused": "errors",
    "Reply": "actor",
    "Report": "telemetry",
    "Request": "message",
    "Restart": "policy",
    "RetryBudget": "budget",
    "Sent": "mailbox",
    "SideTask": "actor",
    "SpecError": "errors",
    "StartError": "errors",
    "Strategy": "policy",
    "Supervisor": "supervision",
    "SupervisorError": "errors",
    "System": "system",
    "SystemFailed": "errors",
    "Timer": "actor",
    "TooManyChildren": "dynamic",
    "Topic": "pubsub",
    "Unhandled": "errors",
    "UnknownActor": "errors",
    "UnknownChild": "errors",
    "Why": "mailbox",
    "guarded": "bulkhead",
    "handles": "actor",
    "open_system": "system",
    "retrying": "bulkhead",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
