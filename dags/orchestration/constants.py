"""Constants that several modules of this package share, or that an operator of a deployment may want to find."""

from __future__ import annotations

# Processes
TASK_VARIABLE = "ORCHESTRATION_TASK"  # every process of a task inherits it; its value identifies run and task
TRY_VARIABLE = "ORCHESTRATION_TRY"  # the same for one try of the task
POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
CLOCK_SECONDS = 2.0  # by which two readings of one start time may differ

# Git
PREPARED = "Run-Prepared"  # trailer of the commit that ends `prepare`
REQUEST = "Run-Request"  # trailer that holds what the run was asked for, as JSON
RELEASED = "released/"  # tags with this prefix are never collected: past and present champions came from them
PUSH_TRIES = 8
GIT_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"),
    *("-c", "user.name=orchestration", "-c", "user.email=orchestration@localhost"),
)
# Where a repository is, as `git rev-parse --local-env-vars` lists it: that of the process that started Airflow must not
# reach git here. Settings of the site (GIT_SSH_COMMAND, GIT_ASKPASS, GIT_CONFIG_COUNT, ...) are kept.
LOCATIONS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CEILING_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG GIT_DIR GIT_GRAFT_FILE "
    "GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE GIT_NO_REPLACE_OBJECTS "
    "GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE"
)
GIT_LOCATION = frozenset(LOCATIONS.split())

# DVC
GRAPH_FORMAT = 2  # format of the output of scripts/export_graph.py; a graph kept in another format is exported again

# Commands
FINAL_EXIT_CODES = (64, 65, 66)  # invalid parameters, closed gate, invalid input: another try cannot change them
DISK_EXIT_CODE = 74
# Never passed to a stage: settings and secrets of the orchestrator, and Python settings of its environment.
WITHHELD = ("AIRFLOW_", "_AIRFLOW_", "__AIRFLOW", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")

# Limits of what is shown or accepted
MAX_REQUEST_BYTES, MAX_REQUEST_LEVELS = 50_000, 20  # of overrides: they travel in a commit message
MAX_TEXT = 1000  # characters of a run's reason
LOG_LINES = 12  # of a failed command, in the error message
EVIDENCE_LETTERS = 6000  # of one file, on the approval page
SHOWN_RECORDS, SHOWN_LETTERS = 3, 400  # records of a closed gate, and letters of each text in them
LINE_WIDTH = 100  # of a line that Airflow's log page shows without wrapping
