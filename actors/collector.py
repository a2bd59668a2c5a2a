"""Python's cyclic collector in a process that keeps much and makes much that dies at once."""

import gc

import attrs

YOUNG, MIDDLE, OLD = 50_000, 20, 50
TIDY_SECONDS = 120.0
"""What closed connections leave behind in circles would otherwise wait for 50,000 new objects, or much longer when it
is old: so seldom is searched by number that it has to be done by time as well."""


def settle() -> None:
    """What has been made by now stays for good and is not searched again; the rest is searched less often.

    Nearly everything that a message brings into being is freed by reference counting. With Python's own thresholds a
    fleet at full speed has all that the platform keeps searched several times a second, each time holding up the loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


class Tidier:
    """Says every ``TIDY_SECONDS`` that it is time, and then has everything searched that came since ``settle``."""

    def __init__(self, now: float) -> None:
        self._next = now + TIDY_SECONDS

    def tidy(self, now: float) -> bool:
        """Whether it was done: some milliseconds for each ten thousand objects. Never where nothing was settled."""
        if now < self._next or not gc.get_freeze_count():
            return False
        self._next = now + TIDY_SECONDS
        gc.collect()
        return True


@attrs.frozen
class SettleWhenStarted:
    """A ``task_status`` that waits for nothing but the moment."""

    def started(self, _value: object = None) -> None:
        settle()
