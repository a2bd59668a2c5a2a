"""What can go wrong inside an engine. Codes follow the house rule ``error_<what>``; no text repeats a secret."""


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
    """The engine cannot start as it is configured: a caller's mistake, told in one line."""

    code = "error_configuration"


class GateClosed(EngineError):
    """The order gate refused an order; nothing was written."""

    code = "error_gate_closed"


class BrokerRefused(EngineError):
    """The broker answered no. ``broker_code`` is its own code for it."""

    code = "error_broker_refused"

    def __init__(self, reason: str, *, broker_code: str = "", code: str | None = None) -> None:
        self.broker_code = broker_code
        super().__init__(reason, code=code)


class BrokerUnavailable(EngineError):
    """The broker gave no usable answer and nothing can have happened there."""

    code = "error_broker_unavailable"


class OutcomeUnknown(EngineError):
    """The broker may or may not have executed the request: only reconciliation can tell. Never sent again."""

    code = "error_outcome_unknown"


class StorageFailed(EngineError):
    """A local file could not be made durable."""

    code = "error_storage"
