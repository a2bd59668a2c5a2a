"""Run every benchmark beside this file, one after the other: `python -m tests.bench [name …]`."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    here = Path(__file__).parent
    folders = [path.parent.name for path in here.glob("*/__init__.py")]
    known = sorted([*folders, *(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))])
    wanted = sys.argv[1:] or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    for name in wanted:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main()
