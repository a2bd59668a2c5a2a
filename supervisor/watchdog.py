"""The last rung of the shutdown ladder: a thread that ends the process when the event loop no longer can."""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["EXIT_CODE", "end_process", "watchdog"]

logger = logging.getLogger("supervisor")

EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""


def end_process() -> None:
    """Show where every thread is, and end without any clean-up."""
    faulthandler.dump_traceback(file=sys.__stderr__ or 2)
    os._exit(EXIT_CODE)


@contextmanager
def watchdog(seconds: float | None, bite: Callable[[], object] = end_process) -> Iterator[None]:
    """Call `bite` on a thread of its own if the block takes longer than `seconds` of real time. None: never."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
