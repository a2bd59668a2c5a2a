"""``python -m actors.engine --config FILE``."""

import argparse
import sys
from pathlib import Path

from actors.engine.main import run


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="watchkeeper engine", description="A reference engine that trades.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the engine's TOML file")
    return run(parser.parse_args(argv).config)


if __name__ == "__main__":
    sys.exit(main())
