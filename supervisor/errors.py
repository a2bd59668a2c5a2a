"""Everything this package raises.

Two families: `Misuse` is the caller's mistake and shows the right usage; `Failure` is what the world did.
Every error carries its facts as fields, so that a handler never has to read the text.
"""

from typing import Any

__all__ = [
    "ActorDied",
    "AskCycle",
    "AskSelf",
    "AskTimeout",
    "BulkheadFull",
    "CircuitOpen",
    "DuplicateChild",
    "Failure",
    "HandlerError",
    "Ignore",
    "LinkBroken",
    "MailboxFull",
    "Misuse",
    "Refused",
    "SpecError",
    "StartError",
    "SupervisorError",
    "SystemFailed",
    "Unhandled",
    "UnknownActor",
    "UnknownChild",
]


class SupervisorError(Exception):
    """The root of the tree. Only its leaves are raised."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "SupervisorError":
        if cls in (SupervisorError, Misuse, Failure):
            raise TypeError(f"{cls.__name__} is abstract: raise one of its leaves, e.g. {AskTimeout.__name__}")
        return super().__new__(cls)


class Misuse(SupervisorError):
    """The caller's mistake: a program has to be changed."""


class Failure(SupervisorError):
    """The world's failure: may happen to a correct program."""


class SpecError(Misuse, ValueError):
    """A specification that contradicts itself. `field` names the offender, `value` is what it held."""

    def __init__(self, field: str, value: object, why: str) -> None:
        super().__init__(f"{field}={value!r}: {why}")
        self.field = field
        self.value = value
        self.why = why


class HandlerError(Misuse, TypeError):
    """A class body whose handlers contradict each other."""


class AskSelf(Misuse):
    """An actor asked itself from its own handler, or sent into its own full mailbox: it would wait for itself."""

    def __init__(self, target: str, message: str) -> None:
        super().__init__(
            f"{target!r} would wait for itself to take {message}; call the method directly, or "
            "`self.context.self_ref.tell(...)`"
        )
        self.target = target
        self.message = message


class AskCycle(Misuse):
    """A ring of actors that would wait for each other. `path` is the ring, first and last being the caller."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(
            f"waiting for {message} closes the ring {' → '.join(path)}; let one of them tell and answer with a "
            "told message"
        )
        self.path = path
        self.message = message


class AskTimeout(Failure):
    """No reply within `timeout` seconds. The work may still be done; a late reply is dropped and counted."""

    def __init__(self, target: str, message: str, timeout: float, sender: str | None) -> None:
        super().__init__(f"{target!r} did not answer {message} within {timeout:g} s (asked by {sender or 'a task'})")
        self.target = target
        self.message = message
        self.timeout = timeout
        self.sender = sender


class ActorDied(Failure):
    """The callee ended before it answered, or was already gone. `reason` is its exit reason."""

    def __init__(self, target: str, message: str, reason: object) -> None:
        super().__init__(f"{target!r} ended before answering {message}: {reason}")
        self.target = target
        self.message = message
        self.reason = reason


class MailboxFull(Failure):
    """The callee's mailbox refused or evicted this request. `capacity` is in messages."""

    def __init__(self, target: str, message: str, capacity: int) -> None:
        super().__init__(f"mailbox of {target!r} (capacity {capacity}) dropped {message}")
        self.target = target
        self.message = message
        self.capacity = capacity


class Refused(Failure):
    """Base for answers that say no: raised by a handler of a `Request`, delivered to the asker; the actor lives on."""


class Unhandled(Refused):
    """The callee has no handler for this request."""

    def __init__(self, target: str, message: str, handled: tuple[str, ...]) -> None:
        super().__init__(f"{target!r} has no handler for {message}; it handles {', '.join(handled) or 'nothing'}")
        self.target = target
        self.message = message
        self.handled = handled


class StartError(Refused):
    """A child could not be started. `reason` is its exit reason; `__cause__` the original exception."""

    def __init__(self, child: str, reason: object) -> None:
        super().__init__(f"child {child!r} failed to start: {reason}")
        self.child = child
        self.reason = reason


class UnknownChild(Refused):
    """No child of this id."""

    def __init__(self, supervisor: str, child: str) -> None:
        super().__init__(f"supervisor {supervisor!r} has no child {child!r}")
        self.supervisor = supervisor
        self.child = child


class DuplicateChild(Refused):
    """A child of this id exists. `state` says whether it runs."""

    def __init__(self, supervisor: str, child: str, state: str) -> None:
        super().__init__(f"supervisor {supervisor!r} already has a child {child!r} ({state})")
        self.supervisor = supervisor
        self.child = child
        self.state = state


class UnknownActor(Misuse, LookupError):
    """No actor of this name in the system. `known` lists a few that exist."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no actor {name!r}; known: {', '.join(known) or 'none'}")
        self.name = name
        self.known = known


class LinkBroken(Failure):
    """A linked actor ended abnormally."""

    def __init__(self, linked: str, reason: object) -> None:
        super().__init__(f"linked actor {linked!r} ended: {reason}")
        self.linked = linked
        self.reason = reason


class SystemFailed(Failure):
    """The root supervisor gave up. `reason` is its exit reason, `__cause__` the original exception if there is one."""

    def __init__(self, system: str, reason: object) -> None:
        super().__init__(f"system {system!r} failed: {reason}")
        self.system = system
        self.reason = reason


class CircuitOpen(Failure):
    """The breaker lets no call through for another `remaining` seconds."""

    def __init__(self, remaining: float) -> None:
        super().__init__(f"circuit open for another {remaining:.3g} s")
        self.remaining = remaining


class BulkheadFull(Failure):
    """All `limit` places are taken and `queue` callers already wait."""

    def __init__(self, limit: int, queue: int) -> None:
        super().__init__(f"bulkhead full: {limit} running, {queue} waiting")
        self.limit = limit
        self.queue = queue


class Ignore(Exception):
    """Raised in `started()`: the child is not started, its supervisor goes on (OTP's `ignore`)."""
