"""A window of new input exactly as training would read it: stage `ingest` run aside, on its own window."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.params import PARAMS_FILE, domain_path, read_yaml
from pipelines.runtime.state import home

if TYPE_CHECKING:
    import pandas as pd

NOTHING_KEPT = 66


@contextmanager
def scratch_checkout(root: Path, *, start: date, end: date) -> Iterator[Path]:
    """A folder where `ingest` runs on another window: this checkout's code and params, its own `data/`."""
    (home() / "scratch").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home() / "scratch", prefix="score-") as folder:
        scratch = Path(folder)
        (scratch / "pipelines").symlink_to(root / "pipelines", target_is_directory=True)
        params = read_yaml(root / PARAMS_FILE)
        params["domain"] = str(domain_path(root))
        params["ingest"] = {**(params.get("ingest") or {}), "start": start.isoformat(), "end": end.isoformat()}
        (scratch / PARAMS_FILE).write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        reference = params["ingest"].get("reference")
        if reference and (root / reference).exists():
            (scratch / reference).parent.mkdir(parents=True, exist_ok=True)
            (scratch / reference).write_bytes((root / reference).read_bytes())
        yield scratch


def read_window(root: Path, *, start: date, end: date) -> tuple[pd.DataFrame, dict[str, object]]:
    """Records of the window and what `ingest` says about them (its verdict).

    A closed ingest gate does not stop scoring: live requests are answered whatever their quality, and it is drift's
    decision tree that asks whether the feed is broken. Raises PerennialError when the source cannot be read at all.
    """
    import json

    import pandas as pd

    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: start before end would be right")
    with scratch_checkout(root, start=start, end=end) as scratch:
        environment = {**os.environ, "PERENNIAL_DATA": os.environ.get("PERENNIAL_DATA", str(root))}
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.stages.ingest"],
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PerennialError(f"the window [{start}, {end}) could not be read:\n{done.stderr.strip()[-2000:]}")
        records = pd.read_parquet(scratch / "data" / "ingest" / "records.parquet")
        verdict = json.loads((scratch / "data" / "ingest" / "verdict.json").read_text(encoding="utf-8"))
    return records, verdict
