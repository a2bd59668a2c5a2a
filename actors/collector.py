"""Memory in a process that keeps much and makes much that dies at once: Python's collector and the C library's heap."""

import ctypes
import gc

import attrs

YOUNG, MIDDLE, OLD = 50_000, 20, 50
TIDY_SECONDS = 120.0
"""What closed connections leave behind in circles would otherwise wait for 50,000 new objects, or much longer when it
is old: so seldom is searched by number that it has to be done by time as well."""
SOON_SECONDS, MANY = 5.0, 5_000
"""So much sooner when so many objects more have come than have gone: forty dashboards leave twice as many."""
A_SHARE = 4
"""But not before a quarter of what has to be searched is new: a large fleet is not searched because a few came."""
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
TRIM_BYTES = 128 * 1024


def settle() -> None:
    """What has been made by now stays for good and is not searched again; the rest is searched less often.

    Nearly everything that a message brings into being is freed by reference counting. With Python's own thresholds a
    fleet at full speed has all that the platform keeps searched several times a second, each time holding up the loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    _one_heap()


def _one_heap() -> None:
    """One heap for all threads, and its free end goes back to the system (mallopt(3)): threads that take turns gain
    nothing by heaps of their own, and each keeps what it once needed. Elsewhere than in glibc nothing is done."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)


def _give_back() -> None:
    """What is free in the midst of the heap goes back as well (malloc_trim(3)): a few milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Tidier:
    """Says when it is time, and then has everything searched that came since ``settle``: every ``TIDY_SECONDS``, and
    after ``SOON_SECONDS`` when many objects have come to stay, or to be found."""

    def __init__(self, now: float) -> None:
        self._done = now
        self._enough = MANY

    def tidy(self, now: float) -> bool:
        """Whether it was done: some milliseconds for each ten thousand objects. Never where nothing was settled."""
        since = now - self._done
        if not gc.get_freeze_count() or not (since >= TIDY_SECONDS or (since >= SOON_SECONDS and self._has_many())):
            return False
        gc.collect()
        _give_back()
        self._done = now
        self._enough = max(MANY, len(gc.get_objects()) // A_SHARE)
        return True

    def _has_many(self) -> bool:
        """By what the collector counts anyway: new objects less those that are gone, and its own searches since."""
        young, middle, old = gc.get_count()
        return young + YOUNG * (middle + MIDDLE * old) >= self._enough


@attrs.frozen
class SettleWhenStarted:
    """A ``task_status`` that waits for nothing but the moment."""

    def started(self, _value: object = None) -> None:
        settle()
