"""How a command of Watchkeeper ends."""

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3


class Refused(Exception):
    """The command will not do this. The message is one clear line for a person; the exit code is 3."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Failed(Exception):
    """The command tried and did not succeed. The message is one clear line for a person; the exit code is 1."""

    def __init__(self, message: str, *, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
