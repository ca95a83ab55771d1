# Every target sets up what it needs; a second call reuses it. Variables reach a command through its environment,
# never as text in a shell command.
.DEFAULT_GOAL := help
.PHONY: help setup setup-pipeline setup-orchestrator demo run retrain replay history rollback verify serve score score-export mlflow test test-unit test-all test-dags check format graph dag-pages airflow airflow-smoke airflow-cli alert collect metrics clean drift drift-replay loop

SHELL := /bin/bash
# The place that `python -m pipelines` finds too, also in a worktree.
ifeq ($(PERENNIAL_HOME),)
PERENNIAL_HOME := $(shell python3 scripts/state_root.py)
endif
export PERENNIAL_HOME
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# Text is UTF-8 whatever the locale; no module and no repository of the shell that calls make takes the place of ours.
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
PY := .venv/bin/python
AIRFLOW_PY := .venv-airflow/bin/python
# `make test` leaves out minutes-long runs, image builds and servers that are not installed everywhere: `make test-all`.
QUICK := not long and not images and not postgres
# WORKERS=0 runs everything in one process, for a debugger.
WORKERS ?= 2
# A variable of make's own command line, else a default: HOST and PORT are often set in the environment for other uses.
given = $(if $(filter command,$(firstword $(origin $(1)))),"$$$(1)",$(2))
PYTEST := -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder

help: ## List the targets
	@grep -hE '^[a-z-]+:.*?## ' Makefile | awk -F':.*?## ' '{printf "  make %-20s %s\n", $$1, $$2}'

setup: setup-pipeline setup-orchestrator ## Set up both environments, the DVC folders and the pinned champion
setup-pipeline:
	@scripts/setup.sh pipeline
	@scripts/prepare_checkout.sh
setup-orchestrator:
	@scripts/setup.sh orchestrator

demo: setup-pipeline ## Run the main job on the simulated stream: ingest to a released champion, with a summary
	@$(PY) -m pipelines run
run: setup-pipeline ## Run the main job with a file of overrides: make run PARAMS=file.yaml
	@test -n "$$PARAMS" || { echo "PARAMS is missing; for example: make run PARAMS=examples/cfpb_complaints.yaml" >&2; exit 2; }
	@$(PY) -m pipelines run --params "$$PARAMS"
retrain: setup-pipeline ## Run the main job on a window: make retrain START=2025-03-03 END=2026-03-02
	@test -n "$$END" || { echo "END is missing; for example: make retrain START=2025-03-03 END=2026-03-02" >&2; exit 2; }
	@$(PY) -m pipelines run $(if $(START),--start "$$START") --end "$$END"
replay: setup-pipeline ## Run a recorded run again and compare every digest: make replay TAG=runs/... REMOTE=/path/or/s3://bucket [FIRST=stage]
	@test -n "$$TAG" || { echo 'TAG is missing; git tag --list "runs/*" lists the recorded runs' >&2; exit 2; }
	@$(PY) scripts/replay_run.py --tag "$$TAG" --remote "$${REMOTE:-$$PERENNIAL_HOME/dvc-remote}" --first "$${FIRST:-}"
history: setup-pipeline ## Show who moved the champion alias, when and why
	@$(PY) -m pipelines history
rollback: setup-pipeline ## Go back to the previous champion: make rollback REASON="..."
	@test -n "$$REASON" || { echo 'REASON is missing; for example: make rollback REASON="wrong answers on loans"' >&2; exit 2; }
	@$(PY) -m pipelines rollback --reason "$$REASON"
verify: setup-pipeline ## Check the history's chain and every artifact of the champion
	@$(PY) -m pipelines verify
serve: setup-pipeline ## Start the REST service on http://127.0.0.1:8000; make serve PORT=9000 HOST=0.0.0.0
	@$(PY) -m pipelines serve --host $(call given,HOST,127.0.0.1) --port $(call given,PORT,8000)
score: setup-pipeline ## Score a window with the champion: make score START=2026-03-02 END=2026-03-09
	@$(PY) -m pipelines score --start "$$START" --end "$$END"
score-export: setup-pipeline ## Export the champion's network in a faster form, which score uses once its parity gate is open
	@$(PY) -m pipelines score-export
mlflow: setup-pipeline ## Open MLflow's pages on http://127.0.0.1:5000; make mlflow PORT=5001
	@$(PY) -m pipelines mlflow --port $(call given,PORT,5000)

