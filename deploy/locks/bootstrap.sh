#!/bin/bash
# Finds a Python >= 3.11 and installs the pinned uv beside it, into .setup/. Safe to run again after a cut-off.
set -euo pipefail
wanted=${1:-python3}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in "$wanted" python3.14 python3.13 python3.12 python3.11; do
  if new_enough "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "No Python 3.11 or newer was found: install one, or name it with 'make setup PYTHON=/path/to/python3'" >&2
  exit 1
fi
mkdir -p .setup
"$python" -c 'import sys; print(sys.executable)' > .setup/python

if ! .setup/uv/bin/uv --version >/dev/null 2>&1; then
  echo "==> Installer (uv) into .setup/"
  rm -rf .setup/uv
  if ! "$python" -m venv .setup/uv 2>/dev/null; then
    echo "==> This Python has no venv: installing the distribution's package for it"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    rm -rf .setup/uv && "$python" -m venv .setup/uv
  fi
  .setup/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/locks/uv.txt
fi
