"""What actors say to each other: any object can be told; a `Request[R]` can also be asked."""

from typing import Any, Final, Generic, TypeVar

__all__ = ["DEFERRED", "Request"]

R_co = TypeVar("R_co", covariant=True)


class Request(Generic[R_co]):
    """Base of messages that are answered with an `R`. Subclass with `@attrs.frozen(kw_only=True)`."""

    __slots__ = ()


class _Deferred:
    __slots__ = ()

    def __repr__(self) -> str:
        return "DEFERRED"


DEFERRED: Final[Any] = _Deferred()
"""Returned by a handler that took `self.context.defer()` and will answer later."""
