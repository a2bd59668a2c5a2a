"""Python's cyclic collector in a process that keeps much and makes much that dies at once."""

import gc

import attrs

YOUNG, MIDDLE, OLD = 50_000, 20, 50


def settle() -> None:
    """What has been made by now stays for good and is not searched again; the rest is searched less often.

    Nearly everything that a message brings into being is freed by reference counting. With Python's own thresholds a
    fleet at full speed has all that the platform keeps searched several times a second, each time holding up the loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


@attrs.frozen
class SettleWhenStarted:
    """A ``task_status`` that waits for nothing but the moment."""

    def started(self, _value: object = None) -> None:
        settle()
