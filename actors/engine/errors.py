"""What can go wrong between an engine and its broker. No text repeats a secret."""

from wire.sdk.errors import EngineError


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
