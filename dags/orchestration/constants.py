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
FETCH_TRIES = 5  # of refs that move while they are fetched
# What a user's or a system's configuration may hold and a run must not depend on; read after every configuration file.
GIT_SETTINGS = {
    **{"user.name": "orchestration", "user.email": "orchestration@localhost"},
    **{"commit.gpgSign": "false", "tag.gpgSign": "false", "tag.forceSignAnnotated": "false", "push.gpgSign": "false"},
    **{"core.hooksPath": "/dev/null", "core.fsmonitor": "false", "core.attributesFile": "/dev/null"},
    **{"core.autocrlf": "false", "core.eol": "lf", "core.safecrlf": "false"},
    **{"init.templateDir": "", "init.defaultBranch": "main", "init.defaultRefFormat": "files"},
    **{"clone.defaultRemoteName": "origin", "push.followTags": "false", "safe.bareRepository": "all"},
    **{"log.showSignature": "false", "grep.patternType": "basic", "color.ui": "false", "core.quotePath": "true"},
    **{"i18n.commitEncoding": "utf-8", "i18n.logOutputEncoding": "utf-8", "commit.cleanup": "whitespace"},
    **{"gc.auto": "0", "maintenance.auto": "false"},
}

# DVC
GRAPH_FORMAT = 2  # format of the output of scripts/export_graph.py; a graph kept in another format is exported again

# Commands
FINAL_EXIT_CODES = (64, 65, 66)  # invalid parameters, closed gate, invalid input: another try cannot change them
DISK_EXIT_CODE = 74

UNRECORDED_SECONDS = 3600.0  # after which a release without a recorded run is reported

# Limits of what is shown or accepted
MAX_REQUEST_BYTES, MAX_REQUEST_LEVELS = 50_000, 20  # of overrides: they travel in a commit message
MAX_TEXT = 1000  # characters of a run's reason
LOG_LINES = 12  # of a failed command, in the error message
EVIDENCE_LETTERS = 6000  # of one file, on the approval page
SHOWN_RECORDS, SHOWN_LETTERS = 3, 400  # records of a closed gate, and letters of each text in them
LINE_WIDTH = 84  # of a line that Airflow's log page shows without wrapping
