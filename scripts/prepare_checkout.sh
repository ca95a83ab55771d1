#!/usr/bin/env bash
# Once per checkout: put DVC's cache and remote into the state root, let its plots work without a network, keep the
# files that a run rewrites out of `git status`, and pin a champion (or none).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/dvc_places.py
scripts/hide_run_files.sh
# `split` and `promote` compare with data/champion/; a new checkout has none yet.
[ -d data/champion ] || .venv/bin/python -m pipelines pin
