"""Why an incarnation ended: one value for every way to end."""

import enum
from collections.abc import Iterator
from typing import Final

import attrs

__all__ = ["NORMAL", "SHUTDOWN", "ExitKind", "ExitReason", "crash", "leaves", "text_of"]


class ExitKind(enum.Enum):
    """The kinds of end. Which of them restart a transient child is decided in `supervisor.policy`."""

    __hash__ = object.__hash__  # members are singletons, and the inherited hash is a Python function

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    CANCELLED = "cancelled"
    CRASH = "crash"
    ESCALATED = "escalated"
    IGNORED = "ignored"


ABNORMAL: Final = frozenset({ExitKind.CRASH, ExitKind.CANCELLED, ExitKind.ESCALATED})


@attrs.frozen
class ExitReason:
    """`detail` is a human's word on it; `error` is the exception of a crash or of the crash that escalated."""

    kind: ExitKind
    detail: str = ""
    error: BaseException | None = attrs.field(default=None, repr=False)

    @property
    def abnormal(self) -> bool:
        """True for crash, cancellation and escalation: what restarts a transient child and breaks links."""
        return self.kind in ABNORMAL

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


NORMAL = ExitReason(ExitKind.NORMAL)
SHUTDOWN = ExitReason(ExitKind.SHUTDOWN)


def crash(error: BaseException) -> ExitReason:
    """The reason of an actor that raised `error`."""
    name, text = type(error).__name__, text_of(error)
    return ExitReason(ExitKind.CRASH, f"{name}: {text}" if text else name, error)


def text_of(error: BaseException) -> str:
    """`str(error)`, which is somebody else's code and may itself raise."""
    try:
        return str(error)
    except Exception as worse:
        return f"(its text raises {type(worse).__name__})"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside nested groups, so that `ConnectionError` is found whoever opened a nursery around it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
