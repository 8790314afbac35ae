#!/bin/bash
# Runs Pusher's libraries for Python against the broker, in an environment of their own.
set -euo pipefail
cd "$(dirname "$0")"
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
"$environment/bin/python" test_pusher.py "$@"
