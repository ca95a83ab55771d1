#!/usr/bin/env bash
# Pin both environments again: scripts/lock.sh [--upgrade]. The files hold hashes and no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/uv.sh
common=(--universal --python-version "$(cat .python-version)" --generate-hashes --no-emit-index-url
        --no-annotate --custom-compile-command "scripts/lock.sh" --quiet "$@")
uv pip compile "${common[@]}" --excludes requirements/excludes.txt --group dev pyproject.toml -o requirements/pipeline.txt
uv pip compile "${common[@]}" --group orchestrator -o requirements/orchestrator.txt
