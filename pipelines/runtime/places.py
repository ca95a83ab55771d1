"""Places that environment variables name: each becomes absolute once, at the entry point, in every command alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("PERENNIAL_DATA", "PERENNIAL_MODELS")
TRACKING = "MLFLOW_TRACKING_URI"
ROOT_VARIABLE = "PERENNIAL_ROOT"  # Airflow sets it: its commands run in workspaces, relative places do not start there
# The address of a database in a file, whatever variable holds it; `:memory:` and absolute paths do not match.
FILE_DATABASE = re.compile(r"^((?:sqlite|duckdb)(?:\+\w+)?:///(?:file:)?)(?![/:]|file:)([^?]+)")


def absolute_places(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the variables with every relative place made absolute.

    Relative places start at PERENNIAL_ROOT, else at the checkout `root`. PERENNIAL_HOME is not among them: a relative
    one is refused (`runtime.project.state_root`).
    """
    base = (root / environment.get(ROOT_VARIABLE, "")).resolve()
    made = {name: absolute_address(value, base) for name, value in environment.items()}
    made |= {name: str((base / made[name]).resolve()) for name in FOLDERS if made.get(name)}
    tracking = made.get(TRACKING)
    if tracking and "://" not in tracking and tracking != "databricks":
        made[TRACKING] = str((base / tracking.removeprefix("file:")).resolve())
    return made


def absolute_address(address: str, base: Path) -> str:
    """Return the address of a file database with its path absolute; every other text is returned unchanged."""
    return FILE_DATABASE.sub(lambda found: f"{found[1]}{base / found[2]}", address)
