"""``watchkeeper broker-sim``: the simulated broker; its own program reads the arguments."""

from actors.simulator.server import run

__all__ = ["run"]
