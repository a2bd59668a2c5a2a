"""``python -m actors.simulator``: the same as ``watchkeeper broker-sim``."""

import sys

from actors.simulator.server import run

raise SystemExit(run(sys.argv[1:]))
