#!/usr/bin/env bash
# From a fresh clone to ready environments: scripts/setup.sh [pipeline|orchestrator|all]
#   .venv           pipeline      (ML packages, DVC, tests)
#   .venv-airflow   orchestrator  (Apache Airflow, DAG tests)
# A second call returns at once: each environment remembers the digest of the files it was built from.
# TORCH_BACKEND=auto|cpu|cu130|none chooses the torch build (auto detects a GPU driver; none takes the build of
# the default package index).
set -euo pipefail
cd "$(dirname "$0")/.."
what="${1:-all}"
case "$what" in
  pipeline|orchestrator|all) ;;
  *) echo "set-up: unknown part '$what': expected pipeline, orchestrator or all" >&2; exit 2 ;;
esac
# What cannot work is refused before minutes of installing. An image has no dvc.yaml yet.
case "$PWD" in *:*|*$'\n'*) echo "set-up: $PWD: a folder name with a colon or a line break cannot be in PATH: rename it" >&2; exit 66 ;; esac
if [ -f dvc.yaml ] && ! reason="$(git cat-file -e HEAD:./dvc.yaml 2>&1)"; then
  echo "set-up: $PWD: Git has no commit of this folder ($reason). Clone the repository, or start a history here:" >&2
  echo "  git init && git add --all && git commit --message 'As downloaded'" >&2
  exit 66
fi
py="$(cat .python-version)"

digest() { cat "$@" | python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])'; }
ready() { [ -x "$1/bin/python" ] && [ "$(cat "$1/.requirements-digest" 2>/dev/null)" = "$2" ]; }

build_pipeline() {
  local want; want="$(digest scripts/setup.sh scripts/dvc_whole_files.py scripts/dvc_plots_page.py requirements/pipeline.txt requirements/torch.txt)-${TORCH_BACKEND:-auto}"
  ready .venv "$want" && return
  . scripts/uv.sh
  # A local folder that holds a torch wheel (named by uv's or pip's own variable) wins over any index.
  local torch_args=() dir
  for dir in ${UV_FIND_LINKS:-} ${PIP_FIND_LINKS:-}; do
    if compgen -G "$dir/torch-*.whl" >/dev/null; then torch_args=(--find-links "$dir"); fi
  done
  if [ ${#torch_args[@]} -eq 0 ] && [ "${TORCH_BACKEND:-auto}" != none ]; then
    torch_args=(--torch-backend "${TORCH_BACKEND:-auto}")
  fi
  echo "set-up: .venv (pipeline) from requirements/pipeline.txt"
  [ -x .venv/bin/python ] || uv venv --quiet --relocatable --python "$py" .venv
  uv pip install --quiet --python .venv/bin/python --compile-bytecode ${torch_args[@]+"${torch_args[@]}"} \
    -r requirements/pipeline.txt -r requirements/torch.txt
  # A kill at any moment must not leave half a dvc.lock: docs/decisions/0012-dvc-lock-is-written-whole.md.
  mkdir -p .venv/share && cp scripts/dvc_whole_files.py .venv/share/dvc_whole_files.py
  # Found from where it is: a `#!` line holds no space and no long path, and does not move along.
  printf '%s\n' '#!/bin/sh' 'exec "${0%/*}/python" "${0%/*}/../share/dvc_whole_files.py" "$@"' > .venv/bin/dvc.partial
  chmod +x .venv/bin/dvc.partial && mv .venv/bin/dvc.partial .venv/bin/dvc
  rm -f .venv/lib/python*/site-packages/dvc_whole_files.{py,pth}
  .venv/bin/python scripts/dvc_plots_page.py .venv/share/dvc-plots.html
  uv pip check --quiet --python .venv/bin/python
  .venv/bin/python -c 'import platform, torch; print("set-up: Python", platform.python_version() + ", torch", torch.__version__, "on", "GPU" if torch.cuda.is_available() else "CPU")'
  echo "$want" > .venv/.requirements-digest
}

build_orchestrator() {
  local want; want="$(digest scripts/setup.sh requirements/orchestrator.txt)"
  ready .venv-airflow "$want" && return
  . scripts/uv.sh
  echo "set-up: .venv-airflow (orchestrator) from requirements/orchestrator.txt"
  [ -x .venv-airflow/bin/python ] || uv venv --quiet --relocatable --python "$py" .venv-airflow
  uv pip install --quiet --python .venv-airflow/bin/python --compile-bytecode -r requirements/orchestrator.txt
  # The triggerer does not look in the dags folder: the orchestration package is made importable for every component,
  # from next to the environment, wherever that is moved or linked.
  .venv-airflow/bin/python - <<'PY'
import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "perennial_dags.pth").write_text("../../../../dags\n")
PY
  uv pip check --quiet --python .venv-airflow/bin/python
  echo "set-up: airflow $(.venv-airflow/bin/python -c 'from importlib.metadata import version; print(version("apache-airflow"))')"
  echo "$want" > .venv-airflow/.requirements-digest
}

[ "$what" = orchestrator ] || build_pipeline
[ "$what" = pipeline ] || build_orchestrator
