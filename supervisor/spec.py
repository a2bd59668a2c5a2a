"""The specification of a child, refused at construction when it contradicts itself."""

import math
from collections.abc import Callable
from typing import Any, Final

import attrs

from supervisor.backoff import Backoff
from supervisor.checks import is_number, is_text
from supervisor.errors import SpecError
from supervisor.mailbox import MailboxSpec
from supervisor.policy import Restart

__all__ = ["BRUTAL", "INFINITY", "ChildSpec", "Restart"]

BRUTAL: Final = 0.0
"""As `shutdown`: no soft stop, cancel at once. (Trio's cancellation is a request: `finally` blocks still run.)"""
INFINITY: Final = math.inf


def _seconds(field: str, value: float | None, *, zero: bool) -> None:
    if value is not None and not (is_number(value) and (value > 0 or (zero and value == 0))):
        raise SpecError(field, value, f"must be seconds {'of at least' if zero else 'above'} 0, math.inf, or None")


@attrs.frozen(kw_only=True)
class ChildSpec:
    """How to start, restart and stop one child.

    id: its name under its supervisor, without "/". factory: returns a new Actor for every incarnation.
    shutdown: seconds a soft stop may take before the child is cancelled; `INFINITY`; `BRUTAL`; None means 5 s for an
    actor and no limit for a supervisor (whose children have their own). start_timeout: seconds `started()` may take;
    None means 30 s for an actor and no limit for a supervisor. significant: see `AutoShutdown`.
    backoff: delays between restarts; None restarts at once, as OTP does.
    Raises `SpecError` naming the field.
    """

    id: str
    factory: Callable[[], Any]
    restart: Restart = Restart.PERMANENT
    shutdown: float | None = None
    start_timeout: float | None = None
    significant: bool = False
    backoff: Backoff | None = None
    mailbox: MailboxSpec = attrs.field(factory=MailboxSpec)

    def __attrs_post_init__(self) -> None:
        if not is_text(self.id) or "/" in self.id:
            raise SpecError("id", self.id, 'must be a non-empty string without "/"')
        if not callable(self.factory):
            raise SpecError("factory", self.factory, "must be callable: `factory=lambda: Account(0)`")
        if type(self.restart) is not Restart:
            raise SpecError("restart", self.restart, "must be Restart.PERMANENT, TRANSIENT or TEMPORARY")
        _seconds("shutdown", self.shutdown, zero=True)
        _seconds("start_timeout", self.start_timeout, zero=False)
        if type(self.mailbox) is not MailboxSpec:
            raise SpecError("mailbox", self.mailbox, "must be a MailboxSpec")
        if self.backoff is not None and type(self.backoff) is not Backoff:
            raise SpecError("backoff", self.backoff, "must be a Backoff")
        if self.significant and self.restart is Restart.PERMANENT:
            raise SpecError(
                "significant", True, "a permanent child never ends for good; make it transient or temporary"
            )
        if self.backoff is not None and self.restart is Restart.TEMPORARY:
            raise SpecError("backoff", self.backoff, "a temporary child is never restarted")