drift: setup-pipeline ## Compare the week before END with the champion's profile, and decide: make drift END=2026-03-09
	@$(PY) -m pipelines drift measure --end "$$END"
	@$(PY) -m pipelines drift decide
drift-replay: setup-pipeline ## Show which days of history would have triggered a retraining: make drift-replay [ARGS="--source file.parquet --weeks 26"]
	@$(PY) -m pipelines drift replay $(ARGS)
loop: setup-pipeline ## Run the whole scenario offline: train, drift, one retraining, canary, bad model, rollback (PLAN=file.yaml)
	@$(PY) -m pipelines loop --plan "$${PLAN:-examples/loop.yaml}"

test: setup ## Run all tests except the minutes-long ones
	@set -o pipefail; status=0; logs="$$PERENNIAL_HOME/tests"; mkdir -p "$$logs"; \
	$(PY) $(PYTEST) --durations=15 -m "$(QUICK)" | tee "$$logs/pipelines.log" || status=$$?; \
	$(AIRFLOW_PY) $(PYTEST) --durations=15 -m "$(QUICK)" tests/dags | tee "$$logs/dags.log" || status=$$?; \
	for half in pipelines dags; do tail -n 1 "$$logs/$$half.log"; done; exit $$status
test-unit: setup-pipeline ## Run the unit tests, under two minutes
	@$(PY) $(PYTEST) -m "$(QUICK) and not slow and not e2e and not server and not chaos"
test-dags: setup ## Run the DAG tests
	@$(AIRFLOW_PY) $(PYTEST) --durations=15 -m "$(QUICK)" tests/dags
test-all: setup ## Run every test, image builds and PostgreSQL included (over an hour)
	@status=0; $(PY) -m pytest || status=$$?; $(AIRFLOW_PY) -m pytest tests/dags || status=$$?; exit $$status

check: setup ## Check format, lint, types, language, dependencies, import table and generated files, as CI does
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m deptry --no-ansi .
	@$(PY) scripts/check_language.py
	@$(PY) -m pytest -q tests/contract
	@$(PY) scripts/export_graph.py --check
	@$(AIRFLOW_PY) -m orchestration.pages dags --check
format: setup-pipeline ## Format, and fix what can be fixed automatically
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

graph: setup-pipeline ## Generate the code dependencies in dvc.yaml, and dags/graph.json
	@$(PY) scripts/stage_dependencies.py
	@$(PY) scripts/export_graph.py
dag-pages: setup-orchestrator ## Generate dags/README.md from the docstrings of the DAGs
	@$(AIRFLOW_PY) -m orchestration.pages dags
airflow: setup ## Start a whole Airflow on http://127.0.0.1:8080; make airflow DB=postgresql://user:password@host/base PORT=8081
	@$(AIRFLOW_PY) scripts/airflow_local.py --port $(call given,PORT,8080) --db $(call given,DB,"")
airflow-smoke: setup ## Start Airflow, find every DAG, and stop
	@$(AIRFLOW_PY) scripts/airflow_local.py --smoke --port $(call given,PORT,8080) --db $(call given,DB,"")
airflow-cli: setup ## Run one command of Airflow's command line on this Airflow: make airflow-cli ARGS="dags list"
	@$(AIRFLOW_PY) scripts/airflow_local.py --db $(call given,DB,"") --cli $(ARGS)
alert: setup ## Send MESSAGE to every address in PERENNIAL_ALERT_ADDRESS, to try them
	@test -n "$$MESSAGE" || { echo 'MESSAGE is missing; for example: make alert MESSAGE="hello"' >&2; exit 2; }
	@PYTHONPATH=dags $(AIRFLOW_PY) -m orchestration.alerts --prefix PERENNIAL --root . "$$MESSAGE"
collect: setup ## Remove workspaces and runs past KEEP_DAYS, and their data (DRY=1 only lists them)
	@$(AIRFLOW_PY) -m orchestration.collect --root . --prefix PERENNIAL --keep-days "$${KEEP_DAYS:-90}" $(if $(DRY),--dry-run)

metrics: setup-pipeline ## Show the metrics of this checkout; make metrics A=runs/... B=runs/... compares two runs
	@$(if $(A),.venv/bin/dvc metrics diff --md "$$A" $(if $(B),"$$B") && .venv/bin/dvc params diff --md "$$A" $(if $(B),"$$B"),.venv/bin/dvc metrics show)

clean: ## Remove state, environments and outputs of this checkout
	rm -rf .venv .venv-airflow .tools .perennial .airflow .dvc/cache .dvc/tmp
