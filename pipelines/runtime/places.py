"""Places that environment variables name: each becomes absolute once, at the entry point, in every command alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from pipelines.runtime.errors import ParamsError

FOLDERS = ("PERENNIAL_DATA", "PERENNIAL_MODELS")
TRACKING = "MLFLOW_TRACKING_URI"
ROOT_VARIABLE = "PERENNIAL_ROOT"  # Airflow sets it: its commands run in workspaces, relative places do not start there
# The address of a database in a file, whatever variable holds it; `:memory:` and absolute paths do not match.
FILE_DATABASE = re.compile(r"^((?:sqlite|duckdb)(?:\+\w+)?:///(?:file:)?)(?![/:]|file:)([^?]+)")


def absolute_places(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the variables with every relative place made absolute.

    Relative places start at PERENNIAL_ROOT, else at the checkout `root`. PERENNIAL_HOME is not among them: a relative
    one is refused (`runtime.state_root`), and so is an address of an object store where a folder is expected
    (ParamsError).
    """
    base = (root / environment.get(ROOT_VARIABLE, "")).resolve()
    made = {name: absolute_address(value, base) for name, value in environment.items()}
    for name in FOLDERS:
        if "://" in made.get(name, ""):
            raise ParamsError(
                f"invalid {name} = {made[name]!r}: expected a folder of this machine; addresses of object stores go into "
                "ingest.files.paths"
            )
    made |= {name: str((base / made[name]).resolve()) for name in FOLDERS if made.get(name)}
    tracking = made.get(TRACKING)
    if tracking and "://" not in tracking and tracking != "databricks":
        made[TRACKING] = str((base / tracking.removeprefix("file:")).resolve())
    return made


def absolute_address(address: str, base: Path) -> str:
    """Return the address of a file database with its path absolute; every other text is returned unchanged."""
    return FILE_DATABASE.sub(lambda found: f"{found[1]}{_quoted(base)}/{found[2]}", address)


def sqlite_address(file: Path) -> str:
    """Return the address of a SQLite file, absolute, for SQLAlchemy and MLflow."""
    path = _quoted(file)
    # MLflow creates the parent folder of `sqlite:///<path>` without decoding it: elsewhere, where it is encoded.
    return f"sqlite:///{path}" if path == str(file) else f"sqlite+pysqlite:///{path}"


def sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite address, or None for another address and for a store in memory."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", address)
    return Path(unquote(found[1])) if found and found[1] != ":memory:" else None


def _quoted(path: Path) -> str:
    """Return a path as SQLAlchemy reads it in an address; other characters than these two mean themselves there."""
    return str(path).replace("%", "%25").replace("?", "%3F")
