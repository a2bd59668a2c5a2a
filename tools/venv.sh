#!/bin/sh
# Makes the virtual environment: finds a Python from 3.11 to 3.13 and installs what the lock file pins.
set -eu
venv=$1
fits='import sys, venv, ensurepip; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))'
python=
for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
  [ -n "$candidate" ] || continue
  if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$fits" >/dev/null 2>&1; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "Watchkeeper needs Python 3.11, 3.12 or 3.13 with its venv module; none was found. Install one, or name it: make PYTHON=/path/to/python3" >&2
  exit 3
fi
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$fits" >/dev/null 2>&1 || { rm -rf "$venv"; "$python" -m venv "$venv"; }
echo "Installing into $venv with $("$python" --version) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
