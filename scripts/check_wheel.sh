#!/usr/bin/env bash
# Build wheel and sdist, then use the wheel as the README says: install it, run the quick start, the command and the
# pytest fixture.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$1" # one that has the development tools

say() { printf '\n== %s\n' "$*"; }
block() { "$python" scripts/readme_blocks.py "$@"; }

rm -rf dist
"$python" -m build --quiet --no-isolation
"$python" -m twine check --strict dist/*
clean="$(mktemp -d)"
fake=""
trap '[ -z "$fake" ] || kill "$fake"; rm -rf "$clean"' EXIT
"$python" -m venv "$clean/venv"
PATH="$clean/venv/bin:$PATH" bash -euxc "$(block README.md bash 1)"
# From here on, use the wheel just built, and no other package of that name.
printf 'signalwire-tokens @ file://%s\n' "$PWD"/dist/*.whl > "$clean/wheel.txt"
"$clean/venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "$(cat "$clean/wheel.txt")"
(cd "$clean" && exec venv/bin/python -m signalwire_tokens.testing) > "$clean/exports" &
fake=$!
until [ "$(wc -l < "$clean/exports")" -ge 3 ]; do kill -0 "$fake"; sleep 0.1; done
block README.md python 1 > "$clean/quick_start.py"
(. "$clean/exports" && cd "$clean" && venv/bin/python quick_start.py)

say "the command and the pytest fixture from the wheel"
# The extra is not installed yet, so the command must say how to install it.
if "$clean/venv/bin/signalwire-tokens" 2> "$clean/advice"; then exit 1; fi
grep -F "pip install 'signalwire-tokens[cli]'" "$clean/advice"
"$clean/venv/bin/python" -m pip install --quiet "$(sed 's/ @/[cli] @/' "$clean/wheel.txt")" pytest
block README.md sh 1 > "$clean/shell.sh"
(. "$clean/exports" && cd "$clean" && PATH="$clean/venv/bin:$PATH" sh -eux shell.sh)
block README.md python 5 > "$clean/test_fixture.py"
(cd "$clean" && venv/bin/python -m pytest -q test_fixture.py)
