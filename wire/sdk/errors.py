"""What can go wrong at an engine's end of the link. Codes follow ``error_<what>``; no text repeats a secret."""


class EngineError(Exception):
    """Base; raise a subclass. ``code`` goes on the wire, ``reason`` to a person."""

    code = "error_engine"

    def __init__(self, reason: str, *, code: str | None = None) -> None:
        if type(self) is EngineError:
            raise TypeError("EngineError is a base class: raise one of its subclasses")
        self.code = code or type(self).code
        self.reason = reason
        super().__init__(f"{self.code}: {reason}")


class ConfigurationError(EngineError):
    """The engine cannot start as it is set up: told in one line that says what to do."""

    code = "error_configuration"


class GateClosed(EngineError):
    """The order gate refused an order; nothing was written."""

    code = "error_gate_closed"


class Unwelcome(EngineError):
    """The platform does not know this engine or its secret: no retry can help, a person must look."""

    code = "error_unauthorized"


class PlatformAway(EngineError):
    """The platform gave no usable answer now."""

    code = "error_platform_away"


class InvalidParameters(EngineError):
    """A parameter the strategy does not have, or a value outside its range."""

    code = "error_invalid_parameters"


class HandlerEnded(EngineError):
    """A handler of the engine ended without an answer: something it waited for was cancelled, or it left its thread."""

    code = "error_handler_ended"
