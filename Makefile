# Every target sets up what it needs by itself; a second call reuses it.
.DEFAULT_GOAL := help
.PHONY: help setup setup-pipeline setup-orchestrator demo run retrain history rollback verify serve score score-export mlflow test test-unit test-all test-dags check format graph dag-pages airflow airflow-smoke collect metrics benchmark clean drift drift-replay loop

SHELL := /bin/bash
export PERENNIAL_HOME ?= $(abspath .perennial)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
PY := .venv/bin/python
AIRFLOW_PY := .venv-airflow/bin/python
# What `make test` leaves to `make test-all`: minutes-long runs, image builds, servers that are not everywhere.
QUICK := not long and not images and not postgres
# WORKERS=0 runs all in one process, for a debugger.
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

help: ## What there is
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  make %-20s %s\n", $$1, $$2}'

setup: setup-pipeline setup-orchestrator ## Both environments, the DVC folders and the pinned champion
setup-pipeline:
	@scripts/setup.sh pipeline
	@scripts/prepare_checkout.sh
setup-orchestrator:
	@scripts/setup.sh orchestrator

demo: setup-pipeline ## The main job on the simulated stream: ingest to a released champion, with a summary
	@$(PY) -m pipelines.live.release run
run: setup-pipeline ## The main job with a parameter file laid over params.yaml: make run PARAMS=file.yaml
	@test -n "$(PARAMS)" || { echo "which file? make run PARAMS=examples/cfpb_complaints.yaml" >&2; exit 2; }
	@$(PY) -m pipelines.live.release run --params "$(PARAMS)"
retrain: setup-pipeline ## The main job on a window: make retrain START=2025-03-03 END=2026-03-02
	@test -n "$(START)$(END)" || { echo "which window? make retrain START=2025-03-03 END=2026-03-02" >&2; exit 2; }
	@$(PY) -m pipelines.live.release run --start "$(START)" --end "$(END)"
history: setup-pipeline ## Who moved the champion alias, when and why
	@$(PY) -m pipelines.live.release history
rollback: setup-pipeline ## Back to the last champion: make rollback REASON="..."
	@test -n "$(REASON)" || { echo 'why? make rollback REASON="..."' >&2; exit 2; }
	@$(PY) -m pipelines.live.release rollback --reason "$(REASON)"
verify: setup-pipeline ## Check the history's chain and every artifact of the champion
	@$(PY) -m pipelines.live.release verify
serve: setup-pipeline ## The REST service on http://127.0.0.1:8000; make serve PORT=9000 HOST=0.0.0.0
	@$(PY) -m pipelines serve --host "$(or $(HOST),127.0.0.1)" --port "$(or $(PORT),8000)"
score: setup-pipeline ## The champion's answers for a window: make score START=2026-03-02 END=2026-03-09
	@$(PY) -m pipelines.live.score --start "$(START)" --end "$(END)"
score-export: setup-pipeline ## A faster form of the champion's network, used by score once its parity gate is open
	@$(PY) -m pipelines.live.score --export
mlflow: setup-pipeline ## MLflow's pages on http://127.0.0.1:5000; make mlflow PORT=5001
	@$(PY) -m pipelines.live.release ui --port "$(or $(PORT),5000)"

drift: setup-pipeline ## Compare the week before END with the champion's profile, and decide: make drift END=2026-03-16
	@$(PY) -m pipelines.live.drift measure --end "$(END)"
	@$(PY) -m pipelines.live.drift decide
drift-replay: setup-pipeline ## Which days of history would have triggered: make drift-replay [ARGS="--source file.parquet --weeks 26"]
	@$(PY) -m pipelines.live.drift replay $(ARGS)
loop: setup-pipeline ## The whole story offline: train, drift, one retraining, canary, bad model, rollback (PLAN=file.yaml)
	@$(PY) -m pipelines loop --plan "$(or $(PLAN),examples/loop.yaml)"

test: setup ## All tests but the minutes-long ones
	@status=0; $(PY) $(PYTEST) --durations=15 -m "$(QUICK)" || status=$$?; \
	$(AIRFLOW_PY) $(PYTEST) --durations=15 -m "$(QUICK)" tests/dags || status=$$?; exit $$status
test-unit: setup-pipeline ## Unit tests only, under two minutes
	@$(PY) $(PYTEST) -m "$(QUICK) and not slow and not e2e and not server and not chaos"
test-dags: setup ## DAG tests only
	@$(AIRFLOW_PY) $(PYTEST) --durations=15 -m "$(QUICK)" tests/dags
test-all: setup ## Every test, image builds and PostgreSQL too (over an hour), one after the other
	@status=0; $(PY) -m pytest || status=$$?; $(AIRFLOW_PY) -m pytest tests/dags || status=$$?; exit $$status

check: setup ## What CI asks before the tests: format, lint, types, import laws, generated files
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m deptry --no-ansi .
	@$(PY) -m pytest -q tests/contract
	@$(PY) scripts/export_graph.py --check
	@$(AIRFLOW_PY) -m orchestration.pages dags --check
format: setup-pipeline ## Format and mend what can be mended
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

graph: setup-pipeline ## Generate the code dependencies in dvc.yaml, and dags/graph.json
	@$(PY) scripts/stage_dependencies.py
	@$(PY) scripts/export_graph.py
dag-pages: setup-orchestrator ## Generate dags/README.md from the docstrings of the DAGs
	@$(AIRFLOW_PY) -m orchestration.pages dags
airflow: setup ## A whole Airflow on http://127.0.0.1:8080; make airflow DB=postgresql://user:password@host/base PORT=8081
	@$(AIRFLOW_PY) scripts/airflow_local.py --port "$(or $(PORT),8080)" --db "$(DB)"
airflow-smoke: setup ## Airflow comes up, finds every DAG and stops
	@$(AIRFLOW_PY) scripts/airflow_local.py --smoke --port "$(or $(PORT),8080)" --db "$(DB)"
collect: setup ## Garbage: workspaces and runs that nobody needs, and their data (DRY=1 only says what)
	@$(AIRFLOW_PY) -m orchestration.collect --root . --prefix PERENNIAL --keep-days "$(or $(KEEP_DAYS),90)" $(if $(DRY),--dry-run)

metrics: setup-pipeline ## What a person compares between commits, and what has changed since the last one
	@.venv/bin/dvc metrics show data/*/metrics.json
	@.venv/bin/dvc metrics diff --md --targets data/*/metrics.json
	@.venv/bin/dvc params diff --md

clean: ## Forget state, environments and outputs of this checkout
	rm -rf .venv .venv-airflow .tools .perennial .airflow .dvc/cache .dvc/tmp
