"""What can be wrong with something that crossed a boundary.

Every error has a code of the form ``error_<what>`` (property 4), words for a person and, where one exists, the path of
the offending field. It never repeats the value it refuses: values may be secrets.
"""

import re

CODE = re.compile(r"error_[a-z0-9_]+\Z")


class WireError(Exception):
    """Base of everything a peer can be told. Not raised itself: use a subclass."""

    code = "error_wire"

    def __init__(self, reason: str, *, field: str | None = None, code: str | None = None) -> None:
        if type(self) is WireError:
            raise TypeError("WireError is a base class: raise one of its subclasses")
        self.code = code or type(self).code
        if not CODE.match(self.code):
            raise ValueError("an error code is error_ followed by lower-case words")
        self.reason = reason
        self.field = field
        super().__init__(f"{self.code}: {reason}" + (f" ({field})" if field else ""))

    def within(self, parent: str) -> "WireError":
        """The same error seen from one level further out: its field path gets ``parent`` in front."""
        if self.field is None:
            path = parent
        else:
            path = parent + self.field if self.field.startswith("[") else f"{parent}.{self.field}"
        return type(self)(self.reason, field=path, code=self.code)


class Malformed(WireError):
    """The bytes are not one JSON object of ours: syntax, size, depth, duplicate keys, bad text."""

    code = "error_malformed"


class TooLarge(WireError):
    """The message is over the size limit."""

    code = "error_too_large"


class InvalidField(WireError):
    """A field is missing, of another type, or outside its range."""

    code = "error_invalid_field"


class UnknownType(WireError):
    """A ``type`` this side does not know, or one that may not come from there."""

    code = "error_unknown_type"


class UnknownCritical(WireError):
    """``crit`` names something this side does not understand, so the message may not be executed."""

    code = "error_unknown_critical"


class Unauthorized(WireError):
    """No valid token."""

    code = "error_unauthorized"


class Forbidden(WireError):
    """A valid token that may not do this."""

    code = "error_forbidden"


class NotFound(WireError):
    """There is no such thing."""

    code = "error_not_found"


class Overloaded(WireError):
    """No room at the moment; trying again later may help."""

    code = "error_overloaded"
