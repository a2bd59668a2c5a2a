"""Runs a command that ends with its parent: ``python -m actors.demo.tether COMMAND ...``.

On Linux the kernel sends SIGTERM to the command when its parent ends, however it ends (PR_SET_PDEATHSIG). It is asked
for in a process of its own, which the command then replaces, so that no code of ours runs between fork and exec in a
parent with threads. The signal follows the *thread* that forked: start it from the one that lives longest.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Replaces this process by ``argv``. Ends at once when the parent is already gone."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(0)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(sys.argv[1:])
